//! How long a conversation waits for an answer to begin: a new message behind what is read already.

use super::{Arguments, WARM_UPS, on, once, spread};
use anyhow::{Result, bail};
use rullama::{Cancel, Session};
use serde_json::{Value, json};

/// Parts of a second in a record: hundredths of milliseconds.
const PARTS: f64 = 1e5;

/// Seconds of each run from the message to the first token of its answer.
pub(super) async fn measure(arguments: &Arguments, session: &mut Session, kept: u32, cancel: &Cancel) -> Result<Vec<f64>> {
    once(arguments, session, (kept, 1), 0, cancel).await?;
    let mut seconds = Vec::new();
    for round in 0..WARM_UPS + arguments.runs {
        session.truncate(kept).await?;
        let answer = on(arguments, session, (kept + arguments.new, 1), 0, cancel).await?;
        if answer.timings.prefilled_tokens != arguments.new {
            bail!("{} tokens were read in place of {} new ones.", answer.timings.prefilled_tokens, arguments.new);
        }
        if round >= WARM_UPS {
            seconds.push(answer.timings.first_token_s);
        }
    }
    Ok(seconds)
}

pub(super) fn record(kept: u32, new: u32, seconds: &[f64]) -> Value {
    let (median, spread) = spread(seconds, PARTS);
    json!({"kept": kept, "new": new, "ms": median * 1e3, "ms_spread": spread.map(|seconds| seconds * 1e3)})
}

pub(super) fn summary(record: &Value) -> String {
    let Some(took) = record.get("first_token") else { return String::new() };
    let [ms, kept, new] = ["ms", "kept", "new"].map(|key| took[key].as_f64().unwrap_or_default());
    format!("answer    begins {ms:.1} ms after a message of {new} tokens behind {kept}\n")
}
