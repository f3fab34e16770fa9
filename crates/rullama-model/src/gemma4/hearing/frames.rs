//! The input of 12B: frames of samples go to the text model without an encoder.

use super::super::towers::{Builder, TowerFile};
use super::PROJECTION;
use crate::ModelError;
use crate::tower::{Features, Sense, Tower, TowerStep, Wants};
use crate::weights::{Specs, Table};

const EPS: f32 = 1e-6;
/// Ones: weights of a norm that has none.
const ONES: &str = "a.ones";

/// Frames of samples as a file describes them.
#[derive(Debug)]
pub(super) struct FrameTower {
    /// Samples of a frame.
    frame: u32,
    specs: Specs,
}

impl FrameTower {
    pub fn read(mut file: TowerFile, text_dim: u32) -> Result<Self, ModelError> {
        let samples = file.find(&format!("{PROJECTION}.weight"))?.cols();
        let frame = u32::try_from(samples).ok().filter(|frame| (4..=1 << 16).contains(frame) && frame.is_multiple_of(4));
        let frame = frame.ok_or_else(|| file.bad("audio.embedding_length", samples, "is no multiple of 4 up to 65536"))?;
        file.projection(PROJECTION, frame, text_dim)?;
        file.bounds(PROJECTION)?;
        Ok(FrameTower { frame, specs: file.specs })
    }
}

impl Tower for FrameTower {
    fn sense(&self) -> Sense {
        Sense::Hearing
    }

    fn wants(&self) -> Wants {
        Wants::Samples { frame: self.frame }
    }

    fn specs(&self) -> &Specs {
        &self.specs
    }

    fn tables(&self, _: &[Table]) -> Result<Vec<Table>, ModelError> {
        Ok(vec![Table { key: ONES.into(), cols: self.frame as usize, values: vec![1.0; self.frame as usize] }])
    }

    fn step(&self, features: &Features, tables: &[Table], _: bool) -> Result<TowerStep, ModelError> {
        let mut b = Builder::new(self, &self.specs, tables, false);
        b.g.at("the frames");
        let x = b.g.input("samples", features.rows(), self.frame);
        let x = b.g.rms_norm(x, ONES, EPS);
        b.g.output("tower", x);
        let soft = b.clipped(x, PROJECTION, None)?;
        b.g.output("soft_tokens", soft);
        Ok(TowerStep { graph: b.g, inputs: vec![("samples", features.values.clone())], words: Vec::new() })
    }
}
