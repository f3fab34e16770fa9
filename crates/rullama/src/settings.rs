//! From options to what the sampler reads.

use crate::Error;
use crate::options::GenerateOptions;
use rullama_ops::sample::{MAX_TOPS, SampleSettings};

/// The sampler's words for a request. Without a seed one is drawn from the system's randomness.
pub(crate) fn settings(options: &GenerateOptions) -> Result<SampleSettings, Error> {
    let s = &options.sampling;
    s.check()?;
    if let Some(tops) = options.logprobs.filter(|n| *n as usize > MAX_TOPS) {
        return Err(Error::InvalidArgument { name: "logprobs", value: tops.to_string(), reason: format!("is above {MAX_TOPS}") });
    }
    if (options.format.is_some() || options.forced.is_some()) && options.ignore_eos {
        let reason = "goes on behind the end of a `format`. Leave one of the two out".into();
        return Err(Error::InvalidArgument { name: "ignore_eos", value: "true".into(), reason });
    }
    let settings = SampleSettings {
        temperature: s.temperature,
        top_k: s.top_k,
        top_p: s.top_p,
        min_p: s.min_p,
        repeat_penalty: s.repeat_penalty,
        presence_penalty: s.presence_penalty,
        frequency_penalty: s.frequency_penalty,
        repeat_last_n: s.repeat_last_n,
        logprobs: options.logprobs.map_or(0, |n| n + 1),
        masked: u32::from(options.format.is_some() || options.forced.is_some()),
        ..Default::default()
    };
    Ok(settings.seed(s.seed.unwrap_or_else(fresh_seed)))
}

/// A seed that differs from call to call: the standard library's hasher keys are random.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    let now = web_time::SystemTime::now().duration_since(web_time::UNIX_EPOCH).unwrap_or_default();
    hasher.write_u128(now.as_nanos());
    hasher.finish()
}
