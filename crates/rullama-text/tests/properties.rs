//! Properties of the tokenizer and of stop strings on any text.

use std::sync::LazyLock;

use crate::common::Tables;
use proptest::prelude::*;
use rullama_text::{Detokenizer, Segment, Specials, StopMatch, StopStrings, Tokenizer};

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| Tables::tiny().tokenizer());
static MERGES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let split = |merge: &String| {
        let spaces = merge.match_indices(' ').map(|(at, _)| at);
        let space = spaces.into_iter().find(|&at| at > 0).expect("two parts");
        (merge[..space].to_string(), merge[space + 1..].to_string())
    };
    Tables::tiny().merges.iter().map(split).collect()
});

/// Text of common words, odd characters and spelt-out special tokens.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<String>(),
        "[a-z \n]{0,12}",
        prop::sample::select(vec!["<|turn>", "<bos>", "<0x41>", "the ", "\n\n\n", "   ", "\u{2581}"]).prop_map(String::from),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// Merging on strings, one pass over the text per merge: the definition.
fn naive(text: &str) -> Vec<u32> {
    let mut symbols: Vec<String> = text.chars().map(|c| if c == ' ' { '\u{2581}' } else { c }.to_string()).collect();
    loop {
        let ranks = symbols.windows(2).enumerate().filter_map(|(i, pair)| {
            let rank = MERGES.iter().position(|(l, r)| *l == pair[0] && *r == pair[1])?;
            Some((rank, i))
        });
        let Some((_, i)) = ranks.min() else { break };
        let right = symbols.remove(i + 1);
        symbols[i].push_str(&right);
    }
    let byte = |b| TOKENIZER.find(&format!("<0x{b:02X}>")).expect("every byte");
    let ids = |symbol: String| match TOKENIZER.find(&symbol) {
        Some(id) => vec![id],
        None => symbol.bytes().map(byte).collect(),
    };
    symbols.into_iter().flat_map(ids).collect()
}

fn the_stop_string_that_is_complete_first_wins() {
    let cases = [
        // `bc` is complete before `abcd`, although it starts later.
        (["", "abcd", "bc"], "xa", StopMatch { index: 2, start: 2, end: 4 }),
        // Both end together: the longer one starts first.
        (["bc", "abc", "c"], "x", StopMatch { index: 1, start: 1, end: 4 }),
    ];
    for (stops, before, expected) in cases {
        for chunks in [&["xabcd"][..], &["xa", "bc", "d"], &["x", "a", "b", "c", "d"]] {
            let mut stop = StopStrings::new(stops);
            let (mut text, mut found) = (String::new(), None);
            for chunk in chunks {
                let step = stop.push(chunk);
                text += &step.text;
                found = found.or(step.stop);
            }
            assert_eq!((text.as_str(), found), (before, Some(expected)));
            assert_eq!(stop.finish().text, "");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    fn plain_text_comes_back(text in text()) {
        let ids = TOKENIZER.encode_plain(&text);
        // The vocabulary's mark for a space reads back as a space.
        let back = text.replace('\u{2581}', " ");
        prop_assert_eq!(TOKENIZER.decode(&ids, Specials::Hide), &*back);
        prop_assert_eq!(TOKENIZER.decode(&ids, Specials::Show), back);
    }

    fn merging_follows_its_definition(text in "[a-e th\n\u{2581}é😀]{0,24}") {
        prop_assert_eq!(TOKENIZER.encode_plain(&text), naive(&text));
    }

    fn any_cut_of_text_segments_is_the_same(parts in prop::collection::vec(text(), 0..4)) {
        let segments: Vec<_> = parts.iter().cloned().map(Segment::Text).collect();
        let ids = TOKENIZER.encode_segments(&segments).expect("no special tokens");
        prop_assert_eq!(ids, TOKENIZER.encode_plain(&parts.concat()));
    }

    fn streams_of_any_ids_are_lossy_utf8(ids in prop::collection::vec(0u32..2100, 0..40)) {
        let mut stream = Detokenizer::new(Specials::Show);
        let mut text: String = ids.iter().map(|&id| stream.push(&TOKENIZER, id)).collect();
        text += &stream.finish();
        let piece = |&id: &u32| -> Vec<u8> {
            let Some(piece) = TOKENIZER.piece(id) else { return Vec::new() };
            match piece.strip_prefix("<0x").and_then(|p| u8::from_str_radix(p.trim_end_matches('>'), 16).ok()) {
                Some(byte) => vec![byte],
                None => piece.replace('\u{2581}', " ").into_bytes(),
            }
        };
        let bytes: Vec<u8> = ids.iter().flat_map(piece).collect();
        prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
    }

    fn stop_strings_cut_where_the_first_is_complete(
        chunks in prop::collection::vec("[ab]{0,3}é?[ab]{0,2}", 0..8),
        stops in prop::collection::vec("[ab]{0,3}é?", 0..4),
    ) {
        let text = chunks.concat();
        // The definition: the smallest end of any occurrence, then the smallest start.
        let expected = stops.iter().enumerate().filter(|(_, s)| !s.is_empty())
            .filter_map(|(i, s)| text.find(s.as_str()).map(|at| (at + s.len(), at, i))).min();
        let mut stop = StopStrings::new(stops.clone());
        let (mut out, mut found) = (String::new(), None);
        for chunk in &chunks {
            let step = stop.push(chunk);
            out += &step.text;
            prop_assert!(found.is_none() || step == Default::default());
            found = found.or(step.stop);
        }
        out += &stop.finish().text;
        prop_assert_eq!(found.map(|m| (m.end, m.start, m.index)), expected);
        prop_assert_eq!(&*out, &text[..expected.map_or(text.len(), |(_, start, _)| start)]);
    }

    fn only_possible_beginnings_are_held_back(text in "[abc]{0,12}") {
        let mut stop = StopStrings::new(["abca", "cc"]);
        let step = stop.push(&text);
        if step.stop.is_none() {
            let held = &text[step.text.len()..];
            prop_assert!(["", "a", "ab", "abc", "c"].contains(&held), "{}", held);
        }
    }
}

rullama_testing::tests! {
    the_stop_string_that_is_complete_first_wins,
    plain_text_comes_back,
    merging_follows_its_definition,
    any_cut_of_text_segments_is_the_same,
    streams_of_any_ids_are_lossy_utf8,
    stop_strings_cut_where_the_first_is_complete,
    only_possible_beginnings_are_held_back,
}
