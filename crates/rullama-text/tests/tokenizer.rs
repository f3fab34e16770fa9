//! Token ids against Hugging Face's `tokenizers` and llama.cpp, on 2,048 pieces always and on
//! the full vocabulary where it is present.

use std::time::{Duration, Instant};

use crate::common::{Tables, data, ids, read_json};
use rullama_testing::{golden, shared};
use rullama_text::{AnswerText, Detokenizer, Piece, Segment, Specials, StopStrings, Tokenizer, TokenizerError, Vocabulary, pieces};
use serde_json::Value;

/// A token that a person would not see.
fn is_special(tokenizer: &Tokenizer, id: u32) -> bool {
    tokenizer.decode(&[id], Specials::Show) != tokenizer.decode(&[id], Specials::Hide)
}

/// Each case: ids with special tokens read, ids of plain text, and the text that comes back.
fn check_cases(tokenizer: &Tokenizer, cases: &Value) {
    let cases = cases.as_array().expect("cases");
    assert!(cases.len() >= 499);
    for case in cases {
        let text = case["text"].as_str().expect("text");
        let expected = ids(&case["ids"]);
        let template = Segment::Template(text.to_string());
        assert_eq!(tokenizer.encode_segments(&[template]).unwrap(), expected, "{text:?}");
        let decoded = case["decode"].as_str().unwrap_or(text);
        let llama_plain = match &case["llama_plain"] {
            Value::Bool(true) => expected.clone(),
            list => ids(list),
        };
        let plain = tokenizer.encode_plain(text);
        // llama.cpp reads user-defined tokens even in plain text; here plain text has none.
        if !llama_plain.iter().any(|&id| is_special(tokenizer, id)) {
            assert_eq!(plain, llama_plain, "plain {text:?}");
        }
        assert!(!plain.iter().any(|&id| is_special(tokenizer, id)), "{text:?}");
        assert_eq!(tokenizer.decode(&plain, Specials::Hide), decoded);
        assert_eq!(tokenizer.decode(&expected, Specials::Show), decoded);
        let mut stream = Detokenizer::new(Specials::Show);
        let mut streamed: String = expected.iter().map(|&id| stream.push(tokenizer, id)).collect();
        streamed.push_str(&stream.finish());
        assert_eq!(streamed, decoded);
        let bytes: Vec<u8> = expected.iter().flat_map(|&id| tokenizer.bytes_of(id)).collect();
        assert_eq!(String::from_utf8_lossy(&bytes), decoded);
    }
    assert!(tokenizer.bytes_of(tokenizer.len() as u32).is_empty());
}

fn tiny_vocabulary() {
    check_cases(&Tables::tiny().tokenizer(), &data("tokenizer_tiny.json"));
}

fn full_vocabulary() {
    let path = shared("tokenizer/ggml-vocab-gemma-4.gguf");
    let tables = Tables::from_gguf(&path);
    let start = Instant::now();
    let tokenizer = tables.tokenizer();
    eprintln!("built in {:?}, {} bytes", start.elapsed(), tokenizer.memory_bytes());
    assert!(tokenizer.memory_bytes() < 16 << 20);
    assert_eq!(tokenizer.len(), 262_144);
    assert_eq!(tokenizer.end_tokens(), [1, 50, 106]);
    let cases = shared("tokenizer/tokenizer_full.json");
    check_cases(&tokenizer, &read_json(&cases)["cases"]);
    let cases = shared("tokenizer/llamacpp_shipped_gemma4_vectors.json");
    for case in read_json(&cases).as_array().expect("cases") {
        let text = case["text"].as_str().expect("text");
        assert_eq!(tokenizer.encode_plain(text), ids(&case["ids"]), "{text:?}");
    }
    let newlines = "\n".repeat(40);
    for (text, expected) in [
        ("hello world", &[23391, 1902][..]),
        ("    Hello\n    Hello", &[140, 9259, 107, 140, 9259]),
        ("café résumé naïve", &[123125, 236859, 118515, 120362]),
        ("aaaaaa", &[50354, 9236]),
        ("\t\n", &[255968, 107]),
        (&newlines, &[137, 115]),
        ("", &[]),
    ] {
        assert_eq!(tokenizer.encode_plain(text), expected, "{text:?}");
    }
}

