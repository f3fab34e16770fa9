//! Which tokens may come next, so that an answer is what a JSON schema asks for.
//!
//! [`Grammars`] knows a vocabulary, compiles schemas for it, and gives a [`Matcher`] for each answer: its mask says which tokens
//! can follow, and it goes on with the one that was drawn. The automata are llguidance's; what is here decides which schemas
//! are taken, bounds their cost, and keeps answers readable for every reader of JSON.
//!
//! ```
//! use rullama_grammar::{Grammars, Tokens};
//!
//! let mut tokens = Tokens::default();
//! (b' '..=b'~').for_each(|byte| tokens.text(&[byte]));
//! let end = tokens.special("<eos>");
//! let grammars = Grammars::new(&tokens, &[end])?;
//! let mut matcher = grammars.json(&serde_json::json!({"type": "boolean"}))?;
//! let mut mask = vec![0; tokens.mask_words()];
//! matcher.allowed(&mut mask)?;
//! let begins = |byte: u8| mask[usize::from(byte - b' ') / 32] >> ((byte - b' ') % 32) & 1 == 1;
//! assert!(begins(b't') && begins(b'f') && !begins(b'{'));
//! # Ok::<(), rullama_grammar::GrammarError>(())
//! ```

mod calls;
mod error;
mod grammars;
mod numbers;
mod schema;
mod tokens;

pub use calls::Function;
pub use error::GrammarError;
pub use grammars::{Grammars, Matcher};
pub use tokens::Tokens;

/// Whether a schema can be followed, as far as it tells without a vocabulary.
///
/// # Errors
/// A keyword that is not supported, a value that is no schema's, each with its place; a schema beyond the bounds.
pub fn check(schema: &serde_json::Value) -> Result<(), GrammarError> {
    schema::prepare(schema).map(|_| ())
}
