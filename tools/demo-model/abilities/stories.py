"""Rhymes, poems and short stories from a grammar. A subject has several right texts, each drawn equally often."""
import zlib

from .common import QA, ask, cap, one_of, pick
from .words import NAMES, ANIMALS, CREATURES, OBJECTS, invented_name

RHYMES = [g.split() for g in """cat hat mat bat rat;dog frog log fog;house mouse blouse;sun fun run bun;moon spoon soon tune;tree bee sea key;star car jar far
light night bright kite;day play way say;king ring sing wing;fish dish wish;bear chair pear hair;cake lake snake make;rain train brain plane;boat coat goat note
bed red head bread;ball wall tall small;book cook hook look;door floor four more;fox box socks rocks;bell well shell tell;sand hand land band;gold cold old bold
wine line nine mine;hill pill mill still;bread head said red;nose rose toes hose;pan man can fan;pig big wig dig;duck luck truck stuck;sheep sleep deep keep
rock clock sock lock;tea free three me;blue shoe true two;town crown brown down;snow grow low go;ice mice nice rice;flower tower power hour;stone bone phone alone
swing thing bring spring;year dear hear near;feather weather leather together;kitten mitten written bitten;honey money funny bunny;berry cherry merry very""".replace("\n", ";").split(";")]
RHYME_OF = {}  # word: all words that rhyme with it
for group in RHYMES:
    for w in group:
        RHYME_OF[w] = list(dict.fromkeys(RHYME_OF.get(w, []) + [o for o in group if o != w]))
PLACES = "forest garden river castle village mountain beach market lake school island meadow cave farm harbour desert".split()
THINGS = "a golden key;a small boat;an old map;a red balloon;a shiny stone;a warm blanket;a lost kitten;a blue feather;a magic pen;a box of honey;a silver bell;a paper star".split(";")
TRAITS = "brave kind clever small happy curious gentle quiet lucky funny".split()
PLOTS = [  # the first words tell which plot it is; all the rest follows from plot, animal and place
    "Once upon a time there was {a} {trait} {x} named {n}. One morning {n} found {thing} in the {p}. {n} gave it to a friend who needed it. From that day on, {n} was never alone.",
    "Long ago {a} {trait} {x} called {n} lived near the {p}. One evening {n} saw {thing} there and took it home. It is still there today.",
    "In the {p} lived {a} {trait} {x}, and its name was {n}. All day {n} looked for {thing}. When the moon came out, there it was! That night {n} slept very well.",
    "Have you heard of {n}, the {trait} {x}? One day {n} lost the way in the {p} and met an old owl. The owl gave {n} {thing}, and {n} smiled all the way home.",
    "It was a rainy day in the {p}, and {n} the {x} was bored. Then {n} stepped on {thing}. It belonged to a {trait} king, and the king said thank you with a big cake.",
    "{N} was {a} {trait} {x} with a secret: {thing}, hidden in the {p}. One night {n} showed it to all the friends. Nobody ever forgot that night.",
]
POEM_BODY = [("sits in the sun", "and has so much fun"), ("looks at the moon", "and hums a soft tune"), ("sleeps all the day", "and dreams far away"), ("plays in the night", "when the stars are so bright"), ("runs to the sea", "as glad as can be"), ("finds a small stone", "and is never alone")]


def choose(items, *words):
    """The item that these words decide, the same on every run."""
    return items[zlib.crc32(" ".join(words).encode()) % len(items)]


def tell(plot, animal, name, place):
    """The story that a plot makes of an animal with a name at a place."""
    trait, thing = choose(TRAITS, animal, str(plot)), choose(THINGS, place, str(plot))
    return PLOTS[plot].format(a="an" if trait[0] in "aeiou" else "a", trait=trait, x=animal, n=name, N=cap(name), p=place, thing=thing)


def tales(animal, name=None, place=None):
    """All right stories. Without a name or a place, each plot has those that the animal decides."""
    return [tell(i, animal, name or choose(NAMES, animal, str(i)), place or choose(PLACES, animal, str(i))) for i in range(len(PLOTS))]


