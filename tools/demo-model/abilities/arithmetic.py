"""Sums, differences, products and what goes with small numbers."""
from .common import QA, ask, pick, cap

NUMBER_WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty""".split()
SIGNS = {"+": ["+", "+", "+", "plus"], "-": ["-", "-", "-", "minus"], "*": ["*", "x", "times", "×"]}
FORMS = ["What is {}?", "What's {}?", "Calculate {}.", "{} = ?", "{}", "{}=", "How much is {}?", "Compute {}", "Solve {}.",
         "What does {} equal?", "Can you calculate {}?", "Work out {}", "Please add up: {}", "I need {}", "{} is what?"]


def _pair(rng, op):
    if op == "*":
        return int(rng.random() * 13), int(rng.random() * 13)
    top = 10 if rng.random() < 0.15 else 100 if rng.random() < 0.6 else 1000
    a, b = int(rng.random() * top), int(rng.random() * top)
    return (max(a, b), min(a, b)) if op == "-" and rng.random() < 0.85 else (a, b)


def value(a, op, b):
    return a + b if op == "+" else a - b if op == "-" else a * b


def calculation(rng):
    op = pick(rng, "++--*")
    a, b = _pair(rng, op)
    sign = pick(rng, SIGNS[op])
    expr = f"{a}{sign}{b}" if sign in "+-*x×" and rng.random() < 0.3 else f"{a} {sign} {b}"
    form = pick(rng, FORMS[:-3] + [FORMS[-2], FORMS[-1]] + ([FORMS[-3]] if op == "+" else []))
    text, result = form.format(expr), value(a, op, b)
    key = f"{a}{op}{b}" if op != "*" else text  # the times table is closed: hold out the phrasing
    return QA("arithmetic", ask(rng, text, frame=0.2), f"{a} {op} {b} = {result}", key, str(result))


def too_large(rng):
    """Sums beyond three digits, products beyond the times table, divisions that are not in it."""
    r = rng.random()
    big = lambda: int(rng.random() * pick(rng, [10 ** 4, 10 ** 5, 10 ** 6, 10 ** 7])) + 1000
    if r < 0.4:
        a, b, op = big(), (big() if rng.random() < 0.5 else int(rng.random() * 1000)), pick(rng, "+-")
        if rng.random() < 0.3:
            a, b = b, a
        answer = "Those numbers are too large for me. I can add and subtract up to 999."
    elif r < 0.75:
        a, b, op = 13 + int(rng.random() * pick(rng, [20, 100, 1000])), 2 + int(rng.random() * pick(rng, [12, 100, 1000])), "*"
        if rng.random() < 0.4:
            a, b = b, a
        answer = "I only know the times table, up to 12 times 12."
    else:
        a, b, op = 13 + int(rng.random() * 1000), 2 + int(rng.random() * 30), "/"
        if a % b == 0 and a // b <= 12 and b <= 12:
            a += 1
        answer = "I can only divide what is in the times table."
    sign = pick(rng, ["/", "/", "divided by", ":"]) if op == "/" else pick(rng, SIGNS[op])
    text = pick(rng, FORMS[:9]).format(f"{a} {sign} {b}" if rng.random() < 0.7 or len(sign) > 1 else f"{a}{sign}{b}")
    return QA("what it cannot know", ask(rng, text, frame=0.2), answer, f"{a}{op}{b}")


def division(rng):
    a, b = int(rng.random() * 13), 1 + int(rng.random() * 12)
    text = pick(rng, FORMS[:9]).format(f"{a * b} {pick(rng, ['/', '/', 'divided by', ':'])} {b}")
    return QA("arithmetic", ask(rng, text, frame=0.2), f"{a * b} / {b} = {a}", text, str(a))


def compare(rng):
    a, b = int(rng.random() * 1000), int(rng.random() * 1000)
    if rng.random() < 0.5:
        a, b = a % 100, b % 100
    if a == b:
        b += 1
    larger = rng.random() < 0.5
    word = pick(rng, ["larger", "bigger", "greater"] if larger else ["smaller", "less"])
    text = pick(rng, ["Which is {w}, {a} or {b}?", "Which number is {w}: {a} or {b}?", "What is {w}, {a} or {b}?", "{a} or {b}: which is {w}?"])
    r, other = (max(a, b), min(a, b)) if larger else (min(a, b), max(a, b))
    return QA("arithmetic", ask(rng, text.format(w=word, a=a, b=b), frame=0.2), f"{r} is {'larger' if larger else 'smaller'} than {other}.", f"cmp {a} {b}", str(r))


def parity(rng):
    n = int(rng.random() * 1000)
    kind = "even" if n % 2 == 0 else "odd"
    text = pick(rng, ["Is {n} even or odd?", "Is {n} odd or even?", "Even or odd: {n}?", "Is the number {n} even or odd?"])
    return QA("arithmetic", ask(rng, text.format(n=n), frame=0.2), f"{n} is {kind}.", f"parity {n}", kind)


def neighbour(rng):
    n = int(rng.random() * 999)
    how = pick(rng, ["after", "before", "double", "half"])
    if how == "after":
        text, r, say = pick(rng, ["What number comes after {n}?", "Which number follows {n}?", "What is the next number after {n}?"]), n + 1, "After {n} comes {r}."
    elif how == "before":
        n += 1
        text, r, say = pick(rng, ["What number comes before {n}?", "Which number is just before {n}?"]), n - 1, "Before {n} comes {r}."
    elif how == "double":
        n %= 500
        text, r, say = pick(rng, ["What is double {n}?", "Double {n}.", "What is twice {n}?"]), 2 * n, "Double {n} is {r}."
    else:
        n = n // 2 * 2
        text, r, say = pick(rng, ["What is half of {n}?", "Half of {n}?", "Divide {n} by 2."]), n // 2, "Half of {n} is {r}."
    return QA("arithmetic", ask(rng, text.format(n=n), frame=0.2), say.format(n=n, r=r), f"{how} {n}", str(r))


def in_words(rng):
    a, b = int(rng.random() * 11), int(rng.random() * 10)
    op = pick(rng, ["plus", "minus", "times"])
    if op == "minus" and a < b:
        a, b = b, a
    r = value(a, {"plus": "+", "minus": "-", "times": "*"}[op], b)
    text = pick(rng, FORMS[:8]).format(f"{NUMBER_WORDS[a]} {op} {NUMBER_WORDS[b]}")
    return QA("arithmetic", ask(rng, cap(text), frame=0.2), f"{a} {dict(plus='+', minus='-', times='*')[op]} {b} = {r}", text, str(r))


def counting(rng):
    a = int(rng.random() * 30)
    n = 3 + int(rng.random() * 8)
    if rng.random() < 0.25:
        text = pick(rng, ["Count to {t}.", "Count up to {t}.", "Can you count to {t}?"]).format(t=n + a % 12)
        return QA("lists", ask(rng, text, frame=0.15), ", ".join(map(str, range(1, n + a % 12 + 1))) + ".", text)
    down, step = rng.random() < 0.35, 1 if rng.random() < 0.7 else pick(rng, [2, 5, 10])
    seq = [a + step * i for i in range(n)]
    if down:
        seq.reverse()
    by = f" by {step}s" if step > 1 else ""
    text = pick(rng, ["Count from {f} to {t}{b}.", "Count {d}from {f} to {t}{b}", "Can you count from {f} to {t}{b}?", "List the numbers from {f} to {t}{b}."])
    text = text.format(f=seq[0], t=seq[-1], b=by, d="down " if down else "up ")
    return QA("lists", ask(rng, text, frame=0.15), ", ".join(map(str, seq)) + ".", f"count {seq[0]} {seq[-1]} {step}")


def sort_numbers(rng):
    n = 3 + int(rng.random() * 4)
    xs = [int(rng.random() * 100) for _ in range(n)]
    up = rng.random() < 0.7
    text = pick(rng, ["Sort {x}.", "Sort these numbers: {x}", "Put {x} in order.", "Order these numbers: {x}"])
    if not up:
        text = pick(rng, ["Sort {x} from high to low.", "Sort these numbers from largest to smallest: {x}"])
    sep = pick(rng, [", ", " ", ", "])
    return QA("lists", ask(rng, text.format(x=sep.join(map(str, xs))), frame=0.15), ", ".join(map(str, sorted(xs, reverse=not up))) + ".", f"sort {xs} {up}")


def largest(rng):
    n = 3 + int(rng.random() * 4)
    xs = [int(rng.random() * 100) for _ in range(n)]
    which = pick(rng, ["largest", "smallest"])
    word = which if rng.random() < 0.6 else {"largest": "biggest", "smallest": "lowest"}[which]
    r = max(xs) if which == "largest" else min(xs)
    text = pick(rng, ["What is the {w} of {x}?", "Which number is the {w}: {x}?", "Find the {w} number in {x}."])
    return QA("lists", ask(rng, text.format(w=word, x=", ".join(map(str, xs))), frame=0.15), f"The {which} number is {r}.", f"{which} {xs}", str(r))
