//! Adapters on the device of a model.

use crate::arena::{Arena, Layout};
use crate::lora::{Term, Terms, matrices, terms_of};
use crate::{Loaded, ModelError};
use rullama_adapter::Adapter;
use rullama_ops::Tensor;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// An adapter's matrices on a device, to be attached to sequences of the model that it fits.
#[derive(Debug)]
pub struct Attachable {
    pub name: String,
    /// SHA-256 of what the model computes with.
    pub digest: [u8; 32],
    /// Of its matrices' names.
    prefix: String,
    /// Terms at scale 1, by key.
    terms: Vec<(String, Term)>,
    arena: Arena,
}

impl Attachable {
    /// Puts an adapter's matrices on the model's device.
    ///
    /// # Errors
    /// An adapter of another model; too little GPU memory; a lost device.
    pub async fn new(loaded: &Loaded, adapter: &Adapter) -> Result<Self, ModelError> {
        adapter.check()?;
        adapter.check_against(|target| loaded.model.linear(&target.gguf_name()))?;
        let digest = adapter.digest();
        let prefix: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let terms: Vec<_> = terms_of(adapter, &prefix, 1.0).collect();
        let all = || terms.iter().flat_map(|(target, term)| matrices(term, *target, &adapter.pairs[target]));
        let caps = loaded.device.caps();
        let layout = Layout::new(all().map(|m| (m.0, m.1, m.2)), caps.offset_alignment, caps.max_binding);
        let arena = Arena::new(&loaded.device, "adapter", layout).await?;
        all().for_each(|(name, _, _, values)| arena.write(&loaded.device, &name, &values));
        let terms = terms.into_iter().map(|(target, term)| (target.gguf_name(), term)).collect();
        Ok(Attachable { name: adapter.name.clone(), digest, prefix, terms, arena })
    }

    /// Bytes on the GPU.
    pub fn bytes(&self) -> u64 {
        self.arena.layout().bytes()
    }
}

/// The adapters of a sequence, each with its scale.
#[derive(Debug, Clone, Default)]
pub struct Attached {
    adapters: Vec<(Arc<Attachable>, f32)>,
    pub terms: Terms,
}

impl Attached {
    pub fn new(adapters: &[(Arc<Attachable>, f32)]) -> Self {
        let mut terms = Terms::default();
        for (adapter, scale) in adapters.iter().filter(|(_, scale)| *scale != 0.0) {
            for (key, term) in &adapter.terms {
                terms.add(key, Term { scale: term.scale * scale, ..term.clone() });
            }
        }
        Attached { adapters: adapters.to_vec(), terms }
    }

    pub fn adapters(&self) -> &[(Arc<Attachable>, f32)] {
        &self.adapters
    }

    /// A matrix by its name.
    pub fn tensor(&self, name: &str) -> Option<Tensor> {
        let of = |adapter: &Attachable| name.starts_with(&adapter.prefix).then(|| adapter.arena.tensor(name))?;
        self.adapters.iter().find_map(|(adapter, _)| of(adapter))
    }

    /// What keys and values are computed under: weights, and adapters with their scales. Without adapters, that of the weights.
    pub fn identity(&self, weights: &[u8; 32]) -> [u8; 32] {
        let live: Vec<_> = self.adapters.iter().filter(|(_, scale)| *scale != 0.0).collect();
        if live.is_empty() {
            return *weights;
        }
        let mut hash = Sha256::new();
        hash.update(weights);
        for (adapter, scale) in live {
            hash.update(adapter.digest);
            hash.update(scale.to_le_bytes());
        }
        hash.finalize().into()
    }
}
