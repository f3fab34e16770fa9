#!/usr/bin/env python3
"""Conversations for training and for the held-out evaluation, all generated from seeds.

    data.py --show 5        print conversations
    data.py --eval FILE     write held-out prompts and all their right answers

Training never contains a turn whose content key is held out (abilities/common.py).
"""
import argparse
import json
import os
import random

import numpy as np

from abilities import about, arithmetic, facts, languages, memory, senses, stories, structured, styles, suggestions, text_tasks, thinking, tools, unknown
from abilities.common import QA, held, pick
from template import render, dumps

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = json.load(open(os.path.join(HERE, "config.json")))


def word_problem(rng):
    text, steps, answer, key = (thinking.word_problem if rng.random() < 0.6 else thinking.chain)(rng)
    return QA("word problems", text, f"{steps} {answer}", key)


MIX = [  # weight, generator
    (12, about.about), (7, about.greeting), (8, languages.other_language), (4, suggestions.suggestion), (13, unknown.unknown), (14, arithmetic.calculation), (2, arithmetic.compare), (1.5, arithmetic.parity), (2, arithmetic.neighbour),
    (2, arithmetic.in_words), (2.5, arithmetic.too_large), (1.5, arithmetic.division), (2, arithmetic.counting), (3, arithmetic.sort_numbers), (2, arithmetic.largest), (4, text_tasks.spell), (5, text_tasks.reverse), (3, text_tasks.count_letters),
    (5, text_tasks.count_letter), (4, text_tasks.position), (3, text_tasks.case), (2, text_tasks.spelled_out), (2, text_tasks.repeat), (2, text_tasks.echo), (3, text_tasks.alphabetical),
    (2, text_tasks.reverse_list), (2, text_tasks.count_words), (9, facts.fact), (3, facts.translate), (5, stories.story), (1.5, stories.poem), (2, stories.rhyme), (0.3, stories.any_poem),
    (2.5, stories.sentiment), (5, structured.structured), (4, word_problem)]
FROM_MIX = 19  # abilities that the mix holds
_WEIGHTS = np.cumsum([w for w, _ in MIX])
_WEIGHTS = (_WEIGHTS / _WEIGHTS[-1]).tolist()


def _draw(rng):
    x = rng.random()
    for edge, (_, f) in zip(_WEIGHTS, MIX):
        if x < edge:
            return f(rng)
    return MIX[-1][1](rng)


def question(rng):
    """A turn from the mix that may be trained on."""
    while True:
        q = _draw(rng)
        if not held(q.ability, q.key):
            return q


def _turn(q):
    return [{"role": "user", "content": q.question}, {"role": "model", "content": q.answer}]


def chat(rng, turns, state=None):
    """`turns` turns in one chat, with facts about the visitor told and asked for again."""
    state, done, messages = state or memory.Memory(), [], []
    personal = rng.random() < 0.6
    while len(done) < turns:
        r = rng.random()
        if personal and r < 0.2:
            q = state.state(rng)
        elif personal and r < 0.42 and (state.known or r < 0.23):
            q = state.recall(rng)
        elif done and r > 0.95:
            q = memory.about_chat(rng, done)
        else:
            q = question(rng)
        if q is None or (q.ability == "memory" and not q.key.startswith("state") and held("memory", q.key)):
            continue
        done.append(q)
        messages += _turn(q)
    return messages


def styled(rng, turns, wanted=None):
    """A chat under a system prompt, and all right last answers. `wanted(name, qa)` filters turns; by default only trainable ones pass."""
    wanted = wanted or (lambda name, q: not held("system prompts", f"{name} {q.key}") and not held(q.ability, q.key))
    while True:
        name, system, apply = styles.style(rng)
        messages = [{"role": "system", "content": system}]
        right = []
        for _ in range(200):
            if len(messages) == 1 + 2 * turns:
                return {"messages": messages}, right
            q = QA("system prompts", "Who are you?", "", f"Who are you? {system}") if name == "named" and rng.random() < 0.5 else _draw(rng)
            if not wanted(name, q) or (q.ability in ("stories", "structured output") and name != "plain") or (name == "upper" and len(q.answer) > 90):
                continue
            answer = apply(q)
            if answer is None or (name == "json" and '"' in answer[12:-2]):
                continue
            right = [a for a in map(apply, q.variants()) if a is not None]
            messages += [{"role": "user", "content": q.question}, {"role": "model", "content": answer}]


