#!/usr/bin/env python3
"""Puts the results of make.sh where the project keeps them: install.py OUT [ROOT]

The model and its size, eval.jsonl, the fixtures, log.json, towers-log.json, the benchmark record and the tables of the
model card. What OUT does not have (f16.json, gpu.json) is left out of the tables. ROOT is the checkout to write to.
"""
import json
import os
import re
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RUNS = {"f16.json": "f16 file, cache f32", "quantised.json": "quantised file, cache f16", "gpu.json": "quantised file, cache f16, on a GPU"}
TOWER_ROWS = [  # title; tower, set and kinds of scenes
    ("pictures, new scenes: digits", "vision", "fresh", "digits"), ("pictures, new scenes: shapes, colours, counts", "vision", "fresh", "other"),
    ("pictures, held out: digits", "vision", "held out", "digits"), ("pictures, held out: shapes, colours, counts", "vision", "held out", "other"),
    ("sounds, new scenes: spoken digits", "audio", "fresh", "digits"), ("sounds, new scenes: tones and rhythms", "audio", "fresh", "other"),
    ("sounds, held out: spoken digits", "audio", "held out", "digits"), ("sounds, held out: tones and rhythms", "audio", "held out", "other"),
    ("sounds, voices never heard: all digits, all questions", "audio", "unheard voices", "digits")]


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return json.load(f)


def write(text, *path):
    with open(os.path.join(*path), "w", encoding="utf-8") as f:
        f.write(text)


def training_log(out):
    """log.json with a training step a line."""
    log = read(out, "log.json")
    run = {"run": "from nothing", "device": log["device"], "torch": log["torch"], "steps": log["steps"], "tokens": log["tokens"], "log": log["log"]}
    text = json.dumps({"parameters": log["parameters"], "runs": [run]} | read(out, "scores.json"), indent=1)
    return re.sub(r"\{\s+(\"step\":[^{}]*?)\s+\}", lambda m: "{" + re.sub(r"\s+", " ", m[1]) + "}", text) + "\n"


def training(out):
    """The card's sentence on the run."""
    log = read(out, "log.json")
    return f"One {log['device'].removeprefix('NVIDIA ').split(' ')[0]}. {log['tokens'] / 1e6:.0f} million tokens from nothing in {log['steps']:,} steps ({log['log'][-1]['s']:.0f} s)."


def percent(value):
    """One decimal; `-` where a record has nothing."""
    return "-" if value is None else f"{value:.1f}"


def score_table(out, runs):
    """The score of each ability: PyTorch's and that of each record."""
    reference = read(out, "scores.json")["scores_float32"]
    columns = [runs[k] for k in (RUNS["f16.json"], RUNS["quantised.json"]) if k in runs]
    titles = [t for k, t in ((RUNS["f16.json"], "rullama, f16 file"), (RUNS["quantised.json"], "rullama, quantised")) if k in runs]
    rows = [["ability", "PyTorch, f32", *titles], ["---"] * (2 + len(titles))]
    rows += [[name, f"{value:.1f}", *(percent(c["abilities"].get(name, {}).get("score")) for c in columns)] for name, value in reference.items() if name != "all"]
    rows.append(["**all**", f"**{reference['all']:.1f}**", *(f"**{percent(c['all']['score'])}**" for c in columns)])
    rows.append(["same tokens as PyTorch", "", *(percent(c["all"]["agreement"]) for c in columns)])
    return rows


def variety_table(out):
    rows = [["ability", "questions", "right %", "different answers of 8"], ["---"] * 4]
    return rows + [[k, str(v["questions"]), f"{v['right']:.1f}", f"{v['different']:.1f}"] for k, v in read(out, "scores.json")["variety"].items()]


def tower_table(towers):
    def cell(scores, row):
        return " / ".join(map(str, scores[row[2]].get(row[3], "-")))
    return [["", "float32", "shipped file"], ["---"] * 3] + [[row[0], cell(towers[row[1]], row), cell(towers[row[1]]["quantised file"], row)] for row in TOWER_ROWS]


def table(rows):
    return "\n".join("|" + "|".join(row) + "|" if row[0] == "---" else "| " + " | ".join(row) + " |" for row in rows)


def with_part(card, name, text):
    """The card with what stands between `<!-- name -->` and `<!-- end -->` replaced."""
    card, n = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m: f"{m[1]}{text}\n{m[2]}", card, flags=re.S)
    if n != 1:
        raise ValueError(f"MODEL_CARD.md has {n} places `<!-- {name} -->`, not one")
    return card


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    out, root = sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else os.path.join(HERE, "../..")
    tool, model = os.path.join(root, "tools/demo-model"), os.path.join(root, "web/app/public/model")
    runs = {title: read(out, name) for name, title in RUNS.items() if os.path.exists(os.path.join(out, name))}
    for r in runs.values():
        r["set"] = "tools/demo-model/eval.jsonl"
    quantised = read(out, "towers.json")
    towers = {kind: read(out, f"{kind}.json") | {"quantised file": quantised[kind]} for kind in ("vision", "audio")}
    with open(os.path.join(tool, "MODEL_CARD.md"), encoding="utf-8") as f:
        card = f.read()
    parts = {"training": training(out), "scores": table(score_table(out, runs)), "variety": table(variety_table(out)), "towers": table(tower_table(towers))}
    for name, text in parts.items():
        card = with_part(card, name, text)
    described = read(model, "model.json")
    bytes_ = os.path.getsize(os.path.join(out, "rullama-demo.gguf"))
    with open(os.path.join(model, "model.json"), encoding="utf-8") as f:
        description = f.read().replace(f'"bytes": {described["bytes"]}', f'"bytes": {bytes_}')
    log = training_log(out)
    # Everything is read: from here on only files are written.
    write(card, tool, "MODEL_CARD.md")
    write(log, tool, "log.json")
    write(json.dumps(towers, separators=(",", ":")) + "\n", tool, "towers-log.json")
    write(description, model, "model.json")
    record = {"command": "rullama score MODEL --set tools/demo-model/eval.jsonl --kv KV --json", "reference": "PyTorch float32 (tools/demo-model/evaluate.py)", "runs": runs}
    if runs:
        write(json.dumps(record, indent=1, ensure_ascii=False) + "\n", root, "benchmarks/demo-model-scores.json")
    for name in ("eval.jsonl", "fixtures.json", "fixtures.safetensors"):
        shutil.copyfile(os.path.join(out, name), os.path.join(tool, name))
    shutil.copyfile(os.path.join(out, "rullama-demo.gguf"), os.path.join(model, "rullama-demo.gguf"))
    print(f"installed; rullama-demo.gguf has {bytes_} bytes. By hand: the card's words on training and what fails")


if __name__ == "__main__":
    main()
