//! A small file on a web server is read in a few large blocks, several at a time.
//!
//! A loader asks for hundreds of ranges one after the other, and each would wait for the network. Large files have large
//! tensors, so that it hardly shows there; a small one is mostly waiting.

use std::{cell::RefCell, rc::Rc};

use js_sys::{Promise, Uint8Array};
use rullama_source::SourceError;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use super::http::UrlFile;

/// Files up to this size are read in blocks; what was read is kept, outside of the module's memory, until it is let go of.
const SMALL: u64 = 64 << 20;
const BLOCK: u64 = 4 << 20;
/// Blocks that are asked for at a time.
const AHEAD: u64 = 4;

/// What was read of a file, and is being read.
pub struct Blocks {
    file: Rc<UrlFile>,
    /// By number; nothing where the file is not small or the blocks were let go of.
    started: RefCell<Option<Vec<Option<Block>>>>,
}

/// A block on its way or here.
#[derive(Clone)]
struct Block {
    /// Settles when `bytes` is there, or has failed.
    done: Promise,
    bytes: Rc<RefCell<Option<Result<Uint8Array, SourceError>>>>,
}

impl Blocks {
    pub fn new(file: Rc<UrlFile>) -> Self {
        let count = file.len.div_ceil(BLOCK) as usize;
        let started = (file.len <= SMALL).then(|| vec![None; count]);
        Self { file, started: RefCell::new(started) }
    }

    /// Gives the memory back; later reads are requests of their own.
    pub fn forget(&self) {
        self.started.take();
    }

    /// Fills `into` with what stands at `offset`; false where there are no blocks.
    ///
    /// # Errors
    /// Those of the block's request; the next read of the block asks again.
    pub async fn read(&self, offset: u64, into: &mut [u8]) -> Result<bool, SourceError> {
        let mut done = 0;
        while done < into.len() {
            let at = offset + done as u64;
            let (number, start) = (at / BLOCK, (at % BLOCK) as usize);
            let Some(bytes) = self.block(number).await? else { return Ok(false) };
            let count = (bytes.length() as usize - start).min(into.len() - done);
            bytes.subarray(start as u32, (start + count) as u32).copy_to(&mut into[done..done + count]);
            done += count;
        }
        Ok(true)
    }

    async fn block(&self, number: u64) -> Result<Option<Uint8Array>, SourceError> {
        loop {
            let Some(block) = self.start(number) else { return Ok(None) };
            // It only tells when it is done.
            let _ = JsFuture::from(block.done.clone()).await;
            let outcome = block.bytes.take();
            match outcome {
                Some(Ok(bytes)) => {
                    block.bytes.replace(Some(Ok(bytes.clone())));
                    return Ok(Some(bytes));
                }
                Some(Err(error)) => {
                    self.drop_block(number);
                    return Err(error);
                }
                // Another read has had the error.
                None => self.drop_block(number),
            }
        }
    }

    fn drop_block(&self, number: u64) {
        if let Some(slot) = self.started.borrow_mut().as_mut().and_then(|blocks| blocks.get_mut(number as usize)) {
            *slot = None;
        }
    }

    /// Asks for a block and for those behind it.
    fn start(&self, number: u64) -> Option<Block> {
        let mut started = self.started.borrow_mut();
        let blocks = started.as_mut()?;
        let end = (number + AHEAD).min(blocks.len() as u64);
        for number in number..end {
            let slot = &mut blocks[number as usize];
            if slot.is_none() {
                *slot = Some(request(self.file.clone(), number));
            }
        }
        blocks.get(number as usize).cloned().flatten()
    }
}

fn request(file: Rc<UrlFile>, number: u64) -> Block {
    let bytes: Rc<RefCell<Option<Result<Uint8Array, SourceError>>>> = Rc::default();
    let into = bytes.clone();
    let done = future_to_promise(async move {
        let start = number * BLOCK;
        let fetched = file.fetch(start, BLOCK.min(file.len - start)).await;
        into.replace(Some(fetched));
        Ok(JsValue::UNDEFINED)
    });
    Block { done, bytes }
}
