//! The cases that a load runs are right on an adapter that is, in every variant.

use rullama_gpu::{Device, GpuError, OpenOptions};
use rullama_ops::smoke::{Product, ProductKind, Smoke, cases, sampler};
use rullama_ops::{Epilogue, KvType, SampleMode};
use rullama_quant::DType;
use rullama_testing::found;

fn products(dtype: DType) -> Vec<Product> {
    let plain = |rows, cols, epilogue| Product { dtype, rows, cols, kind: ProductKind::Plain(epilogue), prompts: rows < 262_144 };
    vec![
        plain(768, 512, Epilogue::None),
        // Another row length takes another kernel, another number of rows mostly does not.
        plain(512, 1024, Epilogue::None),
        plain(640, 512, Epilogue::None),
        plain(32, 512, Epilogue::GeluMul),
        plain(262_144, 512, Epilogue::Softcap(30.0)),
        Product { dtype, rows: 2048, cols: 512, kind: ProductKind::Geglu, prompts: true },
    ]
}

fn every_case_of_a_load_passes() {
    let formats = vec![DType::Q4K, DType::Q6K];
    let model = Smoke {
        products: formats.iter().flat_map(|dtype| products(*dtype)).collect(),
        tables: formats,
        heads: vec![(1, 64), (2, 128)],
        query_heads: 4,
        kv: KvType::F16,
        window: 16,
    };
    for as_gpu in [true, false] {
        let device = found(pollster::block_on(Device::open(&OpenOptions { as_gpu, ..Default::default() })), |error| {
            matches!(error, GpuError::NoAdapter { .. })
        });
        let samplers = [SampleMode::Greedy, SampleMode::TopK, SampleMode::WideTopK].map(sampler);
        for case in cases(&model, device.caps()).into_iter().chain(samplers) {
            let runs = pollster::block_on(case.run(&device)).unwrap_or_else(|message| panic!("{message}"));
            assert!(runs > 0, "{}", case.name);
        }
    }
}

rullama_testing::tests! {
    every_case_of_a_load_passes,
}
