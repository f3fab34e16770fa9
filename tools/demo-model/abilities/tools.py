"""Tool declarations, requests that need a tool, its result, and the answer from the result."""
import json

from .common import pick, ask
from .words import NAMES, CITIES, FOODS, OBJECTS, ANIMALS, COLOURS, invented_name
from .facts import DAYS, MONTHS

LANGS = "German French Spanish Italian".split()


def _city(rng):
    return pick(rng, CITIES) if rng.random() < 0.7 else invented_name(rng)


def _person(rng):
    return pick(rng, NAMES) if rng.random() < 0.7 else invented_name(rng)


def _int(lo, hi):
    return lambda rng: lo + int(rng.random() * (hi - lo))


def _of(*items):
    return lambda rng: pick(rng, items)


def _clock(rng):
    return f"{int(rng.random() * 24)}:{int(rng.random() * 12) * 5:02d}"


S, I, B = "string", "integer", "boolean"
# names; description; parameters {name: (type, description, enum, generator)}; optional ones; requests; result generator; answer
TOOLS = [
    (["get_weather", "weather", "current_weather"], "Get the weather in a city", {"city": (S, "The city", None, _city)}, ["What is the weather in {city}?", "How is the weather in {city}?", "Is it raining in {city}?", "Weather in {city}?", "Do I need a coat in {city}?"],
     lambda r, a: {"sky": pick(r, ["sunny", "rainy", "cloudy", "snowy", "windy"]), "celsius": _int(-10, 35)(r)}, "It is {sky} in {city}, with {celsius} degrees."),
    (["get_time", "time_in", "current_time"], "Get the current time in a city", {"city": (S, "The city", None, _city)}, ["What time is it in {city}?", "Tell me the time in {city}.", "What is the time in {city} now?"],
     lambda r, a: {"time": _clock(r)}, "It is {time} in {city}."),
    (["add", "sum", "add_numbers"], "Add two numbers", {"a": (I, "First number", None, _int(0, 10000)), "b": (I, "Second number", None, _int(0, 10000))}, ["Add {a} and {b}.", "What is {a} + {b}?", "Use the tool to add {a} and {b}.", "{a} plus {b}?"],
     lambda r, a: {"result": a["a"] + a["b"]}, "The result is {result}."),
    (["multiply", "product", "multiply_numbers"], "Multiply two numbers", {"a": (I, "First number", None, _int(0, 1000)), "b": (I, "Second number", None, _int(0, 1000))}, ["Multiply {a} by {b}.", "What is {a} times {b}?", "{a} * {b}"],
     lambda r, a: {"result": a["a"] * a["b"]}, "The result is {result}."),
    (["set_timer", "start_timer", "timer"], "Start a timer", {"minutes": (I, "Length in minutes", None, _int(1, 120))}, ["Set a timer for {minutes} minutes.", "Start a timer of {minutes} minutes.", "Remind me in {minutes} minutes.", "Timer {minutes} minutes"],
     lambda r, a: {"status": "ok"}, "Your timer for {minutes} minutes is running."),
    (["send_message", "message", "send_text"], "Send a message to a person", {"to": (S, "Who gets it", None, _person), "text": (S, "The message", None, _of("hello", "I am late", "see you soon", "happy birthday", "call me", "thank you", "good night", "dinner is ready", "I am at home"))}, ["Send {to} the message '{text}'.", "Tell {to}: {text}", "Write to {to}: {text}", "Message {to} '{text}'"],
     lambda r, a: {"status": "sent"}, "I sent your message to {to}."),
    (["call", "phone_call", "call_person"], "Call a person on the phone", {"name": (S, "Whom to call", None, _person)}, ["Call {name}.", "Please call {name}.", "Phone {name}", "Can you call {name}?"],
     lambda r, a: {"status": "calling"}, "I am calling {name}."),
    (["turn_light", "set_light", "light"], "Turn the light in a room on or off", {"room": (S, "The room", None, _of("kitchen", "garden", "bathroom", "bedroom", "hall", "office", "garage")), "state": (S, "On or off", ["on", "off"], _of("on", "off"))}, ["Turn {state} the light in the {room}.", "Light {state} in the {room}.", "Switch the {room} light {state}.", "Please turn the {room} light {state}."],
     lambda r, a: {"status": "ok"}, "The light in the {room} is {state}."),
    (["translate", "translate_word", "dictionary"], "Translate a word into another language", {"word": (S, "The word", None, lambda r: pick(r, OBJECTS + ANIMALS)), "language": (S, "The target language", LANGS, _of(*LANGS))}, ["Translate {word} to {language}.", "What is {word} in {language}?", "How do you say {word} in {language}?"],
     lambda r, a: {"translation": invented_name(r).lower()}, "{word} in {language} is {translation}."),
    (["play_music", "play_song", "music"], "Play music of a kind", {"genre": (S, "Kind of music", None, _of("jazz", "rock", "pop", "classical", "folk", "blues", "techno"))}, ["Play some {genre} music.", "Play {genre}.", "I want to hear {genre}.", "Put on some {genre} music."],
     lambda r, a: {"status": "playing"}, "Enjoy the {genre} music!"),
    (["order_food", "order", "place_order"], "Order food", {"item": (S, "What to order", None, lambda r: pick(r, FOODS)), "quantity": (I, "How many", None, _int(1, 20))}, ["Order {quantity} {item}.", "I would like {quantity} {item}.", "Please order {quantity} {item} for me.", "Get me {quantity} {item}."],
     lambda r, a: {"price": _int(2, 90)(r)}, "I ordered {quantity} {item} for {price} euros."),
    (["add_event", "create_event", "calendar_add"], "Add an event to the calendar", {"title": (S, "Name of the event", None, _of("lunch", "dinner", "meeting", "dentist", "party", "concert", "lesson", "training")), "day": (S, "Day of the week", None, lambda r: pick(r, DAYS)), "time": (S, "Time of day", None, _clock)}, ["Add {title} on {day} at {time}.", "Put {title} in my calendar for {day} at {time}.", "I have {title} on {day} at {time}.", "Plan {title} for {day} at {time}."],
     lambda r, a: {"status": "ok"}, "{title} is in your calendar for {day} at {time}."),
    (["search", "web_search", "find"], "Search the web", {"query": (S, "What to search", None, lambda r: pick(r, ["best ", "cheap ", "new ", "old ", "red ", "used "]) + pick(r, OBJECTS))}, ["Search for {query}.", "Search the web for {query}.", "Look up {query}.", "Find {query}."],
     lambda r, a: {"hits": _int(0, 1000)(r)}, "I found {hits} results for {query}."),
    (["get_price", "price", "stock_price"], "Get the price of an article", {"item": (S, "The article", None, lambda r: pick(r, OBJECTS))}, ["What does a {item} cost?", "Price of a {item}?", "How much is a {item}?", "What is the price of a {item}?"],
     lambda r, a: {"euros": _int(1, 999)(r)}, "A {item} costs {euros} euros."),
    (["set_temperature", "heating", "thermostat"], "Set the temperature of a room", {"degrees": (I, "Degrees Celsius", None, _int(10, 30)), "room": (S, "The room", None, _of("kitchen", "bathroom", "bedroom", "hall", "office"))}, ["Set the {room} to {degrees} degrees.", "Heat the {room} to {degrees} degrees.", "Make it {degrees} degrees in the {room}."],
     lambda r, a: {"status": "ok"}, "The {room} is set to {degrees} degrees."),
    (["find_train", "next_train", "train"], "Find the next train between two cities", {"from": (S, "Where it starts", None, _city), "to": (S, "Where it goes", None, _city)}, ["When is the next train from {from} to {to}?", "Find a train from {from} to {to}.", "I need a train from {from} to {to}.", "Train from {from} to {to}?"],
     lambda r, a: {"time": _clock(r)}, "The next train from {from} to {to} leaves at {time}."),
    (["roll_dice", "dice", "roll"], "Roll dice", {"count": (I, "How many dice", None, _int(1, 10))}, ["Roll {count} dice.", "Throw {count} dice.", "Please roll {count} dice for me."],
     lambda r, a: {"total": sum(_int(1, 7)(r) for _ in range(a["count"]))}, "The dice show {total}."),
    (["set_color", "paint", "lamp_color"], "Set the colour of the lamp", {"color": (S, "The colour", None, lambda r: pick(r, COLOURS))}, ["Make the lamp {color}.", "Set the lamp to {color}.", "I want a {color} lamp.", "Change the lamp colour to {color}."],
     lambda r, a: {"status": "ok"}, "The lamp is {color} now."),
    (["get_birthday", "birthday", "birthday_of"], "Look up a person's birthday", {"name": (S, "The person", None, _person)}, ["When is {name}'s birthday?", "When was {name} born?", "What is {name}'s birthday?"],
     lambda r, a: {"date": f"{pick(r, MONTHS)} {_int(1, 29)(r)}"}, "{name}'s birthday is on {date}."),
    (["save_note", "note", "write_note"], "Save a note", {"text": (S, "The note", None, lambda r: pick(r, ["buy ", "bring the ", "repair the ", "find the ", "clean the "]) + pick(r, OBJECTS))}, ["Note: {text}", "Save a note: {text}", "Write down: {text}", "Make a note to {text}."],
     lambda r, a: {"status": "saved"}, "I saved the note: {text}."),
]
NO_ARGUMENTS = [
    (["get_location", "where_am_i", "location"], "Get the user's location", ["Where am I?", "What is my location?", "Find my location."], lambda r: {"city": _city(r)}, "You are in {city}."),
    (["random_number", "random", "get_random"], "Get a random number", ["Give me a random number.", "Random number, please.", "Pick a random number."], lambda r: {"number": _int(0, 1000)(r)}, "Your random number is {number}."),
    (["get_battery", "battery", "battery_level"], "Get the battery level", ["How full is my battery?", "What is the battery level?", "Battery?"], lambda r: {"percent": _int(1, 101)(r)}, "Your battery is at {percent} percent."),
]


