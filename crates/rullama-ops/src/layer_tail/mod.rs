//! What of a layer lies behind its attention, in one dispatch whose workgroups stay.
//!
//! Layers with per-layer embeddings are small: a dispatch's start and end take longer than its loads. Here 128 workgroups or fewer run at
//! once and pass vectors on through words, so that no dispatch ends between the products. Nothing promises that they do run at once: waits are
//! bounded, and a wait given up sets a status word and makes the results no numbers. Whoever records it tests it first, on the adapter and at
//! the size that it is used at, and can compute a step anew.

use crate::case::{Case, Rng};
use crate::codes;
use crate::graph::{Number, Type};
use crate::host::Host;
use crate::op::{Context, Op, Operand, Use};
use crate::shader::Link;
use crate::weight::Weight;
use rullama_gpu::{Caps, GpuError, Kernel};
use rullama_quant::DType;

#[cfg(feature = "cases")]
pub mod cases;
mod oracle;
mod sizes;

use sizes::Sizes;

/// Words that workgroups exchange; the first is not 0 once a wait was given up, or a word was not clear.
pub const WORDS: usize = 1 << 16;
/// Numbers of workgroups to try, best first.
const ON_GPU: &[u32] = &[128, 64];
/// It runs one after another.
const ON_CPU: &[u32] = &[1];
/// Buffers that the kernel binds.
const BUFFERS: u32 = 18;

/// What follows the layer's last norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Its codes.
    Codes,
    /// The product of its codes with the first weight of the next layer.
    Product,
}

/// For one token: `h1 = h + RMS(a Woᵀ) norm_o`, `f = gelu(x Gᵀ) (x Uᵀ)` with `x = RMS(h1) norm_up`, `h2 = h1 + RMS(f Wdᵀ) norm_down`,
/// `p = (gelu(h2 Wgᵀ) e) Wpᵀ`, `h' = (h2 + RMS(p) norm_proj) scale`, and `y = RMS(h') norm_next` or its product with the next layer's first
/// weight. `a` and `y` are in codes of 8 bits by groups of 32; `x` is rounded to such, and `f` by groups of 16.
///
/// Operands: a `[1, A]`, Wo `[D, A]`, norm_o, h, norm_up `[1, D]`, G and U in turn `[2 F, D]`, Wd `[D, F]`, norm_down, Wg `[P, D]`, e `[1, P]`,
/// Wp `[D, P]`, norm_proj, norm_next, perhaps the next weight `[R, D]`, the words that are exchanged (all 0 at first), and what is made: h' and y.
#[derive(Debug, Clone)]
pub struct LayerTail {
    pub eps: f32,
    pub scale: f32,
    pub then: Then,
    /// How many stay; at most the rows of each product, and a 16th of F.
    pub workgroups: u32,
}

/// Operands by their place.
mod at {
    pub const A: usize = 0;
    pub const W_O: usize = 1;
    pub const NORM_O: usize = 2;
    pub const H: usize = 3;
    pub const NORM_UP: usize = 4;
    pub const W_UP: usize = 5;
    pub const W_DOWN: usize = 6;
    pub const NORM_DOWN: usize = 7;
    pub const W_GATE: usize = 8;
    pub const E: usize = 9;
    pub const W_PROJ: usize = 10;
    pub const NORM_PROJ: usize = 11;
    pub const NORM_NEXT: usize = 12;
    pub const W_NEXT: usize = 13;
}

