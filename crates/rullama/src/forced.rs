//! Answers that must call a tool.

use crate::format::{Follow, Opening};
use crate::{Engine, Error};
use rullama_text::chat::Tool;
use serde::{Deserialize, Serialize};

/// The call that an answer must have, behind any thoughts: of one of these tools, with arguments that keep to its parameters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForcedCall {
    pub tools: Vec<Tool>,
    /// The answer ends behind the first one.
    #[serde(default)]
    pub once: bool,
}

impl ForcedCall {
    /// Whether it can be forced, as far as the tools alone tell.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with the tool's name, and the keyword at fault with its place.
    #[cfg(feature = "grammar")]
    pub fn check(&self) -> Result<(), Error> {
        self.functions().iter().try_for_each(|function| function.check().map_err(refused))
    }

    #[cfg(feature = "grammar")]
    pub(crate) fn functions(&self) -> Vec<rullama_grammar::Function> {
        let function = |tool: &Tool| rullama_grammar::Function {
            name: tool.function.name.clone(),
            parameters: tool.function.parameters.clone().into(),
        };
        self.tools.iter().map(function).collect()
    }

    /// Why it cannot be forced.
    pub fn refused(reason: impl ToString) -> Error {
        refused(reason)
    }
}

pub(crate) fn refused(reason: impl ToString) -> Error {
    let reason = format!("cannot be had: {}", reason.to_string());
    Error::InvalidArgument { name: "tool_choice", value: "a call that is forced".into(), reason }
}

/// A call that an answer must have.
pub(crate) struct Must {
    engine: Engine,
    pub call: ForcedCall,
    quote: u32,
    /// Follows the one that is being written.
    pub follow: Box<dyn Follow>,
}

impl Must {
    pub fn new(engine: &Engine, call: &ForcedCall, opening: &Opening) -> Result<Self, Error> {
        let tokenizer = engine.tokenizer();
        let marks = ["<|tool_call>", "<tool_call|>", "<|\"|>"].map(|mark| tokenizer.find(mark));
        let [Some(_), Some(_), Some(quote)] = marks else {
            return Err(refused("the vocabulary has no marks for calls. Use a Gemma 4 file with its full vocabulary"));
        };
        if !opening.calls || !opening.said.is_empty() {
            return Err(refused("only an answer that begins, to a prompt that shows tools, can be one. Ask anew, with `tools`"));
        }
        let follow = engine.formats()?.follow_call(call, quote)?;
        Ok(Must { engine: engine.clone(), call: call.clone(), quote, follow })
    }

    /// Another call begins.
    pub fn again(&mut self) -> Result<(), Error> {
        self.follow = self.engine.formats()?.follow_call(&self.call, self.quote)?;
        Ok(())
    }
}
