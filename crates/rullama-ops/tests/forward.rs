//! Every operation, variant and shape on this machine's adapter, with its own limits and with
//! WebGPU's guaranteed ones.

use rullama_gpu::{AdapterProfile, Device, OpenOptions};
use rullama_ops::registry::all_cases;

fn run(profile: AdapterProfile) {
    let device = pollster::block_on(Device::open(&OpenOptions { profile, ..Default::default() }))
        .expect("a GPU adapter (install mesa-vulkan-drivers for a software one)");
    let filter = std::env::var("CASES").unwrap_or_default();
    let mut failures = Vec::new();
    let mut runs = 0;
    for case in all_cases() {
        if !format!("{} {}", case.op.name(), case.name).contains(&filter) {
            continue;
        }
        match pollster::block_on(case.run(&device)) {
            Ok(variants) => runs += variants,
            Err(message) => failures.push(message),
        }
    }
    println!("{runs} runs on {} ({profile:?})", device.name());
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(runs > 0);
}

#[test]
fn all_cases_with_native_limits() {
    run(AdapterProfile::Native);
}

#[test]
fn all_cases_with_webgpu_default_limits() {
    run(AdapterProfile::WebGpuDefaults);
}
