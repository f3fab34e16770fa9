//! The media of a conversation, by the sources that its messages name.

use crate::media::SoftTokens;
use crate::{Engine, Error, Prompt, Sense};
use rullama_text::Segment;
use rullama_text::chat::{Conversation, MediaKind, MediaPart, expand, media, render};
use std::collections::HashMap;
use std::sync::Arc;

/// Soft tokens by the kind and the source of their medium: of a picture's data a frame makes others.
#[derive(Debug, Clone, Default)]
pub struct Gallery(HashMap<(MediaKind, Arc<str>), Arc<SoftTokens>>);

/// What perceives a kind of media.
pub fn sense_of(kind: MediaKind) -> Sense {
    match kind {
        MediaKind::Image | MediaKind::Video => Sense::Vision,
        MediaKind::Audio => Sense::Hearing,
    }
}

fn key(part: &MediaPart) -> (MediaKind, Arc<str>) {
    (part.kind, part.source.clone())
}

impl Gallery {
    pub fn insert(&mut self, part: &MediaPart, soft: Arc<SoftTokens>) {
        self.0.insert(key(part), soft);
    }

    pub fn contains(&self, part: &MediaPart) -> bool {
        self.0.contains_key(&key(part))
    }

    pub fn get(&self, part: &MediaPart) -> Option<&Arc<SoftTokens>> {
        self.0.get(&key(part))
    }

    /// The prompt of a conversation.
    ///
    /// # Errors
    /// A medium that is not here; a vocabulary without the template's marks.
    pub fn prompt(&self, engine: &Engine, conversation: &Conversation<'_>) -> Result<Prompt, Error> {
        self.of_segments(engine, render(conversation))
    }

    /// The prompt of rendered segments.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt).
    pub fn of_segments(&self, engine: &Engine, mut segments: Vec<Segment>) -> Result<Prompt, Error> {
        let soft = self.expanded(&mut segments)?;
        Prompt::new(engine, engine.tokenizer().encode_prompt(&segments)?, &soft)
    }

    /// Says how many soft tokens each medium of the segments has, and gives these in order.
    ///
    /// # Errors
    /// A medium that is not here.
    pub fn expanded(&self, segments: &mut [Segment]) -> Result<Vec<Arc<SoftTokens>>, Error> {
        let found = |part: &MediaPart| self.get(part).filter(|soft| soft.sense == sense_of(part.kind)).cloned();
        let soft: Option<Vec<_>> = media(segments).map(found).collect();
        let missing = || Error::InvalidArgument {
            name: "messages",
            value: "a picture or a sound".into(),
            reason: "is named by a message, but was not given. Give it, or leave it out".into(),
        };
        let soft = soft.ok_or_else(missing)?;
        expand(segments, |part| found(part).map(|soft| soft.rows()));
        Ok(soft)
    }
}
