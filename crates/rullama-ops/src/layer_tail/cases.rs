use super::{LayerTail, Then};
use crate::case::Case;
use crate::graph::Type;
use crate::host::Host;
use crate::op::{Context, Op, Operand, Use};
use rullama_gpu::{Caps, GpuError};
use rullama_quant::DType;

pub fn cases() -> Vec<Case> {
    let tail = |then| LayerTail { eps: 1e-6, scale: 0.5, then, workgroups: 1 };
    vec![
        tail(Then::Codes).case([256, 256, 512, 256, 0], &[DType::Q4K; 5], 1),
        tail(Then::Product).case([512, 768, 512, 256, 320], &[DType::Q6K, DType::Q4K, DType::Q6K, DType::Q8_0, DType::Q5_0, DType::Q4K], 2),
    ]
}

/// A small case of so many workgroups, of which `begun` come.
pub fn of_workgroups(workgroups: u32, begun: u32) -> Case {
    let tail = LayerTail { eps: 1e-6, scale: 0.5, then: Then::Codes, workgroups };
    let case = tail.case([256, 256, 512, 256, 0], &[DType::Q4K; 5], 5);
    Case { op: Box::new(Begun { tail, begun }), ..case }
}

/// A tail of which only so many workgroups begin.
#[derive(Debug)]
struct Begun {
    tail: LayerTail,
    begun: u32,
}

impl Op for Begun {
    fn name(&self) -> &'static str {
        self.tail.name()
    }

    fn uses(&self) -> Vec<Use> {
        self.tail.uses()
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        self.tail.results(inputs)
    }

    fn variants(&self, caps: &Caps, operands: &[Operand]) -> Vec<&'static str> {
        self.tail.variants(caps, operands)
    }

    fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), GpuError> {
        self.tail.record_on(context, operands, self.begun)
    }

    fn oracle(&self, operands: &mut [Host]) {
        self.tail.oracle(operands);
    }

    fn smoke(&self, inputs: &[Type]) -> Case {
        self.tail.smoke(inputs)
    }
}
