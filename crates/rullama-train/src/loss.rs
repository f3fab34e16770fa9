//! Cross-entropy of what is predicted, over the vocabulary in tiles.

use rullama_model::lora::{HEAD, Terms};
use rullama_model::model::Model;
use rullama_ops::{Graph, Value, Words};

/// Words of the vocabulary whose logits exist at once, at most.
const TILE: u32 = 8192;
/// How parts of the graph are named whose values are computed again in the backward pass.
pub const TILES: &str = "the head, words from ";

/// Adds the loss of `rows` rows of `x`, the last norm of a packed step: those in [`Words::TargetRows`], with what they predict in
/// [`Words::Targets`]. Gives `[rows, 4]`: largest logit, sum of exponentials below it, logit of the target.
///
/// `-ln p = max + ln(sum) - target`, with `logits = softcap(x Wᵀ)` a tile of the vocabulary at a time; only rows that predict
/// something are computed. The logits of a tile of `longest` rows have at most `most` bytes.
pub fn loss(g: &mut Graph, model: &dyn Model, terms: &Terms, x: Value, (rows, longest, most): (u32, u32, u64)) -> Value {
    let (head, vocab) = (model.head(), model.facts().vocab);
    g.at("the loss");
    let index = g.words(Words::TargetRows);
    let x = g.gather_rows(x, index, rows);
    let weight = g.weight(head.key, vocab, g.cols(x), head.dtype);
    let targets = g.words(Words::Targets);
    let fitting = (most / (4 * u64::from(longest))).min(TILE.into()) as u32 / 32 * 32;
    let (mut stats, size) = (None, fitting.max(32));
    for first in (0..vocab).step_by(size as usize) {
        g.at(format!("{TILES}{first}"));
        let words = size.min(vocab - first);
        let tile = if words == vocab { weight } else { g.view_rows(weight, first, 1, words) };
        let z = g.matmul(x, tile);
        let z = terms.product(g, HEAD, x, z, first);
        stats = Some(g.loss_stats(z, targets, stats, head.softcap, first));
    }
    let stats = stats.expect("a vocabulary has words");
    g.output("loss", stats);
    stats
}
