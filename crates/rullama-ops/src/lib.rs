//! Operations of the network: each a folder with its kernels, CPU oracle and cases.
//!
//! An [`Op`] records dispatches for operands that live on the GPU and computes the same on the
//! CPU from the definition. Weights of any format go through one kernel source; the format's
//! decoder is linked in (see [`shader`]).

pub mod attention;
pub mod case;
pub mod elementwise;
pub mod embed;
pub mod host;
pub mod matmul;
pub mod op;
pub mod per_layer;
pub mod qkv;
#[cfg(feature = "cases")]
pub mod registry;
pub mod residual_norm;
pub mod rms_norm;
pub mod sample;
pub mod shader;
pub mod smoke;
pub mod weight;

pub use attention::Attention;
pub use elementwise::{AddScale, LastRow};
pub use embed::Embed;
pub use host::{Array, Host, HostCache, HostWeight};
pub use matmul::{Epilogue, GegluMatmul, Matmul};
pub use op::{Cache, Context, KvType, Op, Operand, StepState, Tensor, reducing_variants, spread, state};
pub use per_layer::PerLayerCombine;
pub use qkv::{QkvPrepare, QueryPrepare, rope_tables};
pub use residual_norm::ResidualNorm;
pub use rms_norm::RmsNorm;
pub use sample::{Sample, SampleMode, SampleResult, SampleSettings};
pub use weight::{Chunk, Weight};
