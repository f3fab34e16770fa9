//! Threads of the package that read a file as well, and rearrange its rows for the device: what they are told, and what they do.

use js_sys::{Promise, Uint8Array};
use rullama_source::rows::{Rearranged, Rows};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};

use crate::{error::WebError, js};

#[wasm_bindgen]
extern "C" {
    /// `Readers` of the package.
    #[derive(Clone)]
    pub type Readers;
    #[wasm_bindgen(method, getter)]
    fn count(this: &Readers) -> u32;
    #[wasm_bindgen(method)]
    fn rearrange(this: &Readers, rows: Vec<f64>) -> Promise;
    #[wasm_bindgen(method, js_name = giveBack)]
    fn give_back(this: &Readers, bytes: &Uint8Array);
}

/// Pieces that each of them has at a time: one is read while another is on its way.
const EACH: usize = 2;
/// Room for what they make grows by this, so that it fits the next piece as well.
const ROOM: u32 = 1 << 20;

impl Readers {
    /// Those of a value of the package, where it has any.
    pub fn of(target: &JsValue) -> Option<Self> {
        let readers = js::get(target, "readers");
        readers.is_object().then(|| readers.unchecked_into())
    }

    /// Pieces that they are to have at a time; at least the one that is read here.
    pub fn ahead(&self) -> usize {
        (self.count() as usize * EACH).max(1)
    }

    /// What one of them makes of rows; `None` where there is none, or it could not.
    pub async fn rearranged(&self, rows: &Rows) -> Option<Rearranged> {
        if self.count() == 0 {
            return None;
        }
        let (writes, heads) = rows.sizes().ok()?;
        let made: JsValue = js::wait(self.rearrange(rows.to_numbers())).await.ok()?;
        let bytes: Uint8Array = made.dyn_into().ok()?;
        let words: usize = writes.iter().map(|(_, words)| words).sum();
        if bytes.length() as usize != words * 4 + heads {
            return None;
        }
        let mut at = 0;
        let mut next = |len: usize| {
            let part = bytes.subarray(at, at + len as u32);
            at += len as u32;
            part
        };
        let planes = writes.into_iter().map(|(offset, words)| (offset, words_of(&next(words * 4), words))).collect();
        let rearranged = Rearranged { planes, heads: next(heads).to_vec() };
        self.give_back(&bytes);
        Some(rearranged)
    }
}

/// The words that bytes are, in this machine's order, which is the browser's.
fn words_of(bytes: &Uint8Array, words: usize) -> Vec<u32> {
    let array = js_sys::Uint32Array::new_with_byte_offset_and_length(&bytes.buffer(), bytes.byte_offset(), words as u32);
    array.to_vec()
}

/// What such a thread does: reads rows of a file, `{ blob, name }` or `{ file, name }`, and gives the planes' words and the rows' heads, one after
/// the other, in `spare` where that has room.
///
/// # Errors
/// Rows that cannot be read or do not fit their layout.
#[wasm_bindgen(js_name = rearrangeRows)]
pub async fn rearrange_rows(file: JsValue, rows: Vec<f64>, spare: Option<Uint8Array>) -> Result<Uint8Array, JsValue> {
    let unreadable = || WebError::Argument { what: "Rows to rearrange cannot be read.".to_owned() };
    let rows = Rows::from_numbers(&rows).ok_or_else(unreadable)?;
    let source = super::file(&file).ok_or_else(unreadable)?;
    let bytes = rows.stacked.read(&*source).await;
    let done = rows.rearrange(&bytes.map_err(WebError::from)?).map_err(|error| WebError::Argument { what: error.to_string() })?;
    let words = |planes: &[(u32, Vec<u32>)]| planes.iter().map(|(_, words)| words.len() * 4).sum::<usize>();
    let len = (words(&done.planes) + done.heads.len()) as u32;
    let room = spare.filter(|spare| spare.length() >= len);
    let room = room.unwrap_or_else(|| Uint8Array::new_with_length(len.next_multiple_of(ROOM)));
    let mut at = 0;
    for (_, words) in &done.planes {
        js_sys::Uint32Array::new_with_byte_offset_and_length(&room.buffer(), at, words.len() as u32).copy_from(words);
        at += words.len() as u32 * 4;
    }
    let made = room.subarray(0, len);
    made.subarray(at, len).copy_from(&done.heads);
    Ok(made)
}
