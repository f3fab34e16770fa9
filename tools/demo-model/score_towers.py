#!/usr/bin/env python3
"""Scores the towers of a GGUF file, with the file's own (dequantised) bits in transformers' classes.

    score_towers.py MODEL.gguf [--voices FILE.npz] [--text CHECKPOINT]     --text: the text model from there instead

Needs the package `gguf`.
"""
import argparse
import json

import gguf
import numpy as np
import torch

import towers
from export_gguf import audio_tensors, text_tensors, vision_tensors
from model import build, load


def fill(module, name_of, tensors):
    """Loads `module` from GGUF tensors; `name_of` are export_gguf's functions, asked for one tensor at a time."""
    state = module.state_dict()
    for name, v in state.items():
        if name == "lm_head.weight":  # tied
            continue
        stored = next(iter(name_of({name: torch.zeros_like(v)})))
        w = torch.from_numpy(tensors[stored])
        if name.endswith("patch_embedder.input_proj.weight"):  # stored (c, y, x)
            w = w.permute(0, 2, 3, 1)
        if name.endswith("per_dim_scale"):  # stored after softplus
            w = torch.log(torch.expm1(w))
        v.copy_(w.reshape(v.shape))
    module.load_state_dict(state)
    return module.eval().requires_grad_(False)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("--voices")
    a.add_argument("--text")
    o = a.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tensors = {t.name: np.array(gguf.dequantize(t.data, t.tensor_type), np.float32) for t in gguf.GGUFReader(o.model).tensors}
    text = load(o.text) if o.text else fill(build(), text_tensors, tensors)
    for kind, name_of in (("vision", vision_tensors), ("audio", audio_tensors)):
        senses = fill(towers.Senses(kind, text), name_of, tensors).to(device)
        text.to(device)
        print(kind, json.dumps(towers.scores(senses, kind, o.voices, device)), flush=True)


if __name__ == "__main__":
    main()
