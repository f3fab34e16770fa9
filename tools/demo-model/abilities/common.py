"""What every ability shares: the question-answer record, phrasing noise, the held-out rule."""
import zlib
from dataclasses import dataclass

HELD_OUT = 16  # one content key in sixteen never occurs in training


@dataclass
class QA:
    """One user message and its only right answer.

    `key` names the content: the held-out rule works on it. `short` is the answer in one word or
    number where there is one; system prompts such as "answer with one word" need it.
    """
    ability: str
    question: str
    answer: str
    key: str
    short: str | None = None


def held(ability, key):
    """True for content that belongs to the evaluation set."""
    return zlib.crc32(f"{ability}|{key}".lower().encode()) % HELD_OUT == 0


def pick(rng, items):
    return items[int(rng.random() * len(items))]


def cap(text):
    return text[:1].upper() + text[1:]


OPEN = ["", "", "", "", "", "", "Hey, ", "Hi, ", "Please tell me, ", "Tell me, ", "Quick question: ", "Can you tell me, ",
        "I wonder, ", "So, ", "OK, ", "Question: ", "Hello! ", "Um, "]
CLOSE = ["", "", "", "", "", "", " please", " thanks", " Thank you.", " I want to know."]


def typo(rng, text):
    """Swaps, drops or doubles one letter inside a word of four or more letters."""
    spots = [i for i in range(1, len(text) - 2) if text[i - 1].isalpha() and text[i].isalpha() and text[i + 1].isalpha() and text[i + 2].isalpha()]
    if not spots:
        return text
    i, how = pick(rng, spots), rng.random()
    if how < 0.5:
        return text[:i] + text[i + 1] + text[i] + text[i + 2:]
    return text[:i] + text[i + 1:] if how < 0.8 else text[:i] + text[i] + text[i:]


def ask(rng, text, typos=0.0, frame=0.3):
    """A question as people type it: with an opener, in lower case, without its mark, with a slip."""
    if frame and rng.random() < frame:
        opener = pick(rng, OPEN)
        if opener:
            text = opener + (text[:1].lower() + text[1:] if opener.endswith(", ") and text[:2] != "I " else text)
        close = pick(rng, CLOSE)
        if close:
            text = (text.rstrip("?.! ") + "," + close + ("?" if "?" in text else "")) if close[1].islower() else text + close
    r = rng.random()
    if r < 0.12:
        text = text.rstrip("?.!")
    elif r < 0.24:
        text = text[:1].lower() + text[1:]
    elif r < 0.36:
        text = (text[:1].lower() + text[1:]).rstrip("?.!")
    if typos and rng.random() < typos:
        text = typo(rng, text)
    return text
