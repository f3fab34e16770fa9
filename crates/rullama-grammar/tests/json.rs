//! Random walks through masks: every answer parses and fits its schema, whatever is drawn.

use rullama_grammar::{GrammarError, Grammars, Tokens};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A vocabulary of single bytes and some longer pieces, and its end.
struct Words {
    tokens: Vec<Vec<u8>>,
    grammars: Grammars,
    end: u32,
    mask: Vec<u32>,
}

fn words() -> Words {
    let mut pieces: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    let longer = [
        "\": \"", "\",\"", "{\"", "\"}", "}]", "true", "false", "null", " \"", ",\n  ", "name", "Zür", "ich", "日本", "語", "\\n", "\\u",
        "00", "12", "e9",
    ];
    pieces.extend(longer.iter().map(|piece| piece.as_bytes().to_vec()));
    let mut tokens = Tokens::default();
    pieces.iter().for_each(|piece| tokens.text(piece));
    let mark = tokens.special("<|tool_call>");
    let end = tokens.special("<eos>");
    assert_eq!(mark + 1, end);
    let grammars = Grammars::new(&tokens, &[end]).unwrap();
    Words { tokens: pieces, grammars, end, mask: vec![0; tokens.mask_words()] }
}

fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    *random >> 33
}

/// One answer of up to `most` tokens by a random walk, which takes the end where it may after `most / 4`.
fn answer(words: &mut Words, schema: &Value, seed: u64, most: usize) -> Option<String> {
    let mut matcher = words.grammars.json(schema).unwrap();
    let mut random = seed;
    let mut text = Vec::new();
    for step in 0..most {
        matcher.allowed(&mut words.mask).unwrap();
        let allowed: Vec<u32> =
            (0..words.mask.len() as u32 * 32).filter(|id| words.mask[*id as usize / 32] >> (id % 32) & 1 == 1).collect();
        assert!(!allowed.is_empty());
        assert!(allowed.iter().all(|id| *id == words.end || (*id as usize) < words.tokens.len()), "a special token in an answer");
        assert_eq!(allowed.contains(&words.end), matcher.is_complete());
        if allowed == [words.end] || (allowed.contains(&words.end) && step > most / 4) {
            return Some(String::from_utf8(text).unwrap());
        }
        // What closes is likelier, so that walks come to an end.
        let closing: Vec<u32> =
            allowed.iter().copied().filter(|id| words.tokens.get(*id as usize).is_some_and(|piece| b"\"}],".contains(&piece[0]))).collect();
        let from = if next(&mut random).is_multiple_of(3) && !closing.is_empty() { &closing } else { &allowed };
        let id = from[(next(&mut random) % from.len() as u64) as usize];
        if id == words.end {
            return Some(String::from_utf8(text).unwrap());
        }
        text.extend_from_slice(&words.tokens[id as usize]);
        matcher.accept(id).unwrap();
    }
    None
}

fn schemas() -> Vec<Value> {
    vec![
        json!({"type": "object"}),
        json!(true),
        json!({}),
        json!({"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string", "maxLength": 4}, "maxItems": 3}}, "required": ["name", "age"]}),
        json!({"type": "object", "properties": {"größe": {"enum": ["klein", "groß", "日本", "\"quoted\"\n", 3, null]}, "a/b~c": {"type": ["number", "null"]}}, "required": ["größe", "a/b~c"], "additionalProperties": false}),
        json!({"type": "array", "items": {"anyOf": [{"type": "boolean"}, {"type": "object", "properties": {"x": {"type": "number", "minimum": -1.5, "maximum": 2}}, "required": ["x"]}]}, "minItems": 1, "maxItems": 2}),
        json!({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "properties": {"value": {"type": "integer", "minimum": 0, "maximum": 9}, "left": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}}, "required": ["value", "left"]}}}),
        json!({"type": "object", "properties": {"when": {"type": "string", "format": "date"}, "id": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}, "raw": {"type": "string", "format": "binary"}}, "required": ["when", "id", "raw"]}),
        json!({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}]}),
        json!({"oneOf": [{"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}, "required": ["kind"]}, {"type": "object", "properties": {"kind": {"const": "dog"}}, "required": ["kind"]}]}),
        json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2}),
        json!({"type": "object", "patternProperties": {"^k[0-9]$": {"type": "boolean"}}, "additionalProperties": false}),
        json!({"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a b/c%d": {"type": "integer"}}, "type": "object", "properties": {"n": {"$ref": "#/definitions/a%20b~1c%25d"}}, "required": ["n"]}),
        json!({"anyOf": [{"type": "number"}, {"const": 1e250}, {"type": "array", "items": {"type": "number", "multipleOf": 0.25}}]}),
        json!({"properties": {"a": {"type": "integer", "exclusiveMinimum": 3}}, "required": ["a", "free"]}),
    ]
}

