//! Vocabularies that nobody made with care.

use rullama_text::{Segment, Specials, Tokenizer, Vocabulary};
use std::collections::HashMap;

/// What the bytes say: flags, counts and two ids, then pieces, pairs that merge and text, separated by 0xFF.
struct Input {
    flags: u8,
    ids: [u32; 3],
    pieces: Vec<String>,
    types: Vec<i32>,
    merges: Vec<String>,
    text: String,
}

impl Input {
    fn read(data: &[u8]) -> Option<Input> {
        let [flags, own, merged, a, b, c, ..] = *data else { return None };
        let mut parts = data[3..].split(|byte| *byte == 0xff);
        let mut pieces: Vec<String> = Vec::new();
        if flags & 1 == 0 {
            pieces.extend(["<unk>", "<bos>", "<eos>"].map(String::from));
        }
        if flags & 2 == 0 {
            pieces.extend((0..=255u8).map(|byte| format!("<0x{byte:02X}>")));
        }
        let base = pieces.len();
        pieces.extend(parts.by_ref().take(own.into()).map(|part| String::from_utf8_lossy(part).into_owned()));
        let pairs = parts.next().unwrap_or_default();
        let merges = if pieces.len() > base {
            merges(&mut pieces, base, &pairs[..pairs.len().min(2 * usize::from(merged))], flags)
        } else {
            Vec::new()
        };
        let text = parts.map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join("\u{fffd}");
        let kind = |(i, piece): (usize, &String)| match piece {
            piece if i >= base && flags & 16 != 0 && piece.starts_with('<') => 3 + (i as i32 & 1),
            piece if piece.starts_with("<0x") => 6,
            _ => 1,
        };
        let types = if flags & 8 == 0 { pieces.iter().enumerate().map(kind).collect() } else { Vec::new() };
        Some(Input { flags, ids: [a.into(), b.into(), c.into()], pieces, types, merges, text })
    }
}

/// Merges of pairs of the vocabulary's own pieces; without flag 4 their results are added to it.
fn merges(pieces: &mut Vec<String>, base: usize, pairs: &[u8], flags: u8) -> Vec<String> {
    let mut merges = Vec::new();
    for pair in pairs.chunks_exact(2) {
        let own = pieces.len() - base;
        let [left, right] = [pair[0], pair[1]].map(|at| pieces[base + usize::from(at) % own].clone());
        if flags & 4 == 0 {
            if left.is_empty() || right.is_empty() || left.as_bytes()[1..].contains(&b' ') || left.len() + right.len() > 64 {
                continue;
            }
            let joined = format!("{left}{right}");
            if !pieces.contains(&joined) {
                pieces.push(joined);
            }
        }
        merges.push(format!("{left} {right}"));
    }
    merges
}

/// Builds a tokenizer; one that is accepted encodes and decodes, and merges as the definition says.
///
/// # Panics
/// On a finding.
pub fn vocab(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    let Input { flags, ids: [bos, unknown, eos], pieces, types, merges, text } = &input;
    let bos = (flags & 32 != 0).then_some(*bos);
    let (eos_ids, unknown) = ([1, *eos], Some(*unknown));
    let vocabulary =
        Vocabulary { model: "gemma4", pieces, types, merges, scores: &[], bos, eos: None, unknown, eos_ids: &eos_ids, end_of_turn: None };
    let Ok(tokenizer) = Tokenizer::new(&vocabulary) else { return };
    let ids = tokenizer.encode_plain(text);
    assert!(ids.iter().all(|id| (*id as usize) < tokenizer.len()));
    let _ = tokenizer.decode(&ids, Specials::Show);
    let _ = tokenizer.decode(&ids, Specials::Hide);
    check_specials(&tokenizer, text);
    let segments = [Segment::Text(text.clone()), Segment::Text("x".into()), Segment::Template("<bos><bos>".into())];
    let prompt = tokenizer.encode_prompt(&segments).expect("no special segment");
    assert_eq!(prompt[0], tokenizer.bos());
    // Runs of newlines may be pieces of their own, and the definition below takes a while.
    if !text.contains('\n')
        && text.len() <= 400
        && let Some(expected) = naive(&input)
    {
        assert_eq!(ids, expected, "{text:?}");
    }
}

