use crate::adapters::AdapterArguments;
use crate::error::{Interrupted, Told, usage};
use crate::load::{self, LoadArguments};
use crate::media::{self, MediaArguments};
use crate::table::Table;
use crate::terminal::{self, Progress, one_line};
use crate::{input, interrupt, model};
use anyhow::{Context, Result};
use rullama::score::{Answer, Question, Score, Scores, sample};
use rullama::{Cancel, Chat, ChatOptions, Engine, Sense};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// The demo model's held-out questions.
const OWN_SET: &str = include_str!("../../../../tools/demo-model/eval.jsonl");

/// Most wrong answers that are listed.
const LISTED: usize = 20;

/// Ask a model the questions of a held-out set, and count its right answers
///
/// Answers are greedy and go the whole way: chat template, engine, output parser. One is right when
/// content, thought and tool calls equal those of an expected answer, of which a question may have
/// several. Questions about pictures and sounds are left out where the model has no tower for them. Where only one is right and the set has the answer of a reference program, the share of
/// answers with the same token ids is given too.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The model
    model: OsString,
    /// The set: one JSON object a line [default: the demo model's held-out questions]
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,
    /// The file with the model's towers, where it has none of its own
    #[arg(long, value_name = "FILE")]
    mmproj: Option<PathBuf>,
    /// Only the questions of this ability; may be repeated
    #[arg(long, value_name = "NAME")]
    ability: Vec<String>,
    /// Only the first N questions of each ability
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Also list the answers whose tokens differ from the reference's
    #[arg(long)]
    reference: bool,
    /// Fail with fewer right answers than this, in percent
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    min_score: Option<f64>,
    /// Fail when fewer answers than this, in percent, have the reference's tokens
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    min_agreement: Option<f64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    adapter: AdapterArguments,
    #[command(flatten)]
    load: LoadArguments,
}

const EXAMPLES: &str = "Examples:
  rullama score embedded --limit 4
  rullama score demo-f16.gguf --set tools/demo-model/eval.jsonl --kv f32 --min-score 95 --min-agreement 99";

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "give a number from 0 to 100".to_owned())
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let questions = questions(arguments)?;
    if arguments.min_agreement.is_some() && questions.iter().all(|question| question.comparable_ids().is_none()) {
        let set = arguments.set_name();
        return Err(usage(format!("--min-agreement: {set} has no reference answers to questions with one right answer.")));
    }
    let cancel = Cancel::new();
    let located = model::locate(&arguments.model)?;
    let adapters = arguments.adapter.read(&located)?;
    let engine = load::load_located(&arguments.model, &located, &arguments.load, None, &cancel)?;
    MediaArguments { projector: arguments.mmproj.clone(), ..MediaArguments::default() }.attach(&engine, &located)?;
    let (questions, left_out) = perceivable(&engine, questions)?;
    let chat = Chat::new(adapters.session(&engine)?, ChatOptions::default());
    let mut asked = pollster::block_on(ask(&engine, chat, questions, &cancel))?;
    asked.left_out = left_out;
    let mut out = terminal::stdout();
    if arguments.json {
        writeln!(out, "{:#}", record(arguments, &engine, &asked))?;
    } else {
        out.write_all(summary(arguments, &engine, &asked).as_bytes())?;
    }
    out.flush()?;
    check(arguments, &asked.scores.all())
}

impl Arguments {
    fn set_name(&self) -> String {
        self.set.as_ref().map_or_else(|| "the demo model's set".to_owned(), |set| set.display().to_string())
    }
}

/// The questions about what the model perceives, and how many are left out.
///
/// # Errors
/// None are left; a tower that cannot be loaded.
fn perceivable(engine: &Engine, questions: Vec<Question>) -> Result<(Vec<Question>, usize)> {
    let all = questions.len();
    let mut missing = Vec::new();
    for sense in [Sense::Vision, Sense::Hearing] {
        let wanted = questions.iter().any(|question| question.senses().any(|other| other == sense));
        if wanted && !pollster::block_on(engine.perceives(sense))? {
            missing.push(sense);
        }
    }
    let can = |question: &Question| !question.senses().any(|sense| missing.contains(&sense));
    let questions: Vec<Question> = questions.into_iter().filter(can).collect();
    let left_out = all - questions.len();
    if left_out > 0 {
        let senses: Vec<String> = missing.iter().map(Sense::to_string).collect();
        let why = format!("the model has no tower for {}. --mmproj names a file with it", senses.join(" and "));
        if questions.is_empty() {
            return Err(usage(format!("no question is left: {why}.")));
        }
        terminal::tell_line(format_args!("note: {left_out} questions are left out: {why}."));
    }
    Ok((questions, left_out))
}

