//! The tail's definition: its parts' oracles in turn.

use super::{LayerTail, Then, at};
use crate::graph::Type;
use crate::host::Host;
use crate::op::{Op, Use};
use crate::{Epilogue, Matmul, Next, Prologue, ResidualNorm, codes};

impl LayerTail {
    /// What is made, from operands.
    pub(super) fn results_of(&self, operands: &[Host]) -> [Host; 2] {
        let (mut all, first) = (self.between(operands), operands.len());
        let made = all.pop().expect("what is made");
        [all.swap_remove(first + 8), made]
    }

    /// Every value between: those of the operands, then what is made.
    fn between(&self, operands: &[Host]) -> Vec<Host> {
        let int8 = |epilogue| Matmul { prologue: Prologue::Int8, epilogue };
        let norm = |next, scale| ResidualNorm { eps: self.eps, scale, next };
        let first = operands.len();
        let [o, h1, x, f, d, h2, u, p, out, codes] = std::array::from_fn(|i| first + i);
        let mut parts: Vec<(Box<dyn Op>, Vec<usize>)> = vec![
            (Box::new(int8(Epilogue::Plain)), vec![at::A, at::W_O, o]),
            (Box::new(norm(Next::Codes, 1.0)), vec![o, at::NORM_O, at::H, at::NORM_UP, h1, x]),
            (Box::new(int8(Epilogue::Geglu)), vec![x, at::W_UP, f]),
            (Box::new(int8(Epilogue::Plain)), vec![f, at::W_DOWN, d]),
            (Box::new(norm(Next::None, 1.0)), vec![d, at::NORM_DOWN, h1, h2]),
            (Box::new(Matmul::with(Epilogue::GeluMul)), vec![h2, at::W_GATE, at::E, u]),
            (Box::new(Matmul::PLAIN), vec![u, at::W_PROJ, p]),
            (Box::new(norm(Next::Codes, self.scale)), vec![p, at::NORM_PROJ, h2, at::NORM_NEXT, out, codes]),
        ];
        if self.then == Then::Product {
            parts.push((Box::new(int8(Epilogue::Plain)), vec![codes, at::W_NEXT, codes + 1]));
        }
        let mut all: Vec<Host> = operands.to_vec();
        for (op, places) in parts {
            let uses = op.uses();
            let read = places.iter().zip(&uses).filter(|(_, used)| **used != Use::Write);
            let inputs: Vec<Type> = read.map(|(at, _)| all[*at].of()).collect();
            let mut results = op.results(&inputs).expect("parts fit").into_iter();
            let mut given = Vec::with_capacity(places.len());
            for (at, used) in places.iter().zip(&uses) {
                given.push(match used {
                    Use::Write => Host::zeros(&results.next().expect("a result")),
                    _ => all[*at].clone(),
                });
            }
            op.oracle(&mut given);
            for (place, host) in places.into_iter().zip(given) {
                // Once, when it is made.
                let host = if place == f && all.len() == f { codes::rounded_by(host, 16) } else { host };
                match all.get_mut(place) {
                    Some(known) => *known = host,
                    None => all.push(host),
                }
            }
        }
        all
    }
}
