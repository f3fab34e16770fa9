//! Backward rules on small graphs: gradients from `grad`, run on the oracles, against central differences of the oracles.

use rullama_gpu::{Caps, GpuError};
use rullama_ops::case::{Case, Rng};
use rullama_ops::{
    Array, Backward, Context, Dropout, Graph, HeadNorm, Host, Kind, Op, Operand, Part, PerLayerCombine, Rotate, SelfAttention, Type, Use,
    Value, Words, grad, rope_tables,
};
use std::collections::HashMap;

/// `y = x` of a trained matrix; its rule makes the gradient an output of that name.
#[derive(Debug)]
struct Probe(String);

impl Op for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn uses(&self) -> Vec<Use> {
        vec![Use::Read, Use::Write]
    }

    fn results(&self, inputs: &[Type]) -> Result<Vec<Type>, String> {
        Ok(inputs.to_vec())
    }

    fn variants(&self, _: &Caps, _: &[Operand]) -> Vec<&'static str> {
        Vec::new()
    }

    fn record(&self, _: &mut Context, _: &[Operand]) -> Result<(), GpuError> {
        unreachable!("it runs on the CPU alone")
    }

    fn oracle(&self, operands: &mut [Host]) {
        operands[1] = operands[0].clone();
    }

    fn backward(&self, back: &mut Backward) -> Result<(), String> {
        let g = back.gradient(1).ok_or("no gradient arrives")?;
        back.graph.output(self.0.clone(), g);
        Ok(())
    }

    fn smoke(&self, _: &[Type]) -> Case {
        unreachable!("it runs on the CPU alone")
    }
}

/// What a graph reads.
#[derive(Clone, Default)]
struct Given {
    trained: Vec<Array>,
    tables: HashMap<String, Array>,
    words: HashMap<Words, Vec<u32>>,
    seed: Option<Array>,
}

impl Given {
    fn fetch(&self, graph: &Graph, values: &HashMap<Value, Host>, value: Value) -> Host {
        match &graph.info(value).kind {
            Kind::Made => values[&value].clone(),
            Kind::Input(_) => self.seed.clone().expect("a seed").into(),
            Kind::Table(key) => self.tables[key].clone().into(),
            Kind::Words(words) => Host::Words(self.words[words].clone()),
            Kind::Trained { name, .. } => self.trained[name.parse::<usize>().expect("a number")].clone().into(),
            other => panic!("{other:?}"),
        }
    }

    fn run(&self, graph: &Graph) -> HashMap<String, Array> {
        let mut values = HashMap::new();
        for node in &graph.nodes {
            let zeros = |value: &Value| Array::zeros(graph.rows(*value) as usize, graph.cols(*value) as usize).into();
            let operands = node.operands.iter().zip(node.op.uses());
            let mut hosts: Vec<Host> =
                operands.map(|(v, used)| if used == Use::Write { zeros(v) } else { self.fetch(graph, &values, *v) }).collect();
            node.op.oracle(&mut hosts);
            let made = node.operands.iter().zip(hosts).zip(node.op.uses()).filter(|(_, used)| *used == Use::Write);
            values.extend(made.map(|((value, host), _)| (*value, host)));
        }
        graph.outputs.iter().map(|(name, value)| (name.clone(), self.fetch(graph, &values, *value).tensor().clone())).collect()
    }
}

