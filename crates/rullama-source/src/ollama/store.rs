//! The store on disk: from a name to files and texts.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Config, Digest, Layer, LayerKind, Manifest, ManifestError, ModelName, Params, StoreError, StoredMessage};

/// Largest manifest, config or text layer that is read; real ones have a few kilobytes.
const MAX_TEXT: u64 = 16 << 20;
/// Names that "not found" suggests.
const SUGGESTIONS: usize = 5;

/// A folder with `manifests/` and `blobs/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    root: PathBuf,
}

/// A file of the store whose size has been checked against the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    pub digest: Digest,
}

/// A model of the store, ready to be opened.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The name as the store spells it.
    pub name: ModelName,
    /// The GGUF file.
    pub model: Blob,
    /// Further model layers of a split import; the first is taken, so this deserves a warning.
    pub ignored_models: Vec<Blob>,
    pub projectors: Vec<Blob>,
    pub adapters: Vec<Blob>,
    pub draft: Option<Blob>,
    pub config: Config,
    pub params: Params,
    pub system: Option<String>,
    pub messages: Vec<StoredMessage>,
    /// Source of the Go template; shown, never interpreted.
    pub template: Option<String>,
    pub licenses: Vec<String>,
}

/// One line of the list of models.
#[derive(Clone, Debug)]
pub struct Listed {
    pub name: ModelName,
    /// Bytes of all blobs; `None` when the manifest cannot be read.
    pub size: Option<u64>,
    /// Parameter count and quantisation in words, as the config gives them.
    pub config: Config,
    pub modified: Option<SystemTime>,
}

impl Store {
    /// A store at `root`, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The first of `candidates` that holds manifests.
    ///
    /// # Errors
    /// [`StoreError::NoStore`] with what was tried.
    pub fn locate(candidates: &[PathBuf]) -> Result<Self, StoreError> {
        let found = candidates.iter().find(|root| root.join("manifests").is_dir());
        match found {
            Some(root) => Ok(Self::at(root)),
            None => Err(StoreError::NoStore { tried: candidates.to_vec() }),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every model, sorted by name. Files that are not named like models are skipped.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut models: Vec<Listed> = self.names()?.into_iter().map(|n| self.listed(n)).collect();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(models)
    }

    fn listed(&self, name: ModelName) -> Listed {
        let path = self.manifest_path(&name);
        let modified = fs::metadata(&path).and_then(|about| about.modified()).ok();
        let manifest = self.manifest(&name).ok();
        let config = manifest.as_ref().and_then(|m| self.config(&name, m).ok()).unwrap_or_default();
        Listed { name, size: manifest.map(|m| m.size()), config, modified }
    }

    /// Names of all manifests: files exactly four levels deep.
    fn names(&self) -> Result<Vec<ModelName>, StoreError> {
        let mut level = vec![(self.root.join("manifests"), Vec::<String>::new())];
        for depth in 0..4 {
            let mut next = Vec::new();
            for (folder, parts) in level {
                for entry in read_folder(&folder)? {
                    let Ok(part) = entry.file_name().into_string() else { continue };
                    // Follows links, as Ollama does.
                    let Ok(about) = fs::metadata(entry.path()) else { continue };
                    if about.is_dir() == (depth < 3) {
                        next.push((entry.path(), [&parts[..], &[part]].concat()));
                    }
                }
            }
            level = next;
        }
        let name = |parts: &[String]| match parts {
            [host, namespace, model, tag] => ModelName::from_parts(host, namespace, model, tag).ok(),
            _ => None,
        };
        Ok(level.iter().filter_map(|(_, parts)| name(parts)).collect())
    }

    fn manifest_path(&self, name: &ModelName) -> PathBuf {
        name.parts().iter().fold(self.root.join("manifests"), |path, part| path.join(part))
    }

    /// The name as the store spells it: exact, else without regard to case.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] with similar names.
    pub fn find(&self, name: &ModelName) -> Result<ModelName, StoreError> {
        if self.manifest_path(name).is_file() {
            return Ok(name.clone());
        }
        let names = self.names()?;
        match names.iter().find(|known| known.same(name)) {
            Some(known) => Ok(known.clone()),
            None => Err(StoreError::NotFound { name: name.to_string(), root: self.root.clone(), similar: similar(name, names) }),
        }
    }

    fn manifest(&self, name: &ModelName) -> Result<Manifest, StoreError> {
        let path = self.manifest_path(name);
        let json = read_text(&path)?;
        Manifest::parse(&json).map_err(|source| StoreError::Manifest { path, source })
    }

    fn config(&self, name: &ModelName, manifest: &Manifest) -> Result<Config, StoreError> {
        self.parsed(name, &manifest.config, Config::parse)
    }

    /// The file of a layer, of the size that the manifest gives.
    fn blob(&self, name: &ModelName, layer: &Layer) -> Result<Blob, StoreError> {
        let path = self.root.join("blobs").join(layer.digest.file_name());
        let about = match fs::metadata(&path) {
            Ok(about) => about,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(self.missing(name, &layer.digest));
            }
            Err(source) => return Err(StoreError::Io { path, source }),
        };
        let (expected, actual) = (layer.size, about.len());
        if expected != actual {
            return Err(StoreError::BlobSize { path, expected, actual });
        }
        Ok(Blob { path, size: actual, digest: layer.digest.clone() })
    }

