//! `cargo xtask web`: the engine as WebAssembly, its JavaScript bindings, and the web packages.

use crate::process;
use crate::workspace::{self, WASM};
use anyhow::{Context, Result, bail};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bound on the engine's wasm with its JavaScript, compressed, in bytes: 844,621 of text alone, 12 % for pictures and sounds, and what answers
/// the APIs of others and streams experts; 17,000 for downloads, of which 7,000 are SHA-256, and 15,000 for formats, forced calls, videos,
/// `/v1/responses` and caches in 8 bits, and 29,000 for products in codes, speculation, split files and early chats. The wasm alone has 967,000.
const MAX_GZIP: usize = 1_050_000;
/// As much for what compiles schemas, which is loaded with the first of them.
const MAX_GRAMMAR_GZIP: usize = 600_000;
/// As much for the one that also trains.
const MAX_TRAINING_GZIP: usize = 1_200_000;

/// WebAssembly features that every browser with WebGPU has.
const WASM_FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

#[derive(clap::Args)]
pub struct Arguments {
    /// Quick to build, with checks and names; large and slow
    #[arg(long)]
    pub dev: bool,
    /// Only the WebAssembly that runs the operations' cases, for the browser tests
    #[arg(long, conflicts_with = "dev")]
    pub cases: bool,
}

/// Builds the wasm and what stands on it; prints the sizes and holds them against the bound.
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.cases {
        return cases_wasm();
    }
    wasm(arguments.dev)?;
    let web = workspace::root().join("web");
    if !web.join("package.json").is_file() {
        return Ok(());
    }
    let script = if arguments.dev { "build:dev" } else { "build" };
    process::run(process::npm(&web).args(["run", "--silent", script]))?;
    report_sizes(arguments.dev)
}

/// The wasm and its bindings, of the engine and of the one that also trains. The development build takes cargo's own `dev`
/// profile, and with it the build scripts and macros that the tests have built already.
pub fn wasm(dev: bool) -> Result<()> {
    let out = workspace::root().join("web/packages/rullama/dist/wasm");
    generate(&Module { name: ENGINE, package: "rullama-web", feature: None, dev }, &out)?;
    generate(&Module { name: GRAMMAR, package: "rullama-grammar-web", feature: None, dev }, &out)?;
    generate(&Module { name: TRAINING, package: "rullama-web", feature: Some("train"), dev }, &out)
}

/// The development wasm that can also run the operations' cases, for `web/tests/cases.test.mjs` alone.
pub fn cases_wasm() -> Result<()> {
    let module = Module { name: ENGINE, package: "rullama-web", feature: Some("cases"), dev: true };
    generate(&module, &workspace::root().join("web/dist-test/cases"))
}

const ENGINE: &str = "rullama_web";
const TRAINING: &str = "rullama_train";
const GRAMMAR: &str = "rullama_grammar";

/// A wasm of a package.
#[derive(Debug)]
struct Module {
    /// What its files are called.
    name: &'static str,
    package: &'static str,
    feature: Option<&'static str>,
    dev: bool,
}

