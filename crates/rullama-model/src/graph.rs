//! The network as data: values and the operations between them.
//!
//! A model's `forward` builds a [`Graph`]; [`crate::plan`] makes GPU work of it and
//! [`crate::reference`] runs it on the operations' oracles. Nothing here knows a kernel,
//! a buffer or a weight format.

use rullama_ops::{
    AddScale, Attention, Embed, Epilogue, GegluMatmul, LastRow, Matmul, Op, PerLayerCombine, QkvPrepare, QueryPrepare, ResidualNorm,
    RmsNorm,
};

/// A value of a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Value(u32);

/// Which half of a layer's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Half {
    Keys,
    Values,
}

/// Small buffers of words that host and sampler share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Words {
    /// Token ids of a prompt's chunk.
    ChunkIds,
    /// State of a prompt's chunk.
    ChunkState,
    /// The id of the token to decode; the sampler writes the next one.
    StepId,
    /// State of the step whose logits are wanted; the sampler advances it.
    StepState,
}

/// Activations that the host writes before a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Input {
    /// Per-layer rows of the layers that run for all tokens, times sqrt(width).
    PerLayerOwn,
    /// Per-layer rows of the remaining layers, for the rows whose logits are wanted.
    PerLayerShared,
}

/// Where a value's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Computed here.
    Activation,
    /// Columns `column ..` of another value.
    View {
        of: Value,
        column: u32,
    },
    Input(Input),
    /// A matrix, by the key of its specification.
    Weight(String),
    /// A vector or small f32 table.
    Table(String),
    Cache {
        layer: usize,
        half: Half,
    },
    Words(Words),
}

/// Shape and place of a value.
#[derive(Debug, Clone)]
pub struct Info {
    pub kind: Kind,
    pub rows: u32,
    pub cols: u32,
}

/// A step of the network.
#[derive(Debug)]
pub enum Node {
    Op {
        op: Box<dyn Op>,
        operands: Vec<Value>,
    },
    /// A copy of a value as it stands, for those who look on.
    Snapshot {
        of: Value,
        to: Value,
    },
}

/// Values, nodes in order, and the values that outlive the run.
#[derive(Debug, Default)]
pub struct Graph {
    pub values: Vec<Info>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<(String, Value)>,
}

/// A residual stream's block end (see [`Graph::residual_norm`]).
#[derive(Debug, Clone, Copy)]
pub struct Residual<'a> {
    pub eps: f32,
    /// Post-norm weight.
    pub norm: &'a str,
    /// Scale of the sum.
    pub scale: f32,
    /// Weight of the norm that opens the next block, if its input is wanted.
    pub next: Option<&'a str>,
    /// One fused operation, or its parts.
    pub fused: bool,
}

impl Graph {
    pub fn info(&self, value: Value) -> &Info {
        &self.values[value.0 as usize]
    }

    fn add(&mut self, kind: Kind, rows: u32, cols: u32) -> Value {
        self.values.push(Info { kind, rows, cols });
        Value(self.values.len() as u32 - 1)
    }

    fn op(&mut self, op: impl Op + 'static, operands: Vec<Value>) {
        self.nodes.push(Node::Op { op: Box::new(op), operands });
    }

    fn activation(&mut self, rows: u32, cols: u32) -> Value {
        self.add(Kind::Activation, rows, cols)
    }

    pub fn rows(&self, value: Value) -> u32 {
        self.info(value).rows
    }

    pub fn cols(&self, value: Value) -> u32 {
        self.info(value).cols
    }

    pub fn weight(&mut self, key: &str, rows: u32, cols: u32) -> Value {
        self.add(Kind::Weight(key.into()), rows, cols)
    }

    /// A vector `[1, cols]`.
    pub fn vector(&mut self, key: &str, cols: u32) -> Value {
        self.table(key, 1, cols)
    }

    pub fn table(&mut self, key: &str, rows: u32, cols: u32) -> Value {
        self.add(Kind::Table(key.into()), rows, cols)
    }

    pub fn input(&mut self, input: Input, rows: u32, cols: u32) -> Value {
        self.add(Kind::Input(input), rows, cols)
    }

    pub fn cache(&mut self, layer: usize, half: Half) -> Value {
        self.add(Kind::Cache { layer, half }, 0, 0)
    }

    pub fn words(&mut self, words: Words) -> Value {
        self.add(Kind::Words(words), 0, 0)
    }

    /// Columns `column .. column + cols` of `of`.
    pub fn view(&mut self, of: Value, column: u32, cols: u32) -> Value {
        let rows = self.rows(of);
        self.add(Kind::View { of, column }, rows, cols)
    }

    /// Keeps a value's data after the run, under a name.
    pub fn output(&mut self, name: impl Into<String>, value: Value) {
        self.outputs.push((name.into(), value));
    }

