"""Small facts: capitals, colours, animals, opposites, days, months, translations."""
from .common import QA, ask, cap, one_of, pick

CAPITALS = dict(x.split("=") for x in """France=Paris;Germany=Berlin;Italy=Rome;Spain=Madrid;Portugal=Lisbon;Austria=Vienna;Switzerland=Bern
Norway=Oslo;Sweden=Stockholm;Denmark=Copenhagen;Finland=Helsinki;Poland=Warsaw;Greece=Athens;Ireland=Dublin;Belgium=Brussels
Hungary=Budapest;Romania=Bucharest;Bulgaria=Sofia;Croatia=Zagreb;Serbia=Belgrade;Ukraine=Kyiv;Turkey=Ankara;Egypt=Cairo
Kenya=Nairobi;Ghana=Accra;Nigeria=Abuja;Ethiopia=Addis Ababa;Morocco=Rabat;Japan=Tokyo;China=Beijing;India=New Delhi
Thailand=Bangkok;Vietnam=Hanoi;South Korea=Seoul;Indonesia=Jakarta;Nepal=Kathmandu;Iran=Tehran;Iraq=Baghdad;Canada=Ottawa
Mexico=Mexico City;Cuba=Havana;Peru=Lima;Chile=Santiago;Argentina=Buenos Aires;Colombia=Bogota;Ecuador=Quito;Uruguay=Montevideo
Australia=Canberra;New Zealand=Wellington;Iceland=Reykjavik;the Netherlands=Amsterdam;the United Kingdom=London
the United States=Washington;Russia=Moscow;Brazil=Brasilia;the Philippines=Manila;Czechia=Prague;Slovakia=Bratislava""".replace("\n", ";").split(";"))
CONTINENTS = {c: k for k, cs in {
    "Europe": "France;Germany;Italy;Spain;Portugal;Austria;Switzerland;Norway;Sweden;Denmark;Finland;Poland;Greece;Ireland;Belgium;Hungary;Iceland;the Netherlands;the United Kingdom;Croatia",
    "Africa": "Egypt;Kenya;Ghana;Nigeria;Ethiopia;Morocco", "Asia": "Japan;China;India;Thailand;Vietnam;South Korea;Indonesia;Nepal;Iran;Iraq",
    "South America": "Peru;Chile;Argentina;Colombia;Ecuador;Uruguay;Brazil", "North America": "Canada;Mexico;Cuba;the United States"}.items() for c in cs.split(";")}
