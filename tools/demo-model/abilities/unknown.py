"""What it cannot know: the present, the visitor's life, advice that needs a professional, and the wide world."""
from . import languages
from .common import QA, ask, pick
from .words import NAMES, CITIES, FOODS, ANIMALS, OBJECTS

NOW = "I cannot know that: I have no clock and no internet connection."
PRIVATE = "I cannot know that. You have not told me."
ADVICE = "I am only a tiny demo and cannot give such advice. Please ask someone who knows."
FUTURE = "Nobody can know that, and a tiny demo least of all."
BEYOND = "I don't know that. I am a very small demo model and know only a few things."
CODE = "That is too hard for me. A full Gemma 4 model in rullama can do it."

def strange(rng):
    """Questions in a known form about something that the known lists do not hold."""
    from . import facts
    thing, animal, lang = pick(rng, OBJECTS), pick(rng, ANIMALS), pick(rng, list(facts.TRANSLATE))
    opposites = {w for pair in facts.OPPOSITES for w in pair}
    r = rng.random()
    if r < 0.05:
        text = pick(rng, ["What does '{x}' mean?", "Translate '{x}' to English.", "What is '{x}' in English?", "Which language is '{x}'?", "How do I pronounce '{x}'?"]).format(x=languages.quotation(rng))
    elif r < 0.2:
        x = pick(rng, [thing, animal, pick(rng, FOODS)])
        a = ("an " if x[0] in "aeiou" else "a ") + x
        if any(k.split()[-1] == x for k in facts.COLOUR_OF):
            return None
        text = pick(rng, ["What colour is {a}?", "What color is {a}?", "Which colour does {a} have?"]).format(a=a)
    elif r < 0.4:
        text = pick(rng, ["What is the capital of {x}?", "What's the capital of {x}?", "Capital of {x}?"]).format(x=pick(rng, [pick(rng, CITIES), pick(rng, facts.PLANETS), pick(rng, NAMES), pick(rng, ["Europe", "Africa", "Asia", "California", "Texas", "Bavaria", "Atlantis", "Wonderland", "the world", "the Moon"])]))
    elif r < 0.55:
        x = pick(rng, [thing, animal, pick(rng, FOODS), pick(rng, ["purple", "yellow", "green", "pink", "grey"])])
        if x in opposites:
            return None
        text = pick(rng, ["What is the opposite of {x}?", "Opposite of {x}?", "What's the opposite of {x}?"]).format(x=x)
    elif r < 0.7:
        x = pick(rng, [thing, animal, pick(rng, ["good morning", "my name is Ana", "I am hungry", "how are you", "the weather is nice"])])
        if x in facts.TRANSLATE[lang]:
            return None
        text = pick(rng, ["How do you say {x} in {l}?", "Translate {x} to {l}.", "What is {x} in {l}?"]).format(x=x, l=lang)
    elif r < 0.8:
        if any(k.split()[-1] == animal for k in facts.ANIMAL_SOUND):
            return None
        text = pick(rng, ["What sound does a {x} make?", "What does the {x} say?", "What does a {x} say?"]).format(x=animal)
    else:
        text = pick(rng, ["Is {n} a prime number?", "Is a {x} an animal?", "Is {x} bigger than {y}?", "Is {y} a good {x}?", "Can a {a} fly?", "Does a {a} have a {x}?", "Is the {x} in {c}?", "What is the biggest {x} in the world?", "What is the best {x}?", "Who has the {x}?", "Why is the sky blue?", "Why is a {x} {y}?", "How many {a}s are there?", "How many {x}s do I need?", "Do you like {a}s?", "Tell me about {a}s.", "Tell me about {c}.", "What is a {x}?", "Where can I buy a {x}?", "Which {x} is the best?"]).format(
            n=int(rng.random() * 200), x=thing, y=pick(rng, FOODS), a=animal, c=pick(rng, CITIES))
    return QA("what it cannot know", ask(rng, text), BEYOND, text)