fn every_answer_parses_and_fits() {
    let mut words = words();
    for schema in schemas() {
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let mut finished = 0;
        for seed in 0..40 {
            let Some(text) = answer(&mut words, &schema, seed * 977 + 13, 160) else { continue };
            let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{schema}: {text:?}: {error}"));
            validator.validate(&value).unwrap_or_else(|error| panic!("{schema}: {text}: {error}"));
            finished += 1;
        }
        assert!(finished >= 10, "{schema}: {finished} walks ended");
    }
}

/// The error of a schema.
fn refusal(schema: Value) -> GrammarError {
    match words().grammars.json(&schema) {
        Ok(_) => panic!("{schema} was taken"),
        Err(error) => error,
    }
}

fn what_is_refused_has_its_place() {
    let at = |schema: Value, place: &str| {
        let said = refusal(schema.clone()).to_string();
        assert!(said.contains(&format!("{place} ")) || said.contains(&format!("{place}:")), "{schema}: {said}, not at {place}");
    };
    at(json!({"type": "object", "properties": {"a": {"not": {"type": "string"}}}}), "#/properties/a");
    at(json!({"type": "array", "items": {"type": "array", "uniqueItems": true}}), "#/items");
    at(json!({"if": {}, "then": {}}), "#");
    at(json!({"type": "text"}), "#/type");
    at(json!({"properties": ["a"]}), "#/properties");
    at(json!({"properties": {"a/b": 3}}), "#/properties/a~1b");
    at(json!({"anyOf": []}), "#/anyOf");
    at(json!({"enum": []}), "#/enum");
    at(json!({"$ref": "#/$defs/none"}), "#/$ref");
    at(json!({"$ref": "https://example.org/schema"}), "#/$ref");
    at(json!({"$ref": "#"}), "#/$ref");
    at(json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}), "#/$ref");
    at(json!({"type": "string", "minLength": 5, "maxLength": 3}), "#/minLength");
    at(json!({"type": "integer", "multipleOf": 0}), "#/multipleOf");
    at(json!({"type": "object", "properties": {"p": {"type": "string", "pattern": "(["}}}), "#/properties/p");
    at(json!({"type": "object", "properties": {"p": {"type": "string", "pattern": "(?=a)b"}}}), "#/properties/p");
    at(
        json!({"type": "object", "properties": {"p": {"type": "integer", "minimum": 3, "maximum": 2}}, "required": ["p"]}),
        "#/properties/p",
    );
    at(json!(false), "#");
    at(json!("string"), "#");
    at(json!(null), "#");
}