    /// Tells a download that was cut off from a blob that was deleted.
    fn missing(&self, name: &ModelName, digest: &Digest) -> StoreError {
        let (name, prefix) = (name.to_string(), format!("{}-partial", digest.file_name()));
        let blobs = read_folder(&self.root.join("blobs")).unwrap_or_default();
        let partial = blobs.iter().any(|e| e.file_name().to_string_lossy().starts_with(&prefix));
        let digest = digest.to_string();
        if partial { StoreError::Partial { name, digest } } else { StoreError::MissingBlob { name, digest } }
    }

    fn parsed<T>(&self, name: &ModelName, layer: &Layer, parse: impl Fn(&[u8]) -> Result<T, ManifestError>) -> Result<T, StoreError> {
        let path = self.blob(name, layer)?.path;
        parse(&read_text(&path)?).map_err(|source| StoreError::Manifest { path, source })
    }

    fn text(&self, name: &ModelName, layer: &Layer) -> Result<String, StoreError> {
        let path = self.blob(name, layer)?.path;
        String::from_utf8(read_text(&path)?).map_err(|_| StoreError::NotUtf8 { path })
    }

    /// From a name to its files, parameters and texts.
    ///
    /// # Errors
    /// [`StoreError`]: not found, incomplete, not GGUF, damaged.
    pub fn resolve(&self, name: &ModelName) -> Result<Resolved, StoreError> {
        let name = &self.find(name)?;
        let manifest = self.manifest(name)?;
        let config = self.config(name, &manifest)?;
        refuse_other_forms(name, &manifest, &config)?;
        let blobs = |kind| -> Result<Vec<Blob>, StoreError> { manifest.layers_of(kind).map(|layer| self.blob(name, layer)).collect() };
        let last = |kind| manifest.layers_of(kind).last();
        let text = |kind| last(kind).map(|layer| self.text(name, layer)).transpose();
        let mut models = blobs(LayerKind::Model)?.into_iter();
        let model = models.next().ok_or_else(|| StoreError::NoModel { name: name.to_string() })?;
        let params = last(LayerKind::Params).map(|layer| self.parsed(name, layer, Params::parse));
        let messages = last(LayerKind::Messages).map(|layer| self.parsed(name, layer, StoredMessage::parse_all));
        let licenses = manifest.layers_of(LayerKind::License);
        Ok(Resolved {
            name: name.clone(),
            model,
            ignored_models: models.collect(),
            projectors: blobs(LayerKind::Projector)?,
            adapters: blobs(LayerKind::Adapter)?,
            draft: blobs(LayerKind::Draft)?.pop(),
            config,
            params: params.transpose()?.unwrap_or_default(),
            system: text(LayerKind::System)?,
            messages: messages.transpose()?.unwrap_or_default(),
            template: text(LayerKind::Template)?,
            licenses: licenses.map(|layer| self.text(name, layer)).collect::<Result<_, _>>()?,
        })
    }
}

/// Models without a GGUF file on this machine.
fn refuse_other_forms(name: &ModelName, manifest: &Manifest, config: &Config) -> Result<(), StoreError> {
    let text = name.to_string();
    let remote = config.remote_host.as_deref().filter(|host| !host.is_empty());
    if let Some(host) = remote {
        return Err(StoreError::Cloud { name: text, host: host.to_owned() });
    }
    let safetensors = config.model_format.as_deref() == Some("safetensors");
    if safetensors || manifest.layers_of(LayerKind::Tensor).next().is_some() {
        return Err(StoreError::Safetensors { name: text });
    }
    Ok(())
}

fn read_folder(folder: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect);
    entries.map_err(|source| StoreError::Io { path: folder.to_owned(), source })
}

fn read_text(path: &Path) -> Result<Vec<u8>, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(io)?.len();
    if size > MAX_TEXT {
        return Err(StoreError::TextTooLarge { path: path.to_owned(), size, limit: MAX_TEXT });
    }
    fs::read(path).map_err(io)
}

/// Known names nearest to `name`: other tags of the model first, then by letters in common.
fn similar(name: &ModelName, names: Vec<ModelName>) -> Vec<String> {
    let wanted = name.to_string().to_ascii_lowercase();
    let common = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    let mut ranked: Vec<(usize, String)> = names
        .into_iter()
        .map(|known| {
            let text = known.to_string();
            let same_model = known.model.eq_ignore_ascii_case(&name.model);
            let score = common(&text.to_ascii_lowercase(), &wanted) + usize::from(same_model) * 1000;
            (score, text)
        })
        .collect();
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    ranked.into_iter().take(SUGGESTIONS).map(|(_, text)| text).collect()
}
