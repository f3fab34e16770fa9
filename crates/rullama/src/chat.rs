//! Conversations: template, generation and output parsing joined.

use crate::format::Opening;
use crate::gallery::Gallery;
use crate::media::Medium;
use crate::options::{Cancel, GenerateOptions};
use crate::{Error, Finish, Prompt, Sense, Session, Summary};
use rullama_text::chat::{Conversation, Frame, MediaKind, MediaPart, Message, Role, Tool, render_cut};
use rullama_text::{Ending, Event, OutputParser, ParserOptions, Specials};

/// What a conversation starts from.
#[derive(Debug, Clone, Default)]
pub struct ChatOptions {
    pub system: Option<String>,
    pub tools: Vec<Tool>,
    /// Let the model think before it answers.
    pub thinking: bool,
    /// Messages before the first, such as a store's examples.
    pub messages: Vec<Message>,
}

impl Finish {
    /// Whether the answer ended by itself, so that nothing of it is missing.
    pub fn ending(self) -> Ending {
        match self {
            Finish::Stop | Finish::ToolCall => Ending::Complete,
            Finish::StopString | Finish::Length | Finish::Cancelled => Ending::Cut,
        }
    }
}

/// A message that waits for its answer; without one it leaves the conversation again.
struct Turn<'a> {
    chat: &'a mut Chat,
    /// Messages before it.
    before: usize,
    answered: bool,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.chat.messages.truncate(self.before);
        }
    }
}

/// A conversation on a session. Turns reuse what the caches hold of the turns before.
pub struct Chat {
    pub(crate) session: Session,
    options: ChatOptions,
    messages: Vec<Message>,
    gallery: Gallery,
}

impl Chat {
    pub fn new(mut session: Session, options: ChatOptions) -> Self {
        session.show_specials(Specials::Markers);
        let mut messages = Vec::new();
        messages.extend(options.system.as_deref().map(Message::system));
        messages.extend(options.messages.iter().cloned());
        Chat { session, options, messages, gallery: Gallery::default() }
    }

    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Attaches adapters, as [`Session::set_adapters`]: the next answer is computed with them.
    ///
    /// # Errors
    /// As there.
    pub fn set_adapters(&mut self, adapters: &[(crate::EngineAdapter, f32)]) -> Result<(), Error> {
        self.session.set_adapters(adapters)
    }

    /// The conversation so far.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Replaces the conversation; caches are reused as far as it agrees with what they hold.
    pub fn set_messages(&mut self, messages: Vec<Message>) {
        self.messages = messages;
    }

    /// Puts other messages in place of the conversation's, apart from the system's that it was opened with.
    pub fn rewrite(&mut self, messages: impl IntoIterator<Item = Message>) {
        let first = self.options.system.as_deref().map(Message::system);
        self.set_messages(first.into_iter().chain(messages).collect());
    }

    /// Back to the first message.
    pub fn clear(&mut self) {
        let first = self.options.system.as_deref().map(Message::system);
        self.messages = first.into_iter().chain(self.options.messages.iter().cloned()).collect();
    }

    /// Begins another conversation on the same session.
    pub fn restart(&mut self, options: ChatOptions) {
        self.options = options;
        self.clear();
    }

    /// A conversation of its own that has said the same, with a copy of the caches: both go on apart.
    ///
    /// # Errors
    /// Those of [`Session::fork`].
    pub async fn fork(&self) -> Result<Chat, Error> {
        let session = self.session.fork().await?;
        Ok(Chat { session, options: self.options.clone(), messages: self.messages.clone(), gallery: self.gallery.clone() })
    }

    /// Puts a session's saved caches in place of this one's, as [`Session::restore`]: the next answer goes on with them as far as the
    /// conversation agrees.
    ///
    /// # Errors
    /// As there.
    pub async fn restore(&mut self, saved: &[u8]) -> Result<(), Error> {
        self.session.restore(saved).await
    }