/// The questions that are to be asked.
fn questions(arguments: &Arguments) -> Result<Vec<Question>> {
    let path = arguments.set_name();
    let text = match &arguments.set {
        Some(set) => Cow::Owned(input::file(set)?),
        None => Cow::Borrowed(OWN_SET),
    };
    let lines = input::without_mark(&text).lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parse = |(number, line)| Question::parse(line).with_context(|| format!("{path}, line {} is no question", number + 1));
    let mut questions: Vec<Question> = lines.map(parse).collect::<Result<_>>()?;
    for name in &arguments.ability {
        if questions.iter().all(|question| question.ability != *name) {
            let mut known: Vec<&str> = questions.iter().map(|question| question.ability.as_str()).collect();
            known.sort_unstable();
            known.dedup();
            return Err(usage(format!("--ability: {path} has no \"{name}\". It has {}.", known.join(", "))));
        }
    }
    questions.retain(|question| arguments.ability.is_empty() || arguments.ability.contains(&question.ability));
    if questions.is_empty() {
        return Err(usage(format!("--set: {path} is empty.")));
    }
    Ok(match arguments.limit {
        Some(limit) => sample(questions, limit as usize),
        None => questions,
    })
}

/// What was asked and answered.
struct Asked {
    scores: Scores,
    wrong: Vec<(Question, Answer)>,
    /// Answers whose ids differ from the reference's.
    differing: Vec<(Question, Answer)>,
    /// Questions about what the model cannot perceive.
    left_out: usize,
    seconds: f64,
    decoded: Decoded,
}

/// Tokens behind the first of each answer, their time, and what guessing brought.
#[derive(Default)]
struct Decoded {
    tokens: usize,
    seconds: f64,
    drafted: u32,
    accepted: u32,
}

impl Decoded {
    fn add(&mut self, answer: &Answer) {
        self.tokens += answer.ids.len().saturating_sub(1);
        self.seconds += answer.decode_s;
        self.drafted += answer.drafted;
        self.accepted += answer.accepted;
    }

    fn speed(&self) -> f64 {
        self.tokens as f64 / self.seconds.max(1e-9)
    }

    fn text(&self) -> String {
        let guessed = match self.drafted {
            0 => String::new(),
            drafted => format!("; {} of {drafted} guessed ones were right", self.accepted),
        };
        format!("\n{:.1} tokens a second{guessed}\n", self.speed())
    }

    fn record(&self) -> Value {
        let round = |value: f64| (value * 1e3).round() / 1e3;
        json!({
            "tokens": self.tokens,
            "seconds": round(self.seconds),
            "tok_s": round(self.speed()),
            "drafted": self.drafted,
            "accepted": self.accepted,
        })
    }
}

/// Asks on one session: caches are reused as far as one prompt begins like the last.
async fn ask(engine: &Engine, mut chat: Chat, questions: Vec<Question>, cancel: &Cancel) -> Result<Asked> {
    let on_interrupt = cancel.clone();
    interrupt::on_first(move || on_interrupt.cancel());
    let mut asked = Asked {
        scores: Scores::default(),
        wrong: Vec::new(),
        differing: Vec::new(),
        left_out: 0,
        seconds: 0.0,
        decoded: Decoded::default(),
    };
    let mut line = Progress::new();
    let (started, total) = (Instant::now(), questions.len());
    for (done, question) in questions.into_iter().enumerate() {
        line.line(&format!("{done} of {total} questions, {} right", asked.scores.all().right));
        let answer = match answer(engine, &mut chat, &question, cancel).await {
            Err(rullama::Error::Cancelled) => return Err(Interrupted.into()),
            other => other.with_context(|| format!("question \"{}\" cannot be answered", question.id))?,
        };
        asked.decoded.add(&answer);
        let right = asked.scores.add(&question, &answer);
        if question.agrees(&answer.ids) == Some(false) {
            asked.differing.push((question.clone(), answer.clone()));
        }
        if !right {
            asked.wrong.push((question, answer));
        }
    }
    asked.seconds = started.elapsed().as_secs_f64();
    Ok(asked)
}

async fn answer(engine: &Engine, chat: &mut Chat, question: &Question, cancel: &Cancel) -> Result<Answer, rullama::Error> {
    chat.set_gallery(media::gallery(engine, question.messages(), cancel).await?);
    question.ask(chat, cancel).await
}

/// One decimal; `-` where there is nothing to count.
fn cell(percent: Option<f64>) -> String {
    percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1}"))
}

/// The first id that differs from the reference's: position, ours, the reference's.
fn first_difference(question: &Question, answer: &Answer) -> (usize, Option<u32>, Option<u32>) {
    let theirs = question.comparable_ids().unwrap_or_default();
    let at = answer.ids.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    (at, answer.ids.get(at).copied(), theirs.get(at).copied())
}

