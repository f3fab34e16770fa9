//! Weights and tables of what stands beside a model on its device: towers, and drafters.

use crate::loader::Loader;
use crate::weights::{Specs, Table, WeightSpec, Weights, read_tables};
use crate::{Loaded, ModelError};
use rullama_source::ByteSource;
use rullama_source::gguf::TensorInfo;

/// Makes tables of those of the file.
type Computed<'a> = dyn Fn(&[Table]) -> Result<Vec<Table>, ModelError> + 'a;

/// What was loaded.
pub(crate) struct Beside {
    pub weights: Weights,
    /// Tables that only the host reads.
    pub tables: Vec<Table>,
    /// Bytes that it takes on the GPU.
    pub bytes: u64,
}

impl Beside {
    /// Puts weights, tables of the file and those that are `computed` of them on a model's device. `progress` sees bytes done and all of
    /// them, and ends the load with false.
    ///
    /// # Errors
    /// What cannot be read or does not fit; [`ModelError::Cancelled`].
    pub async fn load(
        loaded: &Loaded,
        specs: &Specs,
        computed: &Computed<'_>,
        source: &dyn ByteSource,
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<Self, ModelError> {
        let before = loaded.device.allocated();
        let tensors: Vec<&TensorInfo> = specs.tables.iter().map(|spec| &spec.tensor).collect();
        let read = specs.tables.iter().zip(read_tables(source, &tensors).await?);
        let mut tables: Vec<Table> =
            read.map(|(spec, values)| Table { key: spec.key.clone(), cols: spec.tensor.cols().max(1) as usize, values }).collect();
        tables.extend(computed(&tables)?);
        let (host, shown): (Vec<Table>, Vec<Table>) =
            tables.into_iter().partition(|table| specs.tables.iter().any(|spec| spec.host && spec.key == table.key));
        let mut weights = Weights::default();
        weights.add_tables(&loaded.device, &shown).await?;
        let total = specs.weights.iter().map(WeightSpec::bytes).sum();
        let mut report = |done| progress(done, total);
        Loader::new(&loaded.device, source, &mut report).load(specs.weights.iter(), &mut weights).await?;
        loaded.device.finish().await?;
        let bytes = loaded.device.allocated().saturating_sub(before);
        Ok(Beside { weights, tables: host, bytes })
    }
}
