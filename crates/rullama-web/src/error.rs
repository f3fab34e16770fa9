use rullama::ErrorCode;
use rullama_source::SourceError;
use wasm_bindgen::JsValue;

use crate::js;

/// What can go wrong in this package, around the engine's own errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// Nothing answers at the address.
    #[error("{url}: no answer ({reason}). Check the address and the connection, then try again.")]
    Unreachable { url: String, reason: String },
    /// Something answers at the address, and the browser does not let this page see the answer.
    #[error(
        "{url}: the server answers, but does not allow this page to read the file (CORS). Download the file and choose it from \
         the disk, or let the server send Access-Control-Allow-Origin."
    )]
    Forbidden { url: String },
    /// The browser's private storage is missing or closed to this page.
    #[error(
        "The browser's private storage cannot be used: {reason}. Leave the private window, or download the file and \
         choose it from the disk."
    )]
    NoStore { reason: String },
    /// What the package says of storing a file; the words end in the remedy.
    #[error("{words}")]
    Kept { code: ErrorCode, words: String },
    /// A caller's value is not usable.
    #[error("{what} Correct it and call again.")]
    Argument { what: String },
    /// The model has no eyes or no ears.
    #[error("{model} has no tower for {sense}. Give the file with its towers (mmproj) as `projector`, or load a model that has them.")]
    NoTower { sense: rullama::Sense, model: String },
    #[error(transparent)]
    Engine(#[from] rullama::Error),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[cfg(feature = "train")]
    #[error("{}", .0.told(&crate::options::camel))]
    Train(#[from] rullama_train::TrainError),
}

impl WebError {
    /// What the package's own code threw.
    pub fn from_package(thrown: &JsValue) -> Self {
        let (code, words) = js::package_error(thrown).unwrap_or_else(|| (ErrorCode::Internal, js::describe(thrown)));
        WebError::Kept { code, words }
    }

    /// The stable code, one of the TypeScript package's `ErrorCode`.
    pub fn code(&self) -> ErrorCode {
        match self {
            WebError::Unreachable { .. } | WebError::Forbidden { .. } => ErrorCode::Network,
            WebError::NoStore { .. } => ErrorCode::Quota,
            WebError::Kept { code, .. } => *code,
            WebError::Argument { .. } => ErrorCode::InvalidArgument,
            WebError::NoTower { .. } => ErrorCode::ModelUnsupported,
            WebError::Engine(error) => error.into(),
            WebError::Source(error) => error.into(),
            #[cfg(feature = "train")]
            WebError::Train(error) => crate::tune::code(error),
        }
    }
}

/// `{ code, message, remedy }`; the remedy is the message's last sentence.
pub fn thrown(code: ErrorCode, text: &str) -> JsValue {
    let text = text.trim();
    let (message, remedy) = match text.trim_end_matches('.').rfind(". ") {
        Some(end) => (&text[..=end], text[end + 2..].trim()),
        None => (text, ""),
    };
    js::object(&[("code", code.name().into()), ("message", message.into()), ("remedy", remedy.into())]).into()
}

impl From<WebError> for JsValue {
    fn from(error: WebError) -> Self {
        let text = error.to_string();
        match &error {
            // Files are chosen here, and commands are not at hand.
            WebError::Engine(engine) if engine.is_part() => {
                let said = text.split(". ").next().unwrap_or(&text);
                thrown(
                    error.code(),
                    &format!("{said}. Choose all parts of the model together, or give an address that has them beside each other."),
                )
            }
            _ => thrown(error.code(), &text),
        }
    }
}
