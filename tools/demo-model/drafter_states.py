"""What the demo model knows of conversations, as its drafter sees it: states, keys, values, and what it says comes next."""
import collections
import random

import numpy as np
import torch

from evaluate import cases
from from_gguf import read, text_model
from model import CONFIG, masks_of, per_layer_rows, softcapped
from template import render
from tokenizer import Encoder

SLIDING, GLOBAL = "sliding_attention", "full_attention"
WINDOW = CONFIG["text"]["sliding_window"]
LONGEST, PASS, TOP = 384, 3200, 16  # tokens of a conversation, of one pass of the target, of its distribution

# One conversation of n tokens, as the drafter sees it. `at` are the positions of the tokens behind which the model's own text
# goes on, one after the other; `run` says for how many of its tokens. h [at, WIDE]: hidden state before each; kv: {kind: (keys,
# values)} [KV_HEADS, n, head]; best/chance [at, top]: what the target says comes next.
Seen = collections.namedtuple("Seen", "ids at run h kv best chance")


@torch.no_grad()
def target_states(target, rows):
    """Final hidden states [rows, tokens, WIDE] and the keys and values that the last layers of each kind read, for right-padded rows of (ids, flags)."""
    width = max(len(i) for i, _ in rows)
    ids, soft = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.bool)
    for r, (i, f) in enumerate(rows):
        ids[r, :len(i)], soft[r, :len(i)] = torch.as_tensor(i), torch.as_tensor(f) == 2
    m, shared = target.model, {}
    h, positions = m.embed_tokens(ids), torch.arange(width)[None]
    masks = masks_of(torch.zeros_like(ids), WINDOW, torch.float32)
    per_layer = m.project_per_layer_inputs(h, per_layer_rows(target, torch.where(soft, 0, ids)))
    rotary = {k: m.rotary_emb(h, positions, k) for k in (SLIDING, GLOBAL)}
    for i, layer in enumerate(m.layers):
        kind = m.config.layer_types[i]
        h = layer(h, per_layer[:, :, i, :], shared_kv_states=shared, position_embeddings=rotary[kind], attention_mask=masks[kind], position_ids=positions)
    return m.norm(h), shared


@torch.no_grad()
def look(target, rows, dtype=torch.float32):
    """The `Seen` of each row."""
    h, shared = target_states(target, rows)
    out = []
    for r, (ids, flags) in enumerate(rows):
        own = np.asarray(flags) == 1
        at = np.flatnonzero(own[1:])
        at = at[at > 0]
        run, going = np.zeros(len(at), np.int64), 0
        for j in reversed(range(len(at))):
            run[j] = going = going + 1 if j + 1 < len(at) and at[j + 1] == at[j] + 1 else 1
        top = softcapped(target, h[r, at]).topk(TOP)
        kv = {k: tuple(x[r, :, :len(ids)].to(dtype) for x in pair) for k, pair in shared.items()}
        out.append(Seen(torch.as_tensor(np.asarray(ids, np.int64)), torch.from_numpy(at), torch.from_numpy(run), h[r, at - 1].to(dtype), kv, top.indices, top.values.softmax(1)))
    return out


def batched(rows, tokens):
    """Rows in groups of about `tokens` tokens and of like length."""
    rows, out = sorted(rows, key=lambda r: len(r[0])), [[]]
    for r in rows:
        if out[-1] and (len(out[-1]) + 1) * len(r[0]) > tokens:
            out.append([])
        out[-1].append(r)
    return out


def produce(path, seed, queue):
    """Runs the target over training conversations without end."""
    import data
    torch.set_num_threads(1)
    target, encoder, rng = text_model(read(path)), Encoder(), random.Random(seed)
    while True:
        rows = []
        while len(rows) < 128:
            ids, flags, soft = encoder.encode(render(data.conversation(rng)))
            ids, flags = np.array(ids), np.array(flags, np.uint8)
            for at, word in soft.items():
                ids[at], flags[at] = word, 2
            if len(ids) <= LONGEST and (flags == 1).any():
                rows.append((ids, flags))
        groups = batched(rows, PASS)
        rng.shuffle(groups)
        for g in groups:  # as arrays: sharing tensors would take a file descriptor each
            queue.put([Seen(*(x.numpy() if torch.is_tensor(x) else {k: tuple(y.numpy() for y in p) for k, p in x.items()} for x in s)) for s in look(target, g, torch.float16)])


def tensors_of(s):
    return Seen(*(torch.from_numpy(x) if isinstance(x, np.ndarray) else {k: tuple(map(torch.from_numpy, p)) for k, p in x.items()} for x in s))


def held_out(target, path, every=1):
    """[(case, Seen)] of the held-out set with the model's greedy replies."""
    encoder, some = Encoder(), cases(path)[::every]
    rows = []
    for c in some:
        prompt = encoder.encode(render(c))[0]
        rows.append((prompt + c["reference"]["ids"], [0] * len(prompt) + [1] * len(c["reference"]["ids"]), c))
    out = []
    for g in batched(rows, PASS):
        out += zip([c for *_, c in g], look(target, [(i, f) for i, f, _ in g]))
    return out
