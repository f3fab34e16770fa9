//! How far a prompt has been read, for whoever waits for its first token.

use crate::{Chat, Session};
use rullama_source::MaybeSendSync;

/// Tokens of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefill {
    /// Tokens whose keys and values are cached or on their way, those of earlier turns included.
    pub done: u32,
    pub total: u32,
}

/// Sees a prompt being read: before its first chunk, and after each. Any function of a [`Prefill`] is one.
pub trait OnPrefill: MaybeSendSync {
    fn prefill(&self, at: Prefill);
}

impl<F: Fn(Prefill) + MaybeSendSync> OnPrefill for F {
    fn prefill(&self, at: Prefill) {
        self(at);
    }
}

impl Session {
    /// Who sees prompts being read from now on, in place of who did before.
    pub fn on_prefill(&mut self, watcher: Option<Box<dyn OnPrefill>>) {
        self.on_prefill = watcher;
    }

    pub(crate) fn prefilled(&self, done: usize, total: usize) {
        if let Some(watcher) = &self.on_prefill {
            watcher.prefill(Prefill { done: done as u32, total: total as u32 });
        }
    }
}

impl Chat {
    /// As [`Session::on_prefill`].
    pub fn on_prefill(&mut self, watcher: Option<Box<dyn OnPrefill>>) {
        self.session.on_prefill(watcher);
    }
}