fn summary(arguments: &Arguments, engine: &Engine, asked: &Asked) -> String {
    let info = engine.info();
    let mut table = Table::new(&["ability", ">questions", ">right %", ">reference %", ">same tokens %"]);
    let mut row = |name: &str, score: &Score| {
        let percents = [score.right_percent(), score.reference_percent(), score.agreement_percent()].map(cell);
        table.row([name.to_owned(), score.questions.to_string()].into_iter().chain(percents));
    };
    let mut sorted = asked.scores.abilities().to_vec();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    sorted.iter().for_each(|(name, score)| row(name, score));
    row("all", &asked.scores.all());
    let mut text = format!("{} on {} ({}), cache {}, {:.0} s\n\n", one_line(&info.name), info.device, info.backend, info.kv, asked.seconds);
    text.push_str(&table.render());
    text.push_str(&asked.decoded.text());
    for (question, answer) in asked.wrong.iter().take(LISTED) {
        text.push_str(&format!(
            "\nwrong: {}\n  wanted {}\n  got    {}\n",
            one_line(&question.id),
            json!(question.expected),
            json!(answer.reply)
        ));
    }
    if asked.wrong.len() > LISTED {
        text.push_str(&format!("\nand {} more wrong answers (--json lists all)\n", asked.wrong.len() - LISTED));
    }
    for (question, answer) in asked.differing.iter().filter(|_| arguments.reference) {
        let (at, ours, theirs) = first_difference(question, answer);
        let margin = question.reference.as_ref().map_or(0.0, |reference| reference.margin);
        let id = |id: Option<u32>| id.map_or_else(|| "the end".to_owned(), |id| id.to_string());
        text.push_str(&format!(
            "\nother tokens: {}, from token {at}: {}, not {} (least margin {margin})\n",
            one_line(&question.id),
            id(ours),
            id(theirs)
        ));
    }
    text
}

fn record(arguments: &Arguments, engine: &Engine, asked: &Asked) -> Value {
    let info = engine.info();
    let score = |score: &Score| {
        let round = |percent: Option<f64>| percent.map(|percent| (percent * 100.0).round() / 100.0);
        json!({
            "questions": score.questions,
            "right": score.right,
            "score": round(score.right_percent()),
            "reference_score": round(score.reference_percent()),
            "compared": score.compared,
            "same_ids": score.agreeing,
            "agreement": round(score.agreement_percent()),
        })
    };
    let mut abilities = asked.scores.abilities().to_vec();
    abilities.sort_by(|a, b| a.0.cmp(&b.0));
    let abilities: serde_json::Map<_, _> = abilities.iter().map(|(name, of)| (name.clone(), score(of))).collect();
    let wrong = asked.wrong.iter().map(|(question, answer)| json!({"id": question.id, "expected": question.expected, "got": answer.reply}));
    let differing = asked.differing.iter().map(|(question, answer)| {
        let (at, ours, theirs) = first_difference(question, answer);
        let margin = question.reference.as_ref().map(|reference| reference.margin);
        json!({"id": question.id, "token": at, "id_here": ours, "id_reference": theirs, "margin": margin})
    });
    json!({
        "model": info.name,
        "model_bytes": info.loaded_bytes,
        "device": info.device,
        "backend": info.backend,
        "driver": info.driver,
        "commit": env!("RULLAMA_COMMIT"),
        "kv": info.kv,
        "set": arguments.set_name(),
        "left_out": asked.left_out,
        "seconds": (asked.seconds * 10.0).round() / 10.0,
        "speculate": arguments.load.speculate(),
        "drafter": info.drafter,
        "decode": asked.decoded.record(),
        "all": score(&asked.scores.all()),
        "abilities": abilities,
        "wrong": wrong.collect::<Vec<_>>(),
        "other_ids": differing.collect::<Vec<_>>(),
    })
}

/// Fails under the asked bounds.
fn check(arguments: &Arguments, all: &Score) -> Result<()> {
    let bounds = [
        ("score", all.right_percent(), arguments.min_score),
        ("agreement with the reference", all.agreement_percent(), arguments.min_agreement),
    ];
    let mut failed = false;
    for (what, percent, least) in bounds {
        if let (Some(percent), Some(least)) = (percent, least)
            && percent < least
        {
            terminal::tell_line(format_args!("error: the {what} is {percent:.2} %, below {least} %."));
            failed = true;
        }
    }
    if failed { Err(Told.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn percents() {
        assert_eq!((super::percent("99.5"), super::percent("0")), (Ok(99.5), Ok(0.0)));
        assert!(["-1", "101", "NaN", "x", ""].iter().all(|text| super::percent(text).is_err()));
        assert_eq!((super::cell(Some(97.916)), super::cell(None)), ("97.9".to_owned(), "-".to_owned()));
    }
}
