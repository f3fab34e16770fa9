//! What training computes with, on the GPU, against independent references: the gate's gradient, clipping, AdamW.

use rullama_gpu::{AdapterProfile, Caps, Device, GpuError, OpenOptions};
use rullama_ops::case::{Case, Rng};
use rullama_ops::optimizer::PARTS;
use rullama_ops::{AdamW, Array, ClipFactor, GeluMul, GeluMulBack, Host, NormParts, Op, UpdateSettings};
use rullama_testing::{found, golden};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

const PROFILES: [AdapterProfile; 2] = [AdapterProfile::Native, AdapterProfile::WebGpuDefaults];

fn open(profile: AdapterProfile) -> Device {
    found(pollster::block_on(Device::open(&OpenOptions { profile, as_gpu: true, ..Default::default() })), |error| {
        matches!(error, GpuError::NoAdapter { .. })
    })
}

/// Tensors of a reference file, in f64.
struct Golden {
    bytes: Vec<u8>,
    json: Value,
}

impl Golden {
    fn open(name: &str) -> Self {
        let read = |end: &str| std::fs::read(golden(&format!("grad/{name}.{end}"))).unwrap();
        Golden { bytes: read("safetensors"), json: serde_json::from_slice(&read("json")).unwrap() }
    }

    fn f64(&self, key: &str) -> Vec<f64> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(key).unwrap();
        match view.dtype() {
            Dtype::F32 => view.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
            Dtype::F64 => view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            other => panic!("{key} is {other:?}"),
        }
    }

    fn f32(&self, key: &str) -> Vec<f32> {
        self.f64(key).into_iter().map(|x| x as f32).collect()
    }

    fn keys(&self, start: &str) -> Vec<String> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let mut keys: Vec<String> = tensors.names().into_iter().filter_map(|name| name.strip_prefix(start)).map(String::from).collect();
        keys.sort();
        assert!(!keys.is_empty(), "{start}");
        keys
    }
}

/// One flat row, filled up to whole quads.
fn row(data: &[f32]) -> Host {
    let mut data = data.to_vec();
    data.resize(data.len().next_multiple_of(4), 0.0);
    Array { rows: 1, cols: data.len(), data }.into()
}

fn data(host: &Host) -> &[f32] {
    &host.tensor().data
}

fn compute(device: &Device, caps: &Caps, op: impl Op, operands: Vec<Host>) -> Vec<Host> {
    let case = Case::new("golden", op, operands, 1);
    let variant = pollster::block_on(case.variants(device)).unwrap()[0];
    pollster::block_on(case.compute(device, caps, variant)).unwrap()
}

fn gate_gradients_of_any_size_are_right_and_finite() {
    let golden = Golden::open("geglu-backward");
    let [gate, up, dy] = ["gate", "up", "dy"].map(|key| golden.f32(key));
    let [y, d_gate, d_up] = ["y", "d_gate", "d_up"].map(|key| golden.f64(key));
    let within = |name: &str, got: &[f32], want: &[f64], scale: &dyn Fn(usize) -> f64| {
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            let infinite = got.is_infinite() && want.abs() > f64::from(f32::MAX);
            let close = (f64::from(*got) - want).abs() <= 1e-5 * scale(i).max(1.0);
            assert!(infinite || close, "{name} at gate {}, up {}, dy {}: {got}, want {want}", gate[i], up[i], dy[i]);
        }
    };
    let inputs = || vec![row(&gate), row(&up), row(&dy), row(&gate), row(&gate)];
    let check = |back: &[Host], forward: &[Host]| {
        within("y", data(&forward[2]), &y, &|i| y[i].abs());
        within("d_gate", data(&back[3]), &d_gate, &|i| (f64::from(dy[i]) * f64::from(up[i])).abs());
        within("d_up", data(&back[4]), &d_up, &|i| d_up[i].abs());
    };
    for device in PROFILES.map(open) {
        let back = compute(&device, device.caps(), GeluMulBack, inputs());
        check(&back, &compute(&device, device.caps(), GeluMul, vec![row(&gate), row(&up), row(&gate)]));
    }
    let (mut back, mut forward) = (inputs(), vec![row(&gate), row(&up), row(&gate)]);
    GeluMulBack.oracle(&mut back);
    GeluMul.oracle(&mut forward);
    check(&back, &forward);
}

/// What a clip says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Clip {
    norm: f32,
    factor: f32,
    finite: bool,
}

/// Settings as an operand.
fn numbers(settings: &UpdateSettings) -> Host {
    row(bytemuck::cast_slice(std::slice::from_ref(settings)))
}

/// The norm over all `arenas`, and what follows from it.
fn clip(device: &Device, arenas: &[&[f32]], max_norm: Option<f64>) -> Host {
    let mut parts: Option<Host> = None;
    for arena in arenas {
        let (op, made) = (NormParts { begins: parts.is_none() }, Host::from(Array::zeros(PARTS as usize, 4)));
        let operands = [Some(row(arena)), parts.take(), Some(made)].into_iter().flatten().collect();
        parts = compute(device, device.caps(), op, operands).pop();
    }
    let settings = UpdateSettings::new(1e-3, (0.9, 0.999), 1e-8, 0.0, max_norm, 1);
    let operands = vec![parts.expect("an arena"), numbers(&settings), Array::zeros(1, 4).into()];
    compute(device, device.caps(), ClipFactor, operands).pop().expect("what it makes")
}

