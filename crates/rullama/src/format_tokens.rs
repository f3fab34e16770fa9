//! What compiles formats sees of a vocabulary.

use rullama_text::Tokenizer;

/// The tokens of a vocabulary, by their ids.
#[derive(Debug, Clone, Default)]
pub struct FormatTokens {
    /// Of all tokens, end to end: what each stands for in an answer, of special ones their names.
    pub bytes: Vec<u8>,
    /// Where each token's bytes end.
    pub ends: Vec<u32>,
    /// Ids that are no text of an answer, ascending.
    pub special: Vec<u32>,
    /// Ids that end an answer's content.
    pub closing: Vec<u32>,
    /// The token around the texts of calls.
    pub quote: Option<u32>,
}

impl FormatTokens {
    pub(crate) fn of(tokenizer: &Tokenizer) -> Self {
        let mut tokens = FormatTokens::default();
        for id in 0..tokenizer.len() as u32 {
            if tokenizer.is_special(id) || tokenizer.is_marker(id) {
                tokens.special.push(id);
                tokens.bytes.extend_from_slice(tokenizer.piece(id).unwrap_or_default().as_bytes());
            } else {
                tokens.bytes.extend_from_slice(&tokenizer.bytes_of(id));
            }
            tokens.ends.push(tokens.bytes.len() as u32);
        }
        // A call is handed over with a token that ends no content.
        let hands_over = tokenizer.find("<|tool_response>");
        tokens.quote = tokenizer.find("<|\"|>");
        tokens.closing = tokenizer.end_tokens().iter().copied().filter(|id| Some(*id) != hands_over).collect();
        tokens
    }
}
