//! What the tests share: goldens, and just enough GGUF to read a vocabulary.

use std::fs;
use std::path::Path;

use rullama_text::chat::{Conversation, Message, Tool, render};
use rullama_text::{Ending, OutputParser, Parsed, ParserOptions, Piece, Segment, Tokenizer, Vocabulary};
use serde_json::{Value, json};

/// A golden of this crate.
pub fn data(name: &str) -> Value {
    read_json(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name))
}

pub fn read_json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|v| v.as_u64().expect("id") as u32).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().expect("list").iter().map(|v| v.as_str().expect("text").to_string()).collect()
}

/// The tables of a vocabulary, owned.
#[derive(Default)]
pub struct Tables {
    pub model: String,
    pub tokens: Vec<String>,
    pub types: Vec<i32>,
    pub merges: Vec<String>,
    pub scores: Vec<f32>,
    pub eos_ids: Vec<u32>,
}

impl Tables {
    /// 2,048 pieces of the Gemma 4 vocabulary.
    pub fn tiny() -> Tables {
        let value = data("vocabulary_tiny.json");
        let types = value["types"].as_array().expect("types");
        Tables {
            model: value["model"].as_str().expect("model").to_string(),
            tokens: strings(&value["tokens"]),
            types: types.iter().map(|v| v.as_i64().expect("type") as i32).collect(),
            merges: strings(&value["merges"]),
            scores: Vec::new(),
            eos_ids: Vec::new(),
        }
    }

    pub fn vocabulary(&self) -> Vocabulary<'_> {
        Vocabulary {
            model: &self.model,
            pieces: &self.tokens,
            types: &self.types,
            merges: &self.merges,
            scores: &self.scores,
            bos: Some(2),
            eos: Some(1),
            unknown: Some(3),
            eos_ids: &self.eos_ids,
            end_of_turn: None,
        }
    }

    pub fn tokenizer(&self) -> Tokenizer {
        Tokenizer::new(&self.vocabulary()).expect("a valid vocabulary")
    }

    /// The tokenizer arrays of a GGUF file.
    pub fn from_gguf(path: &Path) -> Tables {
        let bytes = fs::read(path).expect("readable GGUF");
        let mut reader = Reader { bytes: &bytes, at: 16 };
        let mut tables = Tables::default();
        for _ in 0..reader.u64() {
            let key = reader.string();
            let kind = reader.u32();
            match key.as_str() {
                "tokenizer.ggml.model" => tables.model = reader.string(),
                "tokenizer.ggml.tokens" => tables.tokens = reader.array(Reader::string),
                "tokenizer.ggml.merges" => tables.merges = reader.array(Reader::string),
                "tokenizer.ggml.scores" => tables.scores = reader.array(|r| f32::from_bits(r.u32())),
                "tokenizer.ggml.token_type" => {
                    tables.types = reader.array(|r| r.u32() as i32);
                }
                "tokenizer.ggml.eos_token_ids" => tables.eos_ids = reader.array(Reader::u32),
                _ => reader.skip(kind),
            }
        }
        tables
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        self.at += N;
        self.bytes[self.at - N..self.at].try_into().expect("N bytes")
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn string(&mut self) -> String {
        let len = self.u64() as usize;
        self.at += len;
        String::from_utf8(self.bytes[self.at - len..self.at].to_vec()).expect("UTF-8")
    }

    fn array<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let _kind = self.u32();
        (0..self.u64()).map(|_| item(self)).collect()
    }

    fn skip(&mut self, kind: u32) {
        match kind {
            8 => drop(self.string()),
            9 => {
                let kind = self.u32();
                for _ in 0..self.u64() {
                    self.skip(kind);
                }
            }
            0 | 1 | 7 => self.at += 1,
            2 | 3 => self.at += 2,
            4..=6 => self.at += 4,
            _ => self.at += 8,
        }
    }
}

const MARKS: [&str; 7] = ["<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>"];

/// Text in which marks are spelt out as the pieces that a model gives.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((start, mark)) = MARKS.iter().filter_map(|mark| Some((rest.find(mark)?, mark))).min() {
        pieces.extend([Piece::Text(&rest[..start]), Piece::Special(&rest[start..start + mark.len()])]);
        rest = &rest[start + mark.len()..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}

pub fn parse_pieces(pieces: &[Piece<'_>], options: ParserOptions, ending: Ending) -> Parsed {
    let mut parser = OutputParser::new(options);
    let mut parsed = Parsed::default();
    pieces.iter().for_each(|&piece| parsed.extend(parser.push(piece)));
    parsed.extend(parser.finish(ending));
    parsed
}

pub fn parse(text: &str, options: ParserOptions) -> Parsed {
    parse_pieces(&pieces(text), options, Ending::Complete)
}

pub fn tools(value: Value) -> ParserOptions {
    ParserOptions { tools: serde_json::from_value::<Vec<Tool>>(value).expect("tools"), ..Default::default() }
}

/// The call that a model would have made, as the template writes it, and read back.
pub fn written_and_read(arguments: &Value) -> Parsed {
    let call = json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]});
    let message: Message = serde_json::from_value(call).expect("a message");
    let prompt = render(&Conversation { messages: &[message], ..Default::default() });
    fn piece(segment: &Segment) -> Piece<'_> {
        match segment {
            Segment::Special(piece) => Piece::Special(piece),
            other => Piece::Text(other.as_str()),
        }
    }
    let pieces: Vec<Piece<'_>> = prompt.iter().map(piece).collect();
    let from = pieces.iter().position(|piece| *piece == Piece::Special("<|tool_call>")).expect("a call");
    parse_pieces(&pieces[from..], ParserOptions::default(), Ending::Complete)
}
