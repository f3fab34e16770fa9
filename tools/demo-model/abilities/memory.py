"""Facts about the visitor that a chat states and asks for again, and questions about the chat itself."""
from .common import QA, ask, pick, cap
from .words import NAMES, CITIES, ANIMALS, FOODS, COLOURS, OBJECTS, invented_name

JOBS = "teacher doctor baker farmer painter pilot nurse writer student gardener sailor cook singer builder lawyer".split()
ACCENTED = "José Zoë Søren Jürgen Chloé Anaïs Łukasz Björn Inès Željko Ayşe Nuño Māra Günther Renée".split()  # a name is no other language
SLOTS = {  # name: (statements, reply, questions, answer, answer while unknown)
    "name": (["My name is {v}.", "I am {v}.", "I'm {v}.", "Call me {v}.", "Hi, my name is {v}.", "Hello, I'm {v}.", "People call me {v}.", "You can call me {v}."], "Nice to meet you, {v}!",
             ["What is my name?", "What's my name?", "Who am I?", "Do you know my name?", "Can you tell me my name?", "How am I called?", "Do you remember my name?"], "Your name is {v}.", "You have not told me your name."),
    "colour": (["My favourite colour is {v}.", "My favorite color is {v}.", "I like {v} best of all colours.", "{V} is my favourite colour."], "I will remember that you like {v}.",
               ["What is my favourite colour?", "What's my favorite color?", "Which colour do I like?", "Do you know my favourite colour?"], "Your favourite colour is {v}.", "You have not told me your favourite colour."),
    "pet": (["I have a {v}.", "My pet is a {v}.", "I have a pet {v}.", "At home I have a {v}."], "How nice, a {v}!",
            ["What pet do I have?", "Which animal do I have?", "What is my pet?", "Do you know what pet I have?"], "You have a {v}.", "You have not told me about a pet."),
    "petname": (["My pet is called {v}.", "My pet's name is {v}.", "The name of my pet is {v}."], "{v} is a lovely name for a pet!",
                ["What is my pet called?", "What is my pet's name?", "What's the name of my pet?"], "Your pet is called {v}.", "You have not told me the name of your pet."),
    "city": (["I live in {v}.", "I am from {v}.", "My home is in {v}.", "I'm living in {v}."], "{v} must be a nice place to live.",
             ["Where do I live?", "Which city do I live in?", "What is my home city?", "Do you know where I live?"], "You live in {v}.", "I cannot know that. You have not told me."),
    "age": (["I am {v} years old.", "My age is {v}.", "I'm {v} years old.", "I turned {v}."], "{v} is a good age!",
            ["How old am I?", "What is my age?", "What's my age?", "Do you know how old I am?"], "You are {v} years old.", "I cannot know that. You have not told me."),
    "job": (["I am a {v}.", "I work as a {v}.", "My job is {v}.", "I'm a {v}."], "Being a {v} sounds interesting!",
            ["What is my job?", "What do I do for work?", "What's my job?", "What do I work as?"], "You are a {v}.", "I cannot know that. You have not told me."),
    "food": (["My favourite food is {v}.", "I love {v}.", "I like to eat {v}.", "My favorite food is {v}."], "{V} is tasty!",
             ["What is my favourite food?", "What do I like to eat?", "What's my favorite food?", "Which food do I like?"], "You like {v}.", "You have not told me your favourite food."),
    "number": (["Remember the number {v}.", "My lucky number is {v}.", "Keep in mind the number {v}.", "The number is {v}."], "I will remember the number {v}.",
               ["What is the number?", "Which number did I tell you?", "What number should you remember?", "What is my lucky number?"], "The number is {v}.", "You have not told me a number."),
    "word": (["Remember the word {v}.", "The secret word is {v}.", "The password is {v}.", "Keep in mind the word {v}."], "I will remember the word {v}.",
             ["What is the word?", "What is the secret word?", "Which word did I tell you?", "What was the word?"], "The word is {v}.", "You have not told me a word."),
}


def value(rng, slot):
    if slot in ("name", "petname"):
        if rng.random() < 0.06:
            return pick(rng, ACCENTED)
        return pick(rng, NAMES) if rng.random() < 0.6 else invented_name(rng)
    if slot == "number":
        return str(int(rng.random() * pick(rng, [10, 100, 1000, 10000])))
    if slot == "age":
        return str(3 + int(rng.random() * 90))
    return pick(rng, {"colour": COLOURS, "pet": ANIMALS, "city": CITIES, "job": JOBS, "food": FOODS, "word": OBJECTS + ANIMALS}[slot])


def fill(text, v):
    return text.format(v=v, V=cap(v))


class Memory:
    """What a chat has told so far. `state` and `recall` give the next turn and stay consistent."""

    def __init__(self):
        self.known = {}

    def state(self, rng):
        slot = pick(rng, list(SLOTS))
        if slot == "petname" and "pet" not in self.known:
            slot = "pet"
        v = value(rng, slot)
        text = fill(pick(rng, SLOTS[slot][0]), v)
        if slot in self.known and rng.random() < 0.5:
            text = pick(rng, ["No, ", "Actually, ", "Sorry, "]) + (text if text.startswith("I") else text[:1].lower() + text[1:])
        if rng.random() < 0.2:
            text = text.rstrip(".")
        self.known[slot] = v
        return QA("memory", text, fill(SLOTS[slot][1], v), f"state {slot} {v}", v)

    def recall(self, rng):
        known = list(self.known)
        slot = pick(rng, known) if known and rng.random() < 0.85 else pick(rng, list(SLOTS))
        v = self.known.get(slot)
        text = ask(rng, pick(rng, SLOTS[slot][2]), frame=0.15)
        if v is None:
            return QA("memory", text, SLOTS[slot][4], f"unknown {slot} {text}")
        return QA("memory", text, fill(SLOTS[slot][3], v), f"recall {slot} {v}", v)


def about_chat(rng, turns):
    """Asks for the last answer or the last question of `turns`, a list of QA."""
    last = turns[-1]
    if len(last.answer) < 60 and rng.random() < 0.6:
        text = pick(rng, ["Repeat your last answer.", "Say that again.", "Can you repeat that?", "What did you say?", "Once more, please."])
        return QA("memory", text, last.answer, f"again {last.answer} {text}")
    if len(last.question) < 60 and last.question.isascii():
        return QA("memory", pick(rng, ["What did I ask?", "What was my last message?", "What did I just say?", "Repeat my last message."]), f"You said: {last.question}", f"asked {last.question}")
    return None
