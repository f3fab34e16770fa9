//! The small cases that a load runs are right on an adapter that is, in every variant, and stand for the kernels of the whole.

use rullama_gpu::{Device, GpuError, OpenOptions, Usage};
use rullama_ops::{Chunk, Graph, Op, Weight, all_cases};
use rullama_quant::DType;
use rullama_testing::found;
use std::collections::HashSet;

fn open(as_gpu: bool) -> Device {
    found(pollster::block_on(Device::open(&OpenOptions { as_gpu, ..Default::default() })), |error| {
        matches!(error, GpuError::NoAdapter { .. })
    })
}

fn small_cases(as_gpu: bool) {
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

fn every_operation_has_a_small_case_for_any_operands() {
    small_cases(true);
}

fn every_operation_has_one_with_what_a_cpu_adapter_chooses() {
    small_cases(false);
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

/// Where each row of a weight stands: its chunk's index by the offset of its slice, and the row there.
fn places(weight: &Weight) -> Vec<(u64, u32)> {
    let mut all = Vec::new();
    for chunk in &weight.chunks {
        assert_eq!(chunk.first_row as usize, all.len(), "chunks are in order and leave nothing out");
        assert!(chunk.rows > 0);
        all.extend((0..chunk.rows).map(|row| (chunk.slice.offset, chunk.start + row * chunk.step)));
    }
    assert_eq!(all.len(), weight.rows as usize);
    all
}

fn views_of_weights_hold_the_rows_that_they_say() {
    let buffer = pollster::block_on(open(true).buffer("rows", 4096, Usage::Storage)).unwrap();
    for lengths in [&[7u32][..], &[3, 4], &[1, 1, 5, 2], &[2, 9, 1, 3]] {
        let mut whole = Weight { name: "w".into(), dtype: DType::F32, rows: 0, cols: 32, chunks: Vec::new() };
        for (i, &rows) in lengths.iter().enumerate() {
            let slice = buffer.slice(i as u64 * 256, 256);
            whole.chunks.push(Chunk { slice, first_row: whole.rows, rows, planes: [0; 4], start: 0, step: 1 });
            whole.rows += rows;
        }
        let all = places(&whole);
        for (first, step, rows) in (0..17).flat_map(|f| (1..6).flat_map(move |s| (0..17).map(move |r| (f, s, r)))) {
            let want = |all: &[(u64, u32)]| -> Vec<_> { all.iter().copied().skip(first).step_by(step).take(rows).collect() };
            let view = whole.view(first as u32, step as u32, rows as u32);
            assert_eq!(places(&view), want(&all), "{lengths:?}: {rows} rows from {first} on, {step} apart");
            // A view of a view.
            assert_eq!(places(&view.view(1, 2, 3)), want(&all).into_iter().skip(1).step_by(2).take(3).collect::<Vec<_>>());
        }
    }
}

fn views_beyond_a_weight_are_refused() {
    let rows = |first, step, rows| {
        let mut graph = Graph::default();
        let weight = graph.weight("w", 10, 32, DType::Q8_0);
        let view = graph.view_rows(weight, first, step, rows);
        let of = graph.of(view);
        graph.checked().map(|_| of)
    };
    assert_eq!(rows(1, 3, 3).unwrap().rows, 3);
    for (first, step, count) in [(1, 3, 4), (10, 1, 1), (0, 0, 2), (0, 1, 0), (u32::MAX, u32::MAX, u32::MAX)] {
        rows(first, step, count).expect_err("no such rows");
    }
}

rullama_testing::tests! {
    views_of_weights_hold_the_rows_that_they_say,
    views_beyond_a_weight_are_refused,
    every_operation_has_a_small_case_for_any_operands,
    every_operation_has_one_with_what_a_cpu_adapter_chooses,
    results_have_the_types_that_oracles_give,
    operands_that_do_not_fit_are_told_with_their_place,
    a_cache_is_read_as_it_is,
}