fn read(clip: &Host) -> Clip {
    let [norm, factor, ok, _] = data(clip)[..] else { panic!("four values") };
    Clip { norm, factor, finite: ok == 1.0 }
}

fn clipping_is_by_one_norm_over_all_arenas() {
    let golden = Golden::open("optimizer");
    for device in PROFILES.map(open) {
        for case in ["above", "below", "huge", "tiny"] {
            let of = |name: &str| golden.f32(&format!("clip.{case}.{name}"));
            let clip = read(&clip(&device, &[&of("a"), &of("b")], Some(1.0)));
            let norm = golden.json["clipping"][case]["total_norm_float64"].as_f64().unwrap();
            assert!(clip.finite && (f64::from(clip.norm) - norm).abs() <= 1e-6 * norm, "{case}: {clip:?}, want {norm}");
            for name in ["a", "b"] {
                for (before, after) in of(name).iter().zip(of(&format!("{name}_after"))) {
                    assert!((before * clip.factor - after).abs() <= 1e-6 * after.abs(), "{case}: {before} to {after}");
                }
            }
        }
        // Squares that overflow and that vanish, together and alone; what has no norm.
        for (values, norm) in
            [([1e20f32, 1e20], 2f64.sqrt() * 1e20), ([3e-30, 4e-30], 5e-30), ([1e-30, 1e30], 1e30), ([2e38, 2e38], 2f64.sqrt() * 2e38)]
        {
            let clip = read(&clip(&device, &[&values[..1], &values[1..]], Some(0.25)));
            assert!(clip.finite && (f64::from(clip.norm) - norm).abs() <= 1e-6 * norm, "{values:?}: {clip:?}");
            let factor = (0.25 / (norm + 1e-6)).min(1.0);
            assert!((f64::from(clip.factor) - factor).abs() <= 1e-6 * factor.max(1e-37), "{values:?}: {clip:?}");
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(read(&clip(&device, &[&[1.0; 9], &[1.0, bad]], None)), Clip { factor: 0.0, norm: f32::INFINITY, finite: false });
        }
        assert!(!read(&clip(&device, &[&[3e38], &[3e38]], Some(1.0))).finite, "a norm beyond f32");
    }
}

/// A parameter with its running means, and what roundings of its terms have come to in the mean: where large gradients of both signs
/// leave a small one, every f32 is off by a share of them (torch's by 2e-4 of what is left).
struct State(Host, Host, Host, Vec<f64>);

impl State {
    fn new(theta: &[f32]) -> Self {
        let zeros = vec![0.0; theta.len()];
        State(row(theta), row(&zeros), row(&zeros), vec![0.0; theta.len()])
    }

    fn update(&mut self, device: &Device, gradient: &[f32], settings: &UpdateSettings, clip: &Host) {
        let operands = vec![row(gradient), numbers(settings), clip.clone(), self.0.clone(), self.1.clone(), self.2.clone()];
        let mut after = compute(device, device.caps(), AdamW, operands).into_iter().skip(3);
        let mut next = || after.next().expect("three states");
        let after = [next(), next(), next()];
        let (by, beta, rest) = (f64::from(data(clip)[1]), f64::from(settings.beta1), f64::from(settings.rest1));
        for ((off, m), g) in self.3.iter_mut().zip(data(&self.1)).zip(gradient) {
            let terms = f64::from(m.abs()) + rest * f64::from(g.abs()) * by;
            *off = beta * *off + f64::from(f32::EPSILON) * terms;
        }
        [self.0, self.1, self.2] = after;
    }
}

fn unclipped() -> Host {
    row(&[1.0, 1.0, 1.0, 0.0])
}

fn check_states(state: &State, want: [&[f32]; 3], bound: impl Fn(f32) -> f64, what: &str) {
    let off = |got: f32, want: f32| (f64::from(got) - f64::from(want)).abs();
    let [thetas, means, variances] = want;
    for (i, want) in thetas.iter().enumerate() {
        let (theta, m, v) = (data(&state.0)[i], data(&state.1)[i], data(&state.2)[i]);
        assert!(off(theta, *want) <= bound(*want), "{what}, theta {i}: {theta}, want {want}");
        let (want, rounded) = (means[i], state.3[i]);
        assert!(off(m, want) <= 1e-5 * f64::from(want.abs()) + rounded + 1e-37, "{what}, m {i}: {m}, want {want}");
        let want = variances[i];
        assert!(off(v, want) <= 1e-4 * f64::from(want.abs()) + 1e-37, "{what}, v {i}: {v}, want {want}");
    }
}

