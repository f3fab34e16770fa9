//! Speculation by prompt look-up, since what the text said after the same words before is likely to come again, and by a drafter.
//!
//! Tokens that followed the last two to four ones earlier are a draft, or those that a drafter finds likeliest, and one step of few rows
//! computes the logits behind each of its tokens. Every row is drawn from as a step of its own would be, so an answer is the one that it is without drafts, as far as
//! the logits of a step of few rows are those of steps of one. Source: Saxena 2023, "Prompt lookup decoding"; Leviathan et al.
//! 2023, "Fast inference from transformers via speculative decoding".

use crate::options::Speculate;
use rullama_ops::sample::{HISTORY, SampleSettings};

/// Rows of the steps that verify drafts: the last token, and a draft of one less. Each has a recording of its own.
pub(crate) const ROWS: [u32; 2] = [4, 8];
/// Tokens of the longest draft.
const DRAFT: usize = ROWS[ROWS.len() - 1] as usize - 1;
/// Tokens that a place must have in common with the end of the text, and after how many it is not compared further.
const SHORTEST: usize = 2;
const LONGEST: usize = 4;
/// Tokens back from the end that are searched.
const REACH: usize = 1 << 15;

/// A draft, and how many tokens before it were found before theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Draft {
    ids: Vec<u32>,
    matched: usize,
}

/// The `count` tokens that followed where the text last read as it ends: the place with the most tokens in common, the latest of
/// several. A place whose continuation runs into the end goes on with itself, as what repeats does.
fn look_up(tokens: &[u32], count: usize) -> Option<Draft> {
    let recent = &tokens[tokens.len().saturating_sub(REACH)..];
    let (mut matched, mut place) = (SHORTEST - 1, 0);
    for end in (SHORTEST..recent.len()).rev() {
        let common = recent[..end].iter().rev().zip(recent.iter().rev()).take(LONGEST).take_while(|(a, b)| a == b).count();
        if common > matched {
            (matched, place) = (common, end);
            if common == LONGEST {
                break;
            }
        }
    }
    let period = (place > 0).then(|| recent.len() - place)?;
    Some(Draft { ids: (0..count).map(|i| recent[place + i % period]).collect(), matched })
}

/// Where a draft comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The text: so many tokens before it were found.
    Found(usize),
    Drafter,
}

/// Kinds of origins that bring as much.
const ORIGINS: usize = LONGEST - SHORTEST + 2;

impl Origin {
    fn index(self) -> usize {
        match self {
            Origin::Found(matched) => matched - SHORTEST,
            Origin::Drafter => ORIGINS - 1,
        }
    }
}

/// A draft that is worth verifying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Ids(Vec<u32>),
    /// As many as the drafter is to make.
    Drafts(usize),
}

/// What drafts bring and cost on a device with a model: exponential means, which one answer leaves to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Gains {
    /// Seconds of a token without drafts, steps in flight.
    plain: Option<f64>,
    /// Seconds of a step of each number of rows, from its submission to its result.
    step: [Option<f64>; ROWS.len()],
    /// The same with a draft that the drafter makes first.
    round: [Option<f64>; ROWS.len()],
    /// Tokens accepted of a draft as long as each step has room for, by its origin.
    accepted: [[f64; ROWS.len()]; ORIGINS],
}

impl Default for Gains {
    fn default() -> Self {
        let mut accepted = [[0.0; ROWS.len()]; ORIGINS];
        // What the text has is judged without being verified; a drafter is only known by its drafts.
        accepted[Origin::Drafter.index()] = ROWS.map(|rows| f64::from(rows - 1));
        Gains { plain: None, step: [None; ROWS.len()], round: [None; ROWS.len()], accepted }
    }
}

impl Gains {
    /// Weight of what came last.
    const NEW: f64 = 0.25;
    /// Tokens a second must be so many times those without drafts: going back and forth costs waits, too.
    const MARGIN: f64 = 1.1;
    /// What a row adds to the time of a step, as a part of the time of a step of one, before that was measured.
    const ASSUMED: f64 = 0.125;
    /// The same of the drafter's part of it.
    const ASSUMED_DRAFT: f64 = 0.05;
    /// A time that keeps drafts from being tried grows out of date, by this factor each time.
    const FORGOTTEN: f64 = 0.998;
    /// How far a drafter that is not asked is taken to be right again, each time.
    const HOPE: f64 = 0.0004;

