//! Finds the layer that first produced a value that is not a number.

use crate::prompt::PromptStep;
use crate::runner::Chunk;
use crate::{Cancel, Error, Session};
use rullama_model::model::Rows;

/// Runs the last token again with every hidden state kept, and names the first bad one.
pub(crate) async fn first_bad_layer(session: &mut Session) -> Result<Error, Error> {
    let Some(id) = session.sequence.pop() else { return Ok(Error::NotANumber { place: "the logits".into() }) };
    session.runner.set_position(session.position());
    let names = session.engine().0.loaded.model.taps();
    let step = PromptStep::of_tokens(vec![id]);
    let chunk = Chunk { step: &step, rows: Rows::Last, sampler: None, taps: true };
    let outputs = session.runner.chunk(chunk, &Cancel::new(), &names).await?;
    session.sequence.extend(&[id]);
    let bad = |(_, values): &&(String, Vec<f32>)| values.iter().any(|v| !v.is_finite());
    let place = outputs.iter().find(bad).map_or("the logits".to_string(), |(name, _)| name.replace('_', " "));
    Ok(Error::NotANumber { place })
}
