//! Which format each tensor of a model gets: the mixes of Ollama and llama.cpp, such as Q4_K_M.
//!
//! Source: Ollama `server/quantization.go` (`newType`, `getTensorNewType`, `useMoreBits`). Rules
//! for architectures other than Gemma's are left out.
//!
//! ```
//! use rullama_quant::{DType, mix::{Mix, Tally, target}};
//! let names = ["token_embd.weight", "blk.0.attn_v.weight", "blk.0.attn_norm.weight"];
//! let mut tally = Tally::new(names);
//! let mut of = |name, dims: &[u64]| target(Mix::Q4KM, name, dims, DType::F16, &mut tally);
//! assert_eq!(of("token_embd.weight", &[1536, 262144]), DType::Q6K);
//! assert_eq!(of("blk.0.attn_v.weight", &[1536, 256]), DType::Q6K);
//! assert_eq!(of("blk.0.attn_norm.weight", &[1536]), DType::F16); // stays as it is
//! ```

use crate::DType;

/// A mix of formats, named for the one most of the bytes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mix {
    F32,
    F16,
    BF16,
    Q8_0,
    Q4_0,
    Q4KS,
    Q4KM,
}

impl Mix {
    /// Every mix.
    pub const ALL: &[Mix] = &[Mix::F32, Mix::F16, Mix::BF16, Mix::Q8_0, Mix::Q4_0, Mix::Q4KS, Mix::Q4KM];

    /// Name as people write it: `Q4_K_M`.
    pub fn label(self) -> &'static str {
        match self {
            Mix::Q4KS => "Q4_K_S",
            Mix::Q4KM => "Q4_K_M",
            plain => plain.dtype().label(),
        }
    }

    /// The mix of a label, in upper or lower case.
    pub fn from_label(label: &str) -> Option<Mix> {
        Mix::ALL.iter().copied().find(|mix| mix.label().eq_ignore_ascii_case(label))
    }

    /// The format of tensors without a rule of their own.
    pub fn dtype(self) -> DType {
        match self {
            Mix::F32 => DType::F32,
            Mix::F16 => DType::F16,
            Mix::BF16 => DType::BF16,
            Mix::Q8_0 => DType::Q8_0,
            Mix::Q4_0 => DType::Q4_0,
            Mix::Q4KS | Mix::Q4KM => DType::Q4K,
        }
    }

    /// Value of `general.file_type`.
    pub fn file_type(self) -> u32 {
        match self {
            Mix::F32 => 0,
            Mix::F16 => 1,
            Mix::Q4_0 => 2,
            Mix::Q8_0 => 7,
            Mix::Q4KS => 14,
            Mix::Q4KM => 15,
            Mix::BF16 => 32,
        }
    }
}

/// What the rules count over the tensors of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    layers: usize,
    attn_v: usize,
    attn_v_seen: usize,
    has_output: bool,
}

impl Tally {
    /// Counts layers and value projections among all tensor names of a model.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Tally {
        names.into_iter().fold(Tally::default(), |mut tally, name| {
            tally.layers = tally.layers.max(layer(name).map_or(0, |layer| layer.saturating_add(1)));
            tally.attn_v += usize::from(name.contains("attn_v.weight"));
            tally.has_output |= name == "output.weight";
            tally
        })
    }
}

/// The format of a tensor in a mix. Call it once for each tensor, in file order: the value
/// projections are counted as they come (not every layer has one).
///
/// - `dims`: row length first, as in the file.
/// - `source`: its format now, which it keeps when it must not be quantised.
pub fn target(mix: Mix, name: &str, dims: &[u64], source: DType, tally: &mut Tally) -> DType {
    if keeps_source(name, dims) {
        return source;
    }
    let cols = dims[0];
    let divides = |dtype: DType| cols.is_multiple_of(dtype.block_len() as u64);
    let dtype = mix.dtype();
    if dtype.block_len() == 1 {
        return dtype;
    }
    let wanted = match mix {
        _ if is_head(name, tally) => {
            if divides(dtype) && dtype != DType::Q8_0 {
                DType::Q6K
            } else {
                DType::Q8_0
            }
        }
        Mix::Q4KM | Mix::Q4KS => with_more_bits(mix, name, tally).unwrap_or(dtype),
        _ => dtype,
    };
    let fallback = match wanted {
        dtype if divides(dtype) => dtype,
        DType::Q4K => DType::Q5_0,
        DType::Q5K => DType::Q5_1,
        DType::Q6K => DType::Q8_0,
        dtype => dtype,
    };
    if divides(fallback) { fallback } else { DType::F16 }
}

/// Vision, audio, norms, routers, the per-layer table, vectors and everything but weights.
fn keeps_source(name: &str, dims: &[u64]) -> bool {
    const KEPT: [&str; 4] = ["mm.", "_norm.weight", "ffn_gate_inp.weight", "per_layer_token_embd.weight"];
    !name.ends_with("weight")
        || name.starts_with("v.")
        || name.starts_with("a.")
        || KEPT.iter().any(|part| name.contains(part))
        || dims.len() < 2
}

/// The matrix that makes logits, which may be the embedding.
fn is_head(name: &str, tally: &Tally) -> bool {
    name == "output.weight" || (name == "token_embd.weight" && !tally.has_output)
}

/// The better format that a Q4_K mix gives some value and down projections.
fn with_more_bits(mix: Mix, name: &str, tally: &mut Tally) -> Option<DType> {
    let (i, n, small_mix_end) = if name.contains("attn_v.weight") {
        tally.attn_v_seen += 1;
        (tally.attn_v_seen - 1, tally.attn_v, 4)
    } else if name.contains("ffn_down") {
        (layer(name)?, tally.layers, tally.layers / 8)
    } else {
        return None;
    };
    match mix {
        Mix::Q4KM if more(i, n) => Some(DType::Q6K),
        Mix::Q4KS if i < small_mix_end => Some(DType::Q5K),
        _ => None,
    }
}

/// Whether item i of n gets more bits: the first and last eighth, and every third between.
fn more(i: usize, n: usize) -> bool {
    i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2
}

/// The layer in a name `blk.{layer}.*`.
fn layer(name: &str) -> Option<usize> {
    name.strip_prefix("blk.")?.split('.').next()?.parse().ok()
}
