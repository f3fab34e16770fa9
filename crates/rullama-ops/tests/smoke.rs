//! The cases that a load runs are right on an adapter that is, in every variant.

use rullama_gpu::{Device, OpenOptions};
use rullama_ops::KvType;
use rullama_ops::smoke::{Smoke, cases};
use rullama_quant::DType;

#[test]
fn every_case_of_a_load_passes() {
    let device =
        pollster::block_on(Device::open(&OpenOptions::default())).expect("a GPU adapter (install mesa-vulkan-drivers for a software one)");
    let formats = vec![DType::Q4K, DType::Q6K];
    let model = Smoke {
        matrices: formats.clone(),
        pairs: formats.clone(),
        tables: formats,
        heads: vec![(1, 64), (2, 128)],
        query_heads: 4,
        kv: KvType::F16,
        window: 16,
    };
    let all = cases(&model, false);
    assert!(all.len() > cases(&model, true).len());
    for case in all {
        let runs = pollster::block_on(case.run(&device)).unwrap_or_else(|message| panic!("{message}"));
        assert!(runs > 0, "{}", case.name);
    }
}
