//! What a token costs in counts that are the same on every adapter: dispatches, bytes of weights, waits for the GPU, pipelines.
//! They fail when they grow; where a change makes them smaller, the number here is lowered with it.

use rullama::{AdapterProfile, Cancel, Engine, GenerateOptions, LoadOptions, Persistent, PleMode, Products, Sampling, Session};
use rullama_testing::{found, skip, workspace};
use std::sync::Arc;

/// Of one decoded token with greedy sampling under WebGPU's guaranteed limits, with the kernels that a GPU gets.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    dispatches: usize,
    /// Weights read, gathered rows apart.
    bytes: u64,
    /// Kernels compiled for prompts and decoding, those of the load's self-test among them.
    pipelines: usize,
}

const PROMPT: [u32; 9] = [2, 105, 600, 601, 602, 603, 604, 605, 606];
const TOKENS: u32 = 24;

fn session(file: &str, ple: PleMode, products: Products) -> Session {
    let source = Arc::new(rullama::source::FileSource::open(workspace().join(file)).unwrap());
    let options =
        LoadOptions { ple, products, profile: AdapterProfile::WebGpuDefaults, as_gpu: true, chunk: Some(512), ..Default::default() };
    let engine = found(pollster::block_on(Engine::load(source, options, &mut |_| ())), |error| error.code() == "no-webgpu");
    pollster::block_on(engine.session()).unwrap()
}

fn decode(session: &mut Session) {
    let options = GenerateOptions { sampling: Sampling::greedy(), max_tokens: Some(TOKENS), ignore_eos: true, ..Default::default() };
    session.clear();
    let summary = pollster::block_on(session.generate(&PROMPT, &options, &Cancel::new(), &mut |_| ())).unwrap();
    assert_eq!(summary.ids.len(), TOKENS as usize);
}

/// Counts of the file, whose second answer compiles nothing and waits at most once a token.
fn counts(file: &str, ple: PleMode, products: Products) -> (Counts, u64) {
    let mut session = session(file, ple, products);
    let device = session.engine().device().clone();
    decode(&mut session);
    let (pipelines, readbacks) = (device.pipelines(), device.readbacks());
    decode(&mut session);
    assert_eq!(device.pipelines(), pipelines, "{file}: the second answer compiled kernels");
    let waits = device.readbacks() - readbacks;
    let dispatches = pollster::block_on(session.profile_decode()).unwrap().dispatches;
    (Counts { dispatches, bytes: session.engine().info().bytes_per_token, pipelines }, waits)
}

/// Waits that are not a token's: of the prompt.
const FENCES: u64 = 1;

fn a_token_of_each_family_costs_what_it_did() {
    let expected = [
        ("goldens/models/dense-Q4_0.gguf", Counts { dispatches: 64, bytes: 2_477_056, pipelines: 32 }),
        ("goldens/models/dense-ple-Q4_K_M.gguf", Counts { dispatches: 99, bytes: 4_845_824, pipelines: 43 }),
        ("goldens/models/moe-small-fused-Q4_0.gguf", Counts { dispatches: 76, bytes: 617_984, pipelines: 41 }),
        ("goldens/models/unified-f16.gguf", Counts { dispatches: 44, bytes: 1_573_376, pipelines: 30 }),
        ("web/app/public/model/rullama-demo.gguf", Counts { dispatches: 112, bytes: 11_042_304, pipelines: 44 }),
    ];
    let found = expected.each_ref().map(|(file, _)| {
        let (found, waits) = counts(file, PleMode::Resident, Products::Exact);
        assert!(waits <= u64::from(TOKENS) + FENCES, "{file}: {waits} waits for {TOKENS} tokens");
        (*file, found)
    });
    assert_eq!(found, expected);
}

/// As a step of resident rows does, with the rows of the first answer there.
fn a_token_of_streamed_rows_costs_as_much() {
    let file = "goldens/models/dense-ple-Q4_K_M.gguf";
    let (streamed, waits) = counts(file, PleMode::Streamed, Products::Exact);
    assert!(waits <= u64::from(TOKENS) + FENCES, "{waits} waits for {TOKENS} tokens");
    // Rows by places are read by a kernel of their own.
    assert_eq!(streamed, Counts { dispatches: 99, bytes: 4_845_824, pipelines: 44 });
}

/// Codes are made once for what reads them, by what makes the values where it can.
fn a_token_in_codes_costs_what_it_did() {
    let expected = [("goldens/models/dense-Q4_0.gguf", 66), ("goldens/models/dense-ple-Q4_K_M.gguf", 115)];
    let found = expected.map(|(file, _)| (file, counts(file, PleMode::Resident, Products::Int8).0.dispatches));
    assert_eq!(found, expected);
}

/// What lies behind a layer's attention, and the product that opens the next, is one dispatch where workgroups may stay.
fn a_token_whose_workgroups_stay_costs_what_it_did() {
    let file = workspace().join("goldens/models/dense-ple-Q4_K_M.gguf");
    let options = LoadOptions { ple: PleMode::Resident, products: Products::Int8, persistent: Persistent::On, ..Default::default() };
    let source = Arc::new(rullama::source::FileSource::open(file).unwrap());
    let engine = found(pollster::block_on(Engine::load(source, options, &mut |_| ())), |error| error.code() == "no-webgpu");
    if !engine.device().caps().software {
        skip(format_args!("{} is a GPU, whose workgroups are too many for so small a model", engine.info().device));
    }
    let mut session = pollster::block_on(engine.session()).unwrap();
    decode(&mut session);
    assert!(engine.info().persistent);
    assert_eq!(pollster::block_on(session.profile_decode()).unwrap().dispatches, 44);
}

rullama_testing::tests! { a_token_in_codes_costs_what_it_did, a_token_whose_workgroups_stay_costs_what_it_did, a_token_of_each_family_costs_what_it_did, a_token_of_streamed_rows_costs_as_much }
