//! What a product is made of: each part a WGSL module with its own bindings and parameters, and its piece of the oracle.

use crate::graph::{Number, Type, fit};
use crate::host::{Host, gelu, root_mean_square};
use crate::op::{Operand, Tensor};
use rullama_gpu::{DispatchBuilder, GpuError};

/// What is multiplied, made of the rows of `x: [tokens, cols]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prologue {
    /// `x` itself.
    Plain,
    /// `min(max(x, low), high)`.
    Clamp { low: f32, high: f32 },
    /// `RMS(x) * norm`, with an operand `norm: [1, cols]`.
    Norm { eps: f32 },
    /// `x` itself, given in codes of 8 bits ([`crate::Quantise`]), for weights in codes ([`rullama_quant::codes_wgsl`]): products of
    /// codes are summed as whole numbers, so that only `x` is rounded.
    Int8,
}

/// What becomes of each sum `v` of a row of the weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Epilogue {
    /// `v` itself.
    Plain,
    /// `min(max(v, low), high)`.
    Clamp { low: f32, high: f32 },
    /// `cap * tanh(v / cap)`.
    Softcap(f32),
    /// `gelu(v) * e`, with an operand `e: [tokens, rows]`.
    GeluMul,
    /// `gelu(gate) * up` of the even rows, which are gates, and the odd rows behind them, so that `y` has half as many columns.
    /// Source: Shazeer 2020, "GLU Variants Improve Transformer".
    Geglu,
}

fn check_bounds(low: f32, high: f32) -> Result<(), String> {
    if low <= high { Ok(()) } else { Err(format!("{low} is not below {high}")) }
}

impl Prologue {
    /// Operands beside `x`.
    pub fn extras(&self) -> usize {
        match self {
            Prologue::Plain | Prologue::Clamp { .. } | Prologue::Int8 => 0,
            Prologue::Norm { .. } => 1,
        }
    }

    /// Defines `x_row`, and `x_scale` and `load_x`, or `load_codes`.
    pub fn module(&self) -> &'static str {
        match self {
            Prologue::Plain => include_str!("prologue/plain.wgsl"),
            Prologue::Clamp { .. } => include_str!("prologue/clamp.wgsl"),
            Prologue::Norm { .. } => include_str!("prologue/norm.wgsl"),
            Prologue::Int8 => include_str!("prologue/int8.wgsl"),
        }
    }

    /// What `vector` asks which it is by.
    pub fn flag(&self) -> &'static str {
        match self {
            Prologue::Plain => "plain",
            Prologue::Clamp { .. } => "clamped",
            Prologue::Norm { .. } => "scaled",
            Prologue::Int8 => "int8",
        }
    }

    /// Whether a tile can be formed of it: one token's sums are shared by all that a workgroup does.
    pub fn tiles(&self) -> bool {
        !matches!(self, Prologue::Norm { .. })
    }

    pub fn check(&self, x: &Type, extras: &[Type]) -> Result<(), String> {
        match (self, extras) {
            (Prologue::Plain, []) => Ok(()),
            (Prologue::Clamp { low, high }, []) => check_bounds(*low, *high),
            (Prologue::Int8, []) => fit(x.number == Number::Codes, &[("x", x)]),
            (Prologue::Norm { .. }, [norm]) => fit(*norm == Type::f32(1, x.cols), &[("x", x), ("norm", norm)]),
            _ => Err(format!("{self:?} has {} operands, not {}", self.extras(), extras.len())),
        }
    }

    pub fn bind(&self, dispatch: &mut DispatchBuilder, x: &Tensor, extras: &[Operand]) -> Result<(), GpuError> {
        if *self == Prologue::Int8 {
            let [codes, scales] = crate::codes::slices(x);
            dispatch.bind("x_codes", &codes).bind("x_scales", &scales);
            return Ok(());
        }
        dispatch.param("x_offset", x.offset / 4).param("x_stride", x.stride / 4).bind("x", &x.slice);
        match (self, extras) {
            (Prologue::Norm { eps }, [norm]) => {
                dispatch.param("norm_eps", *eps).bind("norm", &norm.tensor()?.slice);
            }
            (Prologue::Clamp { low, high }, _) => {
                dispatch.param("x_low", low.max(f32::MIN)).param("x_high", high.min(f32::MAX));
            }
            _ => {}
        }
        Ok(())
    }

    /// The row that is multiplied.
    pub fn oracle(&self, row: &[f32], extras: &[Host]) -> Vec<f64> {
        match (self, extras) {
            (Prologue::Norm { eps }, [norm]) => {
                let scale = 1.0 / root_mean_square(row, *eps);
                row.iter().zip(&norm.tensor().data).map(|(&x, &w)| f64::from(x) * scale * f64::from(w)).collect()
            }
            (Prologue::Clamp { low, high }, _) => row.iter().map(|x| f64::from(x.max(*low).min(*high))).collect(),
            _ => row.iter().map(|&x| f64::from(x)).collect(),
        }
    }
}

