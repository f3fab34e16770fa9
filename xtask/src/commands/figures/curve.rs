//! A curve as a picture.

use super::{number, read};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
// The plot within.
const LEFT: f64 = 76.0;
const TOP: f64 = 44.0;
const RIGHT: f64 = 616.0;
const BOTTOM: f64 = 268.0;
// Colours that can be read on white and on black.
const INK: &str = "#7a7f87";
const LINE: &str = "#3b82c4";

/// The records' field `y` over their field `x`, whose axis is logarithmic; of a list `of` within one record where that is named.
///
/// # Errors
/// Records that are missing, lack a field or are of several devices.
pub fn svg(benchmarks: &Path, curve: &Value) -> Result<String> {
    let text = |key: &str| curve[key].as_str().with_context(|| format!("figures.json: a curve has no `{key}`"));
    let mut points = Vec::new();
    let mut device: Option<Value> = None;
    for path in curve["records"].as_array().context("figures.json: a curve has no `records`")? {
        let record = read(&benchmarks.join(path.as_str().context("figures.json: a record's name is no text")?))?;
        if device.get_or_insert_with(|| record["device"].clone()) != &record["device"] {
            bail!("{}: records of several devices", text("file")?);
        }
        let parts = match curve["of"].as_str() {
            Some(of) => record[of].as_array().cloned().with_context(|| format!("a record has no list `{of}`"))?,
            None => vec![record],
        };
        for part in &parts {
            points.push((number(part, text("x")?)?, number(part, text("y")?)?));
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let device = device.as_ref().and_then(Value::as_str).context("a curve wants a record")?;
    drawn(&points, &format!("{}, {device}", text("title")?), text("x_label")?)
}

fn drawn(points: &[(f64, f64)], title: &str, x_label: &str) -> Result<String> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { bail!("a curve wants points") };
    if points.len() < 2 || first.0 <= 0.0 || first.0 == last.0 {
        bail!("a curve wants two points or more, above 0");
    }
    let most = nice(points.iter().map(|p| p.1).fold(0.0, f64::max));
    let at = |(x, y): (f64, f64)| {
        let along = (x / first.0).ln() / (last.0 / first.0).ln();
        (LEFT + along * (RIGHT - LEFT), BOTTOM - y / most * (BOTTOM - TOP))
    };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\" fill=\"{INK}\">\n\
         <title>{title}</title>\n<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>\n"
    );
    for quarter in 0..=4 {
        let value = most * f64::from(quarter) / 4.0;
        let y = at((first.0, value)).1;
        writeln!(out, "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"{INK}\" stroke-opacity=\"0.3\"/>")?;
        writeln!(out, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, y + 4.0, grouped(value))?;
    }
    let path: Vec<String> = points.iter().map(|p| at(*p)).map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    writeln!(out, "<path d=\"M{}\" fill=\"none\" stroke=\"{LINE}\" stroke-width=\"2\"/>", path.join("L"))?;
    for (i, point) in points.iter().enumerate() {
        let (x, y) = at(*point);
        // The first number stands beside those of the axis.
        let anchor = if i == 0 { "start" } else { "middle" };
        writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{LINE}\"/>")?;
        writeln!(out, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", BOTTOM + 20.0, grouped(point.0))?;
        writeln!(out, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"{LINE}\">{}</text>", y - 9.0, grouped(point.1))?;
    }
    let middle = LEFT.midpoint(RIGHT);
    writeln!(out, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{x_label}</text>\n</svg>", BOTTOM + 42.0)?;
    Ok(out)
}

/// The next of 1, 2, 4 and 8 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 8.0, 10.0].iter().map(|step| step * power).find(|most| *most >= value).unwrap_or(value)
}

/// A number as people read it: thousands apart, large ones by their giga.
fn grouped(value: f64) -> String {
    if value >= 1e9 {
        return format!("{:.1} G", value / 1e9);
    }
    if value < 100.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([0.7, 1.0, 3.0, 338.0, 22_000.0].map(nice), [0.8, 1.0, 4.0, 400.0, 40_000.0]);
        assert_eq!([1_452_521_472.0, 12_345.4, 999.0, 0.25, 1.0].map(grouped), ["1.5 G", "12,345", "999", "0.2", "1"]);
    }

    #[test]
    fn a_curve_has_a_place_for_each_point_and_wants_two() {
        let svg = drawn(&[(128.0, 340.0), (512.0, 338.0), (8192.0, 300.0)], "t", "x").unwrap();
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
        assert!(drawn(&[(1.0, 1.0)], "t", "x").is_err() && drawn(&[], "t", "x").is_err());
    }
}
