//! A file in pieces to examples.

use super::encode::encode;
use super::line::{Reason, Source, clip, parse};
use super::scan::{Scanner, Unit};
use super::{DataError, Dataset, Example, LineReport, LossOn, Status};
use crate::TrainOptions;
use rullama_text::chat::{Conversation, Role, Size, transcript};
use rullama_text::{Segment, Specials, Tokenizer};
use std::io::Read;

/// How lines become examples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataOptions {
    /// Longer examples are cut at their end.
    pub max_len: u32,
    pub loss_on: LossOn,
    /// The model's template.
    pub size: Size,
    pub limits: DataLimits,
}

impl DataOptions {
    pub fn new(options: &TrainOptions, size: Size) -> Self {
        DataOptions { max_len: options.max_len, loss_on: options.loss_on, size, limits: DataLimits::default() }
    }
}

/// Where reading ends, so that no file takes all memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataLimits {
    /// Bytes of a line; a longer one is reported and passed over.
    pub line: usize,
    pub lines: u32,
    pub bytes: u64,
    /// Tokens of all examples, 5 bytes each.
    pub tokens: u64,
}

impl Default for DataLimits {
    fn default() -> Self {
        DataLimits { line: 4 << 20, lines: 4_000_000, bytes: 2 << 30, tokens: 1 << 27 }
    }
}

/// Bytes of reasons that are kept in words; of what comes later the kind alone is told.
const REASONS: usize = 4 << 20;

/// Reads a file that comes in pieces of any size.
pub struct Reader<'a> {
    tokenizer: &'a Tokenizer,
    options: DataOptions,
    scanner: Scanner,
    dataset: Dataset,
    tokens: u64,
    reasons: usize,
}

impl<'a> Reader<'a> {
    pub fn new(tokenizer: &'a Tokenizer, options: DataOptions) -> Self {
        let scanner = Scanner::new(&options.limits);
        Reader { tokenizer, options, scanner, dataset: Dataset::default(), tokens: 0, reasons: 0 }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`DataError::NotText`], [`DataError::TooLarge`], [`DataError::BehindList`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        let mut rest = bytes;
        while let Some(unit) = self.scanner.next(&mut rest)? {
            self.unit(unit)?;
        }
        Ok(())
    }

    /// The examples, when everything was pushed.
    ///
    /// # Errors
    /// [`DataError::Empty`], [`DataError::NoExamples`], [`DataError::ListCut`], and those of [`Self::push`].
    pub fn finish(mut self) -> Result<Dataset, DataError> {
        while let Some(unit) = self.scanner.finish()? {
            self.unit(unit)?;
        }
        if self.dataset.examples.is_empty() {
            let wrong = self.dataset.reports.iter().find(|report| report.status != Status::Skipped);
            let Some(LineReport { first: line, reason, .. }) = wrong else { return Err(DataError::Empty) };
            let lines = self.dataset.reports.last().map_or(0, |report| report.last);
            return Err(DataError::NoExamples { lines, line: *line, reason: reason.to_string() });
        }
        Ok(self.dataset)
    }

    fn unit(&mut self, unit: Unit) -> Result<(), DataError> {
        match unit {
            Unit::Blank { line } => self.report(line, Status::Skipped, "blank".into()),
            Unit::TooLong { line } => {
                let most = self.options.limits.line;
                self.report(line, Status::Error, format!("longer than {most} bytes: shorten or split the example").into());
            }
            Unit::Line { line, bytes } => match self.example(line, &bytes) {
                Ok(Some(example)) => {
                    self.tokens += example.ids.len() as u64;
                    if self.tokens > self.options.limits.tokens {
                        return Err(DataError::TooLarge { most: self.options.limits.tokens, what: "tokens" });
                    }
                    self.dataset.examples.push(example);
                }
                Ok(None) => {}
                Err(reason) => self.report(line, Status::Error, reason),
            },
            Unit::List => self.dataset = Dataset::default(),
            Unit::NoList { line } => {
                self.dataset = Dataset::default();
                self.tokens = 0;
                (1..line).for_each(|line| self.report(line, Status::Skipped, "blank".into()));
            }
        }
        Ok(())
    }