COLOUR_OF = dict(x.split("=") for x in """a banana=yellow;grass=green;the sky=blue;snow=white;a tomato=red;a carrot=orange;coal=black;chocolate=brown;a lemon=yellow
a strawberry=red;milk=white;the sun=yellow;a cucumber=green;a flamingo=pink;an elephant=grey;the sea=blue;a leaf=green;a ruby=red
an emerald=green;a swan=white;a raven=black;a frog=green;a cherry=red;an orange=orange;salt=white;a fire engine=red;a pea=green""".replace("\n", ";").split(";"))
ANIMAL_SOUND = dict(x.split("=") for x in "a dog=woof;a cat=meow;a cow=moo;a pig=oink;a sheep=baa;a duck=quack;a horse=neigh;a lion=roar;a frog=ribbit;a bee=buzz;a snake=hiss;an owl=hoot;a mouse=squeak;a rooster=cock-a-doodle-doo;a goat=meh;a wolf=howl".split(";"))
ANIMAL_LEGS = {"a dog": 4, "a cat": 4, "a cow": 4, "a horse": 4, "a spider": 8, "an ant": 6, "a bee": 6, "a duck": 2, "an eagle": 2, "a snake": 0, "a fish": 0, "a crab": 10, "a butterfly": 6, "a penguin": 2, "an elephant": 4, "a frog": 4, "a human": 2, "a kangaroo": 2}
ANIMAL_YOUNG = dict(x.split("=") for x in "dog=puppy;cat=kitten;cow=calf;horse=foal;sheep=lamb;pig=piglet;goat=kid;duck=duckling;hen=chick;bear=cub;lion=cub;deer=fawn;frog=tadpole;swan=cygnet;goose=gosling;kangaroo=joey;owl=owlet;butterfly=caterpillar".split(";"))
ANIMAL_HOME = dict(x.split("=") for x in "bee=hive;bird=nest;spider=web;dog=kennel;horse=stable;rabbit=burrow;lion=den;fish=water;ant=anthill;beaver=lodge;pig=sty;hen=coop;squirrel=tree;bat=cave".split(";"))
OPPOSITES = [x.split("/") for x in """big/small hot/cold happy/sad fast/slow up/down left/right day/night light/dark new/old open/closed full/empty strong/weak
rich/poor high/low hard/soft wet/dry early/late loud/quiet long/short good/bad true/false yes/no young/aged thick/thin wide/narrow clean/dirty
sweet/sour near/far inside/outside first/last win/lose push/pull buy/sell love/hate start/stop remember/forget arrive/leave laugh/cry
brave/afraid sharp/blunt smooth/rough deep/shallow alive/dead always/never everything/nothing summer/winter north/south east/west black/white
front/back above/below before/after more/less many/few friend/enemy""".split()]
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
MONTH_DAYS = dict(zip(MONTHS, [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]))
PLANETS = "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune".split()
TRANSLATE = {"German": {}, "French": {}, "Spanish": {}, "Italian": {}}
for row in """dog Hund chien perro cane;cat Katze chat gato gatto;house Haus maison casa casa;water Wasser eau agua acqua;bread Brot pain pan pane
milk Milch lait leche latte;sun Sonne soleil sol sole;moon Mond lune luna luna;tree Baum arbre árbol albero;book Buch livre libro libro
hello Hallo bonjour hola ciao;thanks danke merci gracias grazie;yes ja oui sí sì;no nein non no no;red rot rouge rojo rosso;blue blau bleu azul blu
green grün vert verde verde;black schwarz noir negro nero;white weiß blanc blanco bianco;one eins un uno uno;two zwei deux dos due;three drei trois tres tre
friend Freund ami amigo amico;mother Mutter mère madre madre;father Vater père padre padre;apple Apfel pomme manzana mela;fish Fisch poisson pez pesce
bird Vogel oiseau pájaro uccello;horse Pferd cheval caballo cavallo;night Nacht nuit noche notte;day Tag jour día giorno;school Schule école escuela scuola
city Stadt ville ciudad città;fire Feuer feu fuego fuoco;love Liebe amour amor amore;big groß grand grande grande;small klein petit pequeño piccolo
cheese Käse fromage queso formaggio;egg Ei œuf huevo uovo;flower Blume fleur flor fiore""".replace("\n", ";").split(";"):
    w, *forms = row.split()
    for lang, f in zip(("German", "French", "Spanish", "Italian"), forms):
        TRANSLATE[lang][w] = f
MISC = [  # several phrasings of one question; answer; short answer
    (["How many days are in a week?", "How many days does a week have?", "Number of days in a week?"], "A week has 7 days.", "7"),
    (["How many months are in a year?", "How many months does a year have?"], "A year has 12 months.", "12"),
    (["How many hours are in a day?", "How many hours does a day have?"], "A day has 24 hours.", "24"),
    (["How many minutes are in an hour?", "How many minutes does an hour have?"], "An hour has 60 minutes.", "60"),
    (["How many seconds are in a minute?", "How many seconds does a minute have?"], "A minute has 60 seconds.", "60"),
    (["How many days are in a year?", "How many days does a year have?"], "A year has 365 days, and a leap year has 366.", "365"),
    (["How many letters are in the alphabet?", "How many letters does the English alphabet have?"], "The English alphabet has 26 letters.", "26"),
    (["How many sides does a triangle have?", "How many corners does a triangle have?"], "A triangle has 3 sides and 3 corners.", "3"),
    (["How many sides does a square have?", "How many corners does a square have?"], "A square has 4 sides and 4 corners.", "4"),
    (["How many sides does a hexagon have?", "How many corners does a hexagon have?"], "A hexagon has 6 sides and 6 corners.", "6"),
    (["How many continents are there?", "What is the number of continents?"], "There are 7 continents.", "7"),
    (["How many planets are there?", "How many planets are in the solar system?"], "There are 8 planets in the solar system.", "8"),
    (["What is the largest planet?", "Which planet is the biggest?", "What is the biggest planet?"], "Jupiter is the largest planet.", "Jupiter"),
    (["What is the smallest planet?", "Which planet is the smallest?"], "Mercury is the smallest planet.", "Mercury"),
    (["Which planet is called the red planet?", "What is the red planet?"], "Mars is called the red planet.", "Mars"),
    (["What planet do we live on?", "Which planet is our home?"], "We live on Earth.", "Earth"),
    (["What is the largest ocean?", "Which ocean is the biggest?"], "The Pacific is the largest ocean.", "Pacific"),
    (["What is the highest mountain?", "Which mountain is the highest in the world?", "What is the tallest mountain?"], "Mount Everest is the highest mountain.", "Everest"),
    (["What is the largest animal?", "Which animal is the biggest?"], "The blue whale is the largest animal.", "whale"),
    (["What is the tallest animal?", "Which animal is the tallest?"], "The giraffe is the tallest animal.", "giraffe"),
    (["What is the fastest land animal?", "Which animal runs fastest?"], "The cheetah is the fastest land animal.", "cheetah"),
    (["What do bees make?", "What does a bee make?"], "Bees make honey.", "honey"),
    (["What is ice made of?", "What is frozen water called?"], "Frozen water is called ice.", "ice"),
    (["At what temperature does water boil?", "When does water boil?"], "Water boils at 100 degrees Celsius.", "100"),
    (["At what temperature does water freeze?", "When does water freeze?"], "Water freezes at 0 degrees Celsius.", "0"),
    (["What do you get from red and yellow?", "What colour do red and yellow make?", "Mix red and yellow."], "Red and yellow make orange.", "orange"),
    (["What do you get from blue and yellow?", "What colour do blue and yellow make?", "Mix blue and yellow."], "Blue and yellow make green.", "green"),
    (["What do you get from red and blue?", "What colour do red and blue make?", "Mix red and blue."], "Red and blue make purple.", "purple"),
    (["What do plants need to grow?", "What does a plant need?"], "Plants need light, water and air.", "light"),
    (["Where does the sun rise?", "In which direction does the sun rise?"], "The sun rises in the east.", "east"),
    (["Where does the sun set?", "In which direction does the sun set?"], "The sun sets in the west.", "west"),
    (["What goes around the Earth?", "What is in the night sky and goes around the Earth?"], "The Moon goes around the Earth.", "Moon"),
    (["Name the days of the week.", "List the days of the week.", "What are the days of the week?"], ", ".join(DAYS) + ".", None),
    (["Name the months of the year.", "List the months.", "What are the months?", "List all months of the year."], ", ".join(MONTHS) + ".", None),
    (["Name the planets.", "List the planets of the solar system.", "What are the planets?"], ", ".join(PLANETS) + ".", None),
    (["Name the seasons.", "What are the four seasons?", "List the seasons."], "Spring, summer, autumn, winter.", None),
    (["Say the alphabet.", "What is the alphabet?", "Write the alphabet."], "a b c d e f g h i j k l m n o p q r s t u v w x y z", None),
]