fn dot(a: &Array, b: &Array) -> f64 {
    a.data.iter().zip(&b.data).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// `sum of seed y` for `trained[at]` moved by `h` times `along`.
fn moved(graph: &Graph, given: &Given, at: usize, along: &Array, h: f32) -> f64 {
    let mut given = given.clone();
    given.trained[at].data.iter_mut().zip(&along.data).for_each(|(x, d)| *x += h * d);
    dot(&given.run(graph)["y"], given.seed.as_ref().expect("a seed"))
}

/// A graph of `sizes` of trained matrices, made by `build`: rows, columns, how far values reach.
fn check(what: &str, sizes: &[(u32, u32, f32)], mut given: Given, build: impl Fn(&mut Graph, &[Value]) -> Value) {
    let mut rng = Rng::new(77);
    given.trained = sizes.iter().map(|(rows, cols, scale)| rng.tensor_scaled(*rows as usize, *cols as usize, *scale)).collect();
    let mut graph = Graph::default();
    graph.at("the middle");
    let inputs: Vec<Value> = (0..sizes.len()).map(|at| graph.trained(&at.to_string(), Part::Value, sizes[at].0, sizes[at].1)).collect();
    let probed: Vec<Value> = inputs.iter().enumerate().map(|(at, x)| graph.one(Probe(at.to_string()), &[*x])).collect();
    let y = build(&mut graph, &probed);
    graph.output("y", y);
    let seed = graph.input("seed", graph.rows(y), graph.cols(y));
    given.seed = Some(rng.tensor(graph.rows(y) as usize, graph.cols(y) as usize));
    let kept = grad(graph.clone(), &[(y, seed)], |_, _| false).unwrap_or_else(|error| panic!("{what}: {error}"));
    let gradients = given.run(&kept);
    let again = grad(graph.clone(), &[(y, seed)], |_, _| true).unwrap();
    assert_eq!(gradients, given.run(&again), "{what}: computed again");
    for (at, x) in given.trained.iter().enumerate() {
        let gradient = &gradients[&at.to_string()];
        assert_eq!((gradient.rows, gradient.cols), (x.rows, x.cols), "{what}");
        let largest = gradient.data.iter().fold(0f64, |most, g| most.max(f64::from(g.abs())));
        assert!(largest > 1e-3, "{what}: no gradient of {at}");
        let norm = dot(gradient, gradient).sqrt();
        let h = 4e-3;
        for round in 0..24 {
            // Random directions, then single values.
            let mut along = Array::zeros(x.rows, x.cols);
            if round < 4 {
                along = rng.tensor(x.rows, x.cols);
            } else {
                along.data[rng.below(x.data.len() as u64) as usize] = 1.0;
            }
            let slope = (moved(&graph, &given, at, &along, h) - moved(&graph, &given, at, &along, -h)) / (2.0 * f64::from(h));
            let want = dot(gradient, &along);
            let bound = if round < 4 { 2e-3 * norm } else { 1e-3 * largest } + 1e-4;
            assert!((slope - want).abs() <= bound, "{what}, of {at}, {round}: {want}, differences give {slope}");
        }
    }
}

fn table(rng: &mut Rng, rows: usize, cols: usize) -> Array {
    rng.tensor(rows, cols)
}

/// Tables of a rotation, and starts of two examples and padding.
fn packed(tokens: u32, head_dim: usize) -> Given {
    let frequencies: Vec<f64> = (0..head_dim / 2).map(|i| 1e4f64.powf(-2.0 * i as f64 / head_dim as f64)).collect();
    let (low, high) = rope_tables(&frequencies, tokens);
    let array = |data: Vec<f32>| Array { rows: data.len() / head_dim, cols: head_dim, data };
    let starts = (0..tokens).map(|t| if t + 1 == tokens { u32::MAX } else { t / 4 * 4 }).collect();
    Given {
        tables: HashMap::from([("low".into(), array(low)), ("high".into(), array(high))]),
        words: HashMap::from([(Words::Starts, starts), (Words::Chance, vec![3, 4, 5])]),
        ..Default::default()
    }
}

fn with_table(key: &str, cols: usize) -> Given {
    Given { tables: HashMap::from([(key.into(), table(&mut Rng::new(5), 1, cols))]), ..Default::default() }
}

fn norms() {
    check("rows", &[(3, 24, 1.0)], with_table("w", 24), |g, x| g.rms_norm(x[0], "w", 1e-6));
    check("runs", &[(3, 24, 2.0)], with_table("w", 8), |g, x| g.rms_norm_runs(x[0], "w", 8, 1e-2));
    let op = HeadNorm { heads: 2, head_dim: 32, eps: 1e-6 };
    check("heads", &[(2, 64, 1.0)], Given::default(), |g, x| g.head_norm(op.clone(), x[0]));
    // Two readers: their gradients add up.
    check("a residual", &[(3, 24, 1.0)], with_table("w", 24), |g, x| {
        let normed = g.rms_norm(x[0], "w", 1e-6);
        g.add_scale(normed, x[0], 0.7)
    });
}

fn rotations() {
    for inverse in [false, true] {
        let op = Rotate { heads: 2, head_dim: 8, inverse };
        check("rotate", &[(7, 16, 1.0)], packed(7, 8), |g, x| {
            let rope = [g.table("low", 256, 8), g.table("high", 1, 8)];
            let starts = g.words(Words::Starts);
            g.rotate(op.clone(), x[0], rope, starts)
        });
    }
}

fn elements() {
    check("gelu_mul", &[(3, 16, 3.0), (3, 16, 1.0)], Given::default(), |g, x| g.gelu_mul(x[0], x[1]));
    check("add_scale", &[(3, 16, 1.0), (3, 16, 1.0)], Given::default(), |g, x| g.add_scale(x[0], x[1], 0.3));
    check("add_scale of one", &[(3, 16, 1.0)], Given::default(), |g, x| g.add_scale(x[0], x[0], 1.0));
    check("scale", &[(3, 16, 1.0)], Given::default(), |g, x| g.scale(x[0], -1.7));
    check("dropout", &[(3, 16, 1.0)], packed(3, 8), |g, x| {
        let chance = g.words(Words::Chance);
        g.dropout(x[0], chance, Dropout { rate: 0.4, salt: 9, first_row: 0 })
    });
}

fn per_layer_embeddings() {
    let mut given = with_table("w", 8);
    given.tables.insert("rows".into(), table(&mut Rng::new(6), 3, 24));
    check("per_layer_combine", &[(3, 24, 1.0)], given, |g, x| {
        let rows = g.table("rows", 3, 24);
        g.per_layer_combine(x[0], rows, "w", 8, PerLayerCombine { eps: 1e-6, scale: 0.2 })
    });
}

fn attention() {
    for (heads, kv_heads, window) in [(1, 1, None), (4, 2, None), (4, 1, Some(2)), (2, 2, Some(3))] {
        let op = SelfAttention { heads, kv_heads, head_dim: 32, window };
        let (wide, narrow) = (heads * 32, kv_heads * 32);
        check(&format!("{op:?}"), &[(9, wide, 0.6), (9, narrow, 1.0), (9, narrow, 1.0)], packed(9, 32), |g, x| {
            let starts = g.words(Words::Starts);
            g.self_attention(op.clone(), x[0], [x[1], x[2]], starts)[0]
        });
    }
    // Keys that are values as well, and two readers of both.
    let op = SelfAttention { heads: 2, kv_heads: 1, head_dim: 32, window: None };
    check("keys as values", &[(9, 64, 0.6), (9, 32, 1.0)], packed(9, 32), |g, x| {
        let starts = g.words(Words::Starts);
        let [first, _] = g.self_attention(op.clone(), x[0], [x[1], x[1]], starts);
        let [second, _] = g.self_attention(op.clone(), first, [x[1], x[1]], starts);
        second
    });
}

rullama_testing::tests! {
    norms,
    rotations,
    elements,
    per_layer_embeddings,
    attention,
}
