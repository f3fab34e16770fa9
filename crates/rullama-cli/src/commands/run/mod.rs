mod chat;
mod format;
mod output;

use crate::adapters::AdapterArguments;
use crate::error::{Interrupted, usage};
use crate::load::{self, LoadArguments};
use crate::media::{self, Given, MediaArguments};
use crate::model::{self, Located};
use crate::sampling::{SamplingArguments, check_ids, token_id};
use crate::{input, terminal};
use anyhow::Result;
use output::Output;
use rullama::text::{OutputParser, Parsed, ParserOptions, Segment, Specials};
use rullama::{
    Cancel, Chat, ChatOptions, Engine, Finish, Gallery, GenerateOptions, MediaPart, Message, Prompt, Role, Session, Summary,
    placeholder_runs,
};
use serde::Serialize;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

/// Chat with a model, or let it answer once
///
/// With a PROMPT, or text on standard input, the model answers it and the program ends; otherwise a
/// conversation begins. With both, the text comes first and the PROMPT after it. The first Ctrl-C stops the answer, a second one the program.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model: a name of Ollama's, a path, an address or `embedded`
    model: OsString,
    /// What to answer; `-` is standard input
    prompt: Option<String>,
    /// The system prompt [default: the one stored with the model]
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Let the model think before it answers
    #[arg(long)]
    think: bool,
    /// Continue the text as it is, without the chat template
    #[arg(long, conflicts_with_all = ["system", "think", "image", "audio", "video"])]
    raw: bool,
    /// Continue these token ids; nothing is added to them
    #[arg(long, value_delimiter = ',', value_parser = token_id, value_name = "IDS", conflicts_with_all = ["prompt", "raw", "system", "think"])]
    ids: Option<Vec<u32>>,
    /// Print one JSON object a line: each token, and last a summary with the answer's parts
    #[arg(long)]
    json: bool,
    /// With --json: the N likeliest tokens beside each (at most 20)
    #[arg(long, value_name = "N", requires = "json", value_parser = clap::value_parser!(u32).range(0..=20))]
    logprobs: Option<u32>,
    /// Hold the answer to JSON, or to a JSON schema: `json`, or the schema's file
    #[arg(long, value_name = "json|FILE", conflicts_with = "ignore_eos")]
    format: Option<PathBuf>,
    /// Print timings and where the model runs
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    sampling: SamplingArguments,
    #[command(flatten)]
    adapter: AdapterArguments,
    #[command(flatten)]
    media: MediaArguments,
    #[command(flatten)]
    load: LoadArguments,
}

/// How long standard input may take before a person is told of it.
const PATIENCE: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "Examples:
  rullama run gemma4:e2b
  rullama run gemma4:e2b 'Why is the sky blue?' --max-tokens 200
  git diff | rullama run gemma4:e2b 'Write a commit message for this diff.'
  rullama run gemma4:e2b --image photo.jpg 'What is this?'
  rullama run gemma4:e2b --format person.schema.json 'Invent a person.'
  rullama run gemma4:e2b --video frames/ --fps 2 'What happens?'
  rullama run model.gguf --raw 'Once upon a time' --temperature 0 --json
  rullama run model.gguf --ids 2,105,2364 --max-tokens 16 --ignore-eos";

pub fn run(arguments: &Arguments) -> Result<()> {
    let input = match (&arguments.prompt, &arguments.ids) {
        (_, Some(_)) => None,
        (Some(prompt), None) if prompt != "-" => Some(with_stdin(prompt)?),
        (None, None) if io::stdin().is_terminal() => None,
        _ => Some(read_stdin()?),
    };
    let interactive = input.is_none() && arguments.ids.is_none();
    if interactive && (arguments.json || arguments.raw) {
        return Err(usage("--json and --raw need a PROMPT, or text on standard input."));
    }
    let cancel = Cancel::new();
    let located = model::locate(&arguments.model)?;
    let adapters = arguments.adapter.read(&located)?;
    let media = arguments.media.read()?;
    let logprobs = arguments.json.then_some(arguments.logprobs.unwrap_or(0));
    let mut options = arguments.sampling.options(located.stored.as_ref(), logprobs)?;
    options.format = arguments.format.as_deref().map(format::read).transpose()?;
    let engine = load::load_located(&arguments.model, &located, &arguments.load, None, &cancel)?;
    if arguments.verbose {
        terminal::tell(&format!("{}\n", load::describe(&engine)));
    }
    let started = chat_options(arguments, &located);
    if !arguments.raw && arguments.ids.is_none() {
        located.note_template();
    }
    arguments.media.attach(&engine, &located)?;
    if interactive {
        let mut chat = Chat::new(adapters.session(&engine)?, started);
        let shown = show(&mut chat, &media, &cancel)?;
        return chat::converse(chat, shown, &options, arguments.verbose);
    }
    let summary = if arguments.raw || arguments.ids.is_some() || arguments.json {
        let (prompt, parser) = prompt(arguments, &engine, input.as_deref(), &started, media)?;
        tokens(arguments.json, adapters.session(&engine)?, &prompt, parser, &options, &cancel)?
    } else {
        let session = adapters.session(&engine)?;
        let mut chat = Chat::new(session, started);
        let mut output = Output::new();
        let message = media::message(show(&mut chat, &media, &cancel)?, &input.unwrap_or_default());
        let summary = pollster::block_on(chat.send(message, &options, &cancel, &mut |event| output.event(event, &cancel)))?;
        output.note_silence(&summary);
        output.finish()?;
        summary
    };
    if arguments.verbose {
        terminal::tell(&format!("{}\n", output::timings(&summary)));
        if let Some(experts) = load::experts_since(&engine, Default::default()) {
            terminal::tell(&format!("{experts}\n"));
        }
    }
    if summary.finish == Finish::Cancelled { Err(Interrupted.into()) } else { Ok(()) }
}

