//! The optimiser's step on the device.

use crate::device::{FLAT, OnDevice};
use crate::{AdamW, TrainError};
use rullama_model::place::place;
use rullama_model::plan::Plan;
use rullama_ops::optimizer::SETTINGS;
use rullama_ops::{Graph, Part, UpdateSettings, Value};

/// As the graph calls what the host writes.
const INPUT: &str = "update settings";

/// The norm over all arenas, and an update of each.
fn graph(flats: &[u64]) -> Graph {
    let mut g = Graph::default();
    g.at("the optimiser");
    let settings = g.input(INPUT, 1, SETTINGS);
    let flat = |g: &mut Graph, i: usize, part| g.trained(&format!("{FLAT}{i}"), part, 1, flats[i] as u32);
    let mut parts: Option<Value> = None;
    for i in 0..flats.len() {
        let gradient = flat(&mut g, i, Part::Gradient);
        parts = Some(g.norm_parts(gradient, parts));
    }
    if let Some(parts) = parts {
        let clip = g.clip_factor(parts, settings);
        g.output("clip", clip);
        for i in 0..flats.len() {
            let gradient = flat(&mut g, i, Part::Gradient);
            let kept = [Part::Value, Part::Mean, Part::Variance].map(|part| flat(&mut g, i, part));
            g.adamw(gradient, settings, clip, kept);
        }
    }
    g
}

/// Bytes of its values on the GPU.
pub(crate) fn bytes(flats: &[u64]) -> u64 {
    place(&graph(flats)).slots.iter().sum::<u64>() + 4 * u64::from(SETTINGS)
}

impl OnDevice {
    /// Takes update `k` (from 1) by the gradients that are there, and gives their norm before clipping. Where that is not finite
    /// nothing changes, and the update is to be taken as not made.
    ///
    /// # Errors
    /// A lost device.
    pub async fn apply(&mut self, adamw: &AdamW, lr: f64, k: u64) -> Result<f64, TrainError> {
        let loaded = self.loaded.clone();
        let _turn = loaded.turn.lock().await;
        if self.optimizer.is_none() {
            let graph = graph(self.flats()).checked()?;
            self.optimizer = Some(self.plan(graph).await?);
        }
        let plan: &Plan = self.optimizer.as_ref().ok_or(TrainError::Internal("no optimiser"))?;
        let settings = UpdateSettings::new(lr, adamw.betas, adamw.eps, adamw.weight_decay, adamw.clip, k);
        if let Some(slice) = plan.input(INPUT) {
            loaded.device.write(&slice.buffer, slice.offset, bytemuck::bytes_of(&settings));
        }
        loaded.device.submit(&plan.recording);
        let clip = plan.output("clip").ok_or(TrainError::Internal("an update without a norm"))?;
        let clip = loaded.read_rows(clip, 1).await?;
        Ok(if clip[2] == 0.0 { f64::INFINITY } else { f64::from(clip[0]) })
    }
}
