use super::Event;
use serde::Serialize;
use serde_json::{Map, Value};

/// An answer's parts, each as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Parsed {
    pub content: String,
    pub thinking: String,
    pub tool_calls: Vec<ParsedCall>,
    /// The text of what cannot be read as a tool call.
    pub unreadable: Vec<String>,
}

/// A tool call without the number that it has in the answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ParsedCall {
    pub name: String,
    pub arguments: Map<String, Value>,
}

impl Parsed {
    pub fn add(&mut self, event: Event) {
        match event {
            Event::Content(text) => self.content.push_str(&text),
            Event::Thinking(text) => self.thinking.push_str(&text),
            Event::ToolCall(call) => {
                self.tool_calls.push(ParsedCall { name: call.function.name, arguments: call.function.arguments });
            }
            Event::UnreadableCall(text) => self.unreadable.push(text),
        }
    }
}

impl Extend<Event> for Parsed {
    fn extend<I: IntoIterator<Item = Event>>(&mut self, events: I) {
        events.into_iter().for_each(|event| self.add(event));
    }
}
