//! What the towers' files have in common: checked tensors, bounds of clipped linears, keys of both dialects.
//!
//! llama.cpp keeps towers in a file of their own (`mmproj`, architecture `clip`), Ollama in the model's.

use crate::ModelError;
use crate::weights::{Part, Specs, Stack, Table, TableSpec, WeightSpec};
use rullama_ops::{Graph, Value};
use rullama_source::gguf::{Gguf, MetadataError, TensorInfo};
use std::collections::HashMap;

/// Whether a tower gates by GELU, or by SiLU; in either dialect.
const USE_GELU: &str = "clip.use_gelu";
const USE_SILU: &str = "clip.use_silu";

/// A file with a tower; `specs` grows as tensors are found.
pub(super) struct TowerFile<'a> {
    gguf: &'a Gguf,
    pub specs: Specs,
}

impl<'a> TowerFile<'a> {
    pub fn new(gguf: &'a Gguf) -> Self {
        TowerFile { gguf, specs: Specs::default() }
    }

    /// The value of `clip.KEY` or `gemma4.KEY`, whichever dialect the file has.
    pub fn u32_or(&self, key: &str, default: u32) -> Result<u32, ModelError> {
        Ok(MetadataError::optional(self.gguf.metadata.u32(&self.key(key)))?.unwrap_or(default))
    }

    /// A positive number of the metadata, likewise.
    pub fn eps_or(&self, key: &str, default: f32) -> Result<f32, ModelError> {
        let value = MetadataError::optional(self.gguf.metadata.f32(&self.key(key)))?.unwrap_or(default);
        if value.is_finite() && value > 0.0 { Ok(value) } else { Err(self.bad(key, value, "is not a positive number")) }
    }

    pub fn bad(&self, key: &str, value: impl ToString, reason: &str) -> ModelError {
        ModelError::Config { key: self.key(key), value: value.to_string(), reason: reason.into() }
    }

    fn key(&self, key: &str) -> String {
        let clip = self.gguf.metadata.str("general.architecture").is_ok_and(|name| name == "clip");
        format!("{}.{key}", if clip { "clip" } else { "gemma4" })
    }

    /// Refuses a projector of another family, where the file names it.
    pub fn check_projector(&self, key: &str, known: &[&str]) -> Result<(), ModelError> {
        for key in [key, "clip.projector_type"] {
            match MetadataError::optional(self.gguf.metadata.str(key))? {
                Some(name) if !known.contains(&name) => return Err(ModelError::Architecture { found: format!("{name} projector") }),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the gate of a vision transformer is the quick form of GELU. Files that do not name one have the definition's, with tanh;
    /// `clip.use_gelu` false means what llama.cpp computes then.
    ///
    /// # Errors
    /// Another activation.
    pub fn quick_gelu(&self) -> Result<bool, ModelError> {
        let said = |key| MetadataError::optional(self.gguf.metadata.bool(key));
        if said(USE_SILU)? == Some(true) {
            let reason = "is no activation of Gemma 4's towers, which gate by GELU".into();
            return Err(ModelError::Config { key: USE_SILU.into(), value: "true".into(), reason });
        }
        Ok(said(USE_GELU)? == Some(false))
    }

    pub fn has(&self, name: &str) -> bool {
        self.gguf.tensors.contains(name)
    }

    pub fn find(&self, name: &str) -> Result<&'a TensorInfo, ModelError> {
        self.gguf.tensors.get(name).ok_or_else(|| ModelError::MissingTensor { name: name.into() })
    }

    fn checked(&self, name: &str, dims: &[u64]) -> Result<TensorInfo, ModelError> {
        let info = self.find(name)?;
        if info.dims != dims {
            return Err(ModelError::Shape { name: name.into(), expected: dims.to_vec(), found: info.dims.clone() });
        }
        info.dtype()?;
        Ok(info.clone())
    }

    /// A matrix `KEY.weight` of `rows` rows.
    pub fn matrix(&mut self, key: &str, cols: u32, rows: u32) -> Result<(), ModelError> {
        let info = self.checked(&format!("{key}.weight"), &[cols.into(), rows.into()])?;
        self.weight(key, info);
        Ok(())
    }

    /// The projection `KEY.weight` to a text model of width `dim`.
    pub fn projection(&mut self, key: &str, cols: u32, dim: u32) -> Result<(), ModelError> {
        let found = self.find(&format!("{key}.weight"))?.rows();
        if found != u64::from(dim) {
            return Err(ModelError::OtherModel { found, dim });
        }
        self.matrix(key, cols, dim)
    }

    /// A matrix of a tensor with more dimensions: all but the last make a row.
    pub fn flat_matrix(&mut self, key: &str, dims: &[u64]) -> Result<(), ModelError> {
        let mut info = self.checked(&format!("{key}.weight"), dims)?;
        let (rows, cols) = dims.split_last().map_or((1, 1), |(rows, inner)| (*rows, inner.iter().product()));
        info.dims = vec![cols, rows];
        self.weight(key, info);
        Ok(())
    }

    fn weight(&mut self, key: &str, info: TensorInfo) {
        self.specs.weights.push(WeightSpec { key: key.into(), stack: Stack::Concat, parts: vec![Part::whole(key, info)], padded: true });
    }

    /// A table of these dimensions, by its tensor's name.
    pub fn table(&mut self, name: &str, dims: &[u64], host: bool) -> Result<(), ModelError> {
        let tensor = self.checked(name, dims)?;
        self.specs.tables.push(TableSpec { key: name.into(), tensor, host });
        Ok(())
    }

    pub fn vector(&mut self, name: &str, cols: u32) -> Result<(), ModelError> {
        self.table(name, &[cols.into()], false)
    }

    /// The bounds of a clipped linear, where the file has them.
    pub fn bounds(&mut self, key: &str) -> Result<(), ModelError> {
        for bound in BOUNDS {
            let name = format!("{key}.{bound}");
            if self.has(&name) {
                self.table(&name, &[1], true)?;
            }
        }
        Ok(())
    }
}

/// Names of a clipped linear's bounds, in the order of packed ones.
const BOUNDS: [&str; 4] = ["input_min", "input_max", "output_min", "output_max"];

/// What a clipped linear holds its inputs and outputs to: least and most of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    pub input: [f32; 2],
    pub output: [f32; 2],
}

/// A host table of the file.
pub(super) fn host<'a>(tables: &'a [Table], name: &str) -> Option<&'a [f32]> {
    tables.iter().find(|table| table.key == name).map(|table| table.values.as_slice())
}

