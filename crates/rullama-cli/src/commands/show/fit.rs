//! What a model takes on this machine's GPU.

use crate::table::{self, Table};
use anyhow::Result;
use rullama::{DEFAULT_CONTEXT, cache_shape};
use rullama_gpu::{Device, OpenOptions};
use rullama_model::kv_cache::{CacheShape, buffer_bytes};
use rullama_model::model::Model;
use rullama_model::pace::MAX_BLOCK;
use rullama_model::rows::CACHE_BYTES;
use rullama_ops::KvType;
use std::fmt::Write;

/// Bytes of weights, without and of the per-layer table, and of caches at a context.
#[derive(Debug, PartialEq, Eq)]
struct Needs {
    weights: u64,
    per_layer: u64,
    /// Of `weights`, those of experts, and those of as many of each layer as a token goes to.
    experts: u64,
    experts_used: u64,
    caches: u64,
    /// The largest single cache buffer.
    largest_cache: u64,
    /// How much caches grow for pictures of 560 and of 1,120 soft tokens, where one is seen in one step.
    large_pictures: Option<[u64; 2]>,
}

fn needs(model: &dyn Model, context: u32, kv: KvType) -> Needs {
    let streamed = model.streamed().map(|streamed| streamed.key);
    let specs = || model.specs().weights.iter();
    let bytes = |table: bool| specs().filter(|spec| (Some(spec.key.as_str()) == streamed) == table).map(|spec| spec.bytes()).sum();
    let experts = specs().filter(|spec| spec.expert_rows().is_some()).map(|spec| spec.bytes()).sum();
    let facts = model.facts();
    let usual = cache_shape(kv, context);
    let buffers = buffer_bytes(&model.caches(), usual, context);
    let caches = buffers.iter().sum();
    let grown = |chunk| buffer_bytes(&model.caches(), CacheShape { chunk, ..usual }, context).iter().sum::<u64>() - caches;
    Needs {
        weights: bytes(false),
        per_layer: bytes(true),
        experts,
        experts_used: experts / u64::from(facts.experts.max(1)) * u64::from(facts.experts_used),
        caches,
        largest_cache: buffers.into_iter().max().unwrap_or_default(),
        large_pictures: facts.blocks.then(|| [560_u32.next_multiple_of(64), MAX_BLOCK].map(grown)),
    }
}

/// The report in lines.
pub fn report(model: &dyn Model, context: Option<u32>, kv: KvType) -> Result<String> {
    let trained = model.facts().context;
    let context = context.unwrap_or(trained.min(DEFAULT_CONTEXT));
    let needs = needs(model, context, kv);
    let mut table = Table::new(&["on the GPU", ">size"]);
    table.row(["weights".to_owned(), table::bytes(needs.weights)]);
    if needs.experts > 0 {
        let least = table::bytes(needs.experts_used);
        table.row([format!("of these, experts (may stay in the file; {least} at least are on the GPU)"), table::bytes(needs.experts)]);
    }
    if needs.per_layer > 0 {
        table.row(["per-layer embeddings (may stay in the file)".to_owned(), table::bytes(needs.per_layer)]);
    }
    table.row([format!("keys and values of {} tokens", table::count(context.into())), table::bytes(needs.caches)]);
    table.row(["all".to_owned(), table::bytes(needs.weights + needs.per_layer + needs.caches)]);
    let mut text = table.render();
    if let Some([half, whole]) = needs.large_pictures.map(|more| more.map(table::bytes)) {
        writeln!(text, "Keys and values take {half} more once a picture of 560 tokens comes, {whole} more with one of 1,120.")?;
    }
    if context > trained {
        writeln!(text, "The model was trained for {} tokens: a longer context is refused.", table::count(trained.into()))?;
    }
    match pollster::block_on(Device::open(&OpenOptions::default())) {
        Ok(device) => text.push_str(&verdict(&device, &needs)),
        Err(error) => writeln!(text, "Does it fit here? No GPU can be asked: {error}")?,
    }
    Ok(text)
}

/// What the adapter's limits and memory say.
fn verdict(device: &Device, needs: &Needs) -> String {
    let caps = device.caps();
    let mut text = format!("Adapter: {} ({})\n", device.name(), device.backend());
    if needs.largest_cache > caps.max_binding {
        let _ = writeln!(
            text,
            "Does it fit here? No: a cache of {} exceeds the adapter's bindings of {}. Choose a shorter context.",
            table::bytes(needs.largest_cache),
            table::bytes(caps.max_binding)
        );
        return text;
    }
    let all = needs.weights + needs.per_layer + needs.caches;
    let rows = CACHE_BYTES.min(needs.per_layer);
    let streamed = needs.weights - needs.experts + needs.experts_used + rows + needs.caches;
    let in_file = match (needs.per_layer, needs.experts) {
        (_, 0) => "the per-layer embeddings in the file (--ple streamed)",
        (0, _) => "most experts in the file (--experts streamed)",
        _ => "the per-layer embeddings and most experts in the file (--ple streamed --experts streamed)",
    };
    // WebGPU does not tell how much memory a card has; an adapter without its own shares the host's.
    let available = if device.discrete() { None } else { host_memory() };
    let _ = match available {
        Some(free) if all <= free => {
            writeln!(text, "Does it fit here? Yes: {} of the {} that are free.", table::bytes(all), table::bytes(free))
        }
        Some(free) if streamed <= free => {
            writeln!(text, "Does it fit here? Yes, with {in_file}: {} of the {} that are free.", table::bytes(streamed), table::bytes(free))
        }
        Some(free) => writeln!(
            text,
            "Does it fit here? No: {} are needed, {} are free. Choose a smaller quantisation or context.",
            table::bytes(streamed),
            table::bytes(free)
        ),
        None if streamed < all => {
            writeln!(text, "Does it fit here? If the adapter has {} free, or {} with {in_file}.", table::bytes(all), table::bytes(streamed))
        }
        None => writeln!(text, "Does it fit here? If the adapter has {} free.", table::bytes(all)),
    };
    text
}

/// Memory that the host has free, where the system says so (Linux).
fn host_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::open;

    #[test]
    fn keys_and_values_take_what_their_type_says() {
        let (_, gguf) = open(rullama_testing::golden("models/dense-Q4_0.gguf").as_os_str()).unwrap();
        let model = rullama_model::model::open(&gguf).unwrap();
        let [half, eight] = [KvType::F16, KvType::Q8].map(|kv| needs(&*model, 4096, kv));
        assert_eq!((eight.caches * 64, eight.largest_cache * 64), (half.caches * 34, half.largest_cache * 34));
        assert_eq!(eight.weights, half.weights);
        let shown = report(&*model, Some(4096), KvType::Q8).unwrap();
        let row = shown.lines().find(|line| line.contains("keys and values of 4,096 tokens")).unwrap();
        assert!(row.ends_with(&table::bytes(eight.caches)), "{row}");
    }
}
