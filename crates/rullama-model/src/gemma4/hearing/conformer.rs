//! The conformer of E2B and E4B.

use super::super::towers::{TowerFile, host};
use super::PROJECTION;
use crate::ModelError;
use crate::tower::{Features, Sense, Tower, TowerStep, Wants};
use crate::weights::{Specs, Table};
use rullama_ops::{LocalAttention, Subsample, Value};

/// Of every norm: some files name another one, which no implementation takes.
const EPS: f32 = 1e-6;
/// Rows that a row attends to, itself among them.
const SPAN: u32 = 12;
/// The cap on its scores.
const CAP: f32 = 50.0;
/// Longest of the sines that tell distances apart.
const LONGEST: f64 = 10_000.0;

/// The kernels of the two convolutions at the beginning, and the norms behind them.
pub(super) const KERNELS: [&str; 2] = ["a.conv1d.0.weight", "a.conv1d.1.weight"];
const KERNEL_NORMS: [&str; 2] = ["a.conv1d.0.norm.weight", "a.conv1d.1.norm.weight"];
/// Tables that are computed.
const BY_TAP: [&str; 2] = ["a.conv1d.0.by_tap", "a.conv1d.1.by_tap"];
const DISTANCES: &str = "a.distances";
const ONES: &str = "a.ones";
const OUTPUT_ONES: &str = "a.output_ones";
const ZEROS: &str = "a.zeros";

/// The linear layers of a block that are clipped.
const LINEARS: [&str; 10] =
    ["attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down", "ffn_up_1", "ffn_down_1", "conv_pw1", "conv_pw2"];

/// Names that the dialects do not share. Beware: `ln2` is the norm behind attention in one and that of the block's output in the other,
/// and `a.pre_encode.out` the linear before the blocks in one and that behind them in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Names {
    input: &'static str,
    output: &'static str,
    relative: &'static str,
    pre_attention: &'static str,
    post_attention: &'static str,
    block_output: &'static str,
}

const OLLAMA: Names = Names {
    input: "a.pre_encode.out",
    output: "mm.a.fc",
    relative: "linear_pos",
    pre_attention: "ln1",
    post_attention: "ln2",
    block_output: "layer_pre_norm",
};

const LLAMA_CPP: Names = Names {
    input: "a.input_projection",
    output: "a.pre_encode.out",
    relative: "attn_k_rel",
    pre_attention: "attn_pre_norm",
    post_attention: "attn_post_norm",
    block_output: "ln2",
};

/// A conformer as a file describes it.
#[derive(Debug)]
pub(super) struct Conformer {
    names: Names,
    bins: u32,
    blocks: u32,
    dim: u32,
    heads: u32,
    head_dim: u32,
    /// Columns of what it gives, before the projection.
    output: u32,
    specs: Specs,
}

