//! What a session refuses before it computes anything.

use crate::{Error, Prompt, Session};

impl Session {
    pub(crate) fn check_ids(&self, ids: &[u32]) -> Result<(), Error> {
        let vocab = self.engine().0.loaded.model.facts().vocab;
        match ids.iter().find(|id| **id >= vocab) {
            Some(id) => Err(Error::InvalidArgument {
                name: "token id",
                value: id.to_string(),
                reason: format!("is outside the vocabulary of {vocab}"),
            }),
            None => Ok(()),
        }
    }

    /// Ids and soft tokens that the model can take.
    pub(crate) fn check_prompt(&self, prompt: &Prompt) -> Result<(), Error> {
        self.check_ids(prompt.ids())?;
        let dim = self.engine().0.info.dim;
        match prompt.spans().iter().find(|span| span.soft.dim != dim) {
            Some(span) => Err(Error::InvalidArgument {
                name: "soft tokens",
                value: format!("{} values wide", span.soft.dim),
                reason: format!("is not the model's width of {dim}"),
            }),
            None => Ok(()),
        }
    }

    pub(crate) fn check_room(&self, tokens: usize) -> Result<(), Error> {
        let context = self.engine().0.loaded.choice.context;
        if tokens > context as usize { Err(Error::ContextFull { tokens: tokens as u64, context }) } else { Ok(()) }
    }
}
