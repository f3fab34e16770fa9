//! The sampler on the CPU, from the definition; probabilities in f64.

use super::random::uniform;
use super::settings::{SampleResult, SampleSettings};
use std::collections::HashMap;

/// Chooses the token after `position` from the `logits` of the token at `position`.
///
/// `bias`: (id, value) added to that logit, each id once; `-inf` forbids the id. `history`: a
/// ring of token ids, of any length, in which the id of position p stands at p % length. `mask`: bit i % 32 of word
/// i / 32 allows id i, where the settings say `masked`.
/// Serves any `top_k`; 0 keeps all.
pub fn reference(
    logits: &[f32],
    settings: &SampleSettings,
    bias: &[(u32, f32)],
    history: &[u32],
    mask: &[u32],
    position: u32,
) -> SampleResult {
    judge(logits, settings, bias, history, mask, position).0
}

/// [`reference`], and how far its decisions are from tipping over: the smallest distance of a
/// compared probability or random number to its bound. Rounding in f32 cannot change the id
/// when this is well above 1e-6.
pub fn judge(
    logits: &[f32],
    settings: &SampleSettings,
    bias: &[(u32, f32)],
    history: &[u32],
    mask: &[u32],
    position: u32,
) -> (SampleResult, f64) {
    if logits.iter().any(|l| l.is_nan() || *l == f32::INFINITY) {
        return (SampleResult { not_finite: true, ..Default::default() }, 1.0);
    }
    let allowed = |id: usize| settings.masked == 0 || mask.get(id / 32).is_some_and(|word| word >> (id % 32) & 1 == 1);
    let modified = modify(logits, settings, bias, history, position).into_iter().enumerate();
    let candidates: Vec<(u32, f32)> = modified.filter(|(id, _)| allowed(*id)).map(|(id, value)| (id as u32, value)).collect();
    if candidates.is_empty() {
        return (SampleResult { none_allowed: true, ..Default::default() }, 1.0);
    }
    let (id, margin) = choose(candidates, settings, position);
    let mut result = SampleResult { id, ..Default::default() };
    if settings.logprobs > 0 {
        let max = logits.iter().fold(f64::NEG_INFINITY, |m, &l| m.max(f64::from(l)));
        let log_sum = max + logits.iter().map(|&l| (f64::from(l) - max).exp()).sum::<f64>().ln();
        let logprob = |id: u32| (f64::from(logits[id as usize]) - log_sum) as f32;
        result.logprob = Some(logprob(id));
        let all = logits.iter().enumerate().map(|(i, &v)| (i as u32, v)).collect();
        result.tops = best(all, settings.tops()).into_iter().take(settings.tops()).map(|(id, _)| (id, logprob(id))).collect();
    }
    (result, margin)
}

/// Logits after bias and penalties, kept finite.
fn modify(logits: &[f32], settings: &SampleSettings, bias: &[(u32, f32)], history: &[u32], position: u32) -> Vec<f32> {
    let mut out = logits.to_vec();
    for &(id, value) in bias {
        if let Some(logit) = out.get_mut(id as usize) {
            *logit += value;
        }
    }
    let mut counts: HashMap<u32, u32> = HashMap::new();
    if !history.is_empty() {
        let seen = (settings.repeat_last_n as usize).min(position as usize + 1).min(history.len());
        for back in 0..seen {
            *counts.entry(history[(position as usize - back) % history.len()]).or_default() += 1;
        }
    }
    for (&id, &count) in &counts {
        if let Some(logit) = out.get_mut(id as usize) {
            *logit = if *logit > 0.0 { *logit / settings.repeat_penalty } else { *logit * settings.repeat_penalty };
            *logit -= count as f32 * settings.frequency_penalty + settings.presence_penalty;
        }
    }
    out.iter_mut().for_each(|l| *l = l.clamp(f32::MIN, f32::MAX));
    out
}

/// The `k` best of (id, value) (all when 0): value descending, id ascending.
fn best(mut pairs: Vec<(u32, f32)>, k: usize) -> Vec<(u32, f32)> {
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.partial_cmp(&a.1).unwrap_or(std::cmp::Ordering::Equal).then(a.0.cmp(&b.0));
    if (1..pairs.len()).contains(&k) {
        pairs.select_nth_unstable_by(k - 1, order);
        pairs.truncate(k);
    }
    pairs.sort_unstable_by(order);
    pairs
}

/// Draws one of these (id, value), the ids ascending.
fn choose(candidates: Vec<(u32, f32)>, settings: &SampleSettings, position: u32) -> (u32, f64) {
    if settings.is_greedy() {
        let first = candidates.into_iter().fold((0, f32::NEG_INFINITY), |top, next| if next.1 > top.1 { next } else { top });
        return (first.0, 1.0);
    }
    let mut kept = best(candidates, settings.top_k as usize);
    let Some(&(first, largest)) = kept.first() else { return (0, 1.0) };
    let power = |v: f32, temperature: f64| ((f64::from(v) - f64::from(largest)) / temperature).exp();
    let mut margin = 1.0f64;

    let total: f64 = kept.iter().map(|c| power(c.1, 1.0)).sum();
    if settings.top_p < 1.0 {
        let mut sum = 0.0;
        let reached = kept.iter().position(|c| {
            sum += power(c.1, 1.0) / total;
            margin = margin.min((sum - f64::from(settings.top_p)).abs());
            sum >= f64::from(settings.top_p)
        });
        kept.truncate(reached.map_or(kept.len(), |i| i + 1));
    }
    if settings.min_p > 0.0 {
        let enough = |c: &(u32, f32)| power(c.1, 1.0) >= f64::from(settings.min_p);
        margin = kept.iter().fold(margin, |m, c| m.min((power(c.1, 1.0) - f64::from(settings.min_p)).abs()));
        kept.truncate(kept.iter().position(|c| !enough(c)).unwrap_or(kept.len()).max(1));
    }

    let temperature = f64::from(settings.temperature);
    let total: f64 = kept.iter().map(|c| power(c.1, temperature)).sum();
    let seed = u64::from(settings.seed_low) | u64::from(settings.seed_high) << 32;
    let u = f64::from(uniform(seed, position.wrapping_add(1)));
    let mut sum = 0.0;
    let mut chosen = None;
    for &(id, value) in &kept[..kept.len() - 1] {
        let weight = power(value, temperature) / total;
        sum += weight;
        if weight > 0.0 {
            margin = margin.min((sum - u).abs());
        }
        if chosen.is_none() && sum > u {
            chosen = Some(id);
        }
    }
    let last = kept.iter().rev().find(|c| power(c.1, temperature) > 0.0).map_or(first, |c| c.0);
    (chosen.unwrap_or(last), margin)
}
