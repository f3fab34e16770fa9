//! From the file's vocabulary to the tokenizer.

use crate::Error;
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

/// Builds the tokenizer and frees the metadata's copies of its strings.
///
/// # Errors
/// Missing or damaged vocabulary; more pieces than the embedding has rows.
pub fn tokenizer(metadata: &mut Metadata, rows: u32) -> Result<Tokenizer, Error> {
    let pieces = metadata.take_strings("tokenizer.ggml.tokens")?;
    let merges = metadata.take_strings("tokenizer.ggml.merges")?;
    metadata.take("tokenizer.ggml.scores");
    if pieces.len() > rows as usize {
        let reason = format!("is more than the embedding's {rows} rows");
        let key = "tokenizer.ggml.tokens".to_string();
        return Err(Error::Model(rullama_model::ModelError::Config { key, value: format!("{} pieces", pieces.len()), reason }));
    }
    let id = |key: &str| MetadataError::optional(metadata.u32(&format!("tokenizer.ggml.{key}")));
    let types = MetadataError::optional(metadata.i32_array("tokenizer.ggml.token_type"))?.unwrap_or_default();
    let eos_ids = MetadataError::optional(metadata.u32_array("tokenizer.ggml.eos_token_ids"))?.unwrap_or_default();
    let vocabulary = Vocabulary {
        model: metadata.str("tokenizer.ggml.model")?,
        pieces: &Borrowed(&pieces),
        types: &types,
        merges: &Borrowed(&merges),
        bos: id("bos_token_id")?,
        eos: id("eos_token_id")?,
        unknown: id("unknown_token_id")?,
        eos_ids: &eos_ids,
        end_of_turn: id("eot_token_id")?,
    };
    let tokenizer = Tokenizer::new(&vocabulary)?;
    metadata.take("tokenizer.ggml.token_type");
    Ok(tokenizer)
}
