//! Why a request is not answered, before it has the form of an API.

use crate::model::{self, EMBEDDED};
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use rullama::queue::QueueError;
use rullama::{Error, ErrorCode};
use rullama_model::ModelError;
use rullama_source::ollama::{NameError, StoreError};
use serde_json::{Value, json};

/// Seconds after which it is worth asking again.
const RETRY_AFTER: &str = "5";
/// Most letters of a message: what is wrong with a request may be as long as the request.
const LONGEST: usize = 1000;

/// An error with its HTTP status.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub status: StatusCode,
    /// The field of the request that is at fault.
    pub field: Option<String>,
    /// A name for programs, where OpenAI has one.
    pub code: Option<&'static str>,
    pub message: String,
}

/// The form of an API's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Ollama,
    OpenAi,
}

impl Form {
    /// By the address that was asked.
    pub fn of(path: &str) -> Form {
        if path == "/v1" || path.starts_with("/v1/") { Form::OpenAi } else { Form::Ollama }
    }
}

impl Failure {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(end);
            message.push_str("...");
        }
        Failure { status, field: None, code: None, message }
    }

    /// A field that cannot be what it is.
    pub fn field(name: impl Into<String>, message: impl std::fmt::Display) -> Self {
        let name = name.into();
        let message = format!("`{name}` {message}");
        Failure { field: Some(name), ..Failure::new(StatusCode::BAD_REQUEST, message) }
    }

    /// Something that these APIs have and this server does not.
    pub fn missing(message: impl Into<String>) -> Self {
        Failure::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// Why the model `name` cannot be had.
    pub fn of_model(name: &str, error: &anyhow::Error) -> Self {
        let missing = match error.downcast_ref::<StoreError>() {
            Some(StoreError::NotFound { similar, .. }) => Some(not_found(name, similar)),
            Some(StoreError::NoStore { .. }) => Some(no_store(name)),
            _ if model::is_embedded(name) => Some(format!("model '{name}' not found: {error}")),
            _ => None,
        };
        let named = matches!(error.downcast_ref::<StoreError>(), Some(StoreError::Name(_))) || error.is::<NameError>();
        let (status, code, message) = match missing {
            Some(message) => (StatusCode::NOT_FOUND, Some("model_not_found"), message),
            None if named => (StatusCode::BAD_REQUEST, None, format!("model '{name}': {error}")),
            None => (StatusCode::INTERNAL_SERVER_ERROR, None, format!("model '{name}': {error:#}")),
        };
        Failure { code, field: Some("model".to_owned()), ..Failure::new(status, message) }
    }

    /// This error as an answer.
    pub fn respond(&self, form: Form) -> Response {
        let mut response = Response::new(Body::from(self.body(form).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }

    /// The JSON of this error.
    pub fn body(&self, form: Form) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            503 => "service_unavailable_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        match form {
            Form::Ollama => json!({"error": self.message}),
            Form::OpenAi => json!({"error": {"message": self.message, "type": kind, "param": self.field, "code": self.code}}),
        }
    }
}

fn not_found(name: &str, similar: &[String]) -> String {
    let others: Vec<&str> = similar.iter().map(String::as_str).chain(model::embedded_size().map(|_| EMBEDDED)).collect();
    let here = if others.is_empty() { String::new() } else { format!(" Here are {}.", others.join(", ")) };
    format!("model '{name}' not found: it is not in Ollama's store on this machine. Run `ollama pull {name}`.{here}")
}

fn no_store(name: &str) -> String {
    let embedded =
        if model::embedded_size().is_some() { format!(" The model in this program is called {EMBEDDED}.") } else { String::new() };
    format!(
        "model '{name}' not found: there is no store of Ollama's on this machine. Install Ollama and run `ollama pull {name}`, or start the server with OLLAMA_MODELS set to a store.{embedded}"
    )
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Self {
        Failure { code: Some("server_overloaded"), ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, format!("{error}.")) }
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let (status, code) = match ErrorCode::from(error) {
            ErrorCode::InvalidArgument => (StatusCode::BAD_REQUEST, None),
            _ if matches!(error, Error::NoTower { .. }) => (StatusCode::BAD_REQUEST, None),
            ErrorCode::ContextFull => (StatusCode::BAD_REQUEST, Some("context_length_exceeded")),
            ErrorCode::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, None),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        // The model is what it is: asked for something else.
        let other = matches!(error, Error::Model(ModelError::IsEncoder { .. } | ModelError::NoEncoder { .. }));
        let (status, code) = if other { (StatusCode::BAD_REQUEST, None) } else { (status, code) };
        let field = if other {
            Some("model".to_owned())
        } else if let Error::InvalidArgument { name, .. } = error {
            Some((*name).to_owned())
        } else {
            None
        };
        Failure { field, code, ..Failure::new(status, format!("{error}.")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_api_has_its_form() {
        let failure = Failure::field("n", "is 2, but must be 1.");
        assert_eq!(failure.body(Form::of("/api/chat")), json!({"error": "`n` is 2, but must be 1."}));
        let error = json!({"message": "`n` is 2, but must be 1.", "type": "invalid_request_error", "param": "n", "code": null});
        assert_eq!(failure.body(Form::of("/v1/models")), json!({"error": error}));
        assert!(Failure::field("n", "ü".repeat(LONGEST)).message.chars().count() < LONGEST + 4);
        let full = Failure::from(QueueError::Full { limit: 3 }).respond(Form::OpenAi);
        assert_eq!((full.status().as_u16(), full.headers()[header::RETRY_AFTER].to_str().unwrap()), (503, RETRY_AFTER));
    }
}
