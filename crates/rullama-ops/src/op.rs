//! What every operation is: a record of dispatches beside a CPU oracle.
//!
//! An operation that training goes through also has a backward rule ([`Op::backward`]): it adds to the graph what turns the gradients
//! of its results into those of its operands. What a rule reads of the forward step it takes by [`Backward::operand`], so that it
//! is kept for it, or computed again. Gradients of values are values: written once, added up by the rules. Gradients of what is
//! trained are updated: a rule adds to what is there, and whoever applies them clears them.

use crate::backward::Backward;
use crate::case::Case;
use crate::graph::{Number, Type};
use crate::host::Host;
use crate::weight::Weight;
use rullama_gpu::{Caps, GpuError, Recorder, Slice};
use std::any::Any;
use std::sync::Arc;

pub use crate::kv::KvType;

/// How an operation uses an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Read,
    /// Made here, all of it; contiguous (stride = cols).
    Write,
    /// A cache or words, partly written over.
    Update,
    /// Words that workgroups pass values on by; what stands there between dispatches means nothing, but for the first, a status.
    Exchange,
}

/// An f32 matrix on the GPU: `rows` of `cols` values, `stride` apart, from `offset` values
/// into `slice`. Offsets and strides are multiples of 4.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub slice: Slice,
    pub rows: u32,
    pub cols: u32,
    pub stride: u32,
    pub offset: u32,
}

/// Keys or values of one layer: `slots` rows of `width` = kv_heads * head_dim; position p
/// stands in slot p % slots.
#[derive(Debug, Clone)]
pub struct Cache {
    pub slice: Slice,
    pub kv: KvType,
    pub slots: u32,
    pub width: u32,
}

/// What an operation works on.
#[derive(Debug, Clone)]
pub enum Operand {
    Tensor(Tensor),
    Weight(Arc<Weight>),
    Cache(Cache),
    /// Plain words: token ids, step state, settings.
    Words(Slice),
}

macro_rules! accessor {
    ($name:ident, $variant:ident, $kind:ty) => {
        /// The operand as this kind; an error names the mismatch.
        pub fn $name(&self) -> Result<&$kind, GpuError> {
            match self {
                Operand::$variant(inner) => Ok(inner),
                other => Err(GpuError::Validation {
                    what: concat!("an operand, wanted ", stringify!($variant)).into(),
                    message: format!("got {other:?}"),
                }),
            }
        }
    };
}

impl Operand {
    accessor!(tensor, Tensor, Tensor);
    accessor!(weight, Weight, Arc<Weight>);
    accessor!(cache, Cache, Cache);
    accessor!(words, Words, Slice);
}

/// Words of the step state that kernels read (see [`StepState`]).
pub mod state {
    /// Position of the step's first token.
    pub const POSITION: u32 = 0;
    /// Tokens of the step that are real; the rest pads the shape.
    pub const TOKENS: u32 = 1;
    /// Tokens sampled since the counter was set; the index of the next result record.
    pub const SAMPLED: u32 = 2;
    /// Words of the whole state.
    pub const WORDS: u32 = 8;
}

/// The step state as the host writes it. Kernels see it as `array<u32>`, indexed by [`state`];
/// after each sampled token the sampler advances it, so queued steps need no host.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct StepState {
    pub position: u32,
    pub tokens: u32,
    pub sampled: u32,
    pub unused: [u32; 5],
}

/// Where an operation records itself.
pub struct Context<'a> {
    pub recorder: &'a mut Recorder,
    pub caps: &'a Caps,
    /// One of [`Op::variants`]; `None` takes the first.
    pub variant: Option<&'static str>,
    /// Variants that failed their test on this adapter, by operation.
    pub banned: &'a [(String, &'static str)],
    /// [`Op::scratch`] bytes, shared with other operations.
    pub scratch: Option<Slice>,
}

/// An operation: kernel variants, and the oracle that judges them.
pub trait Op: Any + std::fmt::Debug + Send + Sync {
    /// The field's name, as `rms_norm`.
    fn name(&self) -> &'static str;

    /// How each operand is used, in order.
    fn uses(&self) -> Vec<Use>;

    /// Types of what is made from `inputs`: the operands that are read or updated.
    ///
    /// # Errors
    /// Operands that do not fit, in words.
    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String>;

    /// Operands (made, read) that may be one buffer: kernels are linked for that when both slices are the same.
    fn may_alias(&self) -> Option<(usize, usize)> {
        None
    }

    /// Kernel variants that these capabilities allow for these operands, best first.
    fn variants(&self, caps: &Caps, operands: &[Operand]) -> Vec<&'static str>;

