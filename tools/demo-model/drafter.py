#!/usr/bin/env python3
"""Trains a drafter (Gemma 4 "assistant") for the demo model's file, measures it and writes it as GGUF. No GPU needed.

    drafter.py TARGET.gguf OUT [--seconds N] [--threads N] [--log FILE] [--measure]

Writes OUT/rullama-demo-drafter.gguf (again whenever a better state is there), OUT/fixture.json (what the file drafts after
three prompts and the beginning of their replies) and the log with the acceptance. Needs the package `gguf`.

The drafter has queries alone and reads the keys and values of the target. After token n, which the target has not seen yet,
it drafts the next one from that token and the target's hidden state of position n-1; each further draft takes the token
just drafted and the drafter's own hidden state, at the same position and over the same keys. A process of its own runs the
frozen target over new conversations; what comes of it is learned from more than once.
"""
import argparse
import collections
import importlib.metadata
import json
import math
import multiprocessing as mp
import os
import random
import time

import numpy as np
import torch
from torch.nn import functional as F

from drafter_states import GLOBAL, SLIDING, WINDOW, held_out, produce, tensors_of
from export_gguf import TEXT
from from_gguf import read, text_model
from model import CONFIG, HERE
from train import Muon

C = CONFIG["text"]
NAME, ARCH = "rullama-demo-drafter.gguf", "gemma4-assistant"
DIM, HEADS, FFN = 128, 4, 384
LAYERS = [SLIDING, SLIDING, GLOBAL]
VOCAB, WIDE, KV_HEADS, EPS = C["vocab_size"], C["hidden_size"], C["num_key_value_heads"], C["rms_norm_eps"]
HEAD_DIM = {SLIDING: C["head_dim"], GLOBAL: C["global_head_dim"]}
T = {"places": 640, "keep": 16000,  # of a step; conversations that are learned from again
     "drafts_first": [2, 3], "first": 0.2, "drafts": [4, 3, 4, 7],  # unrolled in turn, in the first part of the time and after it
     "step_weight": 0.85,  # of each further draft
     "lr_matrix": 0.02, "lr_embed": 0.004, "lr_norm": 0.003, "warmup": 40, "weight_decay": 0.05,
     "quick": 5, "check_s": 300}  # every so many held-out prompts, every so many seconds
MEASURE = (3, 7)  # lengths of drafts


# The drafter

def start(target):
    """Fresh weights by their names in the file. Embeddings begin as the target's in its main directions, so that what is close there is close here."""
    g = torch.Generator().manual_seed(CONFIG["seed"])
    e = target.model.embed_tokens.weight.detach()
    main = torch.linalg.svd(e.T @ e)[0][:, :DIM]
    # Orthonormal rows keep lengths, and with the transpose behind the layers the drafter's own state comes back as it was.
    turn = torch.linalg.qr(torch.randn(WIDE, DIM, generator=g))[0]
    small = e @ main
    w = {"token_embd": small / small.std() * DIM ** -0.5, "output_norm": torch.ones(DIM),
         "nextn.pre_projection": torch.cat([main.T / (small.std() * WIDE ** 0.5), turn.T], 1), "nextn.post_projection": turn}
    for i, kind in enumerate(LAYERS):
        q = HEADS * HEAD_DIM[kind]
        shapes = {"attn_q": (q, DIM), "attn_output": (DIM, q), "ffn_gate": (FFN, DIM), "ffn_up": (FFN, DIM), "ffn_down": (DIM, FFN)}
        w |= {f"blk.{i}.{n}": torch.randn(s, generator=g) * s[1] ** -0.5 for n, s in shapes.items()}
        w |= {f"blk.{i}.{n}": torch.ones(DIM) for n in ("attn_norm", "ffn_norm")}
        w |= {f"blk.{i}.{n}": torch.full((DIM,), 0.3) for n in ("post_attention_norm", "post_ffw_norm")}
        # The target's queries of the last layer of this kind, which read the same keys, have the right length.
        last = max(j for j, k in enumerate(target.config.layer_types) if k == kind)
        w |= {f"blk.{i}.attn_q_norm": target.model.layers[last].self_attn.q_norm.weight.detach().clone(), f"blk.{i}.layer_output_scale": torch.ones(1)}
    return {n + ".weight": v.clone().contiguous() for n, v in w.items()}


