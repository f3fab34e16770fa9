//! The graphs of real models: each rewrite against the graph without it, on oracles, and where values are placed.

use rullama_model::lora::{Term, Terms};
use rullama_model::lower::{self, For};
use rullama_model::model::{self, Model, Rows, Shape};
use rullama_model::place::place;
use rullama_model::reference::Reference;
use rullama_model::tower::{Features, Sense, Wants};
use rullama_model::weights::{Specs, Table, TableSpec, read_table};
use rullama_ops::case::Rng;
use rullama_ops::{Array, Graph, Kind, KvType, LayerTail, Number, SampleMode, StepState, Then, Value, Words};
use rullama_source::FileSource;
use rullama_source::gguf::Gguf;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

const MODELS: [&str; 2] = ["dense-Q4_0.gguf", "dense-ple-Q4_K_M.gguf"];
const TOKENS: u32 = 7;

struct File {
    source: FileSource,
    model: Arc<dyn Model>,
    tables: Vec<Table>,
}

fn open(name: &str) -> File {
    let source = FileSource::open(format!("{}/../../goldens/models/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let model = model::open(&pollster::block_on(Gguf::open(&source)).unwrap()).unwrap();
    let mut tables = Vec::new();
    for spec in &model.specs().tables {
        let values = pollster::block_on(read_table(&source, &spec.tensor)).unwrap();
        tables.push(Table { key: spec.key.clone(), cols: values.len(), values });
    }
    tables.extend(model.tables(&tables, 64).unwrap());
    File { source, model, tables }
}

fn shape(rows: Rows, decode: bool) -> Shape {
    let tokens = if decode { 1 } else { TOKENS };
    Shape { tokens, rows, decode, slots: 0, taps: false, hidden: false, soft: false, packed: false, pool: 0, kv: KvType::F32 }
}

fn shapes() -> Vec<Shape> {
    vec![shape(Rows::Last, true), shape(Rows::Last, false), shape(Rows::All, false), shape(Rows::None, false)]
}

impl File {
    fn forward(&self, shape: Shape) -> Graph {
        self.with_terms(shape, &Terms::default())
    }

    fn with_terms(&self, shape: Shape, terms: &Terms) -> Graph {
        self.model.forward(shape, &self.tables, terms).checked().unwrap()
    }

    /// Terms of rank 2 on every linear layer.
    fn terms(&self) -> Terms {
        let mut terms = Terms::default();
        let layers = (0..self.model.facts().layers).flat_map(|i| {
            let names = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "inp_gate", "proj"];
            names.map(|name| format!("blk.{i}.{name}"))
        });
        for key in layers.chain(["token_embd", "output", "per_layer_model_proj"].map(String::from)) {
            if let Some((inputs, outputs)) = self.model.linear(&key) {
                terms.add(key.clone(), Term { name: key, rank: 2, scale: 0.5, inputs, outputs });
            }
        }
        terms
    }

    /// Logits of a prompt after another, on oracles.
    fn logits(&self, graph: &Graph) -> Vec<f32> {
        let specs = self.model.specs();
        let mut reference = Reference::new(&self.source, specs, &self.tables, &self.model.caches(), KvType::F32, 64);
        for info in &graph.values {
            if let Kind::Trained { name, part } = &info.kind {
                let (rows, cols) = (info.of.rows as usize, info.of.cols as usize);
                let mut rng = Rng::new(name.bytes().map(u64::from).sum());
                let scale = (cols as f32).sqrt().recip();
                reference.trained.insert((name.clone(), *part), rng.tensor_scaled(rows, cols, scale));
            }
        }
        let words = |position, tokens| bytemuck::cast_slice(&[StepState { position, tokens, ..Default::default() }]).to_vec();
        for first in [0, TOKENS] {
            let ids = (0..TOKENS).map(|i| if first + i == 0 { 2 } else { 500 + (first + i) * 37 % 1400 }).collect();
            reference.words.insert(Words::ChunkIds, ids);
            reference.words.insert(Words::ChunkState, words(first, TOKENS));
            reference.words.insert(Words::StepState, words(first + TOKENS - 1, 1));
            let outputs = pollster::block_on(reference.run(graph)).unwrap();
            if first > 0 {
                return outputs["logits"].data.clone();
            }
        }
        Vec::new()
    }

    /// Logits behind some tokens of a graph for one at a time, one row after another, on oracles.
    fn decoded(&self, graph: &Graph) -> Vec<f32> {
        let specs = self.model.specs();
        let mut reference = Reference::new(&self.source, specs, &self.tables, &self.model.caches(), KvType::F32, 64);
        let mut all = Vec::new();
        for (position, id) in [2, 700, 811, 922, 1033].into_iter().enumerate() {
            let state = StepState { position: position as u32, tokens: 1, ..Default::default() };
            reference.words.insert(Words::StepId, vec![id]);
            reference.words.insert(Words::StepState, bytemuck::cast_slice(&[state]).to_vec());
            all.extend(&pollster::block_on(reference.run(graph)).unwrap()["logits"].data);
        }
        all
    }
}

/// Largest difference as a share of the deviation of `want`.
fn difference(want: &[f32], got: &[f32]) -> f64 {
    assert_eq!(want.len(), got.len());
    let mean = want.iter().map(|v| f64::from(*v)).sum::<f64>() / want.len() as f64;
    let deviation = (want.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / want.len() as f64).sqrt();
    want.iter().zip(got).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max) / deviation
}

