//! What a person names as a model: parts of split ones, names that other things have too, and files that are no models.

use crate::common::{Ran, Store, fails, ok, rullama, run, split, with_input};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The compact golden, which the project carries.
fn model() -> PathBuf {
    rullama_testing::golden("models/dense-Q4_0.gguf")
}

/// The last line of `--json`: what a prompt led to.
fn summary(command: &mut Command, input: &[u8]) -> Value {
    let Ran { code, out, err } = with_input(command.args(["--json", "--temperature", "0", "--max-tokens", "4", "--ctx", "512"]), input);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(out.lines().last().unwrap()).unwrap()
}

fn a_split_model_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let parts = split(&model(), folder.path(), 3);
    let ids = |path: &Path| summary(&mut rullama(&["run", text(path), "Hi"]), b"")["ids"].clone();
    let want = ids(&model());
    assert_eq!(ids(&parts[0]), want);
    assert_eq!(ids(&parts[2]), want);
    let shown = ok(&mut rullama(&["show", text(&parts[1])]));
    assert!(shown.contains("3 files, joined") && shown.contains("Does it fit here?"), "{shown}");
    let (one, other) = (folder.path().join("one.gguf"), folder.path().join("other.gguf"));
    for (from, to) in [(&parts[1], &one), (&model(), &other)] {
        ok(&mut rullama(&["quantize", text(from), text(to), "--type", "q8_0"]));
    }
    assert!(std::fs::read(&one).unwrap() == std::fs::read(&other).unwrap(), "the parts' copy differs from the whole one's");
    std::fs::remove_file(&parts[1]).unwrap();
    let error = fails(1, &mut rullama(&["run", text(&parts[2]), "Hi"]));
    assert!(error.contains("part 3 of 3 of a split model") && error.contains("part 2 is missing"), "{error}");
}

fn a_split_model_in_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let parts: Vec<Vec<u8>> = split(&model(), folder.path(), 3).iter().map(|path| std::fs::read(path).unwrap()).collect();
    let store = Store::new();
    // In whatever order the layers stand.
    store.add("split", &[("model", &parts[1]), ("model", &parts[0]), ("model", &parts[2])]);
    store.add("one", &[("model", &parts[1])]);
    store.add("two", &[("model", &parts[2]), ("model", &parts[0])]);
    store.add("whole", &[("model", &std::fs::read(model()).unwrap())]);
    let want = summary(&mut store.rullama(&["run", "whole", "Hi"]), b"")["ids"].clone();
    assert_eq!(summary(&mut store.rullama(&["run", "split", "Hi"]), b"")["ids"], want);
    let error = fails(1, &mut store.rullama(&["run", "one", "Hi"]));
    assert!(error.contains("part 2 of 3") && error.contains("parts 1 and 3 are missing"), "{error}");
    let error = fails(1, &mut store.rullama(&["show", "two"]));
    assert!(error.contains("part 2 is missing"), "{error}");
}

fn what_is_named_like_a_model_does_not_hide_it() {
    let store = Store::new();
    store.add("plain", &[("model", &std::fs::read(model()).unwrap())]);
    let here = tempfile::tempdir().unwrap();
    let show = |store: &Store, name: &str| run(store.rullama(&["show", name]).current_dir(here.path()));
    std::fs::create_dir(here.path().join("plain")).unwrap();
    assert!(show(&store, "plain").out.contains("gemma4"));
    assert!(show(&store, "plain/").err.contains("is a folder"));
    assert!(show(&Store::new(), "plain").err.contains("is a folder"));
    std::fs::remove_dir(here.path().join("plain")).unwrap();
    std::fs::write(here.path().join("plain"), "some notes").unwrap();
    assert!(show(&store, "plain").out.contains("gemma4"));
    assert!(show(&Store::new(), "plain").err.contains("not a GGUF file"));
    // A model here is taken, and the other one is told of.
    std::fs::copy(model(), here.path().join("plain")).unwrap();
    let Ran { code, out, err } = show(&store, "plain");
    assert!(code == 0 && out.contains("file          plain\n") && err.contains("Ollama's model of this name"), "{out}{err}");
}

