//! A model's output, as it streams, taken apart into content, thinking and tool calls.
//!
//! ```text
//! content    <|channel> -> thinking, <|tool_call> -> tool call; else given out
//! thinking   "thought" NL is dropped at its start; <channel|> -> content
//! tool call  collected up to <tool_call|> or the end, then parsed
//! ```
//!
//! What may be the beginning of a mark waits, with the white space before it. White space around
//! thoughts and after tool calls is dropped; before a mark it is dropped if it still waits.
//! Source: Ollama `model/parsers/gemma4.go`. Unlike there, the first mark in the text wins even
//! when several arrive at once, and white space after a thought is dropped however it arrives.

mod arguments;
mod repair;

use crate::chat::{Conversation, Role, Tool, ToolCall};

const OPEN_CHANNEL: &str = "<|channel>";
const CLOSE_CHANNEL: &str = "<channel|>";
const OPEN_CALL: &str = "<|tool_call>";
const CLOSE_CALL: &str = "<tool_call|>";
const OPEN_RESPONSE: &str = "<|tool_response>";
const CHANNEL_NAME: &str = "thought\n";

/// A part of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Text for the reader.
    Content(String),
    /// What the model thinks, only if thinking was asked for.
    Thinking(String),
    ToolCall(ToolCall),
    /// What stood where a tool call should, and could not be read as one.
    InvalidToolCall(String),
}

/// What the parser must know of the prompt.
#[derive(Debug, Clone, Default)]
pub struct ParserOptions {
    /// Their schemas help to repair calls.
    pub tools: Vec<Tool>,
    /// Thinking was asked for; otherwise thoughts are dropped.
    pub thinking: bool,
    /// The prompt ends inside a thought.
    pub starts_in_thought: bool,
}

