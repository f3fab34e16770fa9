//! What a medium takes of the context, before anything is encoded or loaded.

use crate::{Engine, Error};
use rullama_media::sound::{frame_rows, mel_rows};
use rullama_media::{SizeRule, Sound};
use rullama_model::tower::{Sense, Wants};

/// How much there is of a medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// Pixels, and how the size for the tower is chosen.
    Picture { width: u32, height: u32, rule: SizeRule },
    /// Samples of one channel at 16 kHz.
    Sound { samples: usize },
}

impl Extent {
    pub fn of_sound(sound: &Sound) -> Self {
        Extent::Sound { samples: sound.samples().len() }
    }

    fn sense(self) -> Sense {
        match self {
            Extent::Picture { .. } => Sense::Vision,
            Extent::Sound { .. } => Sense::Hearing,
        }
    }

    /// Soft tokens of it, from a tower that takes `wants`.
    ///
    /// # Errors
    /// What such a tower could not perceive.
    pub fn soft_tokens(self, wants: Wants) -> Result<u32, Error> {
        let rows = match (self, wants) {
            (Extent::Picture { width, height, rule }, Wants::Patches { patch, pool, budget }) => {
                let target = rule.of_model(budget).target(width, height, patch * pool)?;
                vec![target.width / patch * (target.height / patch)]
            }
            (Extent::Sound { samples }, Wants::Mel { .. }) => mel_rows(samples)?,
            (Extent::Sound { samples }, Wants::Samples { frame }) => frame_rows(samples, frame)?,
            _ => Vec::new(),
        };
        Ok(rows.into_iter().map(|rows| wants.soft_tokens(rows)).sum())
    }
}

impl Engine {
    /// Soft tokens that a medium would have. The two marks around it are tokens of their own.
    ///
    /// # Errors
    /// A model without such a tower; a medium that it could not perceive.
    pub async fn cost(&self, extent: Extent) -> Result<u32, Error> {
        extent.soft_tokens(self.wants(extent.sense()).await?)
    }
}
