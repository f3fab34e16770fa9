"""What every ability shares: the question-answer record, phrasing noise, the held-out rule."""
import zlib
from dataclasses import dataclass, replace

HELD_OUT = 16  # one content key in sixteen never occurs in training


@dataclass
class QA:
    """One user message and its right answer.

    `key` names the content: the held-out rule works on it. `short` is the answer in one word or
    number where there is one; system prompts such as "answer with one word" need it. Where several answers
    are right, `choices` holds all of them as (answer, short), and `answer` is the one that was drawn.
    """
    ability: str
    question: str
    answer: str
    key: str
    short: str | None = None
    choices: tuple = ()

    def variants(self):
        """This question with each of its right answers."""
        return [replace(self, answer=a, short=s, choices=()) for a, s in self.choices] or [self]


def one_of(rng, ability, question, choices, key):
    """A question with several right answers, one of them drawn uniformly. `choices` are texts, or (text, short) pairs."""
    pairs = tuple(dict.fromkeys(c if isinstance(c, tuple) else (c, None) for c in choices))
    answer, short = pick(rng, pairs)
    return QA(ability, question, answer, key, short, pairs if len(pairs) > 1 else ())


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


EMOJI = "😀 😃 😄 😁 😂 🙂 😉 😊 😍 😎 🤔 😢 😭 😡 😴 🤖 👋 👍 👎 👏 🙏 💪 ❤️ 💔 ✨ ⭐ 🔥 🎉 🎂 🌈 ☀️ 🌧️ ❄️ 🌍 🌙 🐱 🐶 🦙 🐟 🦊 🍎 🍕 🍰 ☕ 🚗 🚀 🏠 ⚽ 🎵 📚 💻 📱 🔑 🇯🇵 🇫🇷 ✅ ❌ ❓".split()


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
    if frame and rng.random() < 0.015:  # an emoji after English is no other language
        text += " " + pick(rng, EMOJI)
    return text
