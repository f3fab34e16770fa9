//! Rules about the text of the source files.

/// Files that may be longer than [`MAX_LINES`], each with its reason.
const LONG_FILES: [(&str, &str); 0] = [];

/// Where a file holds two ideas, as a rule.
const MAX_LINES: usize = 450;

/// Kinds of files that people write; others are data.
const CODE: [&str; 12] = ["rs", "wgsl", "wesl", "ts", "js", "mjs", "css", "html", "sh", "py", "c", "h"];

/// Crates whose sources may ask for the wasm target: the shell, the device, the byte sources (whose
/// futures are not `Send` there), and adapters (whose folders are not there).
const KNOW_WASM: [&str; 5] = ["rullama-web", "rullama-grammar-web", "rullama-gpu", "rullama-source", "rullama-adapter"];

/// Programs, and what only tests use; below them nothing reads the environment.
const PROGRAMS: [&str; 2] = ["rullama-cli", "rullama-testing"];

/// The file of the program that prints, without control characters where a person watches.
const PRINTS: &str = "crates/rullama-cli/src/terminal.rs";

/// Folders that exist on some machine only.
const MACHINE_FOLDERS: [&str; 2] = ["/work/", "/root/"];

/// This file names what it looks for.
const THIS_FILE: &str = "xtask/src/rules/sources.rs";

/// A file of the repository: its path below the root with `/` between folders, and its text.
pub struct Source<'a> {
    pub path: &'a str,
    pub text: &'a str,
}

/// What breaks a rule in one file. `home` are folders of this machine, which no file may name.
pub fn violations(source: &Source, home: &[String]) -> Vec<String> {
    if source.path == THIS_FILE {
        return Vec::new();
    }
    let mut found = Vec::new();
    found.extend(too_long(source));
    for (index, line) in source.text.lines().enumerate() {
        let mut report = |what: &str| {
            found.push(format!("{}:{}: {what}", source.path, index + 1));
        };
        if names_machine(line, home) {
            report("a path of one machine; use one relative to the repository");
        }
        if knows_no_model(source.path) && MODELS.iter().any(|model| line.contains(model)) {
            report("names a model; `rullama-model/src/model.rs` alone lists them");
        }
        if let Some(krate) = library_source(source.path) {
            for what in code_violations(krate, line) {
                report(what);
            }
            if krate == "rullama-cli" && source.path != PRINTS && prints(line) {
                report("prints past terminal.rs, which keeps control characters from terminals");
            }
        }
    }
    found
}

/// The modules of models.
const MODELS: [&str; 2] = ["gemma4::", "embedding_gemma::"];

/// Sources that see models through the traits `Model` and `Encoder` alone.
fn knows_no_model(path: &str) -> bool {
    let source = path.starts_with("crates/") && path.contains("/src/");
    let folders = ["gemma4", "embedding_gemma"].map(|model| format!("crates/rullama-model/src/{model}/"));
    let own = folders.iter().any(|folder| path.starts_with(folder.as_str())) || path == "crates/rullama-model/src/model.rs";
    source && !own
}

/// Entries of the list of long files that no longer say anything.
pub fn stale_exceptions(lines_of: &dyn Fn(&str) -> Option<usize>) -> Vec<String> {
    let stale = |path: &str| lines_of(path).is_none_or(|lines| lines <= MAX_LINES);
    LONG_FILES
        .iter()
        .filter(|(path, _)| stale(path))
        .map(|(path, _)| format!("{path}: no longer long; remove it from {THIS_FILE}"))
        .collect()
}

fn too_long(source: &Source) -> Option<String> {
    let kind = source.path.rsplit('.').next()?;
    let lines = source.text.lines().count();
    let listed = LONG_FILES.iter().any(|(path, _)| *path == source.path);
    (CODE.contains(&kind) && lines > MAX_LINES && !listed).then(|| {
        format!(
            "{}: {lines} lines, more than {MAX_LINES}; look for the second idea in it, or list it with \
             a reason in {THIS_FILE}",
            source.path
        )
    })
}

/// The crate of `crates/NAME/src/**.rs`.
fn library_source(path: &str) -> Option<&str> {
    let (krate, rest) = path.strip_prefix("crates/")?.split_once('/')?;
    (rest.starts_with("src/") && rest.ends_with(".rs")).then_some(krate)
}