/// Template text is its leftmost, longest special pieces and, between them, plain text.
///
/// Whole encodings are compared: plain text may give special tokens too, where a file calls its unknown token special.
fn check_specials(tokenizer: &Tokenizer, text: &str) {
    if text.len() > 400 {
        return;
    }
    let specials: Vec<&str> =
        (0..tokenizer.len() as u32).filter(|id| tokenizer.is_special(*id)).filter_map(|id| tokenizer.piece(id)).collect();
    let mut expected: Vec<&str> = Vec::new();
    let (mut plain, mut rest) = (0, text);
    let encode = |plain: &str| pieces(tokenizer, &tokenizer.encode_plain(plain));
    while !rest.is_empty() {
        let at = text.len() - rest.len();
        let longest = specials.iter().filter(|piece| !piece.is_empty() && rest.starts_with(**piece)).max_by_key(|piece| piece.len());
        let step = longest.map_or_else(|| rest.chars().next().map_or(1, char::len_utf8), |piece| piece.len());
        if let Some(special) = longest {
            expected.extend(encode(&text[plain..at]));
            expected.push(special);
            plain = at + step;
        }
        rest = &rest[step..];
    }
    expected.extend(encode(&text[plain..]));
    let ids = tokenizer.encode_segments(&[Segment::Template(text.to_owned())]).expect("no special segment");
    assert_eq!(pieces(tokenizer, &ids), expected, "{text:?}");
}

fn pieces<'t>(tokenizer: &'t Tokenizer, ids: &[u32]) -> Vec<&'t str> {
    ids.iter().map(|id| tokenizer.piece(*id).expect("an id of this vocabulary")).collect()
}

/// Merges as the definition says, one pass over the text per merge; `None` where the file leaves a choice.
fn naive(input: &Input) -> Option<Vec<u32>> {
    let mut by_piece: HashMap<&str, u32> = HashMap::new();
    for (id, piece) in input.pieces.iter().enumerate() {
        by_piece.entry(piece).or_insert(id as u32);
    }
    let find = |piece: &str| by_piece.get(piece).copied();
    let mut ranks: HashMap<(u32, u32), (usize, u32)> = HashMap::new();
    for (rank, merge) in input.merges.iter().enumerate() {
        let space = 1 + merge.as_bytes().get(1..)?.iter().position(|byte| *byte == b' ')?;
        let (left, right) = (merge.get(..space)?, merge.get(space + 1..)?);
        ranks.entry((find(left)?, find(right)?)).or_insert((rank, find(&format!("{left}{right}"))?));
    }
    let symbol = |c: char| {
        let c = if c == ' ' { '\u{2581}' } else { c };
        find(c.encode_utf8(&mut [0; 4])).ok_or(c)
    };
    let mut symbols: Vec<Result<u32, char>> = input.text.chars().map(symbol).collect();
    loop {
        let pairs = symbols.windows(2).enumerate();
        let found = pairs.filter_map(|(i, pair)| ranks.get(&(pair[0].ok()?, pair[1].ok()?)).map(|(rank, merged)| (*rank, i, *merged)));
        let Some((_, i, merged)) = found.min() else { break };
        symbols[i] = Ok(merged);
        let _ = symbols.remove(i + 1);
    }
    let unknown = Some(input.ids[1]).filter(|id| (*id as usize) < input.pieces.len()).or(find("<unk>"));
    // A piece spelt as a byte stands for it where its type says so.
    let is_byte = |id: &u32| input.types.get(*id as usize).is_none_or(|kind| *kind == 6);
    let byte = |byte: u8| find(&format!("<0x{byte:02X}>")).filter(is_byte).or(unknown);
    let mut ids = Vec::new();
    for symbol in symbols {
        match symbol {
            Ok(id) => ids.push(id),
            Err(c) => ids.extend(c.encode_utf8(&mut [0; 4]).bytes().map(byte).collect::<Option<Vec<_>>>()?),
        }
    }
    Some(ids)
}
