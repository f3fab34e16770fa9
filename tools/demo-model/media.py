"""Draws the scenes of abilities/senses.py and makes their sounds."""
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from abilities.senses import PAINT

RATE = 16000
CLIP = 25600  # samples: 1.6 s, 159 frames, 40 soft tokens


def _polygon(shape, x, y, r, turn):
    """Corner points of a shape of radius r around (x, y)."""
    if shape == "star":
        return [(x + q * math.sin(turn + math.pi * i / 5), y - q * math.cos(turn + math.pi * i / 5)) for i in range(10) for q in [r if i % 2 == 0 else 0.42 * r]]
    if shape == "cross":
        w = 0.34 * r
        base = [(-w, -r), (w, -r), (w, -w), (r, -w), (r, w), (w, w), (w, r), (-w, r), (-w, w), (-r, w), (-r, -w), (-w, -w)]
    elif shape == "square":
        base = [(-0.8 * r, -0.8 * r), (0.8 * r, -0.8 * r), (0.8 * r, 0.8 * r), (-0.8 * r, 0.8 * r)]
    else:
        base = [(0, -r), (0.92 * r, 0.75 * r), (-0.92 * r, 0.75 * r)]
    c, s = math.cos(turn), math.sin(turn)
    return [(x + c * a - s * b, y + s * a + c * b) for a, b in base]


