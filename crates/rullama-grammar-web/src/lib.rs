//! What compiles schemas to masks of tokens, as a wasm of its own that is loaded with the first format: the engine's takes the masks
//! by calling JavaScript between two tokens.
#![cfg(target_arch = "wasm32")]

use js_sys::{Error, Uint32Array};
use rullama_grammar::{GrammarError, Grammars, Matcher, Tokens};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

fn thrown(error: GrammarError) -> JsValue {
    Error::new(&error.to_string()).into()
}

/// Compiles schemas for one vocabulary.
#[wasm_bindgen]
pub struct WebGrammars {
    grammars: Grammars,
    words: usize,
}

#[wasm_bindgen]
impl WebGrammars {
    /// Of a vocabulary: the bytes of all tokens end to end, where each ends, the ids of those that are no text, ascending, and of
    /// those that end an answer.
    #[wasm_bindgen(constructor)]
    pub fn new(bytes: &[u8], ends: &[u32], special: &[u32], closing: &[u32]) -> Result<WebGrammars, JsValue> {
        let tokens = Tokens::new(bytes, ends, special);
        let words = tokens.mask_words();
        Ok(WebGrammars { grammars: Grammars::new(&tokens, closing).map_err(thrown)?, words })
    }

    /// Follows an answer of this schema, JSON.
    pub fn follow(&self, schema: &str) -> Result<WebMatcher, JsValue> {
        let schema = serde_json::from_str(schema).map_err(|error| JsValue::from(Error::new(&format!("the schema is no JSON: {error}"))))?;
        let matcher = self.grammars.json(&schema).map_err(thrown)?;
        Ok(WebMatcher { matcher, mask: vec![0; self.words] })
    }
}

/// Where an answer stands in its grammar.
#[wasm_bindgen]
pub struct WebMatcher {
    matcher: Matcher,
    mask: Vec<u32>,
}

#[wasm_bindgen]
impl WebMatcher {
    /// The tokens that may come next: bit i % 32 of word i / 32 is token i.
    pub fn allowed(&mut self) -> Result<Uint32Array, JsValue> {
        self.matcher.allowed(&mut self.mask).map_err(thrown)?;
        Ok(Uint32Array::from(&self.mask[..]))
    }

    /// Goes on behind a token that was allowed.
    pub fn accept(&mut self, id: u32) -> Result<(), JsValue> {
        self.matcher.accept(id).map_err(thrown)
    }
}
