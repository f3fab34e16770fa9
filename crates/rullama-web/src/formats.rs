//! Schemas are compiled by another wasm, which the package loads with the first format: JavaScript hands what it follows an answer
//! with to the engine.

use js_sys::{Object, Uint8Array, Uint32Array};
use rullama::{Error, Follow, ForcedCall, Format, FormatTokens, Formats};
use serde_json::{Value, json};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::engine::WebEngine;
use crate::js;

#[wasm_bindgen]
extern "C" {
    /// What compiles schemas: `engine.ts` declares it.
    pub type JsFormats;
    #[wasm_bindgen(method, catch)]
    fn follow(this: &JsFormats, schema: &str) -> Result<JsFollow, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn follow_call(this: &JsFormats, functions: &str, quote: u32) -> Result<JsFollow, JsValue>;

    type JsFollow;
    #[wasm_bindgen(method, catch)]
    fn allowed(this: &JsFollow) -> Result<Uint32Array, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn accept(this: &JsFollow, id: u32) -> Result<(), JsValue>;
    #[wasm_bindgen(method)]
    fn free(this: &JsFollow);
}

struct Compiler(JsFormats);

impl Formats for Compiler {
    fn follow(&self, format: &Format) -> Result<Box<dyn Follow>, Error> {
        let follow = self.0.follow(&format.schema().to_string()).map_err(refused)?;
        Ok(Box::new(Follower(follow)))
    }

    fn follow_call(&self, forced: &ForcedCall, quote: u32) -> Result<Box<dyn Follow>, Error> {
        let functions = forced.tools.iter().map(|tool| json!({ "name": tool.function.name, "parameters": tool.function.parameters }));
        let follow = self.0.follow_call(&functions.collect::<Value>().to_string(), quote);
        Ok(Box::new(Follower(follow.map_err(|thrown| ForcedCall::refused(reason(&thrown)))?)))
    }
}

struct Follower(JsFollow);

impl Follow for Follower {
    fn allowed(&mut self, mask: &mut [u32]) -> Result<(), Error> {
        let words = self.0.allowed().map_err(refused)?;
        mask.fill(0);
        let count = words.length().min(mask.len() as u32);
        words.subarray(0, count).copy_to(&mut mask[..count as usize]);
        Ok(())
    }

    fn accept(&mut self, id: u32) -> Result<(), Error> {
        self.0.accept(id).map_err(refused)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.free();
    }
}

fn refused(thrown: JsValue) -> Error {
    Format::refused(reason(&thrown))
}

fn reason(thrown: &JsValue) -> String {
    let reason = js::get_string(thrown, "message").unwrap_or_else(|| js::describe(thrown));
    reason.trim_end_matches('.').to_owned()
}

#[wasm_bindgen]
impl WebEngine {
    /// `{ bytes, ends, special, closing, quote }` of the vocabulary, for what compiles schemas.
    pub fn format_tokens(&self) -> Result<Object, JsValue> {
        let FormatTokens { bytes, ends, special, closing, quote } = self.engine()?.format_tokens();
        let list = |ids: Vec<u32>| Uint32Array::from(&ids[..]).into();
        Ok(js::object(&[
            ("bytes", Uint8Array::from(&bytes[..]).into()),
            ("ends", list(ends)),
            ("special", list(special)),
            ("closing", list(closing)),
            ("quote", quote.into()),
        ]))
    }

    /// Takes what compiles schemas: `{ follow(schema), follow_call(functions, quote) }`.
    pub fn set_formats(&self, formats: JsFormats) -> Result<(), JsValue> {
        self.engine()?.set_formats(Box::new(Compiler(formats)));
        Ok(())
    }
}
