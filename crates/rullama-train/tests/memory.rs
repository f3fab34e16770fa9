//! What training takes of the GPU's memory is what was said before, and what is kept of a step is what the budget has room for.

use rullama::source::FileSource;
use rullama::{Engine, LoadOptions, PleMode};
use rullama_model::lower::{For, lower};
use rullama_model::place::place;
use rullama_model::plan::Pool;
use rullama_ops::graph::Node;
use rullama_ops::{Dropout, GeluMul, GeluMulBack, JoinRows, LossGrad, Matmul, Part, Type};
use rullama_testing::{found, golden};
use rullama_train::device::{Matrices, OnDevice, StepRow};
use rullama_train::graph::{self, Keep, StepShape};
use rullama_train::loss::TILES;
use rullama_train::memory::{Ground, estimate, most_kept, terms_of_options};
use rullama_train::options::Activations;
use rullama_train::{AdamW, Base, TrainOptions};
use std::collections::HashMap;
use std::sync::Arc;

fn loaded(ple: PleMode) -> Engine {
    let source = FileSource::open(golden("models/dense-ple-Q4_K_M.gguf")).unwrap();
    let options = LoadOptions { as_gpu: true, ple, ..Default::default() };
    found(pollster::block_on(Engine::load(Arc::new(source), options, &mut |_| ())), |error| error.code() == "no-webgpu")
}

/// A row whose last `targets` tokens are predicted.
fn row(tokens: u32, targets: u32) -> StepRow {
    StepRow {
        ids: (0..tokens).map(|t| 10 + t % 300).collect(),
        starts: vec![0; tokens as usize],
        rows: (tokens - targets..tokens).map(|t| t - 1).collect(),
        targets: (tokens - targets..tokens).map(|t| 10 + t % 300).collect(),
        weight: 1.0 / targets as f32,
    }
}

const LONGEST: StepShape = StepShape { tokens: 192, targets: 192, train: true };

/// Ways to keep a step: exact ones, which give the same gradients, and rounded ones.
const KEEPS: [Keep; 6] = [Keep::All, Keep::Layers(0), Keep::Layers(2), Keep::LEAST, Keep::Halves(0), Keep::Halves(u32::MAX)];

/// Steps of every length, an evaluation and an update take no more than the estimate, and not much less. Gradients are the same to the bit
/// whatever is computed again, so that a training may go on within another budget.
fn what_is_taken_is_what_was_said() {
    for (ple, keeps) in [(PleMode::Resident, &KEEPS[..]), (PleMode::Streamed, &[Keep::Layers(0), Keep::Halves(0)])] {
        let engine = loaded(ple);
        let options = TrainOptions { rank: 4, dropout: 0.1, ..TrainOptions::default() };
        let base = Base { loaded: engine.loaded().clone(), name: "tiny".into(), memory: 8 << 30 };
        let mut exact = None;
        for keep in keeps.iter().copied() {
            let before = engine.device().allocated();
            let ground = Ground::from(&*base.loaded);
            let terms = terms_of_options(&ground, &options).unwrap();
            let said = estimate(&ground, &terms, LONGEST, keep).unwrap();
            let mut device = pollster::block_on(OnDevice::new(base.loaded.clone(), terms, LONGEST, keep)).unwrap();
            device.write(Part::Value, &values(&device));
            for (tokens, targets, train) in [(192, 191, true), (100, 20, true), (65, 64, false)] {
                pollster::block_on(device.run(&row(tokens, targets), train, [0; 3], &|| false)).unwrap();
            }
            let gradients = pollster::block_on(device.read(Part::Gradient)).unwrap();
            assert!(gradients.values().flatten().any(|g| *g != 0.0));
            if !matches!(keep, Keep::Halves(_)) {
                assert!(*exact.get_or_insert_with(|| gradients.clone()) == gradients, "{ple:?}, {keep:?}: other gradients");
            }
            pollster::block_on(device.apply(&AdamW::default(), 1e-4, 1)).unwrap();
            let taken = engine.device().allocated();
            let (said, new) = (said.total(), taken - before);
            assert!(taken <= said, "{ple:?}, {keep:?}: {taken} of {said}");
            assert!(new * 10 >= (said - before) * 7, "{ple:?}, {keep:?}: {new} new bytes of {}", said - before);
            drop(device);
            assert!(engine.device().allocated() <= before, "{ple:?}, {keep:?}: what is left is more than {before}");
        }
    }
}

/// Values of no matrix in particular.
fn values(device: &OnDevice) -> Matrices {
    let of = |(name, rows, cols): (&str, u32, u32)| (name.to_owned(), (0..rows * cols).map(|i| (i % 7) as f32 * 0.01 - 0.03).collect());
    device.shapes().map(of).collect()
}

/// Steps of any shape find room where the longest has it.
fn shorter_steps_take_no_more() {
    let engine = loaded(PleMode::Resident);
    let ground = Ground { longest: Some(LONGEST), ..Ground::from(&**engine.loaded()) };
    let terms = terms_of_options(&ground, &TrainOptions { rank: 4, ..TrainOptions::default() }).unwrap();
    // Also of values that are cut: into blocks, and the head into tiles.
    let cut = Ground { most: 100_000, ..ground };
    for (ground, keep) in KEEPS.map(|keep| (&ground, keep)).into_iter().chain([(&cut, Keep::All), (&cut, Keep::LEAST)]) {
        let of = |shape| lower(graph::step(ground, &terms, shape, keep).unwrap(), For::Look, ground.model.specs());
        let mut pool = Pool::default();
        pollster::block_on(pool.reserve(engine.device(), &of(LONGEST), 0)).unwrap();
        let reserved = pool.bytes();
        for (tokens, targets, train) in
            [(192, 32, true), (96, 96, true), (160, 128, true), (32, 160, true), (32, 32, true), (192, 192, false)]
        {
            let graph = of(StepShape { tokens, targets, train });
            let places = pollster::block_on(pool.places(engine.device(), &graph)).unwrap();
            assert_eq!(pool.bytes(), reserved, "{keep:?}: {tokens} tokens, {targets} targets");
            assert!(graph.nodes.iter().flat_map(Node::made).all(|value| places[&value].size == graph.of(value).bytes()));
        }
    }
}