fn each_rewrite_computes_what_the_graph_without_it_does() {
    for name in MODELS {
        let file = open(name);
        let specs = file.model.specs();
        let cases = [(Rows::Last, Terms::default()), (Rows::All, Terms::default()), (Rows::Last, file.terms())];
        for (rows, terms) in cases {
            let plain = file.with_terms(shape(rows, false), &terms);
            let want = file.logits(&plain);
            for rewrite in lower::names(For::Run) {
                let lowered = lower::lower_one(plain.clone(), rewrite, specs);
                let got = difference(&want, &file.logits(&lowered));
                // Intermediate results are rounded to f32 at other places.
                assert!(got < 1e-5, "{name}, {rows:?}, {rewrite}: {got:e}");
            }
            let all = lower::lower(plain, For::Run, specs);
            let got = difference(&want, &file.logits(&all));
            assert!(got < 1e-5, "{name}, {rows:?}, all: {got:e}");
        }
    }
}

fn products_in_codes_round_what_they_are_given_once() {
    for name in MODELS {
        let file = open(name);
        let specs = file.model.specs();
        let plain = file.forward(shape(Rows::Last, false));
        let lowered = |least| lower::lower(plain.clone(), For::Codes { least, look: false }, specs);
        let count = |graph: &Graph, op: &str| graph.nodes.iter().filter(|node| node.op.name() == op).count();
        let all = lowered(0);
        let read: HashSet<Value> = all.nodes.iter().filter(|node| node.op.name() == "matmul_int8").map(|node| node.operands[0]).collect();
        let made = all.nodes.iter().flat_map(|node| node.made()).filter(|value| all.of(*value).number == Number::Codes).count();
        assert!(made == read.len() && count(&all, "quantise") < made, "{name}: {made} made, {} read", read.len());
        assert!(count(&all, "matmul_int8") >= 4 * file.model.facts().layers, "{name}");
        assert_eq!(count(&lowered(u64::MAX), "quantise"), 0);
        // Rounding to 8 bits is a hundredth or so of each product.
        let off = difference(&file.logits(&plain), &file.logits(&all));
        assert!((1e-3..0.5).contains(&off), "{name}: {off}");
    }
}

