//! The towers that hear: a conformer (E2B, E4B), and frames of samples without an encoder (12B).

mod conformer;
mod frames;

use super::towers::TowerFile;
use crate::ModelError;
use crate::tower::Tower;
use rullama_source::gguf::Gguf;
use std::sync::Arc;

/// The audio tower of a file, told apart by its tensors; `None` where there is none.
pub(super) fn open(gguf: &Gguf, dim: u32) -> Result<Option<Arc<dyn Tower>>, ModelError> {
    let has = |name: &str| gguf.tensors.contains(name);
    if !has(conformer::KERNELS[0]) && !has(&format!("{PROJECTION}.weight")) {
        return Ok(None);
    }
    let file = TowerFile::new(gguf);
    if has(conformer::KERNELS[0]) {
        file.check_projector("clip.audio.projector_type", &["gemma4a"])?;
        return Ok(Some(Arc::new(conformer::Conformer::read(file, dim)?)));
    }
    file.check_projector("clip.audio.projector_type", &["gemma4ua"])?;
    Ok(Some(Arc::new(frames::FrameTower::read(file, dim)?)))
}

/// The projection to the text model, of both.
const PROJECTION: &str = "mm.a.input_projection";
