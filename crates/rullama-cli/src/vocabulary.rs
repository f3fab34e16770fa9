//! A model's tokenizer without its weights or a GPU.

use anyhow::Result;
use rullama_source::gguf::{Metadata, MetadataError, StringArray};
use rullama_text::{Strings, Tokenizer, Vocabulary};

struct Borrowed<'a>(&'a StringArray);

impl Strings for Borrowed<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> &str {
        self.0.get(index).unwrap_or_default()
    }
}

/// Builds the tokenizer from `tokenizer.ggml.*`.
///
/// # Errors
/// The key that is missing or wrong.
pub fn tokenizer(metadata: &Metadata) -> Result<Tokenizer> {
    let id = |key: &str| MetadataError::optional(metadata.u32(&format!("tokenizer.ggml.{key}")));
    let types = MetadataError::optional(metadata.i32_array("tokenizer.ggml.token_type"))?.unwrap_or_default();
    let eos_ids = MetadataError::optional(metadata.u32_array("tokenizer.ggml.eos_token_ids"))?.unwrap_or_default();
    let vocabulary = Vocabulary {
        model: metadata.str("tokenizer.ggml.model")?,
        pieces: &Borrowed(metadata.strings("tokenizer.ggml.tokens")?),
        types: &types,
        merges: &Borrowed(metadata.strings("tokenizer.ggml.merges")?),
        bos: id("bos_token_id")?,
        eos: id("eos_token_id")?,
        unknown: id("unknown_token_id")?,
        eos_ids: &eos_ids,
        end_of_turn: id("eot_token_id")?,
    };
    Ok(Tokenizer::new(&vocabulary)?)
}
