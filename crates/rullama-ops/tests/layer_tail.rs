//! A layer's tail whose workgroups do not all come, or whose words are not clear, gives no numbers and says so, in bounded time.

use rullama_gpu::{Device, GpuError, OpenOptions};
use rullama_ops::case::Case;
use rullama_ops::layer_tail::cases::of_workgroups;
use rullama_ops::{Host, LayerTail};
use rullama_testing::{found, skip};
use std::time::{Duration, Instant};

/// Far more than a wait is given, on a CPU that has other work.
const BOUND: Duration = Duration::from_secs(60);

fn device() -> Device {
    let opened = pollster::block_on(Device::open(&OpenOptions::default()));
    let device = found(opened, |error| matches!(error, GpuError::NoAdapter { .. }));
    if !device.caps().software && LayerTail::choices(device.caps()).is_empty() {
        skip(format_args!("{} lacks what it takes", device.name()));
    }
    device
}

/// The status that a run leaves, and what it makes.
fn run(device: &Device, case: &Case) -> (u32, Vec<f32>) {
    let started = Instant::now();
    let left = pollster::block_on(case.compute(device, device.caps(), "resident")).unwrap();
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    let [.., Host::Words(words), Host::Tensor(out), Host::Codes(codes)] = &left[..] else { panic!("{left:?}") };
    (words[0], [&out.data[..], &codes.data[..]].concat())
}

fn assert_no_numbers(what: &str, (status, made): (u32, Vec<f32>)) {
    assert_ne!(status, 0, "{what}");
    let numbers = made.iter().filter(|value| !value.is_nan()).count();
    assert_eq!(numbers, 0, "{what}: numbers among {}", made.len());
}

fn a_workgroup_that_never_comes_is_not_waited_for_for_ever() {
    let device = device();
    assert_no_numbers("one of two", run(&device, &of_workgroups(2, 1)));
}

fn words_that_were_not_clear_are_noticed() {
    let device = device();
    let with = |at: usize| {
        let mut case = of_workgroups(1, 1);
        for host in &mut case.operands {
            if let Host::Words(words) = host {
                words[at] = 1.0f32.to_bits();
            }
        }
        run(&device, &case)
    };
    // Of o, d and f; the words of p and u are cleared before they are waited for.
    let (dim, per_layer, ffn) = (256, 256, 512);
    for at in [4, 4 + dim + 7, 4 + 3 * dim + per_layer, 4 + 3 * dim + per_layer + ffn / 4 + 3] {
        assert_no_numbers(&format!("word {at}"), with(at));
    }
    for at in [4 + 2 * dim, 4 + 3 * dim + 5] {
        let (status, made) = with(at);
        assert_eq!(status, 0, "word {at}");
        assert!(made.iter().all(|value| value.is_finite()), "word {at}");
    }
    assert_no_numbers("the status of a step before", with(0));
}

rullama_testing::tests! {
    a_workgroup_that_never_comes_is_not_waited_for_for_ever,
    words_that_were_not_clear_are_noticed,
}
