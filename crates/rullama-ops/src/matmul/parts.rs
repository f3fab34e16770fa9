//! What a product is made of: each part a WGSL module with its own bindings and parameters, and its piece of the oracle.

use crate::graph::{Number, Type, fit};
use crate::host::{Array, Host, gelu, root_mean_square};
use crate::op::{Operand, Tensor};
use rullama_gpu::{DispatchBuilder, GpuError};

/// What is multiplied, made of the rows of `x: [tokens, cols]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prologue {
    /// `x` itself.
    Plain,
    /// `RMS(x) * norm`, with an operand `norm: [1, cols]`.
    Norm { eps: f32 },
    /// `(h + RMS(x) * norm) * factor`, with operands `norm: [1, cols]` and `h`, and a result of its own before `y`: what is multiplied.
    Residual { eps: f32, factor: f32 },
    /// `x` itself, given in codes of 8 bits ([`crate::Quantise`]), for weights in codes ([`rullama_quant::codes_wgsl`]): products of
    /// codes are summed as whole numbers, so that only `x` is rounded.
    Int8,
}

/// What becomes of each sum `v` of a row of the weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Epilogue {
    /// `v` itself.
    Plain,
    /// `cap * tanh(v / cap)`.
    Softcap(f32),
    /// `gelu(v) * e`, with an operand `e: [tokens, rows]`.
    GeluMul,
    /// `gelu(gate) * up` of the even rows, which are gates, and the odd rows behind them, so that `y` has half as many columns.
    /// Source: Shazeer 2020, "GLU Variants Improve Transformer".
    Geglu,
    /// The same in codes of 8 bits ([`crate::Quantise`]), of whole groups of columns.
    GegluCodes,
}

impl Prologue {
    /// Operands beside `x`.
    pub fn extras(&self) -> usize {
        match self {
            Prologue::Plain | Prologue::Int8 => 0,
            Prologue::Norm { .. } => 1,
            Prologue::Residual { .. } => 2,
        }
    }

    /// Results of its own, like `x`.
    pub fn kept(&self) -> usize {
        usize::from(matches!(self, Prologue::Residual { .. }))
    }

    /// Defines `x_row`, and `x_scale` and `load_x`, or `load_codes`.
    pub fn module(&self) -> &'static str {
        match self {
            Prologue::Plain => include_str!("prologue/plain.wgsl"),
            Prologue::Norm { .. } => include_str!("prologue/norm.wgsl"),
            Prologue::Residual { .. } => include_str!("prologue/residual.wgsl"),
            Prologue::Int8 => include_str!("prologue/int8.wgsl"),
        }
    }

    /// What `vector` asks which it is by.
    pub fn flag(&self) -> &'static str {
        match self {
            Prologue::Plain => "plain",
            Prologue::Norm { .. } | Prologue::Residual { .. } => "scaled",
            Prologue::Int8 => "int8",
        }
    }

    /// Whether a tile can be formed of it: one token's sums are shared by all that a workgroup does.
    pub fn tiles(&self) -> bool {
        matches!(self, Prologue::Plain | Prologue::Int8)
    }

    pub fn check(&self, x: &Type, extras: &[Type]) -> Result<(), String> {
        match (self, extras) {
            (Prologue::Plain, []) => Ok(()),
            (Prologue::Int8, []) => fit(x.number == Number::Codes, &[("x", x)]),
            (Prologue::Norm { .. }, [norm]) => fit(*norm == Type::f32(1, x.cols), &[("x", x), ("norm", norm)]),
            (Prologue::Residual { .. }, [norm, h]) => {
                fit(*norm == Type::f32(1, x.cols) && h == x, &[("x", x), ("norm", norm), ("h", h)])
            }
            _ => Err(format!("{self:?} has {} operands, not {}", self.extras(), extras.len())),
        }
    }

    /// `extras` are its operands and results.
    pub fn bind(&self, dispatch: &mut DispatchBuilder, x: &Tensor, extras: &[Operand]) -> Result<(), GpuError> {
        if *self == Prologue::Int8 {
            let [codes, scales] = crate::codes::slices(x);
            dispatch.bind("x_codes", &codes).bind("x_scales", &scales);
            return Ok(());
        }
        dispatch.param("x_offset", x.offset / 4).param("x_stride", x.stride / 4).bind("x", &x.slice);
        if let (Prologue::Norm { eps } | Prologue::Residual { eps, .. }, [norm, ..]) = (self, extras) {
            dispatch.param("norm_eps", *eps).bind("norm", &norm.tensor()?.slice);
        }
        if let (Prologue::Residual { factor, .. }, [_, h, kept]) = (self, extras) {
            dispatch.param("factor", *factor).bind("h", &h.tensor()?.slice).bind("kept", &kept.tensor()?.slice);
        }
        Ok(())
    }

    /// The row that is multiplied for a token.
    pub fn oracle(&self, x: &Array, token: usize, extras: &[Host]) -> Vec<f64> {
        let row = x.row(token);
        let normed = |eps: f32, norm: &Host| -> Vec<f64> {
            let scale = 1.0 / root_mean_square(row, eps);
            row.iter().zip(&norm.tensor().data).map(|(&x, &w)| f64::from(x) * scale * f64::from(w)).collect()
        };
        match (self, extras) {
            (Prologue::Norm { eps }, [norm]) => normed(*eps, norm),
            (Prologue::Residual { eps, factor }, [norm, h]) => {
                let h = h.tensor().row(token);
                normed(*eps, norm).iter().zip(h).map(|(x, h)| (f64::from(*h) + x) * f64::from(*factor)).collect()
            }
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
            Epilogue::Softcap(_) => include_str!("epilogue/softcap.wgsl"),
            Epilogue::GeluMul => include_str!("epilogue/gelu_mul.wgsl"),
            Epilogue::Geglu | Epilogue::GegluCodes => include_str!("epilogue/geglu.wgsl"),
        }
    }

    /// Whether two neighbouring rows make one value.
    pub fn pairs(&self) -> bool {
        matches!(self, Epilogue::Geglu | Epilogue::GegluCodes)
    }

    /// Whether `y` is given in codes.
    pub fn codes(&self) -> bool {
        *self == Epilogue::GegluCodes
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
            (_, []) if *self != Epilogue::GeluMul => Ok(()),
            _ => Err(format!("{self:?} has {} operands, not {}", self.extras(), extras.len())),
        }
    }

    pub fn bind(&self, dispatch: &mut DispatchBuilder, extras: &[Operand]) -> Result<(), GpuError> {
        match (self, extras) {
            (Epilogue::Softcap(cap), _) => {
                dispatch.param("cap", *cap);
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
            (Epilogue::Softcap(cap), [v], _) => f64::from(*cap) * (v / f64::from(*cap)).tanh(),
            (Epilogue::GeluMul, [v], [e]) => gelu(*v) * f64::from(e.tensor().row(token)[column]),
            (Epilogue::Geglu | Epilogue::GegluCodes, [gate, up], _) => gelu(*gate) * up,
            _ => panic!("{self:?} of {} sums and {} operands", sums.len(), extras.len()),
        }
    }
}
