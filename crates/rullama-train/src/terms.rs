//! Between adapters and the matrices that are trained.

use crate::device::Matrices;
use rullama_adapter::{Adapter, Target};
use rullama_model::lora::{Term, matrices, terms_of, transposed};

/// How the trained adapter's matrices are called on the device.
pub const PREFIX: &str = "trained";

/// The matrices of an adapter's terms, by name.
pub fn matrices_of(adapter: &Adapter, prefix: &str) -> Matrices {
    let all = terms_of(adapter, prefix, 1.0).flat_map(|(target, term)| matrices(&term, target, &adapter.pairs[&target]));
    all.map(|(name, _, _, values)| (name, values.into_owned())).collect()
}

/// Matrices of an adapter's shapes by the names that they have in adapters, as `layers.3.q_proj.lora_A`, and laid out as there.
pub fn named(adapter: &Adapter, prefix: &str, mut matrices: Matrices) -> Matrices {
    let mut out = Matrices::new();
    for (target, term) in terms_of(adapter, prefix, 1.0) {
        for (name, which) in [(term.a(), "lora_A"), (term.b(), "lora_B")] {
            if let Some(values) = matrices.remove(&name) {
                out.insert(format!("{}.{which}", target.key()), as_in_files(target, &term, which, values));
            }
        }
    }
    out
}

/// Puts trained matrices into an adapter of the same terms.
pub fn update(adapter: &mut Adapter, prefix: &str, mut matrices: Matrices) {
    for (target, term) in terms_of(adapter, prefix, 1.0).collect::<Vec<_>>() {
        let Some(pair) = adapter.pairs.get_mut(&target) else { continue };
        if let Some(values) = matrices.remove(&term.a()) {
            pair.a = as_in_files(target, &term, "lora_A", values);
        }
        if let Some(values) = matrices.remove(&term.b()) {
            pair.b = values;
        }
    }
}

fn as_in_files(target: Target, term: &Term, which: &str, values: Vec<f32>) -> Vec<f32> {
    if target.is_table() && which == "lora_A" { transposed(&values, term.rank as usize) } else { values }
}
