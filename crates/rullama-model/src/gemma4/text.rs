//! The text decoder: one definition for prompts, decoding and tests.
//!
//! This is the algebra alone. What runs in one dispatch is decided by [`crate::lower`], where values stand by the planner.

use super::Gemma4;
use super::PER_LAYER_TABLE;
use super::config::{Config, Experts, Layer, Span};
use super::rope;
use super::weights::scale_of;
use crate::drafter::HIDDEN;
use crate::lora::{HEAD, Terms};
use crate::model::{EXPERT_PLACES, Rows, SOFT_ROWS, Shape};
use crate::weights::Table;
use rullama_ops::{
    Attention, EmbedPlaced, ExpertProduct, Graph, Half, HeadNorm, HeadRope, PerLayerCombine, Rotate, SelfAttention, Value, Words,
};
use std::collections::HashMap;

/// What stays the same while a step's graph is built.
struct Builder<'a> {
    model: &'a Gemma4,
    tables: &'a [Table],
    terms: &'a Terms,
    shape: Shape,
    g: Graph,
    /// State of the rows that run now, which changes when only the last row goes on; of packed examples, their starts.
    state: Value,
    /// Keys and values of the layers of a packed step, by donor.
    kept: HashMap<usize, [Value; 2]>,
}

/// Embedding, per-layer embeddings, layers, final norm, head, softcap. Output `logits`, unless no rows are wanted; of a packed step
/// `final_norm`.
///
/// From the last layer with keys of its own on, only the rows whose logits are wanted go on.
pub fn forward(model: &Gemma4, shape: Shape, tables: &[Table], terms: &Terms) -> Graph {
    let config = &model.config;
    let mut g = Graph::default();
    g.at("the embedding");
    let state = g.words(match (shape.packed, shape.decode) {
        (true, _) => Words::Starts,
        (false, true) => Words::StepState,
        (false, false) => Words::ChunkState,
    });
    let ids = g.words(if shape.decode { Words::StepId } else { Words::ChunkIds });
    let mut b = Builder { model, tables, terms, shape, g, state, kept: HashMap::new() };
    let table = b.weight("token_embd", config.vocab, config.dim);
    let scale = (config.dim as f32).sqrt();
    let h = b.g.embed(ids, table, shape.tokens, scale);
    let mut h = terms.embedding(&mut b.g, ids, h, scale);
    if shape.soft {
        // Not scaled: projectors give what the layers expect.
        let (rows, places) = (b.g.input(SOFT_ROWS, shape.tokens, config.dim), b.g.words(Words::SoftPlaces));
        h = b.g.replace_rows(h, rows, places);
    }
    b.tap("embed_scaled", h);
    let per_layer = b.per_layer_inputs(h, ids);
    for (i, layer) in config.layers.iter().enumerate() {
        b.g.at(format!("blk.{i}"));
        h = b.attention(i, layer, h);
        h = b.feed_forward(i, layer, h);
        h = b.per_layer(i, h, &per_layer);
        b.tap(&format!("layer_{i}"), h);
    }
    b.g.at("the head");
    if shape.hidden && shape.rows != Rows::None {
        b.g.output(HIDDEN, h);
    }
    let x = b.g.rms_norm(h, "output_norm", config.eps);
    if shape.packed {
        b.g.output("final_norm", x);
        return b.g;
    }
    b.tap("final_norm", x);
    let head = b.weight(model.head_key(), config.vocab, config.dim);
    let logits = b.g.matmul(x, head);
    let logits = terms.product(&mut b.g, HEAD, x, logits, 0);
    let logits = b.g.softcap(logits, config.softcap);
    if shape.rows != Rows::None {
        b.g.output("logits", logits);
    }
    b.g
}

/// Per-layer embeddings: those of the layers that every token runs, and the others'.
struct PerLayer {
    own: Option<Value>,
    shared: Option<Value>,
}

