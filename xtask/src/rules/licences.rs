//! The licences of everything that is built in, against the one list in `deny.toml`.

use super::spdx;
use serde_json::Value;

/// The strings of `allow = [...]` in the section `[licenses]` of `deny.toml`.
pub fn allow_list(deny: &str) -> Vec<String> {
    let section = deny.split("\n[licenses]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let list = section.split("\nallow = [").nth(1).unwrap_or_default();
    let quoted = list.lines().take_while(|line| *line != "]");
    let quoted = quoted.filter_map(|line| line.split('"').nth(1));
    quoted.map(str::to_owned).collect()
}

/// Crates whose licence the list does not allow; `metadata` is cargo's, with dependencies.
pub fn crates(metadata: &Value, allowed: &[String]) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let name = |package: &Value| {
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        format!("crate {} {}", text("name"), text("version"))
    };
    packages.filter_map(|package| violation(&name(package), package["license"].as_str(), allowed)).collect()
}

/// npm packages that ship (not the development tools) whose licence the list does not allow; `lock` is
/// `package-lock.json`.
pub fn npm(lock: &Value, allowed: &[String]) -> Vec<String> {
    let packages = lock["packages"].as_object().into_iter().flatten();
    packages
        .filter(|(path, package)| {
            let flag = |key: &str| package[key].as_bool() == Some(true);
            path.contains("node_modules/") && !flag("dev") && !flag("link")
        })
        .filter_map(|(path, package)| violation(&format!("npm {path}"), package["license"].as_str(), allowed))
        .collect()
}

fn violation(name: &str, licence: Option<&str>, allowed: &[String]) -> Option<String> {
    let Some(licence) = licence else {
        return Some(format!("{name} states no licence; choose another package"));
    };
    let known = |one: &str| allowed.iter().any(|entry| entry == one);
    let fine = spdx::satisfied(licence, &known);
    (!fine).then(|| format!("{name}: {licence} is not allowed by deny.toml; choose another package"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DENY: &str = "[graph]\nallow = [\n    \"no\",\n]\n\n[licenses]\nallow = [\n    \"MIT\", # why\n    \
        \"Apache-2.0 WITH LLVM-exception\",\n]\nconfidence-threshold = 0.9\n\n[bans]\nallow = [\n    \"x\",\n]\n";

    #[test]
    fn the_list() {
        assert_eq!(allow_list(DENY), ["MIT", "Apache-2.0 WITH LLVM-exception"]);
    }

    #[test]
    fn the_projects_own_list_is_read() {
        let list = allow_list(&crate::workspace::read("deny.toml").unwrap());
        assert!(list.iter().any(|entry| entry == "MIT"));
        assert!(list.iter().all(|entry| !entry.contains("GPL")));
    }

    #[test]
    fn crates_and_npm_packages() {
        let allowed = allow_list(DENY);
        let metadata = json!({"packages": [
            {"name": "a", "version": "1.0.0", "license": "MIT OR Apache-2.0"},
            {"name": "b", "version": "1.0.0", "license": "GPL-3.0"},
            {"name": "c", "version": "1.0.0", "license": null},
        ]});
        let found = crates(&metadata, &allowed);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("crate b") && found[1].starts_with("crate c"));
        let lock = json!({"packages": {
            "": {"name": "web"},
            "node_modules/a": {"license": "MIT"},
            "node_modules/tool": {"license": "MPL-2.0", "dev": true},
            "node_modules/b": {"license": "MPL-2.0"},
        }});
        assert_eq!(npm(&lock, &allowed).len(), 1);
    }
}
