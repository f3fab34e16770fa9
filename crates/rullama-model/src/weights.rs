//! Which rows of a file make a weight, and the weights that there are on the GPU.

use crate::ModelError;
pub use crate::vectors::{read_table, read_tables};
use rullama_gpu::{Device, Usage};
use rullama_ops::{HostWeight, Tensor, Weight};
use rullama_quant::DType;
use rullama_source::ByteSource;
use rullama_source::gguf::TensorInfo;
use rullama_source::rows::Stacked;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Rows of a tensor, by the name that the model's algebra has for them.
#[derive(Debug, Clone)]
pub struct Part {
    pub key: String,
    pub tensor: TensorInfo,
    pub rows: Range<u64>,
}

impl Table {
    pub fn rows(&self) -> u32 {
        (self.values.len() / self.cols.max(1)) as u32
    }
}

impl Part {
    pub fn whole(key: &str, tensor: TensorInfo) -> Self {
        let rows = 0..tensor.rows();
        Part { key: key.into(), tensor, rows }
    }

    /// The part on the host, for oracles.
    pub async fn host(&self, source: &dyn ByteSource) -> Result<HostWeight, ModelError> {
        let run = self.run(0..self.len())?;
        let bytes = source.read(run.start, (run.end - run.start) as usize).await?;
        Ok(HostWeight { dtype: self.tensor.dtype()?, rows: self.len() as usize, cols: self.tensor.cols() as usize, bytes })
    }

    fn len(&self) -> u64 {
        self.rows.end - self.rows.start
    }

    /// Where rows of it lie in the file.
    fn run(&self, rows: Range<u64>) -> Result<Range<u64>, ModelError> {
        let rows = self.rows.start + rows.start..self.rows.start + rows.end;
        let outside = ModelError::Row { name: self.tensor.name.clone(), row: rows.end, rows: self.tensor.rows() };
        self.tensor.row_range(rows).ok_or(outside)
    }
}

/// How parts make one matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    /// One after the other.
    Concat,
    /// Row 2i from the first part, 2i + 1 from the second.
    Interleave,
    /// One after the other, `rows` for each expert; chunks hold whole experts.
    Experts { rows: u64 },
}

/// A matrix to load; all parts have one format and row length.
#[derive(Debug, Clone)]
pub struct WeightSpec {
    pub key: String,
    pub stack: Stack,
    pub parts: Vec<Part>,
    /// Zeros follow the columns up to a multiple of 32, for files whose rows are shorter; of formats without blocks alone.
    pub padded: bool,
}

/// A vector to load as f32.
#[derive(Debug, Clone)]
pub struct TableSpec {
    pub key: String,
    pub tensor: TensorInfo,
    /// Only the host reads it.
    pub host: bool,
}

/// Everything to load, and what graphs ask for by key.
#[derive(Debug, Clone, Default)]
pub struct Specs {
    pub weights: Vec<WeightSpec>,
    pub tables: Vec<TableSpec>,
    /// Tensors of the file that are known to be of no use here.
    pub unneeded: Vec<String>,
}

/// Where a part stands in its stack.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    pub spec: &'a WeightSpec,
    pub part: &'a Part,
    /// Its place among the parts.
    pub index: usize,
    /// Rows of the parts before it.
    pub first_row: u64,
}

impl Specs {
    pub fn weight(&self, key: &str) -> Option<&WeightSpec> {
        self.weights.iter().find(|spec| spec.key == key)
    }

    /// The part that the algebra calls `key`.
    pub fn part(&self, key: &str) -> Option<Placed<'_>> {
        self.weights.iter().find_map(|spec| {
            let index = spec.parts.iter().position(|part| part.key == key)?;
            let first_row = spec.parts[..index].iter().map(Part::len).sum();
            Some(Placed { spec, part: &spec.parts[index], index, first_row })
        })
    }
}

