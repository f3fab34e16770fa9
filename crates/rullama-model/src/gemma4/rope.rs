//! Rotation tables of the two spans.

use super::config::{Config, Span};
use super::weights::ROPE_FACTORS;
use crate::ModelError;
use crate::weights::Table;
use rullama_ops::rope_tables;

/// `rope.{sliding,global}.{low,high}` for a context, with the file's factors where it has them.
///
/// # Errors
/// A factor that is no positive number.
pub fn tables(config: &Config, file: &[Table], context: u32) -> Result<Vec<Table>, ModelError> {
    let factors = file.iter().find(|table| table.key == ROPE_FACTORS).map(|table| &table.values[..]);
    if let Some(&value) = factors.into_iter().flatten().find(|f| !(f.is_finite() && **f > 0.0)) {
        let name = format!("{ROPE_FACTORS}.weight");
        return Err(ModelError::Value { name, value, reason: "is no positive factor of a frequency" });
    }
    let mut tables = Vec::new();
    for (span, name) in [(Span::Sliding, "sliding"), (Span::Global, "global")] {
        let frequencies = frequencies(config, span, factors);
        if frequencies.is_empty() {
            continue;
        }
        let cols = 2 * frequencies.len();
        let (low, high) = rope_tables(&frequencies, context);
        tables.push(Table { key: format!("rope.{name}.low"), cols, values: low });
        tables.push(Table { key: format!("rope.{name}.high"), cols, values: high });
    }
    Ok(tables)
}

/// Rotation frequency of each pair of a span's heads: `base^(-2i/n) / factor_i`, in f64.
/// Global layers take `rope_freqs` as factors; without it, the first quarter rotates.
fn frequencies(config: &Config, span: Span, factors: Option<&[f32]>) -> Vec<f64> {
    let head_dim = config.layers.iter().find(|l| l.span == span).map_or(0, |l| l.head_dim as usize);
    let base = if span == Span::Sliding { config.rope_base_sliding } else { config.rope_base };
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
