"""Gemma 4's chat template and the ids of a conversation.

A conversation is rendered into segments `(kind, text, train)`: kind "special" is one special token, "text" is plain.
Special tokens come from the template alone: message text that spells one stays text. Adjacent plain segments are
joined before merging. `train` marks what the model itself has to write (closing token included).
"""
import json

BOS, TURN, END = "<bos>", "<|turn>", "<turn|>"
QUOTE = '<|"|>'


def _arg(v):
    """Segments of one argument value: null, booleans and numbers bare, strings between quote tokens."""
    if v is None:
        return [("text", "null")]
    if isinstance(v, bool):
        return [("text", "true" if v else "false")]
    if isinstance(v, (int, float)):
        return [("text", str(int(v) if float(v).is_integer() else v))]
    if isinstance(v, str):
        return [("special", QUOTE), ("text", v), ("special", QUOTE)]
    if isinstance(v, list):
        out = [("text", "[")]
        for i, x in enumerate(v):
            out += ([("text", ",")] if i else []) + _arg(x)
        return out + [("text", "]")]
    return _object(v)


def _object(d):
    out = [("text", "{")]
    for i, k in enumerate(sorted(d)):
        out += [("text", ("," if i else "") + k + ":")] + _arg(d[k])
    return out + [("text", "}")]


def _quoted(s):
    return [("special", QUOTE), ("text", s), ("special", QUOTE)]


def _property(name, schema):
    out = [("text", name + ":{")]
    parts = []
    if schema.get("description"):
        parts.append([("text", "description:")] + _quoted(schema["description"]))
    if schema.get("enum"):
        parts.append([("text", "enum:")] + _arg(schema["enum"]))
    parts.append([("text", "type:")] + _quoted(schema["type"].upper()))
    for i, p in enumerate(parts):
        out += ([("text", ",")] if i else []) + p
    return out + [("text", "}")]


def declaration(tool):
    """Segments of one tool declaration, brackets included."""
    f = tool["function"]
    params = f["parameters"]
    out = [("special", "<|tool>"), ("text", f"declaration:{f['name']}" + "{description:")] + _quoted(f["description"]) + [("text", ",parameters:{")]
    if params.get("properties"):
        out.append(("text", "properties:{"))
        for i, name in enumerate(sorted(params["properties"])):
            out += ([("text", ",")] if i else []) + _property(name, params["properties"][name])
        out.append(("text", "},"))
    if params.get("required"):
        out += [("text", "required:")] + _arg(params["required"]) + [("text", ",")]
    return out + [("text", "type:")] + _quoted("OBJECT") + [("text", "}}"), ("special", "<tool|>")]


def call(c):
    return [("special", "<|tool_call>"), ("text", f"call:{c['name']}")] + _object(c["arguments"]) + [("special", "<tool_call|>")]


def response(name, value):
    return [("special", "<|tool_response>"), ("text", f"response:{name}" + "{value:")] + _arg(value) + [("text", "}"), ("special", "<tool_response|>")]


def render(conversation):
    """Segments of a conversation: {"messages": [...], "tools": [...], "thinking": bool}.

    A message is {"role", "content"}, on model turns also "thinking", "tool_calls", "train" (False: no loss), on tool
    turns "name"; a user message may carry "soft": ("image" | "audio", words). The last message may be a user's or a
    tool's: then the text ends where the model goes on.
    """
    messages, tools, thinking = conversation["messages"], conversation.get("tools") or [], conversation.get("thinking", False)
    out = [("special", BOS, False)]

    def add(segments, train=False):
        out.extend((k, t, train) for k, t in segments)

    rest = messages
    system = messages[0]["content"].strip() if messages[0]["role"] == "system" else ""
    if messages[0]["role"] == "system":
        rest = messages[1:]
    if thinking or tools or messages[0]["role"] == "system":
        add([("special", TURN), ("text", "system\n")])
        if thinking:
            add([("special", "<|think|>"), ("text", "\n")])
        add([("text", system)])
        for t in tools:
            add(declaration(t))
        add([("special", END), ("text", "\n")])
    last_user = max((i for i, m in enumerate(rest) if m["role"] == "user"), default=-1)
    open_turn, open_thought = False, False  # inside a model turn; the prompt itself opened the thought
    for i, m in enumerate(rest):
        train = m.get("train", True)
        if m["role"] == "tool":
            add(response(m["name"], m["content"])[1:])  # its opening token was the model's stop token
            if thinking and i > last_user:
                add([("special", "<|channel>"), ("text", "thought\n")])
                open_thought = True
            continue
        if m["role"] == "user":
            add([("special", TURN), ("text", "user\n")])
            if "soft" in m:
                kind, words = m["soft"]
                add([("special", f"<|{kind}>")])
                out.append(("soft", words, False))
                add([("special", f"<{kind}|>")])
            add([("text", m["content"].strip()), ("special", END), ("text", "\n")])
            continue
        if not open_turn:
            add([("special", TURN), ("text", "model\n")])
        if m.get("thinking") and i > last_user:
            if not open_thought:
                add([("special", "<|channel>"), ("text", "thought\n")], train)
            add([("text", m["thinking"] + "\n"), ("special", "<channel|>")], train)
        open_thought = False
        if m.get("tool_calls"):
            for c in m["tool_calls"]:
                add(call(c), train)
            add([("special", "<|tool_response>")], train)  # hands over to the tool
            open_turn = True
            continue
        add([("text", m["content"].strip()), ("special", END)], train)
        add([("text", "\n")])
        open_turn = False
    if rest[-1]["role"] == "user":
        add([("special", TURN), ("text", "model\n")])
    return out


def text_of(segments):
    return "".join(" ".join(s[1]) if s[0] == "soft" else s[1] for s in segments)


def parse_reply(text):
    """A generated reply with special tokens -> {"thinking", "content", "tool_calls"}; calls stay as template text."""
    thinking, content, calls = "", text, []
    if "<channel|>" in content:
        head, content = content.split("<channel|>", 1)
        thinking = head.removeprefix("<|channel>").removeprefix("thought\n").strip()
    while "<|tool_call>" in content:
        before, _, after = content.partition("<|tool_call>")
        body, _, after = after.partition("<tool_call|>")
        calls.append(body)
        content = before + after
    for stop in ("<|tool_response>", END, "<eos>"):
        content = content.split(stop)[0]
    return {"thinking": thinking, "content": content.strip(), "tool_calls": calls}


def expected_reply(message):
    """What `parse_reply` gives for a right answer."""
    calls = ["".join(t for _, t in call(c)[1:-1]) for c in message.get("tool_calls", [])]
    return {"thinking": message.get("thinking", ""), "content": message.get("content", "").strip(), "tool_calls": calls}


def dumps(x):
    return json.dumps(x, ensure_ascii=False)
