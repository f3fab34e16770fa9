#!/usr/bin/env python3
"""Speaks the digits with espeak-ng in many voices and writes them as one npz (16 kHz, 16 bit): voices.py OUT.npz

Array VOICE_D is digit D. Voices named in HELD are for the evaluation only.
"""
import subprocess
import sys

import numpy as np

DIGITS = "zero one two three four five six seven eight nine".split()
ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp"]
VARIANTS = ["m1", "m2", "m3", "m4", "m5", "m7", "f1", "f2", "f3", "f4", "f5", "klatt", "klatt2", "adam", "belinda", "benjamin"]
HELD = ["en-us+m6", "en-gb+f2", "en-us+Annie", "en-gb+david", "en-gb-scotland+m3", "en-us+Alicia"]


def speak(voice, word, speed, pitch):
    out = subprocess.run(["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), "--stdout", word], capture_output=True, check=True).stdout
    x = np.frombuffer(out[44:], "<i2").astype(np.float32)
    loud = np.flatnonzero(np.abs(x) > 0.02 * np.abs(x).max())
    x = x[loud[0]:loud[-1] + 1]
    n = len(x) * 16000 // 22050  # band-limited resampling: cut the spectrum
    y = np.fft.irfft(np.fft.rfft(x)[:n // 2 + 1], n) * (n / len(x))
    return (y / np.abs(y).max() * 20000).astype(np.int16)


def main():
    rng, out = np.random.default_rng(1), {}
    voices = [f"{a}+{v}" for a in ACCENTS for v in VARIANTS[:16]]
    for voice in sorted(set(voices) - set(HELD)) + HELD:
        for d, word in enumerate(DIGITS):
            out[f"{voice}_{d}"] = speak(voice, word, int(rng.integers(130, 190)), int(rng.integers(30, 70)))
    np.savez_compressed(sys.argv[1], **out)
    print(f"{sys.argv[1]}: {len(out)} recordings, {sum(len(x) for x in out.values()) / 16000:.0f} s")


if __name__ == "__main__":
    main()
