//! `rullama score`: what it asks, counts and refuses.

use crate::common::{fails, need_adapter, ok, rullama, run};
use serde_json::{Value, json};
use std::path::Path;

fn set() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/demo-model/eval.jsonl").to_str().unwrap().to_owned()
}

/// The project's small model, where something can run it.
fn model() -> String {
    need_adapter();
    let path = rullama_testing::existing(rullama_testing::workspace().join("web/app/public/model/rullama-demo.gguf"));
    path.to_str().unwrap().to_owned()
}

fn counts_right_answers() {
    let model = model();
    let set = set();
    let base = ["score", &model, "--set", &set, "--ability", "arithmetic", "--ability", "tool calls", "--limit", "1"];
    let record: Value = serde_json::from_str(&ok(rullama(&base).args(["--json", "--min-score", "100"]))).unwrap();
    assert_eq!((&record["all"]["questions"], &record["all"]["right"]), (&json!(2), &json!(2)));
    let abilities: Vec<&String> = record["abilities"].as_object().unwrap().keys().collect();
    assert_eq!(abilities, ["arithmetic", "tool calls"]);
}

/// The towers' answers are those of PyTorch on the same media; without `--set` the program's own questions are asked.
fn counts_pictures_and_sounds() {
    let model = model();
    let limit = if std::env::var_os("RULLAMA_FULL").is_some() { "16" } else { "2" };
    let mut score = rullama(&["score", &model, "--limit", limit, "--json", "--min-score", "93", "--min-agreement", "93"]);
    let senses = [
        "pictures, held out: digits",
        "pictures, held out: shapes, colours, counts",
        "sounds, held out: spoken digits",
        "sounds, held out: tones and rhythms",
        "sounds, voices never heard: all digits, all questions",
    ];
    let record: Value = serde_json::from_str(&ok(score.args(senses.iter().flat_map(|sense| ["--ability", *sense])))).unwrap();
    let abilities: Vec<&String> = record["abilities"].as_object().unwrap().keys().collect();
    assert_eq!(abilities, senses);
    assert_eq!((&record["all"]["compared"], &record["left_out"]), (&record["all"]["questions"], &json!(0)));
}

/// A model without towers answers the other questions, and says how many it did not get.
fn questions_about_what_is_not_perceived_are_left_out() {
    need_adapter();
    let parrot = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/parrot.gguf");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.jsonl");
    let picture = json!([{"type": "image", "data": "AAAA"}, {"type": "text", "text": "What is it?"}]);
    let question = |id: &str, content: Value| json!({"id": id, "ability": id, "messages": [{"role": "user", "content": content}], "expected": {"content": ""}});
    std::fs::write(&file, format!("{}\n{}\n", question("seen", picture), question("told", json!("a")))).unwrap();
    let score = || rullama(&["score", parrot.to_str().unwrap(), "--set", file.to_str().unwrap()]);
    let ran = run(score().arg("--json"));
    assert!(ran.err.contains("note: 1 questions are left out: the model has no tower for pictures. --mmproj"), "{}", ran.err);
    let record: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&record["all"]["questions"], &record["left_out"]), (&json!(1), &json!(1)));
    assert!(fails(2, score().args(["--ability", "seen"])).contains("no question is left: the model has no tower for pictures"));
    // What is no picture is named with its question.
    let set = folder.path().join("broken.jsonl");
    std::fs::write(&set, std::fs::read_to_string(&file).unwrap().lines().next().unwrap()).unwrap();
    let broken = fails(1, &mut rullama(&["score", &model(), "--set", set.to_str().unwrap()]));
    assert!(broken.contains("question \"seen\" cannot be answered") && broken.contains("no picture that can be read"), "{broken}");
}

fn bounds_decide_the_exit_code() {
    let model = model();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.jsonl");
    let question = |id: &str, content: &str| {
        let messages = json!([{"role": "user", "content": "What is 31 plus 9?"}]);
        let reference = json!({"ids": [1], "right": false, "margin": 0.5});
        json!({"id": id, "ability": "sums", "messages": messages, "expected": {"content": content}, "reference": reference})
    };
    std::fs::write(&file, format!("{}\n\n{}\n", question("sums 1", "31 + 9 = 40"), question("sums 2", "Forty"))).unwrap();
    let base = ["score", &model, "--set", file.to_str().unwrap()];
    let ran = run(rullama(&base).args(["--min-score", "50", "--reference"]));
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("wrong: sums 2\n  wanted {\"content\":\"Forty\"}\n  got    {\"content\":\"31 + 9 = 40\"}"), "{}", ran.out);
    assert!(ran.out.contains("other tokens: sums 1, from token 0: "), "{}", ran.out);
    let ran = run(rullama(&base).args(["--min-score", "51", "--min-agreement", "1"]));
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("sums"), "the table is printed even so: {}", ran.out);
    assert!(ran.err.contains("the score is 50.00 %, below 51 %"), "{}", ran.err);
    assert!(ran.err.contains("the agreement with the reference is 0.00 %, below 1 %"), "{}", ran.err);
}

fn bad_sets_are_refused_before_the_model_is_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let score = |set: &str| rullama(&["score", "nothing.gguf", "--set", set]);
    assert!(fails(1, &mut score("/nonexistent/set.jsonl")).contains("cannot be read"));
    assert!(fails(2, &mut score(&write("empty", "\n"))).contains("is empty"));
    let good = r#"{"id": "1", "ability": "a", "messages": [{"role": "user", "content": "x"}], "expected": {}}"#;
    assert!(fails(1, &mut score(&write("broken", &format!("{good}\n{{}}\n")))).contains("line 2 is no question"));
    let none = good.replace("{}", "[]");
    assert!(fails(1, &mut score(&write("no answer", &none))).contains("`expected` is an empty list"));
    let good = write("good", good);
    assert!(fails(2, score(&good).args(["--ability", "b"])).contains("has no \"b\". It has a."));
    assert!(fails(2, score(&good).args(["--min-agreement", "99"])).contains("no reference answers"));
    fails(2, score(&good).args(["--min-score", "101"]));
}

fn several_answers_can_be_right() {
    let model = model();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.jsonl");
    let question = |id: &str, expected: Value| {
        let messages = json!([{"role": "user", "content": "What is 31 plus 9?"}]);
        json!({"id": id, "ability": "sums", "messages": messages, "expected": expected, "reference": {"ids": [1], "right": false, "margin": 0.5}})
    };
    let right = question("sums 1", json!([{"content": "Forty"}, {"content": "31 + 9 = 40"}]));
    let wrong = question("sums 2", json!([{"content": "Forty"}, {"content": "40"}]));
    std::fs::write(&file, format!("{right}\n{wrong}\n")).unwrap();
    let base = ["score", &model, "--set", file.to_str().unwrap()];
    let record: Value = serde_json::from_str(&ok(rullama(&base).arg("--json"))).unwrap();
    let all = &record["all"];
    assert_eq!((&all["right"], &all["compared"], &all["agreement"]), (&json!(1), &json!(0), &Value::Null));
    assert_eq!(record["wrong"][0]["expected"], wrong["expected"]);
    assert!(ok(&mut rullama(&base)).contains("wanted [{\"content\":\"Forty\"},{\"content\":\"40\"}]"));
    assert!(fails(2, rullama(&base).args(["--min-agreement", "1"])).contains("one right answer"));
}

rullama_testing::tests! {
    counts_right_answers,
    counts_pictures_and_sounds,
    questions_about_what_is_not_perceived_are_left_out,
    several_answers_can_be_right,
    bounds_decide_the_exit_code,
    bad_sets_are_refused_before_the_model_is_looked_for,
}
