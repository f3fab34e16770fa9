use thiserror::Error;

/// Why an answer cannot be held to a schema.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrammarError {
    #[error("the schema's keyword `{keyword}` at {place} is not supported. Say it without, and check the answer for it")]
    Keyword { keyword: String, place: String },
    #[error("the schema is wrong at {place}: {reason}")]
    Invalid { place: String, reason: String },
    #[error("the schema has {what}, more than {limit}. Split it, or ask for less at once")]
    TooLarge { what: String, limit: usize },
    #[error("the schema cannot be used at {place}: {reason}. Say it in another way")]
    Unusable { place: String, reason: String },
    #[error("the schema takes too long to follow ({reason}). Say it in a simpler way")]
    TooComplex { reason: String },
    #[error("calls of `{name}` cannot be held to its parameters: {reason}")]
    Function { name: String, reason: String },
    #[error("token {id} does not fit the format; this is a bug")]
    Token { id: u32 },
    #[error("the vocabulary cannot be used for formats: {reason}. Use a Gemma 4 file with its full vocabulary")]
    Vocabulary { reason: String },
}
