//! Rotation tables of the two spans.

use super::config::{Config, Span};
use super::weights::ROPE_FACTORS;
use crate::ModelError;
use crate::weights::Table;
use rullama_ops::{Graph, Value, rope_tables_ahead};

fn name(span: Span) -> &'static str {
    if span == Span::Sliding { "sliding" } else { "global" }
}

/// Key of a span's upper table.
pub fn high(span: Span) -> String {
    format!("rope.{}.high", name(span))
}

/// The tables of a span in a graph, the upper one of so many rows.
pub fn rope(g: &mut Graph, span: Span, head_dim: u32, rows: u32) -> [Value; 2] {
    [g.table(&format!("rope.{}.low", name(span)), 256, head_dim), g.table(&high(span), rows, head_dim)]
}

/// `rope.{sliding,global}.{low,high}` for a context, with the file's factors where it has them.
///
/// # Errors
/// A factor that is no positive number.
pub fn tables(config: &Config, file: &[Table], context: u32) -> Result<Vec<Table>, ModelError> {
    let head_dim = |span| config.layers.iter().find(|l| l.span == span).map_or(0, |l| l.head_dim);
    let spans = [(head_dim(Span::Sliding), config.rope_base_sliding), (head_dim(Span::Global), config.rope_base)];
    tables_of(spans, file, context, 0)
}

/// The same of sliding and global heads of these lengths (0: there are none) and bases, for what stands so many positions `ahead` of its step's.
pub fn tables_of(spans: [(u32, f64); 2], file: &[Table], context: u32, ahead: u32) -> Result<Vec<Table>, ModelError> {
    let factors = file.iter().find(|table| table.key == ROPE_FACTORS).map(|table| &table.values[..]);
    if let Some(&value) = factors.into_iter().flatten().find(|f| !(f.is_finite() && **f > 0.0)) {
        let name = format!("{ROPE_FACTORS}.weight");
        return Err(ModelError::Value { name, value, reason: "is no positive factor of a frequency" });
    }
    let mut tables = Vec::new();
    for (span, (head_dim, base)) in [Span::Sliding, Span::Global].into_iter().zip(spans) {
        if head_dim == 0 {
            continue;
        }
        let frequencies = frequencies(span, head_dim as usize, base, factors);
        let cols = 2 * frequencies.len();
        let (lower, upper) = rope_tables_ahead(&frequencies, context, ahead);
        tables.push(Table { key: format!("rope.{}.low", name(span)), cols, values: lower });
        tables.push(Table { key: high(span), cols, values: upper });
    }
    Ok(tables)
}

/// Rotation frequency of each pair of a span's heads: `base^(-2i/n) / factor_i`, in f64.
/// Global layers take `rope_freqs` as factors; without it, the first quarter rotates.
fn frequencies(span: Span, head_dim: usize, base: f64, factors: Option<&[f32]>) -> Vec<f64> {
    let pairs = head_dim / 2;
    (0..pairs)
        .map(|i| {
            let plain = base.powf(-2.0 * i as f64 / head_dim as f64);
            match (span, factors) {
                (Span::Sliding, _) => plain,
                // A factor of 1e30 stands for "not rotated".
                (Span::Global, Some(factors)) if f64::from(factors[i]) > 1e20 => 0.0,
                (Span::Global, Some(factors)) => plain / f64::from(factors[i]),
                (Span::Global, None) if i < pairs / 4 => plain,
                (Span::Global, None) => 0.0,
            }
        })
        .collect()
}
