//! The mixes against the rules' text and the type counts of published files.

use std::collections::BTreeMap;

use rullama_quant::DType;
use rullama_quant::mix::{Mix, Tally, target};

type Tensors = Vec<(String, Vec<u64>)>;

/// The matrices of a 26B-A4B model: 30 layers, every sixth without a value projection.
fn experts_model() -> Tensors {
    let mut tensors = vec![("token_embd.weight".to_owned(), vec![2816, 262144])];
    for i in 0..30 {
        let mut add = |part: &str, dims: &[u64]| tensors.push((format!("blk.{i}.{part}.weight"), dims.to_vec()));
        add("attn_q", &[2816, 4096]);
        add("attn_k", &[2816, 2048]);
        if i % 6 != 5 {
            add("attn_v", &[2816, 2048]);
        }
        add("attn_output", &[4096, 2816]);
        add("ffn_gate", &[2816, 2112]);
        add("ffn_up", &[2816, 2112]);
        add("ffn_down", &[2112, 2816]);
        add("ffn_gate_up_exps", &[2816, 1408, 128]);
        add("ffn_down_exps", &[704, 2816, 128]);
        add("ffn_gate_inp", &[2816, 128]);
        add("attn_norm", &[2816]);
    }
    tensors
}

fn counts(mix: Mix, tensors: &Tensors) -> BTreeMap<DType, usize> {
    let mut tally = Tally::new(tensors.iter().map(|(name, _)| name.as_str()));
    let mut counts = BTreeMap::new();
    for (name, dims) in tensors {
        *counts.entry(target(mix, name, dims, DType::F32, &mut tally)).or_default() += 1;
    }
    counts
}

fn q4_k_m_has_the_type_counts_of_published_files() {
    let expected = [(DType::F32, 60), (DType::Q5_0, 32), (DType::Q8_0, 28), (DType::Q4K, 192), (DType::Q6K, 14)];
    assert_eq!(counts(Mix::Q4KM, &experts_model()), BTreeMap::from(expected));
}

fn q4_k_s_lifts_the_first_layers() {
    // Value projections 0..4 become Q5_K; down projections 0..3 would, and fall back to Q5_1.
    let expected = [(DType::F32, 60), (DType::Q5_1, 6), (DType::Q5_0, 54), (DType::Q5K, 4), (DType::Q6K, 1), (DType::Q4K, 201)];
    assert_eq!(counts(Mix::Q4KS, &experts_model()), BTreeMap::from(expected));
}

fn plain_mixes_have_one_format() {
    for (mix, dtype) in [(Mix::Q8_0, DType::Q8_0), (Mix::F16, DType::F16), (Mix::BF16, DType::BF16)] {
        assert_eq!(counts(mix, &experts_model()), BTreeMap::from([(DType::F32, 60), (dtype, 266)]));
    }
    assert_eq!(counts(Mix::Q4_0, &experts_model()), BTreeMap::from([(DType::F32, 60), (DType::Q6K, 1), (DType::Q4_0, 265)]));
}

fn some_tensors_keep_their_format() {
    let matrix: &[u64] = &[256, 256];
    for (name, dims) in [
        ("v.blk.0.attn_q.weight", matrix),
        ("a.blk.0.ffn_up.weight", matrix),
        ("mm.input_projection.weight", matrix),
        ("per_layer_token_embd.weight", matrix),
        ("blk.0.ffn_gate_inp.weight", matrix),
        ("blk.0.attn_q_norm.weight", matrix),
        ("blk.0.attn_q.bias", matrix),
        ("blk.0.layer_output_scale.weight", &[1]),
        ("rope_freqs.weight", &[256]),
    ] {
        assert_eq!(target(Mix::Q4KM, name, dims, DType::BF16, &mut Tally::new([name])), DType::BF16, "{name}");
    }
}

fn rows_that_do_not_divide_fall_back() {
    for (name, cols, expected) in [
        ("blk.5.attn_q.weight", 96, DType::Q5_0),
        ("blk.5.attn_q.weight", 80, DType::F16),
        ("token_embd.weight", 96, DType::Q8_0),
        ("token_embd.weight", 80, DType::F16),
        ("token_embd.weight", 512, DType::Q6K),
    ] {
        let mut tally = Tally::new([name]);
        assert_eq!(target(Mix::Q4KM, name, &[cols, 64], DType::F32, &mut tally), expected, "{name} {cols}");
    }
    let mut tally = Tally::new(["output.weight", "token_embd.weight"]);
    assert_eq!(target(Mix::Q4KM, "token_embd.weight", &[512, 64], DType::F32, &mut tally), DType::Q4K, "a head of its own");
}

fn labels_name_the_mixes() {
    for &mix in Mix::ALL {
        assert_eq!(Mix::from_label(&mix.label().to_lowercase()), Some(mix));
    }
    assert_eq!(Mix::from_label("Q4_K_M"), Some(Mix::Q4KM));
    assert_eq!(Mix::from_label("Q4_K"), None);
}

rullama_testing::tests! {
    q4_k_m_has_the_type_counts_of_published_files,
    q4_k_s_lifts_the_first_layers,
    plain_mixes_have_one_format,
    some_tensors_keep_their_format,
    rows_that_do_not_divide_fall_back,
    labels_name_the_mixes,
}
