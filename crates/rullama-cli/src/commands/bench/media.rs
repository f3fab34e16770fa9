//! `--image-tokens` and `--sound-seconds`: what it takes to perceive a picture and a sound.

use super::kernels;
use crate::interrupt;
use crate::media::{MediaArguments, known_budget};
use crate::model::Located;
use crate::table;
use anyhow::Result;
use rullama::perception::sound::{MAX_SECONDS, RATE, Sound};
use rullama::{Cancel, Engine, Medium, MediumProfile, Picture, SizeRule};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

#[derive(clap::Args)]
#[command(next_help_heading = "Pictures and sounds")]
pub struct Arguments {
    /// Also measure a picture of so many soft tokens: 70, 140, 280, 560 or 1120
    #[arg(long, value_name = "N", value_parser = known_budget)]
    image_tokens: Option<u32>,
    /// Also measure a sound of so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SECONDS)))]
    sound_seconds: Option<u32>,
    /// The file with the model's towers, where it has none of its own
    #[arg(long, value_name = "FILE")]
    mmproj: Option<PathBuf>,
}

/// Runs that compile pipelines and let the driver find its pace.
const WARM_UPS: u32 = 2;

/// A record for each medium that was asked for.
///
/// # Errors
/// A model without a tower for it, no memory, a lost device.
pub fn measure(arguments: &Arguments, engine: &Engine, located: &Located, runs: u32, kernels: bool) -> Result<Vec<Value>> {
    let picture = arguments.image_tokens.map(|tokens| Ok(("picture", self::picture(tokens)?)));
    let sound = arguments.sound_seconds.map(|seconds| Ok(("sound", self::sound(seconds)?)));
    let media: Vec<(&str, Medium)> = picture.into_iter().chain(sound).collect::<Result<_>>()?;
    if media.is_empty() {
        return Ok(Vec::new());
    }
    MediaArguments { projector: arguments.mmproj.clone(), ..MediaArguments::default() }.attach(engine, located)?;
    media.into_iter().map(|(name, medium)| one(engine, name, &medium, runs, kernels)).collect()
}

fn one(engine: &Engine, name: &str, medium: &Medium, runs: u32, timed: bool) -> Result<Value> {
    let once = |kernels| {
        interrupt::check()?;
        let profile = pollster::block_on(engine.profile_medium(medium, kernels, &Cancel::new()))?;
        Ok::<MediumProfile, anyhow::Error>(profile)
    };
    let before = engine.memory().gpu;
    let first = once(false)?;
    let tower = pollster::block_on(engine.tower_bytes());
    for _ in 1..WARM_UPS {
        once(false)?;
    }
    let measured: Vec<MediumProfile> = (0..runs).map(|_| once(false)).collect::<Result<_>>()?;
    let mut record = json!({
        "medium": name,
        "rows": first.rows,
        "soft_tokens": first.soft_tokens,
        "load_s": first.load,
        "first_s": first.encoding,
        "dispatches": first.step.dispatches,
        "tower_bytes": tower,
        "gpu_bytes": measured.iter().map(|profile| profile.gpu_bytes).max().unwrap_or(0).saturating_sub(before),
    });
    let of = |time: fn(&MediumProfile) -> f64| measured.iter().map(time).collect();
    let times = [("preparation_s", of(|of| of.preparation)), ("encode_s", of(|of| of.encoding)), ("device_s", of(|of| of.device))];
    for (field, values) in times {
        let (median, spread) = seconds(values);
        record[field] = median.into();
        record[format!("{field}_spread")] = json!(spread);
    }
    if timed {
        record["kernels"] = kernels(&once(true)?.step);
    }
    Ok(record)
}

/// The median, and the least and the most, to the microsecond.
fn seconds(mut values: Vec<f64>) -> (f64, [f64; 2]) {
    values.sort_by(f64::total_cmp);
    let (n, round) = (values.len(), |value: f64| (value * 1e6).round() / 1e6);
    let median = (values[(n - 1) / 2] + values[n / 2]) / 2.0;
    (round(median), [round(values[0]), round(values[n - 1])])
}

/// A picture of twice the sides that so many soft tokens stand for, so that it is resized; its pixels are the same in every run.
fn picture(tokens: u32) -> Result<Medium> {
    let columns = (1..=tokens).find(|columns| columns * columns >= tokens && tokens.is_multiple_of(*columns)).unwrap_or(tokens);
    let [width, height] = [columns, tokens / columns].map(|side| 2 * SIDE * side);
    let rgb = (0..3 * width * height).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    Ok(Medium::Picture(Arc::new(Picture::new(width, height, rgb)?), SizeRule::fill(tokens)?))
}

/// Pixels that a side of a soft token stands for, in every Gemma 4.
const SIDE: u32 = 48;

/// A tone that rises, and noise.
fn sound(seconds: u32) -> Result<Medium> {
    let sample = |i: u32| {
        let t = f64::from(i) / f64::from(RATE);
        let noise = f64::from(i.wrapping_mul(2_654_435_761) >> 16) / 65_536.0 - 0.5;
        (0.3 * (t * (440.0 + 20.0 * t) * std::f64::consts::TAU).sin() + 0.05 * noise) as f32
    };
    Ok(Medium::sound(Sound::new((0..seconds * RATE).map(sample).collect())?))
}

/// The records as lines for a person.
pub fn summary(records: &[Value]) -> String {
    let line = |record: &Value| {
        let number = |key: &str| record[key].as_f64().unwrap_or_default();
        let [least, most] = [0, 1].map(|i| 1e3 * record["encode_s_spread"][i].as_f64().unwrap_or_default());
        format!(
            "{:<9} {:.1} ms ({least:.1} to {most:.1}) for {} soft tokens, {:.1} of them on the GPU in {} dispatches; {:.1} ms on the CPU before; \
             tower {}, loaded in {:.2} s\n",
            record["medium"].as_str().unwrap_or_default(),
            1e3 * number("encode_s"),
            number("soft_tokens"),
            1e3 * number("device_s"),
            number("dispatches"),
            1e3 * number("preparation_s"),
            table::bytes(number("tower_bytes") as u64),
            number("load_s"),
        )
    };
    records.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_the_soft_tokens_that_were_asked_for() {
        for tokens in [70, 140, 280, 560, 1120] {
            let Medium::Picture(picture, rule) = picture(tokens).unwrap() else { panic!("a picture") };
            let target = rule.target(picture.width(), picture.height(), SIDE).unwrap();
            assert_eq!((target.width / SIDE * (target.height / SIDE), 2 * target.width), (tokens, picture.width()));
        }
    }

    #[test]
    fn times_are_medians_with_their_spread() {
        assert_eq!(seconds(vec![0.003, 0.001, 0.002]), (0.002, [0.001, 0.003]));
        assert_eq!(seconds(vec![0.004, 0.001]), (0.0025, [0.001, 0.004]));
    }
}
