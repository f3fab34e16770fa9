//! Prompts that fit the context.

use super::answer::{conversation, is_system};
use super::work::Conversation;
use rullama::text::chat::{Message, Role, render};
use rullama::text::{Segment, Tokenizer};
use rullama::{Engine, Error, Gallery, Prompt, placeholder_runs};

/// What a prompt has to fit.
pub struct Fit<'a> {
    pub engine: &'a Engine,
    /// Tokens of prompt and answer together.
    pub context: u32,
    /// As [`longest_piece`].
    pub longest: usize,
    /// The media of the conversation.
    pub gallery: Gallery,
}

/// Bytes of the vocabulary's longest piece: no text has fewer tokens than its length divided by it.
pub fn longest_piece(tokenizer: &Tokenizer) -> usize {
    let pieces = (0..tokenizer.len() as u32).filter_map(|id| tokenizer.piece(id));
    pieces.map(str::len).max().unwrap_or(1).max(1)
}

impl Fit<'_> {
    /// The ids of a prompt.
    ///
    /// # Errors
    /// [`Error::ContextFull`] for one that is certainly too long, before time is spent on its tokens.
    pub fn prompt(&self, segments: Vec<Segment>) -> Result<Prompt, Error> {
        self.check_length(&segments)?;
        self.gallery.of_segments(self.engine, segments)
    }

    fn check_length(&self, segments: &[Segment]) -> Result<(), Error> {
        let bytes: usize = segments.iter().map(|segment| segment.as_str().len()).sum();
        let least = (bytes / self.longest) as u64;
        if least > u64::from(self.context) { Err(Error::ContextFull { tokens: least, context: self.context }) } else { Ok(()) }
    }

    /// Ids of a request, which the model may not have.
    ///
    /// # Errors
    /// With the field's `name`.
    pub fn known<'i>(&self, name: &'static str, ids: &'i [u32]) -> Result<&'i [u32], Error> {
        let vocab = self.engine.info().vocab;
        match ids.iter().find(|id| **id >= vocab) {
            Some(id) => {
                Err(Error::InvalidArgument { name, value: id.to_string(), reason: format!("is outside the vocabulary of {vocab}") })
            }
            None => Ok(ids),
        }
    }

    /// The ids of a conversation. Where it may be, the oldest messages behind the system prompt are left out until it fits.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt).
    pub fn conversation(&self, asked: &Conversation, messages: &mut Vec<Message>) -> Result<Prompt, Error> {
        let head = usize::from(messages.first().is_some_and(is_system));
        let most = messages.len().saturating_sub(head + 1);
        let whole = self.ids(asked, messages);
        let fits = |prompt: &Result<Prompt, Error>| prompt.as_ref().is_ok_and(|prompt| prompt.len() < self.context as usize);
        if fits(&whole) || !asked.truncate || !asked.before.is_empty() || most == 0 {
            return whole;
        }
        let without = |messages: &[Message], left_out: usize| -> Vec<Message> {
            messages[..head].iter().chain(&messages[head + left_out..]).cloned().collect()
        };
        // The fewest messages without which it fits.
        let (mut low, mut high) = (1, most);
        while low < high {
            let middle = usize::midpoint(low, high);
            let fit = fits(&self.ids(asked, &without(messages, middle)));
            (low, high) = if fit { (low, middle) } else { (middle + 1, high) };
        }
        // A tool's result says nothing without its call.
        let results = messages[head + low..].iter().take_while(|message| message.role == Role::Tool).count();
        *messages = without(messages, (low + results).min(most));
        self.ids(asked, messages)
    }

    fn ids(&self, asked: &Conversation, messages: &[Message]) -> Result<Prompt, Error> {
        let mut rendered = render(&conversation(self.engine, asked, messages));
        if asked.before.is_empty() {
            return self.prompt(rendered);
        }
        self.check_length(&rendered)?;
        if !placeholder_runs(self.engine, &asked.before).is_empty() {
            let reason = "holds pictures or sounds, which are not kept. Send the whole conversation to `/api/chat`".into();
            return Err(Error::InvalidArgument { name: "context", value: "of a prompt with media".into(), reason });
        }
        let soft = self.gallery.expanded(&mut rendered)?;
        // The turn before is closed where its answer was cut.
        let tokenizer = self.engine.tokenizer();
        let ended = asked.before.last().is_some_and(|last| tokenizer.end_tokens().contains(last));
        let close = (!ended).then(|| Segment::special("<turn|>"));
        let seam: Vec<Segment> = close.into_iter().chain([Segment::Text("\n".to_owned())]).collect();
        let seam = tokenizer.encode_segments(&seam)?;
        // Without the mark of a beginning.
        let more = tokenizer.encode_segments(&rendered[1..])?;
        Prompt::new(self.engine, asked.before.iter().copied().chain(seam).chain(more).collect(), &soft)
    }
}
