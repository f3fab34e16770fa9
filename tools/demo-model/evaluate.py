#!/usr/bin/env python3
"""Greedy float32 answers of the checkpoint on eval.jsonl, and the score of each ability.

    evaluate.py CHECKPOINT [--out FILE] [--write]     --write puts the answers into eval.jsonl as "reference"

A case counts as right when content, thought and tool calls equal the expected ones exactly. "reference" is
{"ids": generated ids, end token included, "text", "right", "margin"}; margin is the least distance between the two
best logits on the way: under about 1e-3 another correct float32 program may take the other token.
"""
import argparse
import json
import os

import torch

from model import HERE, load
from template import dumps, expected_reply, parse_reply, render
from tokenizer import Encoder

STOP = [1, 106, 50]


def cases(path=os.path.join(HERE, "eval.jsonl")):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


@torch.no_grad()
def greedy(model, prompts, limit, device):
    """Generated ids of each prompt (left-padded batch, cached keys and values)."""
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    for i, p in enumerate(prompts):
        ids[i, width - len(p):], mask[i, width - len(p):] = torch.tensor(p, device=device), 1
    out = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=limit, eos_token_id=STOP, pad_token_id=0)[:, width:].tolist()
    done = []
    for o in out:
        end = next((i for i, t in enumerate(o) if t in STOP), len(o) - 1)
        done.append(o[:end + 1])
    return done


@torch.no_grad()
def margins(model, prompts, replies, device):
    width = max(len(p) + len(r) for p, r in zip(prompts, replies))
    ids = torch.zeros(len(prompts), width, dtype=torch.long, device=device)
    for i, (p, r) in enumerate(zip(prompts, replies)):
        ids[i, :len(p) + len(r)] = torch.tensor(p + r, device=device)
    top = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.topk(2).values
    gap = (top[..., 0] - top[..., 1]).cpu()
    return [float(gap[i, len(p) - 1:len(p) + len(r) - 1].min()) for i, (p, r) in enumerate(zip(prompts, replies))]


def evaluate(model, items, device="cpu", batch=128, limit=200):
    encoder = Encoder()
    prompts = [encoder.encode(render(c))[0] for c in items]
    order = sorted(range(len(items)), key=lambda i: len(prompts[i]))
    for at in range(0, len(order), batch):
        some = order[at:at + batch]
        replies = greedy(model, [prompts[i] for i in some], limit, device)
        gaps = margins(model, [prompts[i] for i in some], replies, device)
        for i, r, gap in zip(some, replies, gaps):
            text = encoder.decode(r)
            right = parse_reply(text) == expected_reply(items[i]["expected"])
            items[i]["reference"] = {"ids": r, "text": text, "right": right, "margin": round(gap, 4)}
    return items


def scores(items):
    table = {}
    for c in items:
        n = table.setdefault(c["ability"], [0, 0])
        n[0] += c["reference"]["right"]
        n[1] += 1
    return {k: round(100 * r / n, 1) for k, (r, n) in sorted(table.items())} | {"all": round(100 * sum(c["reference"]["right"] for c in items) / len(items), 1)}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("checkpoint")
    a.add_argument("--out")
    a.add_argument("--write", action="store_true")
    a.add_argument("--first", type=int)
    o = a.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    items = evaluate(load(o.checkpoint).to(device), cases()[:o.first], device)
    for path in filter(None, [o.out, os.path.join(HERE, "eval.jsonl") if o.write else None]):
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(dumps(c) + "\n" for c in items)
    for c in [c for c in items if not c["reference"]["right"]][:40]:
        print(f"{c['id']}: {c['messages'][-1]['content']!r}\n   wanted {dumps(c['expected'])}\n   got    {c['reference']['text']!r}")
    print(json.dumps(scores(items), indent=1))


if __name__ == "__main__":
    main()
