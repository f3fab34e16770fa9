//! Arrows between the crates point down: `ARCHITECTURE.md` draws them, this table enforces them.

use serde_json::Value;
use std::collections::BTreeSet;

/// Crate, and the crates that it may import. What those may import it may import as well.
const ARROWS: [(&str, &[&str]); 17] = [
    ("rullama-testing", &[]),
    ("rullama-quant", &["rullama-testing"]),
    ("rullama-source", &["rullama-quant"]),
    ("rullama-adapter", &["rullama-source"]),
    ("rullama-text", &["rullama-testing"]),
    ("rullama-media", &["rullama-testing"]),
    ("rullama-gpu", &["rullama-testing"]),
    ("rullama-ops", &["rullama-gpu", "rullama-quant"]),
    ("rullama-model", &["rullama-ops", "rullama-adapter"]),
    ("instant", &[]),
    ("rullama-grammar", &["rullama-testing"]),
    ("rullama-grammar-web", &["rullama-grammar"]),
    ("rullama", &["rullama-model", "rullama-text", "rullama-media", "rullama-grammar"]),
    ("rullama-train", &["rullama"]),
    ("rullama-cli", &["rullama-train"]),
    ("rullama-web", &["rullama-train"]),
    ("xtask", &[]),
];

/// What only tests may depend on.
const TESTING: &str = "rullama-testing";

/// The only crate that may depend on wgpu.
const GPU: &str = "rullama-gpu";

/// Dependencies (of the library, its tests and its build script) that point up or aside, crates missing
/// in the table, and every crate but one that depends on wgpu.
pub fn violations(metadata: &Value) -> Vec<String> {
    let packages: Vec<&Value> = metadata["packages"].as_array().into_iter().flatten().collect();
    let members: BTreeSet<&str> = packages.iter().map(|package| name(package)).collect();
    let mut found = Vec::new();
    for package in packages {
        let from = name(package);
        if !ARROWS.iter().any(|(crate_name, _)| *crate_name == from) {
            found.push(format!("{from}: a new crate needs a line in xtask/src/rules/arrows.rs"));
            continue;
        }
        let below = may_import(from);
        let all = || package["dependencies"].as_array().into_iter().flatten();
        if all().any(|to| name(to) == TESTING && to["kind"] != "dev") {
            found.push(format!("{from} -> {TESTING}: a dependency of tests alone; name it under [dev-dependencies]"));
        }
        let dependencies: BTreeSet<&str> = all().map(name).collect();
        for to in dependencies {
            if members.contains(to) && to != from && !below.contains(to) {
                found.push(format!("{from} -> {to}: the arrow points up; move the shared part down"));
            }
            if is_wgpu(to) && from != GPU {
                found.push(format!("{from} -> {to}: only {GPU} names wgpu; use its types"));
            }
        }
    }
    found
}

fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

fn is_wgpu(name: &str) -> bool {
    name == "wgpu" || name.starts_with("wgpu-")
}

/// Everything below `from`.
fn may_import(from: &str) -> BTreeSet<&'static str> {
    let mut below = BTreeSet::new();
    let mut open = vec![from];
    while let Some(current) = open.pop() {
        let row = ARROWS.iter().find(|(name, _)| *name == current);
        for &next in row.map_or(&[][..], |(_, imports)| imports) {
            if below.insert(next) {
                open.push(next);
            }
        }
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &[&str]) -> Value {
        let dependencies: Vec<Value> = dependencies.iter().map(|name| json!({"name": name})).collect();
        json!({"name": name, "dependencies": dependencies})
    }

    fn check(packages: &[Value]) -> Vec<String> {
        violations(&json!({"packages": packages}))
    }

    #[test]
    fn down_is_allowed() {
        let quant = package("rullama-quant", &["half"]);
        let gpu = package("rullama-gpu", &["wgpu"]);
        let model = package("rullama-model", &["rullama-quant", "rullama-gpu"]);
        assert_eq!(check(&[quant, gpu, model]), Vec::<String>::new());
    }

    #[test]
    fn up_is_not() {
        let quant = package("rullama-quant", &["rullama-ops"]);
        let ops = package("rullama-ops", &["rullama-quant"]);
        let found = check(&[quant, ops]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("rullama-quant -> rullama-ops"));
    }

    #[test]
    fn aside_is_not() {
        let found = check(&[package("rullama-gpu", &["rullama-source"]), package("rullama-source", &[])]);
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn the_harness_is_for_tests() {
        let with = |kind: Value| {
            let dependency = json!([{"name": "rullama-testing", "kind": kind}]);
            check(&[json!({"name": "rullama-gpu", "dependencies": dependency}), package("rullama-testing", &[])])
        };
        assert_eq!(with(json!("dev")), Vec::<String>::new());
        assert!(with(Value::Null)[0].contains("[dev-dependencies]"));
    }

    #[test]
    fn wgpu_has_one_user() {
        let found = check(&[package("rullama-ops", &["wgpu-types"])]);
        assert!(found[0].contains("only rullama-gpu names wgpu"));
    }

    #[test]
    fn a_new_crate_needs_a_line() {
        assert!(check(&[package("rullama-new", &[])])[0].contains("needs a line"));
    }
}
