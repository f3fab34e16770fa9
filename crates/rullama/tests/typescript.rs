//! What the TypeScript package declares by hand is what the engine says.

use rullama::{EmbedPrompt, ErrorCode, ExpertMode, Finish, ModelInfo, PleMode, Speculate, Summary, Timings, Token};
use serde_json::Value;
use std::collections::BTreeSet;

fn source(file: &str) -> String {
    let path = rullama_testing::workspace().join("web/packages/rullama/src").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text between `from` and the next `to`.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("no `{from}`")) + from.len();
    &text[start..start + text[start..].find(to).unwrap_or_else(|| panic!("no `{to}` after `{from}`"))]
}

/// The strings in single quotes.
fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('\'').skip(1).step_by(2).collect()
}

/// Name and type of each field of an exported interface; an optional one ends in `?`.
fn fields<'a>(types: &'a str, interface: &str) -> Vec<(&'a str, &'a str)> {
    let body = between(types, &format!("export interface {interface} {{\n"), "\n}");
    let field = |line: &'a str| line.trim().strip_suffix(';')?.split_once(": ");
    body.lines().filter(|line| !line.trim_start().starts_with(['/', '*'])).filter_map(field).collect()
}

/// `prefill_tok_s` as JavaScript writes it.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

/// Whether a value of Rust's is one of the declared type; unions of strings are compared elsewhere.
fn fits(value: &Value, declared: &str) -> bool {
    match value {
        Value::Number(_) => declared == "number",
        Value::Bool(_) => declared == "boolean",
        Value::String(text) => declared == "string" || declared == "Finish" || quoted(declared).contains(text.as_str()),
        Value::Array(_) => declared.ends_with("[]"),
        Value::Object(_) => declared == "Timings",
        Value::Null => false,
    }
}

/// Fields of an interface against a value with every field set. `untold` are Rust's alone.
fn check(types: &str, interface: &str, value: &impl serde::Serialize, untold: &[&str]) {
    let value = serde_json::to_value(value).unwrap();
    let ours = value.as_object().unwrap();
    let declared = fields(types, interface);
    assert!(!declared.is_empty(), "{interface} has no fields");
    for (name, kind) in &declared {
        let found = ours.iter().find(|(key, _)| camel(key) == name.trim_end_matches('?'));
        let (_, value) = found.unwrap_or_else(|| panic!("{interface}.{name}: the engine does not say it"));
        assert!(fits(value, kind), "{interface}.{name} is declared as {kind}, the engine says {value}");
    }
    for key in ours.keys().filter(|key| !untold.contains(&key.as_str())) {
        let told = declared.iter().any(|(name, _)| camel(key) == name.trim_end_matches('?'));
        assert!(told, "{interface} does not declare {key}");
    }
}

fn error_codes() {
    let errors = source("errors.ts");
    let declared = quoted(between(&errors, "export const ERROR_CODES = [", "]"));
    // A call after `close()` is the package's own.
    let ours: BTreeSet<&str> = ErrorCode::ALL.iter().map(|code| code.name()).chain(["closed"]).collect();
    assert_eq!(declared, ours);
}

fn what_the_engine_says() {
    let types = source("types.ts");
    let timings = Timings { prefill_s: 0.5, decode_s: 0.5, first_token_s: 0.5, prefilled_tokens: 1, prefill_tok_s: 0.5, decode_tok_s: 0.5 };
    check(&types, "Timings", &timings, &[]);
    let summary =
        Summary { ids: vec![1], text: "a".into(), finish: Finish::Stop, prompt_tokens: 1, drafted_tokens: 1, accepted_tokens: 1, timings };
    check(&types, "Summary", &summary, &[]);
    check(&types, "Token", &Token { id: 1, text: "a".into(), logprob: Some(-0.5), top: vec![(1, -0.5)], marks: Vec::new() }, &[]);
    let info = ModelInfo {
        name: "a".into(),
        layers: 1,
        dim: 1,
        vocab: 1,
        heads: 1,
        window: 1,
        context: 1,
        trained_context: 1,
        per_layer: 1,
        ple: "none",
        experts: "none",
        expert_places: 1,
        kv: "f16",
        drafter: true,
        products: "exact",
        persistent: false,
        embedding: vec![1],
        bytes_per_token: 1,
        device: "a".into(),
        driver: "a".into(),
        backend: "a",
        subgroups: true,
        large_template: true,
        load_seconds: 0.5,
        loaded_bytes: 1,
        disabled_kernels: vec!["a".into()],
    };
    check(&types, "ModelInfo", &info, &["per_layer", "large_template"]);
}

fn words() {
    let types = source("types.ts");
    let prompts: BTreeSet<&str> = EmbedPrompt::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(quoted(between(&source("embed-types.ts"), "  prompt?:", ";")), prompts);
    let checked = source("check.ts");
    assert_eq!(quoted(between(&checked, "  prompt: oneOf(", ")")), prompts);
    let name = |value: Value| value.as_str().unwrap().to_owned();
    let finishes = [Finish::Stop, Finish::StopString, Finish::Length, Finish::ToolCall, Finish::Cancelled];
    let finishes: BTreeSet<String> = finishes.map(|finish| name(serde_json::to_value(finish).unwrap())).into();
    let modes = [PleMode::Auto, PleMode::Resident, PleMode::Streamed].map(|mode| name(serde_json::to_value(mode).unwrap()));
    let experts = [ExpertMode::Auto, ExpertMode::Resident, ExpertMode::Streamed].map(|mode| name(serde_json::to_value(mode).unwrap()));
    let speculate =
        [Speculate::Off, Speculate::Auto, Speculate::Lookup, Speculate::Drafter].map(|mode| name(serde_json::to_value(mode).unwrap()));
    let kinds = [("Finish", finishes), ("PleMode", modes.into()), ("ExpertMode", experts.into()), ("Speculate", speculate.into())];
    for (kind, ours) in kinds {
        let declared = quoted(between(&types, &format!("export type {kind} = "), ";"));
        assert_eq!(declared, ours.iter().map(String::as_str).collect(), "{kind}");
    }
}

fn a_difference_is_found() {
    let types = "export interface Token {\n  /** Its id: a number. */\n  id: number;\n  extra?: string;\n}\n";
    assert_eq!(fields(types, "Token"), [("id", "number"), ("extra?", "string")]);
    let token = Token { id: 1, text: String::new(), logprob: None, top: Vec::new(), marks: Vec::new() };
    let caught = |types: &str, untold: &[&str]| std::panic::catch_unwind(|| check(types, "Token", &token, untold)).is_err();
    assert!(caught(types, &["text"]), "a field that the engine does not say");
    let types = types.replace("  extra?: string;\n", "");
    assert!(caught(&types, &[]), "a field that is not declared");
    assert!(!caught(&types, &["text"]));
    assert!(caught(&types.replace("number;", "boolean;"), &["text"]), "another type");
}

fn penalties_have_the_same_bounds() {
    let check = source("check.ts");
    for (range, rule) in [(rullama::REPEAT_PENALTIES, "repeatPenalty: number("), (rullama::PENALTIES, "const penalty = number(")] {
        assert_eq!(between(&check, rule, ","), format!("'a number from {} to {}'", range.start(), range.end()));
    }
    for option in ["presencePenalty", "frequencyPenalty"] {
        assert_eq!(between(&check, &format!("{option}: "), ","), "penalty");
    }
}

rullama_testing::tests! {
    error_codes,
    what_the_engine_says,
    words,
    a_difference_is_found,
    penalties_have_the_same_bounds,
}
