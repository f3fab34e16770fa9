//! Tool calls in the model's notation, as the template writes them, and its near misses.

use crate::common::{parse, tools, written_and_read};
use proptest::prelude::*;
use rullama_text::ParserOptions;
use serde_json::{Value, json};

fn call_of(tool: Value, text: &str) -> Option<Value> {
    let parsed = parse(&format!("<|tool_call>{text}<tool_call|>"), tools(json!([tool])));
    assert_eq!(parsed.tool_calls.len() + parsed.unreadable.len(), 1, "{text}");
    assert_eq!(parsed.content, "", "{text}");
    parsed.tool_calls.into_iter().next().map(|call| Value::Object(call.arguments))
}

fn call(arguments: &str) -> Option<Value> {
    let tool = json!({"name": "f", "parameters": {"properties": {"n": {"type": "integer"}, "path": {"type": "string"},
        "text": {"anyOf": [{"type": "null"}, {"type": "STRING"}]}}}});
    call_of(tool, &format!("call:f{arguments}"))
}

fn arguments_in_the_models_notation() {
    assert_eq!(call("{}"), Some(json!({})));
    assert_eq!(call("{ a : 1 }"), Some(json!({"a": 1})));
    assert_eq!(
        call(r#"{a:[{b_2:null},-1.5e3,true],é:<|"|>x:{y,z:1}<|"|>,"c,d:":"e,f:\"g\""}"#),
        Some(json!({"a": [{"b_2": null}, -1500.0, true], "é": "x:{y,z:1}", "c,d:": "e,f:\"g\""}))
    );
    assert_eq!(call("{<|\"|>k<|\"|>:<|\"|>\"\\\n\u{0}<|\"|>}"), Some(json!({"k": "\"\\\n\u{0}"})));
}

fn damaged_arguments_are_repaired_or_reported() {
    // Single quotes, also with a stray delimiter behind them.
    assert_eq!(call("{path:'a\"b',n:1}"), Some(json!({"path": "a\"b", "n": 1})));
    assert_eq!(call("{path: 'a'<|\"|>}"), Some(json!({"path": "a"})));
    // A string that is never closed, with and without the brace.
    assert_eq!(call("{path:<|\"|>a}"), Some(json!({"path": "a"})));
    assert_eq!(call("{n:2,path:<|\"|>a b"), Some(json!({"n": 2, "path": "a b"})));
    // Raw text where the schema says string; the next key of the schema ends it.
    assert_eq!(call("{path:/tmp/a, b:c,n:3}"), Some(json!({"path": "/tmp/a, b:c", "n": 3})));
    assert_eq!(call("{n:3,text:tomorrow"), Some(json!({"n": 3, "text": "tomorrow"})));
    // Nothing to be done.
    for lost in ["{n:}", "{n:abc}", "{path:<|\"|>a<|\"|>,n", "{{{", "{n:1}}", "{a:[1}", "{a:<|\"|>x<|\"|> y}", "{a:1]"] {
        assert_eq!(call(lost), None, "{lost}");
    }
    // What misses its end.
    assert_eq!(call("{path:<|\"|>a<|\"|>,n:1"), Some(json!({"path": "a", "n": 1})));
    assert_eq!(call("{o:{a:[1,{b:<|\"|>x}"), Some(json!({"o": {"a": [1, {"b": "x"}]}})));
    assert_eq!(parse("<|tool_call>nonsense<tool_call|>x", ParserOptions::default()).unreadable, ["nonsense"]);
    assert_eq!(parse("<|tool_call>call:f", ParserOptions::default()).unreadable, ["call:f"]);
}

fn keys_may_be_any_string_of_the_template() {
    let keys = [
        "$match",
        "user-id",
        "a.b",
        "two words",
        "@type",
        "größe",
        "日本",
        "1st",
        "a/b",
        "xs:int",
        "https://x.org/y",
        "",
        "#",
        "a,b",
        "(x)",
        "it's",
        "a=b",
        "true",
        "*",
        "{x}",
        "a\"b",
    ];
    for key in keys {
        for value in [json!(1), json!("v"), json!([1, "x"]), json!({key: null})] {
            let arguments = json!({key: value, "z": true});
            let parsed = written_and_read(&arguments);
            let got = parsed.tool_calls.first().map(|call| Value::Object(call.arguments.clone()));
            assert_eq!(got, Some(arguments), "{key:?}: {:?}", parsed.unreadable);
        }
    }
    // Keys that only the schema can tell.
    let tool = json!({"name": "f", "parameters": {"properties": {"a:1,b": {"type": "integer"}, "a": {"type": "integer"}}}});
    assert_eq!(call_of(tool, "call:f{a:1,b:2}"), Some(json!({"a:1,b": 2})));
}

/// A tool with a parameter of every type.
fn f() -> Value {
    json!({"name": "f", "parameters": {"required": ["city"], "properties": {
        "city": {"type": "string"}, "zip": {"type": "string"}, "n": {"type": "integer"}, "x": {"type": "number"}, "on": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}}, "either": {"type": ["string", "number"]},
        "o": {"type": "object", "properties": {"at": {"type": "string"}, "n": {"type": "integer"}}}}}})
}

