use rullama::source::FileSource;
use rullama::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let ple = match args.get(2).map(String::as_str) {
        Some("streamed") => PleMode::Streamed,
        _ => PleMode::Resident,
    };
    pollster::block_on(async {
        let source = Arc::new(FileSource::open(&args[1]).unwrap());
        let t = Instant::now();
        let engine = Engine::load(source, LoadOptions { ple, ..Default::default() }, &mut |_| ()).await.unwrap();
        let info = engine.info();
        println!(
            "{} {} {} load {:.2}s total; weights {:.2} GB in {:.2}s = {:.2} GB/s banned {:?} gpu {}",
            info.device,
            info.backend,
            info.ple,
            t.elapsed().as_secs_f64(),
            info.loaded_bytes as f64 / 1e9,
            info.load_seconds,
            info.loaded_bytes as f64 / 1e9 / info.load_seconds,
            info.disabled_kernels,
            engine.memory().gpu
        );
        let mut session = engine.session().await.unwrap();
        let ids: Vec<u32> = (0..512u32).map(|i| 300 + i * 37 % 4000).collect();
        for (name, sampling) in [("greedy", Sampling::greedy()), ("top-k 64", Sampling { seed: Some(1), ..Default::default() })] {
            let options = GenerateOptions { sampling, max_tokens: Some(128), ignore_eos: true, ..Default::default() };
            for run in 0..5 {
                session.clear();
                let before = engine.device().pipelines();
                let s = session.generate(&ids, &options, &Cancel::new(), &mut |_| ()).await.unwrap();
                println!(
                    "{name} run {run}: prefill {:.0} tok/s ({:.1} ms) decode {:.1} tok/s pipelines +{}",
                    s.timings.prefill_tok_s,
                    s.timings.prefill_s * 1e3,
                    s.timings.decode_tok_s,
                    engine.device().pipelines() - before
                );
            }
        }
        for (what, profile) in [
            ("decode", session.profile_decode().await.unwrap()),
            ("prefill 512", {
                session.clear();
                session.profile_prefill(512).await.unwrap();
                session.profile_prefill(512).await.unwrap()
            }),
        ] {
            let mut sums: BTreeMap<String, (usize, f64)> = BTreeMap::new();
            for k in &profile.kernels {
                let e = sums.entry(k.label.clone()).or_default();
                e.0 += 1;
                e.1 += k.seconds;
            }
            let mut rows: Vec<_> = sums.into_iter().collect();
            rows.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
            println!(
                "{what}: {} dispatches, {:.3} ms of kernels",
                profile.dispatches,
                profile.kernels.iter().map(|k| k.seconds).sum::<f64>() * 1e3
            );
            for (label, (n, s)) in rows.iter().take(16) {
                println!("  {label:55} x{n:4} {:8.1} us each {:8.3} ms", s * 1e6 / *n as f64, s * 1e3);
            }
        }
    });
}
