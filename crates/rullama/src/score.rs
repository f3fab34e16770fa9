//! Held-out questions with their right answers: asking, judging, counting.
//!
//! A set is a text of one JSON object a line, described in `tools/demo-model/README.md`. An answer goes
//! the whole way (template, engine, output parser) and is right when content, thought and tool calls
//! equal those of an expected answer.
//!
//! ```
//! use rullama::score::{Answer, Question, Reply, Scores};
//!
//! let question = Question::parse(
//!     r#"{"id": "sum 1", "ability": "sums", "messages": [{"role": "user", "content": "1+1"}], "expected": {"content": "2"}}"#,
//! )?;
//! let answer = Answer { reply: Reply { content: "2\n".into(), ..Reply::default() }, ids: vec![7, 106], ..Answer::default() };
//! let mut scores = Scores::default();
//! scores.add(&question, &answer);
//! assert_eq!(scores.all().right_percent(), Some(100.0));
//! # Ok::<(), serde_json::Error>(())
//! ```

use crate::gallery::sense_of;
use crate::{Cancel, Chat, ChatOptions, Error, Event, Finish, GenerateOptions, Message, Sampling, Sense, Tool};
use rullama_text::chat::FunctionCall;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Most tokens of an answer, as in `tools/demo-model/evaluate.py`.
pub const MAX_TOKENS: u32 = 200;

/// A question of a held-out set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Question {
    pub id: String,
    pub ability: String,
    messages: Vec<Message>,
    #[serde(default)]
    tools: Vec<Tool>,
    #[serde(default)]
    thinking: bool,
    pub expected: Expected,
    #[serde(default)]
    pub reference: Option<Reference>,
}

/// A tool call: equal to another when names and JSON values are; the order of keys does not count.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Call {
    pub name: String,
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

/// All right answers to a question, at least one; in JSON the one answer, or a list of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Expected(Vec<Reply>);

/// What a model answered, or should.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reply {
    pub content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub thinking: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Call>,
}

/// The greedy answer of an independent program in f32.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Reference {
    /// Generated ids, the end token included.
    pub ids: Vec<u32>,
    pub right: bool,
    /// Least distance between the two largest logits over all steps.
    pub margin: f32,
}

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Answer {
    pub reply: Reply,
    /// Generated ids, the end token included.
    pub ids: Vec<u32>,
    /// Seconds from the first of them to the last.
    pub decode_s: f64,
    /// Tokens that were guessed, and those of them that were right: see [`Speculate`](crate::Speculate).
    pub drafted: u32,
    pub accepted: u32,
}

impl Question {
    /// Reads a line of a set.
    ///
    /// # Errors
    /// What is missing or of the wrong type.
    pub fn parse(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// The conversation that ends with the question.
    pub fn chat(&self) -> ChatOptions {
        ChatOptions { system: None, tools: self.tools.clone(), thinking: self.thinking, messages: self.messages.clone() }
    }

    /// What is said before the answer.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// What the media of its messages are perceived by.
    pub fn senses(&self) -> impl Iterator<Item = Sense> {
        self.messages.iter().flat_map(Message::media).map(|part| sense_of(part.kind))
    }

    /// Lets the model answer greedily, as a new conversation on `chat`'s session. Media come from the
    /// [gallery](Chat::set_gallery) of `chat`.
    ///
    /// # Errors
    /// Those of [`Chat::answer`]; [`Error::Cancelled`].
    pub async fn ask(&self, chat: &mut Chat, cancel: &Cancel) -> Result<Answer, Error> {
        chat.restart(self.chat());
        let options = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(MAX_TOKENS), ..GenerateOptions::default() };
        let mut reply = Reply::default();
        let summary = chat.answer(&options, cancel, &mut |event| reply.add(event)).await?;
        match summary.finish {
            Finish::Cancelled => Err(Error::Cancelled),
            _ => Ok(Answer {
                reply,
                ids: summary.ids,
                decode_s: summary.timings.decode_s,
                drafted: summary.drafted_tokens,
                accepted: summary.accepted_tokens,
            }),
        }
    }