fn near_misses_are_read_by_the_schema() {
    let read = |text: &str| call_of(f(), text);
    let cases = [
        // Words without delimiters.
        ("call:f{city:Paris,n:3}", json!({"city": "Paris", "n": 3})),
        ("call:f{city:New York, NY,n:3}", json!({"city": "New York, NY", "n": 3})),
        ("call:f{city:12:30,n:3}", json!({"city": "12:30", "n": 3})),
        ("call:f{city: https://x.org/?a=1&b={2} ,n:3}", json!({"city": "https://x.org/?a=1&b={2}", "n": 3})),
        ("call:f{tags:[bug, user interface]}", json!({"tags": ["bug", "user interface"]})),
        ("call:f{tags:['bug',\"ui\",<|\"|>x<|\"|>,7]}", json!({"tags": ["bug", "ui", "x", "7"]})),
        ("call:f{o:{at:09:30,n:1},city:Rome}", json!({"o": {"at": "09:30", "n": 1}, "city": "Rome"})),
        ("call:f{other:some words, more,n:1}", json!({"other": "some words, more", "n": 1})),
        // Numbers and literals where the schema asks for strings, and where it does not.
        ("call:f{zip:02134,city:5,n:7}", json!({"zip": "02134", "city": "5", "n": 7})),
        ("call:f{city:true,on:true,zip:null}", json!({"city": "true", "on": true, "zip": null})),
        ("call:f{either:5}", json!({"either": 5})),
        ("call:f{either:five}", json!({"either": "five"})),
        // Python's literals, quotes and numbers.
        ("call:f{on:True,zip:None,n:1_000,x:.5}", json!({"on": true, "zip": null, "n": 1000, "x": 0.5})),
        ("call:f{'city':'it\\'s','n':-3}", json!({"city": "it's", "n": -3})),
        ("call:f{city:'it's here',n:1}", json!({"city": "it's here", "n": 1})),
        ("call:f{city:\"say \"hi\" now\",n:1}", json!({"city": "say \"hi\" now", "n": 1})),
        ("call:f{city:\"a\\nb\\u00e9\\ud83d\\ude00\\d\"}", json!({"city": "a\nbé😀\\d"})),
        // As a function call.
        ("call:f(city=<|\"|>Paris<|\"|>, n=3)", json!({"city": "Paris", "n": 3})),
        ("call:f(city: Paris, on=False)", json!({"city": "Paris", "on": false})),
        ("call:f({\"city\": \"Paris\", \"n\": 3})", json!({"city": "Paris", "n": 3})),
        ("f(city='Paris')", json!({"city": "Paris"})),
        ("call:f('Paris')", json!({"city": "Paris"})),
        ("call:f(Paris)", json!({"city": "Paris"})),
        ("call:f()", json!({})),
        ("call:tools.f{n:1}", json!({"n": 1})),
        ("{\"name\": \"f\", \"arguments\": {\"n\": 1}}", json!({"n": 1})),
        ("{\"function\": {\"name\": \"f\", \"arguments\": \"{\\\"n\\\": 1}\"}}", json!({"n": 1})),
        ("call:f{city:\"\"\"a \"b\" c\"\"\",n:1}", json!({"city": "a \"b\" c", "n": 1})),
        // Commas too few and too many.
        ("call:f{,city:a}", json!({"city": "a"})),
        ("call:f{city:<|\"|>a<|\"|>n:3 on:true}", json!({"city": "a", "n": 3, "on": true})),
        ("call:f{tags:[<|\"|>a<|\"|><|\"|>b<|\"|>]o:{n:1}n:2}", json!({"tags": ["a", "b"], "o": {"n": 1}, "n": 2})),
        ("call:f{tags:[<|\"|>a<|\"|>,],n:3,}", json!({"tags": ["a"], "n": 3})),
        ("call:f{city=<|\"|>a<|\"|>}", json!({"city": "a"})),
        ("call:f{city:Paris<|\"|>,n:1}", json!({"city": "Paris", "n": 1})),
    ];
    for (text, arguments) in cases {
        assert_eq!(read(text), Some(arguments), "{text}");
    }
}

fn what_the_schema_does_not_allow_is_unreadable() {
    let read = |text: &str| call_of(f(), text);
    for lost in ["call:f{n:three}", "call:f{on:maybe}", "call:f(1, 2)", "call:f", "call:{}", "the weather {n:1}", "call:f{n:1}{n:1}"] {
        assert_eq!(read(lost), None, "{lost}");
    }
    let idle = json!({"name": "now", "parameters": {"type": "object", "properties": {}}});
    assert_eq!(call_of(idle, "call:now"), Some(json!({})));
    // A number keeps its digits where a string is asked for, and JSON's strings keep their numbers.
    assert_eq!(
        read("call:f{zip:\"007\",city:123456789012345678901234567890}"),
        Some(json!({"zip": "007", "city": "123456789012345678901234567890"}))
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    /// What the template writes is read back, whatever the strings.
    fn calls_come_back(strings in prop::collection::vec(any::<String>(), 1..4), number: i64, real in -1e9f64..1e9) {
        let arguments = json!({"s": strings, "o": {"n": number, "x": real.floor() + 0.5, "e": {}, "l": []}, "t": strings[0]});
        let parsed = written_and_read(&arguments);
        prop_assert_eq!(parsed.tool_calls.first().map(|call| Value::Object(call.arguments.clone())), Some(arguments));
    }
}

rullama_testing::tests! {
    arguments_in_the_models_notation,
    damaged_arguments_are_repaired_or_reported,
    keys_may_be_any_string_of_the_template,
    near_misses_are_read_by_the_schema,
    what_the_schema_does_not_allow_is_unreadable,
    calls_come_back,
}
