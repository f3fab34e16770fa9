//! The vision transformer of E2B, E4B, 26B and 31B.

use super::super::towers::{TowerFile, host};
use super::{budget, by_channel, positions, side};
use crate::ModelError;
use crate::tower::{Features, Sense, Tower, TowerStep, Wants};
use crate::weights::{Specs, Table};
use rullama_ops::{AveragePool, BidirectionalAttention, RotateAxes, Value, Words};

/// Base of the rotation's frequencies.
const ROPE_BASE: f64 = 100.0;

/// The linear layers of a block, in the order of packed bounds.
const LINEARS: [&str; 7] = ["attn_q", "attn_k", "attn_v", "attn_out", "ffn_gate", "ffn_up", "ffn_down"];
const PROJECTION: &str = "mm.input_projection";
const PACKED: &str = "v.clamp_data";
const PLACES: &str = "v.position_embd.weight";
/// Ones: weights of norms that have none.
const ONES: [&str; 2] = ["v.ones", "v.head_ones"];
const SHIFT: &str = "v.std_shift";

/// A vision transformer as a file describes it.
#[derive(Debug)]
pub(super) struct VisionTower {
    patch: u32,
    pool: u32,
    budget: u32,
    blocks: u32,
    dim: u32,
    heads: u32,
    head_dim: u32,
    /// Positions along each axis.
    places: u32,
    standardised: bool,
    /// The gate is the quick form of GELU.
    quick: bool,
    eps: f32,
    specs: Specs,
}

impl VisionTower {
    pub fn read(mut file: TowerFile, text_dim: u32) -> Result<Self, ModelError> {
        let embedding = file.find("v.patch_embd.weight")?.dims.clone();
        let [width, height, channels, dim] = embedding[..] else {
            return Err(ModelError::Shape { name: "v.patch_embd.weight".into(), expected: vec![16, 16, 3, 768], found: embedding });
        };
        let square = (width == height && channels == 3).then(|| side(width * height * 3)).flatten();
        let patch = square.ok_or_else(|| file.bad("vision.patch_size", format!("{width} x {height}"), "is no square of pixels"))?;
        let dim = u32::try_from(dim).ok().filter(|dim| (4..=1 << 16).contains(dim) && dim.is_multiple_of(4));
        let dim = dim.ok_or_else(|| file.bad("vision.embedding_length", embedding[3], "is no multiple of 4 up to 65536"))?;
        let head_dim = file.find("v.blk.0.attn_q_norm.weight")?.cols() as u32;
        if head_dim == 0 || !head_dim.is_multiple_of(4) || head_dim > 512 || !dim.is_multiple_of(head_dim) {
            return Err(file.bad("vision.attention.head_count", head_dim, "values a head are no multiple of 4 that divides the width"));
        }
        let places = file.find(PLACES)?.dims.get(1).copied().unwrap_or(0) as u32;
        let pool = file.u32_or("vision.projector.scale_factor", 3)?;
        if !(1..=16).contains(&pool) {
            return Err(file.bad("vision.projector.scale_factor", pool, "is outside 1..=16"));
        }
        let blocks = (0..1024).take_while(|i| file.has(&format!("v.blk.{i}.ln1.weight"))).count() as u32;
        let said = file.u32_or("vision.block_count", blocks)?;
        if said != blocks {
            return Err(ModelError::MissingTensor { name: format!("v.blk.{blocks}.ln1.weight") });
        }
        file.flat_matrix("v.patch_embd", &embedding)?;
        file.table(PLACES, &[dim.into(), places.into(), 2], false)?;
        for i in 0..blocks {
            block(&mut file, i, dim, head_dim)?;
        }
        let standardised = file.has("v.std_bias") || file.has("v.std_scale");
        if standardised {
            file.table("v.std_bias", &[dim.into()], true)?;
            file.vector("v.std_scale", dim)?;
        }
        if file.has(PACKED) {
            file.table(PACKED, &[u64::from(LINEARS.len() as u32 * blocks + 1) * 4], true)?;
        }
        file.projection(PROJECTION, dim, text_dim)?;
        file.bounds(PROJECTION)?;
        let eps = file.eps_or("vision.attention.layer_norm_epsilon", 1e-6)?;
        let budget = budget(&file, patch * pool)?;
        let heads = dim / head_dim;
        let quick = file.quick_gelu()?;
        Ok(VisionTower { patch, pool, budget, blocks, dim, heads, head_dim, places, standardised, quick, eps, specs: file.specs })
    }
}

