//! Answers that are held to a form, by masks over the vocabulary before each draw.

use crate::forced::Must;
use crate::{Engine, Error, ForcedCall, FormatTokens, GenerateOptions};
use rullama_source::MaybeSendSync;
use rullama_text::ParserOptions;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an answer's content is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Format {
    /// Any JSON object: `"json"`.
    Json,
    /// JSON of this schema (drafts 4 to 2020-12).
    Schema(Value),
}

impl Format {
    /// Whether it can be kept, as far as its schema alone tells.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with the keyword at fault and its place.
    #[cfg(feature = "grammar")]
    pub fn check(&self) -> Result<(), Error> {
        rullama_grammar::check(&self.schema()).map_err(refused)
    }

    /// Why it cannot be kept.
    pub fn refused(reason: impl ToString) -> Error {
        refused(reason)
    }

    /// The schema that it stands for.
    pub fn schema(&self) -> Value {
        match self {
            Format::Json => serde_json::json!({"type": "object"}),
            Format::Schema(schema) => schema.clone(),
        }
    }
}

impl TryFrom<Value> for Format {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::String(word) if word == "json" => Ok(Format::Json),
            Value::Object(_) | Value::Bool(true) => Ok(Format::Schema(value)),
            _ => Err("is neither \"json\" nor a JSON schema, which is an object".into()),
        }
    }
}

impl From<Format> for Value {
    fn from(format: Format) -> Value {
        match format {
            Format::Json => "json".into(),
            Format::Schema(schema) => schema,
        }
    }
}

/// Follows one answer through its grammar.
pub trait Follow: MaybeSendSync {
    /// Sets the bits of the tokens that may come next and clears all others; bit i % 32 of word i / 32 is token i.
    ///
    /// # Errors
    /// A grammar that takes too long to follow.
    fn allowed(&mut self, mask: &mut [u32]) -> Result<(), Error>;

    /// Goes on behind a token that was allowed.
    ///
    /// # Errors
    /// One that was not; a grammar that takes too long to follow.
    fn accept(&mut self, id: u32) -> Result<(), Error>;
}

/// Compiles formats for the vocabulary of one engine.
pub trait Formats: MaybeSendSync {
    /// # Errors
    /// [`Error::InvalidArgument`] that names what is wrong with the schema, and where.
    fn follow(&self, format: &Format) -> Result<Box<dyn Follow>, Error>;

    /// Follows a call from behind its mark to before the one that closes it, where the ends of answers are allowed; `quote` is the
    /// token around texts.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the tool, and what is wrong with its parameters.
    fn follow_call(&self, forced: &ForcedCall, quote: u32) -> Result<Box<dyn Follow>, Error>;
}

pub(crate) fn refused(reason: impl ToString) -> Error {
    Error::InvalidArgument { name: "format", value: "a schema".into(), reason: format!("cannot be kept: {}", reason.to_string()) }
}

#[cfg(feature = "grammar")]
mod automata {
    use super::{Follow, Format, Formats, refused};
    use crate::{Error, ForcedCall, FormatTokens, forced};
    use rullama_grammar::{Grammars, Matcher, Tokens};

    impl Formats for Grammars {
        fn follow(&self, format: &Format) -> Result<Box<dyn Follow>, Error> {
            Ok(Box::new(self.json(&format.schema()).map_err(refused)?))
        }

        fn follow_call(&self, forced: &ForcedCall, quote: u32) -> Result<Box<dyn Follow>, Error> {
            Ok(Box::new(self.call(&forced.functions(), quote).map_err(forced::refused)?))
        }
    }

    impl Follow for Matcher {
        fn allowed(&mut self, mask: &mut [u32]) -> Result<(), Error> {
            Matcher::allowed(self, mask).map_err(refused)
        }

        fn accept(&mut self, id: u32) -> Result<(), Error> {
            Matcher::accept(self, id).map_err(refused)
        }
    }

    /// The automata of a vocabulary.
    pub fn of(words: &FormatTokens) -> Result<Grammars, Error> {
        let tokens = Tokens::new(&words.bytes, &words.ends, &words.special);
        Grammars::new(&tokens, &words.closing).map_err(refused)
    }
}

