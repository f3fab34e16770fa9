//! Gradient of the norm.

use super::{are_runs, small, workgroup};
use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, misfit};
use crate::host::{Array, Host, root_mean_square};
use crate::op::{Context, Op, Operand, Use, reducing_variants, spread};
use crate::shader::Link;
use crate::tolerance::EPSILON;
use rullama_gpu::{Caps, GpuError};

/// `dx = [acc +] inv (a - x inv^2 mean(a x))` over each run of `width` values of a row, with `inv = 1 / sqrt(mean(x^2) + eps)` and
/// `a = g weight`, or `g` where the norm has no weight: the gradient of [`RmsNorm`](super::RmsNorm) and, without a weight, of
/// [`HeadNorm`](crate::HeadNorm).
///
/// Operands: `x: [tokens, n * width]` (what was normed), `weight: [1, width]` if `weighted`, `g: [tokens, n * width]`
/// (the gradient of the result), `acc: [tokens, n * width]` if `acc` (what is added to), out `dx: [tokens, n * width]`, which
/// may be `acc`. The weight is frozen: it gets no gradient.
/// Source: the derivative of Zhang & Sennrich 2019.
#[derive(Debug, Clone)]
pub struct RmsNormBack {
    pub eps: f32,
    pub weighted: bool,
    pub acc: bool,
    pub width: u32,
}

/// Operands by name; `T` is whatever stands for one.
struct Parts<'a, T> {
    x: &'a T,
    weight: Option<&'a T>,
    g: &'a T,
    acc: Option<&'a T>,
}

impl RmsNormBack {
    fn parts<'a, T>(&self, operands: &'a [T]) -> Option<Parts<'a, T>> {
        let mut rest = operands.iter();
        let x = rest.next()?;
        let weight = if self.weighted { Some(rest.next()?) } else { None };
        let g = rest.next()?;
        let acc = if self.acc { Some(rest.next()?) } else { None };
        Some(Parts { x, weight, g, acc })
    }

    /// Operands that are read.
    fn reads(&self) -> usize {
        2 + usize::from(self.weighted) + usize::from(self.acc)
    }

    /// The gradient alone, in f64.
    fn gradient(&self, x: &[f32], weight: Option<&Array>, g: &[f32]) -> Vec<f64> {
        let mut out = Vec::with_capacity(x.len());
        let width = self.width as usize;
        for (x, g) in x.chunks_exact(width).zip(g.chunks_exact(width)) {
            let a: Vec<f64> = (0..width).map(|i| f64::from(g[i]) * weight.map_or(1.0, |w| f64::from(w.data[i]))).collect();
            let root = root_mean_square(x, self.eps);
            let mean = a.iter().zip(x).map(|(a, x)| a * f64::from(*x)).sum::<f64>() / width as f64;
            out.extend(a.iter().zip(x).map(|(a, x)| (a - f64::from(*x) * mean / (root * root)) / root));
        }
        out
    }
}

impl Graph {
    /// The gradient of a norm of `x: [tokens, n * width]` over runs of `width` where that of its result is `g`; added to `acc` if given.
    /// `weight`: the norm's, `[1, width]`.
    pub fn rms_norm_back(&mut self, x: Value, weight: Option<Value>, g: Value, acc: Option<Value>, width: u32, eps: f32) -> Value {
        let op = RmsNormBack { eps, weighted: weight.is_some(), acc: acc.is_some(), width };
        let inputs: Vec<Value> = [Some(x), weight, Some(g), acc].into_iter().flatten().collect();
        self.one(op, &inputs)
    }
}