fn block(file: &mut TowerFile, i: u32, dim: u32, head_dim: u32) -> Result<(), ModelError> {
    let key = |name: &str| format!("v.blk.{i}.{name}");
    for norm in ["ln1", "attn_post_norm", "ln2", "ffn_post_norm"] {
        file.vector(&key(&format!("{norm}.weight")), dim)?;
    }
    for norm in ["attn_q_norm", "attn_k_norm"] {
        file.vector(&key(&format!("{norm}.weight")), head_dim)?;
    }
    for linear in ["attn_q", "attn_k", "attn_v", "attn_out"] {
        file.matrix(&key(linear), dim, dim)?;
    }
    let ffn = file.find(&key("ffn_gate.weight"))?.rows();
    let ffn = u32::try_from(ffn).ok().filter(|ffn| (4..=1 << 20).contains(ffn) && ffn.is_multiple_of(4));
    let ffn = ffn.ok_or_else(|| file.bad("vision.feed_forward_length", 0, "is no multiple of 4"))?;
    file.matrix(&key("ffn_gate"), dim, ffn)?;
    file.matrix(&key("ffn_up"), dim, ffn)?;
    file.matrix(&key("ffn_down"), ffn, dim)?;
    for linear in LINEARS {
        file.bounds(&key(linear))?;
    }
    if file.has(&key("out_scale.weight")) {
        file.table(&key("out_scale.weight"), &[1], true)?;
    }
    Ok(())
}

impl Tower for VisionTower {
    fn sense(&self) -> Sense {
        Sense::Vision
    }

    fn wants(&self) -> Wants {
        Wants::Patches { patch: self.patch, pool: self.pool, budget: self.budget }
    }

    fn specs(&self) -> &Specs {
        &self.specs
    }

    fn tables(&self, file: &[Table]) -> Result<Vec<Table>, ModelError> {
        let row = |key: &str, values: Vec<f32>| Table { key: key.into(), cols: values.len(), values };
        let mut tables = vec![row(ONES[0], vec![1.0; self.dim as usize]), row(ONES[1], vec![1.0; self.head_dim as usize])];
        if let Some(bias) = host(file, "v.std_bias") {
            tables.push(row(SHIFT, bias.iter().map(|value| -value).collect()));
        }
        Ok(tables)
    }

    fn step(&self, features: &Features, tables: &[Table], taps: bool) -> Result<TowerStep, ModelError> {
        let [columns, rows] = positions(features, self.places)?;
        let mut b = Builder::new(self, &self.specs, tables, taps);
        b.forward(features)?;
        let turns = turns(&columns, &rows, self);
        let patches = by_channel(features, |value| 2.0 * value - 1.0);
        let words = vec![(Words::Index(0), columns), (Words::Index(1), rows)];
        Ok(TowerStep { graph: b.g, inputs: vec![("patches", patches), ("turns", turns)], words })
    }
}

/// Cosines and sines of each patch, half a head for its column and half for its row: angles `place * 100^(-2j / half)`.
fn turns(columns: &[u32], rows: &[u32], tower: &VisionTower) -> Vec<f32> {
    let half = tower.head_dim as usize / 2;
    let frequencies: Vec<f64> = (0..half / 2).map(|j| ROPE_BASE.powf(-2.0 * j as f64 / half as f64)).collect();
    let of_place = |place: u32| -> Vec<f32> {
        let angles = || frequencies.iter().map(|frequency| f64::from(place) * frequency);
        angles().map(f64::cos).chain(angles().map(f64::sin)).map(|value| value as f32).collect()
    };
    // Patches of a column or row have its angles.
    let rows = || rows.iter().map(|row| row - tower.places);
    let places: Vec<Vec<f32>> = (0..=columns.iter().copied().chain(rows()).max().unwrap_or(0)).map(of_place).collect();
    let mut turns = Vec::with_capacity(columns.len() * tower.head_dim as usize);
    for (column, row) in columns.iter().zip(rows()) {
        turns.extend([*column, row].into_iter().flat_map(|place| &places[place as usize]));
    }
    turns
}

