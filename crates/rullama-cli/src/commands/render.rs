use crate::error::usage;
use crate::{input, media, model, terminal};
use anyhow::Result;
use rullama_text::chat::{self, Conversation, Message, Size, Tool, render};
use rullama_text::segments_to_text;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Turn a conversation into the prompt that the model sees
///
/// Reads JSON as Ollama's or OpenAI's chat API has it, {"messages": [...], "tools": [...], "thinking": false},
/// and prints {"prompt": text, "ids": [...]}. What people typed never becomes a special token, so the
/// text alone is ambiguous where someone typed one; the ids are not. Pictures and sounds come as base64 or data URLs, or as
/// their `width` and `height` or `samples` (at 16 kHz) alone; videos as a list `frames` of pictures, with `fps` or `timestamps`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model whose template and vocabulary to use
    model: OsString,
    /// The JSON file; without one, standard input
    file: Option<PathBuf>,
    /// The template of the small (E2B, E4B) or large models [default: by the model]
    #[arg(long, value_parser = ["small", "large"])]
    template: Option<String>,
}

const EXAMPLES: &str = r#"Example:
  echo '{"messages": [{"role": "user", "content": "Hi"}]}' | rullama render gemma4:e2b"#;

/// A request of a chat API; fields that do not change the prompt are skipped.
#[derive(Deserialize)]
struct Input {
    messages: Vec<Value>,
    tools: Option<Vec<Value>>,
    #[serde(alias = "think")]
    thinking: Option<Thinking>,
}

/// Ollama also takes how much to think, which this model's template does not tell apart.
#[derive(Deserialize)]
#[serde(untagged, expecting = "thinking must be true, false, \"low\", \"medium\" or \"high\"")]
enum Thinking {
    Switch(bool),
    Level(Level),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Low,
    Medium,
    High,
}

impl Thinking {
    fn is_on(&self) -> bool {
        matches!(self, Thinking::Switch(true) | Thinking::Level(Level::Low | Level::Medium | Level::High))
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (located, gguf) = model::open(&arguments.model)?;
    located.note_template();
    let tokenizer = rullama::tokenizer(&gguf.metadata)?;
    let text = read(arguments.file.as_deref())?;
    let input: Input = serde_json::from_str(input::without_mark(&text)).map_err(|error| wrong(&error))?;
    let messages: Vec<Message> = each("messages", input.messages)?;
    let tools: Vec<Tool> = each("tools", input.tools.unwrap_or_default())?;
    let by_file = rullama_model::model::empty_thought(&gguf.metadata);
    let large = match arguments.template.as_deref() {
        Some(name) => name == "large",
        None => located.large_template().unwrap_or(by_file),
    };
    let size = if large { Size::Large } else { Size::Small };
    let thinking = input.thinking.as_ref().is_some_and(Thinking::is_on);
    let mut segments = render(&Conversation { messages: &messages, tools: &tools, thinking, size });
    // The text shows a medium as one placeholder, the ids as many as there are soft tokens.
    let counts = chat::media(&segments).map(|part| media::soft_tokens(part, &gguf)).collect::<Result<Vec<_>, _>>()?;
    let mut counts = counts.into_iter();
    chat::expand(&mut segments, |_| counts.next().flatten());
    let ids = tokenizer.encode_prompt(&segments)?;
    writeln!(terminal::stdout(), "{}", json!({"prompt": segments_to_text(&segments), "ids": ids}))?;
    Ok(())
}

/// The text of a file, or of standard input.
pub(super) fn read(file: Option<&Path>) -> Result<String> {
    file.map_or_else(input::stdin, input::file)
}

fn wrong(what: &dyn std::fmt::Display) -> anyhow::Error {
    usage(format!("the conversation is not what it should be: {what}. `rullama render --help` shows the form."))
}

/// The members of a list; the error names the one at fault.
fn each<T: DeserializeOwned>(list: &str, values: Vec<Value>) -> Result<Vec<T>> {
    let one = |(i, value)| serde_json::from_value(value).map_err(|error| wrong(&format!("{list}[{i}]: {error}")));
    values.into_iter().enumerate().map(one).collect()
}
