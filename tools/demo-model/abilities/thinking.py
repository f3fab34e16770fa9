"""Questions answered after a thought: the thought is written out step by step, then the answer."""
from .common import QA, ask, pick
from .text_tasks import quoted
from .words import WORDS, NAMES, FOODS, invented_name

ITEMS = "apples pears eggs books coins stones cards balls pens shells nuts stamps stars flowers cookies".split()


def letters(rng):
    w = pick(rng, WORDS)
    c = pick(rng, w) if rng.random() < 0.85 else pick(rng, "aeiorstnl")
    seen, steps = 0, []
    for x in w:
        seen += x == c
        steps.append(f"{x} ({seen})" if x == c else x)
    text = pick(rng, ["How many {c}'s are in {w}?", "How many times does {c} appear in {w}?", "Count the letter {c} in {w}.", "How many letters {c} are in {w}?", "How many {c} in {w}?"])
    say = "once" if seen == 1 else "twice" if seen == 2 else f"{seen} times"
    answer = f"There is no {c} in {w}." if seen == 0 else f"The letter {c} is in {w} {say}."
    return ask(rng, text.format(c=c, w=quoted(rng, w)), frame=0.1), "I go through the letters: " + ", ".join(steps) + f". That makes {seen}.", answer, f"letters {c} {w}"


def chain(rng):
    n = 2 + int(rng.random() * 2)
    total, expr, steps = int(rng.random() * 60), "", []
    expr = str(total)
    for _ in range(n):
        b = int(rng.random() * 50)
        op = "+" if rng.random() < 0.55 or b > total else "-"
        new = total + b if op == "+" else total - b
        steps.append(f"{total} {op} {b} = {new}")
        expr, total = f"{expr} {op} {b}", new
    text = pick(rng, ["What is {}?", "Calculate {}.", "{}", "{} = ?", "How much is {}?"]).format(expr)
    return ask(rng, text, frame=0.1), ". ".join(steps) + ".", f"{expr} = {total}", f"chain {expr}"


def word_problem(rng):
    name = pick(rng, NAMES) if rng.random() < 0.7 else invented_name(rng)
    item, total = pick(rng, ITEMS), 2 + int(rng.random() * 60)
    parts, steps = [f"{name} has {total} {item}."], []
    start = total
    for _ in range(1 + int(rng.random() * 2)):
        b = 1 + int(rng.random() * 30)
        if rng.random() < 0.5 or b > total:
            parts.append(pick(rng, ["{n} gets {b} more.", "{n} finds {b} more.", "{n} buys {b} more."]).format(n=name, b=b))
            steps.append(f"{total} + {b} = {total + b}")
            total += b
        else:
            parts.append(pick(rng, ["{n} gives away {b}.", "{n} loses {b}.", "{n} sells {b}."]).format(n=name, b=b))
            steps.append(f"{total} - {b} = {total - b}")
            total -= b
    parts.append(pick(rng, ["How many {i} does {n} have now?", "How many {i} are left?", "How many {i} now?"]).format(i=item, n=name))
    return " ".join(parts), f"{name} starts with {start}. " + ". ".join(steps) + ".", f"{name} has {total} {item} now.", "word " + " ".join(parts)


def backwards(rng):
    w = pick(rng, WORDS)
    text = pick(rng, ["Reverse {w}.", "Spell {w} backwards.", "Write {w} backwards.", "What is {w} backwards?"])
    return ask(rng, text.format(w=quoted(rng, w)), frame=0.1), f"The letters are {', '.join(w)}. From the end: {', '.join(w[::-1])}.", "-".join(w[::-1]), f"backwards {w}"


def order(rng):
    xs = [int(rng.random() * 100) for _ in range(3 + int(rng.random() * 3))]
    big = rng.random() < 0.5
    best, steps = xs[0], []
    for x in xs[1:]:
        if (x > best) == big and x != best:
            steps.append(f"{x} is {'larger' if big else 'smaller'} than {best}")
            best = x
        else:
            steps.append(f"{best} stays")
    word = "largest" if big else "smallest"
    return ask(rng, pick(rng, ["What is the {w} of {x}?", "Which number is the {w}: {x}?", "Find the {w} number in {x}."]).format(w=word, x=", ".join(map(str, xs))), frame=0.1), f"I start with {xs[0]}. " + ", ".join(steps) + ".", f"The {word} number is {best}.", f"order {xs} {big}"


def thought(rng):
    """(question, thought, answer, key) of a task that deserves a thought."""
    f = (letters, letters, chain, chain, word_problem, word_problem, backwards, order)
    return f[int(rng.random() * len(f))](rng)


def simple(rng, qa: QA):
    """A thought for an ordinary question."""
    known = {"what it cannot know": "I have no way to know this.", "other languages": "This is not English."}
    return known.get(qa.ability, "This is a simple question.")
