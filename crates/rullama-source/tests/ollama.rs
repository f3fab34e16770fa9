//! The store: a mock one in a temporary folder, and the reference one where it is at hand.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rullama_source::ollama::{ModelName, Store, StoreError, is_verified, verify};
use rullama_testing::shared;
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "application/vnd.ollama.image.";

/// A store under construction.
struct Mock {
    folder: tempfile::TempDir,
}

impl Mock {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("manifests")).unwrap();
        fs::create_dir_all(folder.path().join("blobs")).unwrap();
        Self { folder }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn store(&self) -> Store {
        Store::locate(&[self.root().join("nothing"), self.root().to_owned()]).unwrap()
    }

    fn blob_path(&self, content: &[u8]) -> PathBuf {
        let hex: String = Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect();
        self.root().join("blobs").join(format!("sha256-{hex}"))
    }

    /// Writes a blob and gives its manifest entry.
    fn layer(&self, media: &str, content: &[u8]) -> serde_json::Value {
        let path = self.blob_path(content);
        fs::write(&path, content).unwrap();
        let digest = path.file_name().unwrap().to_str().unwrap().replace('-', ":");
        serde_json::json!({"mediaType": media, "digest": digest, "size": content.len()})
    }

    fn model(&self, path: &str, config: &str, layers: &[(&str, &[u8])]) {
        let layers: Vec<_> = layers.iter().map(|(k, c)| self.layer(&format!("{PREFIX}{k}"), c)).collect();
        let config = self.layer("application/vnd.docker.container.image.v1+json", config.as_bytes());
        let manifest = serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers});
        let file = self.root().join("manifests").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, manifest.to_string()).unwrap();
    }

    fn resolve(&self, name: &str) -> Result<rullama_source::ollama::Resolved, StoreError> {
        self.store().resolve(&ModelName::parse(name)?)
    }
}

const GGUF: &str = r#"{"model_format": "gguf", "renderer": "gemma4-small", "parser": "gemma4"}"#;

