//! What drafters draft on oracles and on the GPU; files that are none, or another model's.

mod definition;

use definition::{CONTEXT, DRAFTS, File, PROMPT, Target, chunk_words, defined, draft_words, open, prompt, shape};
use rullama_gpu::{Device, OpenOptions, Slice};
use rullama_model::Loaded;
use rullama_model::drafter::{HIDDEN, LoadedDrafter};
use rullama_model::kv_cache::{CacheShape, KvCache};
use rullama_model::loaded::{Choice, Experts, Residency};
use rullama_model::lora::Terms;
use rullama_model::lower::{For, lower};
use rullama_model::model;
use rullama_model::plan::{Plan, Resources};
use rullama_model::products::Products;
use rullama_model::reference::Reference;
use rullama_model::weights::{Table, Weights, read_table};
use rullama_model::words::WordBuffers;
use rullama_ops::sample::RESULT_WORDS;
use rullama_ops::{Cache, Half, KvType, Words};
use rullama_source::gguf::write::GgufWriter;
use rullama_source::gguf::{Array, GgmlType, Gguf, Value};
use rullama_source::{ByteSource, FileSource, MemorySource};
use rullama_testing::workspace;
use std::sync::Arc;

/// Ids of the first drafts in the sampler's results.
fn drawn(results: &[u32]) -> Vec<u32> {
    results.chunks(RESULT_WORDS).take(DRAFTS as usize).map(|record| record[0]).collect()
}

/// That drafts are the defined ones as far as no two logits are within rounding of each other; gives how many were compared.
fn same(want: &[(u32, f64)], got: &[u32], what: &str) -> usize {
    let sure = want.iter().take_while(|(_, margin)| *margin > 1e-3).count();
    let want: Vec<u32> = want.iter().map(|(id, _)| *id).collect();
    assert_eq!(got[..sure], want[..sure], "{what}");
    sure
}

const MODELS: [(&str, bool); 2] = [("goldens/models/dense-Q4_0.gguf", false), ("goldens/models/dense-ple-Q4_K_M.gguf", true)];
const IDS: [u32; 5] = [3, 700, 1111, 1500, 42];

fn drafts_on_oracles_are_those_of_the_definition() {
    for (name, factors) in MODELS {
        let (target, mut compared) = (open(name), 0);
        let (file, seen) = (File::of(&target, factors), target.see());
        let (source, drafter) = (file.source(), file.read(&target).unwrap());
        let mut tables: Vec<Table> = Vec::new();
        for spec in &drafter.specs().tables {
            let values = pollster::block_on(read_table(&source, &spec.tensor)).unwrap();
            tables.push(Table { key: spec.key.clone(), cols: values.len(), values });
        }
        tables.extend(drafter.tables(&tables, CONTEXT).unwrap());
        let norm = target.tables.iter().find(|table| table.key == "output_norm").unwrap();
        let all = [&tables[..], &[Table { key: "target.output_norm".into(), ..norm.clone() }]].concat();
        let plain = drafter.forward(DRAFTS, KvType::F32, CONTEXT, &tables).checked().unwrap();
        let graphs = [("the algebra", plain.clone()), ("lowered", lower(plain, For::Run, drafter.specs()))];
        for id in IDS {
            let want = defined(&target, &file, &seen, id);
            for (what, graph) in &graphs {
                let mut reference = Reference::new(&source, drafter.specs(), &all, &target.model.caches(), KvType::F32, CONTEXT as usize);
                for (key, data) in &seen.caches {
                    reference.caches.get_mut(key).unwrap().data.clone_from(data);
                }
                let embedding = target.model.specs().part("token_embd").unwrap().part;
                reference.weights.insert("target.token_embd".into(), pollster::block_on(embedding.host(&*target.source)).unwrap());
                reference.inputs.insert(HIDDEN, seen.hidden.clone());
                reference.words.extend(draft_words(id, PROMPT as u32));
                pollster::block_on(reference.run(graph)).unwrap();
                compared += same(&want, &drawn(&reference.words[&Words::Results]), &format!("{name}, {what}, behind {id}"));
            }
        }
        assert!(compared > 50, "{name}: {compared} of {}", 2 * IDS.len() * DRAFTS as usize);
    }
}

/// A session's buffers.
struct View<'a> {
    weights: &'a Weights,
    cache: &'a KvCache,
    words: &'a WordBuffers,
}

impl Resources for View<'_> {
    fn weights(&self) -> &Weights {
        self.weights
    }

    fn cache(&self, layer: usize, half: Half) -> Option<Cache> {
        self.cache.operand(layer, half)
    }

    fn words(&self, words: Words) -> Option<Slice> {
        self.words.slice(words)
    }

    fn banned(&self) -> &[(String, &'static str)] {
        &[]
    }
}