/// What the kernel calls a weight.
struct Names {
    decode: &'static str,
    codes: &'static str,
    bits: &'static str,
    planes: [&'static str; 4],
}

/// In the order of [`LayerTail::weights`].
const NAMES: [Names; 6] = [
    Names { decode: "decode_o", codes: "codes_o", bits: "weight_o", planes: ["o_x", "o_y", "o_z", "o_w"] },
    Names { decode: "decode_up", codes: "codes_up", bits: "weight_up", planes: ["up_x", "up_y", "up_z", "up_w"] },
    Names { decode: "decode_down", codes: "codes_down", bits: "weight_down", planes: ["down_x", "down_y", "down_z", "down_w"] },
    Names { decode: "decode_gate", codes: "codes_gate", bits: "weight_gate", planes: ["gate_x", "gate_y", "gate_z", "gate_w"] },
    Names { decode: "decode_proj", codes: "codes_proj", bits: "weight_proj", planes: ["proj_x", "proj_y", "proj_z", "proj_w"] },
    Names { decode: "decode_next", codes: "codes_next", bits: "weight_next", planes: ["next_x", "next_y", "next_z", "next_w"] },
];

impl LayerTail {
    /// Numbers of workgroups to try on an adapter, best first; none where it cannot run the kernel at all.
    pub fn choices(caps: &Caps) -> &'static [u32] {
        let fixed = caps.subgroups.is_some_and(|(least, most)| least == most && (8..=32).contains(&least));
        match fixed && caps.storage_buffers >= BUFFERS && caps.invocations >= sizes::WORKGROUP {
            false => &[],
            true if caps.software => ON_CPU,
            true => ON_GPU,
        }
    }

    /// Whether so many workgroups can share out a layer of `[D, F, P]`: each sends some of every vector.
    pub fn fits([dim, ffn, per_layer]: [u32; 3], workgroups: u32) -> bool {
        let grouped = [dim, ffn, per_layer].iter().all(|size| size % 32 == 0);
        grouped && dim.min(ffn / 16).min(per_layer) >= workgroups && sizes::words(dim, ffn, per_layer) <= WORDS as u32
    }

    fn reads(&self) -> usize {
        if self.then == Then::Product { at::W_NEXT + 1 } else { at::W_NEXT }
    }

    /// Of the workgroups so many begin: others would never come.
    fn record_on(&self, context: &mut Context, operands: &[Operand], begun: u32) -> Result<(), GpuError> {
        let weights = self.weights(operands)?;
        let kernel = self.kernel(context.caps, &weights)?;
        let tensor = |at: usize| operands[at].tensor();
        let dispatch = context.recorder.dispatch(&kernel, [begun, 1, 1]);
        for (weight, names) in weights.iter().zip(&NAMES) {
            let chunk = &weight.chunks[0];
            for (name, start) in names.planes.into_iter().zip(chunk.planes) {
                dispatch.param(name, start);
            }
            dispatch.bind(names.bits, &chunk.slice);
        }
        dispatch.param("eps", self.eps).param("scale", self.scale);
        dispatch.param("h_offset", tensor(at::H)?.offset).param("e_offset", tensor(at::E)?.offset);
        let [a_codes, a_scales] = codes::slices(tensor(at::A)?);
        let (words, out, made) = (self.reads(), self.reads() + 1, self.reads() + 2);
        dispatch.bind("words", operands[words].words()?).bind("a_codes", &a_codes).bind("a_scales", &a_scales);
        let norms = [("norm_o", at::NORM_O), ("norm_up", at::NORM_UP), ("norm_down", at::NORM_DOWN), ("norm_proj", at::NORM_PROJ)];
        for (name, at) in norms.into_iter().chain([("norm_next", at::NORM_NEXT), ("h", at::H), ("e", at::E), ("out", out)]) {
            dispatch.bind(name, &tensor(at)?.slice);
        }
        codes::bind_made(dispatch, tensor(made)?, self.then == Then::Codes);
        Ok(())
    }

