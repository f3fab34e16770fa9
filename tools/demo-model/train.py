#!/usr/bin/env python3
"""Trains the demo model's text part on one GPU and evaluates it.

    train.py OUT [--steps N] [--wall SECONDS] [--rows B] [--workers N] [--resume]

Writes OUT/text-N.safetensors (matrices rounded to float16), OUT/log.json. Matrices of the layers learn with Muon,
the rest with Adam. Whichever of the two budgets (steps, seconds) is further along sets the learning rate, so that a
run always ends cooled down. In the last part every second step sees weights rounded to 4 bits in groups of 32
(straight-through), so that the quantised file answers like the float one.
"""
import argparse
import json
import math
import multiprocessing as mp
import os
import time

import numpy as np
import torch

from model import CONFIG, build, hidden, load, masks_of, per_layer_rows, rounded, save, softcapped

T = CONFIG["train"]
_encoder = None


def shard(job):
    """One block of packed rows, a function of its seed alone."""
    global _encoder
    import data
    if _encoder is None:
        from tokenizer import Encoder
        _encoder = Encoder()
    seed, count = job
    return data.rows(seed, count, T["sequence"], _encoder)


class Muon:
    """Momentum whose matrix update is orthogonalised by Newton-Schulz (Jordan et al. 2024), batched over equal shapes."""

    def __init__(self, params, momentum=0.95):
        self.groups, self.momentum = {}, momentum
        for p in params:
            self.groups.setdefault(tuple(p.shape), []).append(p)
        self.state = {s: torch.zeros(len(ps), *s, device=ps[0].device) for s, ps in self.groups.items()}

    @torch.no_grad()
    def step(self, lr, decay):
        for shape, ps in self.groups.items():
            g, m = torch.stack([p.grad for p in ps]), self.state[shape]
            m.lerp_(g, 1 - self.momentum)
            x = g.lerp(m, self.momentum).bfloat16()
            tall = shape[0] > shape[1]
            x = x.mT if tall else x
            x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
            for _ in range(5):
                a = x @ x.mT
                x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
            x = (x.mT if tall else x).float() * max(1, shape[0] / shape[1]) ** 0.5
            torch._foreach_mul_(ps, 1 - lr * decay)
            torch._foreach_add_(ps, list(x.unbind(0)), alpha=-lr)


def four_bit(w, bits):
    """w rounded to 2^bits levels between the least and the greatest of each 32 values along the row (0 included)."""
    g = w.reshape(-1, 32)
    low = g.amin(1, keepdim=True).clamp(max=0)
    step = ((g.amax(1, keepdim=True).clamp(min=0) - low) / (2 ** bits - 1)).clamp(min=1e-12)
    return (((g - low) / step).round() * step + low).reshape(w.shape)


def loss_of(model, ids, flags, start, noise):
    """Mean cross-entropy over the tokens that the model itself has to write."""
    soft = (flags & 2).bool()
    positions = torch.where(start == 65535, 0, torch.arange(ids.shape[1], device=ids.device)[None, :] - start)
    masks = masks_of(start, model.config.sliding_window, torch.bfloat16 if ids.is_cuda else torch.float32)
    embeds = model.model.embed_tokens(ids)
    spread = embeds.detach().std() * noise
    embeds = embeds + soft[..., None] * torch.randn_like(embeds) * spread
    per_layer = per_layer_rows(model, torch.where(soft, 0, ids))
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=ids.is_cuda):
        logits = softcapped(model, hidden(model, embeds, per_layer, positions, masks)[:, :-1])
    target = ids[:, 1:]
    wanted = ((flags[:, 1:] & 1).bool() & (start[:, 1:] == start[:, :-1])).float()
    each = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), target.flatten(), reduction="none")
    return (each * wanted.flatten()).sum() / wanted.sum().clamp(min=1)