/// Small products are exact in it and the feed-forward's values are rounded by 16, so it is as near to the algebra as separate products in codes.
fn a_layers_tail_is_one_operation_of_a_decode_step() {
    let file = open("dense-ple-Q4_K_M.gguf");
    let plain = file.forward(shape(Rows::Last, true));
    let lowered = |mode| lower::lower(plain.clone(), mode, file.model.specs());
    let (apart, whole) = (lowered(For::Codes { least: 0, look: false }), lowered(For::Resident { least: 0, workgroups: 1 }));
    let tails: Vec<_> = whole.nodes.iter().filter_map(|node| node.is::<LayerTail>()).collect();
    assert_eq!(tails.len(), file.model.facts().layers);
    // Behind the last layer stands the output's table, and two layers begin with two products: their values' weight has a format of its own.
    assert_eq!(tails.iter().filter(|tail| tail.then == Then::Codes).count(), 3);
    assert_eq!(lowered(For::Resident { least: 0, workgroups: 64 }).nodes.len(), apart.nodes.len(), "512 values are too few for 64");
    let [want, apart, whole] = [&lowered(For::Look), &apart, &whole].map(|graph| file.decoded(graph));
    let (apart, whole) = (difference(&want, &apart), difference(&want, &whole));
    assert!(whole > 1e-4 && whole < 1.5 * apart, "{whole} and {apart}");
}