    /// Bytes of scratch that recording needs.
    fn scratch(&self, _caps: &Caps, _operands: &[Operand]) -> u64 {
        0
    }

    /// The same before there are operands, at least what [`scratch`](Self::scratch) says: of operations that training goes through.
    fn scratch_for(&self, _inputs: &[Type], _caps: &Caps) -> u64 {
        0
    }

    /// Adds the dispatches.
    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError>;

    /// How far each value of the last operand (or of every tensor that is made or updated, one after another) may be off where sums, off by `sums` of their root mean square, pass through
    /// functions with errors of their own; `None`: the results are the sums.
    fn allowance(&self, _operands: &[Host], _sums: f32) -> Option<Vec<f32>> {
        None
    }

    /// The same on the CPU, from the definition: sums in f64, no code shared with kernels.
    fn oracle(&self, operands: &mut [Host]);

    /// Adds what turns gradients of the results into gradients of the operands; see the [contract](self).
    ///
    /// # Errors
    /// In words: an operation that cannot be trained through.
    fn backward(&self, _back: &mut Backward) -> Result<(), String> {
        Err("it has no backward rule".into())
    }

    /// Multiplications, about, where the step's last key stands at `end - 1`: what the time of a part of a recording is guessed by.
    fn work(&self, inputs: &[Type], _end: u32) -> u64 {
        inputs.iter().filter(|of| of.number == Number::F32).map(|of| u64::from(of.rows) * u64::from(of.cols)).sum()
    }

    /// What tells the kernels for `inputs` of these types from those for others.
    fn kernels(&self, _inputs: &[Type], _caps: &Caps) -> String {
        format!("{self:?}")
    }

    /// A case on little data that runs the kernels which `inputs` of these types get.
    fn smoke(&self, inputs: &[Type]) -> Case;
}

impl Context<'_> {
    /// The variant to record.
    ///
    /// # Errors
    /// [`GpuError::Validation`] when all variants are banned, or the operation does not have the one asked for.
    pub fn variant(&self, op: &dyn Op, operands: &[Operand]) -> Result<&'static str, GpuError> {
        let all = op.variants(self.caps, operands);
        let usable = |v: &&&'static str| !self.banned.iter().any(|(name, variant)| name == op.name() && variant == *v);
        let chosen = self.variant.map_or_else(|| all.iter().find(usable).copied(), |wanted| all.iter().copied().find(|v| *v == wanted));
        chosen.ok_or_else(|| GpuError::Validation {
            what: format!("operation `{}`", op.name()),
            message: format!("no variant {:?} among {all:?}", self.variant),
        })
    }

    /// The scratch slice, `bytes` long.
    ///
    /// # Errors
    /// [`GpuError::Validation`] when the plan gave none, or too little.
    pub fn scratch(&self, bytes: u64) -> Result<Slice, GpuError> {
        match &self.scratch {
            Some(slice) if slice.size >= bytes => Ok(Slice { size: bytes, ..slice.clone() }),
            _ => Err(GpuError::Validation { what: "scratch memory".into(), message: format!("{bytes} bytes are needed") }),
        }
    }
}

/// The usual pair for kernels that reduce: with subgroups where they may be used.
pub fn reducing_variants(caps: &Caps) -> Vec<&'static str> {
    if caps.subgroups.is_some() { vec!["subgroups", "plain"] } else { vec!["plain"] }
}

/// Invocations of a workgroup that reduces a row of `width` values: a quad each where the adapter has so many. A CPU takes one after the
/// other, and waits at each barrier for all.
pub fn row_workgroup(width: u32, caps: &Caps) -> u32 {
    if caps.software {
        return 64;
    }
    (width / 4).next_power_of_two().clamp(256, 1024).min(caps.invocations)
}

/// Invocations of a workgroup of the plain attention kernels, which holds a head of `head_dim` values, two quads an invocation: no more
/// than that, since a CPU waits at each barrier for all.
pub fn head_workgroup(head_dim: u32) -> u32 {
    (head_dim / 8).next_power_of_two().max(8)
}

/// A small width whose rows get the same workgroup.
pub fn smoke_width(width: u32) -> usize {
    let quads = (width / 4).next_power_of_two().clamp(256, 1024) as usize;
    4 * (quads / 2 + 64)
}

/// Workgroups for `items`, spread over two dimensions when one would pass `limit`.
/// Kernels recover the index as `id.y * num_workgroups.x + id.x` and check it.
pub fn spread(items: u32, limit: u32) -> [u32; 3] {
    if items <= limit {
        return [items.max(1), 1, 1];
    }
    let y = items.div_ceil(limit);
    [items.div_ceil(y), y, 1]
}
