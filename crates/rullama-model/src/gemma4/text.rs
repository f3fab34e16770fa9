//! The text decoder: one definition for prompts, decoding and tests.

use super::config::{Config, Span};
use super::weights::{Specs, projection_key};
use crate::graph::{Graph, Half, Input, Residual, Value, Words};
use crate::weights::WeightSpec;
use rullama_ops::{Attention, QkvPrepare, QueryPrepare};

/// Rows whose logits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rows {
    /// None: only the caches are filled.
    None,
    /// The last token's.
    Last,
    /// Every token's.
    All,
}

/// What a step looks like; graphs are built once for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    pub tokens: u32,
    pub rows: Rows,
    /// The step reads [`Words::StepId`] and [`Words::StepState`], which the sampler advances.
    pub decode: bool,
    /// Per-layer rows come from the table on the GPU, not from the host.
    pub resident: bool,
    /// Keep the hidden states, from unfused operations.
    pub taps: bool,
}

/// What stays the same while a step's graph is built.
struct Builder<'a> {
    config: &'a Config,
    specs: &'a Specs,
    scales: &'a [f32],
    shape: Shape,
    g: Graph,
    /// State of the rows that run now; changes when only the last row goes on.
    state: Value,
}

/// Builds the decoder's graph for a shape. Output `logits`, unless no rows are wanted.
///
/// `scales` are the layers' output scales. In order: embedding, per-layer embeddings, layers, final norm, head, softcap.
pub fn forward(config: &Config, specs: &Specs, scales: &[f32], shape: Shape) -> Graph {
    let mut g = Graph::default();
    let state = g.words(if shape.decode { Words::StepState } else { Words::ChunkState });
    let mut b = Builder { config, specs, scales, shape, g, state };
    let ids = b.g.words(if shape.decode { Words::StepId } else { Words::ChunkIds });
    let table = b.g.weight("token_embd", config.vocab, config.dim);
    let mut h = b.g.embed(ids, table, shape.tokens, (config.dim as f32).sqrt());
    b.tap("embed_scaled", h);
    let mut per_layer = b.per_layer(h, ids);
    let own = config.own_layers();
    let mut x = b.g.rms_norm(h, "blk.0.attn_norm", config.eps);
    for i in 0..config.layers.len() {
        let mut q = b.queries(i, x);
        if i + 1 == own {
            // From here on nothing more is cached: only rows with wanted logits go on.
            match shape.rows {
                Rows::None => return b.g,
                Rows::Last if shape.tokens > 1 => (q, h) = b.narrow(q, h, &mut per_layer),
                Rows::Last | Rows::All => {}
            }
        }
        x = b.layer(i, q, h, &per_layer);
        b.tap(&format!("layer_{i}"), h);
    }
    b.tap("final_norm", x);
    let head = specs.head.as_deref().unwrap_or("token_embd");
    let head = b.g.weight(head, config.vocab, config.dim);
    let logits = b.g.matmul_softcap(x, head, config.softcap);
    b.g.output("logits", logits);
    b.g
}

/// Per-layer embeddings: those of the layers that every token runs, and the others'.
struct PerLayer {
    own: Option<Value>,
    shared: Option<Value>,
    /// The embedding and table rows that the others' are made from, once rows are chosen.
    source: Option<(Value, Option<Value>)>,
}