    /// Keeps a value's data as it is now.
    pub fn tap(&mut self, name: impl Into<String>, of: Value) {
        let to = self.activation(self.rows(of), self.cols(of));
        self.nodes.push(Node::Snapshot { of, to });
        self.output(name, to);
    }

    /// `scale * table[ids]`, `tokens` rows.
    pub fn embed(&mut self, ids: Value, table: Value, tokens: u32, scale: f32) -> Value {
        let y = self.activation(tokens, self.cols(table));
        self.op(Embed { scale }, vec![ids, table, y]);
        y
    }

    /// `x Wᵀ`.
    pub fn matmul(&mut self, x: Value, w: Value) -> Value {
        self.matmul_with(x, w, Epilogue::None, None)
    }

    /// `cap tanh(x Wᵀ / cap)`; no cap when 0.
    pub fn matmul_softcap(&mut self, x: Value, w: Value, cap: f32) -> Value {
        self.matmul_with(x, w, if cap > 0.0 { Epilogue::Softcap(cap) } else { Epilogue::None }, None)
    }

    /// `gelu(x Wᵀ) * e`.
    pub fn matmul_gelu_mul(&mut self, x: Value, w: Value, e: Value) -> Value {
        self.matmul_with(x, w, Epilogue::GeluMul, Some(e))
    }

    fn matmul_with(&mut self, x: Value, w: Value, epilogue: Epilogue, e: Option<Value>) -> Value {
        let y = self.activation(self.rows(x), self.rows(w));
        let operands = [Some(x), Some(w), e, Some(y)].into_iter().flatten().collect();
        self.op(Matmul { epilogue }, operands);
        y
    }

    /// `gelu(gate x) * (up x)`, gate and up interleaved in `w: [2 * ffn, dim]`.
    pub fn geglu(&mut self, x: Value, w: Value) -> Value {
        let y = self.activation(self.rows(x), self.rows(w) / 2);
        self.op(GegluMatmul, vec![x, w, y]);
        y
    }

    pub fn rms_norm(&mut self, x: Value, weight: &str, eps: f32) -> Value {
        let weight = self.vector(weight, self.cols(x));
        let y = self.activation(self.rows(x), self.cols(x));
        self.op(RmsNorm { eps }, vec![x, weight, y]);
        y
    }

    /// `h = (h + RMS(a) norm) scale` in place; gives `RMS(h) next` when asked for.
    pub fn residual_norm(&mut self, h: Value, a: Value, r: Residual) -> Option<Value> {
        let cols = self.cols(h);
        if !r.fused {
            let normed = self.rms_norm(a, r.norm, r.eps);
            self.op(AddScale { scale: r.scale }, vec![normed, h]);
            return r.next.map(|next| self.rms_norm(h, next, r.eps));
        }
        let norm = self.vector(r.norm, cols);
        let mut operands = vec![a, norm, h];
        let y = r.next.map(|next| {
            let next = self.vector(next, cols);
            let y = self.activation(self.rows(h), cols);
            operands.extend([next, y]);
            y
        });
        self.op(ResidualNorm { eps: r.eps, scale: r.scale, next: r.next.is_some() }, operands);
        y
    }

    /// The row of the step's last real token.
    pub fn last_row(&mut self, x: Value, state: Value) -> Value {
        let y = self.activation(1, self.cols(x));
        self.op(LastRow, vec![x, state, y]);
        y
    }

    /// Per-layer embeddings joined in place of the projection `c`.
    pub fn per_layer_combine(&mut self, c: Value, rows: Value, norm: &str, width: u32, scale: f32, eps: f32) {
        let norm = self.vector(norm, width);
        self.op(PerLayerCombine { eps, scale }, vec![c, rows, norm]);
    }

    /// Normalised, rotated queries; keys and values into the caches.
    pub fn qkv_prepare(
        &mut self,
        op: QkvPrepare,
        [q, k, v]: [Value; 3],
        norms: [Value; 2],
        rope: [Value; 2],
        state: Value,
        caches: [Value; 2],
    ) -> Value {
        let out = self.activation(self.rows(q), op.heads * op.head_dim);
        self.op(op, vec![q, k, v, norms[0], norms[1], rope[0], rope[1], state, out, caches[0], caches[1]]);
        out
    }

    /// Normalised, rotated queries of a layer that reads another's cache.
    pub fn query_prepare(&mut self, op: QueryPrepare, q: Value, norm: Value, rope: [Value; 2], state: Value) -> Value {
        let out = self.activation(self.rows(q), op.heads * op.head_dim);
        self.op(op, vec![q, norm, rope[0], rope[1], state, out]);
        out
    }

    pub fn attention(&mut self, op: Attention, q: Value, caches: [Value; 2], state: Value) -> Value {
        let y = self.activation(self.rows(q), self.cols(q));
        self.op(op, vec![q, caches[0], caches[1], state, y]);
        y
    }
}
