use crate::error::usage;
use crate::input;
use crate::model;
use crate::sampling::token_id;
use crate::table::Table;
use crate::terminal;
use anyhow::Result;
use rullama_text::{Segment, Specials, Tokenizer};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write;

/// Turn text into token ids, or ids into text
///
/// Text comes from the arguments, or from standard input without any. Special tokens in it stay the
/// characters they are, as they do in what a person types; `--special` reads them as tokens. No
/// beginning-of-sequence token is added.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model whose vocabulary to use
    model: OsString,
    /// The text; several are joined by spaces
    text: Vec<String>,
    /// Read special tokens such as <|turn> as tokens
    #[arg(long, conflicts_with = "plain")]
    special: bool,
    /// Read special tokens as characters (the default)
    #[arg(long)]
    plain: bool,
    /// Turn these ids into text instead
    #[arg(long, value_delimiter = ',', value_parser = token_id, value_name = "IDS", conflicts_with_all = ["text", "special", "plain"])]
    decode: Option<Vec<u32>>,
    /// The input is JSON: a text, a list of texts, or a list of segments {"text": ...} and {"special": ...}; prints JSON
    #[arg(long, conflicts_with = "decode")]
    json: bool,
    /// Print the ids only, comma-separated as `run --ids` takes them
    #[arg(long, conflicts_with = "json")]
    ids: bool,
}

const EXAMPLES: &str = "Examples:
  rullama tokenize gemma4:e2b 'Hello world'
  rullama tokenize embedded --special '<bos><|turn>user' --ids
  echo '[\"one\", \"two\"]' | rullama tokenize embedded --json
  rullama tokenize embedded --decode 2,105,2364";

pub fn run(arguments: &Arguments) -> Result<()> {
    let (_, gguf) = model::open(&arguments.model)?;
    let tokenizer = rullama::tokenizer(&gguf.metadata)?;
    let mut out = terminal::stdout();
    if let Some(ids) = &arguments.decode {
        if let Some(id) = ids.iter().find(|id| **id as usize >= tokenizer.len()) {
            return Err(usage(format!("id {id} is outside the vocabulary of {}.", tokenizer.len())));
        }
        writeln!(out, "{}", tokenizer.decode(ids, Specials::Show))?;
        return Ok(());
    }
    let input = if arguments.text.is_empty() { input::stdin()? } else { arguments.text.join(" ") };
    if arguments.json {
        let value: Value =
            serde_json::from_str(input::without_mark(&input)).map_err(|error| usage(format!("the input is not JSON: {error}.")))?;
        writeln!(out, "{}", from_json(&tokenizer, &value, arguments.special)?)?;
        return Ok(());
    }
    let ids = encode(&tokenizer, &input, arguments.special)?;
    if arguments.ids {
        let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
        writeln!(out, "{}", ids.join(","))?;
        return Ok(());
    }
    let mut table = Table::new(&[">id", "piece"]);
    for id in &ids {
        table.row([id.to_string(), format!("{:?}", tokenizer.piece(*id).unwrap_or_default())]);
    }
    out.write_all(table.render().as_bytes())?;
    writeln!(out, "{} tokens", ids.len())?;
    Ok(())
}

fn encode(tokenizer: &Tokenizer, text: &str, special: bool) -> Result<Vec<u32>> {
    let text = text.to_owned();
    Ok(tokenizer.encode_segments(&[if special { Segment::Template(text) } else { Segment::Text(text) }])?)
}

fn from_json(tokenizer: &Tokenizer, value: &Value, special: bool) -> Result<Value> {
    let ids = match value {
        Value::String(text) => encode(tokenizer, text, special)?,
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let segments: Vec<Segment> = items.iter().map(segment).collect::<Result<_>>()?;
            tokenizer.encode_segments(&segments)?
        }
        Value::Array(items) => {
            let each: Vec<Value> = items.iter().map(|item| from_json(tokenizer, item, special)).collect::<Result<_>>()?;
            return Ok(Value::Array(each));
        }
        other => return Err(usage(format!("expected a text or a list, got {other}."))),
    };
    let pieces: Vec<&str> = ids.iter().map(|id| tokenizer.piece(*id).unwrap_or_default()).collect();
    Ok(json!({"ids": ids, "pieces": pieces}))
}

fn segment(value: &Value) -> Result<Segment> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    match (text("text"), text("special")) {
        (Some(text), None) => Ok(Segment::Text(text)),
        (None, Some(piece)) => Ok(Segment::Special(piece.into())),
        _ => Err(usage(format!("a segment is {{\"text\": ...}} or {{\"special\": ...}}, got {value}."))),
    }
}