fn adamw_follows_the_reference_step_by_step() {
    let golden = Golden::open("optimizer");
    let device = open(AdapterProfile::WebGpuDefaults);
    for (case, settings) in golden.json["cases"].as_object().unwrap() {
        let number = |key: &str| settings[key].as_f64().unwrap();
        let (steps, every) = (number("steps") as usize, number("stored_every") as usize);
        let tensor = |name: &str| golden.f32(&format!("adamw.{case}.{name}"));
        let [grad, theta, m, v] = ["grad", "theta", "m", "v"].map(tensor);
        let mut state = State::new(&tensor("theta0"));
        let width = grad.len() / steps;
        let mut rates = 0.0;
        for k in 0..steps {
            let lr = settings["lr_per_step"].get(k).map_or(number("lr"), |lr| lr.as_f64().unwrap());
            let betas = [0, 1].map(|i| settings["betas"][i].as_f64().unwrap());
            let (eps, decay) = (number("eps"), number("weight_decay"));
            let step = UpdateSettings::new(lr, (betas[0], betas[1]), eps, decay, None, k as u64 + 1);
            state.update(&device, &grad[k * width..][..width], &step, &unclipped());
            rates += lr;
            if (k + 1) % every == 0 {
                let at = (k + 1) / every - 1;
                let bound = |theta: f32| 1e-4 * rates + (k + 1) as f64 * 6e-8 * f64::from(theta.abs()).max(1.0);
                let want = [&theta, &m, &v].map(|all| &all[at * width..][..width]);
                check_states(&state, want, bound, &format!("{case}, update {}", k + 1));
            }
        }
    }
}

fn an_accumulated_gradient_is_clipped_and_applied_over_many_tensors() {
    let golden = Golden::open("optimizer");
    let device = open(AdapterProfile::WebGpuDefaults);
    let keys = golden.keys("accumulate.grad.");
    let all = |part: &str| keys.iter().flat_map(|key| golden.f32(&format!("accumulate.{part}.{key}"))).collect::<Vec<f32>>();
    let (init, grad, after) = (all("init"), all("grad"), all("after"));
    let about = &golden.json["accumulation"]["step"];
    let number = |key: &str| about[key].as_f64().unwrap();
    // Two arenas, cut anywhere.
    let middle = grad.len() / 3 / 4 * 4;
    let clip = clip(&device, &[&grad[..middle], &grad[middle..]], Some(number("max_norm")));
    let norm = number("total_norm");
    assert!((f64::from(read(&clip).norm) - norm).abs() <= 1e-6 * norm, "{:?}, want {norm}", read(&clip));
    let step = |k| UpdateSettings::new(number("lr"), (0.9, 0.999), 1e-8, number("weight_decay"), Some(number("max_norm")), k);
    let mut state = State::new(&init);
    state.update(&device, &grad, &step(1), &clip);
    for (i, (got, want)) in data(&state.0).iter().zip(&after).enumerate() {
        assert!((got - want).abs() <= 1e-4 * number("lr") as f32 + 6e-8, "value {i}: {got}, want {want}");
    }
    // A gradient that is not finite changes nothing, wherever it stands.
    let before = [data(&state.0).to_vec(), data(&state.1).to_vec(), data(&state.2).to_vec()];
    let mut broken = grad.clone();
    *broken.last_mut().expect("values") = f32::NAN;
    let skipped = self::clip(&device, &[&broken], Some(1.0));
    state.update(&device, &broken, &step(2), &skipped);
    assert_eq!(before, [data(&state.0).to_vec(), data(&state.1).to_vec(), data(&state.2).to_vec()]);
}

/// B of an adapter on the head: 262,144 rows of rank 16, whole and under a limit of workgroups that cuts it in three.
fn an_update_of_any_size_is_one_logical_step() {
    let (device, n) = (open(AdapterProfile::WebGpuDefaults), 262_144 * 16);
    let mut rng = Rng::new(44);
    let mut values = || Host::from(rng.tensor(1, n));
    let settings = UpdateSettings::new(1e-3, (0.9, 0.999), 1e-8, 0.1, None, 3);
    let [gradient, theta, mean] = [values(), values(), values()];
    let mut variance = values();
    variance.tensor_mut().data.iter_mut().for_each(|x| *x = x.abs());
    let case = Case::new("the head", AdamW, vec![gradient, numbers(&settings), unclipped(), theta, mean, variance], 4);
    pollster::block_on(case.run(&device)).unwrap_or_else(|message| panic!("{message}"));
    let whole = pollster::block_on(case.compute(&device, device.caps(), "plain")).unwrap();
    // 4,096 workgroups of 256 quads.
    let few = Caps { max_groups: 1_500, ..device.caps().clone() };
    let count = |caps| pollster::block_on(case.dispatches(&device, caps, "plain")).unwrap();
    assert_eq!((count(device.caps()), count(&few)), (1, 3));
    assert!(pollster::block_on(case.compute(&device, &few, "plain")).unwrap() == whole, "three chunks differ from one");
}

rullama_testing::tests! {
    gate_gradients_of_any_size_are_right_and_finite,
    clipping_is_by_one_norm_over_all_arenas,
    adamw_follows_the_reference_step_by_step,
    an_accumulated_gradient_is_clipped_and_applied_over_many_tensors,
    an_update_of_any_size_is_one_logical_step,
}
