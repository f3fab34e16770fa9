use crate::tokenizer::{Specials, Tokenizer};

/// Token ids to text as they come, never splitting a UTF-8 character.
///
/// The pieces of text together equal `String::from_utf8_lossy` of all the tokens' bytes: up to
/// three bytes of an unfinished character wait for their rest, bytes that can no longer become a
/// character give U+FFFD.
#[derive(Debug, Clone, Default)]
pub struct Detokenizer {
    specials: Specials,
    pending: Vec<u8>,
}

impl Detokenizer {
    pub fn new(specials: Specials) -> Self {
        Detokenizer { specials, pending: Vec::new() }
    }

    /// The text that `id` completes; often empty within a character spelt in bytes.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> String {
        tokenizer.append_bytes(id, self.specials, &mut self.pending);
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.pending.clear();
                    return text;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.pending[..valid]));
                    let Some(invalid) = error.error_len() else {
                        self.pending.drain(..valid);
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    self.pending.drain(..valid + invalid);
                }
            }
        }
    }

    /// What is left at the end of the stream: an unfinished character gives U+FFFD.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}
