//! What commands write: never over what they read, over other files only with `--force`, and nothing half.

use crate::common::{fails, ok, rullama};
use rullama_testing::golden;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MODEL: &str = "models/dense-ple-Q4_K_M.gguf";

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Each command that writes a file, from IN to OUT.
fn writers(input: &str, out: &str) -> Vec<Command> {
    vec![
        rullama(&["quantize", input, out, "--type", "q8_0"]),
        rullama(&["eval", input, "--ids", "2,3", "--out", out]),
        rullama(&["eval", input, "--ids", "2,3", "--oracle", "--out", out]),
        rullama(&["merge", input, out, "--adapter", path(&golden("grad/peft/embedding"))]),
    ]
}

/// A copy of the golden in a folder of its own.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("m.gguf");
    fs::copy(golden(MODEL), &model).unwrap();
    (folder, model)
}

/// Names of what a folder holds.
fn listed(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn what_exists_is_refused_without_force() {
    let (folder, model) = copy();
    let out = folder.path().join("out");
    fs::write(&out, "precious").unwrap();
    symlink("out", folder.path().join("link")).unwrap();
    for name in ["out", "link"] {
        for mut command in writers(path(&model), path(&folder.path().join(name))) {
            let message = fails(1, &mut command);
            assert!(message.contains(name) && message.contains("--force"), "{message}");
        }
    }
    assert_eq!(fs::read(&out).unwrap(), b"precious");
    assert_eq!(listed(folder.path()), ["link", "m.gguf", "out"]);
}

fn no_name_of_its_input_is_written_over() {
    let (folder, model) = copy();
    let before = fs::read(&model).unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("sub")).unwrap();
    symlink("m.gguf", at("link")).unwrap();
    symlink("link", at("link2")).unwrap();
    symlink(".", at("here")).unwrap();
    fs::hard_link(&model, at("hard")).unwrap();
    let names = ["m.gguf", "./m.gguf", "sub/../m.gguf", "link", "link2", "here/m.gguf", "hard"];
    for (input, out) in names.iter().map(|name| ("m.gguf", *name)).chain(names.iter().map(|name| (*name, "m.gguf"))) {
        for more in [&["--force"][..], &[]] {
            for mut command in writers(&format!("./{input}"), out) {
                let message = fails(1, command.args(more).current_dir(folder.path()));
                assert!(message.contains("Choose another name"), "{input} to {out}: {message}");
            }
        }
    }
    for name in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].into_iter().filter(|name| Path::new(name).parent().unwrap().is_dir()) {
        for mut command in writers(name, path(&model)).into_iter().chain(writers(path(&model), name)) {
            let message = fails(1, command.arg("--force").stdin(File::open(&model).unwrap()));
            assert!(message.contains("Choose another name"), "{name}: {message}");
        }
    }
    assert!(fs::read(&model).unwrap() == before && fs::read(at("hard")).unwrap() == before);
    assert_eq!(listed(folder.path()), ["hard", "here", "link", "link2", "m.gguf", "sub"]);
}

fn no_adapter_is_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("peft")).unwrap();
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
        fs::copy(golden("grad/peft/embedding").join(name), at("peft").join(name)).unwrap();
    }
    symlink("peft", at("link")).unwrap();
    let before = contents(&at("peft"));
    for (input, out) in [("peft", "peft"), ("peft", "link"), ("link", "peft")] {
        let message = fails(1, rullama(&["adapter", input, out, "--force"]).current_dir(folder.path()));
        assert!(message.contains("Choose another name"), "{input} to {out}: {message}");
    }
    let model = golden(MODEL);
    for (adapter, out) in
        [("peft", "peft/adapter_model.safetensors"), ("link", "peft/adapter_config.json"), ("peft", "link/adapter_config.json")]
    {
        let mut merge = rullama(&["merge", path(&model), out, "--adapter", adapter, "--force"]);
        let message = fails(1, merge.current_dir(folder.path()));
        assert!(message.contains("Choose another name"), "{adapter} to {out}: {message}");
    }
    assert!(contents(&at("peft")) == before);
}

