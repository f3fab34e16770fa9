//! The store on disk: from a name to files and texts.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Config, Digest, Layer, LayerKind, Manifest, ManifestError, ModelName, Params, StoreError, StoredMessage};
use crate::file::special;

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
    /// Every file that the manifest names and that is here, the configuration first.
    pub blobs: Vec<Blob>,
    /// Those of them that were written to after the manifest, which Ollama writes last: their content may be another than their
    /// name says.
    pub altered: Vec<Blob>,
}

impl Resolved {
    /// The template, where it says more than that the prompt goes in as it is.
    pub fn own_template(&self) -> Option<&str> {
        let template = self.template.as_deref()?.trim();
        let bare: String = template.chars().filter(|c| !c.is_whitespace()).collect();
        (!matches!(bare.as_str(), "" | "{{.Prompt}}" | "{{-.Prompt-}}" | "{{$.Prompt}}")).then_some(template)
    }
}

/// One line of the list of models.
#[derive(Debug)]
pub struct Listed {
    pub name: ModelName,
    /// Bytes of all blobs; `None` when the manifest cannot be read.
    pub size: Option<u64>,
    /// Parameter count and quantisation in words, as the config gives them.
    pub config: Config,
    pub modified: Option<SystemTime>,
    /// Why the manifest or the config cannot be read.
    pub problem: Option<StoreError>,
}

/// What a store holds, as far as it can be read.
#[derive(Debug, Default)]
pub struct Listing {
    /// Sorted by name.
    pub models: Vec<Listed>,
    /// Folders and files that could not be looked into.
    pub unreadable: Vec<StoreError>,
}

impl Listing {
    /// What could not be read and why, a line each.
    pub fn problems(&self) -> impl Iterator<Item = String> + '_ {
        let of_models = self.models.iter().filter_map(|model| Some(format!("{}: {}", model.name, model.problem.as_ref()?)));
        self.unreadable.iter().map(ToString::to_string).chain(of_models)
    }
}

/// Names of manifests, and the folders and files that could not be looked into.
type Names = (Vec<ModelName>, Vec<(PathBuf, io::Error)>);