fn files_that_are_no_models() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.gguf");
    let mut safetensors = 30u64.to_le_bytes().to_vec();
    safetensors.extend(b"{\"__metadata__\":{}}           ");
    for (content, words) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"[..], "git lfs pull"),
        (b"<!doctype html>\n<html>", "/resolve/"),
        (&safetensors, "convert_hf_to_gguf"),
        (b"\x80\x02}q\x00.", "PyTorch"),
        (b"PK\x03\x04\x14\0\0\0", "ZIP"),
        (b"lmgg\x01\0\0\0\x01\0\0\0", "before GGUF"),
        (b"{\"error\": \"gone\"}", "JSON"),
    ] {
        std::fs::write(&file, content).unwrap();
        for command in ["show", "run", "tokenize"] {
            let error = fails(1, &mut rullama(&[command, text(&file), "x"][..if command == "show" { 2 } else { 3 }]));
            assert!(error.contains("not a GGUF file") && error.contains(words), "{command}: {error}");
        }
    }
}

#[cfg(unix)]
fn paths_that_are_no_files_or_no_text() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.gguf");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(fails(1, &mut rullama(&["show", text(&pipe)])).contains("is a pipe"));
    assert!(fails(1, &mut rullama(&["show", "/dev/null"])).contains("is a device"));
    let link = folder.path().join("loop.gguf");
    std::os::unix::fs::symlink(&link, &link).unwrap();
    let error = fails(1, &mut rullama(&["show", text(&link)]));
    assert!(error.contains("symbolic links"), "{error}");
    let odd = folder.path().join(std::ffi::OsStr::from_bytes(b"m\xff.gguf"));
    std::fs::copy(model(), &odd).unwrap();
    assert!(ok(rullama(&["show"]).arg(&odd)).contains("gemma4"));
    assert!(ok(rullama(&["tokenize"]).arg(&odd).arg("a")).contains("1 tokens"));
}

fn standard_input_beside_a_prompt() {
    let model = model();
    let prompt = |arguments: &[&str], input: &[u8]| {
        summary(&mut rullama(&[&["run", text(&model)], arguments].concat()), input)["prompt_tokens"].as_u64()
    };
    let report = b"A report that nobody reads.\n";
    for more in [&[][..], &["--raw"]] {
        let with = |words: &str, input: &[u8]| prompt(&[&[words], more].concat(), input);
        let alone = with("Summarise this", b"");
        assert_eq!(with("Summarise this", b" \n"), alone);
        assert_eq!(with("Summarise this", report), with("A report that nobody reads.\n\nSummarise this", b""));
        assert!(with("Summarise this", report) > alone);
        assert_eq!(with("-", b"Summarise this"), alone);
    }
    let error = with_input(&mut rullama(&["run", text(&model), "x"]), b"\xff\xfe").err;
    assert!(error.contains("UTF-8"), "{error}");
}

fn a_file_that_was_written_to_after_it_was_stored() {
    let (store, gguf) = (Store::new(), std::fs::read(model()).unwrap());
    store.add("m", &[("model", &gguf), ("system", b"Be brief.")]);
    let show = |more: &[&str]| run(store.rullama(&[&["show", "m"], more].concat()).env("XDG_CACHE_HOME", store.folder.path()));
    assert!(!show(&[]).err.contains("note"));
    let system = format!("{:064x}", 2);
    let blob = std::fs::File::options().write(true).open(store.folder.path().join(format!("blobs/sha256-{system}"))).unwrap();
    blob.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
    let err = show(&[]).err;
    assert!(err.contains(&system) && err.contains("rullama show m:latest --verify") && !err.contains(&format!("{:064x}", 1)), "{err}");
    // The test's blobs are not what their names say.
    let Ran { code, err, .. } = show(&["--verify"]);
    assert!(code == 1 && err.contains("SHA-256"), "{err}");
}

