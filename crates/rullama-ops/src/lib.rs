//! Operations of the network: each a folder with its kernels, CPU oracle and cases.
//!
//! An [`Op`] records dispatches for operands that live on the GPU and computes the same on the
//! CPU from the definition. Weights of any format go through one kernel source; the format's
//! decoder is linked in (see [`shader`]).

pub mod backward;
pub mod case;
pub mod graph;
pub mod host;
pub mod kv;
pub mod op;
pub mod shader;
pub mod tolerance;
pub mod types;
pub mod weight;

/// The operations: a folder each.
macro_rules! operations {
    ($($name:ident),*) => {
        $(pub mod $name;)*

        /// Every case of every operation: the one list from which tests and benchmarks are driven.
        #[cfg(feature = "cases")]
        pub fn all_cases() -> Vec<case::Case> {
            [$($name::cases::cases()),*].into_iter().flatten().collect()
        }
    };
}

operations!(
    attention,
    average_pool,
    bidirectional_attention,
    causal_conv,
    codes,
    dense,
    elementwise,
    embed,
    encoder_attention,
    experts,
    halves,
    layer_norm,
    layer_tail,
    local_attention,
    loss,
    matmul,
    mean_pool,
    optimizer,
    per_layer,
    qkv,
    residual_norm,
    rms_norm,
    rotate,
    rotate_axes,
    route,
    rows,
    sample,
    self_attention,
    sigmoid_mul,
    subsample
);

pub use attention::Attention;
pub use average_pool::AveragePool;
pub use backward::{Backward, grad};
pub use bidirectional_attention::BidirectionalAttention;
pub use causal_conv::CausalConv;
pub use codes::Quantise;
pub use dense::{Dense, OuterSum};
pub use elementwise::{AddColumns, AddScale, Affine, Clamp, Dropout, GeluMul, GeluMulBack, LastRow, Scale, Softcap, Zeros};
pub use embed::{Embed, EmbedPlaced};
pub use encoder_attention::{EncoderAttention, TextWords};
pub use experts::{ExpertProduct, ExpertSum};
pub use graph::{Graph, GraphError, Half, Kind, Number, Part, Type, Value, Words};
pub use halves::{Halve, Widen};
pub use host::{Array, Host, HostCache, HostWeight};
pub use kv::KvType;
pub use layer_norm::LayerNorm;
pub use layer_tail::{LayerTail, Then};
pub use local_attention::LocalAttention;
pub use loss::{LossGrad, LossStats};
pub use matmul::{Epilogue, Matmul, MatmulT, Prologue};
pub use mean_pool::MeanPool;
pub use op::{Cache, Context, Op, Operand, StepState, Tensor, Use, reducing_variants, spread, state};
pub use optimizer::{AdamW, ClipFactor, NormParts, UpdateSettings};
pub use per_layer::PerLayerCombine;
pub use qkv::{HeadNorm, HeadRope, QkvPrepare, Store, rope_tables, rope_tables_ahead};
pub use residual_norm::{Next, ResidualNorm};
pub use rms_norm::{RmsNorm, RmsNormBack};
pub use rotate::Rotate;
pub use rotate_axes::RotateAxes;
pub use route::{MOST_EXPERTS, Route};
pub use rows::{GatherRows, JoinRows, ReplaceRows, ScatterAdd, ScatterRows};
pub use sample::{Sample, SampleMode, SampleResult, SampleSettings};
pub use self_attention::{SelfAttention, SelfAttentionBackKeys, SelfAttentionBackQuery, SelfAttentionDelta};
pub use sigmoid_mul::{QuickGeluMul, SigmoidMul, Silu};
pub use subsample::Subsample;
pub use weight::{Chunk, Weight};