def norm(x, w):
    return F.rms_norm(x, (x.shape[-1],), w, EPS)


class Places:
    """All places (conversation, position) of a batch at once: where their queries stand, and which keys they see."""

    def __init__(self, target, seen):
        self.count = [len(s.at) for s in seen]
        self.at = torch.cat([s.at for s in seen])
        rows, most, width = len(seen), max(self.count), max(len(s.ids) for s in seen)
        self.shape, row = (rows, most), torch.repeat_interleave(torch.arange(rows), torch.tensor(self.count))
        self.slot = row * most + torch.cat([torch.arange(c) for c in self.count])
        self.rotary = {k: [x[0, :, None] for x in target.model.rotary_emb(torch.zeros(1), self.at[None], k)] for k in set(LAYERS)}
        at = torch.ones(rows * most, dtype=torch.long)
        at[self.slot] = self.at
        back = at.reshape(rows, 1, most, 1) - torch.arange(width)
        groups = (1, 1, HEADS // KV_HEADS, 1)
        off = torch.tensor(float("-inf"))
        self.mask = {k: torch.where((back > 0) & (back <= w), 0.0, off).repeat(groups) for k, w in ((GLOBAL, 1 << 30), (SLIDING, WINDOW))}
        self.kv = {}
        for k in set(LAYERS):
            pair = [torch.zeros(rows, KV_HEADS, width, HEAD_DIM[k]) for _ in range(2)]
            for r, s in enumerate(seen):
                for x, y in zip(pair, s.kv[k]):
                    x[r, :, :len(s.ids)] = y
            self.kv[k] = pair

    def attend(self, q, kind):
        """q [places, HEADS, head] -> the same shape."""
        (rows, most), d, (cos, sin) = self.shape, HEAD_DIM[kind], self.rotary[kind]
        a, b = q.chunk(2, -1)
        q = q * cos + torch.cat([-b, a], -1) * sin
        q = q.new_zeros(rows * most, HEADS, d).index_copy(0, self.slot, q)
        # The query heads that share a head of keys stand one below the other.
        q = q.reshape(rows, most, KV_HEADS, -1, d).permute(0, 2, 3, 1, 4).reshape(rows, KV_HEADS, -1, d)
        keys, values = self.kv[kind]  # in matrix products: torch's fused kernel is several times slower for so few keys
        o = (q @ keys.mT + self.mask[kind]).softmax(-1) @ values
        o = o.reshape(rows, KV_HEADS, -1, most, d).permute(0, 3, 1, 2, 4).reshape(rows * most, HEADS, d)
        return o[self.slot]


def draft(w, embedding, h, places):
    """One draft at every place: the normed state, of which the logits are the product with the embedding, and the next h."""
    x = F.linear(torch.cat([embedding, h], 1), w["nextn.pre_projection.weight"])
    for i, kind in enumerate(LAYERS):
        p = {n: w[f"blk.{i}.{n}.weight"] for n in NAMES}
        q = norm(F.linear(norm(x, p["attn_norm"]), p["attn_q"]).reshape(len(x), HEADS, -1), p["attn_q_norm"])
        x = x + norm(F.linear(places.attend(q, kind).flatten(1), p["attn_output"]), p["post_attention_norm"])
        y = norm(x, p["ffn_norm"])
        y = F.gelu(F.linear(y, p["ffn_gate"]), approximate="tanh") * F.linear(y, p["ffn_up"])
        x = (x + norm(F.linear(y, p["ffn_down"]), p["post_ffw_norm"])) * p["layer_output_scale"]
    x = norm(x, w["output_norm.weight"])
    return x, F.linear(x, w["nextn.post_projection.weight"])


NAMES = ("attn_norm", "attn_q", "attn_q_norm", "attn_output", "post_attention_norm", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down", "post_ffw_norm", "layer_output_scale")


def loss_of(w, target, seen, steps):
    """Cross-entropy with the target's distribution, mean over places in every step; steps count less the later they are. The tokens before each are the row's."""
    places = Places(target, seen)
    run, h = torch.cat([s.run for s in seen]), torch.cat([s.h for s in seen]).float()
    best, chance = torch.cat([s.best for s in seen]), torch.cat([s.chance for s in seen])
    tokens = torch.cat([s.ids for s in seen])
    first = torch.repeat_interleave(torch.tensor(np.cumsum([0] + [len(s.ids) for s in seen[:-1]])), torch.tensor(places.count)) + places.at
    losses, total = [], 0.0
    for k in range(steps):
        token = tokens[(first + k).clamp(max=len(tokens) - 1)]  # beyond the end of a reply it is any: nothing there counts
        x, h = draft(w, target.model.embed_tokens(token), h, places)
        on = torch.nonzero(run > k)[:, 0]
        logits = F.linear(x[on], w["token_embd.weight"])
        each = logits.logsumexp(1) - (logits.gather(1, best[on + k]) * chance[on + k]).sum(1)
        losses.append(each.sum() / len(run))
        total = total + losses[-1] * T["step_weight"] ** k
    return total / sum(T["step_weight"] ** k for k in range(steps)), float(losses[0].detach())


@torch.no_grad()
def drafts(w, target, seen, count):
    """Greedy drafts [places, count] behind every place, and the two best (ids, logits) of each."""
    places = Places(target, seen)
    token, h = torch.cat([s.ids[s.at] for s in seen]), torch.cat([s.h for s in seen]).float()
    out = []
    for _ in range(count):
        x, h = draft(w, target.model.embed_tokens(token), h, places)
        out.append(F.linear(x, w["token_embd.weight"]).topk(2))
        token = out[-1].indices[:, 0]
    return torch.stack([o.indices for o in out], 1), torch.stack([o.values for o in out], 1)


# Measuring

def acceptance(w, target, items):
    """{ability: figures}, "all" last. `accepted_K`: tokens of a draft of K that the reply has, mean over all its tokens but the last;
    `most_K`: the same for a perfect drafter, which the reply's end bounds; `per_pass_K`: tokens that one pass of the target gives
    when the reply is written with drafts of K."""
    table = {}
    for at in range(0, len(items), 24):
        some = items[at:at + 24]
        ids, where = drafts(w, target, [s for _, s in some], max(MEASURE))[0][..., 0], 0
        for c, s in some:
            reply, mine = s.ids[s.at[0] + 1:], ids[where + 1:where + len(s.at)]  # the first place is the prompt's last token
            where += len(s.at)
            n = len(reply)
            right = [next((k for k in range(max(MEASURE)) if i + 1 + k >= n or mine[i, k] != reply[i + 1 + k]), max(MEASURE)) for i in range(n - 1)]
            for name in (c["ability"], "all"):
                row = table.setdefault(name, collections.Counter())
                row["places"] += n - 1
                row["tokens"] += n
                for k in MEASURE:
                    row[f"accepted_{k}"] += sum(min(r, k) for r in right)
                    row[f"most_{k}"] += sum(min(n - 1 - i, k) for i in range(n - 1))
                    i = 0  # the first token comes of the prompt's pass
                    while i < n - 1:
                        row[f"passes_{k}"] += 1
                        i += min(right[i], k) + 1
                    row[f"passes_{k}"] += 1
    order = sorted(x for x in table if x != "all") + ["all"]
    return {x: {"places": table[x]["places"]} | {f"{y}_{k}": round(v, 3) for k in MEASURE for y, v in (
        ("accepted", table[x][f"accepted_{k}"] / max(1, table[x]["places"])), ("most", table[x][f"most_{k}"] / max(1, table[x]["places"])),
        ("per_pass", table[x]["tokens"] / table[x][f"passes_{k}"]))} for x in order}


@torch.no_grad()
def same_as_transformers(w, target, s, positions, count=3):
    """Largest difference of logits from transformers' classes, run step by step at a few positions of one conversation."""
    from transformers import Gemma4AssistantConfig, Gemma4AssistantForCausalLM, Gemma4TextConfig
    text = target.config.to_dict() | {"hidden_size": DIM, "intermediate_size": FFN, "num_hidden_layers": len(LAYERS), "num_attention_heads": HEADS, "layer_types": LAYERS, "hidden_size_per_layer_input": 0,
                                      "vocab_size_per_layer_input": 0, "num_kv_shared_layers": len(LAYERS), "use_double_wide_mlp": False, "final_logit_softcapping": None}
    text |= {"per_layer_config": {str(i): {"head_dim": HEAD_DIM[k]} for i, k in enumerate(LAYERS) if k == GLOBAL}}
    config = Gemma4AssistantConfig(text_config=Gemma4TextConfig(**text), backbone_hidden_size=WIDE)
    config.text_config._attn_implementation = "eager"
    theirs, back = Gemma4AssistantForCausalLM(config).eval(), {v: k for k, v in TEXT.items()}
    state = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "pre_projection.weight": "nextn.pre_projection.weight", "post_projection.weight": "nextn.post_projection.weight"}
    state |= {f"model.layers.{i}.{back[n + ('.weight')]}": f"blk.{i}.{n}.weight" for i in range(len(LAYERS)) for n in NAMES}
    missing, extra = theirs.load_state_dict({k: w[n].detach() for k, n in state.items()}, strict=False)
    assert not extra and set(missing) <= {"lm_head.weight"}, (missing, extra)
    theirs.tie_weights()
    worst, mine = 0.0, drafts(w, target, [s], count)
    out = target.model(s.ids[None], return_shared_kv_states=True)
    for n in positions:
        # Theirs leaves it to the target's cache to hold no more than the window.
        shared = {k: tuple(x[:, :, max(0, n - WINDOW) * (k == SLIDING):n] for x in v) for k, v in out.shared_kv_states.items()}
        token, h, place = s.ids[n], out.last_hidden_state[:, n - 1:n], int(torch.nonzero(s.at == n)[0, 0])
        for k in range(count):
            o = theirs(inputs_embeds=torch.cat([target.model.embed_tokens(token)[None, None], h], -1), position_ids=torch.tensor([[n]]), shared_kv_states=shared)
            top = o.logits[0, 0].topk(2)
            worst = max(worst, float((top.values - mine[1][place, k]).abs().max()))
            assert top.indices[0] == mine[0][place, k, 0]
            token, h = top.indices[0], o.last_hidden_state
    return worst


# Its file

def write(path, w, rope_factors):
    """The GGUF file, under its name when it is whole."""
    import gguf
    g = gguf.GGUFWriter(path + ".part", ARCH)
    g.add_type("model")
    g.add_name("rullama demo drafter")
    g.add_license("mit OR apache-2.0")
    g.add_file_type(int(gguf.LlamaFileType.MOSTLY_Q8_0))
    g.add_quantization_version(2)
    numbers = {"block_count": len(LAYERS), "context_length": C["max_position_embeddings"], "embedding_length": DIM, "embedding_length_out": WIDE, "feed_forward_length": FFN, "nextn_predict_layers": len(LAYERS),
               "attention.head_count": HEADS, "attention.key_length": HEAD_DIM[GLOBAL], "attention.value_length": HEAD_DIM[GLOBAL], "attention.key_length_swa": HEAD_DIM[SLIDING],
               "attention.value_length_swa": HEAD_DIM[SLIDING], "attention.sliding_window": WINDOW, "attention.shared_kv_layers": len(LAYERS), "rope.dimension_count": HEAD_DIM[GLOBAL],
               "rope.dimension_count_swa": HEAD_DIM[SLIDING], "embedding_length_per_layer_input": 0}
    for k, v in numbers.items():
        g.add_uint32(f"{ARCH}.{k}", v)
    for k, v in {"attention.layer_norm_rms_epsilon": EPS, "rope.freq_base": C["rope_theta_global"], "rope.freq_base_swa": C["rope_theta_sliding"]}.items():
        g.add_float32(f"{ARCH}.{k}", v)
    g.add_array(f"{ARCH}.attention.head_count_kv", [KV_HEADS] * len(LAYERS))
    g.add_array(f"{ARCH}.attention.sliding_window_pattern", [k == SLIDING for k in LAYERS])
    for name, v in w.items():
        v = v.detach().numpy()
        if v.ndim > 1:
            g.add_tensor(name, gguf.quantize(v, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            g.add_tensor(name, v)
    if rope_factors is not None:
        g.add_tensor("rope_freqs.weight", rope_factors)
    g.write_header_to_file()
    g.write_kv_data_to_file()
    g.write_tensors_to_file()
    g.close()
    os.replace(path + ".part", path)


def reread(path):
    return {n: torch.from_numpy(v) for n, v in read(path).items() if n != "rope_freqs.weight"}


def fixture(w, target, items, wanted=("about rullama", "tool calls", "stories"), known=8, count=max(MEASURE)):
    """What is drafted behind a few prompts and the beginning of their replies."""
    out = []
    for ability in wanted:
        c, s = next(((c, s) for c, s in items if c["ability"] == ability and len(c["reference"]["ids"]) >= known + count), (None, None))
        if c is None:
            continue
        prompt = int(s.at[0]) + 1
        ids, values = (x[known].tolist() for x in drafts(w, target, [s], count))
        out.append({"id": c["id"], "prompt_tokens": prompt, "ids": s.ids[:prompt + known].tolist(), "drafts": [i[0] for i in ids], "reference": s.ids[prompt + known:prompt + known + count].tolist(),
                    "top2_ids": ids, "top2_logits": [[round(x, 5) for x in v] for v in values]})
    return out


def batch_of(fresh, kept, rng):
    """Four steps' conversations: what is new first, the rest again; each of like lengths, since attention is padded."""
    some, count = list(fresh), sum(len(s.at) for s in fresh)
    while count < 4 * T["places"]:
        some.append(kept[rng.randrange(len(kept))])
        count += len(some[-1].at)
    out, room = [[]], 0
    for s in sorted(some, key=lambda s: len(s.ids)):
        if room >= T["places"]:
            out.append([])
            room = 0
        out[-1].append(s)
        room += len(s.at)
    rng.shuffle(out)
    return out


def train(o, target, save, quick):
    """Trains for o.seconds, calls save(weights) at every best state; the weights of the last of these, and what the log says of it."""
    # Spawned: a fork would inherit torch's threads.
    queue = mp.get_context("spawn").Queue(4)
    producer = mp.get_context("spawn").Process(target=produce, args=(o.target, CONFIG["seed"] * 1000 + 77, queue), daemon=True)
    producer.start()
    w = {k: v.requires_grad_() for k, v in start(target).items()}
    vectors = [v for v in w.values() if v.dim() == 1]
    muon = Muon([v for k, v in w.items() if v.dim() == 2 and k != "token_embd.weight"])
    adam = torch.optim.AdamW([{"params": [w["token_embd.weight"]], "rate": T["lr_embed"]}, {"params": vectors, "rate": T["lr_norm"]}], betas=(0.9, 0.98), eps=1e-10, weight_decay=0.0)
    rng, kept, fresh, todo = random.Random(1), collections.deque(maxlen=T["keep"]), [], []
    log, recent, best, saved, step, learned, looked = [], [], -1.0, {}, 0, 0, 0
    zero, checked, used = time.time(), 0.0, 0.0

    def check():
        nonlocal best, saved
        some = acceptance(w, target, quick)["all"]
        loss, first = np.mean(recent, 0)
        log.append({"step": step, "s": round(time.time() - zero), "loss": round(float(loss), 4), "loss_first": round(float(first), 4), "places": learned, "conversations": looked,
                    **{f"accepted_{k}": some[f"accepted_{k}"] for k in MEASURE}})
        print(json.dumps(log[-1]), flush=True)
        recent.clear()
        if some[f"accepted_{max(MEASURE)}"] > best:
            best = some[f"accepted_{max(MEASURE)}"]
            saved = {k: v.detach().clone() for k, v in w.items()}
            save(saved)

    while used < o.seconds or not step:
        while not queue.empty() or not kept:
            some = [tensors_of(s) for s in queue.get()]
            kept.extend(some)
            fresh += some
            looked += len(some)
        if not todo:
            todo, fresh = batch_of(fresh, kept, rng), []
        lr = min(1, (step + 1) / T["warmup"]) * (0.5 + 0.5 * math.cos(math.pi * min(1, used / o.seconds))) * 0.98 + 0.01
        seen, many = todo.pop(), T["drafts" if used > T["first"] * o.seconds else "drafts_first"]
        loss, first = loss_of(w, target, seen, many[step % len(many)])
        loss.backward()
        recent.append((float(loss.detach()), first))
        if not math.isfinite(recent[-1][0]):
            raise RuntimeError(f"loss is {recent[-1][0]} at step {step}: lower the rates")
        torch.nn.utils.clip_grad_norm_([w["token_embd.weight"], *vectors], 1.0)
        for g in adam.param_groups:
            g["lr"] = g["rate"] * lr
        muon.step(T["lr_matrix"] * lr, T["weight_decay"])
        adam.step()
        for v in w.values():
            v.grad = None
        step += 1
        learned += sum(len(s.at) for s in seen)
        used = time.time() - zero
        if used - checked > T["check_s"]:
            check()
            checked = time.time() - zero
    producer.terminate()
    if recent:
        check()
    return saved, {"seconds": round(used), "best": best, "threads": o.threads, "steps": step, "places": learned, "conversations": looked, "log": log}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("target", help="GGUF file of the demo model")
    a.add_argument("out", help="folder")
    a.add_argument("--seconds", type=float, default=1920, help="of training")
    a.add_argument("--threads", type=int, default=2, help="of which one runs the target")
    a.add_argument("--log", help="file of the log (OUT/drafter-log.json)")
    a.add_argument("--set", default=os.path.join(HERE, "eval.jsonl"), help="held-out prompts with the model's replies")
    a.add_argument("--measure", action="store_true", help="only measure the file in OUT and renew the figures of its log")
    o = a.parse_args()
    os.makedirs(o.out, exist_ok=True)
    path, log = os.path.join(o.out, NAME), o.log or os.path.join(o.out, "drafter-log.json")
    torch.set_num_threads(max(1, o.threads - 1))
    stored = read(o.target)
    target = text_model(stored)
    if o.measure:
        notes = json.load(open(log, encoding="utf-8")) if os.path.exists(log) else {}
    else:
        w, notes = train(o, target, lambda w: write(path, w, stored.get("rope_freqs.weight")), held_out(target, o.set, T["quick"]))
        notes = {"config": {"dim": DIM, "heads": HEADS, "feed_forward": FFN, "layers": LAYERS, "train": T}, "parameters": sum(v.numel() for v in w.values())} | notes
        notes["versions"] = {m: importlib.metadata.version(m) for m in ("torch", "transformers", "gguf", "numpy")}
    torch.set_num_threads(o.threads)
    back = reread(path)
    items = held_out(target, o.set)
    if not o.measure:
        mine, theirs = (drafts(x, target, [s for _, s in items[:100]], max(MEASURE))[0][..., 0] for x in (w, back))
        notes["drafts_same_before_rounding"] = round(float((mine == theirs).float().mean()), 4)
    longest = max((s for _, s in items), key=lambda s: len(s.ids))
    notes["transformers_difference"] = same_as_transformers(back, target, longest, longest.at[::max(1, len(longest.at) // 3)].tolist())
    notes |= {"bytes": os.path.getsize(path), "acceptance": acceptance(back, target, items)}
    for name, what in ((os.path.join(o.out, "fixture.json"), fixture(back, target, items)), (log, notes)):
        with open(name, "w", encoding="utf-8") as f:
            json.dump(what, f, indent=1)
            f.write("\n")
    for k, v in notes["acceptance"].items():
        print(f"{k:22} {json.dumps(v)}")
    print(f"{path}: {notes['bytes']} bytes; logits differ from transformers' by {notes['transformers_difference']:.1e} at most ({len(longest.ids)} tokens)")


if __name__ == "__main__":
    main()