impl Engine {
    /// What compiles formats for this model, in place of its own: in a browser they are a module apart. Whether it was taken: the
    /// first stays.
    pub fn set_formats(&self, formats: Box<dyn Formats>) -> bool {
        self.0.formats.set(formats).is_ok()
    }

    /// What [`set_formats`](Self::set_formats) needs to know of the vocabulary.
    pub fn format_tokens(&self) -> FormatTokens {
        FormatTokens::of(self.tokenizer())
    }

    pub(crate) fn formats(&self) -> Result<&dyn Formats, Error> {
        #[cfg(feature = "grammar")]
        if self.0.formats.get().is_none() {
            // Made once; the loser of a race is dropped.
            let _ = self.0.formats.set(Box::new(automata::of(&self.format_tokens())?));
        }
        let formats = self.0.formats.get().map(|formats| &**formats);
        formats.ok_or_else(|| refused("nothing here compiles schemas. Build with the feature `grammar`, or give `set_formats`"))
    }
}

/// How an answer begins, before what its format says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opening {
    /// A thought may come first.
    pub thoughts: bool,
    /// The prompt ends within one.
    pub in_thought: bool,
    /// Tools may be called in place of an answer.
    pub calls: bool,
    /// Content that the prompt ends with: an answer that was cut.
    pub said: String,
}

