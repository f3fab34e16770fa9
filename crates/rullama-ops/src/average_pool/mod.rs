//! Averages of squares of a grid.

use crate::case::{Case, Rng};
use crate::graph::{Graph, Number, Type, Value, fit, take};
use crate::host::{Array, Host};
use crate::op::{Context, Op, Operand, Use, spread};
use crate::shader::Link;
use rullama_gpu::{Caps, GpuError};

#[cfg(feature = "cases")]
pub mod cases;

/// `y[Y, X] = scale * mean` of `x[Y side .. (Y + 1) side, X side .. (X + 1) side]`: rows of `x` are the places of a grid, row by row.
///
/// Operands: `x: [columns * n, dim]`, out `y: [columns * n / side^2, dim]`. Sums in f32.
#[derive(Debug, Clone)]
pub struct AveragePool {
    /// Places in a row of the grid; a multiple of `side`, as the rows are.
    pub columns: u32,
    pub side: u32,
    pub scale: f32,
}

impl Graph {
    /// Averages of squares of a grid whose places are the rows of `x`, times a factor.
    pub fn average_pool(&mut self, op: AveragePool, x: Value) -> Value {
        self.one(op, &[x])
    }
}

const WORKGROUP: u32 = 64;

impl Op for AveragePool {
    fn name(&self) -> &'static str {
        "average_pool"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        let [x] = take(inputs)?;
        let AveragePool { columns, side, .. } = *self;
        fit(x.number == Number::F32 && x.cols.is_multiple_of(4), &[("x", &x)])?;
        let whole = side > 0 && columns > 0 && columns.is_multiple_of(side) && x.rows.is_multiple_of(columns * side);
        if !whole {
            return Err(format!("{} places in rows of {columns} are no squares of {side}", x.rows));
        }
        Ok(vec![Type::f32(x.rows / (side * side), x.cols)])
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        vec!["plain"]
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        let [x, y] = [operands[0].tensor()?, operands[1].tensor()?];
        let kernel = Link::new("average_pool", rullama_quant::wgsl!("average_pool.wgsl"), context.caps).constant("WG", WORKGROUP).kernel()?;
        let count = y.rows * y.cols / 4;
        let dispatch = context.recorder.dispatch(&kernel, spread(count.div_ceil(WORKGROUP), context.caps.max_groups));
        dispatch.param("count", count).param("dim", y.cols / 4).param("stride", x.stride / 4).param("offset", x.offset / 4);
        dispatch.param("columns", self.columns).param("side", self.side);
        dispatch.param("scale", self.scale / (self.side * self.side) as f32).bind("x", &x.slice).bind("y", &y.slice);
        Ok(())
    }

    fn oracle(&self, operands: &mut [Host]) {
        let [x, y] = operands else { panic!("average_pool takes 2 operands") };
        let (x, y) = (x.tensor(), y.tensor_mut());
        let (columns, side) = (self.columns as usize, self.side as usize);
        let wide = columns / side;
        for to in 0..y.rows {
            let (row, column) = (to / wide * side, to % wide * side);
            for i in 0..y.cols {
                let places = (0..side * side).map(|at| (row + at / side) * columns + column + at % side);
                let sum: f64 = places.map(|place| f64::from(x.row(place)[i])).sum();
                y.row_mut(to)[i] = (sum / (side * side) as f64 * f64::from(self.scale)) as f32;
            }
        }
    }

    fn kernels(&self, _: &[Type], _: &Caps) -> String {
        String::new()
    }

    fn smoke(&self, _: &[Type]) -> Case {
        AveragePool { columns: 6, side: 3, scale: 8.0 }.case(3, 16)
    }
}

impl AveragePool {
    fn case(self, rows: usize, dim: usize) -> Case {
        let places = rows * self.columns as usize;
        let x = Rng::new((places * dim) as u64 + 23).tensor(places, dim);
        let name = format!("{rows}x{} by {}, {dim} values", self.columns, self.side);
        let y = Array::zeros(places / (self.side * self.side) as usize, dim);
        let terms = (self.side * self.side) as usize;
        Case::new(name, self, vec![x.into(), y.into()], terms)
    }
}