fn a_full_model() {
    let mock = Mock::new();
    mock.model(
        "registry.ollama.ai/library/Gemma4/E2B",
        GGUF,
        &[
            ("model", b"weights"),
            ("projector", b"tower"),
            ("adapter", b"lora 1"),
            ("adapter", b"lora 2"),
            ("template", b"{{ .Prompt }}"),
            ("system", b"Be brief."),
            ("params", br#"{"temperature": 0.5, "stop": ["<turn|>", "END"]}"#),
            ("messages", br#"[{"role": "user", "content": "hi"}]"#),
            ("license", b"one"),
            ("license", b"two"),
            ("embed", b"obsolete"),
        ],
    );
    let model = mock.resolve("gemma4:e2b").unwrap();
    assert_eq!(model.name.to_string(), "Gemma4:E2B");
    assert_eq!(fs::read(&model.model.path).unwrap(), b"weights");
    assert_eq!((model.projectors.len(), model.adapters.len()), (1, 2));
    assert_eq!(model.config.renderer.as_deref(), Some("gemma4-small"));
    assert_eq!(model.system.as_deref(), Some("Be brief."));
    assert_eq!(model.template.as_deref(), Some("{{ .Prompt }}"));
    assert_eq!((model.params.temperature, model.params.top_k), (Some(0.5), None));
    assert_eq!(model.params.stop, ["<turn|>", "END"]);
    assert_eq!(model.messages[0].content, "hi");
    assert_eq!(model.licenses, ["one", "two"]);
    assert!(model.ignored_models.is_empty() && model.draft.is_none());
}

fn a_list_skips_what_is_not_a_model() {
    let mock = Mock::new();
    mock.model("registry.ollama.ai/library/gemma4/e4b", GGUF, &[("model", b"b")]);
    mock.model("registry.ollama.ai/library/gemma4/e2b", GGUF, &[("model", b"a")]);
    mock.model("hf.co/org/repo/Q4_K_M", GGUF, &[("model", b"c")]);
    let manifests = mock.root().join("manifests");
    fs::write(manifests.join("registry.ollama.ai/library/gemma4/.DS_Store"), b"x").unwrap();
    fs::write(manifests.join("registry.ollama.ai/library/stray"), b"x").unwrap();
    fs::create_dir_all(manifests.join("registry.ollama.ai/library/gemma4/folder")).unwrap();
    fs::write(manifests.join("registry.ollama.ai/library/gemma4/broken"), b"{").unwrap();
    let list = mock.store().list();
    assert!(list.unreadable.is_empty());
    let broken = list.models.iter().find(|m| m.problem.is_some()).unwrap();
    assert!(broken.problem.as_ref().unwrap().to_string().contains("manifest"));
    let shown: Vec<_> = list.models.iter().map(|m| (m.name.to_string(), m.size.is_some())).collect();
    let expected = [("hf.co/org/repo:Q4_K_M", true), ("gemma4:broken", false), ("gemma4:e2b", true), ("gemma4:e4b", true)];
    assert_eq!(shown, expected.map(|(name, readable)| (name.to_owned(), readable)));
    assert!(matches!(mock.resolve("gemma4:broken"), Err(StoreError::Manifest { .. })));
    match mock.resolve("gemma4:e3b").unwrap_err() {
        StoreError::NotFound { similar, .. } => assert_eq!(similar[..2], ["gemma4:e2b", "gemma4:e4b"]),
        other => panic!("{other:?}"),
    }
}

/// Entries that cannot be looked into, each of its kind, beside a good model.
#[cfg(unix)]
fn one_bad_entry_hides_no_other() {
    use std::os::unix::fs::symlink;
    let mock = Mock::new();
    let manifests = mock.root().join("manifests");
    mock.model("registry.ollama.ai/library/plain/latest", GGUF, &[("model", b"weights")]);
    symlink(manifests.join("loop"), manifests.join("loop")).unwrap();
    symlink("/nonexistent", manifests.join("registry.ollama.ai/library/dangling")).unwrap();
    let library = manifests.join("registry.ollama.ai/library");
    fs::create_dir_all(library.join("special")).unwrap();
    symlink("/dev/zero", library.join("special/zero")).unwrap();
    symlink("/dev/null", library.join("special/null")).unwrap();
    let pipe = library.join("special/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::write(library.join("special/binary"), [0xff; 40]).unwrap();

    let list = mock.store().list();
    let unreadable: Vec<String> = list.unreadable.iter().map(ToString::to_string).collect();
    assert_eq!(unreadable.len(), 2, "{unreadable:?}");
    assert!(unreadable.iter().any(|e| e.contains("loop")) && unreadable.iter().any(|e| e.contains("dangling")), "{unreadable:?}");
    let problem = |name: &str| {
        let listed = list.models.iter().find(|m| m.name.to_string() == name).unwrap_or_else(|| panic!("{name} is hidden"));
        listed.problem.as_ref().map_or_else(String::new, ToString::to_string)
    };
    assert_eq!(problem("plain:latest"), "");
    assert!(problem("special:zero").contains("is a device") && problem("special:null").contains("is a device"));
    assert!(problem("special:pipe").contains("is a pipe") && problem("special:binary").contains("not the JSON"));
    assert_eq!(mock.resolve("PLAIN").unwrap().name.to_string(), "plain:latest");
    assert!(matches!(mock.resolve("special:pipe"), Err(StoreError::NotAFile { what: "a pipe", .. })));
    assert!(matches!(mock.resolve("nobody"), Err(StoreError::NotFound { unreadable, .. }) if unreadable.len() == 2));

    let blob = mock.blob_path(b"weights");
    fs::remove_file(&blob).unwrap();
    symlink("/dev/zero", &blob).unwrap();
    assert!(matches!(mock.resolve("plain"), Err(StoreError::NotAFile { what: "a device", .. })));
}

fn parameters_and_templates() {
    let mock = Mock::new();
    let model = |path: &str, kind: &str, text: &str| {
        mock.model(&format!("registry.ollama.ai/library/m/{path}"), GGUF, &[("model", b"weights"), (kind, text.as_bytes())]);
        mock.resolve(&format!("m:{path}"))
    };
    let params = model("point", "params", r#"{"top_k": 64.0, "num_ctx": 2048.0, "temperature": 1}"#).unwrap().params;
    assert_eq!((params.top_k, params.num_ctx, params.temperature), (Some(64), Some(2048), Some(1.0)));
    let error = model("text", "params", r#"{"top_k": "64"}"#).unwrap_err().to_string();
    assert!(error.contains("top_k") && error.contains("PARAMETER") && !error.contains("Pull the model again"), "{error}");
    for (path, text, own) in [
        ("a", "{{ .Prompt }}", None),
        ("b", " {{.Prompt}}\n", None),
        ("c", "", None),
        ("d", "Q: {{ .Prompt }} A:\n", Some("Q: {{ .Prompt }} A:")),
    ] {
        assert_eq!(model(path, "template", text).unwrap().own_template(), own);
    }
}

fn incomplete_and_damaged() {
    let mock = Mock::new();
    mock.model("registry.ollama.ai/library/m/latest", GGUF, &[("model", b"weights")]);
    let blob = mock.blob_path(b"weights");
    fs::write(&blob, b"weight").unwrap();
    assert!(matches!(mock.resolve("m"), Err(StoreError::BlobSize { expected: 7, actual: 6, .. })));
    fs::remove_file(&blob).unwrap();
    assert!(matches!(mock.resolve("m"), Err(StoreError::MissingBlob { .. })));
    let mut partial = blob.into_os_string();
    partial.push("-partial-0");
    fs::write(partial, b"we").unwrap();
    assert!(matches!(mock.resolve("m"), Err(StoreError::Partial { .. })));
    mock.model("registry.ollama.ai/library/m/empty", GGUF, &[("license", b"x")]);
    assert!(matches!(mock.resolve("m:empty"), Err(StoreError::NoModel { .. })));
    let outside = r#"{"config": {"mediaType": "x", "digest": "sha256:../../etc/passwd", "size": 1}}"#;
    fs::write(mock.root().join("manifests/registry.ollama.ai/library/m/evil"), outside).unwrap();
    assert!(matches!(mock.resolve("m:evil"), Err(StoreError::Manifest { .. })));
    assert!(matches!(mock.resolve("../m"), Err(StoreError::Name(_))));
    let none = Store::locate(&[mock.root().join("nothing")]).unwrap_err();
    assert!(matches!(none, StoreError::NoStore { tried } if tried.len() == 1));
}

fn other_forms_are_refused() {
    let mock = Mock::new();
    let mlx = r#"{"model_format": "safetensors"}"#;
    mock.model("registry.ollama.ai/library/m/mlx", mlx, &[("tensor", b"t")]);
    mock.model("registry.ollama.ai/library/m/unlabelled", "{}", &[("tensor", b"t")]);
    mock.model("registry.ollama.ai/library/m/cloud", r#"{"remote_host": "https://ollama.com"}"#, &[]);
    assert!(matches!(mock.resolve("m:mlx"), Err(StoreError::Safetensors { .. })));
    assert!(matches!(mock.resolve("m:unlabelled"), Err(StoreError::Safetensors { .. })));
    assert!(matches!(mock.resolve("m:cloud"), Err(StoreError::Cloud { .. })));
}

fn hashes_are_checked_and_remembered() {
    let mock = Mock::new();
    let content = vec![3u8; 3_000_000];
    mock.model("registry.ollama.ai/library/m/latest", GGUF, &[("model", &content)]);
    let blob = mock.resolve("m").unwrap().model;
    let cache = mock.root().join("cache/verified.json");
    let mut seen = Vec::new();
    assert!(!verify(&blob, Some(&cache), &mut |done, total| seen.push((done, total))).unwrap());
    assert!(seen.len() >= 3 && seen.windows(2).all(|w| w[0].0 < w[1].0));
    assert_eq!(seen.last(), Some(&(3_000_000, 3_000_000)));
    assert!(verify(&blob, Some(&cache), &mut |_, _| {}).unwrap());
    assert!(!verify(&blob, None, &mut |_, _| {}).unwrap());
    fs::write(&cache, b"not json").unwrap();
    assert!(!verify(&blob, Some(&cache), &mut |_, _| {}).unwrap());

    // Same size, other content and time: the memory of it does not count.
    let mut other = content;
    other[1_500_000] = 4;
    fs::write(&blob.path, &other).unwrap();
    let file = fs::File::options().write(true).open(&blob.path).unwrap();
    let later = file.metadata().unwrap().modified().unwrap() + Duration::from_secs(5);
    file.set_modified(later).unwrap();
    let error = verify(&blob, Some(&cache), &mut |_, _| {}).unwrap_err();
    assert!(matches!(error, StoreError::BlobDigest { .. }), "{error}");
}

fn what_was_written_to_after_it_was_stored_is_told() {
    let mock = Mock::new();
    mock.model("registry.ollama.ai/library/m/latest", GGUF, &[("model", b"weights"), ("system", b"Be brief."), ("license", b"one")]);
    let model = mock.resolve("m").unwrap();
    assert_eq!((model.blobs.len(), model.altered.len()), (4, 0));
    let cache = mock.root().join("cache/verified.json");
    for (before, after) in [(&b"weights"[..], &b"heights"[..]), (b"Be brief.", b"Be quiet.")] {
        let path = mock.blob_path(before);
        let touch = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(std::time::SystemTime::now() + Duration::from_secs(5)).unwrap();
        };
        touch(after);
        let altered = mock.resolve("m").unwrap().altered;
        assert_eq!(altered.iter().map(|blob| &blob.path).collect::<Vec<_>>(), [&path]);
        assert!(matches!(verify(&altered[0], Some(&cache), &mut |_, _| {}), Err(StoreError::BlobDigest { .. })));
        assert!(!is_verified(&altered[0], &cache));
        // A copy with another time and the same content.
        touch(before);
        let altered = mock.resolve("m").unwrap().altered;
        verify(&altered[0], Some(&cache), &mut |_, _| {}).unwrap();
        assert!(is_verified(&altered[0], &cache));
        fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }
}

fn the_reference_store() {
    let root = shared("ollama_store");
    let store = Store::locate(&[root]).unwrap();
    let names: Vec<_> = store.list().models.iter().map(|m| m.name.to_string()).collect();
    assert!(names.iter().any(|name| name == "gemma4-tiny:latest"), "{names:?}");
    let model = store.resolve(&ModelName::parse("GEMMA4-tiny").unwrap()).unwrap();
    assert_eq!(model.model.size, 12_908_064);
    assert_eq!(model.config.renderer.as_deref(), Some("gemma4-small"));
    assert_eq!(model.params.temperature, Some(1.0));
    assert_eq!((model.params.top_k, model.params.top_p), (Some(64), Some(0.95)));
    assert!(!verify(&model.model, None, &mut |_, _| {}).unwrap());
}

rullama_testing::tests! {
    a_full_model,
    a_list_skips_what_is_not_a_model,
    #[cfg(unix)]
    one_bad_entry_hides_no_other,
    parameters_and_templates,
    incomplete_and_damaged,
    other_forms_are_refused,
    hashes_are_checked_and_remembered,
    what_was_written_to_after_it_was_stored_is_told,
    the_reference_store,
}
