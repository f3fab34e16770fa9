use thiserror::Error;

/// Why a vocabulary was refused, or a prompt could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenizerError {
    #[error(
        "tokenizer.ggml.model is `{model}`, but only `gemma4` and `llama` (with merges or scores) are understood; use a Gemma 4 or EmbeddingGemma file"
    )]
    Model { model: String },
    #[error("the vocabulary is empty (tokenizer.ggml.tokens); the file is damaged, fetch it again")]
    Empty,
    #[error("the vocabulary has no merges (tokenizer.ggml.merges); convert the model again with a current converter")]
    NoMerges,
    #[error("tokenizer.ggml.scores has {scores} entries for {pieces} tokens; the file is damaged, fetch it again")]
    ScoreCount { scores: usize, pieces: usize },
    #[error("tokenizer.ggml.scores[{id}] is {value}, which is no score; the file is damaged, fetch it again")]
    Score { id: usize, value: String },
    #[error("tokenizer.ggml.tokens[{id}] has {len} bytes, more than the {limit} of a piece; the file is damaged, fetch it again")]
    PieceLength { id: usize, len: usize, limit: usize },
    #[error("tokenizer.ggml.{table} has {len} entries, more than the {limit} that fit; the file is damaged, fetch it again")]
    TooLarge { table: &'static str, len: usize, limit: usize },
    #[error("tokenizer.ggml.token_type has {types} entries for {pieces} tokens; the file is damaged, fetch it again")]
    TypeCount { types: usize, pieces: usize },
    #[error("tokenizer.ggml.token_type[{id}] is {value}, not one of 0 to 6; the file is damaged, fetch it again")]
    Type { id: usize, value: i32 },
    #[error(
        "tokenizer.ggml.merges[{rank}] is `{merge}`, which is not two vocabulary pieces whose concatenation is an ordinary piece; the file is damaged, fetch it again"
    )]
    Merge { rank: usize, merge: String },
    #[error("the vocabulary has no token for byte <0x{byte:02X}> and no unknown token; the file is damaged, fetch it again")]
    MissingByte { byte: u8 },
    #[error("the vocabulary has no {name} token; use a Gemma 4 file with its full vocabulary")]
    MissingToken { name: &'static str },
    #[error("tokenizer.ggml.{key} is {id}, outside the vocabulary of {len}; the file is damaged, fetch it again")]
    TokenId { key: &'static str, id: u32, len: usize },
    #[error("the prompt needs the special token `{piece}`, which this vocabulary lacks; use a model whose vocabulary has it")]
    UnknownSpecial { piece: String },
}
