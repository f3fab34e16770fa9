"""Suggestions: many answers are right, and training sees each of them equally often."""
from .common import ask, cap, one_of, pick

KINDS = [  # phrasings; the answer around the suggestion; what may be suggested
    (["What should I eat?", "What should I eat tonight?", "What can I cook?", "Suggest a meal.", "Suggest something to eat.", "What shall we have for dinner?", "Give me an idea for lunch.", "I need an idea for dinner.", "What could I have for breakfast?"],
     "How about {x}?", ["a warm soup", "a fresh salad", "pasta with tomatoes", "rice with vegetables", "bread and cheese", "a big pizza"]),
    (["What should I drink?", "Suggest a drink.", "Suggest something to drink.", "What can I drink?", "Give me an idea for a drink."],
     "How about {x}?", ["a cup of tea", "a glass of water", "hot chocolate", "orange juice", "a cup of coffee"]),
    (["What should I read?", "What shall I read?", "Suggest something to read.", "Give me an idea for a book.", "Which kind of book should I read?", "Suggest a kind of book."],
     "You could read {x}.", ["a book about the sea", "a funny story", "a book of poems", "a book about the stars", "an old tale"]),
    (["What should I do today?", "What can I do today?", "What could I do this weekend?", "What can I do this evening?", "Suggest an activity.", "Give me something to do.", "Suggest something to do.", "Give me an idea for today.", "What should I do now?"],
     "You could {x}.", ["go for a walk", "read a book", "bake a cake", "call a friend", "draw a picture", "play a game", "listen to music"]),
    (["What should I do when it rains?", "What can I do on a rainy day?", "Suggest something for a rainy day.", "It is raining. What can I do?"],
     "You could {x}.", ["read a book by the window", "bake a cake", "play a board game", "build a puzzle"]),
    (["Suggest a hobby.", "Recommend a hobby.", "Which hobby should I try?", "What hobby could I start?", "I need a new hobby.", "Give me an idea for a hobby."],
     "You could try {x}.", ["painting", "gardening", "dancing", "baking", "singing", "chess"]),
    (["Suggest a sport.", "Which sport should I try?", "Recommend a sport.", "What sport could I do?"], "You could try {x}.", ["swimming", "running", "cycling", "tennis", "climbing"]),
    (["Suggest a game.", "Which game can we play?", "What game should we play?", "Recommend a game.", "Let's play a game.", "Give me an idea for a game."],
     "You could play {x}.", ["chess", "cards", "hide and seek", "a word game", "dominoes"]),
    (["Suggest a colour.", "Suggest a color.", "Pick a colour.", "Which colour should I paint my room?", "What colour should I choose?", "Choose a colour for me.", "Which color should I take?"],
     "I suggest {x}.", ["green", "blue", "yellow", "orange", "white", "red"]),
    (["Suggest a present.", "What can I give as a present?", "I need an idea for a present.", "What should I give my friend?", "Suggest a birthday present.", "Give me an idea for a gift."],
     "You could give {x}.", ["a book", "flowers", "a box of chocolate", "a warm scarf", "a plant", "a game"]),
    (["Suggest a name for my cat.", "What should I call my cat?", "I need a name for a cat.", "Give me a name for my cat.", "Name my cat."], "How about {x}?", ["Luna", "Tiger", "Minka", "Pepper", "Simba"]),
    (["Suggest a name for my dog.", "What should I call my dog?", "I need a name for a dog.", "Give me a name for my dog.", "Name my dog."], "How about {x}?", ["Rex", "Bella", "Buddy", "Coco", "Balu"]),
    (["Suggest a name for a baby.", "Suggest a name.", "Give me a nice name.", "Pick a name.", "I need a name.", "Which name do you like?"], "How about {x}?", ["Ana", "Leo", "Mia", "Noah", "Clara", "Emma", "Felix"]),
    (["Where should I travel?", "Where should I go on holiday?", "Suggest a holiday.", "Suggest a trip.", "Where can I go this summer?", "Give me an idea for a trip."],
     "You could go to {x}.", ["the sea", "the mountains", "a lake", "an old city", "an island", "the forest"]),
    (["Pick a number.", "Choose a number.", "Think of a number.", "Pick a number from 1 to 10.", "Pick a number between 1 and 10.", "Give me a number between 1 and 10.", "Choose a number from 1 to 10.", "Say a number between 1 and 10."], "I pick {x}.", [str(n) for n in range(1, 11)]),
    (["Flip a coin.", "Toss a coin.", "Heads or tails?", "Throw a coin for me.", "Can you flip a coin?"], "It is {x}.", ["heads", "tails"]),
    (["Roll a die.", "Roll the dice.", "Roll a dice for me.", "Throw a die.", "Can you roll a die?"], "I rolled a {x}.", ["1", "2", "3", "4", "5", "6"]),
    (["Say something nice.", "Say something kind.", "Cheer me up.", "Give me a compliment.", "Motivate me.", "Say something friendly."],
     "{x}", ["You are doing well.", "It is nice to talk with you.", "Small steps lead far.", "Every day is a new start.", "The sun will come out again."]),
    (["Give me a word.", "Say a word.", "Pick a word.", "Choose a word.", "Tell me a word.", "Say any word."], "{x}", ["Cloud.", "River.", "Lantern.", "Honey.", "Feather.", "Moon."]),
    (["Tell me something interesting.", "Tell me a fun fact.", "Tell me a fact.", "Do you know a fun fact?", "Surprise me.", "Tell me something new.", "Tell me something.", "Say something interesting."],
     "{x}", ["A spider has 8 legs.", "Bees make honey.", "A baby kangaroo is called a joey.", "Jupiter is the largest planet.", "The cheetah is the fastest land animal.", "Frozen water is called ice."]),
]


def suggestion(rng):
    forms, around, things = pick(rng, KINDS)
    text = ask(rng, pick(rng, forms), typos=0.04)
    return one_of(rng, "suggestions", text, [(cap(around.format(x=x)), None if " " in x else x) if around != "{x}" else x for x in things], text)