/// Schemas that would take long or much.
fn hostile() -> Vec<(&'static str, Value)> {
    let many = |n: usize| (0..n).map(|i| json!(format!("value number {i} {}", i * 7919 % 1000))).collect::<Vec<Value>>();
    let nested = (0..100).fold(json!({"type": "string"}), |inner, _| json!({"type": "array", "items": inner}));
    let choice = |i: usize| json!({"anyOf": [{"properties": {format!("a{i}"): {"type": "integer"}}}, {"properties": {format!("b{i}"): {"type": "string"}}}]});
    let chain: serde_json::Map<String, Value> = (0..40)
        .map(|i| {
            (
                format!("d{i}"),
                json!({"type": "array", "prefixItems": [{"$ref": format!("#/$defs/d{}", i + 1)}, {"$ref": format!("#/$defs/d{}", i + 1)}]}),
            )
        })
        .chain([("d40".to_string(), json!({"type": "null"}))])
        .collect();
    vec![
        ("a huge enumeration", json!({"enum": many(15_000)})),
        ("a larger one", json!({"enum": many(100_000)})),
        ("a deep one", nested),
        ("products of choices", json!({"allOf": (0..24).map(choice).collect::<Vec<_>>()})),
        ("definitions that double", json!({"$ref": "#/$defs/d0", "$defs": chain})),
        ("nested repetitions", json!({"type": "string", "pattern": "^((((a{1,100}){1,100}){1,100}){1,100}){1,100}$"})),
        ("states by the power", json!({"type": "string", "pattern": "^(a|b)*a(a|b){200}$"})),
        ("backtracking", json!({"type": "string", "pattern": "^(a+)+(a|aa)+(a*)*$"})),
        ("a long text", json!({"type": "string", "minLength": 90_000})),
        ("an endless text", json!({"type": "string", "minLength": 1_000_000_000_000u64})),
        ("a text of at most much", json!({"type": "string", "maxLength": 1_000_000_000_000u64})),
        ("many items", json!({"type": "array", "items": {"type": "integer"}, "minItems": 90_000})),
        (
            "many properties",
            json!({"type": "object", "properties": (0..9000).map(|i| (format!("p{i}"), json!({"type": "integer"}))).collect::<serde_json::Map<_, _>>()}),
        ),
        (
            "patterns that overlap",
            json!({"type": "object", "patternProperties": {"^(a|b)*a(a|b){30}$": true, "^(a|b)*b(a|b){31}$": {"type": "null"}}}),
        ),
        ("large factors", json!({"type": "integer", "multipleOf": 999_999_937})),
        ("small factors", json!({"type": "number", "multipleOf": 1e-300})),
        ("extreme bounds", json!({"type": "number", "minimum": -1.797e308, "maximum": 1.797e308})),
        ("itself and more", json!({"allOf": [{"$ref": "#"}, {"type": "object"}]})),
        ("itself within itself", json!({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"})),
        ("nothing but itself", json!({"type": "array", "items": {"$ref": "#"}, "minItems": 1})),
    ]
}

/// Each is refused or followed, and neither takes long.
fn hostile_schemas_are_bounded() {
    let mut words = words();
    for (name, schema) in hostile() {
        let started = Instant::now();
        let result = words.grammars.json(&schema);
        let compiled = started.elapsed();
        let mut slowest = Duration::ZERO;
        let mut said = result.as_ref().err().map(ToString::to_string);
        if let Ok(mut matcher) = result {
            let mut random = 7;
            for _ in 0..60 {
                let started = Instant::now();
                if let Err(error) = matcher.allowed(&mut words.mask) {
                    said = Some(error.to_string());
                    break;
                }
                let allowed: Vec<u32> =
                    (0..words.mask.len() as u32 * 32).filter(|id| words.mask[*id as usize / 32] >> (id % 32) & 1 == 1).collect();
                let id = allowed[(next(&mut random) % allowed.len() as u64) as usize];
                if id == words.end {
                    break;
                }
                if let Err(error) = matcher.accept(id) {
                    said = Some(error.to_string());
                    break;
                }
                slowest = slowest.max(started.elapsed());
            }
        }
        println!("{name}: {compiled:?}, {slowest:?} a token, {said:?}");
        assert!(compiled < Duration::from_secs(4), "{name}: {compiled:?}");
        assert!(slowest < Duration::from_secs(2), "{name}: {slowest:?} a token");
    }
}

rullama_testing::tests! {
    every_answer_parses_and_fits,
    what_is_refused_has_its_place,
    hostile_schemas_are_bounded,
}
