#!/usr/bin/env python3
"""Scores the towers of a GGUF file, with the file's own (dequantised) bits in transformers' classes.

    score_towers.py MODEL.gguf [--voices FILE.npz] [--text CHECKPOINT] [--out FILE]     --text: the text model from there instead

Needs the package `gguf`.
"""
import argparse
import json

import torch

import towers
from export_gguf import audio_tensors, vision_tensors
from from_gguf import fill, read, text_model
from model import load


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("--voices")
    a.add_argument("--text")
    a.add_argument("--most", type=int, default=600, help="scenes of an evaluation set at most")
    a.add_argument("--out", help="file for the scores, as JSON")
    o = a.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tensors, result = read(o.model), {}
    text = load(o.text) if o.text else text_model(tensors)
    for kind, name_of in (("vision", vision_tensors), ("audio", audio_tensors)):
        senses = fill(towers.Senses(kind, text), name_of, tensors).to(device)
        text.to(device)
        result[kind] = towers.scores(senses, kind, o.voices, device, o.most)
        print(kind, json.dumps(result[kind]), flush=True)
    if o.out:
        with open(o.out, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
