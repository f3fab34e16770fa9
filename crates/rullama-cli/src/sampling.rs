//! Options of generation: the command line over the store's parameters over the published ones.

use anyhow::{Context, Result};
use rullama::{GenerateOptions, PENALTIES, REPEAT_PENALTIES, Sampling};
use rullama_ops::sample::HISTORY;
use rullama_source::ollama::{Params, Resolved};
use std::ops::RangeInclusive;

#[derive(clap::Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArguments {
    /// Randomness; 0 always takes the likeliest token [default: the model's, else 1]
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = temperature)]
    temperature: Option<f32>,
    /// Keep the K likeliest tokens; 0 keeps all [default: the model's, else 64]
    #[arg(long, value_name = "K", allow_negative_numbers = true, value_parser = top_k)]
    top_k: Option<u32>,
    /// Keep the likeliest tokens up to this share of probability [default: the model's, else 0.95]
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = share)]
    top_p: Option<f32>,
    /// Drop tokens below this share of the likeliest one's probability
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = share)]
    min_p: Option<f32>,
    /// Divide the logits of recent tokens by this; 1 is off
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = divisor)]
    repeat_penalty: Option<f32>,
    /// Lower the logits of recent tokens by this
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = penalty)]
    presence_penalty: Option<f32>,
    /// Lower the logits of recent tokens by this for each time they occur
    #[arg(long, value_name = "X", allow_negative_numbers = true, value_parser = penalty)]
    frequency_penalty: Option<f32>,
    /// Tokens that the penalties look back on; -1 is the most there are [default: the model's, else 64]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = look_back)]
    repeat_last_n: Option<u32>,
    /// Draw the same tokens each time, on every backend; -1 draws new ones [default: the model's, else -1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = seed)]
    seed: Option<Seed>,
    /// Most tokens of an answer [default: until the model ends]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// End the answer before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Go on through end tokens, up to --max-tokens or a full context
    #[arg(long)]
    ignore_eos: bool,
}

/// `None` draws new tokens each time.
#[derive(Debug, Clone, Copy)]
struct Seed(Option<u64>);

fn within(text: &str, range: RangeInclusive<f32>) -> Result<f32, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("give a number from {} to {}", range.start(), range.end()))
}

fn temperature(text: &str) -> Result<f32, String> {
    within(text, 0.0..=f32::MAX).map_err(|_| "give a number of at least 0".to_owned())
}

fn share(text: &str) -> Result<f32, String> {
    within(text, 0.0..=1.0)
}

fn penalty(text: &str) -> Result<f32, String> {
    within(text, PENALTIES)
}

fn divisor(text: &str) -> Result<f32, String> {
    within(text, REPEAT_PENALTIES)
}

/// Like Ollama: 0 and less keep all.
fn top_k(text: &str) -> Result<u32, String> {
    let number: i64 = text.parse().map_err(|_| "give a whole number".to_owned())?;
    u32::try_from(number.max(0)).map_err(|_| format!("give at most {}", u32::MAX))
}

fn look_back(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(-1) => Ok(HISTORY as u32),
        Ok(number @ 0..) if number <= HISTORY as i64 => Ok(number as u32),
        _ => Err(format!("give a whole number from 0 to {HISTORY}, or -1")),
    }
}

/// Like Ollama: what is negative draws anew.
fn seed(text: &str) -> Result<Seed, String> {
    let number: i128 = text.parse().map_err(|_| "give a whole number".to_owned())?;
    match u64::try_from(number.max(0)) {
        Ok(seed) => Ok(Seed((number >= 0).then_some(seed))),
        Err(_) => Err(format!("give at most {}", u64::MAX)),
    }
}

/// A token id of a list, with blanks around it as people type them.
pub fn token_id(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| "give token ids, such as 2,105,2364".to_owned())
}

/// Refuses ids that the model does not have.
///
/// # Errors
/// [`crate::error::Usage`].
pub fn check_ids(ids: &[u32], vocab: u32) -> anyhow::Result<()> {
    match ids.iter().find(|id| **id >= vocab) {
        Some(id) => Err(crate::error::usage(format!("--ids: {id} is outside the vocabulary of {vocab}."))),
        None => Ok(()),
    }
}

impl SamplingArguments {
    /// The options for one answer of a model, with those of its store where nothing else is asked for.
    ///
    /// # Errors
    /// Stored ones that are out of range.
    pub fn options(&self, stored: Option<&Resolved>, logprobs: Option<u32>) -> Result<GenerateOptions> {
        let options = self.merged(stored.map(|stored| &stored.params), logprobs);
        // What the command line says was checked as it was read.
        options.sampling.check().with_context(|| {
            let name = stored.map(|stored| stored.name.to_string()).unwrap_or_default();
            format!("the parameters stored with {name} cannot be used. Give the option of this name, or correct its Modelfile")
        })?;
        Ok(options)
    }

    fn merged(&self, params: Option<&Params>, logprobs: Option<u32>) -> GenerateOptions {
        let stored = of_params(params.cloned().unwrap_or_default());
        let published = stored.sampling;
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(published.temperature),
            top_k: self.top_k.unwrap_or(published.top_k),
            top_p: self.top_p.unwrap_or(published.top_p),
            min_p: self.min_p.unwrap_or(published.min_p),
            repeat_penalty: self.repeat_penalty.unwrap_or(published.repeat_penalty),
            presence_penalty: self.presence_penalty.unwrap_or(published.presence_penalty),
            frequency_penalty: self.frequency_penalty.unwrap_or(published.frequency_penalty),
            repeat_last_n: self.repeat_last_n.unwrap_or(published.repeat_last_n),
            seed: self.seed.map_or(published.seed, |Seed(seed)| seed),
            ..published
        };
        GenerateOptions {
            sampling,
            max_tokens: self.max_tokens.or(stored.max_tokens),
            stop: if self.stop.is_empty() { stored.stop } else { self.stop.clone() },
            ignore_eos: self.ignore_eos,
            logprobs,
            format: None,
            forced: None,
        }
    }
}

