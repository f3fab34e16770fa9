//! `/api/generate`: from a request to what is asked of the model.

use super::answers::Kind;
use super::chat::{Wish, finish};
use super::wire::{Common, Generate};
use crate::serve::api::{Failure, message, value};
use crate::serve::host::{Conversation, Prompt};
use rullama::Message;
use serde_json::{Value, json};

/// # Errors
/// What cannot be read, or cannot be had.
pub fn wish(request: &Value) -> Result<Wish, Failure> {
    let Generate { model, prompt, suffix, images, system, template, context, raw } = value(request, "")?;
    let common: Common = value(request, "")?;
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let (prompt, raw, before) = (prompt.unwrap_or_default(), raw.unwrap_or(false), context.unwrap_or_default());
    if given(&suffix) {
        return Err(Failure::field("suffix", "cannot be heeded: the models have no tokens for filling a gap. Leave it out."));
    }
    if given(&template) {
        return Err(Failure::field(
            "template",
            "cannot be used: prompts are rendered as Gemma 4 has them. Render it yourself, with `raw`.",
        ));
    }
    let images = images.unwrap_or_default();
    if raw && !images.is_empty() {
        return Err(Failure::field("images", "have no place in a prompt that is `raw`. Leave one of the two out."));
    }
    if raw && given(&system) {
        return Err(Failure::field("system", "has no place in a prompt that is `raw`. Write it into the prompt."));
    }
    if raw && !before.is_empty() {
        return Err(Failure::field("context", "has no place before a prompt that is `raw`. Write what was said into the prompt."));
    }
    let empty = prompt.is_empty() && images.is_empty();
    let thinking = common.thinking()?;
    let prompt = if raw {
        Prompt::Raw(prompt)
    } else {
        // What was said before has its system prompt already.
        let system = system.filter(|text| !text.is_empty() && before.is_empty()).map(Message::system);
        let user = message(&json!({"role": "user", "content": prompt, "images": images}), "")?;
        let messages = system.into_iter().chain([user]).collect();
        Prompt::Chat(Conversation { messages, thinking, before, ..Conversation::default() })
    };
    finish(model, common, prompt, empty, if raw { Kind::Raw } else { Kind::Generate })
}
