//! Embeddings of the texts of a request.

use super::models::Models;
use super::work::{Done, EmbedAsk, Part, Work};
use crate::serve::api::Failure;
use rullama::ErrorCode;
use rullama::queue::Turn;

/// Embeds the texts; without any the model is only loaded.
pub async fn embed(models: &mut Models, turn: &Turn<Work>, ask: &EmbedAsk) -> Result<Done, Failure> {
    let (work, waited) = (&turn.work, turn.work.asked.elapsed());
    let (embedder, load) = models.embedder(&work.wanted, &turn.cancel).await?;
    let result = embedder.embed(&ask.texts, &ask.options, &turn.cancel).await;
    // A device that is gone takes its model along; the next request loads it anew.
    if result.as_ref().is_err_and(|error| ErrorCode::from(error) == ErrorCode::DeviceLost) {
        models.unload(&work.wanted.name);
    }
    let embeddings = result.map_err(|error| Failure::from(&error))?;
    let _ = work.out.send(Part::Embedded(embeddings));
    Ok(Done { answer: None, waited, load })
}