fn what_a_store_says_of_its_models() {
    let (store, gguf) = (Store::new(), std::fs::read(model()).unwrap());
    store.add("odd", &[("model", &gguf), ("params", br#"{"top_k": 64.0, "num_ctx": 2048.0, "temperature": 1}"#)]);
    store.add("worse", &[("model", &gguf), ("params", br#"{"top_k": "many"}"#)]);
    store.add("own", &[("model", &gguf), ("template", b"Q: {{ .Prompt }} A:")]);
    store.add("usual", &[("model", &gguf), ("template", b"{{ .Prompt }}")]);
    assert!(ok(&mut store.rullama(&["show", "odd", "--template"])).contains("top_k: Some(64)"));
    let error = fails(1, &mut store.rullama(&["show", "worse"]));
    assert!(error.contains("top_k") && error.contains("\"many\"") && !error.contains("Pull"), "{error}");
    assert!(ok(&mut store.rullama(&["show", "own"])).contains("Q: {{ .Prompt }} A:"));
    assert!(!ok(&mut store.rullama(&["show", "usual"])).contains("Prompt"));
    let notes = |name: &str| run(&mut store.rullama(&["run", name, "Hi", "--max-tokens", "1"])).err.matches("template of its own").count();
    assert_eq!((notes("own"), notes("usual")), (1, 0));
    let broken = store.folder.path().join("manifests/registry.ollama.ai/library/broken");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("latest"), "{").unwrap();
    let Ran { code, out, err } = run(&mut store.rullama(&["list"]));
    assert!(code == 0 && out.contains("odd:latest") && out.contains("unreadable") && err.contains("broken:latest: "), "{out}{err}");
}

/// A command as a user without rights; `None` where this process could not become one.
#[cfg(unix)]
fn as_nobody(mut command: Command, closed: &Path) -> Option<Command> {
    use std::os::unix::process::CommandExt;
    if std::fs::read_dir(closed).is_ok() {
        // Permissions do not bind the superuser.
        command.uid(65534).gid(65534);
    }
    let works = command.get_program().to_owned();
    let mut probe = Command::new(works);
    probe.arg("--version");
    if std::fs::read_dir(closed).is_ok() {
        probe.uid(65534).gid(65534);
    }
    probe.output().is_ok_and(|output| output.status.success()).then_some(command)
}

#[cfg(unix)]
fn a_folder_that_may_not_be_read_hides_no_model() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path, bits: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
    let store = Store::new();
    store.add("plain", &[("model", &std::fs::read(model()).unwrap())]);
    let closed = store.folder.path().join("manifests/lost+found");
    std::fs::create_dir(&closed).unwrap();
    mode(store.folder.path(), 0o755);
    mode(&closed, 0o000);
    let Some(mut list) = as_nobody(store.rullama(&["list"]), &closed) else {
        println!("skipped: this program cannot be started as another user");
        return;
    };
    let Ran { code, out, err } = run(&mut list);
    assert!(code == 0 && out.contains("plain:latest"), "{out}{err}");
    assert!(err.contains("lost+found: no permission"), "{err}");
    let ran = run(&mut as_nobody(store.rullama(&["show", "PLAIN"]), &closed).unwrap());
    assert!(ran.code == 0 && ran.out.contains("gemma4"), "{}{}", ran.out, ran.err);
    let ran = run(&mut as_nobody(store.rullama(&["show", "nobody"]), &closed).unwrap());
    assert!(ran.code == 1 && ran.err.contains("lost+found cannot"), "{}", ran.err);
    mode(&closed, 0o755);
    // The store as a whole, and a file in it.
    mode(&store.folder.path().join("manifests"), 0o000);
    let ran = run(&mut as_nobody(store.rullama(&["show", "plain"]), &store.folder.path().join("manifests")).unwrap());
    assert!(ran.code == 1 && ran.err.contains("no permission") && !ran.err.contains("Install"), "{}", ran.err);
    mode(&store.folder.path().join("manifests"), 0o755);
}

rullama_testing::tests! {
    a_split_model_on_disk,
    a_split_model_in_the_store,
    what_is_named_like_a_model_does_not_hide_it,
    files_that_are_no_models,
    #[cfg(unix)]
    paths_that_are_no_files_or_no_text,
    standard_input_beside_a_prompt,
    a_file_that_was_written_to_after_it_was_stored,
    what_a_store_says_of_its_models,
    #[cfg(unix)]
    a_folder_that_may_not_be_read_hides_no_model,
}