fn a_copy_is_another_file() {
    let (folder, model) = copy();
    let out = folder.path().join("copy.gguf");
    fs::copy(&model, &out).unwrap();
    ok(rullama(&["quantize", path(&model), path(&out), "--type", "q8_0"]).arg("--force"));
    assert_ne!(fs::read(&model).unwrap(), fs::read(&out).unwrap());
}

/// Everything below a folder, with its bytes.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(contents(&path)) } else { all.push((path.clone(), fs::read(&path).unwrap())) }
    }
    all.sort();
    all
}

/// A store with one model: the golden's bytes under some digest.
fn store() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("blobs")).unwrap();
    fs::create_dir_all(at("manifests/registry.ollama.ai/library/tiny")).unwrap();
    let (model, config) = ("ab".repeat(32), "cd".repeat(32));
    let blob = at(&format!("blobs/sha256-{model}"));
    let size = fs::copy(golden(MODEL), &blob).unwrap();
    fs::write(at(&format!("blobs/sha256-{config}")), "{}").unwrap();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": format!("sha256:{config}"), "size": 2},
        "layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": format!("sha256:{model}"), "size": size}],
    });
    fs::write(at("manifests/registry.ollama.ai/library/tiny/latest"), manifest.to_string()).unwrap();
    (folder, blob)
}

fn a_name_of_the_store_is_its_files() {
    let (folder, blob) = store();
    let before = contents(folder.path());
    let other = tempfile::tempdir().unwrap();
    let link = other.path().join("link");
    fs::hard_link(&blob, &link).unwrap();
    let files = before.iter().map(|(path, _)| path.clone()).chain([link]);
    for file in files {
        for mut command in writers("tiny", path(&file)) {
            let message = fails(1, command.arg("--force").env("OLLAMA_MODELS", folder.path()));
            assert!(message.contains("Choose another name"), "{}: {message}", file.display());
        }
    }
    assert!(contents(folder.path()) == before);
    ok(rullama(&["quantize", "tiny", path(&other.path().join("new")), "--type", "q8_0"]).env("OLLAMA_MODELS", folder.path()));
}

fn what_a_killed_run_left_is_in_nobodys_way() {
    let (folder, model) = copy();
    // As in a container, where the first process always has the same number.
    let script = r#"for name in o o2; do touch "$name.partial" "$name.partial-$$"; done; exec "$@""#;
    let line = |arguments: &[&str]| {
        let mut command = Command::new("bash");
        command.args(["-c", script, "bash", env!("CARGO_BIN_EXE_rullama")]).args(arguments);
        command.current_dir(folder.path()).stdin(Stdio::null());
        ok(&mut command);
    };
    line(&["quantize", path(&model), "o", "--type", "q8_0"]);
    line(&["eval", path(&model), "--ids", "2", "--out", "o2"]);
}

/// Waits until `done`, or gives up.
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{what} did not come");
}

fn an_interrupted_evaluation_leaves_nothing() {
    let (folder, model) = copy();
    let out = folder.path().join("out");
    // Hours of work: only the interrupt ends it.
    let ids = vec!["2"; 600].join(",");
    for signal in ["-INT", "-TERM", "-HUP"] {
        let mut command = rullama(&["eval", path(&model), "--ids", &ids, "--greedy", "300", "--oracle", "--out", path(&out)]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        wait_for("the file under its temporary name", || listed(folder.path()).len() == 2);
        // Past the load, whose own end is another matter.
        std::thread::sleep(std::time::Duration::from_secs(4));
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        wait_for("the end", || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(130), "{signal}");
        assert_eq!(listed(folder.path()), ["m.gguf"], "{signal}");
    }
}

rullama_testing::tests! {
    what_exists_is_refused_without_force,
    no_name_of_its_input_is_written_over,
    no_adapter_is_written_over,
    a_copy_is_another_file,
    a_name_of_the_store_is_its_files,
    what_a_killed_run_left_is_in_nobodys_way,
    an_interrupted_evaluation_leaves_nothing,
}
