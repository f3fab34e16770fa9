//! The encoder: the algebra of a step of packed texts.

use super::EmbeddingGemma;
use crate::encoder::EncoderShape;
use rullama_ops::{EncoderAttention, Graph, Rotate, TextWords, Value, Words};

struct Builder<'a> {
    model: &'a EmbeddingGemma,
    shape: EncoderShape,
    texts: TextWords,
    g: Graph,
}

/// Embedding, layers, last norm, mean over each text's tokens, dense heads. Output `embedding` `[texts, outputs]`, not normalised; with
/// taps also the stages before it.
///
/// Source: the Gemma 3 block, with attention both ways; EmbeddingGemma's model card for the heads.
pub fn forward(model: &EmbeddingGemma, shape: EncoderShape) -> Graph {
    let config = &model.config;
    let mut g = Graph::default();
    g.at("the embedding");
    let texts = TextWords { starts: g.words(Words::Starts), ends: g.words(Words::Ends) };
    let ids = g.words(Words::ChunkIds);
    let mut b = Builder { model, shape, texts, g };
    let table = b.weight("token_embd", config.vocab, config.dim);
    let mut h = b.g.embed(ids, table, shape.tokens, (config.dim as f32).sqrt());
    b.tap("embed_scaled", h);
    for i in 0..config.sliding.len() {
        b.g.at(format!("blk.{i}"));
        h = b.attention(i, h);
        h = b.feed_forward(i, h);
        b.tap(&format!("layer_{i}"), h);
    }
    b.g.at("the heads");
    let x = b.g.rms_norm(h, "output_norm", config.eps);
    b.tap("final_norm", x);
    let spans = b.g.words(Words::Spans);
    let mut y = b.g.mean_pool(x, spans, shape.texts);
    b.tap("pooled", y);
    for head in &config.dense {
        y = b.product(y, head.name, head.outputs);
        b.tap(head.name, y);
    }
    b.g.output("embedding", y);
    b.g
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

    /// `x Wᵀ` with `W: [rows, cols of x]`.
    fn product(&mut self, x: Value, key: &str, rows: u32) -> Value {
        let w = self.weight(key, rows, self.g.cols(x));
        self.g.matmul(x, w)
    }

    /// `h + RMS(Wo attention(q, K, V))`; queries and keys are normalised by heads and rotated.
    fn attention(&mut self, i: usize, h: Value) -> Value {
        let c = &self.model.config;
        let key = |name: &str| format!("blk.{i}.{name}");
        let span = if c.sliding[i] { "sliding" } else { "global" };
        let rows = EmbeddingGemma::rope_rows(self.shape.tokens);
        let rope =
            [self.g.table(&format!("rope.{span}.low"), 256, c.head_dim), self.g.table(&format!("rope.{span}.high"), rows, c.head_dim)];
        let x = self.g.rms_norm(h, &key("attn_norm"), c.eps);
        let turned = |b: &mut Self, of: &str, heads: u32| {
            let x = b.product(x, &key(of), heads * c.head_dim);
            let x = b.g.rms_norm_runs(x, &key(&format!("{of}_norm")), c.head_dim, c.eps);
            b.g.rotate(Rotate { heads, head_dim: c.head_dim, inverse: false }, x, rope, b.texts.starts)
        };
        let q = turned(self, "attn_q", c.heads);
        let k = turned(self, "attn_k", c.kv_heads);
        let v = self.product(x, &key("attn_v"), c.kv_heads * c.head_dim);
        let radius = c.sliding[i].then_some(c.window / 2);
        let scale = (c.head_dim as f32).sqrt().recip();
        let op = EncoderAttention { heads: c.heads, kv_heads: c.kv_heads, head_dim: c.head_dim, radius, scale };
        let a = self.g.encoder_attention(op, q, [k, v], self.texts);
        let a = self.product(a, &key("attn_output"), c.dim);
        self.residual(h, a, &key("post_attention_norm"))
    }

    /// `h + RMS(down (gelu(gate x) * up x))`.
    fn feed_forward(&mut self, i: usize, h: Value) -> Value {
        let c = &self.model.config;
        let key = |name: &str| format!("blk.{i}.{name}");
        let x = self.g.rms_norm(h, &key("ffn_norm"), c.eps);
        let gate = self.product(x, &key("ffn_gate"), c.ffn);
        let up = self.product(x, &key("ffn_up"), c.ffn);
        let f = self.g.gelu_mul(gate, up);
        let f = self.product(f, &key("ffn_down"), c.dim);
        self.residual(h, f, &key("post_ffw_norm"))
    }

    fn residual(&mut self, h: Value, a: Value, norm: &str) -> Value {
        let a = self.g.rms_norm(a, norm, self.model.config.eps);
        self.g.add_scale(a, h, 1.0)
    }
}
