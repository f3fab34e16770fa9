use super::media::{MediaPart, Part};
use super::schema;
use super::types::{Message, Role, Tool, ToolCall};
use crate::segment::Segment;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;

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
    let tail = prompt.messages(conversation, false, &mut |_, _| ());
    prompt.answer(conversation, tail);
    prompt.finish()
}

/// A place in a prompt: a segment, and a byte of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) segment: usize,
    pub(super) byte: usize,
}

/// The prompt of a conversation whose last message is an answer of the model that was cut: it ends where the answer does, inside
/// its thought where it has no more than that. [`render`] gives the prompt where there is no such answer, or one that calls tools.
pub fn render_cut(conversation: &Conversation<'_>) -> Vec<Segment> {
    let Some(cut) = cut_answer(conversation) else {
        return render(conversation);
    };
    let before = Conversation { messages: &conversation.messages[..conversation.messages.len() - 1], ..*conversation };
    let mut prompt = Prompt { segments: render(&before), text: String::new() };
    if !cut.thinking.is_empty() && conversation.thinking {
        // Behind the results of tools the thought is open already.
        if !opens_thought(&before) {
            prompt.special(CHANNEL);
            prompt.text("thought\n");
        }
        prompt.text(&cut.thinking);
        if !cut.content.is_empty() {
            prompt.text("\n");
            prompt.special(END_CHANNEL);
        }
    }
    prompt.text(&cut.content);
    prompt.finish()
}

/// The answer at the end of a conversation that can go on.
pub(crate) fn cut_answer<'a>(conversation: &Conversation<'a>) -> Option<&'a Message> {
    conversation.messages.last().filter(|last| last.role == Role::Assistant && last.tool_calls.is_empty())
}