    /// Whether content, thought and tool calls are those of one expected answer. White space around
    /// content and thought does not count.
    pub fn is_right(&self, got: &Reply) -> bool {
        let same = |want: &Reply| {
            want.content.trim() == got.content.trim() && want.thinking.trim() == got.thinking.trim() && want.tool_calls == got.tool_calls
        };
        self.expected.0.iter().any(same)
    }

    /// The ids that another program should generate too: the reference's, where it has one and only one
    /// answer is right. Among several, none is likelier than the others, and rounding decides.
    pub fn comparable_ids(&self) -> Option<&[u32]> {
        let reference = self.reference.as_ref().filter(|_| self.expected.0.len() == 1)?;
        Some(&reference.ids)
    }

    /// Whether the generated ids are the [comparable](Self::comparable_ids) ones; `None` without such.
    pub fn agrees(&self, ids: &[u32]) -> Option<bool> {
        self.comparable_ids().map(|wanted| wanted == ids)
    }
}

impl TryFrom<Value> for Expected {
    type Error = serde_json::Error;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        match value {
            Value::Array(replies) if replies.is_empty() => {
                Err(serde::de::Error::custom("`expected` is an empty list: no answer would be right"))
            }
            Value::Array(replies) => replies.into_iter().map(serde_json::from_value).collect::<Result<_, _>>().map(Self),
            reply => serde_json::from_value(reply).map(|reply| Self(vec![reply])),
        }
    }
}

impl From<Expected> for Value {
    fn from(Expected(mut replies): Expected) -> Self {
        match replies.len() {
            1 => json!(replies.remove(0)),
            _ => json!(replies),
        }
    }
}

impl Reply {
    /// Adds a part of an answer. What cannot be read as a tool call is content, so that it counts as wrong.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Content(text) | Event::UnreadableCall(text) => self.content.push_str(text),
            Event::Thinking(text) => self.thinking.push_str(text),
            Event::ToolCall(call) => {
                let FunctionCall { name, arguments, .. } = call.function.clone();
                self.tool_calls.push(Call { name, arguments });
            }
        }
    }
}

/// How many answers were right, and how many had the reference's ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Score {
    pub questions: u32,
    pub right: u32,
    /// Questions that have a reference.
    pub referenced: u32,
    /// Those whose ids are [comparable](Question::comparable_ids), and answers that have them.
    pub compared: u32,
    pub agreeing: u32,
    /// Right answers of the reference.
    pub reference_right: u32,
}

impl Score {
    /// Right answers in percent; `None` without questions, as the others without references.
    pub fn right_percent(&self) -> Option<f64> {
        percent(self.right, self.questions)
    }

    /// Answers with the reference's ids in percent of those compared.
    pub fn agreement_percent(&self) -> Option<f64> {
        percent(self.agreeing, self.compared)
    }

    /// The reference's right answers in percent.
    pub fn reference_percent(&self) -> Option<f64> {
        percent(self.reference_right, self.referenced)
    }
}

fn percent(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| 100.0 * f64::from(part) / f64::from(whole))
}

/// Scores of each ability, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores {
    abilities: Vec<(String, Score)>,
}

impl Scores {
    /// Judges and counts an answer; gives whether it is right.
    pub fn add(&mut self, question: &Question, answer: &Answer) -> bool {
        let at = self.abilities.iter().position(|(name, _)| *name == question.ability).unwrap_or_else(|| {
            self.abilities.push((question.ability.clone(), Score::default()));
            self.abilities.len() - 1
        });
        let right = question.is_right(&answer.reply);
        let score = &mut self.abilities[at].1;
        score.questions += 1;
        score.right += u32::from(right);
        if let Some(reference) = &question.reference {
            score.referenced += 1;
            score.reference_right += u32::from(reference.right);
        }
        if let Some(agrees) = question.agrees(&answer.ids) {
            score.compared += 1;
            score.agreeing += u32::from(agrees);
        }
        right
    }