fn ollama_dialect_gives_the_same_ids() {
    // Ollama writes `llama`, types byte pieces as normal and every special piece as control.
    let mut tables = Tables::tiny();
    tables.model = "llama".into();
    tables.eos_ids = vec![1, 106];
    for kind in &mut tables.types {
        *kind = match *kind {
            6 => 1,
            4 => 3,
            other => other,
        };
    }
    let tokenizer = tables.tokenizer();
    check_cases(&tokenizer, &data("tokenizer_tiny.json"));
    assert_eq!(tokenizer.end_tokens(), [1, 50, 106]);
    let call = tokenizer.find("<|tool_call>").unwrap();
    assert!(tokenizer.is_control(call));
    assert_eq!(tokenizer.decode(&[call, tokenizer.bos()], Specials::Markers), "<|tool_call>");
    assert_eq!(tokenizer.decode(&[call, tokenizer.bos()], Specials::Hide), "");
}

fn a_prompt_begins_with_one_bos() {
    let tokenizer = Tables::tiny().tokenizer();
    let bos = tokenizer.bos();
    let text = || Segment::Text("<bos>a".into());
    let plain = [&[bos][..], &tokenizer.encode_plain("<bos>a")].concat();
    for segments in [vec![text()], vec![Segment::special("<bos>"), text()], vec![Segment::Template("<bos><bos>".into()), text()]] {
        assert_eq!(tokenizer.encode_prompt(&segments).unwrap(), plain);
    }
    assert_eq!(tokenizer.encode_prompt(&[]).unwrap(), [bos]);
}

fn adjacent_text_is_joined_before_merging() {
    let tokenizer = Tables::tiny().tokenizer();
    let parts = ["\n", "\nth", "e", " ", " end"].map(|t| Segment::Text(t.into()));
    assert_eq!(tokenizer.encode_segments(&parts).unwrap(), tokenizer.encode_plain("\n\nthe  end"));
}

fn unknown_special_segment_is_an_error() {
    let tokenizer = Tables::tiny().tokenizer();
    for piece in ["<|nonsense|>", "the"] {
        assert_eq!(tokenizer.encode_segments(&[Segment::special(piece)]), Err(TokenizerError::UnknownSpecial { piece: piece.into() }));
    }
}

fn characters_are_never_split() {
    let tokenizer = Tables::tiny().tokenizer();
    let byte = |b: u8| tokenizer.find(&format!("<0x{b:02X}>")).unwrap();
    let mut stream = Detokenizer::new(Specials::Hide);
    let mut push = |b: u8| stream.push(&tokenizer, byte(b));
    assert_eq!([push(0xF0), push(0x9F), push(0x98), push(0x80)], ["", "", "", "😀"]);
    // A character that breaks off, and one that never ends.
    assert_eq!([push(0xE2), push(0x82), push(b'a'), push(0xFF)], ["", "", "\u{FFFD}a", "\u{FFFD}"]);
    assert_eq!(push(0xE2), "");
    assert_eq!(stream.finish(), "\u{FFFD}");
    assert_eq!(stream.finish(), "");
    // Ids outside the vocabulary are nothing.
    assert_eq!(tokenizer.decode(&[u32::MAX, 2048], Specials::Show), "");
    assert_eq!((tokenizer.piece(2048), tokenizer.is_control(u32::MAX)), (None, false));
}

fn long_text_takes_bounded_time() {
    // Quadratic merging of a megabyte would take hours.
    let tokenizer = Tables::tiny().tokenizer();
    let mut state = 1u64;
    let random: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b' ' + ((state >> 33) % 95) as u8)
    })
    .take(1 << 20)
    .collect();
    for text in ["a".repeat(1 << 20), " ".repeat(1 << 20), "\n".repeat(1 << 20), random] {
        let start = Instant::now();
        let encoded = tokenizer.encode_plain(&text);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(tokenizer.decode(&encoded, Specials::Show), text);
    }
}

