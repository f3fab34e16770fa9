#!/usr/bin/env python3
"""Speaks the digits with espeak-ng in many voices and writes them as one npz at 16 kHz: voices.py OUT.npz

Array VOICE#K_D is digit D, the K-th time the voice says it: for training in 8-bit mu-law, for the evaluation in 16 bit.
A voice is an accent and a variant (`en-us+m1`). The variants of HELD are for the evaluation only, in every accent;
TWINS have the formants of such a variant and are not used at all.
"""
import re
import subprocess
import sys

import numpy as np

DIGITS = "zero one two three four five six seven eight nine".split()
ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-us-nyc"]
HELD = ["en-us+m6", "en-gb+f2", "en-us+Annie", "en-gb+david", "en-gb-scotland+m3", "en-us+Alicia"]
TWINS = ["f5", "whisperf"]


def held(voice):
    """True for a voice that may not be heard in training."""
    return voice.split("#")[0].split("+")[-1] in {v.split("+")[1] for v in HELD}


def variants():
    """The variants that espeak-ng has."""
    lines = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, check=True, text=True).stdout
    return sorted(re.findall(r"!v/(\S+(?: \S+)*)", lines))


def speak(voice, word, speed, pitch):
    """Samples in -1..1 without the silence around them."""
    out = subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", word], capture_output=True, check=True).stdout
    x = np.frombuffer(out[44:], "<i2").astype(np.float32)
    loud = np.flatnonzero(np.abs(x) > 0.02 * np.abs(x).max())
    x = x[loud[0]:loud[-1] + 1]
    n = len(x) * 16000 // 22050  # band-limited resampling: cut the spectrum
    y = np.fft.irfft(np.fft.rfft(x)[:n // 2 + 1], n) * (n / len(x))
    return y / np.abs(y).max() * 0.61


def mu_law(x):
    return np.round((np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256) + 1) * 127.5).astype(np.uint8)


def main():
    rng, out = np.random.default_rng(1), {}
    usable = [v for v in variants() if not held(v) and v not in TWINS]
    voices = ACCENTS + [f"{ACCENTS[(i + 2 * k + i // 2) % len(ACCENTS)]}+{v}" for i, v in enumerate(usable) for k in range(4)]
    for voice in voices:
        for d, word in enumerate(DIGITS):
            out[f"{voice}#0_{d}"] = mu_law(speak(voice, word, int(rng.integers(110, 220)), int(rng.integers(10, 90))))
    for voice in HELD:
        for k in range(4):
            for d, word in enumerate(DIGITS):
                out[f"{voice}#{k}_{d}"] = (speak(voice, word, int(rng.integers(130, 190)), int(rng.integers(30, 70))) * 32768).astype(np.int16)
    np.savez_compressed(sys.argv[1], **out)
    print(f"{sys.argv[1]}: {len(out)} recordings of {len(voices)} + {len(HELD)} voices, {sum(len(x) for x in out.values()) / 16000:.0f} s")


if __name__ == "__main__":
    main()
