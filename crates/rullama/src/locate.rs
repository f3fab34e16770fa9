//! Finds the layer that first produced a value that is not a number.

use crate::{Error, Session};
use rullama_model::gemma4::Rows;

/// Runs the last token again with every hidden state kept, and names the first bad one.
pub(crate) async fn first_bad_layer(session: &mut Session) -> Result<Error, Error> {
    let Some(&id) = session.tokens.last() else { return Ok(Error::NotANumber { place: "the logits".into() }) };
    let position = session.position() - 1;
    let layers = session.engine().0.config.layers.len();
    let plan = session.runner.chunk(&[id], position, Rows::Last, None, true).await?;
    let names =
        std::iter::once("embed_scaled".to_string()).chain((0..layers).map(|i| format!("layer_{i}"))).chain(["final_norm".to_string()]);
    let taps: Vec<_> = names.filter_map(|name| plan.output(&name).cloned().map(|tensor| (name, tensor))).collect();
    for (name, tensor) in taps {
        let values = session.runner.read(&tensor, 1).await?;
        if values.iter().any(|v| !v.is_finite()) {
            return Ok(Error::NotANumber { place: name.replace('_', " ") });
        }
    }
    Ok(Error::NotANumber { place: "the logits".into() })
}
