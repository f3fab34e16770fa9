//! A model's output, as it streams, taken apart into content, thinking and tool calls.
//!
//! ```text
//! content    <|channel> -> thinking, <|tool_call> -> tool call; text is given out
//! thinking   "thought" NL is dropped at its start; <channel|> -> content, <|tool_call> -> tool call
//! tool call  collected up to <tool_call|>, the next mark or the end, then read
//! ```
//!
//! Marks are special tokens; text that spells one is text. A mark that has no place where it stands
//! is dropped. White space before and after thoughts and tool calls is dropped, so white space
//! waits for what follows it.
//! Source: Ollama `model/parsers/gemma4.go`, which reads text.

mod accepts;
mod call;
mod key;
mod notation;
mod parsed;
mod scalar;
mod strings;
mod tool;

pub use parsed::{Parsed, ParsedCall};

use crate::chat::{Conversation, Message, Tool, ToolCall, cut_answer, opens_thought};
use crate::piece::Piece;
use call::CallText;

const OPEN_CHANNEL: &str = "<|channel>";
const CLOSE_CHANNEL: &str = "<channel|>";
const OPEN_CALL: &str = "<|tool_call>";
const CLOSE_CALL: &str = "<tool_call|>";
const OPEN_RESPONSE: &str = "<|tool_response>";
const CLOSE_RESPONSE: &str = "<tool_response|>";
/// Delimits strings in the model's notation; nothing inside is escaped.
const QUOTE: &str = "<|\"|>";
const CHANNEL_NAME: &str = "thought\n";

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Text for the reader.
    Content(String),
    /// What the model thinks, only if thinking was asked for.
    Thinking(String),
    ToolCall(ToolCall),
    /// What stood where a tool call should and cannot be read as one, or was cut.
    UnreadableCall(String),
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself: an end token, or the opening of a tool's response.
    Complete,
    /// At a limit, at a stop string or because someone stopped it: a tool call that is still
    /// open is none.
    Cut,
}

/// What the parser must know of the prompt.
#[derive(Debug, Clone, Default)]
pub struct ParserOptions {
    /// Their schemas decide how near misses of the notation are read.
    pub tools: Vec<Tool>,
    /// Thinking was asked for; otherwise thoughts are dropped.
    pub thinking: bool,
    /// The prompt ends inside a thought.
    pub starts_in_thought: bool,
}

impl ParserOptions {
    /// The options for the answer to a rendered conversation.
    pub fn of(conversation: &Conversation<'_>) -> Self {
        ParserOptions {
            tools: conversation.tools.to_vec(),
            thinking: conversation.thinking,
            starts_in_thought: opens_thought(conversation),
        }
    }

    /// The options for what goes on with a conversation's last answer, which was cut.
    pub fn of_cut(conversation: &Conversation<'_>) -> Self {
        let options = ParserOptions::of(conversation);
        let thinks = |cut: &Message| options.thinking && cut.content.is_empty() && !cut.thinking.is_empty();
        let starts_in_thought = cut_answer(conversation).map_or(options.starts_in_thought, thinks);
        ParserOptions { starts_in_thought, ..options }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Content,
    /// Behind `<|channel>`, up to the end of the channel's name; `nested`: within a thought.
    ChannelName {
        nested: bool,
    },
    Thinking,
    ToolCall,
}

/// The streaming parser.
///
/// ```
/// use rullama_text::{Ending, Event, OutputParser, ParserOptions, Piece::{Special, Text}};
///
/// let mut parser = OutputParser::new(ParserOptions { thinking: true, ..Default::default() });
/// parser.push(Special("<|channel>"));
/// assert_eq!(parser.push(Text("thought\nHm.\n")), [Event::Thinking("Hm.".into())]);
/// parser.push(Special("<channel|>"));
/// assert_eq!(parser.push(Text("It opens with <|tool_call>.")), [Event::Content("It opens with <|tool_call>.".into())]);
/// assert_eq!(parser.finish(Ending::Complete), []);
/// ```
#[derive(Debug, Clone)]
pub struct OutputParser {
    options: ParserOptions,
    state: State,
    /// White space that waits for what follows.
    space: String,
    /// White space is dropped: a thought or a tool call has just ended.
    skip_space: bool,
    /// What follows `<|channel>` while it may be the channel's name.
    name: String,
    call: CallText,
    calls: usize,
}

impl OutputParser {
    pub fn new(options: ParserOptions) -> Self {
        let state = if options.starts_in_thought { State::Thinking } else { State::Content };
        let (space, name) = (String::new(), String::new());
        OutputParser { options, state, space, skip_space: false, name, call: CallText::default(), calls: 0 }
    }

    /// Adds a piece of the stream.
    pub fn push(&mut self, piece: Piece<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        match piece {
            Piece::Text(text) => self.text(text, &mut events),
            Piece::Special(mark) => self.mark(mark, &mut events),
        }
        events
    }

