#!/usr/bin/env python3
"""Trains the vision and the audio tower against the frozen text model, and evaluates them.

    towers.py CHECKPOINT [--voices FILE.npz] [--text FILE.gguf] [--wall SECONDS]     adds vision-N and audio-N.safetensors, vision.json, audio.json

The text model already answers about words at soft positions (abilities/senses.py). A tower learns from the answer's
cross-entropy through it, and from a second loss that asks for the scene's words among its soft tokens' directions.
Afterwards every clippable linear gets its bounds: 1.5 times the range seen on fresh scenes.
"""
import argparse
import itertools
import json
import math
import multiprocessing as mp
import os
import random
import time

import numpy as np
import torch
from transformers import Gemma4AudioConfig, Gemma4VisionConfig
from transformers.models.gemma4.modeling_gemma4 import Gemma4AudioModel, Gemma4ClippableLinear, Gemma4MultimodalEmbedder, Gemma4VisionModel

import from_gguf
import media
from abilities import senses
from abilities.common import held
from model import CONFIG, hidden, load, per_layer_rows, save, softcapped, text_config
from template import render
from tokenizer import Encoder

V, A, T = CONFIG["vision"], CONFIG["audio"], CONFIG["towers"]
SOFT = {"vision": (V["image_size"] // V["patch_size"] // V["pooling_kernel_size"]) ** 2, "audio": media.CLIP // 640}
WORDS = sorted(set(senses.SHAPES + list(senses.PAINT) + senses.COUNT[1:6] + [str(d) for d in range(10)] + ["digit", "voice", "beep", "tone", "high", "low", "rising", "falling"]))
VOICE = WORDS.index("voice")
_state = {}


def build(kind):
    """(tower, projector) of transformers' classes."""
    if kind == "vision":
        c = Gemma4VisionConfig(**{k: V[k] for k in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "head_dim", "patch_size", "pooling_kernel_size", "position_embedding_size")},
                               num_key_value_heads=V["num_attention_heads"], use_clipped_linears=True, standardize=False)
        tower = Gemma4VisionModel(c)
        torch.nn.init.normal_(tower.patch_embedder.position_embedding_table, std=0.2)
        for n, p in tower.named_parameters():
            if n.endswith(("q_norm.weight", "k_norm.weight")):
                torch.nn.init.constant_(p, V["head_dim"] ** -0.25)
            if n.endswith("input_proj.weight"):
                torch.nn.init.normal_(p, std=0.03)
    else:
        c = Gemma4AudioConfig(**A, use_clipped_linears=True)
        tower = Gemma4AudioModel(c)
    return tower, Gemma4MultimodalEmbedder(c, text_config())


def cases(kind, mode, seed, path):
    """Scenes without end: (picture [size, size, 3] or waveform, words at soft positions, QA, soft tokens). `path` is the voice file.

    Modes: "train" has disturbances and sounds of several lengths, "fresh" none; "held out" has combinations and voices
    that training never sees; "unheard voices" has only digits in such voices, in all combinations.
    """
    if path and "voices" not in _state:
        import voices
        _state["voices"] = dict(np.load(path))
        for side in (False, True):
            _state[side] = sorted({n.rsplit("_", 1)[0] for n in _state["voices"] if voices.held(n.rsplit("_", 1)[0]) == side})
    rng = random.Random(seed)
    test, soft = mode not in ("train", "fresh"), SOFT[kind]
    if kind == "audio" and mode == "train":
        soft = rng.randrange(24, 57)
    while True:
        scene, wanted, q = (senses.picture if kind == "vision" else senses.sound)(rng)
        if "spoken" not in scene if mode == "unheard voices" else held(q.ability, q.key) != test:
            continue
        if "spoken" in scene and not path or scene.get("beeps", 0) * 8 > soft:
            continue
        if kind == "vision":
            yield media.draw(scene, rng, V["image_size"]), wanted, q, soft
        else:
            yield media.sound(scene, rng, _state.get("voices"), _state.get(test), soft * 640, mode == "train"), wanted, q, soft


def encoded(kind, q, soft):
    """(ids, flags of what the model writes) of a question about a medium and its answer."""
    encoder = _state.setdefault("encoder", Encoder())
    places = ("image" if kind == "vision" else "audio", [None] * soft)
    i, f, _ = encoder.encode(render({"messages": [{"role": "user", "content": q.question, "soft": places}, {"role": "model", "content": q.answer}]}))
    return i, f


def scenes(job):
    """A batch: (pixels or waveforms, token ids, flags, wanted words, answers). `job` is (kind, mode, seed, count, voice file)."""
    kind, mode, seed, count, path = job
    arrays, ids, flags, words, answers = [], [], [], np.zeros((count, len(WORDS)), np.float32), []
    for medium, wanted, q, soft in itertools.islice(cases(kind, mode, seed, path), count):
        i, f = encoded(kind, q, soft)
        arrays.append(media.patches(medium, V["patch_size"]) if kind == "vision" else medium)
        for w in wanted:
            words[len(ids), WORDS.index(w)] = 1
        ids.append(i)
        flags.append(f)
        answers.append(q.answer)
    width = max(map(len, ids))
    ids = np.array([i + [0] * (width - len(i)) for i in ids])
    flags = np.array([list(map(int, f)) + [0] * (width - len(f)) for f in flags])
    arrays = np.stack(arrays)
    return arrays.astype(np.float16) if kind == "audio" and mode == "train" else arrays, ids, flags, words, answers


class Senses(torch.nn.Module):
    """A tower with its projector in front of the frozen text model."""

    def __init__(self, kind, text):
        super().__init__()
        self.kind, self.text = kind, [text]  # in a list: not a part of this module
        tower, project = build(kind)
        setattr(self, f"{kind}_tower", tower)
        setattr(self, f"embed_{kind}", project)
        self.tower, self.project = [tower], [project]
        table = text.model.embed_tokens
        self.scale = float(table.weight[494:].std() * table.scalar_embed_scale)
        torch.nn.init.normal_(project.embedding_projection.weight, std=self.scale * project.multimodal_hidden_size ** -0.5)
        n = V["image_size"] // V["patch_size"]
        self.places = torch.stack(torch.meshgrid(torch.arange(n), torch.arange(n), indexing="xy"), -1).reshape(-1, 2)
        self.filters = torch.from_numpy(media.mel_filters())
        encoder = Encoder()
        self.word_ids = torch.tensor([encoder.plain(" " + w)[0] for w in WORDS])
        self.start = 1 + len(encoder.plain("user\n")) + 2  # <bos> <|turn> user\n <|image>

    def soft(self, x, spoken=None):
        """Soft tokens [batch, n, dim] of pixel patches (0..255) or waveforms. `spoken` (which sounds are digits) asks for
        disturbances."""
        if self.kind == "vision":
            out = self.tower[0](pixel_values=x.float() / 255, pixel_position_ids=self.places.to(x.device)[None].expand(len(x), -1, -1)).last_hidden_state
            return self.project[0](out.reshape(len(x), SOFT["vision"], -1))
        filters = self.filters.to(x.device)
        mel = media.log_mel(x, filters) if spoken is None else media.disturbed(x.float(), filters, spoken)
        mask = torch.ones(mel.shape[:2], dtype=torch.bool, device=x.device)
        return self.project[0](self.tower[0](input_features=mel, attention_mask=mask).last_hidden_state)

    def logits(self, soft, ids):
        text, n = self.text[0], soft.shape[1]
        e = text.model.embed_tokens(ids)
        e = torch.cat([e[:, :self.start], soft.to(e.dtype), e[:, self.start + n:]], 1)
        at = torch.arange(ids.shape[1], device=ids.device)
        empty = (at >= self.start) & (at < self.start + n)
        rows = per_layer_rows(text, torch.where(empty[None], 0, ids))
        mask = torch.where(at[:, None] >= at[None, :], 0.0, float("-inf"))[None, None].to(e.device)
        near = torch.where((at[:, None] - at[None, :] < text.config.sliding_window), mask, float("-inf"))
        if torch.is_autocast_enabled("cuda"):
            mask, near = mask.bfloat16(), near.bfloat16()
        return softcapped(text, hidden(text, e, rows, at[None], {"full_attention": mask, "sliding_attention": near}))

    def loss(self, x, ids, flags, words):
        soft = self.soft(x, words[:, VOICE] > 0)
        logits = self.logits(soft, ids)[:, :-1]
        each = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
        wanted = flags[:, 1:].flatten().float()
        answer = (each * wanted).sum() / wanted.sum()
        table = torch.nn.functional.normalize(self.text[0].model.embed_tokens.weight[self.word_ids.to(ids.device)].float(), dim=-1)
        like = (torch.nn.functional.normalize(soft.float(), dim=-1) @ table.T).amax(1)
        naming = torch.nn.functional.binary_cross_entropy_with_logits(16 * (like - 0.5), words, pos_weight=torch.tensor(6.0, device=ids.device))
        return answer, naming


@torch.no_grad()
def score(senses_, batch, device):
    """{kind of scene: [right, all]}: right is a scene whose greedy answer equals the expected one token by token."""
    x, ids, flags, words, answers = batch
    right = {}
    for at in range(0, len(ids), 50):
        part = slice(at, at + 50)
        i, f = (torch.from_numpy(v[part]).to(device) for v in (ids, flags))
        best = senses_.logits(senses_.soft(torch.from_numpy(x[part]).to(device)), i).argmax(-1)
        exact = ((best[:, :-1] == i[:, 1:]) | (f[:, 1:] == 0)).all(1).tolist()
        for answer, ok in zip(answers[part], exact):
            kind = "digits" if "digit" in answer or "saying" in answer else "other"
            for k in (kind, answer[-2]) if kind == "digits" else (kind,):
                count = right.setdefault(k, [0, 0])
                count[0] += ok
                count[1] += 1
    return dict(sorted(right.items(), key=lambda kv: (len(kv[0]) == 1, kv)))


def sets(kind, path):
    """{mode: (seed, scenes)} of the evaluation sets."""
    counts = {"fresh": 250, "held out": 250} | ({"unheard voices": 600} if kind == "audio" and path else {})
    return {mode: (CONFIG["seed"] + 5 + n, count) for n, (mode, count) in enumerate(counts.items())}


def scores(senses_, kind, path, device, most=600):
    """score() of the evaluation sets, of `most` scenes of each at most."""
    return {mode: score(senses_, scenes((kind, mode, seed, min(count, most), path)), device) for mode, (seed, count) in sets(kind, path).items()}


def calibrate(senses_, batches, device):
    """Sets the bounds of every clippable linear to 1.5 times the range seen."""
    seen, hooks = {}, []

    def watch(layer):
        def hook(_, args, out):
            s = seen.setdefault(layer, [0.0] * 4)
            x = args[0]
            seen[layer] = [min(s[0], float(x.min())), max(s[1], float(x.max())), min(s[2], float(out.min())), max(s[3], float(out.max()))]
        return hook

    layers = [m for m in senses_.modules() if isinstance(m, Gemma4ClippableLinear)]
    hooks = [m.register_forward_hook(watch(m)) for m in layers]
    with torch.no_grad():
        for b in batches:
            senses_.soft(torch.from_numpy(b[0]).to(device).float())
    for h in hooks:
        h.remove()
    for m in layers:
        for name, v in zip(("input_min", "input_max", "output_min", "output_max"), seen[m]):
            getattr(m, name).fill_(1.5 * v)


def ahead(pool, jobs, depth=24):
    """Batches in order, at most `depth` of them made in advance (a batch of pictures is 57 MB)."""
    waiting, at = [], 0
    while at < len(jobs) or waiting:
        while at < len(jobs) and len(waiting) < depth:
            waiting.append(pool.apply_async(scenes, (jobs[at],)))
            at += 1
        yield waiting.pop(0).get()


def fit(kind, text, folder, wall, steps, batch, path, pool, device, most):
    torch.manual_seed(CONFIG["seed"])
    model = Senses(kind, text).to(device).train()
    params = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(params, lr=T["lr"], betas=(0.9, 0.98), weight_decay=0.01, fused=device == "cuda")
    jobs = ahead(pool, [(kind, "train", CONFIG["seed"] + 1000003 * (1 + i), batch, path) for i in range(steps)])
    begin, log, step = None, [], 0
    for step, (x, ids, flags, words, _) in enumerate(jobs, 1):
        begin = begin or time.time()
        progress = max(step / steps, (time.time() - begin) / wall)
        for g in adam.param_groups:
            g["lr"] = T["lr"] * min(1, step / T["warmup"]) * (0.5 * (1 + math.cos(math.pi * min(1, progress))) * 0.98 + 0.02)
        x, ids, flags, words = (torch.from_numpy(v).to(device, non_blocking=True) for v in (x, ids, flags, words))
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            answer, naming = model.loss(x, ids, flags, words)
        (answer + naming).backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        adam.step()
        adam.zero_grad(set_to_none=True)
        if step % 50 == 0 or step <= 2:
            log.append({"step": step, "answer": round(answer.item(), 4), "naming": round(naming.item(), 4), "s": round(time.time() - begin, 1)})
            print(kind, json.dumps(log[-1]), flush=True)
        if progress >= 1:
            break
    model.eval()
    with torch.no_grad():
        for p in params:
            if p.dim() > 1:
                p.copy_(p.half().float())
    calibrate(model, [scenes((kind, mode, CONFIG["seed"] + 11, min(128, most), path)) for mode in ("train", "fresh")], device)
    save(model.state_dict(), folder, kind)
    print(f"{kind}: {step} steps of {batch}, saved", flush=True)
    result = {"steps": step, "log": log} | scores(model, kind, path, device, most)
    print(kind, json.dumps({k: v for k, v in result.items() if k != "log"}), flush=True)
    return result


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("checkpoint")
    a.add_argument("--voices", help="npz of voices.py; without it no spoken digits")
    a.add_argument("--text", help="GGUF file whose text model to train for, instead of the checkpoint's")
    a.add_argument("--wall", type=float, help="seconds for one tower")
    a.add_argument("--steps", type=int)
    a.add_argument("--batch", type=int)
    a.add_argument("--most", type=int, default=600, help="scenes of an evaluation set at most")
    a.add_argument("--only", choices=["vision", "audio"])
    a.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    o = a.parse_args()
    pools = {k: mp.get_context("fork").Pool(o.workers) for k in ("vision", "audio") if o.only in (None, k)}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    os.makedirs(o.checkpoint, exist_ok=True)
    text = (from_gguf.text_model(from_gguf.read(o.text)) if o.text else load(o.checkpoint)).to(device).requires_grad_(False)
    for kind, pool in pools.items():
        result = fit(kind, text, o.checkpoint, o.wall or T[kind]["wall_s"], o.steps or T[kind]["steps"], o.batch or T[kind]["batch"], o.voices, pool, device, o.most)
        pool.terminate()
        with open(os.path.join(o.checkpoint, f"{kind}.json"), "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