def _qa(rng, forms, answer, short, ability="facts", typos=0.06, **slots):
    text = ask(rng, cap(pick(rng, forms).format(**slots)), typos=typos)
    return QA(ability, text, cap(answer.format(**slots)), text, short)


def capital(rng):
    c = pick(rng, list(CAPITALS))
    k = CAPITALS[c]
    r = rng.random()
    if r < 0.6:
        return _qa(rng, ["What is the capital of {c}?", "What's the capital of {c}?", "Which city is the capital of {c}?", "{c}'s capital?", "The capital of {c} is?", "Name the capital of {c}.", "Capital of {c}?", "Do you know the capital of {c}?"],
                   "The capital of {c} is {k}.", k, c=c, k=k)
    if r < 0.85 or c not in CONTINENTS:
        return _qa(rng, ["{k} is the capital of which country?", "Of which country is {k} the capital?", "Which country has {k} as its capital?", "What country is {k} the capital of?"],
                   "{k} is the capital of {c}.", c, c=c, k=k)
    return _qa(rng, ["On which continent is {c}?", "Which continent is {c} in?", "What continent is {c} on?", "Where is {c}?"], "{c} is in {o}.", CONTINENTS[c], c=c, o=CONTINENTS[c])


def colour(rng):
    t = pick(rng, list(COLOUR_OF))
    return _qa(rng, ["What colour is {t}?", "What color is {t}?", "Which colour is {t}?", "Tell me the colour of {t}.", "What is the colour of {t}?", "Which color does {t} have?"], "{u} {be} {k}.".replace("{u}", cap(t)), COLOUR_OF[t], t=t, k=COLOUR_OF[t], be="is")


def animal(rng):
    r = rng.random()
    if r < 0.3:
        a = pick(rng, list(ANIMAL_SOUND))
        return _qa(rng, ["What sound does {a} make?", "What does {a} say?", "How does {a} sound?", "Which sound does {a} make?", "What noise does {a} make?"], "{a} says {s}.", ANIMAL_SOUND[a], a=a, s=ANIMAL_SOUND[a])
    if r < 0.55:
        a = pick(rng, list(ANIMAL_LEGS))
        n = ANIMAL_LEGS[a]
        return _qa(rng, ["How many legs does {a} have?", "How many legs has {a}?", "Number of legs of {a}?", "Tell me how many legs {a} has."], "{a} has {n} legs." if n else "{a} has no legs.", str(n), a=a, n=n)
    if r < 0.8:
        a = pick(rng, list(ANIMAL_YOUNG))
        return _qa(rng, ["What is a young {a} called?", "What is a baby {a} called?", "What do you call a baby {a}?", "Name for a young {a}?", "How is a baby {a} called?"], "A young {a} is called a {y}.", ANIMAL_YOUNG[a], a=a, y=ANIMAL_YOUNG[a])
    a = pick(rng, list(ANIMAL_HOME))
    h = ANIMAL_HOME[a]
    return _qa(rng, ["Where does a {a} live?", "What is the home of a {a}?", "Where do you find a {a}?", "What is a {a}'s home?"], "{n} {a} lives in {d}.", h, a=a, n="An" if a[0] in "a" else "A", d=h if h == "water" else ("an " if h[0] in "aeiou" else "a ") + h)