fn code_violations(krate: &str, line: &str) -> Vec<&'static str> {
    let code = line.split("//").next().unwrap_or_default();
    let mut found = Vec::new();
    if krate != "rullama-gpu" && (code.contains("wgpu::") || code.contains("use wgpu")) {
        found.push("only rullama-gpu names wgpu; use its types");
    }
    let asks = code.contains("target_arch") || code.contains("target_family");
    if asks && code.contains("\"wasm") && !KNOW_WASM.contains(&krate) {
        found.push("asks for the wasm target; that belongs into rullama-gpu, -source or -web");
    }
    if reads_environment(code) && !PROGRAMS.contains(&krate) {
        found.push("reads an environment variable; the program reads it and passes it down");
    }
    found
}

fn prints(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["io::stdout(", "io::stderr(", "println!(", "print!("].iter().any(|call| code.contains(call))
}

fn reads_environment(code: &str) -> bool {
    ["env::var(", "env::var_os(", "env::vars", "env::{var"].iter().any(|call| code.contains(call))
}

/// Whether one of the folders begins a path in the line: `x/work/y` does not begin with `/work/`.
fn names_machine(line: &str, home: &[String]) -> bool {
    let begins = |folder: &str| {
        line.match_indices(folder).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "._-~}*/".contains(c))
        })
    };
    MACHINE_FOLDERS.iter().any(|folder| begins(folder)) || home.iter().any(|folder| begins(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str) -> Vec<String> {
        violations(&Source { path, text }, &["/home/ada/rullama".to_owned()])
    }

    #[test]
    fn wgpu_below_its_crate() {
        let line = "let device: wgpu::Device;\n";
        assert_eq!(check("crates/rullama-ops/src/lib.rs", line).len(), 1);
        assert!(check("crates/rullama-gpu/src/lib.rs", line).is_empty());
        assert!(check("crates/rullama-ops/src/lib.rs", "// as wgpu::Device\n").is_empty());
        assert!(check("crates/rullama-cli/src/bench.rs", "\"wgpu-vulkan\"\n").is_empty());
    }

    #[test]
    fn wasm_target() {
        let line = "#[cfg(target_arch = \"wasm32\")]\n";
        assert_eq!(check("crates/rullama-model/src/lib.rs", line).len(), 1);
        assert!(check("crates/rullama-source/src/lib.rs", line).is_empty());
        let simd = "#[cfg(target_arch = \"x86_64\")]\n";
        assert!(check("crates/rullama-quant/src/lib.rs", simd).is_empty());
    }

    #[test]
    fn models_are_listed_in_one_place() {
        let line = "let shape = gemma4::Shape::default();\n";
        assert_eq!(check("crates/rullama/src/engine.rs", line).len(), 1);
        assert_eq!(check("crates/rullama-model/src/plan.rs", line).len(), 1);
        assert!(check("crates/rullama-model/src/model.rs", line).is_empty());
        assert!(check("crates/rullama-model/src/gemma4/text.rs", line).is_empty());
    }

    #[test]
    fn environment() {
        let line = "let home = std::env::var(\"HOME\");\n";
        let found = check("crates/rullama-source/src/ollama/store.rs", line);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/rullama-source/src/ollama/store.rs:1: "));
        assert!(check("crates/rullama-cli/src/main.rs", line).is_empty());
        assert!(check("crates/rullama-ops/build.rs", line).is_empty());
    }

    #[test]
    fn printing() {
        for line in ["println!(\"x\");\n", "let mut out = io::stdout().lock();\n", "eprint!(\"x\");\n"] {
            assert_eq!(check("crates/rullama-cli/src/commands/list.rs", line).len(), 1, "{line}");
            assert!(check(PRINTS, line).is_empty() && check("crates/rullama-cli/tests/serve.rs", line).is_empty());
        }
        assert!(check("crates/rullama-cli/src/commands/list.rs", "let mut out = terminal::stdout();\n").is_empty());
    }

    #[test]
    fn length() {
        let long = "x\n".repeat(MAX_LINES + 1);
        assert_eq!(check("crates/rullama/src/lib.rs", &long).len(), 1);
        assert!(check("crates/rullama/src/lib.rs", &long[2..]).is_empty());
        assert!(check("goldens/values.json", &long).is_empty());
    }

    #[test]
    fn machine_paths() {
        assert_eq!(check("README.md", "cd /work/main\n").len(), 1);
        assert_eq!(check("README.md", "see /home/ada/rullama/README.md\n").len(), 1);
        assert!(check("README.md", "the network/work/plan, ../work/plan\n").is_empty());
    }

    #[test]
    fn stale() {
        for (path, reason) in LONG_FILES {
            assert!(!reason.is_empty(), "{path} has no reason");
        }
        assert_eq!(stale_exceptions(&|_| None).len(), LONG_FILES.len());
    }
}
