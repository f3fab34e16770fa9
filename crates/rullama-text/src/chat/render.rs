use super::schema;
use super::types::{Message, Role, Tool, ToolCall};
use crate::segment::Segment;

const BOS: &str = "<bos>";
const TURN: &str = "<|turn>";
const END_TURN: &str = "<turn|>";
const THINK: &str = "<|think|>";
const CHANNEL: &str = "<|channel>";
const END_CHANNEL: &str = "<channel|>";
const TOOL_CALL: &str = "<|tool_call>";
const END_TOOL_CALL: &str = "<tool_call|>";
const TOOL_RESPONSE: &str = "<|tool_response>";
const END_TOOL_RESPONSE: &str = "<tool_response|>";

/// Which of the two templates a model was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Size {
    /// E2B, E4B (`gemma4-small`).
    #[default]
    Small,
    /// 12B, 26B, 31B (`gemma4-large`): an answer without thinking begins with an empty thought.
    Large,
}

/// What a prompt is made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conversation<'a> {
    pub messages: &'a [Message],
    pub tools: &'a [Tool],
    /// Ask the model to think first.
    pub thinking: bool,
    pub size: Size,
}

/// The prompt of a conversation, ready for the model's next words:
///
/// ```text
/// <bos> [<|turn>system NL [<|think|> NL] TEXT DECLARATIONS <turn|> NL]
/// { <|turn>ROLE NL [THOUGHT] CALLS RESPONSES CONTENT <turn|> NL } <|turn>model NL
/// ```
///
/// Tool results are folded into the model's turn that asked for them, and adjacent messages of
/// the model continue one turn. Only the template's own marks are [`Segment::Special`].
pub fn render(conversation: &Conversation<'_>) -> Vec<Segment> {
    let mut prompt = Prompt::default();
    prompt.special(BOS);
    let messages = match conversation.messages {
        [first, rest @ ..] if matches!(first.role, Role::System | Role::Developer) => {
            prompt.system(conversation, Some(&first.content));
            rest
        }
        all => {
            prompt.system(conversation, None);
            all
        }
    };
    let last_user = messages.iter().rposition(|m| m.role == Role::User);
    let mut tail = Tail::Text;
    let mut previous = None;
    for (i, message) in messages.iter().enumerate() {
        if message.role == Role::Tool {
            continue;
        }
        let continues = message.role == Role::Assistant && previous == Some(&Role::Assistant);
        let show_thought = last_user.is_none_or(|user| i > user);
        tail = prompt.message(message, &messages[i + 1..], continues, show_thought);
        previous = Some(&message.role);
    }
    prompt.answer(conversation, tail);
    prompt.finish()
}

/// What the rendered messages end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    Text,
    ToolCall,
    ToolResponse,
}

/// Segments under construction; adjacent text is one segment.
#[derive(Default)]
pub(super) struct Prompt {
    segments: Vec<Segment>,
    text: String,
}

impl Prompt {
    pub(super) fn special(&mut self, piece: &'static str) {
        self.flush();
        self.segments.push(Segment::special(piece));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.segments.push(Segment::Text(std::mem::take(&mut self.text)));
        }
    }

    fn finish(mut self) -> Vec<Segment> {
        self.flush();
        self.segments
    }

    fn open_turn(&mut self, role: &str) {
        self.special(TURN);
        self.text(role);
        self.text("\n");
    }

    fn close_turn(&mut self) {
        self.special(END_TURN);
        self.text("\n");
    }

    fn system(&mut self, conversation: &Conversation<'_>, message: Option<&str>) {
        if message.is_none() && conversation.tools.is_empty() && !conversation.thinking {
            return;
        }
        self.open_turn("system");
        if conversation.thinking {
            self.special(THINK);
            self.text("\n");
        }
        self.text(message.unwrap_or_default().trim());
        for tool in conversation.tools {
            schema::declaration(self, &tool.function);
        }
        self.close_turn();
    }

    /// One message with the tool results that directly follow it.
    fn message(&mut self, message: &Message, following: &[Message], continues: bool, show_thought: bool) -> Tail {
        let is_model = message.role == Role::Assistant;
        if !continues {
            self.open_turn(if is_model { "model" } else { message.role.name() });
        }
        if is_model && show_thought && !message.thinking.is_empty() {
            self.special(CHANNEL);
            self.text("thought\n");
            self.text(&message.thinking);
            self.text("\n");
            self.special(END_CHANNEL);
        }
        let tail = self.tools_of(message, following);
        let content = if is_model { without_thoughts(&message.content) } else { message.content.trim().to_string() };
        self.text(&content);

        let next = following.iter().map(|m| &m.role).find(|role| **role != Role::Tool);
        let continues_in_next = is_model && next == Some(&Role::Assistant);
        let awaits_answer = tail == Tail::ToolResponse && content.is_empty() && next.is_none();
        if tail == Tail::ToolCall {
            self.special(TOOL_RESPONSE);
        } else if !continues_in_next && !awaits_answer {
            self.close_turn();
        }
        tail
    }

    fn tools_of(&mut self, message: &Message, following: &[Message]) -> Tail {
        if message.tool_calls.is_empty() {
            return Tail::Text;
        }
        for call in &message.tool_calls {
            self.special(TOOL_CALL);
            self.text("call:");
            self.text(&call.function.name);
            schema::object(self, &call.function.arguments, schema::Keys::Bare);
            self.special(END_TOOL_CALL);
        }
        let mut tail = Tail::ToolCall;
        for response in following.iter().take_while(|m| m.role == Role::Tool) {
            self.special(TOOL_RESPONSE);
            self.text("response:");
            self.text(response_name(response, &message.tool_calls));
            self.text("{value:");
            schema::string(self, &response.content);
            self.text("}");
            self.special(END_TOOL_RESPONSE);
            tail = Tail::ToolResponse;
        }
        tail
    }

    /// The opening of the model's next words.
    fn answer(&mut self, conversation: &Conversation<'_>, tail: Tail) {
        match tail {
            Tail::Text => {
                self.open_turn("model");
                if conversation.size == Size::Large && !conversation.thinking {
                    self.special(CHANNEL);
                    self.text("thought\n");
                    self.special(END_CHANNEL);
                }
            }
            Tail::ToolResponse if conversation.thinking => {
                self.special(CHANNEL);
                self.text("thought\n");
            }
            Tail::ToolResponse | Tail::ToolCall => {}
        }
    }
}

/// Which tool answers: by the call's id, else by its own name.
fn response_name<'a>(response: &'a Message, calls: &'a [ToolCall]) -> &'a str {
    let id = response.tool_call_id.as_deref().filter(|id| !id.is_empty());
    let called = id.and_then(|id| calls.iter().find(|call| call.id.as_deref() == Some(id)));
    let own = response.tool_name.as_deref().filter(|name| !name.is_empty());
    called.map(|call| call.function.name.as_str()).or(own).unwrap_or("unknown")
}

/// Removes `<|channel>...<channel|>` spans, an unclosed one to the end, and trims.
fn without_thoughts(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, thought)) = rest.split_once(CHANNEL) {
        kept.push_str(before);
        rest = thought.split_once(END_CHANNEL).map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept.trim().to_string()
}