def batches(shards, rows):
    keep = []
    while True:
        for block in shards():
            keep.append(block)
            have = [np.concatenate(x) for x in zip(*keep)]
            at = 0
            while at + rows <= len(have[0]):
                yield [x[at:at + rows].astype(np.int64) for x in have]
                at += rows
            keep = [tuple(x[at:] for x in have)]


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("out")
    a.add_argument("--steps", type=int, default=T["steps"])
    a.add_argument("--wall", type=float, default=T["wall_s"])
    a.add_argument("--rows", type=int, default=T["batch_rows"])
    a.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    a.add_argument("--shard-rows", type=int, default=T["rows_per_shard"])
    a.add_argument("--compile", default="default", choices=["default", "none"])
    a.add_argument("--resume", action="store_true", help="go on from OUT/resume.pt")
    a.add_argument("--start", help="folder of a checkpoint whose weights to begin with")
    a.add_argument("--lr", type=float, default=1.0, help="factor on both learning rates")
    a.add_argument("--quantised-from", type=float, default=T["quantised_from"], help="share of the run after which weights are seen in 4 bits")
    a.add_argument("--seed", type=int, default=7, help="offset of the data seeds")
    o = a.parse_args()
    os.makedirs(o.out, exist_ok=True)
    pool = mp.get_context("fork").Pool(o.workers)
    made = []

    def shards():
        if made:
            yield from made  # another epoch over what was generated
            return
        for block in pool.imap(shard, [(CONFIG["seed"] * 1000 + o.seed + i, o.shard_rows) for i in range(T["shards"])]):
            made.append(block)
            yield block

    source = batches(shards, o.rows)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = (load(o.start) if o.start else build(CONFIG["seed"])).to(device).train()
    saved = os.path.join(o.out, "resume.pt")
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n and "lm_head" not in n]
    inside = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in inside]
    muon = Muon(matrices)
    adam = torch.optim.AdamW(others, lr=T["lr_embed"], betas=(0.9, 0.98), eps=1e-10, weight_decay=0.0, **({"fused": True} if device == "cuda" else {}))
    step, log, used = 0, [], 0.0
    if o.resume and os.path.exists(saved):
        s = torch.load(saved, map_location=device, weights_only=False)
        model.load_state_dict(s["model"])
        adam.load_state_dict(s["adam"])
        muon.state = s["muon"]
        step, log, used = s["step"], s["log"], s["used"]
    tied = [(p, 4) for p in matrices if p.shape[1] % 32 == 0] + [(p, 4 if "per_layer" in n else 6) for n, p in model.named_parameters() if "embed_tokens" in n]
    compute = torch.compile(loss_of, dynamic=False) if o.compile != "none" and device == "cuda" else loss_of
    torch.manual_seed(CONFIG["seed"] + step)
    begin = time.time() - used
    tokens, seen_loss, first = 0, [], None
    while step < o.steps:
        progress = max(step / o.steps, (time.time() - (first or time.time())) / o.wall)
        if progress >= 1:
            break
        lr = o.lr * min(1, (step + 1) / T["warmup"]) * (1 if progress < 0.3 else 0.5 * (1 + math.cos(math.pi * (progress - 0.3) / 0.7)) * 0.98 + 0.02)
        ids, flags, start = (torch.from_numpy(x).to(device, non_blocking=True) for x in next(source))
        rough = progress > o.quantised_from and step % 2 == 0
        if rough:
            with torch.no_grad():
                exact = [p.detach().clone() for p, _ in tied]
                for p, bits in tied:
                    p.copy_(four_bit(p, bits))
        try:
            loss = compute(model, ids, flags, start, T["soft_noise"])
            loss.backward()
        except Exception as error:
            if first is not None or compute is loss_of:
                raise
            print(f"compiling failed, going on without: {type(error).__name__}: {str(error)[:300]}", flush=True)
            compute = loss_of
            loss = compute(model, ids, flags, start, T["soft_noise"])
            loss.backward()
        if rough:
            with torch.no_grad():
                torch._foreach_copy_([p for p, _ in tied], exact)
        norm = torch.nn.utils.clip_grad_norm_(others, T["clip"])
        for g in adam.param_groups:
            g["lr"] = T["lr_embed"] * lr
        muon.step(T["lr_matrix"] * lr, T["weight_decay"])
        adam.step()
        for p in model.parameters():
            p.grad = None
        step += 1
        tokens += ids.numel()
        seen_loss.append(loss.detach())
        if first is None:  # the clock of the budget starts when compiling is over
            loss.item()
            first = time.time()
            print(f"first step after {first - begin:.1f} s", flush=True)
        if step % 100 == 0 or step <= 5:
            value = float(torch.stack(seen_loss).mean())
            seen_loss = []
            if not math.isfinite(value):
                raise RuntimeError(f"loss is {value} at step {step}: lower lr_matrix or lr_embed in config.json")
            log.append({"step": step, "loss": round(value, 4), "grad_norm": round(float(norm), 3), "lr": round(lr, 4), "s": round(time.time() - begin, 1), "tokens": tokens})
            print(json.dumps(log[-1]), flush=True)
        if step % 1000 == 0:
            torch.save({"model": model.state_dict(), "adam": adam.state_dict(), "muon": muon.state, "step": step, "log": log, "used": time.time() - begin}, saved)
    pool.terminate()
    rounded(model)
    state = {k: v for k, v in model.state_dict().items() if k != "lm_head.weight"}
    save(state, o.out, "text")
    json.dump({"config": CONFIG, "parameters": sum(v.numel() for v in state.values()), "steps": step, "tokens": tokens, "torch": torch.__version__, "device": torch.cuda.get_device_name() if device == "cuda" else "cpu", "log": log},
              open(os.path.join(o.out, "log.json"), "w"), indent=1)
    print(f"{o.out}: {step} steps, {tokens} tokens, {time.time() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
