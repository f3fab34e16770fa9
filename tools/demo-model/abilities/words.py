"""Closed word lists. Spelling tasks stay inside WORDS so that the model can know each word's letters."""

ANIMALS = """cat dog fox owl bear wolf lion tiger horse cow pig sheep goat duck hen mouse rabbit frog snake fish whale shark
dolphin penguin eagle parrot turtle monkey elephant giraffe zebra camel donkey bee ant spider butterfly snail crab
squirrel hedgehog deer otter beaver panda koala kangaroo crocodile swan goose bat""".split()
FOODS = """apple banana cherry lemon orange grape peach pear plum melon mango strawberry bread butter cheese honey soup rice
pasta potato tomato carrot onion pepper garlic salad pizza cake cookie chocolate sugar salt milk juice coffee tea water egg""".split()
OBJECTS = """table chair lamp door window book pencil paper clock bottle cup plate spoon fork knife bag shoe hat coat shirt
glove ring key phone camera computer radio piano guitar drum violin bike car train boat plane rocket bridge house garden
kitchen school market castle tower street river lake ocean island mountain valley forest desert beach cloud rain snow wind
storm sun moon star planet stone sand grass tree leaf flower rose root seed fire candle mirror basket blanket pillow
hammer ladder needle button ticket letter number puzzle robot magnet engine wheel pocket""".split()
COLOURS = "red green blue yellow orange purple pink brown black white grey gold silver".split()
OTHERS = """happy sad big small fast slow warm cold bright dark quiet loud young old strong weak brave kind clever funny
hungry thirsty sleepy angry gentle simple little great heavy light early late empty full open round sharp smooth soft sweet
sour bitter fresh clean dirty wet dry deep high low long short near far run walk jump swim sing dance read write draw paint
play work sleep dream laugh smile think learn teach build break bring carry catch climb cook drink drive eat fly give grow
help hold hope jump keep know leave listen look love make meet move open plant pull push reach rest ride rise sail save
send share shine show sit speak spell spend stand start stay stop study swim talk taste throw touch travel try turn visit
wait wake wash watch wear win wish wonder word world winter summer spring autumn morning evening night today
friend family mother father sister brother baby doctor teacher farmer king queen pirate captain sailor baker painter
music story song poem picture secret treasure journey adventure holiday birthday present party game lucky magic silent
hello rullama gemma ollama webgpu dragon unicorn wizard princess knight ghost giant monster fairy hero
browser privacy memory token model science history nature energy future minute hour second week month year""".split()
WORDS = sorted(set(ANIMALS + FOODS + OBJECTS + COLOURS + OTHERS))

NAMES = """Ana Ben Clara David Emma Felix Grace Hugo Iris Jack Kira Leo Mia Noah Olga Paul Rosa Sam Tara Uma Victor Wendy Yara
Zoe Adam Bella Carl Dina Eric Fiona George Hanna Ivan Julia Karl Lena Max Nina Oscar Petra Quinn Ruth Simon Tina Urs Vera
Will Xenia Yusuf Zara Amir Bruno Chloe Dora Elias Freya Gina Henry Ines Jonas Kate Lucas Maria Nico Olivia Pedro Rita Sofia
Tom Ulla Vera Walter Alice Bob Charlie Daniel Eva Frank Gloria Hans Isabel Jakob Laura Martin Nora Omar Peter Rachel Sara
Thomas Anna Mark Lucy John Jane Mary Linda Mike Sandra Priya Ravi Wei Ling Kenji Yuki Aisha Kofi Amara Diego Luis Carmen""".split()
NAMES = sorted(set(NAMES))
SYLLABLES = "ba be bi bo da de di do fa fi ga go ha he ja jo ka ke ki ko la le li lo lu ma me mi mo na ne ni no pa pe ra re ri ro sa se si so ta te ti to va ve vi wa ya yo za zo".split()

CITIES = """Paris London Berlin Rome Madrid Vienna Oslo Lima Cairo Tokyo Delhi Dublin Lisbon Athens Prague Warsaw Zurich
Geneva Milan Munich Hamburg Boston Chicago Denver Seattle Toronto Sydney Mumbai Nairobi Lagos Quito Havana Kyoto
Seoul Bangkok Hanoi Manila Bern Basel Porto Naples Venice Bristol Leeds Dallas Miami""".split()


CREATURES = "dragon unicorn wizard princess knight ghost giant monster fairy hero".split()
ONSETS = "b bl br c ch cl cr d dr f fl fr g gl gr h j k kl l m n p pl pr qu r s sc sh sk sl sm sn sp st str sw t th tr v w wh y z".split()
VOWELS = "a e i o u a e i o u ai ea ee ie oo ou au".split()
CODAS = ["", "", "", "n", "m", "r", "l", "s", "t", "d", "k", "p", "ng", "nd", "nt", "st", "ck", "ll", "w", "x", "th", "lph", "rt"]


def invented_word(rng):
    """A pronounceable word of two syllables that is in no list."""
    return "".join(part[int(rng.random() * len(part))] for part in (ONSETS, VOWELS, CODAS, ONSETS, VOWELS, CODAS))


def invented_name(rng):
    """A name the model has never met as one word, so that repeating it means reading it."""
    if rng.random() < 0.4:
        return invented_word(rng).capitalize()
    n = 2 if rng.random() < 0.6 else 3
    return "".join(SYLLABLES[int(rng.random() * len(SYLLABLES))] for _ in range(n)).capitalize()