impl WeightSpec {
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(Part::len).sum()
    }

    pub fn cols(&self) -> u64 {
        let cols = self.parts[0].tensor.cols();
        if self.padded { cols.next_multiple_of(32) } else { cols }
    }

    /// Bytes of a row with what pads it.
    pub(crate) fn row_bytes(&self) -> u64 {
        let tensor = &self.parts[0].tensor;
        // Not by the bytes of a value, of which blocks have no whole number.
        if self.padded { tensor.row_bytes() * self.cols() / tensor.cols().max(1) } else { tensor.row_bytes() }
    }

    pub fn dtype(&self) -> Result<DType, ModelError> {
        Ok(self.parts[0].tensor.dtype()?)
    }

    /// Rows of each expert, where there are experts.
    pub fn expert_rows(&self) -> Option<u64> {
        match self.stack {
            Stack::Experts { rows } => Some(rows),
            _ => None,
        }
    }

    /// Whether the row tells this file from others: of experts, which may stay in the file, the first of each.
    pub(crate) fn is_sampled(&self, row: u64) -> bool {
        self.expert_rows().is_none_or(|rows| row.is_multiple_of(rows))
    }

    /// Bytes in the file.
    pub fn bytes(&self) -> u64 {
        self.rows() * self.parts[0].tensor.row_bytes()
    }

    /// Where rows of the stacked matrix lie in the file. Interleaved ranges start and end even.
    ///
    /// # Errors
    /// [`ModelError::Row`] of rows that are not there.
    pub fn stacked(&self, rows: Range<u64>) -> Result<Stacked, ModelError> {
        let mut runs = Vec::new();
        let woven = self.stack == Stack::Interleave;
        if woven {
            for part in &self.parts {
                runs.push(part.run(rows.start / 2..rows.end / 2)?);
            }
        } else {
            let mut start = 0;
            for part in &self.parts {
                let (from, to) = (rows.start.max(start), rows.end.min(start + part.len()));
                if from < to {
                    runs.push(part.run(from - start..to - start)?);
                }
                start += part.len();
            }
        }
        let (stored, wanted) = (self.parts[0].tensor.row_bytes() as usize, self.row_bytes() as usize);
        Ok(Stacked { runs, woven, stored, wanted })
    }

    /// Rows of the stacked matrix in the file's bits.
    pub async fn read(&self, source: &dyn ByteSource, rows: Range<u64>) -> Result<Vec<u8>, ModelError> {
        Ok(self.stacked(rows)?.read(source).await?)
    }

    /// The whole matrix on the host, for oracles.
    pub async fn host(&self, source: &dyn ByteSource) -> Result<HostWeight, ModelError> {
        let bytes = self.read(source, 0..self.rows()).await?;
        Ok(HostWeight { dtype: self.dtype()?, rows: self.rows() as usize, cols: self.cols() as usize, bytes })
    }
}

/// A small f32 matrix to put on the GPU beside the weights.
#[derive(Debug, Clone)]
pub struct Table {
    pub key: String,
    pub cols: usize,
    pub values: Vec<f32>,
}

/// What the keys of a graph's weights and tables ([`rullama_ops::Kind`]) stand for.
#[derive(Debug, Default)]
pub struct Weights {
    weights: HashMap<String, Arc<Weight>>,
    tables: HashMap<String, Tensor>,
}

impl Weights {
    pub fn weight(&self, key: &str) -> Option<&Arc<Weight>> {
        self.weights.get(key)
    }

    pub fn table(&self, key: &str) -> Option<&Tensor> {
        self.tables.get(key)
    }

    /// Takes over a weight or table that is `key` there, as `name`.
    pub(crate) fn share(&mut self, of: &Weights, key: &str, name: &str) {
        if let Some(weight) = of.weights.get(key) {
            self.weights.insert(name.into(), weight.clone());
        }
        if let Some(table) = of.tables.get(key) {
            self.tables.insert(name.into(), table.clone());
        }
    }

    pub(crate) fn insert(&mut self, weight: Weight) {
        self.weights.insert(weight.name.clone(), Arc::new(weight));
    }

    /// Puts small tables on the GPU, all in one buffer.
    pub async fn add_tables(&mut self, device: &Device, tables: &[Table]) -> Result<(), ModelError> {
        let align = (device.caps().offset_alignment as usize / 4).max(4);
        let mut all: Vec<f32> = Vec::new();
        let mut places = Vec::new();
        for table in tables {
            all.resize(all.len().next_multiple_of(align), 0.0);
            places.push(all.len());
            all.extend(&table.values);
        }
        all.resize(all.len().next_multiple_of(align), 0.0);
        let buffer = device.buffer("tables", all.len() as u64 * 4, Usage::Storage).await?;
        device.write(&buffer, 0, bytemuck::cast_slice(&all));
        for (table, place) in tables.iter().zip(places) {
            let (rows, cols) = (table.values.len() / table.cols, table.cols as u32);
            let slice = buffer.slice(place as u64 * 4, table.values.len() as u64 * 4);
            self.tables.insert(table.key.clone(), Tensor { slice, rows: rows as u32, cols, stride: cols, offset: 0 });
        }
        Ok(())
    }
}
