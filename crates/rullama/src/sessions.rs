//! Several conversations on one engine: a prompt goes on with the caches that hold most of its beginning.

use crate::format::Opening;
use crate::gallery::Gallery;
use crate::options::{Cancel, GenerateOptions};
use crate::{Engine, Error, ErrorCode, Prompt, Session, Summary, Token};
use rullama_text::chat::Conversation;
use rullama_text::{Event, OutputParser, ParserOptions, Specials};

/// The recent sequences of an engine, with their caches.
pub struct Sessions {
    engine: Engine,
    /// The least recently used first.
    kept: Vec<Session>,
    most: usize,
    most_bytes: u64,
}

/// Which caches a prompt gets.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// Those of this sequence.
    Kept(usize),
    Fresh,
}

/// A sequence as a prompt sees it.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Tokens in its caches.
    held: usize,
    /// Tokens at its beginning that the prompt shares, and that can be gone back to.
    shared: usize,
}

/// The caches that hold most of the prompt, unless more of them would be overwritten than is saved; else fresh ones while there
/// is `room`, else those of the sequence that was used longest ago.
fn choose(kept: &[Candidate], room: bool) -> Choice {
    let best = (0..kept.len()).max_by_key(|&i| kept[i].shared);
    match best {
        Some(best) if kept[best].shared > 0 && 2 * kept[best].shared >= kept[best].held => Choice::Kept(best),
        Some(_) if !room => Choice::Kept(0),
        _ => Choice::Fresh,
    }
}

impl Sessions {
    /// Keeps up to `most` sequences, at least one, whose caches take `most_bytes` on the GPU together, the one in use not counted.
    pub fn new(engine: Engine, most: usize, most_bytes: u64) -> Self {
        Sessions { engine, kept: Vec::new(), most: most.max(1), most_bytes }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Sequences that are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Answers a prompt as [`Session::generate`] does, on the caches that suit it best.
    ///
    /// # Errors
    /// Those of [`Session::generate`].
    pub async fn generate(
        &mut self,
        prompt: &[u32],
        specials: Specials,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_token: &mut dyn FnMut(&Token),
    ) -> Result<Summary, Error> {
        self.generate_prompt(&prompt.into(), specials, options, cancel, on_token).await
    }

    /// As [`generate`](Self::generate), of a prompt that may hold soft tokens.
    ///
    /// # Errors
    /// Those of [`Session::generate_prompt`].
    pub async fn generate_prompt(
        &mut self,
        prompt: &Prompt,
        specials: Specials,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_token: &mut dyn FnMut(&Token),
    ) -> Result<Summary, Error> {
        self.generate_from(prompt, (specials, Opening::default()), options, cancel, on_token).await
    }

    async fn generate_from(
        &mut self,
        prompt: &Prompt,
        (specials, opening): (Specials, Opening),
        options: &GenerateOptions,
        cancel: &Cancel,
        on_token: &mut dyn FnMut(&Token),
    ) -> Result<Summary, Error> {
        let mut session = self.take(prompt).await?;
        session.show_specials(specials);
        session.opening = opening;
        let mut given = false;
        let mut tell = |token: &Token| {
            given = true;
            on_token(token);
        };
        let mut result = session.generate_prompt(prompt, options, cancel, &mut tell).await;
        if !given && self.make_room(&result) {
            result = session.generate_prompt(prompt, options, cancel, on_token).await;
        }
        if !result.as_ref().is_err_and(|error| ErrorCode::from(error) == ErrorCode::DeviceLost) {
            self.keep(session);
        }
        result
    }

    /// Answers a conversation, whose prompt is [`prompt`](Self::prompt): each token with the parts of the answer that became certain
    /// with it. At the end comes what was held back, without a token.
    ///
    /// # Errors
    /// Those of [`Session::generate`].
    pub async fn answer(
        &mut self,
        conversation: &Conversation<'_>,
        prompt: &Prompt,
        options: &GenerateOptions,
        cancel: &Cancel,
        on_part: &mut dyn FnMut(Option<&Token>, Vec<Event>),
    ) -> Result<Summary, Error> {
        let parser = ParserOptions::of(conversation);
        let how = (Specials::Markers, Opening::of(&parser, ""));
        let mut parser = OutputParser::new(parser);
        let mut on_token = |token: &Token| on_part(Some(token), token.pieces().flat_map(|piece| parser.push(piece)).collect());
        let summary = self.generate_from(prompt, how, options, cancel, &mut on_token).await?;
        on_part(None, parser.finish(summary.finish.ending()));
        Ok(summary)
    }

    /// A conversation's prompt.
    ///
    /// # Errors
    /// A medium, which has to be shown to the model first ([`Gallery`](crate::Gallery)); a vocabulary without the template's marks.
    pub fn prompt(&self, conversation: &Conversation<'_>) -> Result<Prompt, Error> {
        Gallery::default().prompt(&self.engine, conversation)
    }

    async fn take(&mut self, prompt: &Prompt) -> Result<Session, Error> {
        let wanted = prompt.items();
        let identity = &self.engine.0.loaded.computation();
        let candidate = |session: &Session| {
            let shared = session.sequence.common(identity, &wanted).min(prompt.len().saturating_sub(1));
            let reachable = session.runner.cache.can_rewind(shared as u32);
            Candidate { held: session.sequence.len(), shared: if reachable { shared } else { 0 } }
        };
        let candidates: Vec<Candidate> = self.kept.iter().map(candidate).collect();
        match choose(&candidates, self.kept.len() < self.most) {
            Choice::Kept(place) => Ok(self.kept.remove(place)),
            Choice::Fresh => {
                let made = self.engine.session().await;
                if self.make_room(&made) { self.engine.session().await } else { made }
            }
        }
    }

    /// Where the GPU had no room: forgets the other sequences. Whether that freed any.
    fn make_room<T>(&mut self, result: &Result<T, Error>) -> bool {
        let full = result.as_ref().is_err_and(|error| ErrorCode::from(error) == ErrorCode::OutOfMemory);
        let freed = full && !self.kept.is_empty();
        if freed {
            self.kept.clear();
        }
        freed
    }

    fn keep(&mut self, session: Session) {
        let others = |kept: &[Session]| kept.iter().map(Session::bytes).sum::<u64>();
        while self.kept.len() >= self.most || (!self.kept.is_empty() && others(&self.kept) > self.most_bytes) {
            self.kept.remove(0);
        }
        self.kept.push(session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(held: usize, shared: usize) -> Candidate {
        Candidate { held, shared }
    }

    #[test]
    fn a_prompt_goes_on_where_most_of_it_is() {
        assert_eq!(choose(&[], true), Choice::Fresh);
        // The next turn, and the last one once more.
        assert_eq!(choose(&[of(50, 3), of(100, 100), of(80, 3)], true), Choice::Kept(1));
        assert_eq!(choose(&[of(50, 3), of(100, 60)], true), Choice::Kept(1));
        // Of a system prompt alone no conversation is given up, while there is room.
        assert_eq!(choose(&[of(100, 30), of(100, 20)], true), Choice::Fresh);
        assert_eq!(choose(&[of(100, 20), of(100, 30)], false), Choice::Kept(0));
        assert_eq!(choose(&[of(0, 0)], false), Choice::Kept(0));
    }
}