    /// The weights in the order of their use.
    fn weights<'a>(&self, operands: &'a [Operand]) -> Result<Vec<&'a Weight>, GpuError> {
        let mut weights = Vec::new();
        for at in self.weight_places() {
            let weight = operands[at].weight()?;
            if weight.chunks.len() != 1 || (weight.chunks[0].start, weight.chunks[0].step) != (0, 1) {
                let message = "its rows do not lie one behind another in one buffer".into();
                return Err(GpuError::Validation { what: format!("weight `{}` of a layer in one dispatch", weight.name), message });
            }
            weights.push(&**weight);
        }
        Ok(weights)
    }

    fn weight_places(&self) -> impl Iterator<Item = usize> {
        let next = (self.then == Then::Product).then_some(at::W_NEXT);
        [at::W_O, at::W_UP, at::W_DOWN, at::W_GATE, at::W_PROJ].into_iter().chain(next)
    }

    fn kernel(&self, caps: &Caps, weights: &[&Weight]) -> Result<Kernel, GpuError> {
        let [o, _, down, _, proj, ..] = weights else { unreachable!("there are five") };
        let next = weights.get(5);
        let mut link = Link::new("layer_tail", rullama_quant::wgsl!("layer_tail.wgsl"), caps);
        link.flag("subgroups", true).flag("next", next.is_some()).flag("codes", next.is_none());
        let rows_behind = next.map_or(0, |weight| weight.rows);
        for (name, value) in Sizes::new(self.workgroups, caps).constants([o.rows, o.cols, down.cols, proj.cols, rows_behind]) {
            link.constant(name, value);
        }
        link.module("words", rullama_quant::wgsl!("words.wgsl")).module("staged", rullama_quant::wgsl!("staged.wgsl"));
        link.module("halves", rullama_quant::wgsl!("halves.wgsl")).module("products", rullama_quant::wgsl!("products.wgsl"));
        link.module("codes_dot_halves", rullama_quant::wgsl!("codes_dot_halves.wgsl"));
        for (weight, names) in weights.iter().zip(&NAMES) {
            let codes = rullama_quant::codes_wgsl(weight.dtype).unwrap_or_default();
            link.module(names.decode, rullama_quant::wgsl(weight.dtype)).module(names.codes, codes);
        }
        link.kernel()
    }
}

impl Op for LayerTail {
    fn name(&self) -> &'static str {
        "layer_tail"
    }

    fn uses(&self) -> Vec<Use> {
        let mut uses = vec![Use::Read; self.reads()];
        uses.extend([Use::Exchange, Use::Write, Use::Write]);
        uses
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let h = inputs[at::H];
        Ok(vec![h, if self.then == Then::Product { Type::f32(1, inputs[at::W_NEXT].rows) } else { Type::codes(1, h.cols) }])
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        if LayerTail::choices(caps).is_empty() { Vec::new() } else { vec!["resident"] }
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        self.record_on(context, operands, self.workgroups)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [out, made] = self.results_of(operands);
        let last = operands.len() - 1;
        (operands[last - 1], operands[last]) = (out, made);
    }

    fn kernels(&self, inputs: &[Type], _: &Caps) -> String {
        format!("{:?} {} {:?}", self.then, self.workgroups, self.formats(inputs))
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let w = self.workgroups as usize;
        self.case([w.max(256), 256, (16 * w).max(512), w.max(256), 512], &self.formats(inputs), 1)
    }
}

impl LayerTail {
    /// Formats of the weights.
    fn formats(&self, inputs: &[Type]) -> Vec<DType> {
        let format = |at: usize| if let Number::Weight(dtype) = inputs[at].number { dtype } else { DType::Q4K };
        self.weight_places().map(format).collect()
    }

    /// A case of a residual stream of `d`, attention of `a`, a feed-forward of `f`, `p` per-layer values and `r` rows behind.
    fn case(&self, [d, a, f, p, r]: [usize; 5], formats: &[DType], seed: u64) -> Case {
        let mut rng = Rng::new(seed);
        let weight = |rng: &mut Rng, at: usize, rows, cols| Host::Weight(rng.weight(formats[at], rows, cols));
        let vector = |rng: &mut Rng, cols| Host::from(rng.tensor(1, cols));
        let mut operands = vec![rng.codes(1, a, 1.0), weight(&mut rng, 0, d, a)];
        operands.extend([(); 3].map(|()| vector(&mut rng, d)));
        operands.extend([weight(&mut rng, 1, 2 * f, d), weight(&mut rng, 2, d, f), vector(&mut rng, d)]);
        operands.extend([weight(&mut rng, 3, p, d), vector(&mut rng, p), weight(&mut rng, 4, d, p)]);
        operands.extend([(); 2].map(|()| vector(&mut rng, d)));
        operands.extend((self.then == Then::Product).then(|| weight(&mut rng, 5, r, d)));
        operands.push(Host::Words(vec![0; sizes::words(d as u32, f as u32, p as u32) as usize]));
        let made = if self.then == Then::Product { Type::f32(1, r as u32) } else { Type::codes(1, d as u32) };
        operands.extend([Host::zeros(&Type::f32(1, d as u32)), Host::zeros(&made)]);
        Case::new(format!("{d} of {a}, {f}, {p}, then {:?}", self.then), self.clone(), operands, f)
    }
}