impl Opening {
    /// Of an answer that is parsed with these options, and whose beginning is `said`.
    pub fn of(parser: &ParserOptions, said: &str) -> Self {
        let (thoughts, in_thought) = (parser.thinking, parser.starts_in_thought);
        Opening { thoughts, in_thought, calls: !parser.tools.is_empty(), said: said.into() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The content begins, unless a thought or a call does.
    Before {
        thoughts: bool,
    },
    /// The name of a thought, so many tokens of which were written.
    Name {
        written: usize,
    },
    Thought,
    Call,
    /// Behind a call: another one, or the end.
    Called,
    Content,
}

/// The special tokens that structure an answer, as far as the vocabulary has them.
struct Marks {
    open_thought: Option<u32>,
    close_thought: Option<u32>,
    open_call: Option<u32>,
    close_call: Option<u32>,
}

/// Holds one answer to its format, or to a call.
pub(crate) struct Constraint {
    /// Of the content; none where there is to be a call in its place.
    follow: Option<Box<dyn Follow>>,
    must: Option<Must>,
    /// Calls were written.
    called_once: bool,
    /// What a thought begins with, where the model may be made to think: it might not write that by itself.
    name: Vec<u32>,
    state: State,
    calls: bool,
    marks: Marks,
    /// What may stand in a thought, in a call, and behind a call.
    thought: Vec<u32>,
    call: Vec<u32>,
    called: Vec<u32>,
    ends: Vec<u32>,
    mask: Vec<u32>,
}

impl Constraint {
    /// What holds an answer that begins so, where the options ask for a format.
    ///
    /// # Errors
    /// A schema that cannot be kept.
    pub fn of(engine: &Engine, options: &GenerateOptions, opening: &Opening) -> Result<Option<Self>, Error> {
        match (&options.forced, &options.format) {
            // Where a call is to be, there is no content.
            (Some(call), _) => Self::new(engine, None, Some(Must::new(engine, call, opening)?), opening).map(Some),
            (None, Some(format)) => {
                let mut follow = engine.formats()?.follow(format)?;
                for id in engine.tokenizer().encode_plain(&opening.said) {
                    follow.accept(id).map_err(|_| refused("the answer that goes on does not have it. Ask anew"))?;
                }
                Self::new(engine, Some(follow), None, opening).map(Some)
            }
            (None, None) => Ok(None),
        }
    }

    fn new(engine: &Engine, follow: Option<Box<dyn Follow>>, must: Option<Must>, opening: &Opening) -> Result<Self, Error> {
        let tokenizer = engine.tokenizer();
        let [open_thought, close_thought] = ["<|channel>", "<channel|>"].map(|mark| tokenizer.find(mark));
        let [open_call, close_call] = ["<|tool_call>", "<tool_call|>"].map(|mark| tokenizer.find(mark));
        let state = match opening {
            Opening { in_thought: true, .. } => State::Thought,
            Opening { thoughts, said, .. } if said.is_empty() => State::Before { thoughts: *thoughts },
            _ => State::Content,
        };
        let words = (engine.0.loaded.model.facts().vocab as usize).div_ceil(32);
        let of = |ids: &mut dyn Iterator<Item = u32>| {
            let mut mask = vec![0; words];
            ids.for_each(|id| allow(&mut mask, id));
            mask
        };
        let plain = || (0..tokenizer.len() as u32).filter(|id| !tokenizer.is_special(*id) && !tokenizer.is_marker(*id));
        let thinks = opening.thoughts || opening.in_thought;
        let thought = if thinks { of(&mut plain().chain(close_thought)) } else { Vec::new() };
        let call = if opening.calls { of(&mut plain().chain(tokenizer.find("<|\"|>")).chain(close_call)) } else { Vec::new() };
        let ends = tokenizer.end_tokens().to_vec();
        let once = must.as_ref().is_some_and(|must| must.call.once);
        let called = of(&mut ends.iter().copied().chain(open_call.filter(|_| !once)));
        let marks = Marks { open_thought, close_thought, open_call, close_call };
        let name = must.as_ref().map_or_else(Vec::new, |_| tokenizer.encode_plain("thought\n"));
        let (calls, called_once, mask) = (opening.calls, false, vec![0; words]);
        Ok(Constraint { follow, must, called_once, name, state, calls, marks, thought, call, called, ends, mask })
    }

    /// The tokens that may come next.
    pub fn mask(&mut self) -> Result<&[u32], Error> {
        match self.state {
            State::Name { written } => {
                self.mask.fill(0);
                self.name.get(written).into_iter().for_each(|id| allow(&mut self.mask, *id));
                return Ok(&self.mask);
            }
            State::Thought => return Ok(&self.thought),
            State::Call => match &mut self.must {
                Some(must) => must.follow.allowed(&mut self.mask)?,
                None => return Ok(&self.call),
            },
            State::Called => return Ok(&self.called),
            State::Before { .. } | State::Content => match &mut self.follow {
                Some(follow) => follow.allowed(&mut self.mask)?,
                None => self.mask.fill(0),
            },
        }
        if self.state == State::Call {
            // A call that is complete ends with its mark, not with the answer.
            let mut complete = false;
            self.ends.iter().for_each(|id| complete |= take(&mut self.mask, *id));
            self.marks.close_call.filter(|_| complete).into_iter().for_each(|id| allow(&mut self.mask, id));
        }
        if let State::Before { thoughts } = self.state {
            let open = self.marks.open_thought.filter(|_| thoughts);
            let call = self.marks.open_call.filter(|_| self.calls);
            open.into_iter().chain(call).for_each(|id| allow(&mut self.mask, id));
        }
        Ok(&self.mask)
    }

    /// Goes on behind a token that does not end the answer.
    pub fn accept(&mut self, id: u32) -> Result<(), Error> {
        let Marks { open_thought, close_thought, open_call, close_call } = self.marks;
        let is = |mark: Option<u32>| mark == Some(id);
        self.state = match self.state {
            State::Before { .. } if is(open_thought) => State::Name { written: 0 },
            State::Name { written } => State::Name { written: written + 1 },
            State::Before { .. } | State::Called if is(open_call) => {
                if let (Some(must), true) = (&mut self.must, self.called_once) {
                    must.again()?;
                }
                State::Call
            }
            State::Thought if is(close_thought) => State::Before { thoughts: false },
            State::Call if is(close_call) => {
                self.called_once = true;
                State::Called
            }
            State::Call => {
                if let Some(must) = &mut self.must {
                    must.follow.accept(id)?;
                }
                State::Call
            }
            State::Before { .. } | State::Content => {
                if let Some(follow) = &mut self.follow {
                    follow.accept(id)?;
                }
                State::Content
            }
            same => same,
        };
        if matches!(self.state, State::Name { written } if written >= self.name.len()) {
            self.state = State::Thought;
        }
        Ok(())
    }
}

/// Clears the bit of a token; whether it was set.
fn take(mask: &mut [u32], id: u32) -> bool {
    let Some(word) = mask.get_mut(id as usize / 32) else { return false };
    let was = *word >> (id % 32) & 1 == 1;
    *word &= !(1 << (id % 32));
    was
}

fn allow(mask: &mut [u32], id: u32) {
    if let Some(word) = mask.get_mut(id as usize / 32) {
        *word |= 1 << (id % 32);
    }
}