    fn mean(of: &mut Option<f64>, new: f64) {
        *of = Some(of.map_or(new, |old| old + Self::NEW * (new - old)));
    }

    /// Learns from tokens without drafts that took `seconds` each.
    pub fn learn_plain(&mut self, seconds: f64) {
        Self::mean(&mut self.plain, seconds);
    }

    /// Learns from a step that verified a draft, with it of so many tokens.
    pub fn learn_step(&mut self, rows: u32, seconds: f64) {
        if let Some(index) = ROWS.iter().position(|n| *n >= rows) {
            Self::mean(&mut self.step[index], seconds);
        }
    }

    /// Learns from `drafts` that the drafter made and a step verified.
    pub fn learn_round(&mut self, drafts: usize, seconds: f64) {
        if let Some(index) = ROWS.iter().position(|rows| *rows as usize > drafts) {
            Self::mean(&mut self.round[index], seconds);
        }
    }

    /// Learns that so many of a draft's `drafted` tokens came true.
    pub fn learn_draft(&mut self, origin: Origin, drafted: usize, accepted: usize) {
        for (mean, rows) in self.accepted[origin.index()].iter_mut().zip(ROWS) {
            let room = rows as usize - 1;
            // How many more of a longer one would have, nobody knows.
            if accepted < drafted || room <= drafted {
                *mean += Self::NEW * (accepted.min(room) as f64 - *mean);
            }
        }
    }

    /// The origin and the rows of the step that give most tokens a second; `None` where going on without drafts gives more.
    fn best(&mut self, origins: &[Origin]) -> Option<(Origin, u32)> {
        let plain = self.plain?;
        let found = Self::times(plain, self.step, Self::ASSUMED);
        let drafted = Self::times(plain, self.round, Self::ASSUMED + Self::ASSUMED_DRAFT);
        let speed = |(origin, index): (Origin, usize)| {
            let seconds = if origin == Origin::Drafter { drafted[index] } else { found[index] };
            (1.0 + self.accepted[origin.index()][index]) / seconds
        };
        let all = origins.iter().flat_map(|origin| (0..ROWS.len()).map(|index| (*origin, index)));
        let best = all.max_by(|a, b| speed(*a).total_cmp(&speed(*b)))?;
        if speed(best) > Self::MARGIN / plain {
            return Some((best.0, ROWS[best.1]));
        }
        self.forget(plain);
        None
    }

    /// Seconds of the steps of each number of rows, of which each is assumed to add a part to those of a step of one: what was not measured is
    /// to what was as assumed.
    fn times(plain: f64, measured: [Option<f64>; ROWS.len()], part: f64) -> [f64; ROWS.len()] {
        let assumed = ROWS.map(|rows| plain * (1.0 + part * f64::from(rows)));
        let known = measured.iter().zip(assumed).find_map(|(measured, assumed)| measured.map(|measured| measured / assumed));
        std::array::from_fn(|index| measured[index].unwrap_or(assumed[index] * known.unwrap_or(1.0)))
    }

    /// What keeps drafts from being tried grows out of date.
    fn forget(&mut self, plain: f64) {
        let measured = self.step.iter_mut().chain(&mut self.round).flatten();
        measured.for_each(|seconds| *seconds = (*seconds * Self::FORGOTTEN).max(plain));
        for (mean, rows) in self.accepted[Origin::Drafter.index()].iter_mut().zip(ROWS) {
            *mean += Self::HOPE * (f64::from(rows - 1) - *mean);
        }
    }
}

/// Whether penalties read so far back in the ring of the last tokens that `draws` which do not hold write over what they need.
pub(crate) fn reads_behind(settings: &SampleSettings, draws: usize) -> bool {
    let penalised = settings.repeat_penalty != 1.0 || settings.presence_penalty != 0.0 || settings.frequency_penalty != 0.0;
    penalised && settings.repeat_last_n as usize + draws > HISTORY
}

