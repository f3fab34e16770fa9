//! What sampling cases cannot compare word for word: log-probabilities, and the distribution of
//! what is drawn.

use rullama_gpu::{AdapterProfile, Buffer, Device, GpuError, OpenOptions, Recorder, Recording, Usage};
use rullama_ops::sample::cases::{Step, plain};
use rullama_ops::sample::{RESULT_WORDS, RESULTS, SampleResult, judge, reference};
use rullama_ops::{Context, Host, Op, Operand, Sample, SampleMode, SampleSettings, StepState, Tensor};
use rullama_testing::found;

const PROFILES: [AdapterProfile; 2] = [AdapterProfile::Native, AdapterProfile::WebGpuDefaults];

fn open(profile: AdapterProfile) -> Device {
    found(pollster::block_on(Device::open(&OpenOptions { profile, ..Default::default() })), |error| {
        matches!(error, GpuError::NoAdapter { .. })
    })
}

/// A step's operands on the GPU and its recording.
struct Bound {
    buffers: Vec<Buffer>,
    recording: Recording,
}

fn bind(device: &Device, step: &Step, mode: SampleMode) -> Bound {
    pollster::block_on(async {
        let (mut buffers, mut operands) = (Vec::new(), Vec::new());
        for host in step.operands() {
            let words: Vec<u32> = match &host {
                Host::Tensor(array) => bytemuck::cast_slice(&array.data).to_vec(),
                other => other.words().clone(),
            };
            let buffer = device.buffer("operand", words.len() as u64 * 4, Usage::Storage).await.unwrap();
            device.write(&buffer, 0, bytemuck::cast_slice(&words));
            let slice = buffer.slice(0, words.len() as u64 * 4);
            let cols = words.len() as u32;
            operands.push(match host {
                Host::Tensor(_) => Operand::Tensor(Tensor { slice, rows: 1, cols, stride: cols, offset: 0 }),
                _ => Operand::Words(slice),
            });
            buffers.push(buffer);
        }
        let op = Sample { vocab: step.logits.len() as u32, mode };
        let scratch = device.buffer("scratch", op.scratch(device.caps(), &operands), Usage::Storage).await.unwrap();
        let mut recorder = Recorder::new();
        op.record(
            &mut Context { recorder: &mut recorder, caps: device.caps(), variant: None, banned: &[], scratch: Some(scratch.whole()) },
            &operands,
        )
        .unwrap();
        Bound { buffers, recording: recorder.finish(device).await.unwrap() }
    })
}

impl Bound {
    /// Replays `steps` times and gives the whole ring of results.
    fn run(&self, device: &Device, steps: usize) -> Vec<u32> {
        for _ in 0..steps {
            device.submit(&self.recording);
        }
        let bytes = pollster::block_on(device.read(&self.buffers[6], 0, (RESULTS * RESULT_WORDS * 4) as u64)).unwrap();
        bytemuck::pod_collect_to_vec(&bytes)
    }
}

/// Rounding of logits near 20 and of sums of 262,144 terms in f32.
const LOGPROB_TOLERANCE: f32 = 3e-5;

fn compare(step: &Step, want: &SampleResult, got: &SampleResult) {
    let near = |a: f32, b: f32| a == b || (a - b).abs() <= LOGPROB_TOLERANCE;
    assert_eq!((want.id, want.not_finite, want.none_allowed), (got.id, got.not_finite, got.none_allowed), "{}", step.name);
    assert!(near(want.logprob.unwrap(), got.logprob.unwrap()), "{}: {:?}, want {:?}", step.name, got.logprob, want.logprob);
    let ids = |r: &SampleResult| r.tops.iter().map(|t| t.0).collect::<Vec<_>>();
    assert_eq!(ids(want), ids(got), "{}", step.name);
    assert!(want.tops.iter().zip(&got.tops).all(|(a, b)| near(a.1, b.1)), "{}: {:?}, want {:?}", step.name, got.tops, want.tops);
}

