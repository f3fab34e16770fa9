//! Operands on the CPU, for oracles and for moving data in tests.

use crate::graph::{Number, Type};
use crate::kv::KvType;
use rullama_quant::DType;

/// A row-major f32 matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    pub rows: usize,
    pub cols: usize,
    pub data: Vec<f32>,
}

impl Array {
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Array { rows, cols, data: vec![0.0; rows * cols] }
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.cols..][..self.cols]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.cols..][..self.cols]
    }
}

/// A weight matrix `[rows, cols]` in the bits of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct HostWeight {
    pub dtype: DType,
    pub rows: usize,
    pub cols: usize,
    pub bytes: Vec<u8>,
}

impl HostWeight {
    /// Rows `first`, `first + step`, ...: `rows` of them.
    pub fn view(&self, first: usize, step: usize, rows: usize) -> HostWeight {
        let len = self.bytes.len() / self.rows;
        let bytes = (0..rows).flat_map(|row| &self.bytes[(first + row * step) * len..][..len]).copied().collect();
        HostWeight { bytes, rows, ..*self }
    }

    /// One row as f32.
    pub fn row(&self, row: usize) -> Vec<f32> {
        let len = self.bytes.len() / self.rows;
        let mut out = vec![0.0; self.cols];
        rullama_quant::decode(self.dtype, &self.bytes[row * len..][..len], &mut out).expect("the bytes were cut by the same format");
        out
    }
}

/// Keys or values of one layer, already rounded to what `kv` can hold.
#[derive(Debug, Clone, PartialEq)]
pub struct HostCache {
    pub kv: KvType,
    pub slots: usize,
    pub width: usize,
    pub data: Vec<f32>,
}

impl HostCache {
    pub fn slot_mut(&mut self, position: usize) -> &mut [f32] {
        let slot = position % self.slots;
        &mut self.data[slot * self.width..][..self.width]
    }

    pub fn slot(&self, position: usize) -> &[f32] {
        &self.data[(position % self.slots) * self.width..][..self.width]
    }

    /// Stores a row at `position`.
    pub fn store(&mut self, position: usize, row: &[f32]) {
        let kv = self.kv;
        let slot = self.slot_mut(position);
        slot.copy_from_slice(row);
        kv.round(slot);
    }
}

/// An operand's data on the CPU.
#[derive(Debug, Clone, PartialEq)]
pub enum Host {
    Tensor(Array),
    /// The values that codes stand for.
    Codes(Array),
    /// The values that halves stand for.
    Halves(Array),
    Weight(HostWeight),
    Cache(HostCache),
    Words(Vec<u32>),
}

impl Host {
    /// What a result of this type starts as.
    pub fn zeros(of: &Type) -> Host {
        let zeros = Array::zeros(of.rows as usize, of.cols as usize);
        match of.number {
            Number::Codes => Host::Codes(zeros),
            Number::Halves => Host::Halves(zeros),
            _ => Host::Tensor(zeros),
        }
    }

    /// The type of a graph's value with this data.
    pub fn of(&self) -> Type {
        match self {
            Host::Tensor(array) => Type::f32(array.rows as u32, array.cols as u32),
            Host::Codes(array) => Type::codes(array.rows as u32, array.cols as u32),
            Host::Halves(array) => Type::halves(array.rows as u32, array.cols as u32),
            Host::Weight(weight) => Type { rows: weight.rows as u32, cols: weight.cols as u32, number: Number::Weight(weight.dtype) },
            Host::Cache(cache) => Type::cache(cache.width as u32, cache.kv),
            Host::Words(words) => Type::words(words.len() as u32),
        }
    }
}

macro_rules! accessor {
    ($name:ident, $mutable:ident, $variant:ident, $kind:ty) => {
        /// The operand as this kind; another kind is a broken call of our own.
        pub fn $name(&self) -> &$kind {
            match self {
                Host::$variant(inner) => inner,
                other => panic!(concat!("wanted ", stringify!($variant), ", got {:?}"), other),
            }
        }
        pub fn $mutable(&mut self) -> &mut $kind {
            match self {
                Host::$variant(inner) => inner,
                other => panic!(concat!("wanted ", stringify!($variant), ", got {:?}"), other),
            }
        }
    };
}

impl Host {
    accessor!(tensor, tensor_mut, Tensor, Array);
    accessor!(codes, codes_mut, Codes, Array);
    accessor!(halves, halves_mut, Halves, Array);
    accessor!(weight, weight_mut, Weight, HostWeight);
    accessor!(cache, cache_mut, Cache, HostCache);
    accessor!(words, words_mut, Words, Vec<u32>);
}

/// `sqrt` of the mean of squares plus `eps`, in f64: the oracle of every norm.
pub fn root_mean_square(x: &[f32], eps: f32) -> f64 {
    let sum: f64 = x.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    (sum / x.len() as f64 + f64::from(eps)).sqrt()
}

/// gelu(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) in f64.
pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + (std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x * x * x)).tanh())
}
