use crate::numbers::Numbers;
use crate::{Function, GrammarError, Tokens, calls, schema};
use llguidance::api::{ParserLimits, StopReason, TopLevelGrammar};
use llguidance::toktrie::{InferenceCapabilities, TokEnv};
use llguidance::{Matcher as Automaton, ParserFactory};
use serde_json::Value;

/// What most tokens of a JSON string match: their bits are known without walking the trie.
const SLICES: [&str; 2] = [r#"[^"\\\x00-\x1F\x7F]{1,10}"#, r#"[^"\\\x00-\x1F\x7F]{1,30}"#];

/// Compiles schemas for one vocabulary.
pub struct Grammars {
    factory: ParserFactory,
}

/// Bounds on time and memory: some 20 ms to compile, 15 ms a mask, 40 MB of automaton.
fn limits() -> ParserLimits {
    ParserLimits { max_lexer_states: 20_000, verbose_errors: false, precompute_large_lexemes: false, ..Default::default() }
}

impl Grammars {
    /// For this vocabulary, whose answers end with any of `ends`.
    ///
    /// # Errors
    /// A vocabulary without ends or beyond the bounds of [`Tokens`].
    pub fn new(tokens: &Tokens, ends: &[u32]) -> Result<Self, GrammarError> {
        let environment = tokens.environment(ends)?;
        let factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &SLICES.map(String::from));
        let mut factory = factory.map_err(|error| GrammarError::Vocabulary { reason: error.to_string() })?;
        factory.quiet();
        *factory.limits_mut() = limits();
        Ok(Grammars { factory })
    }

    /// Follows an answer that is to be JSON of this schema (drafts 4 to 2020-12).
    ///
    /// What the schema leaves open is narrowed so that answers are short and every reader takes them: white space as people
    /// indent, numbers that fit 64 bits (integers up to 2^53 - 1 unless the schema bounds them), and of an object with `properties`
    /// those alone unless it speaks of `additionalProperties`.
    ///
    /// # Errors
    /// A keyword that is not supported, a value that is no schema's, each with its place; a schema that nothing fits, or that
    /// takes too long to follow.
    pub fn json(&self, schema: &Value) -> Result<Matcher, GrammarError> {
        let prepared = schema::prepare(schema)?;
        self.compile(prepared.clone()).map_err(|reason| {
            if complexity(&reason) {
                return GrammarError::TooComplex { reason };
            }
            let place = schema::locate(&prepared, &reason, &mut |part| self.compile(part).err());
            GrammarError::Unusable { place, reason }
        })
    }

    /// Follows a call of one of the functions, from `call:` on, in Gemma 4's notation: texts stand between two tokens `quote`. Its
    /// arguments keep to the function's parameters, as [`json`](Self::json) has it. Where it is complete, the ends of answers are allowed.
    ///
    /// # Errors
    /// As [`json`](Self::json), with the function's name; no function.
    pub fn call(&self, functions: &[Function], quote: u32) -> Result<Matcher, GrammarError> {
        let name = || functions.iter().map(|function| function.name.as_str()).collect::<Vec<_>>().join(", ");
        if functions.is_empty() {
            return Err(GrammarError::Function { name: name(), reason: "there is no function to call".into() });
        }
        let grammar = TopLevelGrammar::from_lark(calls::lark(functions, quote)?);
        let matcher = self.follow(grammar).map_err(|reason| GrammarError::Function { name: name(), reason })?;
        Ok(Matcher { quote: Some(quote), ..matcher })
    }

    fn compile(&self, schema: Value) -> Result<Matcher, String> {
        self.follow(TopLevelGrammar::from_json_schema(schema))
    }

    fn follow(&self, grammar: TopLevelGrammar) -> Result<Matcher, String> {
        let parser = self.factory.create_parser(grammar);
        let mut automaton = Automaton::new(parser);
        if let Some(error) = automaton.get_error() {
            return Err(plain(&error));
        }
        // A schema that nothing fits may show with the first mask alone.
        automaton.compute_mask_or_eos().map_err(|error| plain(&error.to_string()))?;
        Ok(Matcher { automaton, environment: self.factory.tok_env().clone(), numbers: Numbers::default(), quote: None, in_text: false })
    }
}

/// The first line of an error, cut.
fn plain(error: &str) -> String {
    if error.starts_with("NoExtension") {
        return "Unsatisfiable schema: nothing fits it".into();
    }
    error.lines().next().unwrap_or_default().trim_end_matches('.').chars().take(200).collect()
}

/// Whether an error speaks of a bound of [`limits`].
fn complexity(reason: &str) -> bool {
    ["limit", "fuel", "too many", "too large", "too complex", "too big"].iter().any(|word| reason.contains(word))
}

/// Where an answer stands in its grammar.
#[derive(Clone)]
pub struct Matcher {
    automaton: Automaton,
    environment: TokEnv,
    numbers: Numbers,
    /// The token around texts that are not JSON's.
    quote: Option<u32>,
    in_text: bool,
}

impl Matcher {
    /// Sets the bits of the tokens that may come next, clears all others: bit i % 32 of word i / 32 is token i. The ends of answers are
    /// among them where the answer is complete, and nothing else where it cannot go on.
    ///
    /// # Errors
    /// [`GrammarError::TooComplex`].
    pub fn allowed(&mut self, mask: &mut [u32]) -> Result<(), GrammarError> {
        let set = self.automaton.compute_mask_or_eos();
        let set = set.map_err(|error| GrammarError::TooComplex { reason: self.reason(&error.to_string()) })?;
        mask.fill(0);
        mask.iter_mut().zip(set.as_slice()).for_each(|(word, bits)| *word = *bits);
        let trie = self.environment.tok_trie();
        self.numbers.restrict(mask, |id| trie.token(id));
        Ok(())
    }

    /// Goes on behind a token that was allowed.
    ///
    /// # Errors
    /// A token that was not; [`GrammarError::TooComplex`].
    pub fn accept(&mut self, id: u32) -> Result<(), GrammarError> {
        self.automaton.consume_token(id).map_err(|error| match self.automaton.stop_reason() {
            StopReason::LexerTooComplex | StopReason::ParserTooComplex => {
                GrammarError::TooComplex { reason: self.reason(&error.to_string()) }
            }
            _ => GrammarError::Token { id },
        })?;
        if self.quote == Some(id) {
            self.in_text = !self.in_text;
            self.numbers = Numbers::default();
        } else if !self.in_text {
            self.numbers.push(self.environment.tok_trie().token(id));
        }
        Ok(())
    }

    /// Whether the answer may end here.
    pub fn is_complete(&mut self) -> bool {
        self.automaton.is_stopped() || self.automaton.is_accepting().unwrap_or(false)
    }

    fn reason(&self, error: &str) -> String {
        let said = plain(error);
        if said.is_empty() { self.automaton.stop_reason().to_string() } else { said }
    }
}