/// What lives at once, by the definition, and what it is given.
fn places_of_a_step_take_little_more_than_what_lives_at_once() {
    let engine = loaded(PleMode::Resident);
    let ground = Ground::from(&**engine.loaded());
    let terms = terms_of_options(&ground, &TrainOptions { rank: 4, ..TrainOptions::default() }).unwrap();
    for keep in [Keep::All, Keep::Layers(0), Keep::Layers(3), Keep::LEAST, Keep::Halves(0)] {
        let graph = lower(graph::step(&ground, &terms, LONGEST, keep).unwrap(), For::Look, ground.model.specs());
        let mut last = HashMap::new();
        for (at, node) in graph.nodes.iter().enumerate() {
            last.extend(node.operands.iter().map(|value| (graph.base(*value), at)));
        }
        last.extend(graph.outputs.iter().map(|(_, value)| (graph.base(*value), usize::MAX)));
        let (mut live, mut most, mut ends) = (0, 0, HashMap::<usize, u64>::new());
        for (at, node) in graph.nodes.iter().enumerate() {
            for value in node.made() {
                live += graph.of(value).bytes();
                *ends.entry(last[&value]).or_default() += graph.of(value).bytes();
            }
            most = live.max(most);
            live -= ends.remove(&at).unwrap_or(0);
        }
        let given: u64 = place(&graph).slots.iter().sum();
        assert!(given * 4 <= most * 5, "{keep:?}: {given} bytes for {most}");
    }
}

/// The smaller the budget, the more layers are computed again, and what is chosen fits until nothing does.
fn a_budget_is_used_by_layers() {
    let engine = loaded(PleMode::Resident);
    let options = TrainOptions { rank: 4, ..TrainOptions::default() };
    let ground = Ground::from(&**engine.loaded());
    let terms = terms_of_options(&ground, &options).unwrap();
    let of = |keep| estimate(&ground, &terms, LONGEST, keep).unwrap().total();
    let (all, least) = (of(Keep::All), of(Keep::LEAST));
    let (cheap, halves) = (of(Keep::Layers(0)), of(Keep::Halves(0)));
    assert!(least < cheap && cheap < all && halves < cheap, "{least} {halves} {cheap} {all}");
    let (mut before, mut seen) = (0, Vec::new());
    for share in (0..=40).rev() {
        let budget = least + (all - least) * share / 40;
        let (keep, found, fits) = most_kept(&ground, &terms, LONGEST, Activations::F32, budget).unwrap();
        assert!(fits && found.total() <= budget, "{keep:?}: {} of {budget}", found.total());
        let again = match keep {
            Keep::All => 0,
            Keep::Layers(again) => again + 1,
            Keep::Halves(_) => panic!("nobody asked for halves"),
        };
        assert!(again >= before, "{keep:?} with {budget}");
        before = again;
        seen.push(keep);
    }
    seen.dedup();
    assert!(seen[0] == Keep::All && seen.len() > 4, "{seen:?}");
    assert!(!most_kept(&ground, &terms, LONGEST, Activations::F32, least / 2).unwrap().2);
    let (keep, found, fits) = most_kept(&ground, &terms, LONGEST, Activations::F16, halves).unwrap();
    assert!(keep == Keep::Halves(0) && fits && found.total() == halves, "{keep:?}");
}

/// No value of the feed-forward part is larger than what may be, and no logits are.
fn large_values_are_in_blocks() {
    let engine = loaded(PleMode::Resident);
    let options = TrainOptions { rank: 4, dropout: 0.1, ..TrainOptions::default() };
    let ground = Ground::from(&**engine.loaded());
    let terms = terms_of_options(&ground, &options).unwrap();
    let largest = |ground: &Ground| {
        let graph = graph::step(ground, &terms, LONGEST, Keep::All).unwrap();
        let joined = graph.nodes.iter().filter(|node| node.is::<JoinRows>().is_some()).count();
        let wide = |node: &&Node| {
            let logits = node.is::<Matmul>().is_some() && graph.places[node.place].starts_with(TILES);
            logits
                || node.is::<LossGrad>().is_some()
                || node.is::<GeluMul>().is_some()
                || node.is::<GeluMulBack>().is_some()
                || node.is::<Dropout>().is_some()
        };
        let made = graph.nodes.iter().filter(wide).flat_map(|node| node.made()).map(|value| graph.of(value));
        (made.max_by_key(Type::bytes).unwrap(), joined)
    };
    let (whole, none) = largest(&ground);
    assert_eq!(none, 0);
    for most in [300_000, 100_000] {
        let (cut, joined) = largest(&Ground { most, ..ground });
        assert!(whole.bytes() > most && cut.bytes() <= most && joined > 0, "{whole} {cut} {joined}");
    }
}

rullama_testing::tests! {
    what_is_taken_is_what_was_said,
    shorter_steps_take_no_more,
    places_of_a_step_take_little_more_than_what_lives_at_once,
    a_budget_is_used_by_layers,
    large_values_are_in_blocks,
}
