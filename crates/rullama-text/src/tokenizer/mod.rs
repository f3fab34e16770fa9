//! Text to token ids and back, exactly as the Gemma 4 vocabulary defines it.
//!
//! 1. Template text is cut at its special tokens (leftmost, longest); plain text never is.
//! 2. Spaces become U+2581. No prefix space, no normalisation, no split into words.
//! 3. Adjacent characters merge by rank, lowest first, leftmost of equals ([`bpe`]).
//! 4. A character without a piece becomes its UTF-8 bytes (`<0xHH>`).
//!
//! The same algorithm serves both dialects of `tokenizer.ggml.model`: `gemma4`, and `llama` with
//! merges. Source: llama.cpp `src/llama-vocab.cpp`, Ollama `tokenizer/bytepairencoding.go`.
//!
//! `llama` without merges is the vocabulary of earlier Gemmas and of EmbeddingGemma: there user-defined pieces are cut out of plain text
//! as well, and the order of merges is that of the pieces' scores ([`score`]).

mod bpe;
mod error;
mod hash;
mod merges;
mod pieces;
mod score;
mod specials;

pub use error::TokenizerError;

use bpe::{Merger, SPACE_MARK};
use merges::MergeTable;
use pieces::{Kind, PieceTable};
use score::{ScoreMerger, Scores};

use crate::detokenizer::Detokenizer;
use crate::segment::Segment;

/// A table of strings, however it is stored.
pub trait Strings {
    fn len(&self) -> usize;
    /// The string at `index < len()`.
    fn get(&self, index: usize) -> &str;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: AsRef<str>> Strings for [S] {
    fn len(&self) -> usize {
        <[S]>::len(self)
    }
    fn get(&self, index: usize) -> &str {
        self[index].as_ref()
    }
}

impl<S: AsRef<str>> Strings for Vec<S> {
    fn len(&self) -> usize {
        <[S]>::len(self)
    }
    fn get(&self, index: usize) -> &str {
        self[index].as_ref()
    }
}

/// What a model file says about its vocabulary (`tokenizer.ggml.*`), borrowed.
pub struct Vocabulary<'a> {
    /// `model`: `gemma4`, or `llama` in files that Ollama converted.
    pub model: &'a str,
    /// `tokens`.
    pub pieces: &'a dyn Strings,
    /// `token_type`; may be empty.
    pub types: &'a [i32],
    /// `merges`: `left right`, by rank; where there are none, `scores` count.
    pub merges: &'a dyn Strings,
    /// `scores`, of files without merges; may be empty.
    pub scores: &'a [f32],
    /// `bos_token_id`; without it `<bos>` is looked up.
    pub bos: Option<u32>,
    /// `eos_token_id`; without it `<eos>` is looked up.
    pub eos: Option<u32>,
    /// `unknown_token_id`.
    pub unknown: Option<u32>,
    /// `eos_token_ids`: further tokens that end an answer.
    pub eos_ids: &'a [u32],
    /// `eot_token_id`.
    pub end_of_turn: Option<u32>,
}

/// Which special tokens become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Specials {
    /// None: what a person reads.
    #[default]
    Hide,
    /// Those that [`OutputParser`](crate::OutputParser) reads: channels, tool calls, quotes.
    Markers,
    /// All.
    Show,
}

/// The special tokens that structure a model's output.
const MARKERS: [&str; 7] = ["<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>", "<|channel>", "<channel|>"];

/// The tokens that end an answer whatever the file says.
const END_PIECES: [&str; 3] = ["<eos>", "<turn|>", "<|tool_response>"];

/// A fragment's positions fit in 31 bits; longer text is cut.
const MAX_FRAGMENT: usize = 1 << 30;

/// A vocabulary ready for use: about 14 MB for Gemma 4's 262,144 pieces and 514,906 merges.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    pieces: PieceTable,
    order: Order,
    /// Token of each byte value.
    bytes: Box<[u32; 256]>,
    bos: u32,
    eos: u32,
    end_tokens: Vec<u32>,
    markers: Vec<u32>,
    specials: specials::Specials,
}

