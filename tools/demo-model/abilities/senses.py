"""Pictures and sounds as scenes: the questions and answers, and the words that stand in for soft tokens.

The text model first learns to answer about a scene from *words* placed at soft positions (each word's own
embedding among empty ones); a tower then only has to turn a picture or a sound into such embeddings.
"""
from .common import QA, ask, pick

SHAPES = "circle square triangle star cross".split()
PAINT = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (40, 80, 220), "yellow": (240, 210, 40), "black": (20, 20, 20), "orange": (245, 140, 30), "purple": (140, 50, 170)}
COUNT = "zero one two three four five six".split()
PICTURE_ASKS = ["What is in the picture?", "What do you see?", "Describe the picture.", "What is this?", "What does the image show?", "Tell me what you see."]
SOUND_ASKS = ["What do you hear?", "What is this sound?", "Describe the sound.", "What is in the recording?", "Tell me what you hear."]


def picture(rng):
    """(scene, words at soft positions, QA). A scene is shapes of one kind and colour, or a digit."""
    if rng.random() < 0.35:
        d = int(rng.random() * 10)
        text = pick(rng, PICTURE_ASKS + ["Which digit is this?", "Which number do you see?", "What number is in the picture?"])
        return {"digit": d}, ["digit", str(d)], QA("pictures", ask(rng, text, frame=0.1), f"I see the digit {d}.", f"digit {d} {text}", str(d))
    n, colour, shape = 1 + int(rng.random() * 5), pick(rng, list(PAINT)), pick(rng, SHAPES)
    words = [COUNT[n], colour, shape]
    scene = {"count": n, "colour": colour, "shape": shape}
    plural = shape + ("es" if shape.endswith("s") else "s")
    r = rng.random()
    if r < 0.55:
        text, answer = pick(rng, PICTURE_ASKS), f"I see {COUNT[n]} {colour} {shape if n == 1 else plural}."
    elif r < 0.7:
        text, answer = pick(rng, ["What colour is it?", "Which colour do you see?", "What color are the shapes?"]), f"The colour is {colour}."
    elif r < 0.85:
        text, answer = pick(rng, ["How many shapes are there?", "How many do you see?", "Count the shapes."]), f"There {'is' if n == 1 else 'are'} {COUNT[n]}."
    else:
        text, answer = pick(rng, ["Which shape is it?", "What shape do you see?", "Name the shape."]), f"The shape is a {shape}."
    return scene, words, QA("pictures", ask(rng, text, frame=0.1), answer, f"{n} {colour} {shape}")


def sound(rng):
    """(scene, words at soft positions, QA). A scene is a tone, beeps to count, or a spoken digit."""
    r = rng.random()
    if r < 0.5:
        d = int(rng.random() * 10)
        text = pick(rng, SOUND_ASKS + ["Which digit is spoken?", "What number do you hear?", "Which number is said?"])
        return {"spoken": d}, ["voice", str(d)], QA("sounds", ask(rng, text, frame=0.1), f"I hear a voice saying {d}.", f"spoken {d} {text}", str(d))
    if r < 0.75:
        n = 1 + int(rng.random() * 5)
        text = pick(rng, SOUND_ASKS + ["How many beeps do you hear?", "Count the beeps."])
        return {"beeps": n}, ["beep", COUNT[n]], QA("sounds", ask(rng, text, frame=0.1), f"I hear {COUNT[n]} beep{'s' if n > 1 else ''}.", f"beeps {n} {text}", str(n))
    kind = pick(rng, ["high", "low", "rising", "falling"])
    text = pick(rng, SOUND_ASKS + ["Is the tone high or low?", "What kind of tone is it?"])
    return {"tone": kind}, ["tone", kind], QA("sounds", ask(rng, text, frame=0.1), f"I hear a {kind} tone.", f"tone {kind} {text}", kind)
