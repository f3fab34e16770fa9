//! A test that did not run must not look like one that passed.

use super::sources::Source;

/// In test files: `#[test]`, which the harness of `rullama_testing` never runs, and tests that end early by themselves.
pub fn violations(source: &Source) -> Vec<String> {
    if test_file(source.path).is_none() {
        return Vec::new();
    }
    let lines = source.text.lines().enumerate().filter_map(|(index, line)| {
        let what = if line.trim() == "#[test]" {
            "never runs under `harness = false`; leave it away and name the function in `rullama_testing::tests!`"
        } else if line.contains("else { return };") {
            "a test that ends early counts as passed; get what it needs through `rullama_testing`, which counts it as not run"
        } else {
            return None;
        };
        Some(format!("{}:{}: {what}", source.path, index + 1))
    });
    lines.collect()
}

/// Test files that no program compiles: their crate's `tests/main.rs` does not name them.
pub fn left_out<'a>(paths: impl Iterator<Item = &'a str>, text_of: &dyn Fn(&str) -> Option<&'a str>) -> Vec<String> {
    let left_out = paths.filter(|path| {
        let Some((folder, file)) = test_file(path) else { return false };
        let module = file.strip_suffix("/mod").unwrap_or(file);
        let named = |text: &str| text.lines().any(|line| line == format!("mod {module};"));
        !module.contains('/') && module != "main" && text_of(&format!("{folder}/main.rs")).is_some_and(|text| !named(text))
    });
    left_out.map(|path| format!("{path}: no `mod` of it in the crate's tests/main.rs, so that none of its tests runs")).collect()
}

/// The folder `crates/NAME/tests` of a test file, and the file below it without its ending.
fn test_file(path: &str) -> Option<(&str, &str)> {
    let (folder, file) = path.split_once("/tests/")?;
    let of_crate = folder.strip_prefix("crates/").is_some_and(|name| !name.contains('/'));
    Some((&path[..folder.len() + "/tests".len()], file.strip_suffix(".rs")?)).filter(|_| of_crate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> usize {
        violations(&Source { path, text }).len()
    }

    #[test]
    fn a_test_that_its_harness_does_not_know() {
        let own = "#[test]\nfn a() {}\n\nfn b() {}\n\nrullama_testing::tests! { b }\n";
        assert_eq!(check("crates/a/tests/b.rs", own), 1);
        assert_eq!(check("crates/a/src/b.rs", own), 0);
        assert_eq!(check("crates/a/src/tests/b.rs", own), 0);
    }

    #[test]
    fn a_file_that_no_program_compiles() {
        let files = ["main.rs", "b.rs", "c.rs", "common/mod.rs", "common/http.rs"].map(|file| format!("crates/a/tests/{file}"));
        let left_out = |main: &'static str| {
            left_out(files.iter().map(String::as_str), &|path| (path == "crates/a/tests/main.rs").then_some(main)).len()
        };
        assert_eq!(left_out("mod b;\n#[cfg(unix)]\nmod c;\nmod common;\n"), 0);
        assert_eq!(left_out("mod c;\n"), 2);
    }

    #[test]
    fn a_test_that_ends_early() {
        let early = "fn a() {\n    let Some(file) = file() else { return };\n}\n";
        assert_eq!(check("crates/a/tests/common/mod.rs", early), 1);
        assert_eq!(check("crates/a/src/lib.rs", early), 0);
    }
}