fn generate(module: &Module, out: &Path) -> Result<()> {
    let (profile, folder) = if module.dev { ("dev", "debug") } else { ("web", "web") };
    let mut cargo = process::cargo();
    cargo.current_dir(workspace::root());
    cargo.args(["build", "--package", module.package, "--target", WASM, "--profile", profile]);
    cargo.args(module.feature.map(|feature| format!("--features={feature}")));
    process::run(&mut cargo)?;

    let target = workspace::target_folder()?;
    let input = target.join(WASM).join(folder).join(format!("{}.wasm", module.package.replace('-', "_")));
    let bytes = std::fs::read(&input).with_context(|| format!("cannot read {}", input.display()))?;
    let kind = module.feature.map_or(String::new(), |feature| format!("-{feature}"));
    let stamp = target.join(format!("{}{kind}.stamp", module.package));
    let state = format!("{profile} {:016x}", hash(&bytes));
    let done = std::fs::read_to_string(&stamp).is_ok_and(|text| text == state);
    let wasm = out.join(format!("{}_bg.wasm", module.name));
    if done && wasm.is_file() {
        return Ok(());
    }
    bindings(&input, module, out)?;
    if !module.dev {
        optimise(&wasm)?;
    }
    std::fs::write(&stamp, state).with_context(|| format!("cannot write {}", stamp.display()))
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn bindings(input: &Path, module: &Module, out: &Path) -> Result<()> {
    let mut bindgen = wasm_bindgen_cli_support::Bindgen::new();
    bindgen.input_path(input).out_name(module.name).web(true)?.typescript(true);
    bindgen.keep_debug(module.dev).remove_name_section(!module.dev);
    let result = bindgen.generate(out);
    result.context(
        "wasm-bindgen failed; if it speaks of versions, set wasm-bindgen-cli-support in \
         xtask/Cargo.toml to the version of wasm-bindgen in Cargo.lock",
    )
}

/// wasm-opt from the npm package `binaryen`, where it is installed.
fn optimise(wasm: &Path) -> Result<()> {
    let tool = workspace::root().join("web/node_modules/binaryen/bin/wasm-opt");
    if !tool.is_file() {
        println!("wasm-opt is not installed (npm package binaryen): the wasm stays as it is");
        return Ok(());
    }
    let mut node = Command::new("node");
    node.arg(tool).arg("-Os").args(WASM_FEATURES);
    process::run(node.arg(wasm).arg("-o").arg(wasm))
}

/// One line a file, and the sums of what a browser loads of the package: to answer, and to train in its place.
fn report_sizes(dev: bool) -> Result<()> {
    let package = workspace::root().join("web/packages/rullama/dist");
    let (mut engine, mut training, mut grammar) = (0, 0, 0);
    for file in shipped(&package)? {
        let bytes = std::fs::read(&file)?;
        let packed = gzip(&bytes)?;
        let name = file.strip_prefix(&package).unwrap_or(&file);
        println!("{:<28} {:>9} bytes {:>9} gzip", name.display(), bytes.len(), packed);
        if file.ends_with(format!("{GRAMMAR}_bg.wasm")) {
            grammar += packed;
            continue;
        }
        let trains = TRAINING_ONLY.iter().any(|name| file.ends_with(name));
        let answers = ANSWERING_ONLY.iter().any(|name| file.ends_with(name));
        engine += if trains { 0 } else { packed };
        training += if answers { 0 } else { packed };
    }
    let sums = [
        ("engine in all", engine, MAX_GZIP),
        ("with training in all", training, MAX_TRAINING_GZIP),
        ("what compiles schemas", grammar, MAX_GRAMMAR_GZIP),
    ];
    for (what, sum, most) in sums {
        println!("{what:<28} {sum:>25} gzip, bound {most}");
        if sum > most && !dev {
            bail!("{what}: {sum} bytes compressed, more than {most}: look for what grew");
        }
    }
    Ok(())
}

/// What only the training entry loads, and what it loads nothing of.
const TRAINING_ONLY: [&str; 3] = ["train.js", "train-worker.js", "rullama_train_bg.wasm"];
const ANSWERING_ONLY: [&str; 2] = ["worker.js", "rullama_web_bg.wasm"];

/// Node's own entry and its threads, and the bindings as it reads them: a browser has them in its worker.
const NODE_ONLY: [&str; 5] = ["node.js", "node-reader.js", "rullama_web.js", "rullama_train.js", "rullama_grammar.js"];

/// The wasm and JavaScript files of a folder and of those in it that a browser loads.
fn shipped(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let entries = folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let kind = path.extension().unwrap_or_default();
            if path.is_dir() {
                open.push(path);
            } else if (kind == "wasm" || kind == "js") && !NODE_ONLY.iter().any(|name| path.ends_with(name)) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn gzip(bytes: &[u8]) -> Result<usize> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len())
}

#[cfg(test)]
mod tests {
    #[test]
    fn gzip_of_zeros_is_small() {
        let size = super::gzip(&[0; 10_000]).unwrap();
        assert!((18..100).contains(&size), "{size}");
    }
}
