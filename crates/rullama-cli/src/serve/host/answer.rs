//! One answer: the prompt of a request on its model, and what becomes of the tokens.

use super::models::{Chat, Models};
use super::work::{Ask, Conversation, Done, Ended, Logprobs, Part, Piece, Prompt, Reason, TokenText, Work, context_of};
use crate::serve::api::{Failure, format};
use crate::{media, sampling};
use rullama::queue::Turn;
use rullama::text::chat::{self, Message, Role};
use rullama::text::{Event, Segment, Specials};
use rullama::{Cancel, Engine, Error, ErrorCode, Finish, Fit, Gallery, GenerateOptions, Summary, Token, is_system};
use rullama_source::ollama::{Params, Resolved};
use tokio::sync::mpsc::UnboundedSender;

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
    let room = context.checked_sub(prompt.len() as u32).filter(|room| *room > 0);
    let room = room.ok_or(Error::ContextFull { tokens: prompt.len() as u64 + 1, context })?;
    options.max_tokens = Some(options.max_tokens.map_or(room, |most| most.min(room)));
    let _ = turn.work.out.send(Part::Begun);
    let mut stream = Stream::new(&engine, &turn.work.out, ask, &turn.cancel);
    let summary = match &ask.prompt {
        Prompt::Chat(asked) => {
            let conversation = conversation(&engine, asked, &messages);
            let mut on_part = |token: Option<&Token>, events| stream.part(token, events);
            model.sessions.answer(&conversation, &prompt, &options, &turn.cancel, &mut on_part).await?
        }
        _ => {
            let mut on_token = |token: &Token| stream.part(Some(token), vec![Event::Content(token.text.clone())]);
            model.sessions.generate_prompt(&prompt, Specials::Hide, &options, &turn.cancel, &mut on_token).await?
        }
    };
    // Nobody asked for an end here, unless the stream did.
    if summary.finish == Finish::Cancelled && !stream.cut {
        Err(Error::Cancelled)
    } else {
        Ok(stream.ended(summary, prompt.ids().to_vec()))
    }
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

/// From tokens to the parts that are sent.
struct Stream<'a> {
    engine: &'a Engine,
    out: &'a UnboundedSender<Part>,
    ask: &'a Ask,
    cancel: &'a Cancel,
    calls: usize,
    /// It was ended behind its first call, as the request wants.
    cut: bool,
}

impl<'a> Stream<'a> {
    fn new(engine: &'a Engine, out: &'a UnboundedSender<Part>, ask: &'a Ask, cancel: &'a Cancel) -> Self {
        Stream { engine, out, ask, cancel, calls: 0, cut: false }
    }

    fn part(&mut self, token: Option<&Token>, events: Vec<Event>) {
        if self.cut {
            return;
        }
        let first = events.iter().position(|event| matches!(event, Event::ToolCall(_)));
        let mut events = events;
        if let (Some(first), true) = (first, self.ask.one_call) {
            events.truncate(first + 1);
            self.cut = true;
            self.cancel.cancel();
        }
        self.calls += events.iter().filter(|event| matches!(event, Event::ToolCall(_))).count();
        events.retain(|event| !matches!(event, Event::Content(text) if text.is_empty()));
        let logprobs = token.and_then(|token| self.logprobs(token));
        if !events.is_empty() || logprobs.is_some() {
            let _ = self.out.send(Part::Piece(Piece { events, logprobs }));
        }
    }

    /// Of every token but the one that ends the answer.
    fn logprobs(&self, token: &Token) -> Option<Logprobs> {
        self.ask.logprobs?;
        let tokenizer = self.engine.tokenizer();
        if tokenizer.end_tokens().contains(&token.id) {
            return None;
        }
        let of = |id: u32, logprob: f32| TokenText { bytes: tokenizer.bytes_of(id), logprob };
        Some(Logprobs { chosen: of(token.id, token.logprob?), top: token.top.iter().map(|(id, logprob)| of(*id, *logprob)).collect() })
    }

    fn ended(self, summary: Summary, prompt: Vec<u32>) -> Ended {
        let reason = match summary.finish {
            Finish::Length => Reason::Length,
            _ if self.calls > 0 => Reason::ToolCalls,
            _ => Reason::Stop,
        };
        let mut context = prompt;
        context.extend(&summary.ids);
        Ended { summary, reason, context }
    }
}