/// Tokens of drafts in an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Speculated {
    pub drafted: u32,
    pub accepted: u32,
}

/// A draft whose tokens have not all come: whether it was verified or not, what comes tells how good it was.
struct Pending {
    draft: Draft,
    /// Tokens of the text before it.
    at: usize,
}

/// Makes the drafts of one answer.
pub(crate) struct Speculation {
    choice: Speculate,
    /// Prompt and answer so far.
    tokens: Vec<u32>,
    pending: Option<Pending>,
}

impl Speculation {
    /// `None` where nothing is to be drafted, or a draw depends on more than logits, settings and the tokens before: on a mask made of
    /// them, or on the whole ring of them, into which rejected rows write.
    pub fn of(choice: Speculate, settings: &SampleSettings, prompt: &[u32]) -> Option<Speculation> {
        let whole = reads_behind(settings, ROWS[ROWS.len() - 1] as usize);
        let on = choice != Speculate::Off && settings.mode().is_some() && settings.masked == 0 && !whole;
        on.then(|| Speculation { choice, tokens: prompt.to_vec(), pending: None })
    }

    /// Whether every token is waited for, so that none is missed that a draft could follow.
    pub fn always(&self) -> bool {
        self.choice != Speculate::Auto
    }

    /// The draft to verify now that `answer` stands behind the prompt of `prompt` tokens; `most` more tokens are wanted. `drafter`: there is
    /// one, and it could make some.
    pub fn draft(&mut self, gains: &mut Gains, prompt: usize, answer: &[u32], most: usize, drafter: bool) -> Option<Wanted> {
        self.tokens.extend(&answer[self.tokens.len() - prompt..]);
        self.judge(gains);
        let found = if self.choice == Speculate::Drafter { None } else { look_up(&self.tokens, DRAFT) };
        let of_text = found.as_ref().map(|draft| Origin::Found(draft.matched));
        let of_drafter = drafter.then_some(Origin::Drafter);
        let best = match self.choice {
            Speculate::Off => None,
            Speculate::Lookup => of_text.map(|origin| (origin, ROWS[ROWS.len() - 1])),
            Speculate::Drafter => of_drafter.map(|origin| (origin, ROWS[0])),
            Speculate::Auto => gains.best(&[of_text, of_drafter].into_iter().flatten().collect::<Vec<_>>()),
        };
        // The step gives a token more than it accepts.
        let len = best.map_or(0, |(_, rows)| rows as usize - 1).min(most.saturating_sub(1));
        let wanted = best.map(|(origin, _)| match (origin, &found) {
            (Origin::Found(_), Some(draft)) => Wanted::Ids(draft.ids[..len].to_vec()),
            _ => Wanted::Drafts(len),
        });
        if let Some(draft) = found {
            self.pending.get_or_insert(Pending { draft, at: self.tokens.len() });
        }
        wanted.filter(|_| len > 0)
    }