impl Conformer {
    pub fn read(mut file: TowerFile, text_dim: u32) -> Result<Self, ModelError> {
        let names = if file.has("mm.a.fc.weight") { OLLAMA } else { LLAMA_CPP };
        let bins = file.u32_or("audio.num_mel_bins", 128)?;
        if !(4..=512).contains(&bins) || !bins.is_multiple_of(4) {
            return Err(file.bad("audio.num_mel_bins", bins, "is no multiple of 4 up to 512"));
        }
        let mut channels = 1;
        for (kernel, norm) in KERNELS.into_iter().zip(KERNEL_NORMS) {
            let found = file.find(kernel)?.dims.get(3).copied().unwrap_or(1);
            let next = u32::try_from(found).ok().filter(|next| (4..=1024).contains(next) && next.is_multiple_of(4));
            let next = next.ok_or_else(|| file.bad("audio.conv_channels", found, "is no multiple of 4 up to 1024"))?;
            file.table(kernel, &[3, 3, channels, next.into()], true)?;
            file.vector(norm, next)?;
            channels = next.into();
        }
        let dim = width(&file, "audio.embedding_length", file.find(&format!("{}.weight", names.input))?.rows())?;
        file.matrix(names.input, bins.div_ceil(2).div_ceil(2) * channels as u32, dim)?;
        let head_dim = file.find("a.blk.0.per_dim_scale.weight")?.cols() as u32;
        if head_dim == 0 || !head_dim.is_multiple_of(4) || !dim.is_multiple_of(head_dim) || dim / head_dim > 128 {
            return Err(file.bad("audio.attention.head_count", head_dim, "values a head are no multiple of 4 that divides the width"));
        }
        let blocks = (0..1024).take_while(|i| file.has(&format!("a.blk.{i}.ffn_norm.weight"))).count() as u32;
        if file.u32_or("audio.block_count", blocks)? != blocks {
            return Err(ModelError::MissingTensor { name: format!("a.blk.{blocks}.ffn_norm.weight") });
        }
        for i in 0..blocks {
            block(&mut file, &names, i, dim, head_dim)?;
        }
        let output = width(&file, "audio.projection_dim", file.find(&format!("{}.weight", names.output))?.rows())?;
        file.matrix(names.output, dim, output)?;
        file.vector(&format!("{}.bias", names.output), output)?;
        file.projection(PROJECTION, output, text_dim)?;
        file.bounds(PROJECTION)?;
        Ok(Conformer { names, bins, blocks, dim, heads: dim / head_dim, head_dim, output, specs: file.specs })
    }
}

fn width(file: &TowerFile, key: &str, found: u64) -> Result<u32, ModelError> {
    let fits = u32::try_from(found).ok().filter(|width| (8..=1 << 16).contains(width) && width.is_multiple_of(4));
    fits.ok_or_else(|| file.bad(key, found, "is no multiple of 4 from 8 to 65536"))
}

fn block(file: &mut TowerFile, names: &Names, i: u32, dim: u32, head_dim: u32) -> Result<(), ModelError> {
    let key = |name: &str| format!("a.blk.{i}.{name}");
    let norms = ["ffn_norm", "ffn_post_norm", "ffn_norm_1", "ffn_post_norm_1", "conv_norm", "norm_conv"];
    for norm in norms.into_iter().chain([names.pre_attention, names.post_attention, names.block_output]) {
        file.vector(&key(&format!("{norm}.weight")), dim)?;
    }
    for linear in ["attn_q", "attn_k", "attn_v", "attn_out", names.relative, "conv_pw2"] {
        file.matrix(&key(linear), dim, dim)?;
    }
    file.matrix(&key("conv_pw1"), dim, 2 * dim)?;
    for (up, down) in [("ffn_up", "ffn_down"), ("ffn_up_1", "ffn_down_1")] {
        let ffn = width(file, "audio.feed_forward_length", file.find(&key(&format!("{up}.weight")))?.rows())?;
        file.matrix(&key(up), dim, ffn)?;
        file.matrix(&key(down), ffn, dim)?;
    }
    for linear in LINEARS {
        file.bounds(&key(linear))?;
    }
    let taps = file.find(&key("conv_dw.weight"))?.cols();
    if !(1..=64).contains(&taps) {
        return Err(file.bad("audio.conv_kernel_size", taps, "is outside 1..=64"));
    }
    file.table(&key("conv_dw.weight"), &[taps, dim.into()], true)?;
    file.table(&key("per_dim_scale.weight"), &[head_dim.into()], true)?;
    for name in KEY_SCALES.map(key) {
        if file.has(&name) {
            file.table(&name, &[head_dim.into()], true)?;
        }
    }
    Ok(())
}

/// Factors of keys, where a file has them: the dialects name them apart.
const KEY_SCALES: [&str; 2] = ["per_dim_k_scale.weight", "per_dim_k_scale"];

/// `[n, m]` of `[m, n]`, whose rows have `n` values.
fn transposed(values: &[f32], n: usize) -> Vec<f32> {
    (0..n).flat_map(|column| values.iter().skip(column).step_by(n).copied()).collect()
}