def opposite(rng):
    a, b = pick(rng, OPPOSITES)
    if rng.random() < 0.5:
        a, b = b, a
    return _qa(rng, ["What is the opposite of {a}?", "What's the opposite of {a}?", "Opposite of {a}?", "Name the opposite of {a}.", "What is the contrary of {a}?", "Give me the opposite of '{a}'."], "The opposite of {a} is {b}.", b, a=a, b=b)


def calendar(rng):
    r = rng.random()
    if r < 0.35:
        i = int(rng.random() * 7)
        fwd = rng.random() < 0.6
        d, e = DAYS[i], DAYS[(i + (1 if fwd else -1)) % 7]
        forms = ["What day comes after {d}?", "Which day follows {d}?", "What is the day after {d}?"] if fwd else ["What day comes before {d}?", "Which day is before {d}?", "What is the day before {d}?"]
        return _qa(rng, forms, "{e} comes after {d}." if fwd else "{e} comes before {d}.", e, d=d, e=e)
    i = int(rng.random() * 12)
    m = MONTHS[i]
    if r < 0.6:
        fwd = rng.random() < 0.6
        e = MONTHS[(i + (1 if fwd else -1)) % 12]
        forms = ["What month comes after {d}?", "Which month follows {d}?", "What is the month after {d}?"] if fwd else ["What month comes before {d}?", "Which month is before {d}?", "What is the month before {d}?"]
        return _qa(rng, forms, "{e} comes after {d}." if fwd else "{e} comes before {d}.", e, d=m, e=e)
    if r < 0.8:
        return _qa(rng, ["How many days does {m} have?", "How many days are in {m}?", "How long is {m}?", "Number of days in {m}?"], "{m} has {n} days.", str(MONTH_DAYS[m]), m=m, n=MONTH_DAYS[m])
    nth = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"][i]
    return _qa(rng, ["What is the {o} month?", "Which month is the {o}?", "Name the {o} month of the year.", "Which is the {o} month of the year?"], "{m} is the {o} month.", m, m=m, o=nth)


LISTS = {"animals": "cat dog horse cow pig sheep duck".split(), "colours": "red green blue yellow black white orange".split(), "fruits": "apple banana cherry orange pear plum lemon".split(), "countries": "France Germany Italy Spain Japan India Brazil".split(), "cities": "Paris London Berlin Rome Madrid Tokyo Cairo".split(), "names": "Ana Ben Clara David Emma Felix Grace".split()}


def name_some(rng):
    kind, n = pick(rng, list(LISTS)), 2 + int(rng.random() * 6)
    number = str(n) if rng.random() < 0.5 else "two three four five six seven".split()[n - 2]
    text = ask(rng, pick(rng, ["Name {n} {k}.", "List {n} {k}.", "Tell me {n} {k}.", "Give me {n} {k}.", "Can you name {n} {k}?"]).format(n=number, k=kind))
    known = LISTS[kind] * 2
    return one_of(rng, "lists", text, [", ".join(known[i:i + n]) + "." for i in range(len(LISTS[kind]))], text)


def misc(rng):
    if rng.random() < 0.3:
        return name_some(rng)
    forms, answer, short = pick(rng, MISC)
    return _qa(rng, forms, answer, short)


def translate(rng):
    lang = pick(rng, list(TRANSLATE))
    w = pick(rng, list(TRANSLATE[lang]))
    t = TRANSLATE[lang][w]
    text = ask(rng, pick(rng, ["How do you say {w} in {l}?", "What is {w} in {l}?", "Translate {w} to {l}.", "Translate '{w}' into {l}.", "What is the {l} word for {w}?", "{l} for {w}?", "Say {w} in {l}.", "{w} in {l}?"]).format(w=w, l=lang))
    return QA("translation", text, f"{cap(w)} in {lang} is {t}.", text, t)


def fact(rng):
    f = (capital, capital, colour, animal, animal, opposite, opposite, calendar, misc)
    return f[int(rng.random() * len(f))](rng)
