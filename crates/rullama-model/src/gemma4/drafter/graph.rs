//! The algebra of drafts.

use super::{AFTER, BEFORE, Drafter, Layer, TARGET_EMBEDDING, TARGET_NORM};
use crate::drafter::HIDDEN;
use crate::gemma4::config::Span;
use crate::gemma4::rope::rope;
use crate::gemma4::weights::scale_of;
use crate::weights::Table;
use rullama_ops::sample::SampleMode;
use rullama_ops::{Attention, Graph, Half, HeadRope, KvType, Value, Words};

/// What stays the same while the graph is built.
struct Builder<'a> {
    drafter: &'a Drafter,
    tables: &'a [Table],
    kv: KvType,
    context: u32,
    g: Graph,
    /// Where the last key stands.
    state: Value,
}

/// `x = P [sqrt(d) E[id]; h]`, the layers, `y = RMS(x) norm`, the likeliest of `W y`; `h = Q y` for the next, with `E` and the first `h`,
/// normed, of the target.
pub(super) fn forward(drafter: &Drafter, drafts: u32, (kv, context): (KvType, u32), tables: &[Table]) -> Graph {
    let (wide, eps, dtype) = drafter.target;
    let mut g = Graph::default();
    g.at("the target's state");
    let state = g.words(Words::ChunkState);
    let hidden = g.input(HIDDEN, 1, wide);
    let mut h = g.rms_norm(hidden, TARGET_NORM, eps);
    let mut b = Builder { drafter, tables, kv, context, g, state };
    for draft in 0..drafts {
        b.g.at(format!("draft {draft}"));
        let ids = b.g.words(Words::StepId);
        let table = b.g.weight(TARGET_EMBEDDING, drafter.vocab, wide, dtype);
        let e = b.g.embed(ids, table, 1, (wide as f32).sqrt());
        let mut x = b.joined(e, h);
        for (i, layer) in drafter.layers.iter().enumerate() {
            b.g.at(format!("draft {draft}, blk.{i}"));
            x = b.attention(i, layer, x);
            x = b.feed_forward(i, layer, x);
        }
        b.g.at(format!("draft {draft}, the head"));
        let y = b.g.rms_norm(x, "output_norm", drafter.eps);
        let head = if drafter.specs.weight("output").is_some() { "output" } else { "token_embd" };
        let logits = b.product(y, head, drafter.vocab);
        b.g.sample(logits, SampleMode::Greedy);
        if draft + 1 < drafts {
            h = b.product(y, AFTER, wide);
        }
    }
    b.g
}

impl Builder<'_> {
    /// `x Wᵀ` with `W: [rows, cols of x]`.
    fn product(&mut self, x: Value, key: &str, rows: u32) -> Value {
        let w = self.g.weight(key, rows, self.g.cols(x), self.drafter.dtype(key));
        self.g.matmul(x, w)
    }

    /// `P [e; h]`: the rows of `P` are those for `e` and those for `h` in turn.
    fn joined(&mut self, e: Value, h: Value) -> Value {
        let (rows, cols) = (self.drafter.dim, self.g.cols(e));
        let w = self.g.weight(BEFORE, 2 * rows, cols, self.drafter.dtype(BEFORE));
        let [of_e, of_h] = [(0, e), (1, h)].map(|(first, x)| {
            let half = self.g.view_rows(w, first, 2, rows);
            self.g.matmul(x, half)
        });
        self.g.add_scale(of_e, of_h, 1.0)
    }

    /// `x + RMS(Wo attention(q, K, V))` over the target's keys and values.
    fn attention(&mut self, i: usize, layer: &Layer, x: Value) -> Value {
        let (d, head_dim) = (self.drafter, layer.head_dim);
        let key = |name: &str| format!("blk.{i}.{name}");
        let y = self.g.rms_norm(x, &key("attn_norm"), d.eps);
        let q = self.product(y, &key("attn_q"), d.heads * head_dim);
        let rope = rope(&mut self.g, layer.span, head_dim, self.context.div_ceil(256).max(1));
        let q = self.g.head_rope(HeadRope { heads: d.heads, head_dim, eps: d.eps }, q, &key("attn_q_norm"), rope, self.state);
        let caches = [Half::Keys, Half::Values].map(|half| self.g.cache(layer.of, half, layer.kv_heads * head_dim, self.kv));
        let window = (layer.span == Span::Sliding).then_some(d.window);
        let op = Attention { heads: d.heads, kv_heads: layer.kv_heads, head_dim, window, blocks: false, codes: false };
        let a = self.g.attention(op, q, caches, self.state);
        let a = self.product(a, &key("attn_output"), d.dim);
        self.residual(x, a, &key("post_attention_norm"), 1.0)
    }

    /// `(x + RMS(down (gelu(gate x) * up x))) s_i`.
    fn feed_forward(&mut self, i: usize, layer: &Layer, x: Value) -> Value {
        let key = |name: &str| format!("blk.{i}.{name}");
        let y = self.g.rms_norm(x, &key("ffn_norm"), self.drafter.eps);
        let gate = self.product(y, &key("ffn_gate"), layer.ffn);
        let up = self.product(y, &key("ffn_up"), layer.ffn);
        let f = self.g.gelu_mul(gate, up);
        let f = self.product(f, &key("ffn_down"), self.drafter.dim);
        self.residual(x, f, &key("post_ffw_norm"), scale_of(self.tables, i))
    }

    /// `(h + RMS(a) norm) scale`.
    fn residual(&mut self, h: Value, a: Value, norm: &str, scale: f32) -> Value {
        let a = self.g.rms_norm(a, norm, self.drafter.eps);
        self.g.add_scale(a, h, scale)
    }
}
