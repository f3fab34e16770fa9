//! Backward rules against differences of the oracles, and products with transposed weights against products.

use rullama_ops::case::Rng;
use rullama_ops::{Array, Graph, Host, HostWeight, Kind, Matmul, MatmulT, Op, Part, Use, Value, Words, grad};
use rullama_quant::DType;
use std::collections::HashMap;

/// What a graph's values stand for; runs it on oracles.
#[derive(Clone, Default)]
struct World {
    weights: HashMap<&'static str, HostWeight>,
    inputs: HashMap<&'static str, Array>,
    words: HashMap<Words, Vec<u32>>,
    trained: HashMap<(String, Part), Array>,
    made: HashMap<Value, Array>,
}

impl World {
    /// A trained matrix with a gradient that is not clear.
    fn train(&mut self, name: &str, value: Array) {
        let before = Array { data: vec![0.25; value.data.len()], ..value.clone() };
        self.trained.insert((name.into(), Part::Gradient), before);
        self.trained.insert((name.into(), Part::Value), value);
    }

    fn fetch(&self, graph: &Graph, value: Value) -> Host {
        let info = graph.info(value);
        let (rows, cols) = (info.of.rows as usize, info.of.cols as usize);
        match &info.kind {
            Kind::Made => self.made[&value].clone().into(),
            Kind::Input(name) => self.inputs[name].clone().into(),
            Kind::View { of, row, column } => {
                let base = self.fetch(graph, *of);
                let row_of = |r: usize| base.tensor().row(*row as usize + r)[*column as usize..][..cols].to_vec();
                Array { rows, cols, data: (0..rows).flat_map(row_of).collect() }.into()
            }
            Kind::WeightView { of, first, step } => {
                Host::Weight(self.fetch(graph, *of).weight().view(*first as usize, *step as usize, rows))
            }
            Kind::After { of } => self.fetch(graph, *of),
            Kind::Weight(key) => Host::Weight(self.weights[key.as_str()].clone()),
            Kind::Trained { name, part } => self.trained[&(name.clone(), *part)].clone().into(),
            Kind::Words(words) => Host::Words(self.words[words].clone()),
            other => panic!("{other:?} is not used here"),
        }
    }

    fn run(mut self, graph: &Graph) -> World {
        for node in &graph.nodes {
            let uses = node.op.uses();
            let operand = |(value, used): (&Value, &Use)| match used {
                Use::Write => Array::zeros(graph.rows(*value) as usize, graph.cols(*value) as usize).into(),
                _ => self.fetch(graph, *value),
            };
            let mut host: Vec<Host> = node.operands.iter().zip(&uses).map(operand).collect();
            node.op.oracle(&mut host);
            for ((value, data), used) in node.operands.iter().zip(host).zip(uses) {
                match (used, &graph.info(graph.base(*value)).kind) {
                    (Use::Write, _) => drop(self.made.insert(*value, data.tensor().clone())),
                    (Use::Update, Kind::Trained { name, part }) => {
                        self.trained.insert((name.clone(), *part), data.tensor().clone());
                    }
                    _ => {}
                }
            }
        }
        self
    }