/// What parameters in Ollama's form come to; those that are not given are the published ones.
pub fn of_params(params: Params) -> GenerateOptions {
    let published = Sampling::default();
    // Like Ollama: 0 and less keep all, look back over all there is, draw anew, set no limit.
    let whole = |number: Option<i64>| number.map(|n| u32::try_from(n.max(0)).unwrap_or(u32::MAX));
    let look_back = |n: i64| if n < 0 { HISTORY as u32 } else { u32::try_from(n).unwrap_or(u32::MAX).min(HISTORY as u32) };
    let sampling = Sampling {
        temperature: params.temperature.unwrap_or(published.temperature),
        top_k: whole(params.top_k).unwrap_or(published.top_k),
        top_p: params.top_p.unwrap_or(published.top_p),
        min_p: params.min_p.unwrap_or(published.min_p),
        repeat_penalty: params.repeat_penalty.unwrap_or(published.repeat_penalty),
        presence_penalty: params.presence_penalty.unwrap_or(published.presence_penalty),
        frequency_penalty: params.frequency_penalty.unwrap_or(published.frequency_penalty),
        repeat_last_n: params.repeat_last_n.map_or(published.repeat_last_n, look_back),
        seed: params.seed.and_then(|seed| u64::try_from(seed).ok()),
        ..published
    };
    let max_tokens = params.num_predict.filter(|n| *n > 0).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    GenerateOptions { sampling, max_tokens, stop: params.stop, ..GenerateOptions::default() }
}

/// A request's parameters over those stored with the model.
pub fn over(asked: Params, stored: Option<&Params>) -> Params {
    let stored = stored.cloned().unwrap_or_default();
    Params {
        temperature: asked.temperature.or(stored.temperature),
        top_k: asked.top_k.or(stored.top_k),
        top_p: asked.top_p.or(stored.top_p),
        min_p: asked.min_p.or(stored.min_p),
        typical_p: asked.typical_p.or(stored.typical_p),
        repeat_last_n: asked.repeat_last_n.or(stored.repeat_last_n),
        repeat_penalty: asked.repeat_penalty.or(stored.repeat_penalty),
        presence_penalty: asked.presence_penalty.or(stored.presence_penalty),
        frequency_penalty: asked.frequency_penalty.or(stored.frequency_penalty),
        seed: asked.seed.or(stored.seed),
        num_predict: asked.num_predict.or(stored.num_predict),
        num_ctx: asked.num_ctx.or(stored.num_ctx),
        num_keep: asked.num_keep.or(stored.num_keep),
        stop: if asked.stop.is_empty() { stored.stop } else { asked.stop },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        sampling: SamplingArguments,
    }

    fn options(line: &[&str], params: Option<&Params>) -> GenerateOptions {
        Line::parse_from([&["x"], line].concat()).sampling.merged(params, None)
    }

    #[test]
    fn what_is_refused() {
        let parse = |line: [&str; 2]| Line::try_parse_from(["x", line[0], line[1]]).map(|line| line.sampling.merged(None, None).sampling);
        for (name, values) in [
            ("--temperature", &["nan", "inf", "-1"][..]),
            ("--top-p", &["1.5", "-0.1", "nan"]),
            ("--min-p", &["2", "-1"]),
            ("--repeat-penalty", &["0", "inf", "nan", "-1", "1e-45", "1e9"]),
            ("--presence-penalty", &["nan", "inf", "3e38"]),
            ("--frequency-penalty", &["nan", "101", "-1e4"]),
            ("--repeat-last-n", &["1000000000", "-2"]),
            ("--seed", &["x", "18446744073709551616"]),
        ] {
            for value in values {
                let error = parse([name, value]).unwrap_err().to_string();
                assert!(error.contains("invalid value"), "{name} {value}: {error}");
            }
        }
        assert_eq!(parse(["--top-k", "-1"]).unwrap().top_k, 0);
        assert_eq!(parse(["--seed", "-1"]).unwrap().seed, None);
        assert_eq!(parse(["--repeat-last-n", "-1"]).unwrap().repeat_last_n, HISTORY as u32);
        assert!(options(&["--ignore-eos"], None).ignore_eos);
        assert_eq!(token_id(" 105"), Ok(105));
    }

    #[test]
    fn who_decides() {
        assert_eq!(options(&[], None).sampling, Sampling::default());
        let json = br#"{"temperature": 0.5, "top_k": 7, "seed": -1, "repeat_last_n": -1, "num_predict": -1, "stop": ["a"]}"#;
        let params = Params::parse(json).unwrap();
        let stored = options(&[], Some(&params));
        assert_eq!((stored.sampling.temperature, stored.sampling.top_k, stored.sampling.seed), (0.5, 7, None));
        assert_eq!((stored.sampling.top_p, stored.sampling.repeat_last_n), (0.95, HISTORY as u32));
        assert_eq!((stored.max_tokens, stored.stop), (None, vec!["a".to_owned()]));
        let asked = options(&["--temperature", "0", "--seed", "3", "--stop", "b", "--max-tokens", "9"], Some(&params));
        assert_eq!((asked.sampling.temperature, asked.sampling.seed, asked.sampling.top_k), (0.0, Some(3), 7));
        assert_eq!((asked.max_tokens, asked.stop), (Some(9), vec!["b".to_owned()]));
    }
}