/// Sines, then cosines of distances: angles `d exp(-j ln(10000) / (dim / 2 - 1))`.
fn distances(dim: usize) -> Vec<f32> {
    let step = LONGEST.ln() / (dim / 2 - 1) as f64;
    let angles = |d: u32| (0..dim / 2).map(move |j| f64::from(d) * (-(j as f64) * step).exp());
    (0..SPAN).flat_map(|d| angles(d).map(f64::sin).chain(angles(d).map(f64::cos)).map(|value| value as f32)).collect()
}

impl Tower for Conformer {
    fn sense(&self) -> Sense {
        Sense::Hearing
    }

    fn wants(&self) -> Wants {
        Wants::Mel { bins: self.bins }
    }

    fn specs(&self) -> &Specs {
        &self.specs
    }

    fn tables(&self, file: &[Table]) -> Result<Vec<Table>, ModelError> {
        let found = |name: &str| host(file, name).ok_or_else(|| ModelError::MissingTensor { name: name.into() });
        let (dim, output) = (self.dim as usize, self.output as usize);
        let table = |key: &str, cols: usize, values: Vec<f32>| Table { key: key.into(), cols, values };
        let mut tables = vec![
            table(ONES, dim, vec![1.0; dim]),
            table(ZEROS, dim, vec![0.0; dim]),
            table(OUTPUT_ONES, output, vec![1.0; output]),
            table(DISTANCES, dim, distances(dim)),
        ];
        for (kernel, by_tap) in KERNELS.into_iter().zip(BY_TAP) {
            let values = found(kernel)?;
            let channels = self.specs.tables.iter().find(|spec| spec.key == kernel).map_or(1, |spec| spec.tensor.dims[3] as usize);
            // [channel out][channel in][tap] of the file as [tap][channel in][channel out].
            let inner = values.len() / channels / 9;
            let at = |i: usize| (i % channels * inner + i / channels % inner) * 9 + i / (channels * inner);
            tables.push(table(by_tap, channels, (0..values.len()).map(|i| values[at(i)]).collect()));
        }
        let (query, keys) = (f64::from(self.head_dim).sqrt().recip() / 2f64.ln(), 1f64.exp().ln_1p() / 2f64.ln());
        for i in 0..self.blocks {
            let key = |name: &str| format!("a.blk.{i}.{name}");
            let depthwise = found(&key("conv_dw.weight"))?;
            tables.push(table(&key("conv_dw"), dim, transposed(depthwise, depthwise.len() / dim)));
            let every = |of: &[f32], by: f64| of.iter().cycle().take(dim).map(|value| (f64::from(*value) * by) as f32).collect::<Vec<_>>();
            tables.push(table(&key("q_scale"), dim, every(found(&key("per_dim_scale.weight"))?, query)));
            let of_file = KEY_SCALES.iter().find_map(|name| host(file, &key(name)));
            tables.push(table(&key("k_scale"), dim, every(of_file.unwrap_or(&[1.0]), keys)));
        }
        Ok(tables)
    }

    fn step(&self, features: &Features, tables: &[Table], taps: bool) -> Result<TowerStep, ModelError> {
        let mut b = Builder::new(self, &self.specs, tables, taps);
        b.forward(features)?;
        Ok(TowerStep { graph: b.g, inputs: vec![("mel", features.values.clone())], words: Vec::new() })
    }
}

type Builder<'a> = super::super::towers::Builder<'a, Conformer>;

