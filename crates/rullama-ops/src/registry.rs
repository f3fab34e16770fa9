//! The one list of operations, from which tests and benchmarks are driven.

use crate::case::Case;

/// Every case of every operation.
pub fn all_cases() -> Vec<Case> {
    [
        crate::attention::cases::cases(),
        crate::qkv::cases::cases(),
        crate::rms_norm::cases::cases(),
        crate::matmul::cases::cases(),
        crate::embed::cases::cases(),
        crate::residual_norm::cases::cases(),
        crate::per_layer::cases::cases(),
        crate::elementwise::cases::cases(),
        crate::sample::cases::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
