#!/usr/bin/env python3
"""Float32 logits of three prompts, to compare another program's numbers with: fixtures.py CHECKPOINT FOLDER

Writes into FOLDER fixtures.json (prompt text and ids, the 20 best ids and logits after the prompt, the greedy answer) and
fixtures.safetensors (`logits.NAME`: the whole last row [vocab]; `hidden.NAME`: the final normed state [dim]).
"""
import json
import os
import sys

import torch
from safetensors.torch import save_file

from evaluate import generate
from model import load
from template import render, text_of
from tokenizer import Encoder

PROMPTS = {
    "short": {"messages": [{"role": "user", "content": "What is the capital of Norway?"}]},
    "thinking": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 23 + 48 - 5?"}], "thinking": True},
    "long": {"messages": [{"role": "user", "content": "My name is Zara."}, {"role": "model", "content": "Nice to meet you, Zara!"}]
             + [m for animal in ("fox", "owl", "camel", "bear", "whale", "mouse") for m in ({"role": "user", "content": f"Tell me a story about a {animal} named Leo in the garden."}, {"role": "model", "content": f"Once upon a time there was a happy {animal} named Leo. One day Leo saw a red balloon in the garden. Leo gave it to a friend who needed it. Everyone in the garden was happy for Leo."})]
             + [{"role": "user", "content": "What is my name?"}]},
}


def main():
    model, encoder, out, tensors = load(sys.argv[1]), Encoder(), {}, {}
    for name, conversation in PROMPTS.items():
        segments = render(conversation)
        ids = encoder.encode(segments)[0]
        with torch.no_grad():
            h = model.model(torch.tensor([ids])).last_hidden_state[0, -1]
            row = model(torch.tensor([ids])).logits[0, -1]
        top = row.topk(20)
        reply = generate(model, [ids], 60, "cpu")[0]
        out[name] = {"prompt": text_of(segments), "ids": ids, "top20_ids": top.indices.tolist(), "top20_logits": [round(x, 6) for x in top.values.tolist()], "greedy_ids": reply, "greedy_text": encoder.decode(reply)}
        tensors |= {f"logits.{name}": row.clone(), f"hidden.{name}": h.clone()}
    json.dump(out, open(os.path.join(sys.argv[2], "fixtures.json"), "w"), indent=1, ensure_ascii=False)
    save_file(tensors, os.path.join(sys.argv[2], "fixtures.safetensors"))
    for name, f in out.items():
        print(name, len(f["ids"]), "tokens ->", f["greedy_text"])


if __name__ == "__main__":
    main()