impl Builder<'_> {
    /// Convolutions, blocks, output, projection.
    fn forward(&mut self, features: &Features) -> Result<(), ModelError> {
        let t = self.tower;
        self.g.at("the spectrogram");
        let mut x = self.g.input("mel", features.rows(), t.bins);
        let mut bins = t.bins;
        for i in 0..2 {
            let spec = t.specs.tables.iter().find(|spec| spec.key == KERNELS[i]);
            let [inner, outer] = [2, 3].map(|at| spec.map_or(1, |spec| spec.tensor.dims[at] as u32));
            let (kernel, norm) = (self.g.table(BY_TAP[i], 9 * inner, outer), self.g.vector(KERNEL_NORMS[i], outer));
            x = self.g.subsample(Subsample { bins, eps: EPS }, x, kernel, norm);
            bins = bins.div_ceil(2);
        }
        let mut h = self.products.product(&mut self.g, x, t.names.input);
        self.tap("subsample", h);
        for i in 0..t.blocks {
            self.g.at(format!("a.blk.{i}"));
            h = self.feed_forward(i, h, "")?;
            h = self.attention(i, h)?;
            h = self.convolution(i, h)?;
            h = self.feed_forward(i, h, "_1")?;
            h = self.norm(i, h, t.names.block_output);
            self.tap(&format!("layer_{i}"), h);
        }
        self.g.at("the projector");
        let y = self.products.product(&mut self.g, h, t.names.output);
        let y = self.g.affine(y, &format!("{}.bias", t.names.output), OUTPUT_ONES);
        self.project(y, (OUTPUT_ONES, EPS), PROJECTION, None)
    }

    fn norm(&mut self, i: u32, x: Value, name: &str) -> Value {
        self.g.rms_norm(x, &format!("a.blk.{i}.{name}.weight"), EPS)
    }

    /// `clamp(W clamp(x))` with a block's linear layer.
    fn linear(&mut self, i: u32, name: &str, x: Value) -> Result<Value, ModelError> {
        self.clipped(x, &format!("a.blk.{i}.{name}"), None)
    }

    /// `h + RMS(down silu(up RMS(h))) / 2`.
    fn feed_forward(&mut self, i: u32, h: Value, which: &str) -> Result<Value, ModelError> {
        let x = self.norm(i, h, &format!("ffn_norm{which}"));
        let x = self.linear(i, &format!("ffn_up{which}"), x)?;
        let x = self.g.silu(x);
        let x = self.linear(i, &format!("ffn_down{which}"), x)?;
        let x = self.norm(i, x, &format!("ffn_post_norm{which}"));
        let x = self.g.scale(x, 0.5);
        Ok(self.g.add_scale(x, h, 1.0))
    }

    /// `h + RMS(out attention(q, k, v))`, the distances' keys from a product of their own.
    fn attention(&mut self, i: u32, h: Value) -> Result<Value, ModelError> {
        let t = self.tower;
        let key = |name: &str| format!("a.blk.{i}.{name}");
        let x = self.norm(i, h, t.names.pre_attention);
        let [q, k, v] = [self.linear(i, "attn_q", x)?, self.linear(i, "attn_k", x)?, self.linear(i, "attn_v", x)?];
        let q = self.g.affine(q, ZEROS, &key("q_scale"));
        let k = self.g.affine(k, ZEROS, &key("k_scale"));
        let distances = self.g.table(DISTANCES, SPAN, t.dim);
        let r = self.products.product(&mut self.g, distances, &key(t.names.relative));
        let a = self.g.local_attention(LocalAttention { heads: t.heads, head_dim: t.head_dim, cap: CAP }, q, [k, v], r);
        let a = self.linear(i, "attn_out", a)?;
        let a = self.norm(i, a, t.names.post_attention);
        Ok(self.g.add_scale(a, h, 1.0))
    }

    /// `h + end silu(RMS(conv(glu(start RMS(h)))))`.
    fn convolution(&mut self, i: u32, h: Value) -> Result<Value, ModelError> {
        let dim = self.tower.dim;
        let x = self.norm(i, h, "conv_norm");
        let x = self.linear(i, "conv_pw1", x)?;
        let [value, gate] = [0, dim].map(|column| self.g.columns(x, column, dim));
        let x = self.g.sigmoid_mul(value, gate);
        let taps = self.tower.specs.tables.iter().find(|spec| spec.key == format!("a.blk.{i}.conv_dw.weight"));
        let kernel = self.g.table(&format!("a.blk.{i}.conv_dw"), taps.map_or(1, |spec| spec.tensor.dims[0] as u32), dim);
        let x = self.g.causal_conv(x, kernel);
        let x = self.norm(i, x, "norm_conv");
        let x = self.g.silu(x);
        let x = self.linear(i, "conv_pw2", x)?;
        Ok(self.g.add_scale(x, h, 1.0))
    }
}
