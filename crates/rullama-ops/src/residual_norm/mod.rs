//! The end of a block: post-norm, residual, and the norm that opens the next block.

use crate::case::{Case, Rng};
use crate::graph::{Type, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, reducing_variants, row_workgroup, spread};
use crate::shader::Link;
use crate::codes::{GROUP, bind_made, link_made, rounded};
use crate::{AddScale, RmsNorm};
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `h' = (h + RMS(a) * weight) * scale`, then, with a next norm, `y = RMS(h') * next_weight`, as values or as codes.
///
/// Operands: `a: [tokens, dim]`, `weight: [1, dim]`, `h: [tokens, dim]`, with a next norm also `next_weight: [1, dim]`; out
/// `h': [tokens, dim]`, with a next norm also `y: [tokens, dim]`. A fusion of [`RmsNorm`], [`AddScale`], a second `RmsNorm` and
/// [`Quantise`](crate::Quantise): one dispatch in place of up to four.
#[derive(Debug, Clone)]
pub struct ResidualNorm {
    pub eps: f32,
    /// The layer's output scale; 1 within a layer.
    pub scale: f32,
    pub next: Next,
}

/// Whether a norm follows, and how its result is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    None,
    Values,
    /// In groups of 32 columns, of which there are whole ones.
    Codes,
}

impl Next {
    fn follows(self) -> bool {
        self != Next::None
    }
}

/// Operands by name.
struct Parts<'a, T> {
    a: &'a T,
    weight: &'a T,
    h: &'a T,
    next_weight: Option<&'a T>,
    out: &'a T,
    y: Option<&'a T>,
}

impl<'a, T> Parts<'a, T> {
    fn of(operands: &'a [T]) -> Result<Self, GpuError> {
        match operands {
            [a, weight, h, out] => Ok(Parts { a, weight, h, next_weight: None, out, y: None }),
            [a, weight, h, next, out, y] => Ok(Parts { a, weight, h, next_weight: Some(next), out, y: Some(y) }),
            _ => {
                let message = format!("takes 4 or 6 operands, not {}", operands.len());
                Err(GpuError::Validation { what: "residual_norm".into(), message })
            }
        }
    }
}

impl Op for ResidualNorm {
    fn name(&self) -> &'static str {
        "residual_norm"
    }

    fn uses(&self) -> Vec<Use> {
        let count = if self.next.follows() { (4, 2) } else { (3, 1) };
        [vec![Use::Read; count.0], vec![Use::Write; count.1]].concat()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [a, weight, h] = take(&inputs[..inputs.len().min(3)])?;
        let vector = Type::f32(1, h.cols);
        let next = inputs[3..] == if self.next.follows() { vec![vector] } else { vec![] };
        let whole = h.cols.is_multiple_of(if self.next == Next::Codes { GROUP as u32 } else { 4 });
        fit(a == h && weight == vector && next && whole, &[("a", &a), ("weight", &weight), ("h", &h)])?;
        Ok(match self.next {
            Next::None => vec![h],
            Next::Values => vec![h, h],
            Next::Codes => vec![h, Type::codes(h.rows, h.cols)],
        })
    }

    fn may_alias(&self) -> Option<(usize, usize)> {
        Some((if self.next.follows() { 4 } else { 3 }, 2))
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let Parts { a, weight, h, next_weight, out, y } = Parts::of(operands)?;
        let (a, h, out) = (a.tensor()?, h.tensor()?, out.tensor()?);
        let in_place = h.slice.same(&out.slice);
        let workgroup = row_workgroup(h.cols, context.caps);
        let subgroups = variant == "subgroups";
        let mut link = Link::new("residual_norm", rullama_quant::wgsl!("residual_norm.wgsl"), context.caps);
        link_made(&mut link, self.next == Next::Codes, subgroups, context.caps);
        let kernel = link
            .flag("subgroups", subgroups)
            .flag("next", self.next.follows())
            .flag("in_place", in_place)
            .constant("WG", workgroup)
            .constant("ROUNDS", (h.cols / 4).div_ceil(workgroup))
            .kernel()?;
        let dispatch = context.recorder.dispatch(&kernel, spread(h.rows, context.caps.max_groups));
        dispatch.param("rows", h.rows).param("dim", h.cols / 4).param("stride", a.stride / 4).param("offset", a.offset / 4);
        dispatch.param("h_stride", h.stride / 4).param("h_offset", h.offset / 4).param("eps", self.eps).param("scale", self.scale);
        dispatch.bind("a", &a.slice).bind("weight", &weight.tensor()?.slice).bind("out", &out.slice);
        if !in_place {
            dispatch.bind("h", &h.slice);
        }
        if let (Some(next), Some(y)) = (next_weight, y) {
            dispatch.bind("next_weight", &next.tensor()?.slice);
            bind_made(dispatch, y.tensor()?, self.next == Next::Codes);
        }
        Ok(())
    }

    /// The composition of its parts.
    fn oracle(&self, operands: &mut [Host]) {
        let parts = Parts::of(operands).expect("uses() says how many operands");
        let (rows, cols) = (parts.h.tensor().rows, parts.h.tensor().cols);
        let zeros = || Host::from(Array::zeros(rows, cols));
        let norm = RmsNorm { eps: self.eps };
        let mut first = [parts.a.clone(), parts.weight.clone(), zeros()];
        norm.oracle(&mut first);
        let [_, _, normed] = first;
        let mut sum = [normed, parts.h.clone(), zeros()];
        AddScale { scale: self.scale }.oracle(&mut sum);
        let [_, _, sum] = sum;
        let next = parts.next_weight.map(|weight| {
            let mut second = [sum.clone(), weight.clone(), zeros()];
            norm.oracle(&mut second);
            let [_, _, y] = second;
            if self.next == Next::Codes { rounded(y) } else { y }
        });
        let made = self.may_alias().map_or(3, |alias| alias.0);
        operands[made] = sum;
        if let Some(y) = next {
            operands[made + 1] = y;
        }
    }

    fn kernels(&self, inputs: &[Type], caps: &Caps) -> String {
        let workgroup = row_workgroup(inputs[2].cols, caps);
        format!("next {:?} {workgroup} {}", self.next, (inputs[2].cols / 4).div_ceil(workgroup))
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        let mut rng = Rng::new(2);
        let (rows, cols) = (3, inputs[2].cols as usize);
        let mut operands: Vec<Host> = vec![rng.tensor(rows, cols).into(), rng.tensor(1, cols).into(), rng.tensor(rows, cols).into()];
        operands.extend(self.next.follows().then(|| rng.tensor(1, cols).into()));
        let inputs: Vec<Type> = operands.iter().map(Host::of).collect();
        operands.extend(self.results(&inputs).expect("fits").iter().map(Host::zeros));
        Case::new(format!("{rows}x{cols} next {:?}", self.next), ResidualNorm { scale: 0.5, ..self.clone() }, operands, cols)
    }
}
