"""Rhymes and short stories from a grammar. The subject decides the text, so that there is one right answer."""
import zlib

from .common import QA, ask, pick, cap
from .words import NAMES, ANIMALS, CREATURES, OBJECTS, invented_name

RHYMES = [g.split() for g in """cat hat mat bat rat;dog frog log fog;house mouse blouse;sun fun run bun;moon spoon soon tune;tree bee sea key;star car jar far
light night bright kite;day play way say;king ring sing wing;fish dish wish;bear chair pear hair;cake lake snake make;rain train brain plane;boat coat goat note
bed red head bread;ball wall tall small;book cook hook look;door floor four more;fox box socks rocks;bell well shell tell;sand hand land band;gold cold old bold
wine line nine mine;hill pill mill still;bread head said red;nose rose toes hose;pan man can fan;pig big wig dig;duck luck truck stuck;sheep sleep deep keep
rock clock sock lock;tea free three me;blue shoe true two;town crown brown down;snow grow low go;ice mice nice rice;flower tower power hour;stone bone phone alone
swing thing bring spring;year dear hear near;feather weather leather together;kitten mitten written bitten;honey money funny bunny;berry cherry merry very""".replace("\n", ";").split(";")]
RHYME_OF = {}
for group in RHYMES:
    for i, w in enumerate(group):
        RHYME_OF.setdefault(w, group[(i + 1) % len(group)])
PLACES = "forest garden river castle village mountain beach market lake school island meadow cave farm harbour desert".split()
THINGS = "a golden key;a small boat;an old map;a red balloon;a shiny stone;a warm blanket;a lost kitten;a blue feather;a magic pen;a box of honey;a silver bell;a paper star".split(";")
TRAITS = "brave kind clever small happy curious gentle quiet lucky funny".split()
ENDINGS = ["From that day on, {n} was never alone.", "That night {n} slept very well.", "And {n} smiled all the way home.", "Everyone in the {p} was happy for {n}.", "{n} never forgot that day."]
MIDDLES = ["One morning {n} found {t} in the {p}.", "One day {n} saw {t} in the {p}.", "One evening {n} came to the {p} and found {t}."]
DEEDS = ["{n} showed it to all the friends.", "{n} gave it to a friend who needed it.", "It belonged to an old owl, so {n} brought it back.", "{n} took it home and kept it safe."]
POEM_BODY = [("sits in the sun", "and has so much fun"), ("looks at the moon", "and hums a soft tune"), ("sleeps all the day", "and dreams far away"), ("plays in the night", "when the stars are so bright"), ("runs to the sea", "as glad as can be"), ("finds a small stone", "and is never alone")]


def choose(items, *words):
    """The item that these words decide, the same on every run."""
    return items[zlib.crc32(" ".join(words).encode()) % len(items)]


def tell(animal, name, place):
    """The story of an animal with a name at a place. Trait, thing and ending follow from animal and place."""
    trait, thing = choose(TRAITS, animal), choose(THINGS, place)
    slots = dict(n=name, p=place, t=thing)
    start = f"Once upon a time there was {'an' if trait[0] in 'aeiou' else 'a'} {trait} {animal} named {name}."
    return " ".join([start] + [choose(part, key).format(**slots) for part, key in ((MIDDLES, place), (DEEDS, animal), (ENDINGS, place))])