def draw(scene, rng, size):
    """RGB picture [size, size, 3] of a scene."""
    ground = tuple(225 + int(rng.random() * 31) for _ in range(3))
    image = Image.new("RGB", (size, size), ground)
    if "digit" in scene:
        font = ImageFont.load_default(size=int(size * (0.4 + 0.4 * rng.random())))
        ink = tuple(int(c * 0.8) for c in PAINT[rng.choice(sorted(PAINT))]) if rng.random() < 0.7 else (20, 20, 20)
        layer = Image.new("L", (size, size), 0)
        at = tuple(size / 2 + size * 0.12 * (rng.random() - 0.5) for _ in range(2))
        ImageDraw.Draw(layer).text(at, str(scene["digit"]), fill=255, font=font, anchor="mm")
        layer = layer.rotate(24 * (rng.random() - 0.5), resample=Image.BILINEAR)
        image.paste(Image.new("RGB", (size, size), ink), mask=layer)
        return np.asarray(image)
    pen = ImageDraw.Draw(image)
    colour = tuple(min(255, max(0, c + int(30 * (rng.random() - 0.5)))) for c in PAINT[scene["colour"]])
    cell = size / 3
    for k in rng.sample(range(9), scene["count"]):
        r = cell * (0.26 + 0.2 * rng.random())
        slack = cell / 2 - r
        x, y = (cell * (k % 3 + 0.5) + slack * (2 * rng.random() - 1), cell * (k // 3 + 0.5) + slack * (2 * rng.random() - 1))
        if scene["shape"] == "circle":
            pen.ellipse([x - r, y - r, x + r, y + r], fill=colour)
        else:
            pen.polygon(_polygon(scene["shape"], x, y, r, 0.5 * (rng.random() - 0.5)), fill=colour)
    return np.asarray(image)


def patches(image, p):
    """[size, size, 3] -> [patches, p*p*3], patches row by row, values in (y, x, c) order."""
    n = image.shape[0] // p
    return image.reshape(n, p, n, p, 3).transpose(0, 2, 1, 3, 4).reshape(n * n, p * p * 3)


def _tone(hz, seconds):
    """A tone whose frequency runs from hz[0] to hz[1], with soft ends."""
    t = np.arange(int(seconds * RATE)) / RATE
    f = np.linspace(hz[0], hz[1], len(t))
    edge = np.minimum(1, np.minimum(t, t[::-1]) / 0.01)
    return np.sin(2 * np.pi * np.cumsum(f) / RATE) * edge


def samples(recording):
    """Samples in -1..1 of a recording in 16 bit or in 8-bit mu-law."""
    if recording.dtype != np.uint8:
        return recording.astype(np.float64) / 32768
    v = recording / 127.5 - 1
    return np.sign(v) * (256 ** np.abs(v) - 1) / 255


def sound(scene, rng, voices, names, clip=CLIP, vary=False):
    """Waveform [clip] of a scene. `names` are the voices that may speak; `vary` changes speed, pitch, formants and
    loudness more, for training. Sounds that are too long are cut."""
    x = np.zeros(clip, np.float64)
    if "spoken" in scene:
        y = samples(voices[f"{rng.choice(names)}_{scene['spoken']}"])
        n = int(len(y) * (0.85 + 0.33 * rng.random() if vary else 0.9 + 0.2 * rng.random()))
        y = np.interp(np.linspace(0, len(y) - 1, n), np.arange(len(y)), y)
    elif "beeps" in scene:
        pitch, length = 500 + 900 * rng.random(), 0.07 + 0.05 * rng.random()
        gap = np.zeros(int(RATE * (0.1 + 0.1 * rng.random())))
        y = np.concatenate([z for _ in range(scene["beeps"]) for z in (_tone((pitch, pitch), length), gap)])
    else:
        low, high = 150 + 150 * rng.random(), 1500 + 1500 * rng.random()
        y = _tone({"high": (high, high), "low": (low, low), "rising": (low, high), "falling": (high, low)}[scene["tone"]], 0.6 + 0.6 * rng.random())
    y = y[:clip]
    at = int(rng.random() * (clip - len(y) + 1))
    x[at:at + len(y)] = y * (0.1 + 0.9 * rng.random() if vary else 0.3 + 0.6 * rng.random())
    noise = np.random.default_rng(int(rng.random() * 2 ** 31))
    return (x + noise.standard_normal(clip) * 0.004 * rng.random()).astype(np.float32)


def mel_filters():
    """[257, 128] triangles on the HTK mel scale between 0 and 8000 Hz, peak 1."""
    top = 2595 * math.log10(1 + 8000 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, 130) / 2595) - 1)
    f = np.arange(257) * RATE / 512
    up = (f[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[None, 2:] - f[:, None]) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


def log_mel(wave, filters, response=1):
    """Torch waveforms [batch, n] -> ln(mel + 0.001) [batch, frames, 128]: frames of 320 every 160, FFT 512.

    `response` multiplies the mel bands.
    """
    import torch
    wave = torch.nn.functional.pad(wave, (160, 0))
    frames = wave.unfold(1, 321, 160)[..., :320]
    window = 0.5 - 0.5 * torch.cos(2 * math.pi * torch.arange(320, device=wave.device, dtype=torch.float64) / 320)
    return torch.log(torch.fft.rfft(frames * window.float(), n=512).abs() @ filters * response + 0.001)


def disturbed(wave, filters, spoken):
    """log_mel for training: with noise and another frequency response, and with silent stripes (two of a few bands,
    one of a few frames) where `spoken` [batch] is true."""
    import torch

    def rand(*shape):
        return torch.rand(len(wave), *shape, device=wave.device)

    def stripe(n, most):
        start, at = rand(1) * n, torch.arange(n, device=wave.device)
        return (at >= start) & (at < start + rand(1) * most) & spoken[:, None]

    wave = wave + torch.randn_like(wave) * 10 ** (-4 + 2.3 * rand(1))
    waves = torch.cos(math.pi / 128 * torch.arange(1, 5, device=wave.device)[:, None] * torch.arange(128, device=wave.device))
    mel = log_mel(wave, filters, torch.exp(0.35 * torch.randn(len(wave), 4, device=wave.device) @ waves)[:, None])
    blank = (stripe(128, 14) | stripe(128, 14))[:, None] | stripe(mel.shape[1], 10)[..., None]
    return torch.where(blank, math.log(0.001), mel)