impl ParserOptions {
    /// The options for the answer to a rendered conversation.
    pub fn of(conversation: &Conversation<'_>) -> Self {
        let after_tool = conversation.messages.last().is_some_and(|m| m.role == Role::Tool);
        ParserOptions {
            tools: conversation.tools.to_vec(),
            thinking: conversation.thinking,
            starts_in_thought: conversation.thinking && after_tool,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Content,
    ChannelName,
    Thinking,
    AfterThinking,
    ToolCall,
    AfterToolCall,
}

/// The streaming parser; its input is text in which the marks are spelt out
/// ([`Specials::Markers`](crate::Specials::Markers)).
///
/// ```
/// use rullama_text::{Event, OutputParser, ParserOptions};
///
/// let mut parser = OutputParser::new(ParserOptions { thinking: true, ..Default::default() });
/// assert_eq!(parser.push("<|channel>thought\nHm"), [Event::Thinking("Hm".into())]);
/// assert_eq!(parser.push(".<channel|>Yes"), [
///     Event::Thinking(".".into()),
///     Event::Content("Yes".into()),
/// ]);
/// ```
#[derive(Debug, Clone)]
pub struct OutputParser {
    options: ParserOptions,
    state: State,
    /// Text not yet given out.
    buffer: String,
    /// Bytes of the buffer that are known not to begin the mark that ends a tool call.
    searched: usize,
    calls: usize,
}

impl OutputParser {
    pub fn new(options: ParserOptions) -> Self {
        let state = if options.starts_in_thought { State::Thinking } else { State::Content };
        OutputParser { options, state, buffer: String::new(), searched: 0, calls: 0 }
    }

    /// Adds text of the stream.
    pub fn push(&mut self, text: &str) -> Vec<Event> {
        self.buffer.push_str(text);
        self.advance(false)
    }

    /// Gives out what waits; the stream has ended. An unclosed tool call is parsed as it is.
    pub fn finish(&mut self) -> Vec<Event> {
        self.advance(true)
    }

    fn advance(&mut self, done: bool) -> Vec<Event> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut rest = buffer.as_str();
        let mut events = Vec::new();
        while !rest.is_empty() {
            let state = self.state;
            let taken = match state {
                State::Content => self.content(rest, done, &mut events),
                State::ChannelName => self.channel_name(rest, done),
                State::Thinking => self.thinking(rest, done, &mut events),
                State::AfterThinking => self.after_thinking(rest),
                State::ToolCall => self.tool_call(rest, done, &mut events),
                State::AfterToolCall => self.after_tool_call(rest, done),
            };
            rest = &rest[taken..];
            if self.state == state {
                break;
            }
        }
        let taken = buffer.len() - rest.len();
        buffer.drain(..taken);
        self.buffer = buffer;
        events
    }

    fn content(&mut self, rest: &str, done: bool, events: &mut Vec<Event>) -> usize {
        let marks = [(OPEN_CHANNEL, State::ChannelName), (OPEN_CALL, State::ToolCall)];
        let found = marks.iter().filter_map(|&(mark, next)| Some((rest.find(mark)?, mark, next)));
        if let Some((start, mark, next)) = found.min_by_key(|&(start, ..)| start) {
            give(Event::Content, rest[..start].trim_end(), events);
            self.state = next;
            return start + mark.len();
        }
        let waits = overlap(rest, OPEN_CHANNEL).max(overlap(rest, OPEN_CALL));
        let certain = if done || waits == 0 { rest } else { rest[..rest.len() - waits].trim_end() };
        give(Event::Content, certain, events);
        certain.len()
    }

    fn channel_name(&mut self, rest: &str, done: bool) -> usize {
        if !done && CHANNEL_NAME.starts_with(rest) && rest.len() < CHANNEL_NAME.len() {
            return 0;
        }
        self.state = State::Thinking;
        if rest.starts_with(CHANNEL_NAME) { CHANNEL_NAME.len() } else { 0 }
    }

    fn thinking(&mut self, rest: &str, done: bool, events: &mut Vec<Event>) -> usize {
        if let Some((thought, _)) = rest.split_once(CLOSE_CHANNEL) {
            self.give_thought(thought.trim_end(), events);
            self.state = State::AfterThinking;
            return thought.len() + CLOSE_CHANNEL.len();
        }
        let certain = if done { rest } else { rest[..rest.len() - overlap(rest, CLOSE_CHANNEL)].trim_end() };
        self.give_thought(certain, events);
        certain.len()
    }

    fn give_thought(&self, text: &str, events: &mut Vec<Event>) {
        if self.options.thinking {
            give(Event::Thinking, text, events);
        }
    }

    fn after_thinking(&mut self, rest: &str) -> usize {
        let text = rest.trim_start();
        if !text.is_empty() {
            self.state = State::Content;
        }
        rest.len() - text.len()
    }

    fn tool_call(&mut self, rest: &str, done: bool, events: &mut Vec<Event>) -> usize {
        let from = rest.floor_char_boundary(self.searched.min(rest.len()));
        let found = rest[from..].find(CLOSE_CALL).map(|start| from + start);
        let (call, taken) = match found {
            Some(end) => (&rest[..end], end + CLOSE_CALL.len()),
            None if done => (rest, rest.len()),
            None => {
                self.searched = rest.len().saturating_sub(CLOSE_CALL.len());
                return 0;
            }
        };
        self.searched = 0;
        self.state = State::AfterToolCall;
        events.push(match arguments::parse_call(call, &self.options.tools) {
            Some(mut function) => {
                function.index = self.calls;
                self.calls += 1;
                Event::ToolCall(ToolCall { id: None, function })
            }
            None => Event::InvalidToolCall(call.to_string()),
        });
        taken
    }

    /// Models sometimes repeat a closing mark or open the tool's response: both are dropped.
    fn after_tool_call(&mut self, rest: &str, done: bool) -> usize {
        let mut text = rest.trim_start();
        while let Some(after) = text.strip_prefix(CLOSE_CALL).or_else(|| text.strip_prefix(OPEN_RESPONSE)) {
            text = after.trim_start();
        }
        let may_be_mark = CLOSE_CALL.starts_with(text) || OPEN_RESPONSE.starts_with(text);
        if !may_be_mark {
            self.state = State::Content;
        } else if done {
            return rest.len();
        }
        rest.len() - text.len()
    }
}

fn give(event: fn(String) -> Event, text: &str, events: &mut Vec<Event>) {
    if !text.is_empty() {
        events.push(event(text.to_string()));
    }
}

/// Length of the longest end of `text` with which `mark` (ASCII) begins without being complete.
fn overlap(text: &str, mark: &str) -> usize {
    let longest = mark.len().saturating_sub(1).min(text.len());
    (1..=longest).rev().find(|&n| text.ends_with(&mark[..n])).unwrap_or(0)
}