def thoughtful(rng, want_held=False):
    """A chat with thinking on: the last turn is answered after a thought."""
    messages = []
    if rng.random() < 0.2:
        messages.append({"role": "system", "content": styles._plain(rng)[0]})
    for _ in range(int(rng.random() * 3) if rng.random() < 0.4 else 0):
        q = question(rng)
        messages += [{"role": "user", "content": q.question}, {"role": "model", "content": q.answer, "train": False}]
    while True:
        if rng.random() < (0 if want_held else 0.2):
            q = question(rng)
            if q.ability == "word problems":
                continue
            text, steps, answer, key = q.question, thinking.simple(rng, q), q.answer, q.key
        else:
            text, steps, answer, key = thinking.thought(rng)
        if held("thinking", key) == want_held:
            break
    return {"messages": messages + [{"role": "user", "content": text}, {"role": "model", "thinking": steps, "content": answer}], "thinking": True}, key


def tool_chat(rng, want_held=False):
    """A chat with tools: a call, its result and the answer; sometimes tools that nothing needs."""
    before = chat(rng, 1 + int(rng.random() * 2)) if rng.random() < 0.25 else []
    if not want_held and rng.random() < 0.2:
        return {"messages": chat(rng, 1 + int(rng.random() * 3)), "tools": tools.unneeded(rng)}, ""
    while True:
        declared, text, name, args, result, answer, key = tools.request(rng)
        if held("tool calls", key) == want_held:
            break
    think = rng.random() < 0.15
    call = {"role": "model", "content": "", "tool_calls": [{"name": name, "arguments": args}]}
    final = {"role": "model", "content": answer}
    if think:
        for m in before:
            m["train"] = False
        call["thinking"], final["thinking"] = f"The tool {name} can answer this.", "I have the result."
    messages = before + [{"role": "user", "content": text}, call, {"role": "tool", "name": name, "content": result}, final]
    if not think and rng.random() < 0.3:
        messages += chat(rng, 1)
    return {"messages": messages, "tools": declared, "thinking": think}, key


def scatter(rng, words):
    """The words among empty soft positions, each once to three times."""
    n = 12 + int(rng.random() * 53)
    out = [None] * n
    for w in words:
        for _ in range(1 + int(rng.random() * 3)):
            out[int(rng.random() * n)] = w
    for w, at in zip(words, rng.sample(range(n), len(words))):
        out[at] = w
    return out


def seen(rng):
    """A picture or a sound with a question. Words stand in for what a tower will give."""
    while True:
        kind = "image" if rng.random() < 0.6 else "audio"
        _, words, q = (senses.picture if kind == "image" else senses.sound)(rng)
        if not held(q.ability, q.key):
            break
    messages = [{"role": "user", "content": q.question, "soft": (kind, scatter(rng, words))}, {"role": "model", "content": q.answer}]
    return {"messages": messages + (chat(rng, 1) if rng.random() < 0.2 else [])}


def conversation(rng):
    """One training conversation."""
    r = rng.random()
    if r < 0.22:
        return {"messages": chat(rng, 1)}
    if r < 0.62:
        return {"messages": chat(rng, 2 + int(rng.random() * (4 if rng.random() < 0.6 else 12)))}
    if r < 0.74:
        return styled(rng, 1 + int(rng.random() * 3))[0]
    if r < 0.83:
        return thoughtful(rng)[0]
    if r < 0.95:
        return tool_chat(rng)[0]
    return seen(rng)