    /// Learns from a draft once its tokens have come, or others.
    fn judge(&mut self, gains: &mut Gains) {
        let Some(Pending { draft, at }) = &self.pending else { return };
        let came = &self.tokens[*at..];
        let accepted = draft.ids.iter().zip(came).take_while(|(drafted, came)| drafted == came).count();
        if accepted == draft.ids.len() || accepted < came.len() {
            gains.learn_draft(Origin::Found(draft.matched), draft.ids.len(), accepted);
            self.pending = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(tokens: &[u32], count: usize) -> Option<(Vec<u32>, usize)> {
        look_up(tokens, count).map(|draft| (draft.ids, draft.matched))
    }

    #[test]
    fn the_longest_match_is_taken_and_the_latest_of_several() {
        assert_eq!(draft(&[], 3), None);
        assert_eq!(draft(&[1], 3), None);
        assert_eq!(draft(&[1, 2, 3, 4], 3), None);
        // One token in common is not enough.
        assert_eq!(draft(&[7, 1, 2, 7], 3), None);
        assert_eq!(draft(&[1, 2, 9, 8, 7, 1, 2], 3), Some((vec![9, 8, 7], 2)));
        // The latest of two.
        assert_eq!(draft(&[1, 2, 9, 1, 2, 8, 5, 1, 2], 2), Some((vec![8, 5], 2)));
        // A longer one further back.
        assert_eq!(draft(&[3, 1, 2, 9, 4, 1, 2, 8, 3, 1, 2], 2), Some((vec![9, 4], 3)));
        // No longer than four are compared.
        assert_eq!(draft(&[0, 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 7, 0, 1, 2, 3, 4], 1), Some((vec![7], 4)));
    }

    #[test]
    fn what_repeats_goes_on_repeating() {
        assert_eq!(draft(&[5, 5, 5], 4), Some((vec![5; 4], 2)));
        assert_eq!(draft(&[1, 2, 3, 1, 2, 3, 1], 7), Some((vec![2, 3, 1, 2, 3, 1, 2], 4)));
    }

    /// Against the definition, by brute force over short texts of few tokens.
    #[test]
    fn look_up_is_its_definition() {
        for seed in 0..3000u64 {
            let random = |i: u64| (seed * 131 + i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 61;
            let tokens: Vec<u32> = (0..4 + seed % 13).map(|i| random(i) as u32 % 3).collect();
            let len = tokens.len();
            let common = |end: usize| (1..=4.min(end)).take_while(|n| tokens[end - n..end] == tokens[len - n..]).count();
            let best = (1..len).filter(|end| common(*end) >= 2).max_by_key(|end| (common(*end), *end));
            let want = best.map(|end| {
                let mut all = tokens.clone();
                (0..5).for_each(|i| all.push(all[end + i]));
                (all[len..].to_vec(), common(end))
            });
            assert_eq!(draft(&tokens, 5), want, "{tokens:?}");
        }
    }

    #[test]
    fn what_is_far_back_is_not_searched() {
        let mut tokens: Vec<u32> = (0..REACH as u32 + 10).collect();
        tokens.extend([3, 4]);
        assert_eq!(draft(&tokens, 1), None);
        tokens.extend([REACH as u32, REACH as u32 + 1]);
        assert_eq!(draft(&tokens, 1), Some((vec![REACH as u32 + 2], 2)));
    }

    /// Drafts of which `accepted` tokens come true, on a device with these times: of the last hundred those that were verified by steps
    /// of each number of rows.
    fn settled(accepted: usize, plain: f64, steps: [f64; 2]) -> [usize; 2] {
        let (mut gains, mut counts) = (Gains::default(), [0; 2]);
        for round in 0..300 {
            gains.learn_plain(plain);
            gains.learn_draft(Origin::Found(3), DRAFT, accepted);
            if let Some((_, rows)) = gains.best(&[Origin::Found(3)]) {
                let index = usize::from(rows == ROWS[1]);
                gains.learn_step(rows, steps[index]);
                counts[index] += usize::from(round >= 200);
            }
        }
        counts
    }

    #[test]
    fn drafts_are_verified_where_that_is_faster() {
        assert_eq!(settled(0, 1.0, [1.0, 1.0]), [0, 0]);
        // Steps of few rows cost hardly more.
        assert_eq!(settled(2, 1.0, [1.2, 1.6]), [100, 0]);
        assert_eq!(settled(7, 1.0, [1.2, 1.6]), [0, 100]);
        // They cost more than what they give: that is hardly tried again, be little of a draft right or all.
        for (accepted, steps) in [(1, [3.0, 4.0]), (7, [6.0, 12.0])] {
            let tried = settled(accepted, 1.0, steps);
            assert!(tried[0] + tried[1] <= 2, "{accepted}: {tried:?}");
        }
        assert_eq!(Gains::default().best(&[Origin::Found(2), Origin::Drafter]), None, "nothing was measured");
    }

    /// A drafter of whose drafts `accepted` come true is taken where it pays, and looked at again now and then where it does not.
    #[test]
    fn a_drafter_is_taken_where_that_is_faster() {
        let tried = |accepted: usize, making: f64| {
            let (mut gains, mut count, mut largest) = (Gains::default(), 0, 0);
            for round in 0..600 {
                gains.learn_plain(1.0);
                if let Some((origin, rows)) = gains.best(&[Origin::Drafter]) {
                    gains.learn_round(rows as usize - 1, 1.3 + making * f64::from(rows - 1));
                    gains.learn_draft(origin, rows as usize - 1, accepted.min(rows as usize - 1));
                    count += usize::from(round >= 300);
                    largest = if round >= 300 { largest.max(rows) } else { largest };
                }
            }
            (count, largest)
        };
        assert_eq!(tried(2, 0.05), (300, 4));
        assert_eq!(tried(7, 0.05), (300, 8));
        let (count, _) = tried(0, 0.05);
        assert!((1..=12).contains(&count), "{count} of 300");
        let (count, _) = tried(1, 0.5);
        assert!((0..=12).contains(&count), "{count} of 300");
    }

    #[test]
    fn a_short_draft_says_nothing_of_a_longer_one_unless_it_failed() {
        let mut gains = Gains::default();
        gains.learn_draft(Origin::Drafter, 3, 3);
        assert_eq!(gains.accepted[Origin::Drafter.index()], [3.0, 7.0]);
        gains.learn_draft(Origin::Drafter, 3, 1);
        assert_eq!(gains.accepted[Origin::Drafter.index()], [2.5, 5.5]);
    }

    #[test]
    fn a_time_that_is_out_of_date_is_measured_again() {
        let mut gains = Gains { plain: Some(1.0), step: [Some(50.0); 2], ..Gains::default() };
        let rows = (0..2000).find_map(|_| {
            gains.learn_draft(Origin::Found(4), DRAFT, DRAFT);
            gains.best(&[Origin::Found(4)])
        });
        assert_eq!(rows, Some((Origin::Found(4), 8)));
    }

    #[test]
    fn drafts_that_were_not_verified_are_judged_by_what_came() {
        let settings = SampleSettings::default();
        let (prompt, mut answer) = ([1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2], Vec::new());
        let mut speculation = Speculation::of(Speculate::Auto, &settings, &prompt).unwrap();
        let mut gains = Gains { plain: Some(1.0), ..Gains::default() };
        for id in [3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4] {
            assert_eq!(speculation.draft(&mut gains, prompt.len(), &answer, 100, false), None);
            answer.push(id);
        }
        assert!(gains.accepted[0] > [0.0; 2] && gains.accepted[1] == [0.0; 2], "{gains:?}");
    }

    #[test]
    fn no_draft_is_longer_than_what_is_wanted() {
        let settings = SampleSettings::default();
        let mut speculation = Speculation::of(Speculate::Lookup, &settings, &[5; 9]).unwrap();
        let found = Wanted::Ids;
        let mut draft = |most| speculation.draft(&mut Gains::default(), 9, &[], most, true);
        assert_eq!([0, 1].map(&mut draft), [None, None]);
        assert_eq!([2, 5, 8, 100].map(&mut draft), [1, 4, 7, 7].map(|len| Some(found(vec![5; len]))));
        let mut drafter = Speculation::of(Speculate::Drafter, &settings, &[5; 9]).unwrap();
        let mut draft = |most, can| drafter.draft(&mut Gains::default(), 9, &[], most, can);
        assert_eq!([0, 1, 2, 100].map(|most| draft(most, true)), [None, None, Some(Wanted::Drafts(1)), Some(Wanted::Drafts(3))]);
        assert_eq!(draft(100, false), None, "it has no state to go on from");
    }

    #[test]
    fn what_depends_on_more_is_not_drafted() {
        let on = |settings: &SampleSettings| Speculation::of(Speculate::Lookup, settings, &[]).is_some();
        let plain = SampleSettings::default();
        assert!(on(&plain) && on(&SampleSettings { temperature: 0.0, ..plain }));
        assert!(on(&SampleSettings { repeat_penalty: 1.2, ..plain }));
        assert!(on(&SampleSettings { repeat_last_n: 4096, ..plain }));
        assert!(!on(&SampleSettings { repeat_penalty: 1.2, repeat_last_n: 4089, ..plain }));
        assert!(!on(&SampleSettings { masked: 1, ..plain }));
        // The host draws.
        assert!(!on(&SampleSettings { top_k: 0, ..plain }));
        assert!(Speculation::of(Speculate::Off, &plain, &[]).is_none());
    }
}
