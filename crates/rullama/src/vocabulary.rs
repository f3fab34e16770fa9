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

/// The tokenizer of a model file, from its `tokenizer.ggml.*` keys; needs no GPU.
///
/// # Errors
/// A key that is missing or wrong, by name.
pub fn tokenizer(metadata: &Metadata) -> Result<Tokenizer, Error> {
    let id = |key: &str| MetadataError::optional(metadata.u32(&format!("tokenizer.ggml.{key}")));
    let types = MetadataError::optional(metadata.i32_array("tokenizer.ggml.token_type"))?.unwrap_or_default();
    // Earlier vocabularies have scores, and no merges.
    let merges = MetadataError::optional(metadata.strings("tokenizer.ggml.merges"))?;
    let scores = match merges {
        Some(_) => Vec::new(),
        None => MetadataError::optional(metadata.f32_array("tokenizer.ggml.scores"))?.unwrap_or_default(),
    };
    let none = StringArray::default();
    let eos_ids = MetadataError::optional(metadata.u32_array("tokenizer.ggml.eos_token_ids"))?.unwrap_or_default();
    let vocabulary = Vocabulary {
        model: metadata.str("tokenizer.ggml.model")?,
        pieces: &Borrowed(metadata.strings("tokenizer.ggml.tokens")?),
        types: &types,
        merges: &Borrowed(merges.unwrap_or(&none)),
        scores: &scores,
        bos: id("bos_token_id")?,
        eos: id("eos_token_id")?,
        unknown: id("unknown_token_id")?,
        eos_ids: &eos_ids,
        end_of_turn: id("eot_token_id")?,
    };
    Ok(Tokenizer::new(&vocabulary)?)
}

/// As [`tokenizer`], for a model whose embedding has `rows` rows; the metadata's own copies of
/// the strings are freed.
pub(crate) fn take_tokenizer(metadata: &mut Metadata, rows: u32) -> Result<Tokenizer, Error> {
    let tokenizer = tokenizer(metadata)?;
    for key in ["tokens", "merges", "scores", "token_type"] {
        metadata.take(&format!("tokenizer.ggml.{key}"));
    }
    if tokenizer.len() > rows as usize {
        let key = "tokenizer.ggml.tokens".to_string();
        let reason = format!("is more than the embedding's {rows} rows");
        return Err(Error::Model(rullama_model::ModelError::Config { key, value: format!("{} pieces", tokenizer.len()), reason }));
    }
    Ok(tokenizer)
}