fn damaged_vocabularies_are_refused_by_name() {
    let refuse = |change: &dyn Fn(&mut Tables)| {
        let mut tables = Tables::tiny();
        change(&mut tables);
        Tokenizer::new(&tables.vocabulary()).err()
    };
    assert_eq!(refuse(&|t| t.model = "gpt2".into()), Some(TokenizerError::Model { model: "gpt2".into() }));
    assert_eq!(refuse(&|t| t.tokens.clear()), Some(TokenizerError::Empty));
    assert_eq!(refuse(&|t| t.merges.clear()), Some(TokenizerError::NoMerges));
    assert_eq!(refuse(&|t| t.types.truncate(7)), Some(TokenizerError::TypeCount { types: 7, pieces: 2048 }));
    assert_eq!(refuse(&|t| t.types[9] = 7), Some(TokenizerError::Type { id: 9, value: 7 }));
    for merge in ["", " ", "a", "a ", " a", "no such"] {
        assert_eq!(refuse(&|t| t.merges[5] = merge.into()), Some(TokenizerError::Merge { rank: 5, merge: merge.into() }));
    }
    assert_eq!(refuse(&|t| t.eos_ids = vec![2048]), Some(TokenizerError::TokenId { key: "eos_token_ids", id: 2048, len: 2048 }));
    let mut tables = Tables::tiny();
    tables.tokens[2] = "<none>".into();
    let mut vocabulary = tables.vocabulary();
    vocabulary.bos = None;
    assert_eq!(Tokenizer::new(&vocabulary).err(), Some(TokenizerError::MissingToken { name: "<bos>" }));
    tables.tokens[238] = "<zero>".into();
    tables.tokens[3] = "<what>".into();
    let mut vocabulary = tables.vocabulary();
    vocabulary.unknown = None;
    assert_eq!(Tokenizer::new(&vocabulary).err(), Some(TokenizerError::MissingByte { byte: 0 }));
}

fn end_tokens_are_known_by_their_spelling() {
    let mut tables = Tables::tiny();
    let ends = |tables: &Tables, eos, end_of_turn| {
        let vocabulary = Vocabulary { eos, end_of_turn, ..tables.vocabulary() };
        Tokenizer::new(&vocabulary).expect("a valid vocabulary").end_tokens().to_vec()
    };
    // Files name the end of a turn, something else or nothing.
    assert_eq!(ends(&tables, Some(106), None), [1, 50, 106]);
    assert_eq!(ends(&tables, Some(1), Some(1)), [1, 50, 106]);
    assert_eq!(ends(&tables, None, Some(106)), [1, 50, 106]);
    assert_eq!(ends(&tables, Some(7), Some(8)), [1, 7, 8, 50, 106]);
    tables.eos_ids = vec![9];
    assert_eq!(ends(&tables, Some(106), None), [1, 9, 50, 106]);
}

fn an_answer_remembers_what_special_tokens_spell() {
    let tables = Tables::tiny();
    let tokenizer = tables.tokenizer();
    let spelt = tokenizer.encode_plain("a<|tool_call>b");
    let (call, euro) = (tokenizer.find("<|tool_call>").expect("a marker"), tokenizer.find("<0xE2>").expect("a byte"));
    let ids: Vec<u32> = spelt.iter().copied().chain([euro, call]).chain(spelt.iter().copied()).collect();
    let read = |stops: &[&str], specials| {
        let mut stream = AnswerText::new(specials, StopStrings::new(stops.iter().copied()));
        let mut steps: Vec<_> = ids.iter().map(|&id| stream.push(&tokenizer, id)).collect();
        steps.push(stream.finish());
        let stopped = steps.iter().any(|step| step.stop.is_some());
        let owned = |piece| match piece {
            Piece::Text(text) => (false, text.to_owned()),
            Piece::Special(text) => (true, text.to_owned()),
        };
        let mut parts: Vec<(bool, String)> = Vec::new();
        for (special, text) in steps.iter().flat_map(|step| pieces(&step.text, &step.marks).map(owned)) {
            match parts.last_mut() {
                Some((false, last)) if !special => last.push_str(&text),
                _ => parts.push((special, text)),
            }
        }
        let parts: Vec<String> = parts.into_iter().map(|(special, text)| if special { format!("[{text}]") } else { text }).collect();
        (parts, stopped)
    };
    let (before, mark, after) = ("a<|tool_call>b\u{fffd}", "[<|tool_call>]", "a<|tool_call>b");
    // Whatever has to wait, the token stays whole.
    for stops in [&[][..], &["nothing", "call>x"], &["l>abc", "<|tool_call>b!"]] {
        assert_eq!(read(stops, Specials::Markers), (vec![before.into(), mark.into(), after.into()], false), "{stops:?}");
    }
    assert_eq!(read(&[">a<"], Specials::Markers), (vec![before.into()], true), "it starts in the token");
    assert_eq!(read(&["\u{fffd}<|tool"], Specials::Markers), (vec!["a<|tool_call>b".into()], true), "it ends in the token");
    assert_eq!(read(&["<|tool_call>a"], Specials::Markers), (vec![before.into()], true), "it starts with the token");
    assert_eq!(read(&[], Specials::Hide).0, ["a<|tool_call>b\u{fffd}a<|tool_call>b"]);
}

