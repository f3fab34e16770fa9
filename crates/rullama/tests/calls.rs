//! Random walks through the masks of forced calls: whatever is drawn, the parser reads a call whose arguments fit the tool's schema.

use rullama::text::chat::Tool;
use rullama::text::{Ending, Event, OutputParser, ParserOptions, Piece};
use rullama_grammar::{Function, GrammarError, Grammars, Tokens};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A vocabulary of bytes and some longer pieces, with the token around texts and an end.
struct Words {
    pieces: Vec<Vec<u8>>,
    grammars: Grammars,
    quote: u32,
    end: u32,
    mask: Vec<u32>,
}

fn words() -> Words {
    let mut pieces: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    let longer = ["call:", "{a", "\": \"", "\",\"", "{\"", "}]", "true", "false", "null", ",", ":", "日本", "語", "\\u", "00", "12", "e9"];
    pieces.extend(longer.iter().map(|piece| piece.as_bytes().to_vec()));
    let mut tokens = Tokens::default();
    pieces.iter().for_each(|piece| tokens.text(piece));
    let quote = tokens.special("<|\"|>");
    let end = tokens.special("<eos>");
    let grammars = Grammars::new(&tokens, &[end]).unwrap();
    Words { pieces, grammars, quote, end, mask: vec![0; tokens.mask_words()] }
}

fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    *random >> 33
}

fn tools(list: &[(&str, Value)]) -> Vec<Tool> {
    let tool = |(name, parameters): &(&str, Value)| serde_json::from_value(json!({"name": name, "parameters": parameters})).unwrap();
    list.iter().map(tool).collect()
}

fn functions(list: &[(&str, Value)]) -> Vec<Function> {
    list.iter().map(|(name, parameters)| Function { name: (*name).to_owned(), parameters: parameters.clone() }).collect()
}

/// A call by a random walk of up to so many tokens, as the parser reads it; `None` where it came to no end.
fn walked(words: &mut Words, list: &[(&str, Value)], seed: u64) -> Option<(String, Value)> {
    let mut matcher = words.grammars.call(&functions(list), words.quote).unwrap();
    let options = ParserOptions { tools: tools(list), ..ParserOptions::default() };
    let mut parser = OutputParser::new(options);
    let mut events = parser.push(Piece::Special("<|tool_call>"));
    let (mut random, mut text, mut shown) = (seed, Vec::new(), String::new());
    let mut flush = |text: &mut Vec<u8>, events: &mut Vec<Event>, parser: &mut OutputParser| {
        let whole = String::from_utf8(std::mem::take(text)).unwrap();
        shown.push_str(&whole);
        events.extend(parser.push(Piece::Text(&whole)));
    };
    for _ in 0..600 {
        matcher.allowed(&mut words.mask).unwrap();
        let ids = 0..words.mask.len() as u32 * 32;
        let allowed: Vec<u32> = ids.filter(|id| words.mask[*id as usize / 32] >> (id % 32) & 1 == 1).collect();
        assert!(!allowed.is_empty());
        if allowed.contains(&words.end) {
            flush(&mut text, &mut events, &mut parser);
            events.extend(parser.push(Piece::Special("<tool_call|>")));
            events.extend(parser.finish(Ending::Complete));
            let [Event::ToolCall(call)] = &events[..] else { panic!("{shown:?} of seed {seed}: {events:?}") };
            return Some((call.function.name.clone(), call.function.arguments.clone().into()));
        }
        // What closes is likelier, so that walks come to an end.
        let closes = |id: &u32| *id == words.quote || words.pieces.get(*id as usize).is_some_and(|piece| b"\"}],".contains(&piece[0]));
        let closing: Vec<u32> = allowed.iter().copied().filter(closes).collect();
        let from = if next(&mut random).is_multiple_of(3) && !closing.is_empty() { &closing } else { &allowed };
        let id = from[(next(&mut random) % from.len() as u64) as usize];
        if id == words.quote {
            flush(&mut text, &mut events, &mut parser);
            events.extend(parser.push(Piece::Special("<|\"|>")));
        } else {
            text.extend_from_slice(&words.pieces[id as usize]);
        }
        matcher.accept(id).unwrap();
    }
    None
}

fn every_call_is_read_and_fits() {
    let mut words = words();
    let text = json!({"type": "string"});
    let schemas = [
        json!({"type": "object", "properties": {"city": text}, "required": ["city"]}),
        json!({"type": "object", "properties": {"b": {"type": "integer", "minimum": -3, "maximum": 40}, "A": text, "c": {"type": "boolean"}}}),
        json!({"type": "object", "properties": {"b": {"type": "number"}, "a": {"enum": ["x,y}", "größe:", ""]}}, "required": ["b"]}),
        json!({"properties": {"list": {"type": "array", "items": text, "minItems": 1, "maxItems": 3}, "more": {"type": "array", "items": {"type": "integer"}}}, "required": ["list"]}),
        json!({"type": "object", "properties": {"in": {"type": "object", "properties": {"x": {"const": "ja"}, "y": {"enum": [1, "b", null]}}, "required": ["y"]}}, "required": ["in"]}),
        json!({"type": "object", "properties": {"p": {"type": "string", "pattern": "^[a-c]{1,4}$"}, "q": {"type": ["string", "null"], "maxLength": 3}}, "required": ["p", "q"]}),
        json!({"type": "object", "properties": {"any": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/n"}]}}, "required": ["any"],
            "$defs": {"n": {"type": "object", "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/n"}]}}, "required": ["next"]}}}),
        json!({"type": "object", "properties": {"odd key": {"type": "boolean"}}, "required": ["odd key"]}),
        json!({"type": "object", "properties": {}}),
        json!({}),
    ];
    for schema in &schemas {
        let list = [("look.up-2", schema.clone())];
        let mut found = BTreeSet::new();
        for seed in 0..40 {
            let Some((name, arguments)) = walked(&mut words, &list, seed) else { continue };
            assert_eq!(name, "look.up-2");
            jsonschema::validate(schema, &arguments).unwrap_or_else(|error| panic!("{arguments} of seed {seed}: {error}"));
            found.insert(arguments.to_string());
        }
        let open = schema.get("properties").and_then(Value::as_object).is_some_and(|properties| !properties.is_empty());
        assert!(found.len() > if open { 1 } else { 0 }, "{schema}: {found:?}");
    }
}

fn each_function_can_be_called() {
    let mut words = words();
    let list = [("a", json!({})), ("ab", json!({"type": "object", "properties": {"x": {"type": "null"}}})), ("b", json!({}))];
    let names: BTreeSet<String> = (0..60).filter_map(|seed| walked(&mut words, &list, seed)).map(|call| call.0).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "ab", "b"]);
}

fn what_cannot_be_forced_is_named() {
    let words = words();
    let refused = |list: &[(&str, Value)]| words.grammars.call(&functions(list), words.quote).err().unwrap();
    let error = refused(&[("f", json!({"type": "object", "properties": {"a": {"not": {}}}}))]).to_string();
    assert!(error.contains("`f`") && error.contains("`not` at #/properties/a"), "{error}");
    for name in ["", "a b", "a{", "a\n"] {
        assert!(matches!(refused(&[(name, json!({}))]), GrammarError::Function { .. }), "{name:?}");
    }
    assert!(refused(&[]).to_string().contains("no function"));
    let error = refused(&[(
        "f",
        json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 2}}, "required": ["a"]}),
    )]);
    assert!(error.to_string().contains("`f`"), "{error}");
}

rullama_testing::tests! {
    every_call_is_read_and_fits,
    each_function_can_be_called,
    what_cannot_be_forced_is_named,
}