SUBJECTS = """the French Revolution;photosynthesis;quantum physics;black holes;the Roman Empire;World War II;the stock market;inflation;democracy;the Bible
climate change;football;chess;tennis;the Beatles;Mozart;Einstein;Newton;Shakespeare;Napoleon;Julius Caesar;Picasso;Leonardo da Vinci;gravity;electricity
evolution;dinosaurs;volcanoes;the human heart;vaccines;viruses;bitcoin;blockchain;Python;JavaScript;Linux;Windows;Docker;the moon landing;NASA;Harry Potter
Star Wars;Minecraft;yoga;meditation;jazz;opera;ballet;sushi;wine;philosophy;psychology;economics;biology;chemistry;geometry;algebra;calculus;love;time travel
the Big Bang;DNA;atoms;magnetism;earthquakes;ancient Egypt;the Middle Ages;the Internet;solar panels;electric cars;nuclear power;the United Nations""".replace("\n", ";").split(";")
GROUPS = [
    (NOW, ["What time is it?", "What is the time now?", "What day is it today?", "What is today's date?", "What year is it?", "Which month is it?", "What is the weather like?", "What's the weather in {city}?",
           "Will it rain today?", "Is it cold in {city} today?", "How warm is it in {city}?", "What is in the news?", "Any news today?", "What happened today?", "What is the price of gold?", "What is the bitcoin price?",
           "What is the stock price of Apple?", "Who is the president?", "Who won the match yesterday?", "Who won the last election?", "What films are on in {city} tonight?", "Is the {shop} in {city} open now?", "How is the traffic in {city}?", "What is on TV tonight?"]),
    (PRIVATE, ["Where do I live?", "How old am I?", "What did I eat today?", "What did I eat yesterday?", "What is my password?", "What is my phone number?", "Where are my keys?", "Where is my {thing}?", "When is my birthday?", "What is my mother's name?",
               "What is my job?", "Who is my best friend?", "How much money do I have?", "What am I thinking?", "What do I look like?", "Where am I?", "What did I do yesterday?", "What is my email address?", "Who is {name}?", "Do you know {name}?", "Where is {name}?", "How old is {name}?", "What is {name} doing?", "What did {name} say?"]),
    (ADVICE, ["I have a headache. What should I take?", "Is this mushroom safe to eat?", "Which medicine should I take?", "Am I ill?", "My {animal} is sick. What should I do?", "Should I buy shares?", "How should I invest my money?", "Can I sue my neighbour?", "Do I need a lawyer?", "Should I see a doctor?",
              "Should I quit my job?", "Should I marry {name}?", "How many pills may I take?", "Is my contract valid?", "What should I do with my life?", "Which house should I buy?", "My chest hurts.", "I have a fever. What now?"]),
    (FUTURE, ["Who will win the next election?", "What will happen tomorrow?", "Will I be rich?", "Will I be happy?", "What are the lottery numbers?", "When will I die?", "Who will win the world cup?", "Will it snow next winter?", "What will the weather be tomorrow?", "Will {name} call me?", "Will I pass my exam?", "When will the world end?"]),
    (BEYOND, ["Explain {s}.", "What is {s}?", "Tell me about {s}.", "Who invented {s}?", "How does {s} work?", "Why is {s} important?", "What do you think about {s}?", "When did {s} begin?", "Write an essay about {s}.", "Give me a summary of {s}.", "Who won the world cup in {year}?", "What happened in {year}?", "Who was king in {year}?", "How do I cook {food}?", "How do you make {food} soup?", "Give me a recipe with {food}.", "How many people live in {city}?", "How old is {city}?", "What is the best restaurant in {city}?", "How far is it from {city} to {city2}?", "Who is the mayor of {city}?", "What is there to see in {city}?", "How much does a {thing} cost?", "How do I repair a {thing}?", "Who invented the {thing}?", "How is a {thing} made?", "Why do {animal}s sleep?", "How long does a {animal} live?", "How heavy is a {animal}?", "What does a {animal} eat?", "Who wrote the book about {s}?"]),
    (CODE, ["Write a program.", "Write Python code that sorts a list.", "Write a {lang} program for {s}.", "Fix my code.", "Debug this {lang} code.", "Write a {lang} function.", "Write my homework.", "Summarize this article.", "Write a letter to {name}.", "Write an email to {name}.", "Write a long essay.", "Translate this text to Chinese.", "Write a novel.", "Write a {lang} game.", "Explain this {lang} error.", "Prove this theorem.", "Solve x^2 + 3x = 4.", "What is the square root of {year}?", "Write a song about {s}.", "Write a speech about {s}."]),
]


def unknown(rng):
    q = strange(rng) if rng.random() < 0.3 else None
    if q:
        return q
    answer, forms = pick(rng, GROUPS + [GROUPS[4]] * 2)
    form = pick(rng, forms)
    text = form.format(city=pick(rng, CITIES), city2=pick(rng, CITIES), name=pick(rng, NAMES), s=pick(rng, SUBJECTS), food=pick(rng, FOODS), thing=pick(rng, OBJECTS), animal=pick(rng, ANIMALS),
                       year=1200 + int(rng.random() * 830), lang=pick(rng, ["Python", "Rust", "JavaScript", "C++", "Java", "Go"]), shop=pick(rng, ["bank", "shop", "market", "museum", "library", "school"]))
    text = ask(rng, text, typos=0.05)
    return QA("what it cannot know", text, answer, text)