/// What a drafter makes on the GPU behind each of these ids, where the target has read the prompt; and the state that it goes on from.
fn on_gpu(device: &Device, target: &Target, file: &dyn ByteSource, prompt: &[u32], ids: &[u32]) -> (Vec<f32>, Vec<Vec<u32>>) {
    let choice = Choice {
        kv: KvType::F32,
        context: CONTEXT,
        residency: Residency::Always,
        rows: 0,
        experts: Experts::All,
        chunk: None,
        products: Products::Exact,
        faster: None,
    };
    pollster::block_on(async {
        let source: Arc<dyn ByteSource> = target.source.clone();
        let loaded = Loaded::load(device.clone(), target.model.clone(), source, choice, &mut |_| true).await.unwrap();
        let drafter = target.model.drafter(&Gguf::open(file).await.unwrap()).unwrap();
        let mut most = 0;
        let mut progress = |done: u64, total: u64| {
            most = done.min(total);
            true
        };
        let drafter = LoadedDrafter::load(&loaded, drafter, file, &mut progress).await.unwrap();
        assert!(most > 0 && drafter.bytes() >= most);
        let caches = CacheShape { kv: KvType::F32, chunk: 512, slack: 64, context: CONTEXT };
        let mut cache = KvCache::new(device, &target.model.caches(), caches).await.unwrap();
        cache.reserve(device, CONTEXT, 512).await.unwrap();
        let mut turn = loaded.turn.lock().await;
        let tokens = prompt.len() as u32;
        let words = buffers(device, &chunk_words(prompt)).await;
        let view = View { weights: &loaded.weights, cache: &cache, words: &words };
        let graph = loaded.graph(shape(tokens), None, &Terms::default()).await.unwrap();
        let plan = Plan::build(device, &graph, &view, &mut turn).await.unwrap();
        device.submit_part(&plan.recording, 0..plan.recording.len());
        let hidden = loaded.read_rows(plan.output(HIDDEN).unwrap(), 1).await.unwrap();
        let words = buffers(device, &draft_words(0, tokens)).await;
        let view = View { weights: drafter.weights(), cache: &cache, words: &words };
        let plan = drafter.plan(&loaded, DRAFTS, &view, &mut turn).await.unwrap();
        let mut drafts = Vec::new();
        for id in ids {
            let input = plan.input(HIDDEN).unwrap();
            device.write(&input.buffer, input.offset, bytemuck::cast_slice(&hidden));
            for (name, values) in &draft_words(*id, tokens)[..3] {
                words.write(device, *name, bytemuck::cast_slice(values));
            }
            device.submit_part(&plan.recording, 0..plan.recording.len());
            let bytes = (RESULT_WORDS * 4) as u64 * u64::from(DRAFTS);
            let results = device.read(words.buffer(Words::Results), 0, bytes).await.unwrap();
            drafts.push(drawn(&bytemuck::pod_collect_to_vec(&results)));
        }
        (hidden, drafts)
    })
}

async fn buffers(device: &Device, words: &[(Words, Vec<u32>)]) -> WordBuffers {
    let sizes: Vec<(Words, usize)> = words.iter().map(|(name, words)| (*name, words.len().max(16))).collect();
    let buffers = WordBuffers::new(device, &sizes).await.unwrap();
    words.iter().for_each(|(name, words)| buffers.write(device, *name, bytemuck::cast_slice(words)));
    buffers
}

fn device() -> Device {
    let opened = pollster::block_on(Device::open(&OpenOptions::default()));
    rullama_testing::found(opened, |error| error.to_string().contains("adapter"))
}

fn drafts_on_the_gpu_are_those_of_the_definition() {
    let device = device();
    for (name, factors) in MODELS {
        let target = open(name);
        let (file, seen) = (File::of(&target, factors), target.see());
        let (hidden, drafts) = on_gpu(&device, &target, &file.source(), &prompt(), &IDS);
        let off = hidden.iter().zip(&seen.hidden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 1e-3 * seen.hidden.iter().fold(0.0, |most, v| v.abs().max(most)), "{name}: {off:e}");
        let compared =
            IDS.iter().zip(drafts).map(|(id, got)| same(&defined(&target, &file, &seen, *id), &got, &format!("{name}, behind {id}")));
        let compared: usize = compared.sum();
        assert!(compared > 25, "{name}: {compared} of {}", IDS.len() * DRAFTS as usize);
    }
}

/// The demo model's drafter behind answers of the held-out set, as transformers runs it (`tools/demo-model/drafter.py`).
fn drafts_are_those_of_transformers() {
    let (device, folder) = (device(), workspace().join("tools/demo-model"));
    let target = open("web/app/public/model/rullama-demo.gguf");
    let file = FileSource::open(folder.join("drafter.gguf")).unwrap();
    let fixtures: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("drafter-fixtures.json")).unwrap()).unwrap();
    for fixture in fixtures.as_array().unwrap() {
        let numbers = |value: &serde_json::Value| -> Vec<u32> { serde_json::from_value(value.clone()).unwrap() };
        let (ids, drafts) = (numbers(&fixture["ids"]), numbers(&fixture["drafts"]));
        let margin = |best: &serde_json::Value| best[0].as_f64().unwrap() - best[1].as_f64().unwrap();
        let want: Vec<(u32, f64)> = drafts.into_iter().zip(fixture["top2_logits"].as_array().unwrap().iter().map(margin)).collect();
        let (prompt, last) = ids.split_at(ids.len() - 1);
        let (_, got) = on_gpu(&device, &target, &file, prompt, last);
        assert_eq!(same(&want, &got[0], &fixture["id"].to_string()), DRAFTS as usize);
    }
}

