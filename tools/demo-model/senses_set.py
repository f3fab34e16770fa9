#!/usr/bin/env python3
"""Writes the towers' evaluation sets as questions with their media, one a line, for `rullama score`.

    senses_set.py MODEL.gguf OUT.jsonl --voices FILE.npz [--held-out] [--each N] [--bits 8]

The scenes are those that `towers.py` and `score_towers.py` count. Pictures are WebP without loss, sounds FLAC, both as base64 in the question; the
`reference` is the greedy answer of the file's own bits, decoded to float32, in PyTorch, about the media as they are written.

Needs the packages `gguf` and `soundfile`.
"""
import argparse
import base64
import io
import json

import numpy as np
import soundfile
import torch
from PIL import Image

import media
import towers
from export_gguf import audio_tensors, vision_tensors
from from_gguf import fill, read, text_model

NAMES = {"fresh": "new scenes", "held out": "held out", "unheard voices": "voices never heard"}
KINDS = {"vision": ("pictures", "image", "digits", "shapes, colours, counts"), "audio": ("sounds", "audio", "spoken digits", "tones and rhythms")}
MOST = 48  # tokens of an answer


def ability(kind, mode, answer):
    """The row of the model card's table that a question counts for."""
    name, _, digits, other = KINDS[kind]
    if mode == "unheard voices":
        return f"{name}, {NAMES[mode]}: all digits, all questions"
    return f"{name}, {NAMES[mode]}: {digits if 'digit' in answer or 'saying' in answer else other}"


def written(kind, medium, bits):
    """(a file's bytes, what stands in it as the towers read it)."""
    file = io.BytesIO()
    if kind == "vision":
        Image.fromarray(medium).save(file, "WEBP", lossless=True, quality=100, method=6)
        return file.getvalue(), media.patches(medium, towers.V["patch_size"])
    soundfile.write(file, np.clip(medium, -1, 1), media.RATE, format="FLAC", subtype=f"PCM_{'S8' if bits == 8 else bits}")
    file.seek(0)
    return file.getvalue(), soundfile.read(file, dtype="float32")[0]


@torch.no_grad()
def answer(senses_, x, ids, flags):
    """The greedy answer to the prompt of `ids` (the answer's are flagged): (its ids, the least distance of the two best logits)."""
    soft = senses_.soft(torch.from_numpy(x)[None])
    at, ids = flags.index(True), torch.tensor(ids)[None]
    logits = senses_.logits(soft, ids)[0, at - 1:ids.shape[1] - 1]
    wanted = ids[0, at:]
    wanted = wanted[:int(sum(flags))]
    logits = logits[:len(wanted)]
    if (logits.argmax(-1) == wanted).all():
        best = logits.topk(2).values
        return wanted.tolist(), float((best[:, 0] - best[:, 1]).min())
    out, margin, end = [], float("inf"), int(wanted[-1])
    while len(out) < MOST and (not out or out[-1] != end):
        row = senses_.logits(soft, torch.cat([ids[0, :at], torch.tensor(out, dtype=torch.long)])[None])[0, -1].topk(2)
        margin = min(margin, float(row.values[0] - row.values[1]))
        out.append(int(row.indices[0]))
    return out, margin


def lines(senses_, kind, o):
    """Questions of all sets of a tower, in their order."""
    taken = {}
    for mode, (seed, count) in towers.sets(kind, o.voices).items():
        if o.held_out and mode == "fresh":
            continue
        source = towers.cases(kind, mode, seed, o.voices)
        for _ in range(count):
            medium, _, q, soft = next(source)
            name = ability(kind, mode, q.answer)
            taken[name] = taken.get(name, 0) + 1
            if o.each and taken[name] > o.each:
                continue
            file, x = written(kind, medium, o.bits)
            assert q.question == q.question.strip()  # the template trims
            ids, flags = towers.encoded(kind, q, soft)
            got, margin = answer(senses_, x, ids, list(map(bool, flags)))
            wanted = [i for i, f in zip(ids, flags) if f]
            part = {"type": KINDS[kind][1], "data": base64.b64encode(file).decode()}
            yield {
                "id": f"{name} {taken[name]}", "ability": name,
                "messages": [{"role": "user", "content": [part, {"type": "text", "text": q.question}]}], "tools": [], "thinking": False,
                "expected": {"content": q.answer},
                "reference": {"ids": got, "right": got == wanted, "margin": round(margin, 4)},
            }


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("out")
    a.add_argument("--voices", required=True)
    a.add_argument("--held-out", action="store_true", help="without the new scenes")
    a.add_argument("--each", type=int, help="questions of an ability at most")
    a.add_argument("--bits", type=int, choices=[8, 16], default=16, help="of a sound's samples")
    o = a.parse_args()
    tensors = read(o.model)
    text, counts = text_model(tensors), {}
    with open(o.out, "w", encoding="utf-8") as f:
        for kind, name_of in (("vision", vision_tensors), ("audio", audio_tensors)):
            for line in lines(fill(towers.Senses(kind, text), name_of, tensors), kind, o):
                f.write(json.dumps(line, ensure_ascii=False) + "\n")
                count = counts.setdefault(line["ability"], [0, 0])
                count[0] += line["reference"]["right"]
                count[1] += 1
    for name, (right, count) in counts.items():
        print(f"{name}: {right} of {count}")


if __name__ == "__main__":
    main()
