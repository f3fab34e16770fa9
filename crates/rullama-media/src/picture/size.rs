//! The size of a picture for a tower.

use crate::MediaError;

/// Soft tokens that a picture may take.
pub const BUDGETS: [u32; 5] = [70, 140, 280, 560, 1120];

/// Unless somebody chooses.
pub const DEFAULT_BUDGET: u32 = 280;

/// How a size is chosen for a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SizeRule {
    /// [`Fill`](Self::Fill) with the budget that the model's file says, and [`DEFAULT_BUDGET`] where it says none.
    #[default]
    Model,
    /// As large as the budget of soft tokens allows, stretched to whole soft tokens. Source: transformers,
    /// `image_processing_gemma4.py`.
    Fill { budget: u32 },
    /// Near its own size between 70 and 1,120 soft tokens, on black where the shape differs. Source: llama.cpp, `mtmd-image.cpp`.
    Keep,
    /// Its own size, of whole soft tokens.
    Exact,
}

/// A size, and the part of it that the picture is stretched to; the rest around it is black.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub width: u32,
    pub height: u32,
    pub inner: (u32, u32),
}

impl SizeRule {
    /// The rule of a budget.
    ///
    /// # Errors
    /// A budget that no model knows.
    pub fn fill(budget: u32) -> Result<Self, MediaError> {
        if BUDGETS.contains(&budget) { Ok(SizeRule::Fill { budget }) } else { Err(MediaError::UnknownBudget { value: budget }) }
    }

    /// The rule for a model whose own budget is `budget`.
    pub fn of_model(self, budget: u32) -> SizeRule {
        if self == SizeRule::Model { SizeRule::Fill { budget } } else { self }
    }

    /// The size for a picture of `width` x `height` pixels where a soft token is a square of `side` pixels.
    ///
    /// # Errors
    /// A picture that no size within the budget fits.
    pub fn target(self, width: u32, height: u32, side: u32) -> Result<Target, MediaError> {
        if width == 0 || height == 0 {
            return Err(MediaError::NoPixels { width, height });
        }
        match self {
            SizeRule::Model => fill(width, height, side, DEFAULT_BUDGET),
            SizeRule::Fill { budget } => fill(width, height, side, budget),
            SizeRule::Keep => Ok(keep(width, height, side)),
            SizeRule::Exact if width.is_multiple_of(side) && height.is_multiple_of(side) => {
                Ok(Target { width, height, inner: (width, height) })
            }
            SizeRule::Exact => Err(MediaError::NotWhole { width, height, side }),
        }
    }
}

/// `f = sqrt(pixels of the budget / pixels)`; sides are `f` times as long, down to multiples of `side`.
fn fill(width: u32, height: u32, side: u32, budget: u32) -> Result<Target, MediaError> {
    let refused = MediaError::Budget { width, height, patch: side, budget };
    let (side, budget) = (u64::from(side), u64::from(budget));
    let most = budget * side * side;
    let [w, h] = [f64::from(width), f64::from(height)];
    let factor = (most as f64 / (w * h)).sqrt();
    let down = |length: f64| (factor * length / side as f64).floor() as u64 * side;
    // A strip whose short side rounds to nothing is one soft token wide.
    let long = |a: u32, b: u32| (u64::from(a / b) * side).min(budget * side);
    let (fitted_w, fitted_h) = match (down(w), down(h)) {
        (0, 0) => return Err(refused),
        (fitted, 0) if fitted > 0 => (long(width, height), side),
        (0, fitted) if fitted > 0 => (side, long(height, width)),
        both => both,
    };
    if fitted_w * fitted_h > most || fitted_w == 0 || fitted_h == 0 {
        return Err(refused);
    }
    let (width, height) = (fitted_w as u32, fitted_h as u32);
    Ok(Target { width, height, inner: (width, height) })
}

/// Fewest and most soft tokens of [`SizeRule::Keep`].
const KEPT: [u32; 2] = [70, 1120];

/// The nearest multiples of `side`, made smaller or larger where that is too many soft tokens or too few; the picture keeps its shape
/// inside.
fn keep(width: u32, height: u32, side: u32) -> Target {
    let [w, h, s] = [width, height, side].map(f64::from);
    let near = |length: f64| ((length / s).round() * s).max(s);
    let [least, most] = KEPT.map(|tokens| f64::from(tokens) * s * s);
    let (mut to_w, mut to_h) = (near(w), near(h));
    if to_w * to_h > most {
        let by = (w * h / most).sqrt();
        let down = |length: f64| ((length / by / s).floor() * s).max(s);
        (to_w, to_h) = (down(w), down(h));
    } else if to_w * to_h < least {
        let by = (least / (w * h)).sqrt();
        let up = |length: f64| (length * by / s).ceil() * s;
        (to_w, to_h) = (up(w), up(h));
    }
    let scale = (to_w as f32 / width as f32).min(to_h as f32 / height as f32);
    let inside = |length: u32, most: f64| ((length as f32 * scale).ceil() as u32).clamp(1, most as u32);
    Target { width: to_w as u32, height: to_h as u32, inner: (inside(width, to_w), inside(height, to_h)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_of_any_length_stay_within_the_budget() {
        for budget in BUDGETS {
            for (w, h) in [(1, 30_000), (30_000, 1), (1, 100_000_000), (7, 9_000), (1, 1), (3000, 3000), (10_000, 10_000)] {
                let target = SizeRule::Fill { budget }.target(w, h, 48).unwrap();
                let tokens = (target.width / 48) * (target.height / 48);
                assert!(tokens >= 1 && tokens <= budget, "{w} x {h}: {target:?}");
                assert!(target.width.is_multiple_of(48) && target.height.is_multiple_of(48));
            }
        }
    }

    #[test]
    fn budgets_are_known_ones() {
        assert_eq!(SizeRule::fill(71), Err(MediaError::UnknownBudget { value: 71 }));
        assert_eq!(SizeRule::fill(1120), Ok(SizeRule::Fill { budget: 1120 }));
    }
}
