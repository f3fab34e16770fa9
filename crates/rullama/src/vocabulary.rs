//! From the file's vocabulary to the tokenizer.

use crate::Error;
use rullama_source::gguf::{Metadata, MetadataError, StringArray};
use rullama_text::{Strings, Tokenizer, Vocabulary};

/// The first so many of some strings.
struct Borrowed<'a>(&'a StringArray, usize);

impl Strings for Borrowed<'_> {
    fn len(&self) -> usize {
        self.0.len().min(self.1)
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
    first_pieces(metadata, usize::MAX)
}

/// The same of at most `most` pieces.
fn first_pieces(metadata: &Metadata, most: usize) -> Result<Tokenizer, Error> {
    let id = |key: &str| MetadataError::optional(metadata.u32(&format!("tokenizer.ggml.{key}")));
    let mut types = MetadataError::optional(metadata.i32_array("tokenizer.ggml.token_type"))?.unwrap_or_default();
    // Earlier vocabularies have scores, and no merges.
    let merges = MetadataError::optional(metadata.strings("tokenizer.ggml.merges"))?;
    let mut scores = match merges {
        Some(_) => Vec::new(),
        None => MetadataError::optional(metadata.f32_array("tokenizer.ggml.scores"))?.unwrap_or_default(),
    };
    let none = StringArray::default();
    let pieces = metadata.strings("tokenizer.ggml.tokens")?;
    if types.len() == pieces.len() {
        types.truncate(most);
    }
    if scores.len() == pieces.len() {
        scores.truncate(most);
    }
    let eos_ids = MetadataError::optional(metadata.u32_array("tokenizer.ggml.eos_token_ids"))?.unwrap_or_default();
    let vocabulary = Vocabulary {
        model: metadata.str("tokenizer.ggml.model")?,
        pieces: &Borrowed(pieces, most),
        types: &types,
        merges: &Borrowed(merges.unwrap_or(&none), usize::MAX),
        scores: &scores,
        bos: id("bos_token_id")?,
        eos: id("eos_token_id")?,
        unknown: id("unknown_token_id")?,
        eos_ids: &eos_ids,
        end_of_turn: id("eot_token_id")?,
    };
    Ok(Tokenizer::new(&vocabulary)?)
}

/// As [`tokenizer`], without the pieces that an embedding of `rows` rows has none for: converters left the mark of pictures among those of
/// text models without it. The metadata's own copies of the strings are freed.
pub(crate) fn take_embedded_pieces(metadata: &mut Metadata, rows: u32) -> Result<Tokenizer, Error> {
    let tokenizer = first_pieces(metadata, rows as usize)?;
    free(metadata);
    Ok(tokenizer)
}

/// Drops the metadata's copies of the strings.
fn free(metadata: &mut Metadata) {
    for key in ["tokens", "merges", "scores", "token_type"] {
        metadata.take(&format!("tokenizer.ggml.{key}"));
    }
}

/// As [`tokenizer`], for a model whose embedding has `rows` rows; the metadata's own copies of
/// the strings are freed.
pub(crate) fn take_tokenizer(metadata: &mut Metadata, rows: u32) -> Result<Tokenizer, Error> {
    let tokenizer = tokenizer(metadata)?;
    free(metadata);
    if tokenizer.len() > rows as usize {
        let key = "tokenizer.ggml.tokens".to_string();
        let reason = format!("is more than the embedding's {rows} rows");
        return Err(Error::Model(rullama_model::ModelError::Config { key, value: format!("{} pieces", tokenizer.len()), reason }));
    }
    Ok(tokenizer)
}