impl Op for RmsNormBack {
    fn name(&self) -> &'static str {
        "rms_norm_back"
    }

    fn uses(&self) -> Vec<Use> {
        let mut uses = vec![Use::Read; self.reads()];
        uses.push(Use::Write);
        uses
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let parts = self.parts(inputs).filter(|_| inputs.len() == self.reads());
        let Parts { x, weight, g, acc } = parts.ok_or_else(|| format!("takes {} inputs, not {}", self.reads(), inputs.len()))?;
        let weights = weight.is_none_or(|w| *w == Type::f32(1, self.width));
        if x.number == Number::F32 && are_runs(x, self.width) && weights && g == x && acc.is_none_or(|acc| acc == x) {
            return Ok(vec![*x]);
        }
        let mut named = vec![("x", x), ("g", g)];
        named.extend(weight.map(|w| ("weight", w)));
        named.extend(acc.map(|acc| ("acc", acc)));
        Err(format!("{} for runs of {}", misfit(&named), self.width))
    }

    fn may_alias(&self) -> Option<(usize, usize)> {
        self.acc.then(|| (self.reads(), self.reads() - 1))
    }

    fn variants(&self, caps: &Caps, _: &[Operand]) -> Vec<&'static str> {
        reducing_variants(caps)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let variant = context.variant(self, operands)?;
        let missing = || GpuError::Validation { what: "operands of `rms_norm_back`".into(), message: "some are missing".into() };
        let Parts { x, weight, g, acc } = self.parts(operands).ok_or_else(missing)?;
        let (x, g, dx) = (x.tensor()?, g.tensor()?, operands[self.reads()].tensor()?);
        let acc = acc.map(Operand::tensor).transpose()?;
        let in_place = acc.is_some_and(|acc| acc.slice.same(&dx.slice));
        let kernel = Link::new("rms_norm/backward", rullama_quant::wgsl!("backward.wgsl"), context.caps)
            .flag("subgroups", variant == "subgroups")
            .flag("weighted", self.weighted)
            .flag("acc", self.acc)
            .flag("in_place", in_place)
            .constant("WG", workgroup(self.width, context.caps))
            .kernel()?;
        let parts = x.cols / self.width;
        let dispatch = context.recorder.dispatch(&kernel, spread(x.rows * parts, context.caps.max_groups));
        dispatch.param("runs", x.rows * parts).param("parts", parts).param("width", self.width / 4).param("eps", self.eps);
        dispatch.param("x_stride", x.stride / 4).param("x_offset", x.offset / 4);
        dispatch.param("g_stride", g.stride / 4).param("g_offset", g.offset / 4);
        dispatch.bind("x", &x.slice).bind("g", &g.slice).bind("dx", &dx.slice);
        if let Some(weight) = weight {
            dispatch.bind("weight", &weight.tensor()?.slice);
        }
        if let Some(acc) = acc {
            dispatch.param("acc_stride", acc.stride / 4).param("acc_offset", acc.offset / 4);
            if !in_place {
                dispatch.bind("acc", &acc.slice);
            }
        }
        Ok(())
    }

    /// The gradient of a run is a difference that may cancel: off by the sums' share of `inv |a|`, on the run's root mean square.
    fn allowance(&self, operands: &[Host], sums: f32) -> Option<Vec<f32>> {
        let Parts { x, weight, g, acc } = self.parts(operands)?;
        let (x, g, width) = (x.tensor(), g.tensor(), self.width as usize);
        let ones = vec![1.0; width];
        let weight = weight.map_or(&ones, |w| &w.tensor().data);
        let mut out = Vec::with_capacity(x.data.len());
        for (at, (x, g)) in x.data.chunks_exact(width).zip(g.data.chunks_exact(width)).enumerate() {
            let a: Vec<f32> = g.iter().zip(weight).map(|(g, w)| g * w).collect();
            let (inv, a) = (1.0 / root_mean_square(x, self.eps), root_mean_square(&a, 0.0));
            let before = |i: usize| acc.map_or(0.0, |acc| acc.tensor().data[at * width + i].abs());
            out.extend((0..width).map(|i| sums * (inv * a) as f32 * (1.0 + (f64::from(x[i]) * inv).abs() as f32) + EPSILON * before(i)));
        }
        Some(out)
    }

    fn oracle(&self, operands: &mut [Host]) {
        let Parts { x, weight, g, acc } = self.parts(operands).expect("uses() says how many operands");
        let d = self.gradient(&x.tensor().data, weight.map(Host::tensor), &g.tensor().data);
        let before = |i: usize| acc.map_or(0.0, |acc| f64::from(acc.tensor().data[i]));
        let sums: Vec<f32> = d.iter().enumerate().map(|(i, d)| (d + before(i)) as f32).collect();
        operands[self.reads()].tensor_mut().data = sums;
    }

    fn kernels(&self, _: &[Type], caps: &Caps) -> String {
        format!("{} {} {}", self.weighted, self.acc, workgroup(self.width, caps))
    }

    fn smoke(&self, _: &[Type]) -> Case {
        let width = small(self.width);
        let op = RmsNormBack { width: width as u32, ..self.clone() };
        op.case(3, 1, 1.0)
    }
}

impl RmsNormBack {
    /// A case of `rows` rows of `runs` runs, `x` of about `scale`.
    pub(super) fn case(self, rows: usize, runs: usize, scale: f32) -> Case {
        let width = self.width as usize;
        let (cols, mut rng) = (runs * width, Rng::new((rows * 7919 + runs * width) as u64));
        let mut operands = vec![rng.tensor_scaled(rows, cols, scale).into()];
        if self.weighted {
            operands.push(rng.tensor(1, width).into());
        }
        operands.push(rng.tensor(rows, cols).into());
        if self.acc {
            operands.push(rng.tensor(rows, cols).into());
        }
        operands.push(Array::zeros(rows, cols).into());
        let flags = [(self.weighted, ", weighted"), (self.acc, ", added")].map(|(on, name)| if on { name } else { "" }).concat();
        Case::new(format!("{rows}x{runs}x{width}, scale {scale}{flags}"), self, operands, width)
    }
}