    /// Adds a message and streams the model's answer, which joins the conversation.
    ///
    /// # Errors
    /// Those of [`Session::generate`]; the message is then taken back, as it is when the future is dropped.
    pub async fn send(
        &mut self,
        message: Message,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Summary, Error> {
        let before = self.messages.len();
        let mut turn = Turn { chat: self, before, answered: false };
        turn.chat.messages.push(message);
        let result = turn.chat.answer(options, cancel, on_event).await;
        turn.answered = result.is_ok();
        result
    }

    /// Lets the model perceive a medium, and gives the part by which messages show it.
    ///
    /// # Errors
    /// Those of [`Engine::encode`](crate::Engine::encode).
    pub async fn show(&mut self, medium: &Medium, cancel: &Cancel) -> Result<MediaPart, Error> {
        let kind = if medium.sense() == Sense::Hearing { MediaKind::Audio } else { MediaKind::Image };
        self.show_as(kind, None, medium, cancel).await
    }

    /// As [`show`](Self::show), of a picture that is a video's frame. The frames of a video stand one behind another in a message.
    ///
    /// # Errors
    /// Those of [`Engine::encode`](crate::Engine::encode).
    pub async fn show_frame(&mut self, medium: &Medium, frame: Frame, cancel: &Cancel) -> Result<MediaPart, Error> {
        self.show_as(MediaKind::Video, Some(frame), medium, cancel).await
    }

    async fn show_as(&mut self, kind: MediaKind, frame: Option<Frame>, medium: &Medium, cancel: &Cancel) -> Result<MediaPart, Error> {
        let soft = self.session.engine().encode(medium, cancel).await?;
        let part = MediaPart { frame, ..MediaPart::new(kind, format!("soft tokens {:016x}", soft.hash)) };
        self.gallery.insert(&part, soft);
        Ok(part)
    }

    /// The media that messages may show.
    pub fn gallery(&self) -> &Gallery {
        &self.gallery
    }

    /// Other media in place of these, by the sources that messages name.
    pub fn set_gallery(&mut self, gallery: Gallery) {
        self.gallery = gallery;
    }

    /// The ids of the prompt for the conversation as it stands.
    ///
    /// # Errors
    /// A medium that was not [shown](Self::show).
    pub fn prompt(&self) -> Result<Vec<u32>, Error> {
        Ok(self.gallery.prompt(self.session.engine(), &self.conversation())?.ids().to_vec())
    }

    fn conversation(&self) -> Conversation<'_> {
        let size = self.session.engine().template_size();
        Conversation { messages: &self.messages, tools: &self.options.tools, thinking: self.options.thinking, size }
    }

    /// Streams an answer to the conversation as it stands.
    pub async fn answer(&mut self, options: &GenerateOptions, cancel: &Cancel, on_event: &mut dyn FnMut(&Event)) -> Result<Summary, Error> {
        let prompt = self.gallery.prompt(self.session.engine(), &self.conversation())?;
        let parser = ParserOptions::of(&self.conversation());
        let (reply, summary) = self.generate(&prompt, parser, Message::assistant(""), options, cancel, on_event).await?;
        self.messages.push(reply);
        Ok(summary)
    }

    /// Goes on with the last answer where it was cut: what it says from there on is streamed, and joins it.
    ///
    /// # Errors
    /// Those of [`Session::generate`], after which the answer is as it was; [`Error::InvalidArgument`] where the last message is
    /// not the model's, or calls tools.
    pub async fn continue_answer(
        &mut self,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<Summary, Error> {
        let refused = |value: &str, reason: &str| Error::InvalidArgument { name: "messages", value: value.into(), reason: reason.into() };
        let cut = match self.messages.last() {
            Some(last) if last.role != Role::Assistant => return Err(refused("a conversation", "ends with no answer: send a message")),
            Some(last) if !last.tool_calls.is_empty() => return Err(refused("an answer", "calls tools: send their results")),
            Some(last) => last.clone(),
            None => return Err(refused("an empty conversation", "has no answer: send a message")),
        };
        let conversation = self.conversation();
        let prompt = self.gallery.of_segments(self.session.engine(), render_cut(&conversation))?;
        let parser = ParserOptions::of_cut(&conversation);
        let (reply, summary) = self.generate(&prompt, parser, cut, options, cancel, on_event).await?;
        self.messages.pop();
        self.messages.push(reply);
        Ok(summary)
    }

    /// Generates behind `prompt`; gives `reply` with what that adds to it.
    async fn generate(
        &mut self,
        prompt: &Prompt,
        parser: ParserOptions,
        mut reply: Message,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_event: &mut dyn FnMut(&Event),
    ) -> Result<(Message, Summary), Error> {
        self.session.opening = Opening::of(&parser, &reply.content);
        let mut parser = OutputParser::new(parser);
        let mut give = |event: Event| {
            match &event {
                Event::Content(text) => reply.content.push_str(text),
                Event::Thinking(text) => reply.thinking.push_str(text),
                Event::ToolCall(call) => reply.tool_calls.push(call.clone()),
                // What cannot be read is no part of the conversation.
                Event::UnreadableCall(_) => {}
            }
            on_event(&event);
        };
        let mut on_token = |token: &crate::Token| token.pieces().flat_map(|piece| parser.push(piece)).for_each(&mut give);
        let summary = self.session.generate_prompt(prompt, options, cancel, &mut on_token).await?;
        parser.finish(summary.finish.ending()).into_iter().for_each(&mut give);
        Ok((reply, summary))
    }
}