impl Store {
    /// A store at `root`, which need not exist.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The first of `candidates` that holds manifests.
    ///
    /// # Errors
    /// [`StoreError::Denied`] where one may not be looked into and no other will do, else [`StoreError::NoStore`] with what was
    /// tried.
    pub fn locate(candidates: &[PathBuf]) -> Result<Self, StoreError> {
        let mut denied = None;
        for root in candidates {
            match fs::metadata(root.join("manifests")) {
                Ok(about) if about.is_dir() => return Ok(Self::at(root)),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied = denied.or(Some(root)),
                _ => {}
            }
        }
        match denied {
            Some(root) => Err(StoreError::Denied { path: root.clone() }),
            None => Err(StoreError::NoStore { tried: candidates.to_vec() }),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Every model. Files that are not named like models are skipped; what cannot be read hides nothing else.
    pub fn list(&self) -> Listing {
        let (names, unreadable) = self.names();
        let mut models: Vec<Listed> = names.into_iter().map(|name| self.listed(name)).collect();
        models.sort_by(|a, b| a.name.cmp(&b.name));
        Listing { models, unreadable: unreadable.into_iter().map(|(path, error)| StoreError::io(&path, error)).collect() }
    }

    fn listed(&self, name: ModelName) -> Listed {
        let modified = modified(&self.manifest_path(&name));
        let (size, config) = match self.manifest(&name) {
            Ok(manifest) => (Some(manifest.size()), self.config(&name, &manifest)),
            Err(error) => (None, Err(error)),
        };
        let (config, problem) = match config {
            Ok(config) => (config, None),
            Err(error) => (Config::default(), Some(error)),
        };
        Listed { name, size, config, modified, problem }
    }

    /// Names of all manifests: files exactly four levels deep.
    fn names(&self) -> Names {
        let mut level = vec![(self.root.join("manifests"), Vec::<String>::new())];
        let mut unreadable = Vec::new();
        for depth in 0..4 {
            let mut next = Vec::new();
            for (folder, parts) in level {
                let entries = match fs::read_dir(&folder) {
                    Ok(entries) => entries,
                    Err(error) => {
                        unreadable.push((folder, error));
                        continue;
                    }
                };
                for entry in entries {
                    let entry = match entry {
                        Ok(entry) => entry,
                        Err(error) => {
                            unreadable.push((folder.clone(), error));
                            continue;
                        }
                    };
                    let Ok(part) = entry.file_name().into_string() else { continue };
                    // Follows links, as Ollama does.
                    match fs::metadata(entry.path()) {
                        Ok(about) if about.is_dir() == (depth < 3) => next.push((entry.path(), [&parts[..], &[part]].concat())),
                        Ok(_) => {}
                        Err(error) => unreadable.push((entry.path(), error)),
                    }
                }
            }
            level = next;
        }
        let name = |parts: &[String]| match parts {
            [host, namespace, model, tag] => ModelName::from_parts(host, namespace, model, tag).ok(),
            _ => None,
        };
        (level.iter().filter_map(|(_, parts)| name(parts)).collect(), unreadable)
    }

    fn manifest_path(&self, name: &ModelName) -> PathBuf {
        name.parts().iter().fold(self.root.join("manifests"), |path, part| path.join(part))
    }

    /// The name as the store spells it: exact, else without regard to case.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] with similar names, [`StoreError::Denied`].
    pub fn find(&self, name: &ModelName) -> Result<ModelName, StoreError> {
        let path = self.manifest_path(name);
        match fs::metadata(&path) {
            Ok(about) if !about.is_dir() => return Ok(name.clone()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(StoreError::Denied { path }),
            _ => {}
        }
        let (names, unreadable) = self.names();
        if let Some(known) = names.iter().find(|known| known.same(name)) {
            return Ok(known.clone());
        }
        let unreadable = unreadable.into_iter().map(|(path, _)| path).collect();
        Err(StoreError::NotFound { name: name.to_string(), root: self.root.clone(), similar: similar(name, names), unreadable })
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
            Err(source) => return Err(StoreError::io(&path, source)),
        };
        if let Some(what) = special(&about) {
            return Err(StoreError::NotAFile { path, what });
        }
        let (expected, actual) = (layer.size, about.len());
        if expected != actual {
            return Err(StoreError::BlobSize { path, expected, actual });
        }
        Ok(Blob { path, size: actual, digest: layer.digest.clone() })
    }

    /// Tells a download that was cut off from a blob that was deleted.
    fn missing(&self, name: &ModelName, digest: &Digest) -> StoreError {
        let (name, prefix) = (name.to_string(), format!("{}-partial", digest.file_name()));
        let mut blobs = fs::read_dir(self.root.join("blobs")).into_iter().flatten().flatten();
        let partial = blobs.any(|e| e.file_name().to_string_lossy().starts_with(&prefix));
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

    /// The first model that has a file of this digest. Reads manifests alone.
    pub fn name_of(&self, digest: &Digest) -> Option<ModelName> {
        let is_there = self.root.join("blobs").join(digest.file_name()).is_file();
        let names = self.names();
        let mut names = names.0.into_iter().filter(|_| is_there);
        names.find(|name| {
            self.manifest(name).is_ok_and(|manifest| manifest.layers_of(LayerKind::Model).any(|layer| layer.digest == *digest))
        })
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
        let here: Vec<Blob> =
            std::iter::once(&manifest.config).chain(&manifest.layers).filter_map(|layer| self.blob(name, layer).ok()).collect();
        let stored = modified(&self.manifest_path(name));
        let altered = here.iter().filter(|blob| stored.is_some_and(|stored| modified(&blob.path) > Some(stored)));
        Ok(Resolved {
            altered: altered.cloned().collect(),
            blobs: here,
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

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
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

/// All of a regular file of moderate size.
fn read_text(path: &Path) -> Result<Vec<u8>, StoreError> {
    let io = |source| StoreError::io(path, source);
    let about = fs::metadata(path).map_err(io)?;
    if let Some(what) = special(&about) {
        return Err(StoreError::NotAFile { path: path.to_owned(), what });
    }
    let mut bytes = Vec::new();
    // What grows meanwhile is not followed.
    let read = File::open(path).map_err(io)?.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(io)? as u64;
    let size = about.len().max(read);
    if size > MAX_TEXT {
        return Err(StoreError::TextTooLarge { path: path.to_owned(), size, limit: MAX_TEXT });
    }
    Ok(bytes)
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
