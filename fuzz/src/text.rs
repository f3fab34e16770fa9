//! What models write and what people send them.

use rullama_text::chat::{Conversation, Message, Size, Tool, render};
use rullama_text::{Ending, OutputParser, Parsed, ParserOptions, Piece, Segment, StopStep, StopStrings, Tokenizer, Vocabulary};
use std::sync::LazyLock;

const MARKS: [&str; 7] = ["<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>"];

/// A byte before a mark that makes it text.
const AS_TEXT: char = '\u{1}';

const TOOLS: &str = r#"[{"name": "f", "parameters": {"required": ["a"], "properties": {
    "a": {"type": "string"}, "b": {"type": ["null", "STRING"]}, "c": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    "": {"type": "string"}, "n": {"type": "integer"}, "l": {"type": "array", "items": {"type": "string"}},
    "o": {"type": "object", "properties": {"a": {"type": "string"}, "x:y": {"type": "boolean"}}}}}}]"#;

static PARSER_TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| serde_json::from_str(TOOLS).expect("tools"));

/// Reads an answer as a whole and cut into small texts: the parts must agree, and stop strings must find the same.
/// Two bytes of options, then the text with its marks spelt.
///
/// # Panics
/// On a finding.
pub fn parser(data: &[u8]) {
    let [flags, step, text @ ..] = data else { return };
    let text = String::from_utf8_lossy(text);
    let tools = if flags & 1 == 0 { Vec::new() } else { PARSER_TOOLS.clone() };
    let options = ParserOptions { tools, thinking: flags & 2 != 0, starts_in_thought: flags & 4 != 0 };
    let ending = if flags & 8 == 0 { Ending::Complete } else { Ending::Cut };
    let whole = pieces(&text);
    let cut = cut(&whole, usize::from(*step).max(1));
    let parsed = parse(&whole, options.clone(), ending);
    assert_eq!(parsed, parse(&cut, options, ending));
    let opened = whole.iter().filter(|piece| **piece == Piece::Special("<|tool_call>")).count();
    assert!(parsed.tool_calls.len() + parsed.unreadable.len() <= opened);
    let stops = ["<|", "\n\n", "é", "aXa", "call>x"];
    assert_eq!(stopped(&whole, &stops), stopped(&cut, &stops));
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some((start, mark)) = MARKS.iter().filter_map(|mark| Some((from + rest[from..].find(mark)?, mark))).min() {
        if rest[..start].ends_with(AS_TEXT) {
            from = start + mark.len();
            continue;
        }
        pieces.extend([Piece::Text(&rest[..start]), Piece::Special(&rest[start..start + mark.len()])]);
        rest = &rest[start + mark.len()..];
        from = 0;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

fn cut<'a>(pieces: &[Piece<'a>], step: usize) -> Vec<Piece<'a>> {
    let mut cut = Vec::new();
    for &piece in pieces {
        let Piece::Text(mut rest) = piece else {
            cut.push(piece);
            continue;
        };
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.ceil_char_boundary(step.min(rest.len())));
            cut.push(Piece::Text(part));
            rest = after;
        }
    }
    cut
}

fn parse(pieces: &[Piece<'_>], options: ParserOptions, ending: Ending) -> Parsed {
    let mut parser = OutputParser::new(options);
    let mut parsed = Parsed::default();
    pieces.iter().for_each(|&piece| parsed.extend(parser.push(piece)));
    parsed.extend(parser.finish(ending));
    parsed
}

/// The text before a stop string, and how many special tokens are in it; each must be whole.
fn stopped(pieces: &[Piece<'_>], stops: &[&str]) -> (String, usize) {
    let mut stream = StopStrings::new(stops.iter().copied());
    let (mut text, mut marks) = (String::new(), 0);
    let mut add = |step: StopStep| {
        assert!(step.marks.iter().all(|mark| MARKS.contains(&&step.text[mark.clone()])));
        text.push_str(&step.text);
        marks += step.marks.len();
    };
    for &piece in pieces {
        add(match piece {
            Piece::Text(text) => stream.push(text),
            Piece::Special(mark) => stream.push_mark(mark),
        });
    }
    add(stream.finish());
    (text, marks)
}

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
    let marks = ["<|turn>", "<turn|>", "<|think|>", "<|tool>", "<tool|>"];
    let control = ["<pad>", "<eos>", "<bos>"].into_iter().chain(marks).chain(MARKS).map(String::from);
    let mut pieces: Vec<String> = control.collect();
    let mut types = vec![3; pieces.len()];
    pieces.extend((0..=255u8).map(|byte| format!("<0x{byte:02X}>")));
    types.resize(pieces.len(), 6);
    pieces.extend((33..127u8).map(|byte| char::from(byte).to_string()).chain(["<unk>", "<|", "|>"].map(String::from)));
    types.resize(pieces.len(), 1);
    let merges = ["< |", "| >"];
    let vocabulary = Vocabulary {
        scores: &[],
        model: "gemma4",
        pieces: &pieces,
        types: &types,
        merges: &merges.to_vec(),
        bos: Some(2),
        eos: Some(1),
        unknown: None,
        eos_ids: &[],
        end_of_turn: None,
    };
    Tokenizer::new(&vocabulary).expect("a vocabulary")
});

/// Renders a conversation and encodes it: only the template's marks become special tokens.
///
/// # Panics
/// On a finding.
pub fn chat(data: &[u8]) {
    let Ok(input) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    let list = |key: &str| input.get(key).cloned().unwrap_or_default();
    let messages: Vec<Message> = serde_json::from_value(list("messages")).unwrap_or_default();
    let tools: Vec<Tool> = serde_json::from_value(list("tools")).unwrap_or_default();
    for message in &messages {
        let again = serde_json::to_value(message).expect("a message has a JSON form");
        let again: Message = serde_json::from_value(again).expect("what was written can be read");
        assert_eq!((&again.role, &again.content, &again.tool_calls), (&message.role, &message.content, &message.tool_calls));
    }
    for (thinking, size) in [(false, Size::Small), (true, Size::Large)] {
        let conversation = Conversation { messages: &messages, tools: &tools, thinking, size };
        let segments = render(&conversation);
        let opens = matches!(segments.last(), Some(Segment::Text(text)) if text == "thought\n");
        assert_eq!(ParserOptions::of(&conversation).starts_in_thought, opens && thinking);
        assert!(!segments.iter().any(|segment| matches!(segment, Segment::Template(_))));
        let specials = segments.iter().filter(|segment| matches!(segment, Segment::Special(_))).count();
        let ids = TOKENIZER.encode_prompt(&segments).expect("the vocabulary has all marks");
        assert_eq!(ids.iter().filter(|id| TOKENIZER.is_special(**id)).count(), specials, "text became a special token");
    }
}
