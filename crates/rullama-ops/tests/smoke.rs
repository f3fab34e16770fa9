//! The small cases that a load runs are right on an adapter that is, in every variant, and stand for the kernels of the whole.

use rullama_gpu::{Device, GpuError, OpenOptions};
use rullama_ops::{Graph, Op, all_cases};
use rullama_testing::found;
use std::collections::HashSet;

fn open(as_gpu: bool) -> Device {
    found(pollster::block_on(Device::open(&OpenOptions { as_gpu, ..Default::default() })), |error| {
        matches!(error, GpuError::NoAdapter { .. })
    })
}

fn every_operation_has_a_small_case_for_any_operands() {
    for as_gpu in [true, false] {
        let device = open(as_gpu);
        let mut seen = HashSet::new();
        for case in all_cases() {
            let inputs = case.inputs();
            if seen.insert((case.op.name(), case.op.kernels(&inputs, device.caps()))) {
                let small = case.op.smoke(&inputs);
                let runs = pollster::block_on(small.run(&device)).unwrap_or_else(|message| panic!("{message}"));
                assert!(runs > 0, "{}", small.name);
            }
        }
    }
}

fn results_have_the_types_that_oracles_give() {
    for case in all_cases() {
        let results = case.op.results(&case.inputs()).unwrap_or_else(|message| panic!("{} / {}: {message}", case.op.name(), case.name));
        let made = case.operands.iter().zip(case.op.uses()).filter(|(_, used)| *used == rullama_ops::Use::Write);
        let made: Vec<_> = made.map(|(host, _)| host.of()).collect();
        assert_eq!(results, made, "{} / {}", case.op.name(), case.name);
    }
}

fn operands_that_do_not_fit_are_told_with_their_place() {
    let mut graph = Graph::default();
    graph.at("blk.7");
    let (a, h) = (graph.input("a", 2, 64), graph.input("h", 3, 64));
    graph.add_scale(a, h, 1.0);
    let error = graph.checked().expect_err("rows differ").to_string();
    assert_eq!(error, "`add_scale` in blk.7: operands do not fit: a is [2, 64], h is [3, 64]");
}

fn a_cache_is_read_as_it_is() {
    use rullama_ops::{Half, KvType, Store, Words};
    let mut graph = Graph::default();
    let (x, state) = (graph.input("x", 2, 64), graph.words(Words::ChunkState));
    let before = graph.cache(0, Half::Keys, 64, KvType::F16);
    let after = graph.store(x, state, before);
    assert_eq!(graph.cache(0, Half::Keys, 64, KvType::F16), after);
    assert_eq!(Store.uses().len(), 3);
    graph.store(x, state, before);
    let error = graph.checked().expect_err("an old version").to_string();
    assert!(error.contains("as it was before an update"), "{error}");
}

rullama_testing::tests! {
    every_operation_has_a_small_case_for_any_operands,
    results_have_the_types_that_oracles_give,
    operands_that_do_not_fit_are_told_with_their_place,
    a_cache_is_read_as_it_is,
}
