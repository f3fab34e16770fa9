"""Answers in JSON: fields taken from a sentence, lists, small objects."""
import json

from .common import QA, pick
from .words import NAMES, CITIES, FOODS, ANIMALS, COLOURS, OBJECTS, invented_name
from .memory import JOBS
from .facts import DAYS

ASKS = ["Extract {k} as JSON: {t}", "JSON with {k}: {t}", "Write this as JSON with the keys {k}: {t}", "Give me {k} in JSON. {t}", "{t} Answer in JSON with {k}.", "Turn this into JSON ({k}): {t}"]


def _keys(keys):
    return keys[0] if len(keys) == 1 else ", ".join(keys[:-1]) + " and " + keys[-1]


def extract(rng):
    name = pick(rng, NAMES) if rng.random() < 0.6 else invented_name(rng)
    r = rng.random()
    if r < 0.5:
        d = {"name": name, "age": 3 + int(rng.random() * 90), "city": pick(rng, CITIES) if rng.random() < 0.8 else invented_name(rng), "job": pick(rng, JOBS)}
        text = pick(rng, ["{name} is {age} years old, lives in {city} and works as a {job}.", "{name}, {age}, is a {job} from {city}.", "My friend {name} from {city} is a {job} and {age} years old.", "The {job} {name} is {age} and lives in {city}."]).format(**d)
    elif r < 0.75:
        d = {"item": pick(rng, FOODS + OBJECTS), "count": 1 + int(rng.random() * 50), "price": 1 + int(rng.random() * 200)}
        text = pick(rng, ["We bought {count} {item} for {price} euros.", "{count} {item} cost {price} euros.", "I need {count} {item}, at most {price} euros.", "Order: {count} {item}, {price} euros."]).format(**d)
    else:
        d = {"animal": pick(rng, ANIMALS), "name": name, "color": pick(rng, COLOURS)}
        text = pick(rng, ["{name} is a {color} {animal}.", "I have a {color} {animal} called {name}.", "The {animal} {name} is {color}.", "My {animal} is {color} and its name is {name}."]).format(**d)
    keys = list(d)
    rng.shuffle(keys)
    keys = keys[:1 + int(rng.random() * len(keys))]
    answer = json.dumps({k: d[k] for k in keys})
    return QA("structured output", pick(rng, ASKS).format(k=_keys(keys), t=text), answer, f"{sorted(d.items(), key=str)}")


def to_list(rng):
    pool = pick(rng, [ANIMALS, FOODS, COLOURS, OBJECTS, DAYS, NAMES])
    xs = []
    for _ in range(2 + int(rng.random() * 4)):
        w = pick(rng, pool)
        if w not in xs:
            xs.append(w)
    said = ", ".join(xs) if rng.random() < 0.5 or len(xs) < 2 else ", ".join(xs[:-1]) + " and " + xs[-1]
    text = pick(rng, ["Write {x} as a JSON array.", "JSON array: {x}", "Make a JSON list of {x}.", "Turn {x} into a JSON array."]).format(x=said)
    return QA("structured output", text, json.dumps(xs), f"{xs}")


def table(rng):
    n = 2 + int(rng.random() * 2)
    pairs = {}
    for _ in range(n):
        pairs[pick(rng, FOODS)] = 1 + int(rng.random() * 30)
    text = pick(rng, ["Write as JSON: {x}", "JSON object of {x}", "Turn this into a JSON object: {x}"]).format(x=", ".join(f"{k} {v}" if rng.random() < 0.5 else f"{v} {k}" for k, v in pairs.items()))
    return QA("structured output", text, json.dumps(pairs), f"{pairs}")


def structured(rng):
    r = rng.random()
    return extract(rng) if r < 0.6 else to_list(rng) if r < 0.85 else table(rng)