/// What is wrong with a file is said by name.
fn other_files_are_told() {
    let target = open("goldens/models/dense-ple-Q4_K_M.gguf");
    let file = File::of(&target, false);
    assert!(file.read(&target).is_ok());
    let refused = |file: &File, words: &[&str]| {
        let said = file.read(&target).expect_err("this is no drafter of the model").to_string();
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    };
    let with = |key: &str, value: Value| {
        let mut file = file.clone();
        file.metadata.set(key, value);
        file
    };
    refused(&with("general.architecture", Value::String("gemma4".into())), &["`gemma4`", "assistant"]);
    for (key, value, found) in [
        ("embedding_length_out", 2560, "2560"),
        ("attention.key_length", 96, "96"),
        ("attention.sliding_window", 1 << 20, "1048576"),
        ("nextn_predict_layers", 1, "1"),
        ("embedding_length", 33, "33"),
        ("attention.head_count", 0, "0"),
        ("feed_forward_length", 33, "33"),
    ] {
        let key = format!("gemma4-assistant.{key}");
        refused(&with(&key, Value::U32(value)), &[&key, found]);
    }
    let kv = "gemma4-assistant.attention.head_count_kv";
    refused(&with(kv, Value::Array(Array::U32(vec![9, 9, 9]))), &[kv, "9"]);
    for tensor in 0..file.tensors.len() {
        let mut less = file.clone();
        let (name, dims, _) = less.tensors.remove(tensor);
        if !name.contains("layer_output_scale") {
            refused(&less, &[&name]);
        }
        let mut other = file.clone();
        let all: u64 = dims.iter().product();
        other.tensors[tensor].1 = vec![1, all];
        if dims != [1] {
            refused(&other, &[&name, "has shape"]);
        }
    }
    let mut fewer = file.clone();
    let (_, dims, values) = &mut fewer.tensors[0];
    dims[1] -= 1;
    values.truncate((dims[0] * dims[1]) as usize);
    refused(&fewer, &["token_embd.weight", "another model's drafter"]);
    let mut more = file.clone();
    more.tensors.push(("masked_embd_ordering.weight".into(), vec![32], vec![0.0; 32]));
    assert_eq!(more.read(&target).unwrap().specs().unneeded, ["masked_embd_ordering.weight"]);
    more.tensors.push(("blk.0.attn_k.weight".into(), vec![32], vec![0.0; 32]));
    refused(&more, &["blk.0.attn_k.weight"]);
    // The other way round.
    let said = model::open(&pollster::block_on(Gguf::open(&file.source())).unwrap()).expect_err("it is no model").to_string();
    assert!(said.contains("drafter"), "{said}");
}

/// Rows of the projection have two halves, which blocks must not reach across.
fn a_projection_whose_halves_share_blocks_is_told() {
    let target = open("goldens/models/dense-ple-Q4_K_M.gguf");
    let wide = u64::from(target.model.facts().dim);
    let gguf = pollster::block_on(Gguf::open(&File::of(&target, false).source())).unwrap();
    let mut writer = GgufWriter::new(gguf.metadata.clone()).unwrap();
    let shared = GgmlType::from(rullama_quant::DType::Q4K);
    for tensor in &gguf.tensors {
        let kind = if tensor.name.contains("pre_projection") { shared } else { tensor.ggml_type() };
        writer.add(&tensor.name, &tensor.dims, kind).unwrap();
    }
    let bytes = writer.data_bytes() as usize;
    let mut stream = writer.start(Vec::new()).unwrap();
    for tensor in &gguf.tensors {
        let size =
            if tensor.name.contains("pre_projection") { shared.tensor_bytes(&tensor.name, &tensor.dims).unwrap() } else { tensor.bytes() };
        stream.write(&tensor.name, &vec![0; size as usize]).unwrap();
    }
    let file = stream.finish().unwrap();
    assert!(file.len() >= bytes);
    let gguf = pollster::block_on(Gguf::open(&MemorySource::new("drafter", file))).unwrap();
    let result = target.model.drafter(&gguf);
    if wide.is_multiple_of(256) {
        result.unwrap();
    } else {
        assert!(result.expect_err("blocks reach across").to_string().contains("nextn.pre_projection.weight"));
    }
}

rullama_testing::tests! {
    drafts_on_oracles_are_those_of_the_definition,
    drafts_on_the_gpu_are_those_of_the_definition,
    drafts_are_those_of_transformers,
    other_files_are_told,
    a_projection_whose_halves_share_blocks_is_told,
}
