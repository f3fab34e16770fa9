use super::render::read;
use crate::error::usage;
use crate::input;
use crate::model;
use crate::terminal;
use anyhow::Result;
use rullama::Finish;
use rullama_text::chat::Tool;
use rullama_text::{Event, OutputParser, Parsed, ParserOptions, Piece, Tokenizer, Utf8Stream};
use serde::Deserialize;
use serde_json::Value;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

/// Take apart what a model wrote
///
/// Reads JSON, {"pieces": [...], "tools": [...], "thinking": false, "finish": "stop"}, and prints {"content": text,
/// "thinking": text, "tool_calls": [{"name", "arguments"}], "unreadable": [text]}. A piece is a token of the model:
/// {"special": a special token}, {"text": what another one spells} or {"bytes": [those of byte tokens]}. `finish` says
/// how the answer ended: stop, stop-string, length, tool-call or cancelled. Calls that were cut, and those that cannot
/// be read, are unreadable.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model whose special tokens to use
    model: OsString,
    /// The JSON file; without one, standard input
    file: Option<PathBuf>,
}

const EXAMPLES: &str = r#"Example:
  echo '{"pieces": [{"special": "<|tool_call>"}, {"text": "call:look{at:5}"}, {"special": "<tool_call|>"}]}' |
    rullama parse embedded"#;

/// Other fields, such as the answer that is expected, are skipped.
#[derive(Deserialize)]
struct Input {
    pieces: Vec<Value>,
    #[serde(default)]
    tools: Option<Vec<Tool>>,
    #[serde(default)]
    thinking: Option<bool>,
    #[serde(default)]
    finish: Option<Ended>,
}

/// The names of [`Finish`].
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ended {
    Stop,
    StopString,
    Length,
    ToolCall,
    Cancelled,
}

impl From<Ended> for Finish {
    fn from(ended: Ended) -> Finish {
        match ended {
            Ended::Stop => Finish::Stop,
            Ended::StopString => Finish::StopString,
            Ended::Length => Finish::Length,
            Ended::ToolCall => Finish::ToolCall,
            Ended::Cancelled => Finish::Cancelled,
        }
    }
}

/// A token of an answer.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Token {
    Special(String),
    Text(String),
    Bytes(Vec<u8>),
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (_, gguf) = model::open(&arguments.model)?;
    let tokenizer = rullama::tokenizer(&gguf.metadata)?;
    let text = read(arguments.file.as_deref())?;
    let input: Input = serde_json::from_str(input::without_mark(&text)).map_err(|error| wrong(&error))?;
    let options =
        ParserOptions { tools: input.tools.unwrap_or_default(), thinking: input.thinking.unwrap_or_default(), starts_in_thought: false };
    let mut answer = Answer { parser: OutputParser::new(options), stream: Utf8Stream::default(), parsed: Parsed::default() };
    for (i, value) in input.pieces.into_iter().enumerate() {
        let token: Token = serde_json::from_value(value).map_err(|error| wrong(&format!("pieces[{i}]: {error}")))?;
        answer.add(&token, &tokenizer).map_err(|reason| wrong(&format!("pieces[{i}]: {reason}")))?;
    }
    let finish = input.finish.map_or(Finish::Stop, Finish::from);
    writeln!(terminal::stdout(), "{}", serde_json::to_string(&answer.finish(finish))?)?;
    Ok(())
}

fn wrong(what: &dyn std::fmt::Display) -> anyhow::Error {
    usage(format!("the answer is not what it should be: {what}. `rullama parse --help` shows the form."))
}

/// What came of the tokens so far.
struct Answer {
    parser: OutputParser,
    stream: Utf8Stream,
    parsed: Parsed,
}

impl Answer {
    fn add(&mut self, token: &Token, tokenizer: &Tokenizer) -> Result<(), String> {
        match token {
            Token::Text(text) => self.bytes(text.as_bytes()),
            Token::Bytes(bytes) => self.bytes(bytes),
            Token::Special(piece) => match tokenizer.find(piece) {
                Some(id) if tokenizer.is_marker(id) || tokenizer.is_control(id) => {
                    self.flush();
                    self.push(Piece::Special(piece));
                }
                // User-defined tokens are text that stays together.
                Some(id) if tokenizer.is_special(id) => self.bytes(piece.as_bytes()),
                _ => return Err(format!("`{piece}` is no special token of this model")),
            },
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let text = self.stream.push(bytes);
        self.push(Piece::Text(&text));
    }

    /// Ends a character that lacks bytes.
    fn flush(&mut self) {
        let text = self.stream.finish();
        self.push(Piece::Text(&text));
    }

    fn push(&mut self, piece: Piece<'_>) {
        let events: Vec<Event> = self.parser.push(piece);
        self.parsed.extend(events);
    }

    fn finish(mut self, finish: Finish) -> Parsed {
        self.flush();
        self.parsed.extend(self.parser.finish(finish.ending()));
        self.parsed
    }
}
