//! Messages with the options' names as a caller knows them.

use crate::checkpoint::CheckpointError;
use crate::data::DataError;
use crate::{OptionError, TrainError, TrainOptions};

impl TrainError {
    /// The message with options by other names, as `maxLen` for `max_len`. What a caller or a file wrote stays as it is.
    pub fn told(&self, rename: &dyn Fn(&str) -> String) -> String {
        let own = |text: &str| renamed(text, rename);
        match self {
            TrainError::Option(OptionError { name, value, allowed }) => crate::error::option(&own(name), value, &own(allowed)),
            TrainError::Checkpoint(CheckpointError::Other { what, saved, given, remedy }) => {
                crate::checkpoint::other(&own(what), saved, given, remedy)
            }
            // All words of these are ours.
            TrainError::Memory { .. }
            | TrainError::Value { .. }
            | TrainError::TooLong { .. }
            | TrainError::Checkpoint(CheckpointError::NotANumber { .. })
            | TrainError::Data(DataError::TooFewToSplit { .. } | DataError::LongerThanRow { .. }) => own(&self.to_string()),
            _ => self.to_string(),
        }
    }
}

/// Renames the words of a text that are names of options.
fn renamed(text: &str, rename: &dyn Fn(&str) -> String) -> String {
    let options = serde_json::to_value(TrainOptions::default()).unwrap_or_default();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let runs = text.char_indices().collect::<Vec<_>>();
    let runs = runs.chunk_by(|(_, a), (_, b)| word(*a) && word(*b));
    let of = |run: &[(usize, char)]| {
        let run: String = run.iter().map(|(_, c)| c).collect();
        if options.get(&run).is_some() { rename(&run) } else { run }
    };
    runs.map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Activations, parse_layers, parse_modules};

    fn told(error: impl Into<TrainError>) -> String {
        error.into().told(&|name| name.to_uppercase())
    }

    #[test]
    fn names_of_options_are_the_callers() {
        let error = TrainOptions { max_len: 4, ..Default::default() }.check().unwrap_err();
        assert_eq!(told(error), "`MAX_LEN` is 4; it must be 8 to 131072");
        let error = TrainOptions { min_lr_ratio: 2.0, ..Default::default() }.check().unwrap_err();
        assert_eq!(told(error), "`MIN_LR_RATIO` is 2; it must be 0 to 1, a share of `LR`");
        assert!(told(TrainError::TooLong { tokens: 9, most: 8 }).ends_with("larger MAX_LEN"));
        assert!(told(DataError::LongerThanRow { line: 1, tokens: 9, most: 8 }).ends_with("`MAX_LEN`"));
        let memory = |kept| TrainError::Memory { tokens: 9, need: 6, weights: 1, trained: 2, activations: 3, budget: 5, kept };
        let [exact, halves] = [Activations::F32, Activations::F16].map(|kept| told(memory(kept)));
        assert!(exact.ends_with("smaller MAX_LEN or RANK, fewer TARGETS or LAYERS, ACTIVATIONS f16, or a larger memory budget"), "{exact}");
        assert!(!halves.contains("ACTIVATIONS"), "{halves}");
    }

    #[test]
    fn what_a_caller_wrote_stays() {
        let error = parse_modules("max_len").unwrap_err();
        assert!(told(error.clone()).starts_with("`TARGETS` is max_len; known are q_proj"), "{error}");
        assert!(told(parse_layers("max_len-eval_every", 4).unwrap_err()).starts_with("`LAYERS` is max_len-eval_every;"));
        let [saved, given] = ["a max_len model", "my_warmup_steps `lr`"].map(str::to_owned);
        let error = |what: &str| CheckpointError::Other { what: what.into(), saved: saved.clone(), given: given.clone(), remedy: "Do." };
        assert_eq!(
            told(error("option `warmup_steps`")),
            "the checkpoint belongs to another option `WARMUP_STEPS`: it has a max_len model, this training my_warmup_steps `lr`. Do."
        );
        assert_eq!(error("model").to_string(), told(error("model")));
        let reason = "none of `messages`; it has `max_len`, `lr`".to_owned();
        assert!(told(DataError::NoExamples { lines: 1, line: 1, reason: reason.clone() }).contains(&reason));
    }
}
