//! Conversations as bytes and as copies of themselves.

use rullama::ChatOptions;
use rullama::text::Specials;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::engine::WebEngine;
use crate::error::WebError;
use crate::options;

#[wasm_bindgen]
impl WebEngine {
    /// The text of ids, special tokens included.
    pub fn detokenize(&self, ids: Vec<u32>) -> Result<String, JsValue> {
        let (held, vocab) = (self.held()?, self.held()?.info().vocab);
        if let Some(id) = ids.iter().find(|id| **id >= vocab) {
            return Err(WebError::Argument { what: format!("Token {id} is outside the vocabulary of {vocab}.") }.into());
        }
        Ok(held.tokenizer().decode(&ids, Specials::Show))
    }

    /// A conversation of its own that has said the same; its number.
    pub async fn chat_fork(&self, chat: u32) -> Result<u32, JsValue> {
        let open = self.take(chat)?;
        let number = self.chats.reserve();
        let forked = open.fork().await;
        self.chats.put_back(chat, open);
        self.keep_chat(number, forked)
    }

    /// What the caches of a conversation hold, to be restored under the same model, adapters and type of caches; refused where that
    /// is more than `most` bytes.
    pub async fn chat_save(&self, chat: u32, most: Option<f64>) -> Result<Vec<u8>, JsValue> {
        let open = self.take(chat)?;
        let bytes = open.session().saved_bytes();
        if let Some(most) = most.filter(|most| bytes as f64 > *most) {
            self.chats.put_back(chat, open);
            let what = format!("The caches of the conversation have {bytes} bytes, and `most` allows {most}.");
            return Err(WebError::Argument { what }.into());
        }
        let saved = open.session().save().await;
        self.chats.put_back(chat, open);
        Ok(saved.map_err(WebError::from)?)
    }

    /// Opens a conversation with saved caches and adapters `[{ adapter, scale }]`; its number.
    pub async fn chat_restore(&self, options: String, adapters: String, saved: Vec<u8>) -> Result<u32, JsValue> {
        let options: ChatOptions = options::parse::<options::Chat>("chat options", &options)?.into();
        let (engine, attached) = (self.engine()?, self.attached(&adapters)?);
        let number = self.chats.reserve();
        let restored = async {
            let mut chat = rullama::Chat::new(engine.session().await?, options);
            chat.set_adapters(&attached)?;
            chat.restore(&saved).await?;
            Ok(chat)
        };
        self.keep_chat(number, restored.await)
    }
}
