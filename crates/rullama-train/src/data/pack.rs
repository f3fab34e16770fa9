//! Short examples in one row, none of which sees another.

use super::{DataError, Example};

/// Examples that share a row, by their places, in the order in which they stand there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    pub examples: Vec<u32>,
    pub tokens: u32,
}

/// Rows that stay open for more examples.
const WINDOW: usize = 64;

/// Puts examples into rows of at most `max_len` tokens: each into the open row that it fills best, the older of
/// equals, or into a new one. Of more than 64 open rows the oldest is closed, so examples stay near their place in
/// `order`. The same input gives the same rows; each example stands in exactly one.
///
/// # Errors
/// [`DataError::LongerThanRow`].
pub fn rows(examples: &[Example], order: &[u32], max_len: u32) -> Result<Vec<Row>, DataError> {
    let mut rows: Vec<Row> = Vec::new();
    for &place in order {
        let tokens = fitting(&examples[place as usize], max_len)?;
        let oldest = rows.len().saturating_sub(WINDOW);
        let fits = rows[oldest..].iter_mut().filter(|row| row.tokens + tokens <= max_len);
        // Of equal ones `min_by_key` gives the first.
        let row = match fits.min_by_key(|row| max_len - row.tokens) {
            Some(row) => row,
            None => rows.push_mut(Row::default()),
        };
        row.examples.push(place);
        row.tokens += tokens;
    }
    Ok(rows)
}

/// As [`rows`], each example in a row of its own.
///
/// # Errors
/// [`DataError::LongerThanRow`].
pub fn single_rows(examples: &[Example], order: &[u32], max_len: u32) -> Result<Vec<Row>, DataError> {
    order.iter().map(|&place| Ok(Row { examples: vec![place], tokens: fitting(&examples[place as usize], max_len)? })).collect()
}

fn fitting(example: &Example, max_len: u32) -> Result<u32, DataError> {
    let tokens = example.ids.len();
    let fits = u32::try_from(tokens).ok().filter(|tokens| *tokens <= max_len);
    fits.ok_or(DataError::LongerThanRow { line: example.line, tokens, most: max_len })
}

/// A row, token by token. Token t attends to `start[t]..=t`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packed {
    pub ids: Vec<u32>,
    /// Whether the token is predicted from the one before it and counted; never an example's first.
    pub target: Vec<bool>,
    /// Place within the example, from 0.
    pub position: Vec<u32>,
    /// Index in this row of the first token of the token's example.
    pub start: Vec<u32>,
}

impl Packed {
    pub fn new(row: &Row, examples: &[Example]) -> Packed {
        let mut packed = Packed::default();
        for &place in &row.examples {
            let Example { ids, target, .. } = &examples[place as usize];
            let start = packed.ids.len() as u32;
            packed.ids.extend(ids);
            packed.target.extend(target);
            packed.position.extend(0..ids.len() as u32);
            packed.start.extend(ids.iter().map(|_| start));
        }
        packed
    }

    /// Tokens that are counted.
    pub fn targets(&self) -> usize {
        self.target.iter().filter(|&&target| target).count()
    }
}