impl Bounds {
    /// Of the linear `key`, from scalars, or from `packed`: four values, all of them 0 where there are none.
    ///
    /// # Errors
    /// Bounds that hold nothing.
    pub fn read(tables: &[Table], key: &str, packed: Option<&[f32]>) -> Result<Bounds, ModelError> {
        let scalar = |i: usize| host(tables, &format!("{key}.{}", BOUNDS[i])).and_then(|values| values.first().copied());
        let mut all = [0, 1, 2, 3].map(|i| scalar(i).unwrap_or(if i % 2 == 0 { f32::NEG_INFINITY } else { f32::INFINITY }));
        for (i, pair) in packed.unwrap_or_default().chunks_exact(2).take(2).enumerate() {
            if pair != [0.0, 0.0] {
                all[2 * i..2 * i + 2].copy_from_slice(pair);
            }
        }
        match all.chunks_exact(2).position(|pair| pair[0].is_nan() || pair[1].is_nan() || pair[0] > pair[1]) {
            Some(i) => {
                let name = format!("{key}.{}", BOUNDS[2 * i]);
                Err(ModelError::Value { name, value: all[2 * i], reason: "is above the upper bound" })
            }
            None => Ok(Bounds { input: [all[0], all[1]], output: [all[2], all[3]] }),
        }
    }
}

/// A step of the tower `T` while it is built.
pub(super) struct Builder<'a, T> {
    pub tower: &'a T,
    pub tables: &'a [Table],
    taps: bool,
    pub g: Graph,
    pub products: Products<'a>,
}

impl<'a, T> Builder<'a, T> {
    pub fn new(tower: &'a T, specs: &'a Specs, tables: &'a [Table], taps: bool) -> Self {
        Builder { tower, tables, taps, g: Graph::default(), products: Products::new(specs) }
    }

    /// An output for those who look at the stages.
    pub fn tap(&mut self, name: &str, value: Value) {
        if self.taps {
            self.g.output(name, value);
        }
    }

    /// `clamp(W clamp(x))` with the weight `key`, as scalars or `packed` bounds say.
    ///
    /// # Errors
    /// As [`Bounds::read`].
    pub fn clipped(&mut self, x: Value, key: &str, packed: Option<&[f32]>) -> Result<Value, ModelError> {
        let bounds = Bounds::read(self.tables, key, packed)?;
        Ok(self.products.clipped(&mut self.g, x, key, bounds))
    }

    /// The outputs of every tower: what its blocks left, and its norm and projection to soft tokens.
    ///
    /// # Errors
    /// As [`clipped`](Self::clipped).
    pub fn project(&mut self, tower: Value, (ones, eps): (&str, f32), key: &str, packed: Option<&[f32]>) -> Result<(), ModelError> {
        self.g.output("tower", tower);
        let z = self.g.rms_norm(tower, ones, eps);
        let soft = self.clipped(z, key, packed)?;
        self.g.output("soft_tokens", soft);
        Ok(())
    }
}

/// Products with a tower's weights, of which rows may be padded.
pub(super) struct Products<'a> {
    specs: &'a Specs,
    padded: HashMap<Value, Value>,
}

impl<'a> Products<'a> {
    pub fn new(specs: &'a Specs) -> Self {
        Products { specs, padded: HashMap::new() }
    }

    /// `x Wᵀ` with the weight `key`.
    pub fn product(&mut self, g: &mut Graph, x: Value, key: &str) -> Value {
        let (rows, cols, dtype) = match self.specs.weight(key) {
            Some(spec) => (spec.rows() as u32, spec.cols() as u32, spec.dtype().unwrap_or(rullama_quant::DType::F32)),
            None => (0, 0, rullama_quant::DType::F32),
        };
        let x = self.widened(g, x, cols);
        let w = g.weight(key, rows, cols, dtype);
        g.matmul(x, w)
    }

    /// `clamp(clamp(x) Wᵀ)`.
    pub fn clipped(&mut self, g: &mut Graph, x: Value, key: &str, bounds: Bounds) -> Value {
        let x = g.clamp(x, bounds.input[0], bounds.input[1]);
        let y = self.product(g, x, key);
        g.clamp(y, bounds.output[0], bounds.output[1])
    }

    /// `x` with zeros up to `cols` columns.
    fn widened(&mut self, g: &mut Graph, x: Value, cols: u32) -> Value {
        if g.cols(x) >= cols {
            return x;
        }
        if let Some(known) = self.padded.get(&x) {
            return *known;
        }
        let zeros = g.zeros(g.rows(x), cols);
        let wide = g.add_columns(zeros, x, 0);
        self.padded.insert(x, wide);
        wide
    }
}
