"""System prompts that change how every answer looks."""
from .common import pick, cap
from .words import NAMES, invented_name

ROLES = "robot wizard pirate cat llama librarian chef knight astronaut gardener detective captain teacher parrot".split()


def _upper(rng):
    return pick(rng, ["Answer in upper case.", "Write everything in capital letters.", "Always answer in UPPERCASE.", "Use only capital letters."]), lambda q: q.answer.upper()


def _lower(rng):
    return pick(rng, ["Answer in lower case.", "Write everything in small letters.", "Use only lower case letters."]), lambda q: q.answer.lower()


def _one_word(rng):
    return pick(rng, ["Answer with one word.", "Answer in a single word.", "Reply with one word only.", "Only one word per answer.", "Give just the result, nothing else."]), lambda q: q.short


def _pirate(rng):
    return pick(rng, ["You are a pirate.", "Talk like a pirate.", "Answer like a pirate.", "Be a pirate."]), lambda q: f"Arrr! {q.answer} Aye!"


def _polite(rng):
    return pick(rng, ["You are a butler.", "Be very polite.", "Talk like a butler.", "Answer like a butler."]), lambda q: f"Certainly. {q.answer} At your service."


def _robot(rng):
    return pick(rng, ["You are a robot.", "Talk like a robot.", "Answer like a robot."]), lambda q: f"BEEP. {q.answer} BOOP."


def _ending(rng):
    end = pick(rng, ["Over.", "Meow.", "Cheers!", "Amen.", "Have a nice day!", "Bye!", "Ahoy!", "Peace.", "Done.", "Yours truly."])
    return pick(rng, ["End every answer with '{e}'", "Always end with '{e}'", "Finish each answer with '{e}'"]).format(e=end), lambda q: f"{q.answer} {end}"


def _starting(rng):
    start = pick(rng, ["Well,", "My friend,", "Listen:", "Answer:", "Hmm,", "Look:", "Hey!", "Dear visitor,", "Ahem."])
    return pick(rng, ["Start every answer with '{s}'", "Always begin with '{s}'", "Begin each answer with '{s}'"]).format(s=start), lambda q: f"{start} {q.answer}"


def _named(rng):
    name = pick(rng, NAMES) if rng.random() < 0.5 else invented_name(rng)
    role = pick(rng, ROLES)
    text = pick(rng, ["Your name is {n}.", "You are {n}, a friendly {r}.", "You are called {n}.", "You are {n} the {r}."]).format(n=name, r=role)
    return text, lambda q: f"I am {name}{', a friendly ' + role if 'a friendly' in text else ' the ' + role if ' the ' in text else ''}." if "Who are you?" in q.key else q.answer


def _json(rng):
    return pick(rng, ["Answer in JSON with the key answer.", "Reply only with JSON: {\"answer\": ...}", "Always answer as a JSON object with one key, answer."]), lambda q: '{"answer": "' + (q.short or q.answer) + '"}'


def _plain(rng):
    return pick(rng, ["You are a helpful assistant.", "Be brief.", "You are rullama's demo model.", "Be friendly.", "Answer truthfully.", "You are a helpful and honest assistant.", "Answer in English."]), lambda q: q.answer


STYLES = {"upper": _upper, "lower": _lower, "one word": _one_word, "pirate": _pirate, "butler": _polite, "robot": _robot, "ending": _ending, "starting": _starting, "named": _named, "json": _json, "plain": _plain}


def style(rng):
    """(name, system text, function from a QA to the styled answer, or None where the style cannot apply)."""
    name = pick(rng, list(STYLES))
    text, apply = STYLES[name](rng)
    return name, text, apply