def story(rng):
    animal = pick(rng, ANIMALS) if rng.random() < 0.7 else pick(rng, CREATURES + OBJECTS)
    name, place = pick(rng, NAMES) if rng.random() < 0.8 else invented_name(rng), pick(rng, PLACES)
    r = rng.random()
    if r < 0.45:
        form = pick(rng, ["Tell me a story about {a} {x} named {n} in the {p}.", "Write a short story about {a} {x} named {n} and the {p}.", "A story about {n} the {x} in the {p}, please.", "Tell a tale of {n}, {a} {x} in the {p}."])
    elif r < 0.8:
        form = pick(rng, ["Tell me a story about {a} {x} named {n}.", "Write a short story about {n} the {x}.", "Tell me a tale about {a} {x} called {n}.", "I want a story about {n} the {x}."])
        place = choose(PLACES, animal)
    elif r < 0.95:
        form = pick(rng, ["Tell me a story about {a} {x}.", "Write a short story about {a} {x}.", "Tell me a tale of {a} {x}.", "{x} story, please.", "A story about {a} {x}", "Tell a short story about {a} {x}."])
        place, name = choose(PLACES, animal), choose(NAMES, animal)
    else:
        form = pick(rng, ["Tell me a story.", "Write a story.", "Tell a short story.", "A story please", "Do you know a story?", "Tell me a bedtime story.", "I want to hear a story."])
        animal, name, place = "fox", "Mia", "forest"
    text = ask(rng, cap(form.format(a="an" if animal[0] in "aeiou" else "a", x=animal, n=name, p=place)), frame=0.15)
    key = f"{animal} {name} {place}" if r < 0.8 else text
    return QA("stories", text, tell(animal, name, place), key)


def poem(rng):
    animal = pick(rng, ANIMALS) if rng.random() < 0.7 else pick(rng, CREATURES + OBJECTS)
    text = ask(rng, pick(rng, ["Write a poem about {a} {x}.", "Write a rhyme about {a} {x}.", "A poem about {a} {x}, please.", "Make a rhyme about {a} {x}.", "Can you write a poem about {a} {x}?", "Rhyme about {a} {x}", "Tell me a poem about {a} {x}."]).format(a="an" if animal[0] in "aeiou" else "a", x=animal), frame=0.15)
    return QA("rhymes", text, verse(animal), text)


def verse(animal):
    one, two = choose(POEM_BODY, animal, "1")
    three, four = choose([b for b in POEM_BODY if b[0] != one], animal, "2")
    return f"The {animal} {one}\n{two}.\nThe {animal} {three}\n{four}."


def rhyme(rng):
    w = pick(rng, list(RHYME_OF))
    text = ask(rng, pick(rng, ["What rhymes with {w}?", "Which word rhymes with {w}?", "Find a rhyme for {w}.", "Give me a rhyme for {w}.", "A word that rhymes with {w}?", "Rhyme {w}.", "Tell me a word that rhymes with '{w}'."]).format(w=w))
    return QA("rhymes", text, f"{cap(w)} rhymes with {RHYME_OF[w]}.", text, RHYME_OF[w])


def any_poem(rng):
    text = ask(rng, pick(rng, ["Write a poem.", "Tell me a poem.", "Write a rhyme.", "Tell me a rhyme.", "A poem please", "Can you rhyme?", "Do you know a poem?", "Recite a poem."]), frame=0.3)
    return QA("rhymes", text, verse("llama"), text)


GOOD = "wonderful great lovely delicious fantastic beautiful excellent amazing nice perfect charming brilliant superb".split()
BAD = "terrible awful boring ugly bad horrible disgusting broken poor dreadful nasty useless disappointing".split()
REVIEWED = "film book meal hotel song game trip concert soup phone room lesson party show pizza coffee story service view bike".split()


def sentiment(rng):
    positive = rng.random() < 0.5
    adj, it = pick(rng, GOOD if positive else BAD), pick(rng, REVIEWED)
    say = pick(rng, ["The {i} was {a}.", "What a {a} {i}!", "I think the {i} is {a}.", "This {i} was really {a}.", "My {i} was so {a}!", "We found the {i} {a}.", "The {i} is {a} and I {v} it.", "A truly {a} {i}."]).format(i=it, a=adj, v="love" if positive else "hate")
    if say.endswith("it.") is False and rng.random() < 0.2:
        say += pick(rng, [" I will come back.", " I recommend it."] if positive else [" I want my money back.", " Never again."])
    form = pick(rng, ["Is this positive or negative? {s}", "Positive or negative: {s}", "Classify the sentiment: {s}", "Sentiment: {s}", "Is the review good or bad? {s}", "What is the sentiment of '{s}'?"])
    kind = "positive" if positive else "negative"
    return QA("sentiment", form.format(s=say), f"This is {kind}.", say, kind)
