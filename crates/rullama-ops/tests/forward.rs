//! Every operation, variant and shape on this machine's adapter: as a GPU with WebGPU's guaranteed limits; with its own limits,
//! and with what a CPU adapter chooses, as far as kernels, parameters or workgroups are others.

use rullama_gpu::{AdapterProfile, Device, GpuError, OpenOptions};
use rullama_ops::all_cases;
use rullama_ops::case::Case;
use rullama_testing::{found, skip};

fn open(profile: AdapterProfile, as_gpu: bool) -> Device {
    found(pollster::block_on(Device::open(&OpenOptions { profile, as_gpu, ..Default::default() })), |error| {
        matches!(error, GpuError::NoAdapter { .. })
    })
}

/// Runs each case's `variants` on `device`.
fn run(device: &Device, variants: impl Fn(&Case) -> Result<Vec<&'static str>, GpuError>) {
    let filter = std::env::var("CASES").unwrap_or_default();
    let mut failures = Vec::new();
    let mut runs = 0;
    for case in all_cases() {
        if !format!("{} {}", case.op.name(), case.name).contains(&filter) {
            continue;
        }
        for variant in variants(&case).unwrap() {
            runs += 1;
            failures.extend(pollster::block_on(case.run_variant(device, variant)).err());
        }
    }
    println!("{runs} runs on {}", device.name());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(runs > 0);
}

/// What is the same work with the guaranteed limits runs there.
fn all_cases_with_native_limits() {
    let (device, defaults) = (open(AdapterProfile::Native, true), open(AdapterProfile::WebGpuDefaults, true));
    run(&device, |case| pollster::block_on(case.variants_beyond(&device, defaults.caps())));
}

fn all_cases_with_webgpu_default_limits() {
    let device = open(AdapterProfile::WebGpuDefaults, true);
    run(&device, |case| pollster::block_on(case.variants(&device)));
}

fn what_a_cpu_adapter_chooses() {
    let (device, gpu) = (open(AdapterProfile::Native, false), open(AdapterProfile::Native, true));
    if device.caps() == gpu.caps() {
        skip(format_args!("{} is a GPU: both choose the same", device.name()));
    }
    run(&device, |case| pollster::block_on(case.variants_beyond(&device, gpu.caps())));
}

rullama_testing::tests! {
    all_cases_with_native_limits,
    all_cases_with_webgpu_default_limits,
    what_a_cpu_adapter_chooses,
}