    fn report(&mut self, line: u32, status: Status, reason: Reason) {
        self.dataset.counts.add(status);
        let reason = match reason {
            Reason::Owned(_) if self.reasons >= REASONS => status.name().into(),
            Reason::Owned(reason) => Reason::Owned(clip(&reason, 300).to_owned()),
            fixed => fixed,
        };
        match self.dataset.reports.last_mut() {
            Some(last) if last.last + 1 == line && last.status == status && last.reason == reason => last.last = line,
            _ => {
                self.reasons += if matches!(reason, Reason::Owned(_)) { reason.len() } else { 0 };
                self.dataset.reports.push(LineReport { first: line, last: line, status, reason });
            }
        }
    }

    /// The example of a line, cut to the longest; none if nothing trained is left of it.
    fn example(&mut self, line: u32, bytes: &[u8]) -> Result<Option<Example>, Reason> {
        let (mut ids, mut target) = self.ids(parse(bytes)?)?;
        let (all, most) = (ids.len(), self.options.max_len as usize);
        ids.truncate(most);
        target.truncate(most);
        let left = target.contains(&true);
        let status = match (all > most, left) {
            (false, _) => Status::Ok,
            (true, true) => Status::Truncated,
            (true, false) => Status::Dropped,
        };
        match status {
            Status::Truncated => self.report(line, status, format!("cut from {all} to {most} tokens: raise `max_len`").into()),
            Status::Dropped => {
                let reason = format!("of its {all} tokens the first {most} hold none that is trained: raise `max_len`");
                self.report(line, status, reason.into());
            }
            _ => self.dataset.counts.add(status),
        }
        Ok(left.then_some(Example { line, ids, target }))
    }

    /// Ids and targets, before they are cut; some are trained.
    fn ids(&self, source: Source) -> Result<(Vec<u32>, Vec<bool>), Reason> {
        let all = self.options.loss_on == LossOn::All;
        let encoded = |error: rullama_text::TokenizerError| Reason::from(error.to_string());
        let (ids, mut target) = match source {
            Source::Text(text) => {
                let ids = self.text(text).map_err(encoded)?;
                let target = vec![true; ids.len()];
                (ids, target)
            }
            Source::Chat { messages, learn, tools, thinking } => {
                let conversation = Conversation { messages: &messages, tools: &tools, thinking, size: self.options.size };
                let passages = transcript(&conversation, &|i| all || learn[i]);
                if !all && !messages.iter().zip(&learn).any(|(message, learn)| *learn && message.role == Role::Assistant) {
                    let own = messages.iter().any(|message| message.role == Role::Assistant);
                    let reason = if own { "no model turn is to be trained" } else { "no model turn: nothing to train on" };
                    return Err(reason.into());
                }
                encode(self.tokenizer, &passages).map_err(encoded)?
            }
        };
        if all {
            target.fill(true);
        }
        // Nothing stands before the first, from which it could be predicted.
        target[0] = false;
        if target.contains(&true) { Ok((ids, target)) } else { Err("nothing to train on".into()) }
    }

    /// Trusted text: one beginning, its special tokens, and an end unless it has one.
    fn text(&self, text: String) -> Result<Vec<u32>, rullama_text::TokenizerError> {
        let tokenizer = self.tokenizer;
        let mut ids = tokenizer.encode_prompt(&[Segment::Template(text)])?;
        let blank = |id: &&u32| !tokenizer.is_special(**id) && tokenizer.decode(&[**id], Specials::Show).trim().is_empty();
        let last = ids.iter().rev().find(|id| !blank(id));
        if !last.is_some_and(|id| tokenizer.end_tokens().contains(id)) {
            ids.push(tokenizer.eos());
        }
        Ok(ids)
    }
}

/// Reads all of a text.
///
/// # Errors
/// Those of [`Reader`].
pub fn read_str(text: &str, tokenizer: &Tokenizer, options: DataOptions) -> Result<Dataset, DataError> {
    let mut reader = Reader::new(tokenizer, options);
    reader.push(text.as_bytes())?;
    reader.finish()
}

/// Reads `input` to its end, in pieces.
///
/// # Errors
/// Those of [`Reader`], and [`DataError::Io`].
pub fn read(mut input: impl Read, tokenizer: &Tokenizer, options: DataOptions) -> Result<Dataset, DataError> {
    let mut reader = Reader::new(tokenizer, options);
    let mut piece = vec![0; 1 << 18];
    loop {
        match input.read(&mut piece) {
            Ok(0) => return reader.finish(),
            Ok(bytes) => reader.push(&piece[..bytes])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
