//! Going on after a lost device, from the last checkpoint.

use crate::checkpoint::{Checkpoint, Folder};
use crate::{TrainError, Trainer};

/// Trains to the end, and after a lost device goes on by itself: `begin` loads the model anew and gives a training that stands at the
/// folder's checkpoint, else at `saved`, else at its beginning; `train` takes its updates and writes checkpoints; `lost` says whether an
/// error is a lost device. Two losses in a row at one checkpoint are the second's error: a device that is lost again and again would
/// never come to an end.
///
/// # Errors
/// What `begin` and `train` say; a checkpoint that cannot be read.
pub fn through_losses<T, E: From<TrainError>>(
    folder: &Folder,
    saved: Option<Checkpoint>,
    mut begin: impl FnMut(Option<Checkpoint>) -> Result<Trainer, E>,
    mut train: impl FnMut(&mut Trainer) -> Result<T, E>,
    lost: impl Fn(&E) -> bool,
) -> Result<(Trainer, T), E> {
    let mut from = saved.clone();
    let mut before = None;
    loop {
        let at = from.as_ref().map(|checkpoint| checkpoint.state.position);
        let mut trainer = begin(from)?;
        let error = match train(&mut trainer) {
            Ok(end) => return Ok((trainer, end)),
            Err(error) => error,
        };
        if !lost(&error) || before.replace(at) == Some(at) {
            return Err(error);
        }
        // What is on the lost device is of no use, and its memory may be needed.
        drop(trainer);
        from = folder.latest().map_err(TrainError::from)?.map(|(checkpoint, _)| checkpoint).or_else(|| saved.clone());
    }
}