def rows(seed, count, length, encoder):
    """Packed rows of token ids [count, length] with flags (1 = trained, 2 = soft), the start of each token's
    conversation in its row, and the word ids of soft positions inside `ids`. Padding has start 65535."""
    rng = random.Random(seed)
    ids, flags = np.zeros((count, length), np.uint16), np.zeros((count, length), np.uint8)
    start = np.full((count, length), 65535, np.uint16)
    spare = []

    def draw():
        while True:
            i, f, soft = encoder.encode(render(conversation(rng)))
            if len(i) <= length:
                i, f = np.array(i, np.uint16), np.array(f, np.uint8)
                for at, word in soft.items():
                    i[at], f[at] = word, 2
                return i, f

    for r in range(count):
        at = 0
        while True:
            room = length - at
            fit = next((k for k, s in enumerate(spare) if len(s[0]) <= room), None)
            if fit is None:
                if room < 24 or len(spare) > 24:
                    break
                spare.append(draw())
                continue
            i, f = spare.pop(fit)
            ids[r, at:at + len(i)], flags[r, at:at + len(i)], start[r, at:at + len(i)] = i, f, at
            at += len(i)
        while len(spare) > 24:
            spare.pop()
    return ids, flags, start


def evaluation(per_ability, seed):
    """Held-out prompts: {"id", "ability", "messages", "tools", "thinking", "expected"}; `expected` is the right reply, or a list
    of all right replies."""
    rng, out, count, prompts = random.Random(seed + 1), [], {}, set()

    def add(ability, conv, *replies):
        text = dumps([conv["messages"], conv.get("tools")])
        if count.get(ability, 0) >= per_ability or text in prompts:
            return
        prompts.add(text)
        expected = [{k: v for k, v in r.items() if k in ("content", "thinking", "tool_calls") and v} for r in replies]
        count[ability] = count.get(ability, 0) + 1
        out.append({"id": f"{ability} {count[ability]}", "ability": ability, "messages": conv["messages"], "tools": conv.get("tools") or [], "thinking": conv.get("thinking", False),
                    "expected": expected[0] if len(expected) == 1 else expected})

    for _ in range(per_ability * 4000):
        q = _draw(rng)
        if held(q.ability, q.key):
            before = chat(rng, 1 + int(rng.random() * 3)) if rng.random() < 0.25 else []
            add(q.ability, {"messages": before + [{"role": "user", "content": q.question}]}, *({"content": v.answer} for v in q.variants()))
        if len(count) >= FROM_MIX and min(count.values()) >= per_ability:
            break
    while count.get("memory", 0) < per_ability:
        state = memory.Memory()
        messages = chat(rng, 1 + int(rng.random() * 6), state)
        q = state.recall(rng)
        if held("memory", q.key) and (q.key.startswith("recall") or rng.random() < 0.15):
            add("memory", {"messages": messages + [{"role": "user", "content": q.question}]}, {"content": q.answer})
    while count.get("system prompts", 0) < per_ability:
        conv, right = styled(rng, 1, lambda name, q: held("system prompts", f"{name} {q.key}") and q.ability not in ("reversing", "counting letters"))
        add("system prompts", {"messages": conv["messages"][:-1]}, *({"content": a} for a in right))
    while count.get("thinking", 0) < per_ability:
        conv, _ = thoughtful(rng, True)
        add("thinking", {**conv, "messages": conv["messages"][:-1]}, conv["messages"][-1])
    while min(count.get("tool calls", 0), count.get("tool answers", 0)) < per_ability:
        conv, _ = tool_chat(rng, True)
        m = conv["messages"]
        at = next(i for i, x in enumerate(m) if x.get("tool_calls"))
        add("tool calls", {**conv, "messages": m[:at]}, m[at])
        add("tool answers", {**conv, "messages": m[:at + 2]}, m[at + 2])
    return out


def main():
    a = argparse.ArgumentParser(description=__doc__)
    a.add_argument("--show", type=int, default=0)
    a.add_argument("--eval", metavar="FILE")
    o = a.parse_args()
    if o.show:
        from template import text_of
        rng = random.Random(1)
        for _ in range(o.show):
            print(text_of(render(conversation(rng))) + "\n" + "-" * 60)
    if o.eval:
        cases = evaluation(CONFIG["evaluation"]["per_ability"], CONFIG["seed"])
        with open(o.eval, "w", encoding="utf-8") as f:
            f.writelines(dumps(c) + "\n" for c in cases)
        print(f"{o.eval}: {len(cases)} prompts, {len({c['ability'] for c in cases})} abilities")


if __name__ == "__main__":
    main()