/// Vocabularies with scores: ids of SentencePiece, or of score merges where control tokens in the text are no tokens.
fn vocabularies_with_scores() {
    let cases = read_json(&golden("embedding/tokenizer.json"));
    for (file, key) in [("gemma-embedding-F16", "ids_score_merge_llamacpp_file"), ("gemma3-Q8_0", "ids_score_merge_ollama_file")] {
        let tokenizer = Tables::from_gguf(&golden(&format!("embedding/models/embeddinggemma-tiny-{file}.gguf"))).tokenizer();
        let cases = cases["cases"].as_array().expect("cases");
        assert!(cases.len() >= 216);
        for case in cases {
            let text = case["text"].as_str().expect("text");
            let expected = ids(case.get(key).unwrap_or(&case["ids"]));
            let plain = tokenizer.encode_plain(text);
            assert_eq!(plain, expected, "{file}: {text:?}");
            assert!(!plain.iter().any(|&id| tokenizer.is_control(id)), "{text:?}");
            // A typed U+2581 is a space to the vocabulary.
            assert_eq!(tokenizer.decode(&plain, Specials::Hide), text.replace('\u{2581}', " "), "{file}");
        }
    }
}

fn scored() -> Tables {
    Tables::from_gguf(&golden("embedding/models/embeddinggemma-tiny-gemma-embedding-F16.gguf"))
}

fn damaged_scores_are_refused_by_name() {
    let refuse = |change: &dyn Fn(&mut Tables)| {
        let mut tables = scored();
        change(&mut tables);
        Tokenizer::new(&tables.vocabulary()).err()
    };
    assert_eq!(refuse(&|t| t.scores.truncate(7)), Some(TokenizerError::ScoreCount { scores: 7, pieces: 900 }));
    assert_eq!(refuse(&|t| t.scores.clear()), Some(TokenizerError::NoMerges));
    // What files of other tokenizers hold.
    assert_eq!(refuse(&|t| t.scores.fill(-1000.0)), Some(TokenizerError::NoMerges));
    assert_eq!(refuse(&|t| t.scores[5] = f32::NAN), Some(TokenizerError::Score { id: 5, value: "NaN".into() }));
    assert_eq!(refuse(&|t| t.model = "gemma4".into()), Some(TokenizerError::NoMerges));
    let long = "a".repeat(1025);
    assert_eq!(refuse(&|t| t.tokens[700] = long.clone()), Some(TokenizerError::PieceLength { id: 700, len: 1025, limit: 1024 }));
}

/// Texts that merge all the way, not at all, or are user-defined throughout; and pieces as long as they may be, each of which is a prefix
/// of the next.
fn long_text_by_scores_takes_bounded_time() {
    let mut hostile = scored();
    for (n, id) in (600..700).enumerate() {
        (hostile.tokens[id], hostile.scores[id]) = ("e".repeat(1024 - n), n as f32);
    }
    let texts = ["e".repeat(1 << 19), " ".repeat(1 << 19), "\n".repeat(1 << 19), "<table>".repeat(1 << 16), "e t".repeat(1 << 18)];
    for tokenizer in [scored().tokenizer(), hostile.tokenizer()] {
        for text in &texts {
            let start = Instant::now();
            let encoded = tokenizer.encode_plain(text);
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
            assert_eq!(&tokenizer.decode(&encoded, Specials::Show), text);
        }
    }
}

rullama_testing::tests! {
    vocabularies_with_scores,
    damaged_scores_are_refused_by_name,
    long_text_by_scores_takes_bounded_time,
    tiny_vocabulary,
    full_vocabulary,
    ollama_dialect_gives_the_same_ids,
    a_prompt_begins_with_one_bos,
    adjacent_text_is_joined_before_merging,
    unknown_special_segment_is_an_error,
    characters_are_never_split,
    long_text_takes_bounded_time,
    damaged_vocabularies_are_refused_by_name,
    end_tokens_are_known_by_their_spelling,
    an_answer_remembers_what_special_tokens_spell,
}