impl Builder<'_> {
    fn tap(&mut self, name: &str, value: Value) {
        if self.shape.taps {
            self.g.tap(name, value);
        }
    }

    fn per_layer(&mut self, h: Value, ids: Value) -> PerLayer {
        let c = self.config;
        if c.per_layer == 0 {
            return PerLayer { own: None, shared: None, source: None };
        }
        let own_cols = c.own_layers() as u32 * c.per_layer;
        let total = c.layers.len() as u32 * c.per_layer;
        let rows = self.shape.resident.then(|| {
            let table = self.g.weight("per_layer_token_embd", c.vocab, total);
            self.g.embed(ids, table, self.shape.tokens, (c.per_layer as f32).sqrt())
        });
        let own_rows = match rows {
            Some(rows) => self.g.view(rows, 0, own_cols),
            None => self.g.input(Input::PerLayerOwn, self.shape.tokens, own_cols),
        };
        let own = self.project(h, "per_layer_model_proj.own", own_rows);
        let shared_rows = (own_cols < total).then(|| rows.map(|rows| self.g.view(rows, own_cols, total - own_cols)));
        let mut per_layer = PerLayer { own: Some(own), shared: None, source: None };
        if let (Some(rows), true) = (shared_rows, self.shape.rows != Rows::None) {
            if self.shape.rows == Rows::Last && self.shape.tokens > 1 {
                // Wait for the row; the embedding itself is overwritten by the layers.
                let chosen = self.g.last_row(h, self.state);
                let rows = rows.map(|rows| self.g.last_row(rows, self.state));
                per_layer.source = Some((chosen, rows));
            } else {
                per_layer.source = Some((h, rows));
            }
            self.finish_shared(&mut per_layer);
        }
        per_layer
    }

    fn finish_shared(&mut self, per_layer: &mut PerLayer) {
        let Some((h, rows)) = per_layer.source.take() else { return };
        let c = self.config;
        let cols = (c.layers.len() - c.own_layers()) as u32 * c.per_layer;
        let rows = rows.unwrap_or_else(|| {
            let count = self.g.rows(h);
            self.g.input(Input::PerLayerShared, count, cols)
        });
        per_layer.shared = Some(self.project(h, "per_layer_model_proj.shared", rows));
    }

    /// `(RMS(proj h / sqrt(d)) + rows) / sqrt(2)`.
    fn project(&mut self, h: Value, key: &str, rows: Value) -> Value {
        let c = self.config;
        let w = self.g.weight(key, self.g.cols(rows), c.dim);
        let e = self.g.matmul(h, w);
        self.g.per_layer_combine(e, rows, "per_layer_proj_norm", c.per_layer, (c.dim as f32).sqrt().recip(), c.eps);
        e
    }

    /// Only the last row goes on, at its own position.
    fn narrow(&mut self, q: Value, h: Value, per_layer: &mut PerLayer) -> (Value, Value) {
        let chunk = self.state;
        let q = self.g.last_row(q, chunk);
        let h = self.g.last_row(h, chunk);
        // The last layer with its own keys still needs its part of `own`.
        per_layer.own = per_layer.own.map(|own| self.g.last_row(own, chunk));
        self.state = self.g.words(Words::StepState);
        (q, h)
    }

    fn rope(&mut self, span: Span, head_dim: u32) -> [Value; 2] {
        let name = if span == Span::Sliding { "sliding" } else { "global" };
        let high = self.config.context.div_ceil(256);
        [self.g.table(&format!("rope.{name}.low"), 256, head_dim), self.g.table(&format!("rope.{name}.high"), high, head_dim)]
    }

    /// The layer's projections of `x`, as the queries; keys and values go into its cache.
    fn queries(&mut self, i: usize, x: Value) -> Value {
        let c = self.config;
        let layer = &c.layers[i];
        let (hd, own) = (layer.head_dim, layer.donor == i);
        let mut parts = self.projections(i, x);
        let rope = self.rope(layer.span, hd);
        let q_norm = self.g.vector(&format!("blk.{i}.attn_q_norm"), hd);
        if !own {
            return self.g.query_prepare(QueryPrepare { heads: c.heads, head_dim: hd, eps: c.eps }, parts[0], q_norm, rope, self.state);
        }
        if layer.values_are_keys {
            parts.push(parts[1]);
        }
        let k_norm = self.g.vector(&format!("blk.{i}.attn_k_norm"), hd);
        let caches = [self.g.cache(i, Half::Keys), self.g.cache(i, Half::Values)];
        let op = QkvPrepare { heads: c.heads, kv_heads: layer.kv_heads, head_dim: hd, eps: c.eps };
        self.g.qkv_prepare(op, [parts[0], parts[1], parts[2]], [q_norm, k_norm], rope, self.state, caches)
    }

    /// `x Wᵀ` for each weight that holds projections, cut into query, key and value.
    fn projections(&mut self, i: usize, x: Value) -> Vec<Value> {
        let layer = &self.config.layers[i];
        let (q_cols, kv_cols) = (self.config.heads * layer.head_dim, layer.kv_heads * layer.head_dim);
        let mut sizes = vec![q_cols];
        if layer.donor == i {
            sizes.extend(std::iter::repeat_n(kv_cols, if layer.values_are_keys { 1 } else { 2 }));
        }
        let mut parts = Vec::new();
        let mut sizes = sizes.into_iter().peekable();
        for n in 0.. {
            let key = projection_key(i, n);
            let Some(rows) = self.specs.weights.iter().find(|s| s.key == key).map(WeightSpec::rows) else { break };
            let w = self.g.weight(&key, rows as u32, self.config.dim);
            let y = self.g.matmul(x, w);
            let mut column = 0;
            while let Some(cols) = sizes.next_if(|cols| column + cols <= rows as u32) {
                parts.push(self.g.view(y, column, cols));
                column += cols;
            }
        }
        parts
    }

    /// Attention, feed-forward and per-layer blocks on `h`; gives the next block's input.
    fn layer(&mut self, i: usize, q: Value, h: Value, per_layer: &PerLayer) -> Value {
        let c = self.config;
        let layer = &c.layers[i];
        let key = |name: &str| format!("blk.{i}.{name}");
        let last = i + 1 == c.layers.len();
        let next = if last { "output_norm".into() } else { format!("blk.{}.attn_norm", i + 1) };
        let residual = |norm, scale, next| Residual { eps: c.eps, norm, scale, next, fused: !self.shape.taps };
        let (after_attention, ffn_norm, after_ffn, after_per_layer) =
            (key("post_attention_norm"), key("ffn_norm"), key("post_ffw_norm"), key("post_norm"));
        let ends = [
            residual(&after_attention, 1.0, Some(ffn_norm.as_str())),
            residual(&after_ffn, if c.per_layer > 0 { 1.0 } else { self.scales[i] }, (c.per_layer == 0).then_some(next.as_str())),
            residual(&after_per_layer, self.scales[i], Some(next.as_str())),
        ];

        let caches = [self.g.cache(layer.donor, Half::Keys), self.g.cache(layer.donor, Half::Values)];
        let window = (layer.span == Span::Sliding).then_some(c.window);
        let op = Attention { heads: c.heads, kv_heads: layer.kv_heads, head_dim: layer.head_dim, window };
        let a = self.g.attention(op, q, caches, self.state);
        let wo = self.g.weight(&key("attn_output"), c.dim, c.heads * layer.head_dim);
        let a = self.g.matmul(a, wo);
        let y = self.g.residual_norm(h, a, ends[0]).unwrap_or(h);

        let f = self.feed_forward(i, y);
        let x = self.g.residual_norm(h, f, ends[1]);
        let Some(e) = self.per_layer_of(i, per_layer) else { return x.unwrap_or(h) };

        let gate = self.g.weight(&key("inp_gate"), c.per_layer, c.dim);
        let proj = self.g.weight(&key("proj"), c.dim, c.per_layer);
        let u = self.g.matmul_gelu_mul(h, gate, e);
        let u = self.g.matmul(u, proj);
        self.g.residual_norm(h, u, ends[2]).unwrap_or(h)
    }

    fn feed_forward(&mut self, i: usize, y: Value) -> Value {
        let (dim, ffn) = (self.config.dim, self.config.layers[i].ffn);
        let joined = format!("blk.{i}.ffn_gate_up");
        let f = if self.specs.weights.iter().any(|s| s.key == joined) {
            let w = self.g.weight(&joined, 2 * ffn, dim);
            self.g.geglu(y, w)
        } else {
            let gate = self.g.weight(&format!("blk.{i}.ffn_gate"), ffn, dim);
            let up = self.g.weight(&format!("blk.{i}.ffn_up"), ffn, dim);
            let up = self.g.matmul(y, up);
            self.g.matmul_gelu_mul(y, gate, up)
        };
        let down = self.g.weight(&format!("blk.{i}.ffn_down"), dim, ffn);
        self.g.matmul(f, down)
    }

    /// Columns of layer `i` among the per-layer embeddings.
    fn per_layer_of(&mut self, i: usize, per_layer: &PerLayer) -> Option<Value> {
        let own = self.config.own_layers();
        let width = self.config.per_layer;
        let (of, index) = if i < own { (per_layer.own?, i) } else { (per_layer.shared?, i - own) };
        Some(self.g.view(of, index as u32 * width, width))
    }
}
