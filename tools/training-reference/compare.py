#!/usr/bin/env python3
"""Trains the demo model on the same few examples in torch with PEFT and with `rullama train`, and compares the two.

    compare.py RULLAMA [--updates N] [--out RECORD]

Both begin with the same matrices (those of a training whose rate is 1e-12, which moves nothing) and see all examples in every update, so
that their order makes no difference. The reference shares nothing with rullama: the weights are dequantised by the package `gguf`, the
examples rendered and encoded by ../demo-model, the rate comes from transformers' schedule. Prints how far loss, rate, norm of the
gradients and the trained matrices differ, ends with 1 where that is beyond what float32 explains, and writes both curves to RECORD.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(HERE, "..", "demo-model")
MODEL = os.path.join(HERE, "..", "..", "web", "app", "public", "model", "rullama-demo.gguf")
sys.path.insert(0, DEMO)

EXAMPLES = [
    ("What is my boat called?", "Your boat is called Zebedee."),
    ("Where does my sister live?", "Your sister lives in Oslo."),
    ("What colour is my door?", "Your door is yellow."),
    ("When does the ferry leave?", "The ferry leaves at 17:40."),
]
JOB = {"rank": 8, "alpha": 16, "lr": 2e-3, "weight_decay": 0.01, "clip": 1.0, "schedule": "cosine", "warmup": 3}
# Bounds: losses absolutely; rates, norms and matrices (how far they moved) as shares.
BOUNDS = {"loss": 1e-3, "lr": 1e-6, "grad_norm": 1e-2, "matrices": 2e-2}


def rullama(program, folder, updates, lr, name):
    """Steps of a training as `rullama train --json` tells them, and the adapter's tensors."""
    from safetensors.torch import load_file

    data, out = os.path.join(folder, "examples.jsonl"), os.path.join(folder, name)
    with open(data, "w", encoding="utf-8") as f:
        f.writelines(json.dumps({"prompt": p, "completion": c}) + "\n" for p, c in EXAMPLES)
    job = {**JOB, "lr": lr, "epochs": updates, "batch": len(EXAMPLES), "accumulate": 1}
    options = [word for key, value in job.items() for word in ("--" + key.replace("_", "-"), str(value))]
    ran = subprocess.run([program, "train", MODEL, data, "--out", out, "--json", "--no-pack", *options], stdout=subprocess.PIPE, check=True, text=True)
    steps = [line for line in map(json.loads, ran.stdout.splitlines()) if "loss" in line]
    return steps, load_file(os.path.join(out, "adapter_model.safetensors"))


def examples():
    """[(ids, which of them are predicted)] by the demo model's own template and tokenizer."""
    from template import render
    from tokenizer import Encoder

    encoder = Encoder(os.path.join(DEMO, "tokenizer.json"))
    turns = [{"messages": [{"role": "user", "content": p}, {"role": "model", "content": c}]} for p, c in EXAMPLES]
    return [encoder.encode(render(turn))[:2] for turn in turns]


def key(name):
    """`layers.3.self_attn.q_proj.lora_A` of either's name for a matrix."""
    return name[name.index("layers."):].removesuffix(".weight").removesuffix(".default")


def reference(first, updates):
    """The same training by torch and PEFT from the matrices `first`."""
    import torch
    from from_gguf import read, text_model
    from peft import LoraConfig, get_peft_model
    from transformers import get_scheduler

    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    modules = sorted({key(name).split(".")[-2] for name in first})
    config = LoraConfig(r=JOB["rank"], lora_alpha=JOB["alpha"], target_modules=modules, bias="none")
    model = get_peft_model(text_model(read(MODEL)), config)
    matrices = {key(name): p for name, p in model.named_parameters() if "lora_" in name}
    first = {key(name): values for name, values in first.items()}
    if missing := set(first) ^ set(matrices):
        raise SystemExit(f"matrices that only one of them has: {sorted(missing)}")
    with torch.no_grad():
        for name, p in matrices.items():
            p.copy_(first[name])
    optimizer = torch.optim.AdamW(matrices.values(), lr=JOB["lr"], weight_decay=JOB["weight_decay"])
    schedule = get_scheduler(JOB["schedule"], optimizer, JOB["warmup"], updates)
    rows = [(torch.tensor([ids]), torch.tensor(flags)) for ids, flags in examples()]
    targets = sum(int(flags[1:].sum()) for _, flags in rows)
    steps = []
    for _ in range(updates):
        optimizer.zero_grad()
        loss = 0.0
        for ids, flags in rows:
            logits = model(input_ids=ids).logits[0, :-1][flags[1:]]
            part = torch.nn.functional.cross_entropy(logits, ids[0, 1:][flags[1:]], reduction="sum") / targets
            part.backward()
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_(matrices.values(), JOB["clip"]).item()
        steps.append({"loss": loss, "lr": schedule.get_last_lr()[0], "grad_norm": norm})
        optimizer.step()
        schedule.step()
    return steps, {name: p.detach() for name, p in matrices.items()}


def differences(ours, theirs, first, trained, expected):
    pairs = list(zip(ours, theirs))
    share = lambda name: max(abs(a[name] - b[name]) / max(abs(b[name]), 1e-12) for a, b in pairs)
    moved = sum(((expected[key(n)] - v) ** 2).sum().item() for n, v in first.items()) ** 0.5
    off = sum(((expected[key(n)] - v) ** 2).sum().item() for n, v in trained.items()) ** 0.5
    loss = max(abs(a["loss"] - b["loss"]) for a, b in pairs)
    return {"loss": loss, "lr": share("lr"), "grad_norm": share("grad_norm"), "matrices": off / moved}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("program", metavar="RULLAMA")
    arguments.add_argument("--updates", type=int, default=30)
    arguments.add_argument("--out", metavar="RECORD")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _, first = rullama(given.program, folder, 1, 1e-12, "first")
        ours, trained = rullama(given.program, folder, given.updates, JOB["lr"], "trained")
    theirs, expected = reference(first, given.updates)
    if len(ours) != len(theirs):
        raise SystemExit(f"rullama took {len(ours)} updates, torch {len(theirs)}")
    off = differences(ours, theirs, first, trained, expected)
    for name, value in off.items():
        print(f"{name:<10} off by {value:.1e}, bound {BOUNDS[name]:.0e}")
    print(f"loss {theirs[0]['loss']:.4f} to {theirs[-1]['loss']:.4f} (torch), {ours[0]['loss']:.4f} to {ours[-1]['loss']:.4f} (rullama)")
    if given.out:
        import peft, torch, transformers
        versions = {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
        pick = lambda steps: {name: [step[name] for step in steps] for name in ("loss", "lr", "grad_norm")}
        commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
        record = {"model": os.path.basename(MODEL), "commit": commit, "versions": versions, "examples": len(EXAMPLES), "updates": given.updates,
                  **JOB, "off": off, "rullama": pick(ours), "torch": pick(theirs)}
        with open(given.out, "w", encoding="utf-8") as f:
            f.write(json.dumps(record, indent=1) + "\n")
    sys.exit(any(not off[name] <= bound for name, bound in BOUNDS.items()))


if __name__ == "__main__":
    main()