/// What the rendered messages end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
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

    fn media(&mut self, part: &MediaPart) {
        self.flush();
        self.segments.push(Segment::Media { part: part.clone(), tokens: None });
    }

    /// Whether nothing but spaces was written since.
    fn silent_from(&self, place: Place) -> bool {
        place.segment == self.segments.len() && self.text.get(place.byte..).is_none_or(|text| text.trim().is_empty())
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.segments.push(Segment::Text(std::mem::take(&mut self.text)));
        }
    }

    pub(super) fn finish(mut self) -> Vec<Segment> {
        self.flush();
        self.segments
    }

    /// Where the next piece will stand.
    fn place(&self) -> Place {
        Place { segment: self.segments.len(), byte: self.text.len() }
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

    fn system(&mut self, conversation: &Conversation<'_>, message: Option<&Message>) {
        if message.is_none() && conversation.tools.is_empty() && !conversation.thinking {
            return;
        }
        self.open_turn("system");
        if conversation.thinking {
            self.special(THINK);
            self.text("\n");
        }
        match message {
            Some(message) if message.parts.is_empty() => self.text(message.content.trim()),
            Some(message) => message.parts.iter().filter_map(Part::text).for_each(|part| {
                self.text(part.trim());
                self.text(" ");
            }),
            None => {}
        }
        for tool in conversation.tools {
            schema::declaration(self, &tool.function);
        }
        self.close_turn();
    }

    /// All messages. What the model writes of them is told by the message's number.
    ///
    /// A large model that does not think begins each answer with an empty thought, which leaves the prompt with the
    /// next one; `as_written` keeps that of the last answer.
    pub(super) fn messages(
        &mut self,
        conversation: &Conversation<'_>,
        as_written: bool,
        written: &mut dyn FnMut(usize, Range<Place>),
    ) -> Tail {
        self.special(BOS);
        let (system, messages) = match conversation.messages {
            [first, rest @ ..] if matches!(first.role, Role::System | Role::Developer) => (Some(first), rest),
            all => (None, all),
        };
        self.system(conversation, system);
        let before = usize::from(system.is_some());
        let last_user = messages.iter().rposition(|m| m.role == Role::User);
        let opens = |i: usize| messages[..i].iter().rfind(|m| m.role != Role::Tool).is_none_or(|m| m.role != Role::Assistant);
        let last_answer = (0..messages.len()).rev().find(|&i| messages[i].role == Role::Assistant && opens(i));
        let mut tail = Tail::Text;
        let mut previous = None;
        for (i, message) in messages.iter().enumerate() {
            if message.role == Role::Tool {
                continue;
            }
            let continues = message.role == Role::Assistant && previous == Some(&Role::Assistant);
            if !continues {
                self.open_turn(if message.role == Role::Assistant { "model" } else { message.role.name() });
            }
            let show_thought = last_user.is_none_or(|user| i > user);
            if as_written && last_answer == Some(i) && empty_thought(conversation) && (!show_thought || message.thinking.is_empty()) {
                self.no_thought();
            }
            tail = self.message(message, &messages[i + 1..], show_thought, &mut |range| written(before + i, range));
            previous = Some(&message.role);
        }
        tail
    }

    /// One message with the tool results that directly follow it, after its turn was opened.
    fn message(&mut self, message: &Message, following: &[Message], show_thought: bool, written: &mut dyn FnMut(Range<Place>)) -> Tail {
        let is_model = message.role == Role::Assistant;
        let mut written = |range| {
            if is_model {
                written(range)
            }
        };
        let mut from = self.place();
        if is_model && show_thought && !message.thinking.is_empty() {
            self.special(CHANNEL);
            self.text("thought\n");
            self.text(&message.thinking);
            self.text("\n");
            self.special(END_CHANNEL);
        }
        let (tail, responses) = self.tools_of(message, following);
        if let Some(responses) = responses {
            written(from..responses.start);
            from = responses.end;
        }
        let shown = |text: &str| if is_model { without_thoughts(text) } else { text.trim().to_string() };
        let before = self.place();
        match &message.parts[..] {
            [] => self.text(&shown(&message.content)),
            parts => parts.iter().for_each(|part| match part {
                Part::Text(text) => self.text(&shown(text)),
                Part::Exact(text) => self.text(text),
                Part::Media(media) => self.media(media),
            }),
        }
        let silent = self.silent_from(before);

        let next = following.iter().map(|m| &m.role).find(|role| **role != Role::Tool);
        let continues_in_next = is_model && next == Some(&Role::Assistant);
        let awaits_answer = tail == Tail::ToolResponse && silent && next.is_none();
        if tail == Tail::ToolCall {
            self.special(TOOL_RESPONSE);
        } else if !continues_in_next && !awaits_answer {
            self.special(END_TURN);
            written(from..self.place());
            self.text("\n");
            return tail;
        }
        written(from..self.place());
        tail
    }

    /// The calls, and the results, which the model has no part in: it stops at the opening of the first.
    fn tools_of(&mut self, message: &Message, following: &[Message]) -> (Tail, Option<Range<Place>>) {
        if message.tool_calls.is_empty() {
            return (Tail::Text, None);
        }
        for call in &message.tool_calls {
            self.special(TOOL_CALL);
            self.text("call:");
            self.text(&call.function.name);
            schema::object(self, &call.function.arguments, schema::Keys::Bare);
            self.special(END_TOOL_CALL);
        }
        let responses: Vec<&Message> = following.iter().take_while(|m| m.role == Role::Tool).collect();
        let mut opened = None;
        for (response, name) in responses.iter().zip(response_names(&responses, &message.tool_calls)) {
            self.special(TOOL_RESPONSE);
            opened = opened.or(Some(self.place()));
            self.text("response:");
            self.text(name);
            self.text("{value:");
            schema::string(self, &response.content);
            self.text("}");
            self.special(END_TOOL_RESPONSE);
            response.media().for_each(|part| self.media(part));
        }
        match opened {
            Some(opened) => (Tail::ToolResponse, Some(opened..self.place())),
            None => (Tail::ToolCall, None),
        }
    }

    fn no_thought(&mut self) {
        self.special(CHANNEL);
        self.text("thought\n");
        self.special(END_CHANNEL);
    }

    /// The opening of the model's next words.
    fn answer(&mut self, conversation: &Conversation<'_>, tail: Tail) {
        match tail {
            Tail::Text => {
                self.open_turn("model");
                if empty_thought(conversation) {
                    self.no_thought();
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

/// Whether an answer begins with a thought that is empty.
fn empty_thought(conversation: &Conversation<'_>) -> bool {
    conversation.size == Size::Large && !conversation.thinking
}

/// Whether the prompt ends inside a thought: results of tools go on with one.
pub(crate) fn opens_thought(conversation: &Conversation<'_>) -> bool {
    let messages = conversation.messages;
    let last = messages.iter().rposition(|message| message.role != Role::Tool);
    conversation.thinking && last.is_some_and(|last| last + 1 < messages.len() && !messages[last].tool_calls.is_empty())
}

/// Which tools answer: by the call's id, else by the result's own name. Results with neither belong to the calls
/// that are left, in order, if there is one for each.
fn response_names<'a>(responses: &[&'a Message], calls: &'a [ToolCall]) -> Vec<&'a str> {
    let given = |text: &'a Option<String>| text.as_deref().filter(|text| !text.is_empty());
    let name = |call: usize| calls[call].function.name.as_str();
    // Of calls with one id the last counts.
    let by_id: HashMap<&str, usize> = calls.iter().enumerate().filter_map(|(i, call)| Some((given(&call.id)?, i))).collect();
    let called: Vec<Option<usize>> = responses.iter().map(|r| by_id.get(given(&r.tool_call_id)?).copied()).collect();
    let mut free = vec![true; calls.len()];
    called.iter().flatten().for_each(|&call| free[call] = false);
    let mut by_name: HashMap<&str, VecDeque<usize>> = HashMap::new();
    for call in (0..calls.len()).filter(|&call| free[call]) {
        by_name.entry(name(call)).or_default().push_back(call);
    }
    let own = |i: usize| called[i].is_none().then(|| given(&responses[i].tool_name)).flatten();
    for call in (0..responses.len()).filter_map(|i| by_name.get_mut(own(i)?)?.pop_front()) {
        free[call] = false;
    }
    let unclaimed: Vec<usize> = (0..calls.len()).filter(|&call| free[call]).collect();
    let nameless: Vec<usize> = (0..responses.len()).filter(|&i| called[i].is_none() && own(i).is_none()).collect();
    let mut names: Vec<&str> = (0..responses.len()).map(|i| called[i].map(name).or(own(i)).unwrap_or("unknown")).collect();
    if unclaimed.len() == nameless.len() {
        for (&i, &call) in nameless.iter().zip(&unclaimed) {
            let of_another = given(&responses[i].tool_call_id).is_some() && given(&calls[call].id).is_some();
            names[i] = if of_another { "unknown" } else { name(call) };
        }
    }
    names
}

/// Removes `<|channel>...<channel|>` spans, an unclosed one to the end, and closing marks alone; trims.
fn without_thoughts(text: &str) -> String {
    let spans = text.split(END_CHANNEL);
    let kept: String = spans.filter_map(|span| span.split(CHANNEL).next()).collect();
    kept.trim().to_string()
}
