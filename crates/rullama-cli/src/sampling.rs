//! Options of generation: the command line over the store's parameters over the published ones.

use rullama::{GenerateOptions, Sampling};
use rullama_ops::sample::HISTORY;
use rullama_source::ollama::Params;

#[derive(clap::Args)]
#[command(next_help_heading = "Sampling")]
pub struct SamplingArguments {
    /// Randomness; 0 always takes the likeliest token [default: the model's, else 1]
    #[arg(long, value_name = "T")]
    temperature: Option<f32>,
    /// Keep the K likeliest tokens; 0 keeps all [default: the model's, else 64]
    #[arg(long, value_name = "K")]
    top_k: Option<u32>,
    /// Keep the likeliest tokens up to this share of probability [default: the model's, else 0.95]
    #[arg(long, value_name = "P")]
    top_p: Option<f32>,
    /// Drop tokens below this share of the likeliest one's probability
    #[arg(long, value_name = "P")]
    min_p: Option<f32>,
    /// Divide the logits of recent tokens by this; 1 is off
    #[arg(long, value_name = "X")]
    repeat_penalty: Option<f32>,
    /// Lower the logits of recent tokens by this
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    presence_penalty: Option<f32>,
    /// Lower the logits of recent tokens by this for each time they occur
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    frequency_penalty: Option<f32>,
    /// Tokens that the penalties look back on [default: the model's, else 64]
    #[arg(long, value_name = "N")]
    repeat_last_n: Option<u32>,
    /// Draw the same tokens each time, on every backend [default: new ones each time]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Most tokens of an answer [default: until the model ends]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: Option<u32>,
    /// End the answer before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Go on through end tokens, up to --max-tokens
    #[arg(long, requires = "max_tokens")]
    ignore_eos: bool,
}

impl SamplingArguments {
    /// The options for one answer.
    pub fn options(&self, params: Option<&Params>, logprobs: Option<u32>) -> GenerateOptions {
        let stored = params.cloned().unwrap_or_default();
        let published = Sampling::default();
        let whole = |number: Option<i64>| number.map(|n| u32::try_from(n.max(0)).unwrap_or(u32::MAX));
        let look_back =
            stored.repeat_last_n.map(|n| if n < 0 { HISTORY as u32 } else { u32::try_from(n).unwrap_or(u32::MAX).min(HISTORY as u32) });
        let sampling = Sampling {
            temperature: self.temperature.or(stored.temperature).unwrap_or(published.temperature),
            top_k: self.top_k.or(whole(stored.top_k)).unwrap_or(published.top_k),
            top_p: self.top_p.or(stored.top_p).unwrap_or(published.top_p),
            min_p: self.min_p.or(stored.min_p).unwrap_or(published.min_p),
            repeat_penalty: self.repeat_penalty.or(stored.repeat_penalty).unwrap_or(published.repeat_penalty),
            presence_penalty: self.presence_penalty.or(stored.presence_penalty).unwrap_or(published.presence_penalty),
            frequency_penalty: self.frequency_penalty.or(stored.frequency_penalty).unwrap_or(published.frequency_penalty),
            repeat_last_n: self.repeat_last_n.or(look_back).unwrap_or(published.repeat_last_n),
            // A negative seed of the store asks for a new one each time.
            seed: self.seed.or(stored.seed.and_then(|seed| u64::try_from(seed).ok())),
            ..published
        };
        let predict = stored.num_predict.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        GenerateOptions {
            sampling,
            max_tokens: self.max_tokens.or(predict),
            stop: if self.stop.is_empty() { stored.stop } else { self.stop.clone() },
            ignore_eos: self.ignore_eos,
            logprobs,
        }
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
        Line::parse_from([&["x"], line].concat()).sampling.options(params, None)
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
