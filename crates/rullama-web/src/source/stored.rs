//! The browser's private storage: a folder of copies, and reading one.

use rullama_source::{BoxFuture, ByteSource, Locality, SourceError};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions, FileSystemGetFileOptions, FileSystemReadWriteOptions,
    FileSystemSyncAccessHandle, StorageManager,
};

use crate::{error::WebError, js};

/// As in the TypeScript package, which lists and removes the copies.
const FOLDER: &str = "rullama-models";

/// What is known of a copy; written when its download starts and when it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    pub url: String,
    pub tag: Option<String>,
    /// Length of the whole file, once known.
    pub len: Option<u64>,
    pub complete: bool,
}

/// The folder that holds the copies.
pub struct Folder {
    handle: FileSystemDirectoryHandle,
}

impl Folder {
    /// # Errors
    /// [`WebError::NoStore`] where the browser has no private storage or refuses it here.
    pub async fn open() -> Result<Self, WebError> {
        let refused = |thrown: JsValue| WebError::NoStore { reason: js::describe(&thrown) };
        let storage = js::get(&js::get(&js_sys::global(), "navigator"), "storage");
        if !js::get(&storage, "getDirectory").is_function() {
            return Err(WebError::NoStore { reason: "not offered here".to_owned() });
        }
        let storage: StorageManager = storage.unchecked_into();
        let root: FileSystemDirectoryHandle = js::wait(storage.get_directory()).await.map_err(refused)?;
        let options = FileSystemGetDirectoryOptions::new();
        options.set_create(true);
        let promise = root.get_directory_handle_with_options(FOLDER, &options);
        Ok(Self { handle: js::wait(promise).await.map_err(refused)? })
    }

    /// The record beside a copy; `None` where there is none or it cannot be read.
    pub async fn record(&self, name: &str) -> Option<Record> {
        let handle: FileSystemFileHandle = js::wait(self.handle.get_file_handle(&record_name(name))).await.ok()?;
        let file: web_sys::File = js::wait(handle.get_file()).await.ok()?;
        let text: JsValue = js::wait(file.text()).await.ok()?;
        serde_json::from_str(&text.as_string()?).ok()
    }

    pub async fn set_record(&self, name: &str, record: &Record) -> Result<(), WebError> {
        let file = self.access(&record_name(name), false).await?;
        let text = serde_json::to_vec(record).unwrap_or_default();
        let failed = |thrown: JsValue| WebError::from_storage(name, &thrown);
        file.0.truncate_with_u32(0).map_err(failed)?;
        file.0.write_with_u8_array(&text).map_err(failed)?;
        file.0.flush().map_err(failed)
    }

    /// Bytes of a copy, finished or not.
    pub async fn len(&self, name: &str) -> u64 {
        let Ok(handle) = js::wait::<FileSystemFileHandle>(self.handle.get_file_handle(name)).await else { return 0 };
        js::wait::<web_sys::File>(handle.get_file()).await.map_or(0, |file| file.size() as u64)
    }

    /// Removes a copy and its record, as far as they are there and nobody uses them.
    pub async fn remove(&self, name: &str) {
        for name in [name, &record_name(name)] {
            let _ = js::wait::<JsValue>(self.handle.remove_entry(name)).await;
        }
    }

    /// Opens a file, creating it where it is missing. Any number of readers may share one.
    pub async fn access(&self, name: &str, read_only: bool) -> Result<Access, WebError> {
        let failed = |thrown: JsValue| WebError::from_storage(name, &thrown);
        let options = FileSystemGetFileOptions::new();
        options.set_create(true);
        let promise = self.handle.get_file_handle_with_options(name, &options);
        let file: FileSystemFileHandle = js::wait(promise).await.map_err(failed)?;
        // Browsers without modes ignore the argument and open the file for one user alone.
        let mode = js::object(&[("mode", if read_only { "read-only" } else { "readwrite" }.into())]);
        let create: js_sys::Function = js::get(&file, "createSyncAccessHandle").unchecked_into();
        let promise = create.call1(&file, &mode).map_err(failed)?;
        Ok(Access(js::wait(promise.unchecked_into()).await.map_err(failed)?))
    }
}

fn record_name(name: &str) -> String {
    format!("{name}.json")
}

/// An open file; dropping it lets others open it.
pub struct Access(pub FileSystemSyncAccessHandle);

impl Access {
    pub fn len(&self) -> u64 {
        self.0.get_size().map_or(0, |size| size as u64)
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A complete copy, read without leaving the worker.
pub struct StoredSource {
    access: Access,
    name: String,
    len: u64,
}

impl StoredSource {
    /// `name` is what messages call it.
    pub fn new(access: Access, name: String) -> Self {
        let len = access.len();
        Self { access, name, len }
    }

    fn read_now(&self, offset: u64, len: usize) -> Result<Vec<u8>, SourceError> {
        SourceError::check(&self.name, self.len, offset, len)?;
        let mut bytes = SourceError::allocate(&self.name, len)?;
        let options = FileSystemReadWriteOptions::new();
        options.set_at(offset as f64);
        let got = self
            .access
            .0
            .read_with_u8_array_and_options(&mut bytes, &options)
            .map_err(|thrown| SourceError::Host { name: self.name.clone(), message: js::describe(&thrown) })?;
        if got as usize != len {
            let (name, expected, got) = (self.name.clone(), len as u64, got as u64);
            return Err(SourceError::ShortRead { name, offset, expected, got });
        }
        Ok(bytes)
    }
}

impl ByteSource for StoredSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn locality(&self) -> Locality {
        Locality::Local
    }

    fn read<'a>(&'a self, offset: u64, len: usize) -> BoxFuture<'a, Result<Vec<u8>, SourceError>> {
        Box::pin(async move { self.read_now(offset, len) })
    }
}
