//! What compiles schemas to masks of tokens, as a wasm of its own that is loaded with the first format: the engine's takes the masks
//! by calling JavaScript between two tokens.
#![cfg(target_arch = "wasm32")]

use js_sys::{Error, Uint32Array};
use rullama_grammar::{Function, GrammarError, Grammars, Matcher, Tokens};
use serde_json::Value;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

fn thrown(error: GrammarError) -> JsValue {
    Error::new(&error.to_string()).into()
}

fn read(text: &str) -> Result<Value, JsValue> {
    serde_json::from_str(text).map_err(|error| Error::new(&format!("the schema cannot be read: {error}")).into())
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
        let matcher = self.grammars.json(&read(schema)?).map_err(thrown)?;
        Ok(WebMatcher { matcher, mask: vec![0; self.words] })
    }

    /// Follows a call of one of the functions, a list of `{ name, parameters }`, JSON; `quote` is the token around texts.
    pub fn follow_call(&self, functions: &str, quote: u32) -> Result<WebMatcher, JsValue> {
        let list = read(functions)?;
        let function =
            |one: &Value| Function { name: one["name"].as_str().unwrap_or_default().to_owned(), parameters: one["parameters"].clone() };
        let functions: Vec<Function> = list.as_array().into_iter().flatten().map(function).collect();
        let matcher = self.grammars.call(&functions, quote).map_err(thrown)?;
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