    /// Gives out what waits; the stream has ended. A tool call that is still open is read as it is if
    /// the answer is complete, and unreadable if it was cut.
    pub fn finish(&mut self, ending: Ending) -> Vec<Event> {
        let mut events = Vec::new();
        match self.state {
            State::Content => self.give_space(&mut events),
            State::ChannelName { nested } => self.leave_name(nested, false, &mut events),
            State::Thinking => self.space.clear(),
            State::ToolCall if ending == Ending::Complete => self.end_call(&mut events),
            State::ToolCall => {
                let call = std::mem::take(&mut self.call).into_text();
                give(Event::UnreadableCall, call, &mut events);
            }
        }
        self.state = State::Content;
        self.give_space(&mut events);
        events
    }

    fn text(&mut self, text: &str, events: &mut Vec<Event>) {
        match self.state {
            State::Content => self.flowing(Event::Content, text, events),
            State::Thinking => self.flowing(Event::Thinking, text, events),
            State::ChannelName { nested } => self.channel_name(text, nested, events),
            State::ToolCall => self.call.push_text(text),
        }
    }

    fn mark(&mut self, mark: &str, events: &mut Vec<Event>) {
        match self.state {
            State::ToolCall if !self.call.ends_at(mark) => {}
            State::ToolCall => {
                self.end_call(events);
                if mark != CLOSE_CALL {
                    self.mark(mark, events);
                }
            }
            _ if mark == QUOTE => self.text(QUOTE, events),
            State::Content if mark == OPEN_CHANNEL => self.open_channel(false),
            State::Thinking if mark == OPEN_CHANNEL => self.open_channel(true),
            State::Thinking if mark == CLOSE_CHANNEL => self.after(State::Content),
            State::ChannelName { nested } if [OPEN_CHANNEL, CLOSE_CHANNEL, OPEN_CALL].contains(&mark) => {
                self.leave_name(nested, true, events);
                self.state = State::Thinking;
                self.mark(mark, events);
            }
            State::Content | State::Thinking if mark == OPEN_CALL => self.after(State::ToolCall),
            _ => {}
        }
    }

    fn open_channel(&mut self, nested: bool) {
        self.name.clear();
        self.state = State::ChannelName { nested };
    }

    /// A thought or the text before a call has ended.
    fn after(&mut self, state: State) {
        self.space.clear();
        self.skip_space = true;
        self.state = state;
    }

    fn channel_name(&mut self, text: &str, nested: bool, events: &mut Vec<Event>) {
        self.name.push_str(text);
        let begins = CHANNEL_NAME.starts_with(self.name.as_str()) && self.name.len() < CHANNEL_NAME.len();
        let named = self.name.strip_prefix(CHANNEL_NAME).map(str::to_owned);
        // Without a name, only its end tells a thought from a stray mark.
        if begins || (named.is_none() && !nested) {
            return;
        }
        let thought = named.unwrap_or_else(|| std::mem::take(&mut self.name));
        self.state = State::Thinking;
        if !nested {
            self.space.clear();
        }
        self.flowing(Event::Thinking, &thought, events);
    }

    /// The text behind `<|channel>` ended before a whole name: it is a thought if a mark ends it, and
    /// otherwise the mark was a stray one.
    fn leave_name(&mut self, nested: bool, by_mark: bool, events: &mut Vec<Event>) {
        let name = std::mem::take(&mut self.name);
        if by_mark && !nested {
            self.space.clear();
        }
        if !CHANNEL_NAME.starts_with(name.as_str()) {
            let kind = if nested || by_mark { Event::Thinking } else { Event::Content };
            self.flowing(kind, &name, events);
        }
    }

    /// Gives out text but for white space at its end.
    fn flowing(&mut self, kind: fn(String) -> Event, text: &str, events: &mut Vec<Event>) {
        let text = if self.skip_space { text.trim_start() } else { text };
        if text.is_empty() {
            return;
        }
        self.skip_space = false;
        let body = text.trim_end();
        if !body.is_empty() {
            let mut out = std::mem::take(&mut self.space);
            out.push_str(body);
            let event = kind(out);
            if self.options.thinking || !matches!(event, Event::Thinking(_)) {
                events.push(event);
            }
        }
        self.space.push_str(&text[body.len()..]);
    }

    fn give_space(&mut self, events: &mut Vec<Event>) {
        give(Event::Content, std::mem::take(&mut self.space), events);
    }

    fn end_call(&mut self, events: &mut Vec<Event>) {
        self.after(State::Content);
        let ended = std::mem::take(&mut self.call).read(&self.options.tools);
        match ended.call {
            Ok(mut function) => {
                function.index = self.calls;
                self.calls += 1;
                events.push(Event::ToolCall(ToolCall { id: None, function }));
            }
            Err(text) => give(Event::UnreadableCall, text, events),
        }
        self.flowing(Event::Content, &ended.behind, events);
    }
}

fn give(event: fn(String) -> Event, text: String, events: &mut Vec<Event>) {
    if !text.is_empty() {
        events.push(event(text));
    }
}
