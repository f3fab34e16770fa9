"""Messages in other languages and scripts, or of emoji alone: one polite English sentence answers them all.

What a model of this size can learn is to notice that a text is not English. It sees sentences, words of a language
in any order, and letters of a script in any order; scripts and sentences that are held out test what it makes of new ones.
"""
import os

from .common import EMOJI, QA, held, pick

SORRY = "I am sorry, but I only speak English."
UNSEEN = ["Danish", "Esperanto", "Georgian", "Telugu"]  # languages, and with them scripts, that training never has
HERE = os.path.dirname(os.path.abspath(__file__))


def _read():
    """{language: (sentences, words)} of languages.txt: a line is `language|sentence` or `language:word word ...`."""
    table = {}
    with open(os.path.join(HERE, "languages.txt"), encoding="utf-8") as f:
        for line in filter(None, map(str.strip, f)):
            at = min(i for i in (line.find("|"), line.find(":")) if i > 0)
            sentences, words = table.setdefault(line[:at], ([], []))
            sentences.append(line[at + 1:]) if line[at] == "|" else words.extend(line[at + 1:].split())
    return table


LANGUAGES = _read()
SPACED = "Greek 0391-03A1 03A3-03C9;Cyrillic 0410-044F;Armenian 0531-0556 0561-0586;Hebrew 05D0-05EA;Arabic 0621-063A 0641-064A;Syriac 0710-072C;Devanagari 0905-0939 093E-094C;Bengali 0985-098C 0995-09A8 09AA-09B0;Gurmukhi 0A05-0A0A 0A15-0A28;Gujarati 0A85-0A8B 0A95-0AA8;Tamil 0B85-0B8A 0BA8-0BAA 0BAE-0BB9;Telugu 0C05-0C0C 0C15-0C28;Kannada 0C85-0C8C 0C95-0CA8;Malayalam 0D05-0D0C 0D15-0D28;Sinhala 0D85-0D96 0D9A-0DB1;Georgian 10D0-10F0;Ethiopic 1200-1246 1260-1286;Cherokee 13A0-13EF;Tifinagh 2D30-2D65;Mongolian 1820-1842;Hangul AC00-D7A3"
UNSPACED = "Thai 0E01-0E2E 0E40-0E44;Lao 0E81-0E82 0E94-0E97 0EC0-0EC4;Tibetan 0F40-0F47 0F49-0F6C;Burmese 1000-1021;Khmer 1780-17A2;Hiragana 3041-3093;Katakana 30A1-30FA;Kana 3041-3093 30A1-30FA 4E00-9FA5;Han 4E00-9FA5;common Han 4E00-5FFF"


def _letters(text):
    """{script: all its letters} of `name from-to from-to;...`, in hexadecimal."""
    ranges = {s.rstrip("0123456789ABCDEF- "): [r.split("-") for r in s.split() if "-" in r] for s in text.split(";")}
    return {name: [chr(c) for a, b in rs for c in range(int(a, 16), int(b, 16) + 1)] for name, rs in ranges.items()}


SCRIPTS = {name: (letters, spaced) for table, spaced in ((SPACED, True), (UNSPACED, False)) for name, letters in _letters(table).items()}
MARKS = {"Hebrew": "?", "Arabic": "؟", "Hiragana": "？。", "Katakana": "？。", "Kana": "？。！", "Han": "？。！", "common Han": "？。！", "Devanagari": "।?", "Ethiopic": "።", "Armenian": "։", "Burmese": "။", "Khmer": "។"}


def _key(name, text):
    """The key of a text: itself, or one that is held out where the whole language or script is."""
    return next(k for k in (f"{name} {i}" for i in range(1000)) if held("other languages", k)) if name in UNSEEN else text


def sentence(rng):
    """(text, key): a sentence of a language as it is listed."""
    language = pick(rng, list(LANGUAGES))
    text = pick(rng, LANGUAGES[language][0])
    return text, _key(language, text)


def salad(rng):
    """Words of a language in any order."""
    language = pick(rng, [k for k, (_, words) in LANGUAGES.items() if words])
    words = " ".join(pick(rng, LANGUAGES[language][1]) for _ in range(3 + int(rng.random() * 7)))
    words = words[:1].upper() + words[1:] + pick(rng, ["?", "?", ".", "!", ""]) if rng.random() < 0.7 else words
    return words, _key(language, words)


def scribble(rng):
    """Letters of a script in any order, as words where it writes spaces."""
    name = pick(rng, list(SCRIPTS))
    letters, spaced = SCRIPTS[name]
    if len(letters) > 200:  # a text uses few of many signs
        letters = [pick(rng, letters) for _ in range(60)]
    words = ["".join(pick(rng, letters) for _ in range(1 + int(rng.random() * (7 if spaced else 12)))) for _ in range(1 + int(rng.random() * (6 if spaced else 2)))]
    text = (" " if spaced else pick(rng, ["", "、", " "])).join(words) + (pick(rng, MARKS.get(name, "?.!")) if rng.random() < 0.5 else "")
    return text, _key(name, text)


def quotation(rng):
    """A sentence for a question in English about it; none that is held out."""
    while True:
        text, key = sentence(rng)
        if not held("other languages", key):
            return text


def emoji(rng):
    text = pick(rng, ["", "", " "]).join(pick(rng, EMOJI) for _ in range(1 + int(rng.random() * 5)))
    return text, f"emoji {text}"


def other_language(rng):
    r = rng.random()
    text, key = (sentence if r < 0.5 else salad if r < 0.72 else scribble if r < 0.92 else emoji)(rng)
    r = rng.random()
    if r < 0.12:
        text = text.lower()
    elif r < 0.24:
        text = text.rstrip("?.!？。！")
    elif r < 0.28:
        text += " " + pick(rng, EMOJI)
    elif r < 0.34 and len(text) < 60:
        more, other = (sentence if rng.random() < 0.5 else salad)(rng)
        text += " " + more
        key = next((k for k in (key, other) if held("other languages", k)), text)
    elif r < 0.38:  # a longer text
        parts = [sentence(rng) for _ in range(3 + int(rng.random() * 5))]
        text = " ".join(t for t, _ in parts)
        key = next((k for _, k in parts if held("other languages", k)), text)
    return QA("other languages", text, SORRY, key)
