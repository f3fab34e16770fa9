//! Low-rank terms of products: what adapters add, at inference and in training alike.

use rullama_adapter::{Adapter, Pair, Target};
use rullama_ops::{Dropout, Graph, Part, Value, Words};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// `scale * B (A x)` beside a product `W x`, with A: [rank, inputs] and B: [outputs, rank].
///
/// On the embedding A is kept as `[vocab, rank]`, so that a token's column is a row.
/// Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Of its two matrices, see [`Term::a`].
    pub name: String,
    pub rank: u32,
    pub scale: f32,
    pub inputs: u32,
    pub outputs: u32,
}

/// Key of the embedding among the products.
pub const EMBEDDING: &str = "token_embd";
/// Key of the head, also where its weight is the embedding's.
pub const HEAD: &str = "output";

impl Term {
    /// Name of A among what is trained.
    pub fn a(&self) -> String {
        format!("{}.lora_a", self.name)
    }

    /// Name of B.
    pub fn b(&self) -> String {
        format!("{}.lora_b", self.name)
    }
}

/// The terms of each product, by the base name of its tensor, as `blk.3.attn_q`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Terms {
    by_key: BTreeMap<String, Vec<Term>>,
    /// Share of a branch's inputs that a training step leaves out.
    pub dropout: f32,
}

impl Terms {
    pub fn add(&mut self, key: impl Into<String>, term: Term) {
        self.by_key.entry(key.into()).or_default().push(term);
    }

    /// The same terms with another dropout.
    pub fn with_dropout(self, dropout: f32) -> Self {
        Terms { dropout, ..self }
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub fn of(&self, key: &str) -> &[Term] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    /// Keys and terms, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Term)> {
        self.by_key.iter().flat_map(|(key, terms)| terms.iter().map(move |term| (key.as_str(), term)))
    }

    /// `y` with the terms of product `key` of `x`, where `y` holds the product's rows from `first_row` on.
    pub fn product(&self, g: &mut Graph, key: &str, x: Value, y: Value, first_row: u32) -> Value {
        self.of(key).iter().enumerate().fold(y, |y, (salt, term)| {
            let a = g.trained(&term.a(), Part::Value, term.rank, term.inputs);
            let x = self.dropped(g, key, salt, x);
            let u = g.dense_transposed(x, a, 1.0, None);
            term.outputs_of(g, u, y, first_row, term.scale)
        })
    }

    /// `y = scale * W[ids]` with the terms of the embedding, which are scaled alike.
    pub fn embedding(&self, g: &mut Graph, ids: Value, y: Value, scale: f32) -> Value {
        self.of(EMBEDDING).iter().fold(y, |y, term| {
            let a = g.trained(&term.a(), Part::Value, term.inputs, term.rank);
            let tokens = g.rows(y);
            let u = g.gather_rows(a, ids, tokens);
            term.outputs_of(g, u, y, 0, term.scale * scale)
        })
    }

    fn dropped(&self, g: &mut Graph, key: &str, salt: usize, x: Value) -> Value {
        if self.dropout == 0.0 {
            return x;
        }
        let chance = g.words(Words::Chance);
        g.dropout(x, chance, Dropout { rate: self.dropout, salt: salted(key, salt), first_row: 0 })
    }
}

impl Term {
    /// `y + scale * u Bᵀ` for the rows of B that `y` has.
    fn outputs_of(&self, g: &mut Graph, u: Value, y: Value, first_row: u32, scale: f32) -> Value {
        let whole = g.trained(&self.b(), Part::Value, self.outputs, self.rank);
        let cols = g.cols(y);
        let b = if cols == self.outputs { whole } else { g.view(whole, (first_row, 0), (cols, self.rank)) };
        g.dense_transposed(u, b, scale, Some(y))
    }
}

/// Branches drop different inputs: FNV-1a of the product's key and the term's place.
fn salted(key: &str, salt: usize) -> u32 {
    let bytes = key.bytes().chain(salt.to_le_bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A matrix of a term: its name, rows, columns and values.
pub type Matrix<'a> = (String, u32, u32, Cow<'a, [f32]>);

/// Both matrices of a pair, as the terms of `name` want them.
pub fn matrices<'a>(term: &Term, target: Target, pair: &'a Pair) -> [Matrix<'a>; 2] {
    let a = if target.is_table() {
        (term.a(), pair.inputs, pair.rank, Cow::Owned(transposed(&pair.a, pair.inputs as usize)))
    } else {
        (term.a(), pair.rank, pair.inputs, Cow::Borrowed(&pair.a[..]))
    };
    [a, (term.b(), pair.outputs, pair.rank, Cow::Borrowed(&pair.b[..]))]
}

/// The transpose of `[rows, cols]`, of which `cols` is given.
pub fn transposed(values: &[f32], cols: usize) -> Vec<f32> {
    let rows = values.len() / cols.max(1);
    (0..cols).flat_map(|col| (0..rows).map(move |row| values[row * cols + col])).collect()
}

/// The terms of an adapter times `factor`, their names beginning with `prefix`.
pub fn terms_of(adapter: &Adapter, prefix: &str, factor: f32) -> impl Iterator<Item = (Target, Term)> {
    adapter.pairs.iter().map(move |(target, pair)| {
        let name = format!("{prefix}/{}", target.gguf_name());
        let scale = (f64::from(factor) * f64::from(pair.scale)) as f32;
        (*target, Term { name, rank: pair.rank, scale, inputs: pair.inputs, outputs: pair.outputs })
    })
}