    pub fn abilities(&self) -> &[(String, Score)] {
        &self.abilities
    }

    /// All abilities together.
    pub fn all(&self) -> Score {
        self.abilities.iter().fold(Score::default(), |sum, (_, score)| Score {
            questions: sum.questions + score.questions,
            right: sum.right + score.right,
            referenced: sum.referenced + score.referenced,
            compared: sum.compared + score.compared,
            agreeing: sum.agreeing + score.agreeing,
            reference_right: sum.reference_right + score.reference_right,
        })
    }
}

/// The first `limit` questions of each ability, in their order.
pub fn sample(questions: Vec<Question>, limit: usize) -> Vec<Question> {
    let mut taken: Vec<(String, usize)> = Vec::new();
    let mut first = |question: &Question| match taken.iter_mut().find(|(name, _)| *name == question.ability) {
        Some((_, count)) => {
            *count += 1;
            *count <= limit
        }
        None => {
            taken.push((question.ability.clone(), 1));
            limit > 0
        }
    };
    questions.into_iter().filter(|question| first(question)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(expected: Value) -> Question {
        let line = json!({
            "id": "q 1", "ability": "tools", "thinking": true, "expected": expected,
            "messages": [
                {"role": "user", "content": "What does a rocket cost?"},
                {"role": "model", "content": "", "thinking": "I ask.", "tool_calls": [{"name": "price", "arguments": {"item": "rocket"}}]},
                {"role": "tool", "name": "price", "content": "23"},
            ],
            "tools": [{"type": "function", "function": {"name": "price", "description": "d", "parameters": {"type": "object"}}}],
            "reference": {"ids": [5, 106], "text": "", "right": true, "margin": 3.5},
        });
        Question::parse(&line.to_string()).unwrap()
    }

    #[test]
    fn a_line_becomes_a_conversation() {
        let chat = question(json!({"content": "23 euros"})).chat();
        assert!(chat.thinking && chat.system.is_none());
        assert_eq!(chat.tools[0].function.name, "price");
        let roles: Vec<&str> = chat.messages.iter().map(|message| message.role.name()).collect();
        assert_eq!(roles, ["user", "assistant", "tool"]);
        assert_eq!(chat.messages[1].tool_calls[0].function.arguments["item"], "rocket");
        assert_eq!((chat.messages[1].thinking.as_str(), chat.messages[2].tool_name.as_deref()), ("I ask.", Some("price")));
    }

    #[test]
    fn broken_lines_are_refused() {
        for line in
            ["", "{}", r#"{"id": "a", "ability": "b", "messages": 3, "expected": {}}"#, r#"{"id": "a", "ability": "b", "messages": []}"#]
        {
            assert!(Question::parse(line).is_err(), "{line}");
        }
        for (expected, said) in
            [("[]", "empty list"), ("\"4\"", "invalid type: string"), ("[{}, 4]", "invalid type"), (r#"{"contents": "4"}"#, "contents")]
        {
            let line = format!(r#"{{"id": "a", "ability": "b", "messages": [], "expected": {expected}}}"#);
            let error = Question::parse(&line).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn any_of_several_expected_answers_is_right() {
        let calls = json!([{"name": "price", "arguments": {"a": 1}}]);
        let several = question(json!([{"content": "Heads."}, {"content": "Tails.", "thinking": "Hm."}, {"tool_calls": calls}]));
        let reply = |value: Value| serde_json::from_value::<Reply>(value).unwrap();
        for right in [json!({"content": "Heads.\n"}), json!({"content": "Tails.", "thinking": "Hm."}), json!({"tool_calls": calls})] {
            assert!(several.is_right(&reply(right.clone())), "{right}");
        }
        for wrong in
            [json!({}), json!({"content": "Tails."}), json!({"content": "Heads.", "thinking": "Hm."}), json!({"content": "Heads. Tails."})]
        {
            assert!(!several.is_right(&reply(wrong.clone())), "{wrong}");
        }
        // No one of them is the one to generate, so ids are not compared; with one in a list they are.
        assert_eq!((several.agrees(&[5, 106]), several.agrees(&[6])), (None, None));
        let mut scores = Scores::default();
        assert!(scores.add(&several, &Answer { reply: reply(json!({"content": "Heads."})), ids: vec![6], ..Answer::default() }));
        assert_eq!(scores.all(), Score { questions: 1, right: 1, referenced: 1, reference_right: 1, ..Score::default() });
        assert_eq!((scores.all().reference_percent(), scores.all().agreement_percent()), (Some(100.0), None));
        assert_eq!(question(json!([{"content": "4"}])).agrees(&[6]), Some(false));
    }

    #[test]
    fn expected_answers_are_written_as_they_are_read() {
        for expected in [json!({"content": "4"}), json!([{"content": "4"}, {"content": "four"}])] {
            assert_eq!(serde_json::to_value(question(expected.clone()).expected).unwrap(), expected);
        }
    }

    #[test]
    fn every_part_must_be_equal() {
        let call = |arguments: Value| Call { name: "price".into(), arguments: arguments.as_object().unwrap().clone() };
        let wanted = question(json!({"thinking": "Hm.", "tool_calls": [{"name": "price", "arguments": {"a": 1, "b": "x"}}]}));
        let right = Reply { content: "\n".into(), thinking: "Hm. ".into(), tool_calls: vec![call(json!({"b": "x", "a": 1}))] };
        assert!(wanted.is_right(&right));
        let wrong = [
            Reply { content: "Yes".into(), ..right.clone() },
            Reply { thinking: "hm.".into(), ..right.clone() },
            Reply { tool_calls: Vec::new(), ..right.clone() },
            Reply { tool_calls: vec![call(json!({"a": "1", "b": "x"}))], ..right.clone() },
            Reply { tool_calls: vec![right.tool_calls[0].clone(), right.tool_calls[0].clone()], ..right.clone() },
        ];
        assert!(wrong.iter().all(|reply| !wanted.is_right(reply)));
        let mut unreadable = Reply { content: String::new(), ..right };
        unreadable.add(&Event::UnreadableCall("call:".into()));
        assert!(!wanted.is_right(&unreadable));
    }

    #[test]
    fn counts() {
        let asked = question(json!({"content": "23"}));
        let answer = |content: &str, ids: &[u32]| Answer {
            reply: Reply { content: content.into(), ..Reply::default() },
            ids: ids.to_vec(),
            ..Answer::default()
        };
        let mut scores = Scores::default();
        assert_eq!(scores.all().right_percent(), None);
        assert!(scores.add(&asked, &answer("23", &[5, 106])));
        assert!(!scores.add(&asked, &answer("24", &[6, 106])));
        let other = Question { ability: "sums".into(), reference: None, ..asked.clone() };
        assert!(scores.add(&other, &answer("23", &[5, 106])));
        let names: Vec<&str> = scores.abilities().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["tools", "sums"]);
        assert_eq!(scores.all(), Score { questions: 3, right: 2, referenced: 2, compared: 2, agreeing: 1, reference_right: 2 });
        assert_eq!(scores.abilities()[0].1.agreement_percent(), Some(50.0));
        assert_eq!(scores.abilities()[1].1.agreement_percent(), None);
        assert_eq!((asked.agrees(&[5, 106]), other.agrees(&[5, 106])), (Some(true), None));
    }

    #[test]
    fn samples_take_the_first_of_each_ability() {
        let make = |id: &str, ability: &str| Question { id: id.into(), ability: ability.into(), ..question(json!({})) };
        let all = vec![make("1", "a"), make("2", "b"), make("3", "a"), make("4", "a"), make("5", "b")];
        let ids = |limit| sample(all.clone(), limit).into_iter().map(|question| question.id).collect::<Vec<_>>().concat();
        assert_eq!((ids(0), ids(2), ids(9)), (String::new(), "1235".into(), "12345".into()));
    }
}