fn read_stdin() -> Result<String> {
    let text = input::stdin()?;
    if text.trim().is_empty() {
        return Err(usage("standard input is empty. Give a PROMPT."));
    }
    Ok(text)
}

/// What is piped in, a blank line and the prompt; where nothing is, the prompt.
fn with_stdin(prompt: &str) -> Result<String> {
    if io::stdin().is_terminal() {
        return Ok(prompt.to_owned());
    }
    // An input that stays open looks like a slow one: say what is waited for.
    let (ended, waiting) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if waiting.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            terminal::tell("note: waiting for standard input to end, which comes before the prompt; `< /dev/null` gives none\n");
        }
    });
    let text = input::stdin();
    drop(ended);
    let text = text?;
    let text = text.trim_end_matches(['\n', '\r']);
    Ok(if text.trim().is_empty() { prompt.to_owned() } else { format!("{text}\n\n{prompt}") })
}

/// The system prompt and first messages, which Ollama may store with a model.
fn chat_options(arguments: &Arguments, located: &Located) -> ChatOptions {
    let stored = located.stored.as_ref();
    let system = arguments.system.clone().or_else(|| stored.and_then(|stored| stored.system.clone()));
    let messages = stored.map_or(&[][..], |stored| &stored.messages);
    let messages = messages.iter().map(|message| Message::new(Role::from(message.role.clone()), message.content.clone())).collect();
    ChatOptions { system: system.filter(|text| !text.is_empty()), thinking: arguments.think, messages, ..ChatOptions::default() }
}

/// Lets the model perceive media.
fn show(chat: &mut Chat, media: &[Given], cancel: &Cancel) -> Result<Vec<MediaPart>> {
    let one = |given: &Given| match given.frame {
        Some(frame) => Ok(pollster::block_on(chat.show_frame(&given.medium, frame, cancel))?),
        None => Ok(pollster::block_on(chat.show(&given.medium, cancel))?),
    };
    media.iter().map(one).collect()
}

/// What to continue, and what takes the answer apart if they are a conversation.
fn prompt(
    arguments: &Arguments,
    engine: &Engine,
    input: Option<&str>,
    started: &ChatOptions,
    media: Vec<Given>,
) -> Result<(Prompt, Option<OutputParser>)> {
    if let Some(ids) = &arguments.ids {
        check_ids(ids, engine.info().vocab)?;
        let shown = media::show(engine, &arguments.media, media, &placeholder_runs(engine, ids))?;
        return Ok((media::prompt(engine, ids, &shown)?, None));
    }
    let input = input.unwrap_or_default();
    if arguments.raw {
        return Ok((engine.tokenizer().encode_prompt(&[Segment::Text(input.to_owned())])?.into(), None));
    }
    let (mut gallery, mut parts) = (Gallery::default(), Vec::new());
    for (n, given) in media.iter().enumerate() {
        let part = given.part(format!("medium {n}"));
        gallery.insert(&part, pollster::block_on(engine.encode(&given.medium, &Cancel::new()))?);
        parts.push(part);
    }
    let user = media::message(parts, input);
    let system = started.system.as_deref().map(Message::system);
    let messages: Vec<Message> = system.into_iter().chain(started.messages.iter().cloned()).chain([user]).collect();
    let conversation = rullama::text::chat::Conversation {
        messages: &messages,
        thinking: started.thinking,
        size: engine.template_size(),
        ..Default::default()
    };
    let parser = OutputParser::new(ParserOptions::of(&conversation));
    Ok((gallery.prompt(engine, &conversation)?, Some(parser)))
}

/// The last line of `--json`: what the answer was, and for a conversation its parts.
#[derive(Serialize)]
struct Last<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    #[serde(flatten)]
    parsed: Option<Parsed>,
}

/// Generates from a prompt and prints each token as text or as a line of JSON.
fn tokens(
    json: bool,
    mut session: Session,
    prompt: &Prompt,
    mut parser: Option<OutputParser>,
    options: &GenerateOptions,
    cancel: &Cancel,
) -> Result<Summary> {
    session.show_specials(if parser.is_some() { Specials::Markers } else { Specials::Hide });
    let mut output = Output::new();
    let mut parsed = Parsed::default();
    let mut on_token = |token: &rullama::Token| {
        if json {
            output.json(token, cancel)
        } else {
            output.text(&token.text, cancel)
        }
        if let Some(parser) = &mut parser {
            token.pieces().for_each(|piece| parsed.extend(parser.push(piece)));
        }
    };
    let summary = pollster::block_on(session.generate_prompt(prompt, options, cancel, &mut on_token))?;
    if json {
        let parsed = parser.map(|mut parser| {
            parsed.extend(parser.finish(summary.finish.ending()));
            parsed
        });
        output.json(&Last { summary: &summary, parsed }, cancel);
    }
    output.finish()?;
    Ok(summary)
}