/// A tower with clipped linears, and its step for some features: outputs by name.
fn hearing(lowered: impl Fn(Graph, &Specs) -> Graph) -> (Graph, HashMap<String, Array>) {
    let source = FileSource::open(format!("{}/../../goldens/models/mmproj-audio-f16.gguf", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let gguf = pollster::block_on(Gguf::open(&source)).unwrap();
    let dim = gguf.tensors.get("mm.a.input_projection.weight").unwrap().rows() as u32;
    let tower = model::open_tower(&gguf, Sense::Hearing, dim).unwrap().unwrap();
    let Wants::Mel { bins } = tower.wants() else { panic!("a spectrogram") };
    let read = |info: &rullama_source::gguf::TensorInfo| pollster::block_on(read_table(&source, info)).unwrap();
    let table = |spec: &TableSpec| Table { key: spec.key.clone(), cols: spec.tensor.cols().max(1) as usize, values: read(&spec.tensor) };
    let mut tables: Vec<Table> = tower.specs().tables.iter().map(table).collect();
    tables.extend(tower.tables(&tables).unwrap());
    let mut rng = Rng::new(3);
    let features = Features { cols: bins, values: rng.tensor(21, bins as usize).data, grid: (1, 21) };
    let step = tower.step(&features, &tables, false).unwrap();
    let graph = lowered(step.graph.checked().unwrap(), tower.specs());
    let mut reference = Reference::new(&source, tower.specs(), &tables, &[], KvType::F32, 0);
    reference.inputs.extend(step.inputs);
    reference.words.extend(step.words);
    let outputs = pollster::block_on(reference.run(&graph)).unwrap();
    (graph, outputs)
}

fn bounds_of_a_towers_products_are_part_of_them() {
    let count = |graph: &Graph| graph.nodes.iter().filter(|node| node.op.name() == "clamp").count();
    let (plain, want) = hearing(|graph, _| graph);
    let rules = ["bounds after a product", "bounds before a product"];
    let (_, after) = hearing(|graph, specs| lower::lower_one(graph, rules[0], specs));
    let (_, before) = hearing(|graph, specs| lower::lower_one(graph, rules[1], specs));
    let (lowered, all) = hearing(|graph, specs| lower::lower(graph, For::Run, specs));
    assert!(count(&plain) > 0 && count(&lowered) == 0, "{} before, {} left", count(&plain), count(&lowered));
    for got in [after, before, all] {
        let off = difference(&want["soft_tokens"].data, &got["soft_tokens"].data);
        assert!(off < 1e-5, "{off:e}");
    }
}

/// Every rule finds something to do, and what is left is as few nodes as the design says.
fn lowered_graphs_have_the_nodes_that_the_design_counts() {
    let mut found: HashSet<&str> = HashSet::new();
    for (name, a_layer) in MODELS.into_iter().zip([7, 11]) {
        let file = open(name);
        let specs = file.model.specs();
        let plain = lower::prune(file.forward(shape(Rows::Last, true)));
        for rewrite in lower::names(For::Run) {
            let names = |graph: &Graph| -> Vec<&'static str> { graph.nodes.iter().map(|node| node.op.name()).collect() };
            let (with, before) = (lower::lower_one(plain.clone(), rewrite, specs), lower::lower(plain.clone(), For::Look, specs));
            if names(&with) != names(&before) || lower::names(For::Look).any(|needed| needed == rewrite) {
                found.insert(rewrite);
            }
        }
        let lowered = lower::lower(plain, For::Run, specs);
        let layers = file.model.facts().layers;
        // Layers that share keys and values may have separate products where formats differ.
        let most = layers * (a_layer + 2) + 8;
        assert!(lowered.nodes.len() <= most, "{name}: {} nodes for {layers} layers", lowered.nodes.len());
    }
    // Bounds are of towers alone.
    let mut rules = lower::names(For::Run).filter(|rewrite| !rewrite.starts_with("bounds"));
    assert!(rules.all(|rewrite| found.contains(rewrite)), "of all rules only these find something: {found:?}");
}

fn without_wanted_rows_a_step_ends_with_the_last_cache_that_is_written() {
    for name in MODELS {
        let file = open(name);
        let graph = lower::lower(file.forward(shape(Rows::None, false)), For::Run, file.model.specs());
        let last = graph.nodes.last().unwrap();
        assert!(!last.after.is_empty() && graph.outputs.is_empty(), "{name}: {}", last.op.name());
        let stores = graph.nodes.iter().filter(|node| node.op.name() == "qkv_prepare").count();
        assert_eq!(stores, file.model.caches().len(), "{name}");
    }
}

fn a_layer_that_reads_anothers_cache_has_an_edge_to_its_writer() {
    let file = open("dense-ple-Q4_K_M.gguf");
    let mut graph = file.forward(shape(Rows::Last, true));
    let logits = graph.named("logits").unwrap();
    graph.sample(logits, SampleMode::Greedy);
    let graph = lower::lower(graph.checked().unwrap(), For::Run, file.model.specs());
    let writer: HashMap<Value, usize> =
        graph.nodes.iter().enumerate().flat_map(|(at, node)| node.after.iter().map(move |value| (*value, at))).collect();
    let mut read = 0;
    for (at, node) in graph.nodes.iter().enumerate().filter(|(_, node)| node.op.name() == "attention") {
        for cache in &node.operands[1..3] {
            assert!(matches!(graph.info(*cache).kind, Kind::After { .. }));
            assert!(writer[cache] < at);
            read += 1;
        }
    }
    assert_eq!(read, 2 * file.model.facts().layers);
    assert_eq!(graph.nodes.last().unwrap().op.name(), "sample");
}

/// The definition: a value lives from the node that makes it to the last that reads it, outputs to the end.
fn values_that_live_at_once_have_places_of_their_own() {
    for name in MODELS {
        let file = open(name);
        for (shape, mode) in shapes().into_iter().flat_map(|shape| [(shape, For::Run), (Shape { taps: true, ..shape }, For::Look)]) {
            let graph = lower::lower(file.forward(shape), mode, file.model.specs());
            let placement = place(&graph);
            let mut born: HashMap<Value, usize> = HashMap::new();
            let mut dies: HashMap<Value, usize> = HashMap::new();
            let mut alias: HashSet<(Value, Value)> = HashSet::new();
            for (at, node) in graph.nodes.iter().enumerate() {
                born.extend(node.made().map(|value| (value, at)));
                dies.extend(node.operands.iter().map(|value| (graph.base(*value), at)));
                alias.extend(node.op.may_alias().map(|(made, read)| (node.operands[made], node.operands[read])));
            }
            dies.extend(graph.outputs.iter().map(|(_, value)| (graph.base(*value), usize::MAX)));
            assert_eq!(born.len(), placement.of.len());
            for (a, slot) in &placement.of {
                assert!(placement.slots[*slot] >= graph.of(*a).bytes());
                for (b, other) in placement.of.iter().filter(|(b, _)| *b != a) {
                    let apart = dies[a] < born[b] || dies[b] < born[a];
                    let in_place = (alias.contains(&(*b, *a)) && dies[a] == born[b]) || (alias.contains(&(*a, *b)) && dies[b] == born[a]);
                    assert!(slot != other || apart || in_place, "{name} {shape:?}: {a:?} and {b:?}");
                }
            }
            // Sharing works: far fewer slots than values.
            assert!(shape.taps || placement.slots.len() <= 12, "{name} {shape:?}: {} slots", placement.slots.len());
        }
    }
}

fn a_shape_that_cannot_be_is_told_with_its_layer() {
    let file = open("dense-Q4_0.gguf");
    let mut tables = file.tables.clone();
    tables.retain(|table| !table.key.starts_with("rope.global"));
    let mut graph = file.model.forward(shape(Rows::Last, false), &tables, &Terms::default());
    graph.at("blk.3");
    let (a, b) = (graph.input("a", 1, 32), graph.input("b", 1, 64));
    graph.gelu_mul(a, b);
    let error = graph.checked().expect_err("widths differ").to_string();
    assert!(error.contains("`gelu_mul` in blk.3"), "{error}");
}

/// Packed examples give what each gives alone through caches, up to the last norm; padding changes nothing.
fn packed_examples_are_as_if_alone() {
    let ids = |count: u32, first: u32| -> Vec<u32> { (0..count).map(|i| if i == 0 { 2 } else { 500 + (first + i) * 37 % 1400 }).collect() };
    let examples = [ids(5, 0), ids(1, 9), ids(7, 20)];
    for name in MODELS {
        let file = open(name);
        let reference = || Reference::new(&file.source, file.model.specs(), &file.tables, &file.model.caches(), KvType::F32, 64);
        let run = |reference: &mut Reference, shape: Shape| {
            let graph = lower::lower(file.forward(shape), For::Look, file.model.specs());
            pollster::block_on(reference.run(&graph)).unwrap().remove("final_norm").unwrap()
        };
        let packed = examples.concat();
        let mut starts: Vec<u32> = Vec::new();
        for example in &examples {
            starts.extend(vec![starts.len() as u32; example.len()]);
        }
        let tokens = packed.len() as u32 + 3;
        let pad = |mut words: Vec<u32>, with| {
            words.resize(tokens as usize, with);
            words
        };
        let mut step = reference();
        step.words.insert(Words::ChunkIds, pad(packed, 0));
        step.words.insert(Words::Starts, pad(starts, u32::MAX));
        let got = run(&mut step, Shape { tokens, packed: true, ..shape(Rows::All, false) });
        let mut row = 0;
        for example in &examples {
            let count = example.len() as u32;
            let mut alone = reference();
            let state = StepState { tokens: count, ..Default::default() };
            alone.words.insert(Words::ChunkIds, example.clone());
            alone.words.insert(Words::ChunkState, bytemuck::cast_slice(&[state]).to_vec());
            let want = run(&mut alone, Shape { tokens: count, taps: true, ..shape(Rows::All, false) });
            let off = difference(&want.data, &got.data[row * got.cols..][..want.data.len()]);
            assert!(off < 1e-5, "{name}, example at {row}: {off:e}");
            row += example.len();
        }
    }
}

rullama_testing::tests! {
    each_rewrite_computes_what_the_graph_without_it_does,
    products_in_codes_round_what_they_are_given_once,
    a_layers_tail_is_one_operation_of_a_decode_step,
    bounds_of_a_towers_products_are_part_of_them,
    lowered_graphs_have_the_nodes_that_the_design_counts,
    without_wanted_rows_a_step_ends_with_the_last_cache_that_is_written,
    a_layer_that_reads_anothers_cache_has_an_edge_to_its_writer,
    values_that_live_at_once_have_places_of_their_own,
    a_shape_that_cannot_be_is_told_with_its_layer,
    packed_examples_are_as_if_alone,
}
