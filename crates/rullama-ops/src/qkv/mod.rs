//! Queries, keys and values between projection and attention: norm per head, rotary embedding,
//! and the way into the caches.

mod oracle;
mod prepare;
mod rope;
mod single;

pub use prepare::QkvPrepare;
pub use rope::{ROPE_LOW, rope_tables, rope_tables_ahead};
pub use single::{HeadNorm, HeadRope, Store};

pub(crate) use oracle::step;

#[cfg(feature = "cases")]
pub mod cases;

use crate::graph::{Number, Type};
use crate::op::head_workgroup;
use rullama_gpu::{Caps, GpuError};

/// An invocation takes eight values of a head: 512 at most.
const WORKGROUP: u32 = 64;

/// Invocations of a workgroup that takes a head: as few as the head wants where idle ones cost as much as others.
fn workgroup(head_dim: u32, caps: &Caps) -> u32 {
    if caps.software { head_workgroup(head_dim) } else { WORKGROUP }
}

fn invalid(op: &str, message: String) -> GpuError {
    GpuError::Validation { what: format!("operands of `{op}`"), message }
}

/// Heads that the kernels take: a multiple of 32, at most 512 values.
fn fits_kernels(head_dim: u32) -> bool {
    head_dim.is_multiple_of(32) && (1..=8 * WORKGROUP).contains(&head_dim)
}

/// `heads` heads of `head_dim` a row.
fn is_heads(of: &Type, heads: u32, head_dim: u32) -> bool {
    of.number == Number::F32 && of.cols == heads * head_dim && fits_kernels(head_dim)
}

/// Weight, tables and state of a rotation of heads of `head_dim`.
fn are_rotation([norm, low, high, state]: [&Type; 4], head_dim: u32) -> bool {
    *norm == Type::f32(1, head_dim) && low.rows == ROPE_LOW && low.cols == head_dim && high.cols == head_dim && state.number == Number::Words
}