/// What decides which pair merges next.
#[derive(Debug, Clone)]
enum Order {
    Ranks {
        merges: MergeTable,
        /// No merge joins a newline to another character, so lines can be encoded one at a time.
        newlines_apart: bool,
    },
    Scores(Scores),
}

/// The working memory of one call.
enum Worker<'a> {
    Ranks { merger: Merger<'a>, newlines_apart: bool },
    Scores(ScoreMerger<'a>),
}

impl Tokenizer {
    /// Builds the tables. The borrowed strings are not needed afterwards.
    ///
    /// # Errors
    /// A [`TokenizerError`] that names the metadata key at fault.
    pub fn new(vocabulary: &Vocabulary<'_>) -> Result<Self, TokenizerError> {
        if !matches!(vocabulary.model, "gemma4" | "llama") {
            return Err(TokenizerError::Model { model: vocabulary.model.to_string() });
        }
        let pieces = PieceTable::new(vocabulary.pieces, vocabulary.types)?;
        let by_score = vocabulary.model == "llama" && vocabulary.merges.is_empty() && !vocabulary.scores.is_empty();
        let order = if by_score {
            Order::Scores(Scores::new(vocabulary.scores, &pieces, vocabulary.pieces)?)
        } else {
            let merges = MergeTable::new(vocabulary.merges, &pieces)?;
            Order::Ranks { newlines_apart: merges.keep_newlines_apart(&pieces), merges }
        };
        let bytes = byte_tokens(&pieces, vocabulary.unknown)?;
        let bos = token_or(&pieces, "bos_token_id", vocabulary.bos, "<bos>")?;
        let eos = token_or(&pieces, "eos_token_id", vocabulary.eos, "<eos>")?;
        let end_tokens = end_tokens(&pieces, vocabulary, eos)?;
        let markers = MARKERS.iter().filter_map(|m| pieces.find(m)).collect();
        let specials = specials::Specials::new(&pieces);
        Ok(Tokenizer { pieces, order, bytes, bos, eos, end_tokens, markers, specials })
    }

    /// Number of pieces.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Never true: an empty vocabulary is refused.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Beginning of sequence: exactly one stands at the start of a context.
    pub fn bos(&self) -> u32 {
        self.bos
    }

    /// End of sequence.
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// Tokens that end an answer: end of sequence, end of turn, and the opening of a tool's
    /// response, by which the model hands over; as the file names them and as they are spelt. Sorted.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// The id of a piece as the vocabulary spells it.
    pub fn find(&self, piece: &str) -> Option<u32> {
        self.pieces.find(piece)
    }

    /// The piece of an id as the vocabulary spells it.
    pub fn piece(&self, id: u32) -> Option<&str> {
        ((id as usize) < self.len()).then(|| self.pieces.piece(id))
    }

    /// Whether an id is a control token (`token_type` 3). Ids outside the vocabulary are not.
    pub fn is_control(&self, id: u32) -> bool {
        (id as usize) < self.len() && self.pieces.kind(id) == Kind::Control
    }

    /// Whether an id is one of the special tokens that structure an answer ([`Specials::Markers`]).
    pub fn is_marker(&self, id: u32) -> bool {
        self.markers.contains(&id)
    }

    /// Whether an id is a special token of any sort (`token_type` 3 or 4). Ids outside the vocabulary are not.
    pub fn is_special(&self, id: u32) -> bool {
        (id as usize) < self.len() && self.pieces.is_special(id)
    }

    /// Bytes of the tables on the heap.
    pub fn memory_bytes(&self) -> usize {
        let order = match &self.order {
            Order::Ranks { merges, .. } => merges.memory_bytes(),
            Order::Scores(scores) => scores.memory_bytes(),
        };
        self.pieces.memory_bytes() + order + self.specials.memory_bytes() + 4 * self.bytes.len()
    }

    /// Ids of text that nobody vouches for: special tokens in it stay characters. No
    /// beginning-of-sequence token is added.
    pub fn encode_plain(&self, text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        self.encode_fragment(&mut self.worker(), text, &mut out);
        out
    }

    /// Ids of a prompt that begins with exactly one beginning-of-sequence token. Adjacent plain
    /// text is joined before merging, whoever wrote it; only [`Segment::Special`] and
    /// [`Segment::Template`] give special tokens.
    ///
    /// # Errors
    /// [`TokenizerError::UnknownSpecial`] if a special segment is not in the vocabulary.
    pub fn encode_prompt(&self, segments: &[Segment]) -> Result<Vec<u32>, TokenizerError> {
        let ids = self.encode_segments(segments)?;
        let repeated = ids.iter().take_while(|&&id| id == self.bos).count();
        let mut out = Vec::with_capacity(ids.len() + 1 - repeated.min(1));
        out.push(self.bos);
        out.extend_from_slice(&ids[repeated..]);
        Ok(out)
    }

    /// The id of a special token.
    fn special(&self, piece: &str) -> Result<u32, TokenizerError> {
        let found = self.pieces.find(piece).filter(|&id| self.pieces.is_special(id));
        found.ok_or_else(|| TokenizerError::UnknownSpecial { piece: piece.to_string() })
    }

    /// As [`Tokenizer::encode_prompt`], for text in the middle of a context: no
    /// beginning-of-sequence token is added or removed.
    ///
    /// # Errors
    /// [`TokenizerError::UnknownSpecial`] if a special segment is not in the vocabulary.
    pub fn encode_segments(&self, segments: &[Segment]) -> Result<Vec<u32>, TokenizerError> {
        let mut worker = self.worker();
        let mut out = Vec::new();
        let mut plain = String::new();
        for segment in segments {
            match segment {
                Segment::Text(text) => plain.push_str(text),
                Segment::Special(piece) => {
                    let id = self.special(piece)?;
                    self.encode_fragment(&mut worker, &plain, &mut out);
                    plain.clear();
                    out.push(id);
                }
                Segment::Media { part, tokens } => {
                    if let (Some(frame), Some(_)) = (part.frame, tokens) {
                        plain.push_str(&frame.text());
                    }
                    self.encode_fragment(&mut worker, &plain, &mut out);
                    plain.clear();
                    let [begin, placeholder, end] = part.kind.pieces();
                    let placeholder = self.special(placeholder)?;
                    match tokens {
                        None if segment.as_str().is_empty() => {}
                        None => out.push(placeholder),
                        Some(count) => {
                            out.push(self.special(begin)?);
                            out.extend(std::iter::repeat_n(placeholder, *count));
                            out.push(self.special(end)?);
                        }
                    }
                }
                Segment::Template(text) => {
                    let mut rest = text.as_str();
                    while let Some((start, end, id)) = self.specials.find(&self.pieces, rest) {
                        plain.push_str(&rest[..start]);
                        self.encode_fragment(&mut worker, &plain, &mut out);
                        plain.clear();
                        out.push(id);
                        rest = &rest[end..];
                    }
                    plain.push_str(rest);
                }
            }
        }
        self.encode_fragment(&mut worker, &plain, &mut out);
        Ok(out)
    }

    fn worker(&self) -> Worker<'_> {
        match &self.order {
            Order::Ranks { merges, newlines_apart } => {
                Worker::Ranks { merger: Merger::new(&self.pieces, merges, &self.bytes), newlines_apart: *newlines_apart }
            }
            Order::Scores(scores) => Worker::Scores(ScoreMerger::new(&self.pieces, scores, &self.bytes)),
        }
    }

    fn encode_fragment(&self, worker: &mut Worker<'_>, text: &str, out: &mut Vec<u32>) {
        let mut rest = text;
        while !rest.is_empty() {
            match worker {
                Worker::Ranks { merger, newlines_apart } => rest = self.encode_run(merger, *newlines_apart, rest, out),
                Worker::Scores(merger) => {
                    let (run, tail) = rest.split_at(rest.floor_char_boundary(MAX_FRAGMENT));
                    rest = tail;
                    merger.encode(run, out);
                }
            }
        }
    }

    /// Encodes the beginning of plain text, a line where that cannot change the result, and gives the rest: working memory is
    /// then bounded by the longest line.
    fn encode_run<'t>(&self, merger: &mut Merger<'_>, newlines_apart: bool, text: &'t str, out: &mut Vec<u32>) -> &'t str {
        let newlines = text.bytes().take_while(|&b| b == b'\n').count();
        let end = match (newlines_apart, newlines) {
            (false, _) => text.len(),
            (true, 0) => text.find('\n').unwrap_or(text.len()),
            (true, run) => run,
        };
        let (run, tail) = text.split_at(text.floor_char_boundary(end.min(MAX_FRAGMENT)));
        let piece = if newlines == run.len() { self.pieces.find(run) } else { None };
        match piece {
            Some(id) => out.push(id),
            None => merger.encode(run, out),
        }
        tail
    }

    /// Text of `ids`; bytes that are no UTF-8 become U+FFFD, ids outside the vocabulary nothing.
    pub fn decode(&self, ids: &[u32], specials: Specials) -> String {
        let mut stream = Detokenizer::new(specials);
        let mut text: String = ids.iter().map(|&id| stream.push(self, id)).collect();
        text.push_str(&stream.finish());
        text
    }

    /// The bytes that `id` stands for by itself, special tokens as they are spelt; none outside the vocabulary.
    pub fn bytes_of(&self, id: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.append_bytes(id, Specials::Show, &mut bytes);
        bytes
    }

    /// Appends the bytes that `id` stands for.
    pub(crate) fn append_bytes(&self, id: u32, specials: Specials, out: &mut Vec<u8>) {
        if id as usize >= self.len() {
            return;
        }
        if let Some(byte) = self.pieces.byte(id) {
            out.push(byte);
            return;
        }
        let is_marker = self.markers.contains(&id);
        let visible = match specials {
            Specials::Show => true,
            Specials::Markers => is_marker || self.pieces.kind(id) != Kind::Control,
            Specials::Hide => !is_marker && self.pieces.kind(id) != Kind::Control,
        };
        if visible {
            let mut parts = self.pieces.piece(id).split(SPACE_MARK);
            out.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
            for part in parts {
                out.push(b' ');
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
}

fn byte_tokens(pieces: &PieceTable, unknown: Option<u32>) -> Result<Box<[u32; 256]>, TokenizerError> {
    let unknown = unknown.filter(|&id| (id as usize) < pieces.len()).or(pieces.find("<unk>"));
    let mut tokens = Box::new([0; 256]);
    for byte in 0..=255u8 {
        let id = pieces.find(&format!("<0x{byte:02X}>")).filter(|&id| pieces.byte(id).is_some());
        tokens[byte as usize] = id.or(unknown).ok_or(TokenizerError::MissingByte { byte })?;
    }
    Ok(tokens)
}

fn checked(pieces: &PieceTable, key: &'static str, id: u32) -> Result<u32, TokenizerError> {
    if (id as usize) < pieces.len() { Ok(id) } else { Err(TokenizerError::TokenId { key, id, len: pieces.len() }) }
}

fn token_or(pieces: &PieceTable, key: &'static str, id: Option<u32>, name: &'static str) -> Result<u32, TokenizerError> {
    match id {
        Some(id) => checked(pieces, key, id),
        None => pieces.find(name).ok_or(TokenizerError::MissingToken { name }),
    }
}

/// Those that the file names, and those that end an answer by their spelling: files leave out some of them.
fn end_tokens(pieces: &PieceTable, vocabulary: &Vocabulary<'_>, eos: u32) -> Result<Vec<u32>, TokenizerError> {
    let mut ids = vec![eos];
    for &id in vocabulary.eos_ids {
        ids.push(checked(pieces, "eos_token_ids", id)?);
    }
    if let Some(id) = vocabulary.end_of_turn {
        ids.push(checked(pieces, "eot_token_id", id)?);
    }
    ids.extend(END_PIECES.iter().filter_map(|piece| pieces.find(piece)));
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