def declaration(tool, name, rng):
    """The tool in the JSON-schema form that chat requests carry."""
    if len(tool) == 5:
        return {"type": "function", "function": {"name": name, "description": tool[1], "parameters": {"type": "object", "properties": {}}}}
    props = {}
    for p, (kind, text, enum, _) in tool[2].items():
        props[p] = {"type": kind, "description": text} | ({"enum": enum} if enum else {})
    return {"type": "function", "function": {"name": name, "description": tool[1], "parameters": {"type": "object", "properties": props, "required": list(props)}}}


def request(rng):
    """One request: (tools, question, call name, arguments, result as text, final answer, key)."""
    tool = pick(rng, TOOLS) if rng.random() < 0.92 else pick(rng, NO_ARGUMENTS)
    others = [t for t in TOOLS + NO_ARGUMENTS if t is not tool and t[1].split()[0] != tool[1].split()[0]]
    chosen = [tool]
    for _ in range(int(rng.random() * 4)):
        t = pick(rng, others)
        if t not in chosen:
            chosen.append(t)
    rng.shuffle(chosen)
    names = {id(t): pick(rng, t[0]) for t in chosen}
    tools = [declaration(t, names[id(t)], rng) for t in chosen]
    if len(tool) == 5:
        args, forms, make, say = {}, tool[2], tool[3], tool[4]
        result = make(rng)
        text = ask(rng, pick(rng, forms), frame=0.15)
        key = f"{names[id(tool)]} {text}"
    else:
        args = {p: g(rng) for p, (_, _, _, g) in tool[2].items()}
        result = tool[4](rng, args)
        text, say = ask(rng, pick(rng, tool[3]).format(**args), frame=0.15), tool[5]
        key = f"{tool[0][0]} {sorted(args.items())}"
        if tool[0][0] in ("play_music", "roll_dice", "set_color"):  # few values: hold out the phrasing
            key = f"{names[id(tool)]} {text}"
    answer = say.format(**{**args, **result})
    if len(result) == 1 and rng.random() < 0.4:
        shown = str(next(iter(result.values())))
    else:
        shown = json.dumps(result, separators=pick(rng, [None, (",", ":")]))
    return tools, text, names[id(tool)], args, shown, answer[:1].upper() + answer[1:], key


def unneeded(rng):
    """Tools for a chat in which no question needs them."""
    chosen = []
    for _ in range(1 + int(rng.random() * 3)):
        t = pick(rng, [t for t in TOOLS if t[0][0] in ("get_weather", "set_timer", "call", "turn_light", "play_music", "order_food", "add_event", "find_train", "set_color", "get_birthday", "save_note")])
        if t not in chosen:
            chosen.append(t)
    return [declaration(t, pick(rng, t[0]), rng) for t in chosen]
