"""Spelling, reversing, counting letters, case, sorting words, repeating."""
from .common import QA, ask, pick
from .words import WORDS, NAMES, invented_word, ANIMALS, FOODS, OBJECTS, COLOURS

QUOTES = ["{}", "{}", "'{}'", '"{}"']
ORDINALS = ["first", "second", "third", "fourth"]


def _word(rng):
    r = rng.random()
    return pick(rng, WORDS) if r < 0.86 else pick(rng, NAMES).lower() if r < 0.92 else invented_word(rng)


def quoted(rng, w):
    return pick(rng, QUOTES).format(w)


def spell(rng):
    w = _word(rng)
    text = pick(rng, ["Spell {w}.", "Spell the word {w}.", "How do you spell {w}?", "Can you spell {w}?", "Please spell {w} for me.", "How is {w} spelled?", "What are the letters of {w}?"])
    return QA("spelling", ask(rng, text.format(w=quoted(rng, w)), frame=0.15), "-".join(w), f"spell {w}")


def reverse(rng):
    w = _word(rng)
    text = pick(rng, ["Reverse {w}.", "Reverse the word {w}.", "Spell {w} backwards.", "What is {w} backwards?", "Write {w} backwards.", "Say {w} in reverse.", "Can you reverse {w}?"])
    return QA("reversing", ask(rng, text.format(w=quoted(rng, w)), frame=0.15), f"{'-'.join(w)}, reversed: {'-'.join(w[::-1])}", f"reverse {w}")


def count_letters(rng):
    w = _word(rng)
    text = pick(rng, ["How many letters are in {w}?", "How many letters does {w} have?", "Count the letters in {w}.", "How long is the word {w}?", "What is the length of {w}?", "Number of letters in {w}?"])
    return QA("counting letters", ask(rng, text.format(w=quoted(rng, w)), frame=0.15), f"{'-'.join(w)}: {len(w)} letters.", f"length {w}")


def count_letter(rng):
    w = _word(rng)
    c = pick(rng, w) if rng.random() < 0.85 else pick(rng, "abcdefghilmnoprstu")
    n = w.count(c)
    text = pick(rng, ["How many {c}'s are in {w}?", "How many times does {c} appear in {w}?", "How many letters {c} are in {w}?", "Count the letter {c} in {w}.", "How many {c} in {w}?", "How often is {c} in {w}?"])
    say = "once" if n == 1 else "twice" if n == 2 else f"{n} times"
    marked, k = [], 0
    for x in w:
        k += x == c
        marked.append(f"{x}({k})" if x == c else x)
    answer = f"{'-'.join(marked)}: " + (f"there is no {c}." if n == 0 else f"{c} is there {say}.")
    return QA("counting letters", ask(rng, text.format(c=quoted(rng, c) if rng.random() < 0.3 else c, w=quoted(rng, w)), frame=0.15), answer, f"count {c} {w}")


def position(rng):
    w = _word(rng)
    i = pick(rng, [0, 0, 1, 2, -1, -1])
    if i >= len(w):
        i = 0
    name = "last" if i < 0 else ORDINALS[i]
    text = pick(rng, ["What is the {o} letter of {w}?", "What's the {o} letter in {w}?", "Which letter is {o} in {w}?", "Give me the {o} letter of {w}."])
    return QA("spelling", ask(rng, text.format(o=name, w=quoted(rng, w)), frame=0.15), f"The {name} letter of {w} is {w[i]}.", f"position {i} {w}", w[i])


def case(rng):
    n = 1 if rng.random() < 0.5 else 2 + int(rng.random() * 2)
    ws = [_word(rng) for _ in range(n)]
    text, upper = " ".join(ws), rng.random() < 0.75
    if upper:
        form = pick(rng, ["Write {w} in upper case.", "Write {w} in capital letters.", "Make {w} uppercase.", "Upper case: {w}", "Put {w} in capitals.", "Shout {w}!"])
        answer = text.upper()
    else:
        form = pick(rng, ["Write {w} in lower case.", "Make {w} lowercase.", "Lower case: {w}"])
        text, answer = text.upper(), text
    return QA("upper and lower case", ask(rng, form.format(w=quoted(rng, text)), frame=0.1), answer, f"case {upper} {text}", answer)


def spelled_out(rng):
    w = _word(rng)
    sep = pick(rng, ["-", " ", ", "])
    text = pick(rng, ["What word is {s}?", "Which word is spelled {s}?", "What does {s} spell?", "Join these letters: {s}"])
    return QA("spelling", ask(rng, text.format(s=sep.join(w)), frame=0.1), f"The word is {w}.", f"join {w}", w)


def repeat(rng):
    w, n = _word(rng), 2 + int(rng.random() * 5)
    text = pick(rng, ["Repeat {w} {n} times.", "Say {w} {n} times.", "Write {w} {n} times.", "Can you say {w} {n} times?"])
    return QA("repeating", ask(rng, text.format(w=quoted(rng, w), n=n), frame=0.1), " ".join([w] * n), f"repeat {w} {n}")


def echo(rng):
    n = 2 + int(rng.random() * 4)
    text = " ".join(_word(rng) for _ in range(n))
    form = pick(rng, ["Repeat after me: {t}", "Say: {t}", "Say exactly: {t}", "Copy this: {t}", "Echo: {t}"])
    return QA("repeating", ask(rng, form.format(t=text), frame=0).rstrip("."), text, f"echo {text}")


def alphabetical(rng):
    pool = pick(rng, [ANIMALS, FOODS, OBJECTS, COLOURS, WORDS])
    n = 3 + int(rng.random() * 3)
    ws = []
    while len(ws) < n:
        w = pick(rng, pool)
        if w not in ws and all(w[0] != o[0] for o in ws):
            ws.append(w)
    text = pick(rng, ["Sort {x} alphabetically.", "Put these words in alphabetical order: {x}", "Sort these words: {x}", "Alphabetical order: {x}", "Order {x} from A to Z."])
    return QA("lists", ask(rng, text.format(x=", ".join(ws)), frame=0.1), ", ".join(sorted(ws)), f"sort {ws}")


def reverse_list(rng):
    n = 3 + int(rng.random() * 3)
    ws = [_word(rng) for _ in range(n)]
    text = pick(rng, ["Reverse the order of these words: {x}", "Write these words in reverse order: {x}", "Reverse this list: {x}"])
    return QA("lists", ask(rng, text.format(x=", ".join(ws)), frame=0.1), ", ".join(ws[::-1]), f"reverse list {ws}")


def count_words(rng):
    n = 2 + int(rng.random() * 8)
    ws = " ".join(_word(rng) for _ in range(n))
    text = pick(rng, ["How many words are in: {x}", "Count the words: {x}", "How many words are in '{x}'?"])
    return QA("counting letters", ask(rng, text.format(x=ws), frame=0), f"There are {n} words.", f"words {ws}")