/// The packed bounds of the linear with this number among all, where the file has such.
fn packed(tables: &[Table], number: u32) -> Option<&[f32]> {
    host(tables, PACKED)?.get(number as usize * 4..number as usize * 4 + 4)
}

type Builder<'a> = super::super::towers::Builder<'a, VisionTower>;

impl Builder<'_> {
    /// Patches and positions, blocks, pooling, standardisation, projection.
    fn forward(&mut self, features: &Features) -> Result<(), ModelError> {
        let t = self.tower;
        let count = features.rows();
        self.g.at("the patches");
        let patches = self.g.input("patches", count, features.cols);
        let mut h = self.products.product(&mut self.g, patches, "v.patch_embd");
        let table = self.g.table(PLACES, 2 * t.places, t.dim);
        for axis in [0, 1] {
            let index = self.g.words(Words::Index(axis));
            let position = self.g.gather_rows(table, index, count);
            h = self.g.add_scale(position, h, 1.0);
        }
        self.tap("embed", h);
        let turns = self.g.input("turns", count, t.head_dim);
        for i in 0..t.blocks {
            self.g.at(format!("v.blk.{i}"));
            h = self.attention(i, h, turns)?;
            h = self.feed_forward(i, h)?;
            self.tap(&format!("layer_{i}"), h);
        }
        self.g.at("the projector");
        let op = AveragePool { columns: features.grid.0, side: t.pool, scale: (t.dim as f32).sqrt() };
        let mut z = self.g.average_pool(op, h);
        self.tap("pooled", z);
        if t.standardised {
            z = self.g.affine(z, SHIFT, "v.std_scale");
        }
        let packed = packed(self.tables, LINEARS.len() as u32 * t.blocks);
        self.project(z, (ONES[0], t.eps), PROJECTION, packed)
    }

    /// `clamp(W clamp(x))` with a block's linear layer.
    fn linear(&mut self, i: u32, linear: usize, x: Value) -> Result<Value, ModelError> {
        let packed = packed(self.tables, i * LINEARS.len() as u32 + linear as u32);
        self.clipped(x, &format!("v.blk.{i}.{}", LINEARS[linear]), packed)
    }

    /// `h + RMS(out attention(q, k, v))`.
    fn attention(&mut self, i: u32, h: Value, turns: Value) -> Result<Value, ModelError> {
        let t = self.tower;
        let key = |name: &str| format!("v.blk.{i}.{name}.weight");
        let x = self.g.rms_norm(h, &key("ln1"), t.eps);
        let (q, k, v) = (self.linear(i, 0, x)?, self.linear(i, 1, x)?, self.linear(i, 2, x)?);
        let turn = RotateAxes { heads: t.heads, head_dim: t.head_dim, axes: 2 };
        let [q, k] = [(q, "attn_q_norm"), (k, "attn_k_norm")].map(|(x, norm)| {
            let x = self.g.rms_norm_runs(x, &key(norm), t.head_dim, t.eps);
            self.g.rotate_axes(turn.clone(), x, turns)
        });
        let v = self.g.rms_norm_runs(v, ONES[1], t.head_dim, t.eps);
        let a = self.g.bidirectional_attention(BidirectionalAttention { heads: t.heads, head_dim: t.head_dim }, q, [k, v]);
        let a = self.linear(i, 3, a)?;
        let a = self.g.rms_norm(a, &key("attn_post_norm"), t.eps);
        Ok(self.g.add_scale(a, h, 1.0))
    }

    /// `(h + RMS(down (gelu(gate x) * up x))) s`, gelu with tanh unless the file says that it is the quick form.
    fn feed_forward(&mut self, i: u32, h: Value) -> Result<Value, ModelError> {
        let t = self.tower;
        let key = |name: &str| format!("v.blk.{i}.{name}.weight");
        let x = self.g.rms_norm(h, &key("ln2"), t.eps);
        let (gate, up) = (self.linear(i, 4, x)?, self.linear(i, 5, x)?);
        let f = if t.quick { self.g.quick_gelu_mul(gate, up) } else { self.g.gelu_mul(gate, up) };
        let f = self.linear(i, 6, f)?;
        let f = self.g.rms_norm(f, &key("ffn_post_norm"), t.eps);
        let scale = host(self.tables, &key("out_scale")).and_then(|values| values.first().copied()).unwrap_or(1.0);
        Ok(self.g.add_scale(f, h, scale))
    }
}