    fn output(&self, graph: &Graph, name: &str) -> Array {
        self.fetch(graph, graph.named(name).expect("an output")).tensor().clone()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Every gradient of `backward` against central differences of `loss`, `step` apart: within `bound` of the gradient's norm.
fn compare(world: &World, forward: &Graph, backward: &Graph, (step, bound): (f32, f64), loss: impl Fn(&World, &Graph) -> f64) {
    let after = world.clone().run(backward);
    for ((name, part), value) in &world.trained {
        if *part != Part::Value {
            continue;
        }
        let at = |i: usize, by: f32| {
            let mut world = world.clone();
            world.trained.get_mut(&(name.clone(), Part::Value)).unwrap().data[i] += by;
            loss(&world.run(forward), forward)
        };
        let got: Vec<f64> = after.trained[&(name.clone(), Part::Gradient)].data.iter().map(|g| f64::from(*g) - 0.25).collect();
        let want: Vec<f64> = (0..value.data.len()).map(|i| (at(i, step) - at(i, -step)) / (2.0 * f64::from(step))).collect();
        let norm = |of: &[f64]| of.iter().map(|v| v * v).sum::<f64>().sqrt();
        let off: Vec<f64> = got.iter().zip(&want).map(|(g, w)| g - w).collect();
        assert!(norm(&want) > 0.01, "{name} has no gradient to speak of");
        assert!(norm(&off) <= bound * norm(&want), "{name}: {:e} of {:e}", norm(&off), norm(&want));
    }
}

/// Two layers of low rank in both orientations, an embedding's rows, rows taken out and put back, a residual.
fn layers(world: &mut World) -> Graph {
    let mut rng = Rng::new(3);
    for (name, rows, cols) in [("w1", 32, 64), ("w2", 96, 32)] {
        world.weights.insert(name, rng.weight(DType::Q8_0, rows, cols));
    }
    for (name, rows, cols) in [("a1", 3, 64), ("b1", 32, 3), ("a2", 32, 2), ("b2", 7, 32), ("rows", 9, 5), ("up", 64, 5)] {
        world.train(name, rng.tensor(rows, cols));
    }
    world.inputs.insert("x", rng.tensor(6, 64));
    world.inputs.insert("seed", rng.tensor(6, 32));
    world.words.insert(Words::ChunkIds, vec![4, 8, 4, 0, 30, 4]);
    world.words.insert(Words::TargetRows, vec![5, 0, 2]);
    let mut g = Graph::default();
    g.at("embedding");
    let (x, ids, some) = (g.input("x", 6, 64), g.words(Words::ChunkIds), g.words(Words::TargetRows));
    let (table, up) = (g.trained("rows", Part::Value, 9, 5), g.trained("up", Part::Value, 64, 5));
    let rows = g.gather_rows(table, ids, 6);
    let x = g.dense_transposed(rows, up, 0.5, Some(x));
    g.at("first");
    let (w1, a1, b1) = (g.weight("w1", 32, 64, DType::Q8_0), g.trained("a1", Part::Value, 3, 64), g.trained("b1", Part::Value, 32, 3));
    let y = g.matmul(x, w1);
    let u = g.dense_transposed(x, a1, 1.0, None);
    let y = g.dense_transposed(u, b1, -1.5, Some(y));
    g.at("second");
    let w2 = g.weight("w2", 96, 32, DType::Q8_0);
    let (a2, b2) = (g.trained("a2", Part::Value, 32, 2), g.trained("b2", Part::Value, 7, 32));
    // Every third row of a stacked weight, and two rows of a trained matrix.
    let (part, b2) = (g.view_rows(w2, 1, 3, 32), g.view(b2, (4, 0), (2, 32)));
    let z = g.matmul(y, part);
    let u = g.dense(y, a2, 2.0, None);
    let z = g.dense(u, b2, 0.7, Some(z));
    let taken = g.gather_rows(z, some, 3);
    let back = g.scatter_rows(taken, some, 6);
    g.output("z", back);
    g.checked().expect("operands fit")
}

fn gradients_of_layers_are_differences() {
    let mut world = World::default();
    let forward = layers(&mut world);
    for again in [false, true] {
        let mut graph = forward.clone();
        let seed = graph.input("seed", 6, 32);
        let z = graph.named("z").unwrap();
        let backward = grad(graph, &[(z, seed)], |place, _| again && place != "embedding").expect("rules");
        // The loss is linear in each number: differences far apart are exact but for roundings.
        compare(&world, &forward, &backward, (0.5, 1e-5), |world, graph| dot(&world.output(graph, "z").data, &world.inputs["seed"].data));
    }
}

/// A head in tiles of its vocabulary, the last of them smaller.
fn gradients_of_the_loss_are_differences() {
    const VOCAB: u32 = 50;
    for cap in [4.0, 0.0] {
        let mut world = World::default();
        let mut rng = Rng::new(8);
        world.weights.insert("head", rng.weight(DType::F16, VOCAB as usize, 32));
        world.train("h", rng.tensor_scaled(5, 32, 6.0));
        world.inputs.insert("none", Array::zeros(5, 32));
        world
            .words
            .insert(Words::Targets, vec![49, 3, 20, 20, 7].into_iter().chain([0.5f32, 1.0, 0.0, 0.25, 1.0].map(f32::to_bits)).collect());
        world.words.insert(Words::ChunkIds, (0..5).collect());
        let mut g = Graph::default();
        let (h, ids) = (g.trained("h", Part::Value, 5, 32), g.words(Words::ChunkIds));
        let h = g.gather_rows(h, ids, 5);
        let (head, targets) = (g.weight("head", VOCAB, 32, DType::F16), g.words(Words::Targets));
        let tiles: Vec<(u32, Value)> = (0..VOCAB).step_by(20).map(|at| (at, g.view_rows(head, at, 1, 20.min(VOCAB - at)))).collect();
        let mut stats = None;
        for (first, tile) in &tiles {
            let z = g.matmul(h, *tile);
            stats = Some(g.loss_stats(z, targets, stats, cap, *first));
        }
        let stats = stats.unwrap();
        g.output("stats", stats);
        let forward = g.clone().checked().expect("operands fit");
        let mut dh = None;
        for (first, tile) in &tiles {
            let z = g.matmul(h, *tile);
            let dz = g.loss_grad(z, targets, stats, cap, *first);
            dh = Some(g.matmul_transposed(dz, *tile, dh));
        }
        let backward = grad(g, &[(h, dh.unwrap())], |_, _| false).expect("rules");
        compare(&world, &forward, &backward, (0.02, 1e-3), |world, graph| {
            let (stats, targets) = (world.output(graph, "stats"), &world.words[&Words::Targets]);
            let loss = |i: usize| f64::from(stats.row(i)[0]) + f64::from(stats.row(i)[1]).ln() - f64::from(stats.row(i)[2]);
            (0..5).map(|i| f64::from(f32::from_bits(targets[5 + i])) * loss(i)).sum()
        });
    }
}

fn transposed_products_are_adjoint_in_every_format() {
    for &dtype in DType::ALL {
        let (rows, cols) = (19, dtype.block_len().max(32) * 2);
        let mut rng = Rng::new(u64::from(dtype.ggml_id()));
        let (x, g, w) = (rng.tensor(3, cols), rng.tensor(3, rows), Host::Weight(rng.weight(dtype, rows, cols)));
        let mut product = [x.clone().into(), w.clone(), Array::zeros(3, rows).into()];
        Matmul::PLAIN.oracle(&mut product);
        let mut transposed = [g.clone().into(), w, Array::zeros(3, cols).into()];
        MatmulT { add: false }.oracle(&mut transposed);
        let (forward, backward) = (dot(&product[2].tensor().data, &g.data), dot(&transposed[2].tensor().data, &x.data));
        assert!((forward - backward).abs() <= 1e-5 * (1.0 + forward.abs()), "{dtype}: {forward} and {backward}");
    }
}

fn what_cannot_be_trained_through_is_said() {
    let mut g = Graph::default();
    g.at("blk.3");
    let (x, table, ids) = (g.input("x", 4, 32), g.trained("t", Part::Value, 9, 32), g.words(Words::ChunkIds));
    let part = g.view(table, (2, 0), (4, 32));
    let rows = g.gather_rows(part, ids, 4);
    let error = grad(g.clone(), &[(rows, x)], |_, _| false).expect_err("a part of a table").to_string();
    assert!(error.contains("blk.3") && error.contains("a part of t"), "{error}");
    // A product with a computed matrix.
    let made = g.gather_rows(table, ids, 4);
    let y = g.dense_transposed(x, made, 1.0, None);
    let dy = g.input("dy", 4, 4);
    let error = grad(g, &[(y, dy)], |_, _| false).expect_err("a computed matrix").to_string();
    assert!(error.contains("computed"), "{error}");
}

rullama_testing::tests! {
    gradients_of_layers_are_differences,
    gradients_of_the_loss_are_differences,
    transposed_products_are_adjoint_in_every_format,
    what_cannot_be_trained_through_is_said,
}