def story(rng):
    animal = pick(rng, ANIMALS) if rng.random() < 0.7 else pick(rng, CREATURES + OBJECTS)
    name, place = pick(rng, NAMES) if rng.random() < 0.8 else invented_name(rng), pick(rng, PLACES)
    r = rng.random()
    if r < 0.45:
        form = pick(rng, ["Tell me a story about {a} {x} named {n} in the {p}.", "Write a short story about {a} {x} named {n} and the {p}.", "A story about {n} the {x} in the {p}, please.", "Tell a tale of {n}, {a} {x} in the {p}."])
        right = tales(animal, name, place)
    elif r < 0.8:
        form = pick(rng, ["Tell me a story about {a} {x} named {n}.", "Write a short story about {n} the {x}.", "Tell me a tale about {a} {x} called {n}.", "I want a story about {n} the {x}."])
        right = tales(animal, name)
    elif r < 0.93:
        form = pick(rng, ["Tell me a story about {a} {x}.", "Tell me a short story about {a} {x}.", "Write a short story about {a} {x}.", "Tell me a tale of {a} {x}.", "{x} story, please.", "A story about {a} {x}", "Tell a short story about {a} {x}."])
        right = tales(animal)
    else:
        form = pick(rng, ["Tell me a story.", "Write a story.", "Tell a short story.", "A story please", "Do you know a story?", "Tell me a bedtime story.", "I want to hear a story.", "Tell me a short story.", "Another story, please.", "Tell me another story.", "Tell a long story.", "Tell me a long story, as long as you can.", "Another long story."])
        right = [tell(i, x, n, p) for i, (x, n, p) in enumerate(zip(("fox", "owl", "mouse", "bear", "hedgehog", "llama"), ("Mia", "Hugo", "Ben", "Olga", "Felix", "Clara"), ("forest", "castle", "garden", "lake", "village", "mountain")))]
    text = ask(rng, cap(form.format(a="an" if animal[0] in "aeiou" else "a", x=animal, n=name, p=place)), frame=0.15)
    key = f"{animal} {name} {place}" if r < 0.8 else text
    return one_of(rng, "stories", text, right, key)


def poem(rng):
    animal = pick(rng, ANIMALS) if rng.random() < 0.7 else pick(rng, CREATURES + OBJECTS)
    text = ask(rng, pick(rng, ["Write a poem about {a} {x}.", "Write a rhyme about {a} {x}.", "A poem about {a} {x}, please.", "Make a rhyme about {a} {x}.", "Can you write a poem about {a} {x}?", "Rhyme about {a} {x}", "Tell me a poem about {a} {x}."]).format(a="an" if animal[0] in "aeiou" else "a", x=animal), frame=0.15)
    return one_of(rng, "rhymes", text, verses(animal), text)


def verses(animal):
    """All poems about an animal: two different couplets in either order."""
    return [f"The {animal} {one}\n{two}.\nThe {animal} {three}\n{four}." for one, two in POEM_BODY for three, four in POEM_BODY if one != three]


def rhyme(rng):
    w = pick(rng, list(RHYME_OF))
    text = ask(rng, pick(rng, ["What rhymes with {w}?", "Which word rhymes with {w}?", "Find a rhyme for {w}.", "Give me a rhyme for {w}.", "A word that rhymes with {w}?", "Rhyme {w}.", "Tell me a word that rhymes with '{w}'."]).format(w=w))
    return one_of(rng, "rhymes", text, [(f"{cap(w)} rhymes with {o}.", o) for o in RHYME_OF[w]], text)


def any_poem(rng):
    text = ask(rng, pick(rng, ["Write a poem.", "Tell me a poem.", "Write a rhyme.", "Tell me a rhyme.", "A poem please", "Can you rhyme?", "Do you know a poem?", "Recite a poem."]), frame=0.3)
    return one_of(rng, "rhymes", text, verses("llama"), text)


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