impl Epilogue {
    /// Operands of its own.
    pub fn extras(&self) -> usize {
        usize::from(*self == Epilogue::GeluMul)
    }

    /// Defines `finish`.
    pub fn module(&self) -> &'static str {
        match self {
            Epilogue::Plain => include_str!("epilogue/plain.wgsl"),
            Epilogue::Clamp { .. } => include_str!("epilogue/clamp.wgsl"),
            Epilogue::Softcap(_) => include_str!("epilogue/softcap.wgsl"),
            Epilogue::GeluMul => include_str!("epilogue/gelu_mul.wgsl"),
            Epilogue::Geglu => include_str!("epilogue/geglu.wgsl"),
        }
    }

    /// Whether two neighbouring rows make one value.
    pub fn pairs(&self) -> bool {
        *self == Epilogue::Geglu
    }

    /// Rows of the weight that make one value.
    pub fn together(&self) -> usize {
        if self.pairs() { 2 } else { 1 }
    }

    /// Columns of `y` for a weight of `rows` rows.
    pub fn values(&self, rows: u32) -> u32 {
        if self.pairs() { rows / 2 } else { rows }
    }

    pub fn check(&self, y: &Type, extras: &[Type]) -> Result<(), String> {
        match (self, extras) {
            (Epilogue::GeluMul, [e]) => fit(e == y, &[("e", e), ("y", y)]),
            (Epilogue::Clamp { low, high }, []) => check_bounds(*low, *high),
            (_, []) if *self != Epilogue::GeluMul => Ok(()),
            _ => Err(format!("{self:?} has {} operands, not {}", self.extras(), extras.len())),
        }
    }

    pub fn bind(&self, dispatch: &mut DispatchBuilder, extras: &[Operand]) -> Result<(), GpuError> {
        match (self, extras) {
            (Epilogue::Softcap(cap), _) => {
                dispatch.param("cap", *cap);
            }
            (Epilogue::Clamp { low, high }, _) => {
                dispatch.param("low", low.max(f32::MIN)).param("high", high.min(f32::MAX));
            }
            (Epilogue::GeluMul, [e]) => {
                let e = e.tensor()?;
                dispatch.param("e_offset", e.offset).param("e_stride", e.stride).bind("e", &e.slice);
            }
            _ => {}
        }
        Ok(())
    }

    /// The value `column` of token `token` from the sums of its rows.
    pub fn oracle(&self, sums: &[f64], extras: &[Host], token: usize, column: usize) -> f64 {
        match (self, sums, extras) {
            (Epilogue::Plain, [v], _) => *v,
            (Epilogue::Clamp { low, high }, [v], _) => v.max(f64::from(*low)).min(f64::from(*high)),
            (Epilogue::Softcap(cap), [v], _) => f64::from(*cap) * (v / f64::from(*cap)).tanh(),
            (Epilogue::GeluMul, [v], [e]) => gelu(*v) * f64::from(e.tensor().row(token)[column]),
            (Epilogue::Geglu, [gate, up], _) => gelu(*gate) * up,
            _ => panic!("{self:?} of {} sums and {} operands", sums.len(), extras.len()),
        }
    }
}