impl Builder<'_> {
    fn tap(&mut self, name: &str, value: Value) {
        if self.shape.taps {
            self.g.output(name, value);
        }
    }

    fn weight(&mut self, key: &str, rows: u32, cols: u32) -> Value {
        self.g.weight(key, rows, cols, self.model.dtype(key))
    }

    /// `x Wᵀ` with `W: [rows, cols of x]`, and the terms of adapters.
    fn product(&mut self, x: Value, key: &str, rows: u32) -> Value {
        let w = self.weight(key, rows, self.g.cols(x));
        let y = self.g.matmul(x, w);
        self.terms.product(&mut self.g, key, x, y, 0)
    }

    /// Only the last row goes on, if only its logits are wanted.
    fn narrows(&self) -> bool {
        self.shape.rows == Rows::Last && self.shape.tokens > 1
    }

    fn rope(&mut self, span: Span, head_dim: u32) -> [Value; 2] {
        let high = self.tables.iter().find(|table| table.key == rope::high(span));
        rope::rope(&mut self.g, span, head_dim, high.map_or(1, Table::rows))
    }

    /// `h + RMS(Wo attention(q, K, V))`.
    fn attention(&mut self, i: usize, layer: &Layer, mut h: Value) -> Value {
        let c = &self.model.config;
        let key = |name: &str| format!("blk.{i}.{name}");
        let (head_dim, kv_width) = (layer.head_dim, layer.kv_heads * layer.head_dim);
        let x = self.g.rms_norm(h, &key("attn_norm"), c.eps);
        let rope = self.rope(layer.span, head_dim);
        let q = self.product(x, &key("attn_q"), c.heads * head_dim);
        if self.shape.packed {
            let a = self.packed_attention(i, layer, (x, q), rope);
            let a = self.product(a, &key("attn_output"), c.dim);
            return self.residual(h, a, &key("post_attention_norm"), 1.0);
        }
        let op = HeadRope { heads: c.heads, head_dim, eps: c.eps };
        let mut q = self.g.head_rope(op.clone(), q, &key("attn_q_norm"), rope, self.state);
        let mut caches = [Half::Keys, Half::Values].map(|half| self.g.cache(layer.donor, half, kv_width, self.shape.kv));
        if layer.donor == i {
            let k = self.product(x, &key("attn_k"), kv_width);
            let v = if layer.values_are_keys { k } else { self.product(x, &key("attn_v"), kv_width) };
            let k = self.g.head_rope(HeadRope { heads: layer.kv_heads, ..op }, k, &key("attn_k_norm"), rope, self.state);
            let v = self.g.head_norm(HeadNorm { heads: layer.kv_heads, head_dim, eps: c.eps }, v);
            caches = [self.g.store(k, self.state, caches[0]), self.g.store(v, self.state, caches[1])];
        }
        if i + 1 == c.own_layers() && self.narrows() {
            (q, h) = (self.g.last_row(q, self.state), self.g.last_row(h, self.state));
            self.state = self.g.words(Words::StepState);
        }
        let window = (layer.span == Span::Sliding).then_some(c.window);
        let op = Attention { heads: c.heads, kv_heads: layer.kv_heads, head_dim, window, blocks: false, codes: false };
        // The last row sees no key behind it.
        let a = if self.shape.soft && self.model.facts.blocks && window.is_some() && self.g.rows(q) == self.shape.tokens {
            let ends = self.g.words(Words::BlockEnds);
            self.g.attention_in_blocks(op, q, caches, self.state, ends)
        } else {
            self.g.attention(op, q, caches, self.state)
        };
        let a = self.product(a, &key("attn_output"), c.dim);
        self.residual(h, a, &key("post_attention_norm"), 1.0)
    }

    /// The same without caches: `attention(q, K, V)` among the tokens of each packed example.
    fn packed_attention(&mut self, i: usize, layer: &Layer, (x, q): (Value, Value), rope: [Value; 2]) -> Value {
        let c = &self.model.config;
        let key = |name: &str| format!("blk.{i}.{name}");
        let (head_dim, kv_width) = (layer.head_dim, layer.kv_heads * layer.head_dim);
        let turn = |heads| Rotate { heads, head_dim, inverse: false };
        let q = self.g.rms_norm_runs(q, &key("attn_q_norm"), head_dim, c.eps);
        let q = self.g.rotate(turn(c.heads), q, rope, self.state);
        if layer.donor == i {
            let k = self.product(x, &key("attn_k"), kv_width);
            let v = if layer.values_are_keys { k } else { self.product(x, &key("attn_v"), kv_width) };
            let k = self.g.rms_norm_runs(k, &key("attn_k_norm"), head_dim, c.eps);
            let k = self.g.rotate(turn(layer.kv_heads), k, rope, self.state);
            let v = self.g.head_norm(HeadNorm { heads: layer.kv_heads, head_dim, eps: c.eps }, v);
            self.kept.insert(i, [k, v]);
        }
        let [k, v] = self.kept[&layer.donor];
        let window = (layer.span == Span::Sliding).then_some(c.window);
        let op = SelfAttention { heads: c.heads, kv_heads: layer.kv_heads, head_dim, window };
        self.g.self_attention(op, q, [k, v], self.state)[0]
    }

    /// `h + RMS(down (gelu(gate x) * up x))`, of layers with experts `h + RMS(RMS(down (gelu(gate x) * up x)) + RMS(experts h))`; times
    /// the layer's scale where nothing follows.
    fn feed_forward(&mut self, i: usize, layer: &Layer, h: Value) -> Value {
        let c = &self.model.config;
        let key = |name: &str| format!("blk.{i}.{name}");
        let x = self.g.rms_norm(h, &key("ffn_norm"), c.eps);
        let gate = self.product(x, &key("ffn_gate"), layer.ffn);
        let up = self.product(x, &key("ffn_up"), layer.ffn);
        let f = self.g.gelu_mul(gate, up);
        let mut f = self.product(f, &key("ffn_down"), c.dim);
        if let (true, Some(experts)) = (layer.experts, c.experts) {
            let dense = self.g.rms_norm(f, &key("post_ffw_norm_1"), c.eps);
            let sparse = self.experts(i, experts, h);
            f = self.residual(dense, sparse, &key("post_ffw_norm_2"), 1.0);
        }
        let scale = if c.per_layer == 0 { scale_of(self.tables, i) } else { 1.0 };
        self.residual(h, f, &key("post_ffw_norm"), scale)
    }

    /// `sum_k w_k down_e (gelu(gate_e x) * up_e x)` over the experts `e` of each token, `x = RMS(h) norm`. The router's logits are `W (RMS(h)
    /// scale) / sqrt(d)`, of the residual itself.
    fn experts(&mut self, i: usize, experts: Experts, h: Value) -> Value {
        let c = &self.model.config;
        let key = |name: &str| format!("blk.{i}.{name}");
        self.tap(&format!("router_in_{i}"), h);
        let z = self.g.rms_norm(h, &key("ffn_gate_inp.scale"), c.eps);
        let logits = self.product(z, &key("ffn_gate_inp"), experts.count);
        self.tap(&format!("router_logits_{i}"), logits);
        let factors = key("ffn_down_exps.scale");
        let factors = self.tables.iter().any(|table| table.key == factors).then_some(&factors[..]);
        let [ids, weights] = self.g.route(logits, factors, experts.used, (c.dim as f32).sqrt().recip());
        if self.shape.pool == 0 {
            self.tap(&format!("expert_ids_{i}"), ids);
        }
        self.tap(&format!("expert_weights_{i}"), weights);
        let ids = self.places(i, ids);
        let x = self.g.rms_norm(h, &key("pre_ffw_norm_2"), c.eps);
        let fused = key("ffn_gate_up_exps");
        let a = if self.model.specs.weight(&fused).is_some() {
            self.expert_product(experts, true, (x, ids), &fused, 2 * experts.ffn)
        } else {
            let gate = self.expert_product(experts, false, (x, ids), &key("ffn_gate_exps"), experts.ffn);
            let up = self.expert_product(experts, false, (x, ids), &key("ffn_up_exps"), experts.ffn);
            self.g.gelu_mul(gate, up)
        };
        let y = self.expert_product(experts, false, (a, ids), &key("ffn_down_exps"), c.dim);
        let y = self.g.expert_sum(y, weights);
        self.tap(&format!("experts_out_{i}"), y);
        y
    }

    /// What stands in for a layer's choice: itself, or where a pool has the experts, which the host says.
    fn places(&mut self, i: usize, ids: Value) -> Value {
        if self.shape.pool == 0 {
            return ids;
        }
        self.g.output(format!("expert_ids_{i}"), ids);
        let (rows, used) = (self.g.rows(ids), self.g.cols(ids));
        self.g.input(EXPERT_PLACES[usize::from(rows < self.shape.tokens)], rows, used)
    }

    /// `W_e x` for each token's experts, with `rows` rows an expert; gated `gelu(G_e x) * (U_e x)`.
    fn expert_product(&mut self, experts: Experts, gated: bool, (x, ids): (Value, Value), key: &str, rows: u32) -> Value {
        let (held, pool_of) = match self.shape.pool {
            0 => (experts.count, None),
            pool => (pool, Some(experts.count)),
        };
        let w = self.weight(key, held * rows, self.g.cols(x));
        self.g.expert_product(ExpertProduct { experts: held, gated, pool_of }, x, ids, w)
    }

    /// `(h + RMS(proj (gelu(gate h) * e_i))) s_i` with the layer's part of the per-layer embeddings.
    fn per_layer(&mut self, i: usize, h: Value, per_layer: &PerLayer) -> Value {
        let c = &self.model.config;
        let own = c.own_layers();
        let (of, index) = if i < own { (per_layer.own, i) } else { (per_layer.shared, i - own) };
        let Some(of) = of else { return h };
        let mut e = self.g.columns(of, index as u32 * c.per_layer, c.per_layer);
        if i + 1 == own && self.narrows() {
            // Its rows were computed for all tokens, of which only the last is left.
            let chunk = self.g.words(Words::ChunkState);
            e = self.g.last_row(e, chunk);
        }
        let u = self.product(h, &format!("blk.{i}.inp_gate"), c.per_layer);
        let u = self.g.gelu_mul(u, e);
        let u = self.product(u, &format!("blk.{i}.proj"), c.dim);
        self.residual(h, u, &format!("blk.{i}.post_norm"), scale_of(self.tables, i))
    }

    /// `(h + RMS(a) norm) scale`.
    fn residual(&mut self, h: Value, a: Value, norm: &str, scale: f32) -> Value {
        let a = self.g.rms_norm(a, norm, self.model.config.eps);
        self.g.add_scale(a, h, scale)
    }

    fn per_layer_inputs(&mut self, h: Value, ids: Value) -> PerLayer {
        let c = &self.model.config;
        if c.per_layer == 0 {
            return PerLayer { own: None, shared: None };
        }
        let own = c.own_layers() as u32 * c.per_layer;
        let all = c.layers.len() as u32 * c.per_layer;
        let rows = self.table_rows(ids, all);
        let own_rows = self.g.columns(rows, 0, own);
        let first = self.project(h, "per_layer_model_proj.own", 0, own_rows);
        if own == all {
            return PerLayer { own: Some(first), shared: None };
        }
        let last_row = |b: &mut Self, x| if b.narrows() { b.g.last_row(x, b.state) } else { x };
        let h = last_row(self, h);
        let shared_rows = self.g.columns(rows, own, all - own);
        let shared_rows = last_row(self, shared_rows);
        let rest = self.project(h, "per_layer_model_proj.shared", own, shared_rows);
        PerLayer { own: Some(first), shared: Some(rest) }
    }

    /// `sqrt(p) table[ids]` of the per-layer table, `p` values a layer.
    fn table_rows(&mut self, ids: Value, cols: u32) -> Value {
        let Config { vocab, per_layer, .. } = self.model.config;
        let (tokens, scale) = (self.shape.tokens, (per_layer as f32).sqrt());
        if self.shape.slots == 0 {
            let table = self.weight(PER_LAYER_TABLE, vocab, cols);
            return self.g.embed(ids, table, tokens, scale);
        }
        let rows = self.weight(PER_LAYER_TABLE, self.shape.slots, cols);
        let places = self.g.words(Words::RowPlaces);
        self.g.embed_placed(EmbedPlaced { scale, tokens, vocab }, ids, places, rows)
    }

    /// `(RMS(proj h / sqrt(d)) + rows) / sqrt(2)`.
    fn project(&mut self, h: Value, key: &str, first_row: u32, rows: Value) -> Value {
        let c = &self.model.config;
        let e = self.product(h, key, self.g.cols(rows));
        let e = self.terms.product(&mut self.g, super::PER_LAYER_PROJECTION, h, e, first_row);
        let op = PerLayerCombine { eps: c.eps, scale: (c.dim as f32).sqrt().recip() };
        self.g.per_layer_combine(e, rows, "per_layer_proj_norm", c.per_layer, op)
    }
}
