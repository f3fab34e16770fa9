//! One answer: the prompt of a request on its model, and what becomes of the tokens.

use super::models::{Chat, Models};
use super::work::{Ask, Conversation, Done, Ended, Part, Prompt, Work, context_of};
use crate::serve::api::{Failure, format};
use crate::{media, sampling};
use rullama::queue::Turn;
use rullama::text::chat::{self, Message, Role};
use rullama::text::{Event, Segment, Specials};
use rullama::{Engine, Error, ErrorCode, Fit, Gallery, GenerateOptions, Pieces, Token, is_system};
use rullama_source::ollama::{Params, Resolved};

/// Answers a request; all but the last part is sent as it comes.
pub async fn answer(models: &mut Models, turn: &Turn<Work>, ask: &Ask) -> Result<Done, Failure> {
    let (work, waited) = (&turn.work, turn.work.asked.elapsed());
    let stored = work.wanted.located.stored.as_ref();
    let params = sampling::over(ask.params.clone(), stored.map(|stored| &stored.params));
    let context = context_of(params.num_ctx);
    let (model, load) = models.get(&work.wanted, context, &turn.cancel).await?;
    let result = on(model, turn, ask, params, context).await;
    match result {
        Ok(ended) => Ok(Done { answer: Some(ended), waited, load }),
        Err(error) => {
            // A device that is gone takes its model along; the next request loads it anew.
            if ErrorCode::from(&error) == ErrorCode::DeviceLost {
                models.unload(&work.wanted.name);
            }
            let of_format = ask.format.as_ref().and_then(|asked| format::of_error(asked, &error));
            Err(of_format.unwrap_or_else(|| Failure::from(&error)))
        }
    }
}

async fn on(model: &mut Chat, turn: &Turn<Work>, ask: &Ask, params: Params, context: Option<u32>) -> Result<Ended, Error> {
    let engine = model.sessions.engine().clone();
    let context = context.map_or(engine.info().context, |asked| asked.min(engine.info().context));
    let mut options = GenerateOptions { logprobs: ask.logprobs, ..sampling::of_params(params) };
    options.format = ask.format.as_ref().map(|asked| asked.format.clone());
    options.forced.clone_from(&ask.forced);
    options.sampling.logit_bias.clone_from(&ask.logit_bias);
    let mut messages = Vec::new();
    options.sampling.check()?;
    let mut fit = Fit { engine: &engine, context, longest: model.longest, gallery: Gallery::default() };
    let prompt = match &ask.prompt {
        Prompt::Raw(text) => fit.prompt(vec![Segment::Template(text.clone())])?,
        Prompt::Ids(ids) => fit.known("prompt", ids)?.into(),
        Prompt::Chat(asked) => {
            fit.known("context", &asked.before)?;
            messages = with_stored(asked, turn.work.wanted.located.stored.as_ref());
            fit.gallery = media::gallery(&engine, &messages, &turn.cancel).await?;
            let (prompt, kept) = fit.conversation(&conversation(&engine, asked, &messages), &asked.before, asked.truncate)?;
            messages = kept;
            prompt
        }
    };
    fit.leave_room(&prompt, &mut options)?;
    let _ = turn.work.out.send(Part::Begun);
    let mut pieces = Pieces::new(&engine, &turn.cancel, ask.one_call);
    let mut send = |token: Option<&Token>, events| {
        if let Some(piece) = pieces.piece(token, events) {
            let _ = turn.work.out.send(Part::Piece(piece));
        }
    };
    let summary = match &ask.prompt {
        Prompt::Chat(asked) => {
            let conversation = conversation(&engine, asked, &messages);
            model.sessions.answer(&conversation, &prompt, &options, &turn.cancel, &mut send).await?
        }
        _ => {
            let mut on_token = |token: &Token| send(Some(token), vec![Event::Content(token.text.clone())]);
            model.sessions.generate_prompt(&prompt, Specials::Hide, &options, &turn.cancel, &mut on_token).await?
        }
    };
    // Nobody asked for an end here, unless the request did.
    let reason = pieces.reason(summary.finish).ok_or(Error::Cancelled)?;
    let context = prompt.ids().iter().chain(&summary.ids).copied().collect();
    Ok(Ended { summary, reason, context })
}

fn conversation<'a>(engine: &Engine, asked: &'a Conversation, messages: &'a [Message]) -> chat::Conversation<'a> {
    chat::Conversation { messages, tools: &asked.tools, thinking: asked.thinking, size: engine.template_size() }
}

/// The request's messages, behind the system prompt and the first messages that the store has for the model, as `rullama run` has
/// them. A system prompt of the request replaces the stored one.
fn with_stored(asked: &Conversation, stored: Option<&Resolved>) -> Vec<Message> {
    // The stored beginning is there already.
    let Some(stored) = stored.filter(|_| asked.before.is_empty()) else { return asked.messages.clone() };
    let (own, rest) = match &asked.messages[..] {
        [first, rest @ ..] if is_system(first) => (Some(first.clone()), rest),
        all => (None, all),
    };
    let system = own.or_else(|| stored.system.as_deref().filter(|text| !text.is_empty()).map(Message::system));
    let examples = stored.messages.iter().map(|message| Message::new(Role::from(message.role.clone()), message.content.clone()));
    system.into_iter().chain(examples).chain(rest.iter().cloned()).collect()
}