fn log_probabilities_are_of_the_unmodified_distribution() {
    let settings = SampleSettings { repeat_penalty: 2.0, repeat_last_n: 500, ..plain(64) };
    for device in PROFILES.map(open) {
        for (vocab, logprobs) in [(32, 1), (32, 21), (2080, 2), (2048, 6), (262_144, 21)] {
            for mode in [SampleMode::TopK, SampleMode::Greedy] {
                let mut step = Step::new("logprobs", vocab, SampleSettings { logprobs, ..settings });
                // Ties among the best, a forced choice that is unlikely by itself, and an impossible token.
                step.bias = vec![(9, 80.0), (3, f32::NEG_INFINITY)];
                (step.logits[5], step.logits[20], step.logits[7]) = (19.5, 19.5, f32::NEG_INFINITY);
                // What may not be drawn is among the likeliest all the same.
                step.mask.fill(!(1 << 5));
                step.settings.masked = 1;
                if mode == SampleMode::Greedy {
                    (step.settings.temperature, step.settings.logprobs) = (0.0, 1);
                }
                let step = step.settled();
                let want = reference(&step.logits, &step.settings, &step.bias, &step.history, &step.mask, step.position);
                let record = bind(&device, &step, mode).run(&device, 1)[step.sampled as usize * RESULT_WORDS..][..RESULT_WORDS].to_vec();
                compare(&step, &want, &SampleResult::from_record(&record, step.settings.logprobs));
            }
        }
    }
}

/// Unequal probabilities over 32 tokens, of which top-k leaves 8.
fn small() -> (Step, Vec<f64>) {
    let mut step = Step::new("distribution", 32, SampleSettings { temperature: 1.25, ..plain(8) });
    step.logits.iter_mut().enumerate().for_each(|(i, l)| *l = -0.3 * i as f32);
    let weights: Vec<f64> = (0..8).map(|i| (-0.3f64 * f64::from(i) / 1.25).exp()).collect();
    let total: f64 = weights.iter().sum();
    (step, weights.iter().map(|w| w / total).collect())
}

/// Chi-square of counts against probabilities; p < 0.001 above 24.3 at 7 degrees of freedom.
fn check_distribution(ids: &[u32], probabilities: &[f64]) {
    let mut counts = vec![0.0; probabilities.len()];
    ids.iter().for_each(|&id| counts[id as usize] += 1.0);
    let chi: f64 = counts.iter().zip(probabilities).map(|(c, p)| (c - p * ids.len() as f64).powi(2) / (p * ids.len() as f64)).sum();
    assert!(chi < 24.3, "chi-square {chi}: {counts:?}");
}

fn the_reference_draws_by_probability() {
    let (step, probabilities) = small();
    let by_seed = |seed| reference(&step.logits, &step.settings.seed(seed), &[], &step.history, &[], 11).id;
    let by_position = |p| reference(&step.logits, &step.settings.seed(42), &[], &step.history, &[], p).id;
    check_distribution(&(0..20_000).map(by_seed).collect::<Vec<_>>(), &probabilities);
    check_distribution(&(0..20_000).map(by_position).collect::<Vec<_>>(), &probabilities);
}

fn queued_steps_draw_by_probability_and_as_the_reference() {
    let (step, probabilities) = small();
    for device in PROFILES.map(open) {
        let bound = bind(&device, &step, SampleMode::TopK);
        let state = StepState { position: step.position, ..Default::default() };
        device.write(&bound.buffers[4], 0, bytemuck::bytes_of(&state));
        let mut ids: Vec<u32> = Vec::new();
        for _ in 0..16 {
            ids.extend(bound.run(&device, RESULTS).chunks(RESULT_WORDS).map(|record| record[0]));
        }
        check_distribution(&ids, &probabilities);
        for (position, id) in (step.position..).zip(&ids) {
            let (want, margin) = judge(&step.logits, &step.settings, &[], &step.history, &[], position);
            assert!(want.id == *id || margin < 1e-5, "position {position}: {id}, want {}", want.id);
        }
    }
}

fn the_reference_serves_any_top_k() {
    let logits: Vec<f32> = (0..3000).map(|i| ((i * 7919) % 3000) as f32 * 1e-3).collect();
    let ids = |top_k| (0..400).map(|p| reference(&logits, &plain(top_k), &[], &[], &[], p).id).collect::<Vec<_>>();
    assert_eq!(ids(0), ids(3000));
    assert!(ids(0).iter().any(|id| logits[*id as usize] < 1.0), "all survive");
    assert!(ids(2000).iter().all(|id| logits[*id as usize] > 0.999), "the best 2000 survive");
}

rullama_testing::tests! {
    log_probabilities_are_of_the_unmodified_distribution,
    the_reference_draws_by_probability,
    queued_steps_draw_by_probability_and_as_the_reference,
    the_reference_serves_any_top_k,
}
