//! Prompts that fit the context.

use crate::prompt::placeholder_runs;
use crate::{Engine, Error, Gallery, GenerateOptions, Prompt};
use rullama_text::chat::{Conversation, Message, Role, render};
use rullama_text::{Segment, Tokenizer};

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

/// Whether a message is of the system, which stands before all others.
pub fn is_system(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer)
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

    /// Bounds the answer by the room that a prompt leaves.
    ///
    /// # Errors
    /// [`Error::ContextFull`] where there is none.
    pub fn leave_room(&self, prompt: &Prompt, options: &mut GenerateOptions) -> Result<(), Error> {
        let room = self.context.checked_sub(prompt.len() as u32).filter(|room| *room > 0);
        let room = room.ok_or(Error::ContextFull { tokens: prompt.len() as u64 + 1, context: self.context })?;
        options.max_tokens = Some(options.max_tokens.map_or(room, |most| most.min(room)));
        Ok(())
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

    /// The prompt of a conversation, behind the ids `before` it, and the messages that it has. With `truncate`
    /// the oldest messages behind the system prompt are left out until it fits.
    ///
    /// # Errors
    /// As [`prompt`](Self::prompt).
    pub fn conversation(&self, asked: &Conversation<'_>, before: &[u32], truncate: bool) -> Result<(Prompt, Vec<Message>), Error> {
        let messages = asked.messages;
        let head = usize::from(messages.first().is_some_and(is_system));
        let most = messages.len().saturating_sub(head + 1);
        let ids = |messages: &[Message]| self.ids(&Conversation { messages, ..*asked }, before);
        let whole = ids(messages);
        let fits = |prompt: &Result<Prompt, Error>| prompt.as_ref().is_ok_and(|prompt| prompt.len() < self.context as usize);
        if fits(&whole) || !truncate || !before.is_empty() || most == 0 {
            return whole.map(|prompt| (prompt, messages.to_vec()));
        }
        let without = |messages: &[Message], left_out: usize| -> Vec<Message> {
            messages[..head].iter().chain(&messages[head + left_out..]).cloned().collect()
        };
        // The fewest messages without which it fits.
        let (mut low, mut high) = (1, most);
        while low < high {
            let middle = usize::midpoint(low, high);
            let fit = fits(&ids(&without(messages, middle)));
            (low, high) = if fit { (low, middle) } else { (middle + 1, high) };
        }
        // A tool's result says nothing without its call.
        let results = messages[head + low..].iter().take_while(|message| message.role == Role::Tool).count();
        let kept = without(messages, (low + results).min(most));
        Ok((ids(&kept)?, kept))
    }

    fn ids(&self, asked: &Conversation<'_>, before: &[u32]) -> Result<Prompt, Error> {
        let mut rendered = render(asked);
        if before.is_empty() {
            return self.prompt(rendered);
        }
        self.check_length(&rendered)?;
        if !placeholder_runs(self.engine, before).is_empty() {
            let reason = "holds pictures or sounds, which are not kept. Send the whole conversation to `/api/chat`".into();
            return Err(Error::InvalidArgument { name: "context", value: "of a prompt with media".into(), reason });
        }
        let soft = self.gallery.expanded(&mut rendered)?;
        // The turn before is closed where its answer was cut.
        let tokenizer = self.engine.tokenizer();
        let ended = before.last().is_some_and(|last| tokenizer.end_tokens().contains(last));
        let close = (!ended).then(|| Segment::special("<turn|>"));
        let seam: Vec<Segment> = close.into_iter().chain([Segment::Text("\n".to_owned())]).collect();
        let seam = tokenizer.encode_segments(&seam)?;
        // Without the mark of a beginning.
        let more = tokenizer.encode_segments(&rendered[1..])?;
        Prompt::new(self.engine, before.iter().copied().chain(seam).chain(more).collect(), &soft)
    }
}
