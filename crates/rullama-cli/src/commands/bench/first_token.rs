//! How long a conversation waits for an answer to begin: a new message behind what is read already.

use super::{Arguments, HUNDREDTHS, WARM_UPS, on, once, spread};
use anyhow::{Result, bail};
use rullama::{Cancel, Session};
use serde_json::{Value, json};

/// Milliseconds of each run from the message to the first token of its answer.
pub(super) async fn measure(arguments: &Arguments, session: &mut Session, kept: u32, cancel: &Cancel) -> Result<Vec<f64>> {
    once(arguments, session, (kept, 1), 0, cancel).await?;
    let mut waits = Vec::new();
    for round in 0..WARM_UPS + arguments.runs {
        session.truncate(kept).await?;
        let answer = on(arguments, session, (kept + arguments.new, 1), 0, cancel).await?;
        if answer.timings.prefilled_tokens != arguments.new {
            bail!("{} tokens were read in place of {} new ones.", answer.timings.prefilled_tokens, arguments.new);
        }
        if round >= WARM_UPS {
            waits.push(answer.timings.first_token_s * 1e3);
        }
    }
    Ok(waits)
}

pub(super) fn record(kept: u32, new: u32, waits: &[f64]) -> Value {
    let (ms, ms_spread) = spread(waits, HUNDREDTHS);
    json!({"kept": kept, "new": new, "ms": ms, "ms_spread": ms_spread})
}

pub(super) fn summary(record: &Value) -> String {
    let Some(took) = record.get("first_token") else { return String::new() };
    let [ms, kept, new] = ["ms", "kept", "new"].map(|key| took[key].as_f64().unwrap_or_default());
    format!("answer    begins {ms:.1} ms after a message of {new} tokens behind {kept}\n")
}
