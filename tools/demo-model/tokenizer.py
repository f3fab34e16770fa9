#!/usr/bin/env python3
"""Trains the demo model's BPE vocabulary and writes tokenizer.json: {"tokens", "types", "merges"}.

Rules of Gemma 4's tokenizer: a space is U+2581, no split on words when encoding, unknown characters as byte tokens,
newline and space runs are single tokens, digits stand alone. Ids 0..167, 238..493 and the special tokens' names are those of
the real vocabulary; modality tokens stand at the end. The learned pieces never cross a word boundary and never join
capital letters, so that upper case is written letter by letter.
"""
import argparse
import json
import os

from tokenizers import Tokenizer, Regex, models, normalizers, pre_tokenizers, trainers

SPACE = "\u2581"
LOW = {0: "<pad>", 1: "<eos>", 2: "<bos>", 3: "<unk>", 4: "<mask>", 46: "<|tool>", 47: "<tool|>", 48: "<|tool_call>", 49: "<tool_call|>", 50: "<|tool_response>", 51: "<tool_response|>",
       52: '<|"|>', 98: "<|think|>", 100: "<|channel>", 101: "<channel|>", 105: "<|turn>", 106: "<turn|>"}
TAIL = ["<|image>", "<|audio>", "<|image|>", "<|audio|>", "<image|>", "<audio|>", "<|video|>"]
CONTROL, USER_DEFINED, NORMAL, UNKNOWN, BYTE = 3, 4, 1, 2, 6
PIECES = SPACE + r"?[\p{Lu}]?[\p{Ll}]+|" + SPACE + r"?\p{Lu}|" + r"\p{N}|\n+|" + SPACE + r"+|" + SPACE + r"?[^\p{L}\p{N}\n" + SPACE + r"]{1,3}"
HERE = os.path.dirname(os.path.abspath(__file__))


def train(texts, vocab_size):
    t = Tokenizer(models.BPE(unk_token=None))
    t.normalizer = normalizers.Replace(" ", SPACE)
    t.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "isolated")
    free = vocab_size - 494 - len(TAIL) + 70
    alphabet = [chr(c) for c in range(33, 127)] + list("äöüßéèêàâçñíóúáœÄÖÜ×€°…–’") + [SPACE]
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=free, initial_alphabet=alphabet, show_progress=False, min_frequency=8, limit_alphabet=len(alphabet)))
    data = json.loads(t.to_str())["model"]
    pieces = [p for p, _ in sorted(data["vocab"].items(), key=lambda kv: kv[1]) if p != "\n" and not (set(p) == {SPACE} and len(p) > 1)]
    merges = [tuple(m) for m in data["merges"]]
    tokens, types = [None] * vocab_size, [NORMAL] * vocab_size
    for i, s in LOW.items():
        tokens[i], types[i] = s, USER_DEFINED if i in (48, 49, 50, 51, 52, 100, 101) else UNKNOWN if i == 3 else CONTROL
    for n in range(1, 32):
        tokens[106 + n] = "\n" * n
    for n in range(2, 32):
        tokens[136 + n] = SPACE * n
    for b in range(256):
        tokens[238 + b], types[238 + b] = f"<0x{b:02X}>", BYTE
    for i, s in enumerate(TAIL):
        tokens[vocab_size - len(TAIL) + i], types[vocab_size - len(TAIL) + i] = s, CONTROL
    places = list(range(168, 238)) + list(range(494, vocab_size - len(TAIL)))
    have = set()
    for place, piece in zip(places, pieces):
        tokens[place] = piece
        have.add(piece)
    runs = [(c * a, c * (n - a)) for c in ("\n", SPACE) for n in range(2, 32) for a in range(1, n)]
    merges = runs + [m for m in merges if m[0] in have and m[1] in have and m[0] + m[1] in have]
    for i in range(vocab_size):
        if tokens[i] is None:
            tokens[i] = f"<unused{i}>"
    assert len(set(tokens)) == vocab_size
    return {"tokens": tokens, "types": types, "merges": [f"{a} {b}" for a, b in merges]}


class Encoder:
    """ids of segments from template.render, and text of ids."""

    def __init__(self, path=None):
        d = json.load(open(path or os.path.join(HERE, "tokenizer.json"), encoding="utf-8"))
        self.tokens, self.types, self.merges = d["tokens"], d["types"], d["merges"]
        self.id = {t: i for i, t in enumerate(self.tokens)}
        merges = []
        for m in self.merges:
            at = m.index(" ", 1)
            merges.append((m[:at], m[at + 1:]))
        self.bpe = Tokenizer(models.BPE(vocab=self.id, merges=merges, byte_fallback=True, unk_token="<unk>"))
        self.bpe.normalizer = normalizers.Replace(" ", SPACE)

    def plain(self, text):
        return self.bpe.encode(text, add_special_tokens=False).ids if text else []

    def encode(self, segments):
        """(ids, train flags, soft positions as {position: word id}) of rendered segments."""
        ids, flags, soft = [], [], {}
        text, train = "", []

        def flush():
            nonlocal text, train
            if text:
                e = self.bpe.encode(text, add_special_tokens=False)
                ids.extend(e.ids)
                flags.extend(train[a] for a, _ in e.offsets)
                text, train = "", []

        for kind, value, on in segments:
            if kind == "text":
                text += value
                train += [on] * len(value)
                continue
            flush()
            if kind == "special":
                ids.append(self.id[value])
                flags.append(on)
            else:  # soft: a list of words or None for an empty position
                for w in value:
                    soft[len(ids)] = self.plain(" " + w)[0] if w else self.id["<|image|>"]
                    ids.append(self.id["<|image|>"])
                    flags.append(False)
        flush()
        return ids, flags, soft

    def decode(self, ids, special=True):
        out = bytearray()
        for i in ids:
            t, kind = self.tokens[i], self.types[i]
            if kind == BYTE:
                out.append(int(t[3:5], 16))
            elif kind in (CONTROL, USER_DEFINED):
                out += t.encode() if special else b""
            else:
                out += t.replace(SPACE, " ").encode()
        return out.decode("utf-8", "replace")


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--samples", type=int, default=30000)
    a.add_argument("--out", default=os.path.join(HERE, "tokenizer.json"))
    o = a.parse_args()
    import random
    from data import conversation, CONFIG
    from template import render

    def texts():
        rng = random.Random(CONFIG["seed"])
        for _ in range(o.samples):
            yield from (s[1] for s in render(conversation(rng)) if s[0] == "text")

    d = train(texts(), CONFIG["text"]["vocab_size"])
    json.dump(d, open(o.out, "w", encoding="utf-8"), ensure_ascii=False)
    print(f"{o.out}: {len(d['tokens'])} tokens, {len(d['merges'])} merges, {sum(t.startswith('<unused') for t in d['tokens'])} unused")


if __name__ == "__main__":
    main()
