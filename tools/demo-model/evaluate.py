#!/usr/bin/env python3
"""Greedy float32 answers of the checkpoint on eval.jsonl, and the score of each ability.

    evaluate.py CHECKPOINT [--set FILE] [--out FILE] [--draws N]

--out writes the set with the answers as "reference". A case counts as right when content, thought and tool calls equal
the expected ones exactly, or those of one of them where "expected" is a list. "reference" is {"ids": generated ids, end token
included, "text", "right", "margin"}; margin is the least distance between the two best logits on the way: under about
1e-3 another correct float32 program may take the other token. --draws asks questions with several right answers N times at
temperature 1 (top-k 64, top-p 0.95): how many of the answers are right, and how many differ.
"""
import argparse
import json
import os

import torch

from model import HERE, load
from template import dumps, expected_reply, parse_reply, render
from tokenizer import Encoder

STOP = [1, 106, 50]


def cases(path):
    """The questions of a set without those about pictures and sounds, which senses_set.py answers."""
    with open(path, encoding="utf-8") as f:
        return [c for c in map(json.loads, f) if all(isinstance(m["content"], str) for m in c["messages"])]


def several(case):
    """Whether more than one answer is right."""
    return isinstance(case["expected"], list) and len(case["expected"]) > 1


def is_right(case, text):
    """Whether a generated reply is a right one; `expected` is one, or a list of them."""
    expected = case["expected"]
    return parse_reply(text) in [expected_reply(e) for e in (expected if isinstance(expected, list) else [expected])]


@torch.no_grad()
def generate(model, prompts, limit, device, **sampling):
    """Generated ids of each prompt (left-padded batch, cached keys and values), greedy without `sampling`."""
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    for i, p in enumerate(prompts):
        ids[i, width - len(p):], mask[i, width - len(p):] = torch.tensor(p, device=device), 1
    out = model.generate(input_ids=ids, attention_mask=mask, **(sampling or {"do_sample": False}), max_new_tokens=limit, eos_token_id=STOP, pad_token_id=0)[:, width:].tolist()
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
        replies = generate(model, [prompts[i] for i in some], limit, device)
        gaps = margins(model, [prompts[i] for i in some], replies, device)
        for i, r, gap in zip(some, replies, gaps):
            text = encoder.decode(r)
            items[i]["reference"] = {"ids": r, "text": text, "right": is_right(items[i], text), "margin": round(gap, 4)}
        print(f"{min(at + batch, len(order))} of {len(order)} questions", flush=True)
    return items


def variety(model, items, draws, device="cpu", per_ability=16, batch=128, limit=200):
    """{ability: right answers in percent and mean number of different ones} of `draws` answers to each of some questions
    with several right answers."""
    encoder, taken, asked, table = Encoder(), {}, [], {}
    for c in filter(several, items):
        taken[c["ability"]] = taken.get(c["ability"], 0) + 1
        if taken[c["ability"]] <= per_ability:
            asked.append(c)
    torch.manual_seed(1)
    for at in range(0, len(asked), max(1, batch // draws)):
        some = asked[at:at + max(1, batch // draws)]
        ids = generate(model, [p for c in some for p in [encoder.encode(render(c))[0]] * draws], limit, device, do_sample=True, temperature=1.0, top_k=64, top_p=0.95)
        for n, c in enumerate(some):
            texts = [encoder.decode(r) for r in ids[n * draws:(n + 1) * draws]]
            row = table.setdefault(c["ability"], [0, 0, 0])
            row[0] += 1
            row[1] += sum(is_right(c, t) for t in texts)
            row[2] += len(set(texts))
    return {k: {"questions": n, "draws": draws, "right": round(100 * r / n / draws, 1), "different": round(d / n, 1)} for k, (n, r, d) in sorted(table.items())}


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
    a.add_argument("--set", default=os.path.join(HERE, "eval.jsonl"))
    a.add_argument("--draws", type=int, default=0)
    a.add_argument("--first", type=int, help="only so many questions")
    a.add_argument("--limit", type=int, default=200, help="most tokens of an answer")
    o = a.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, items = load(o.checkpoint).to(device), cases(o.set)[:o.first]
    evaluate(model, items, device, limit=o.limit)
    if o.out:
        with open(o.out, "w", encoding="utf-8") as f:
            f.writelines(dumps(c) + "\n" for c in items)
    for c in [c for c in items if not c["reference"]["right"]][:40]:
        print(f"{c['id']}: {c['messages'][-1]['content']!r}\n   wanted {dumps(c['expected'])}\n   got    {c['reference']['text']!r}")
    result = {"scores_float32": scores(items)} | ({"variety": variety(model, items, o.draws, device, limit=o.limit)} if o.draws else {})
    with open(os.path.join(o.checkpoint, "scores.json"), "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
