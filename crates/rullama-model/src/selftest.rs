//! Before an operation is used: its kernels compute a small case and are compared with the reference. Drivers do miscompile;
//! nobody should get silent garbage.
//!
//! The cases are taken from the graphs that will run: one for each distinct operation, type, format and size of kernel.

use crate::ModelError;
use rullama_gpu::{Caps, Device};
use rullama_ops::case::Case;
use rullama_ops::{Graph, Type};
use std::collections::HashSet;

/// Which kernels have been tested on a device, and which variants are not to be used.
#[derive(Debug, Default)]
pub struct SelfTest {
    seen: HashSet<(&'static str, String)>,
    /// Kept, since a ban sends all cases of the operation through the next variant.
    cases: Vec<Case>,
    /// Variants that failed where another variant of the operation serves.
    pub banned: Vec<(String, &'static str)>,
}

impl SelfTest {
    /// Tests the kernels of a graph that have not been tested yet.
    ///
    /// # Errors
    /// An operation none of whose variants is right, by name.
    pub async fn test(&mut self, device: &Device, graph: &Graph) -> Result<(), ModelError> {
        let new = self.cases(device.caps(), graph);
        for case in &new {
            try_variants(device, case, &mut self.banned).await?;
        }
        self.cases.extend(new);
        loop {
            let known = self.banned.len();
            let affected = self.cases.iter().filter(|case| self.banned.iter().any(|(op, _)| op == case.op.name()));
            let mut banned = self.banned.clone();
            for case in affected {
                try_variants(device, case, &mut banned).await?;
            }
            self.banned = banned;
            if self.banned.len() == known {
                return Ok(());
            }
        }
    }

    /// One case for each kind of kernel that is not known yet.
    fn cases(&mut self, caps: &Caps, graph: &Graph) -> Vec<Case> {
        let mut new = Vec::new();
        for node in &graph.nodes {
            let inputs: Vec<Type> = node.inputs().map(|value| graph.of(value)).collect();
            if self.seen.insert((node.op.name(), node.op.kernels(&inputs, caps))) {
                new.push(node.op.smoke(&inputs));
            }
        }
        new
    }
}

/// Takes variants until one is right; bans the others.
async fn try_variants(device: &Device, case: &Case, banned: &mut Vec<(String, &'static str)>) -> Result<(), ModelError> {
    let mut last = ("none", "no variant runs on this adapter".to_string());
    for variant in case.variants(device).await? {
        let entry = (case.op.name().to_string(), variant);
        if banned.contains(&entry) {
            continue;
        }
        match case.run_variant(device, variant).await {
            Ok(()) => return Ok(()),
            Err(message) => {
                device.check()?;
                last = (variant, message);
                banned.push(entry);
            }
        }
    }
    let (variant, message) = last;
    Err(ModelError::SelfTest { kernel: format!("{}/{variant}", case.op.name()), message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rullama_gpu::OpenOptions;
    use rullama_ops::{Context, GeluMul, Host, Op, Operand, RmsNorm, Use};

    /// Right in its last variant alone.
    #[derive(Debug)]
    struct Faulty {
        right: bool,
    }

    impl Op for Faulty {
        fn name(&self) -> &'static str {
            "faulty"
        }

        fn uses(&self) -> Vec<Use> {
            RmsNorm { eps: 1e-6 }.uses()
        }

        fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
            RmsNorm { eps: 1e-6 }.results(inputs)
        }

        fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
            if self.right { vec!["wrong", "plain"] } else { vec!["wrong"] }
        }

        fn record(&self, context: &mut Context, operands: &[Operand]) -> Result<(), rullama_gpu::GpuError> {
            let wrong = context.variant(self, operands)? == "wrong";
            context.variant = Some("plain");
            RmsNorm { eps: if wrong { 1.0 } else { 1e-6 } }.record(context, operands)
        }

        fn oracle(&self, operands: &mut [Host]) {
            RmsNorm { eps: 1e-6 }.oracle(operands);
        }

        fn smoke(&self, inputs: &[Type]) -> Case {
            Case { op: Box::new(Faulty { right: self.right }), ..RmsNorm { eps: 1e-6 }.smoke(inputs) }
        }
    }

    fn device() -> Device {
        pollster::block_on(Device::open(&OpenOptions::default())).expect("a GPU adapter (install mesa-vulkan-drivers for a software one)")
    }

    fn graph(op: impl Op) -> Graph {
        let mut graph = Graph::default();
        let (x, weight) = (graph.input("x", 3, 256), graph.vector("w", 256));
        graph.one(op, &[x, weight]);
        graph.checked().unwrap()
    }

    #[test]
    fn a_wrong_variant_is_banned_and_an_operation_without_a_right_one_refused() {
        let device = device();
        let mut test = SelfTest::default();
        pollster::block_on(test.test(&device, &graph(Faulty { right: true }))).unwrap();
        assert_eq!(test.banned, [("faulty".to_string(), "wrong")]);
        let refused = pollster::block_on(SelfTest::default().test(&device, &graph(Faulty { right: false })));
        assert!(matches!(refused, Err(ModelError::SelfTest { kernel, .. }) if kernel == "faulty/wrong"));
    }

    #[test]
    fn each_kind_of_kernel_is_tested_once() {
        let device = device();
        let mut two = graph(RmsNorm { eps: 1e-6 });
        let (x, e) = (two.input("x", 3, 256), two.input("e", 3, 256));
        let weight = two.vector("other", 256);
        two.one(RmsNorm { eps: 1e-5 }, &[x, weight]);
        two.one(GeluMul, &[x, e]);
        let mut test = SelfTest::default();
        assert_eq!(test.cases(device.caps(), &two).len(), 2);
        assert_eq!(test.cases(device.caps(), &two).len(), 0);
    }
}
