//! Adapters of a session: attached, scaled and detached between two answers.

use crate::{Engine, Error, Session};
use rullama_adapter::Adapter;
use rullama_model::attached::{Attachable, Attached};
use std::sync::Arc;

/// Largest factor of an adapter: what lies beyond is no use of one.
pub const MAX_ADAPTER_SCALE: f32 = 1000.0;

/// An adapter on the device of an engine; clones share it.
#[derive(Debug, Clone)]
pub struct EngineAdapter(Arc<Attachable>);

impl EngineAdapter {
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Bytes on the GPU.
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

impl Engine {
    /// Puts an adapter on the engine's device, to be attached to sessions.
    ///
    /// # Errors
    /// An adapter of another model, by the first layer that does not fit; too little GPU memory; a lost device.
    pub async fn adapter(&self, adapter: &Adapter) -> Result<EngineAdapter, Error> {
        Ok(EngineAdapter(Arc::new(Attachable::new(self.loaded(), adapter).await?)))
    }
}

impl Session {
    /// Attaches these adapters, each with a factor on its scale, in place of those that are attached. Their terms add up. What is
    /// cached was computed under others, so the next answer computes its prompt anew; without a change nothing is.
    ///
    /// # Errors
    /// A factor that is not finite or absurdly large.
    pub fn set_adapters(&mut self, adapters: &[(EngineAdapter, f32)]) -> Result<(), Error> {
        if let Some((adapter, scale)) = adapters.iter().find(|(_, scale)| !scale.is_finite() || scale.abs() > MAX_ADAPTER_SCALE) {
            let reason =
                format!("is the scale of adapter `{}`: give one within -{MAX_ADAPTER_SCALE}..={MAX_ADAPTER_SCALE}", adapter.name());
            return Err(Error::InvalidArgument { name: "scale", value: scale.to_string(), reason });
        }
        let adapters: Vec<_> = adapters.iter().map(|(adapter, scale)| (adapter.0.clone(), *scale)).collect();
        let attached = Attached::new(&adapters);
        let identity = attached.identity(&self.engine().loaded().computation());
        if identity != self.identity() {
            self.clear();
            self.runner.attach(attached);
            self.sequence = crate::sequence::Sequence::new(identity);
        }
        Ok(())
    }

    /// Names and factors of the adapters that are attached.
    pub fn adapters(&self) -> impl Iterator<Item = (&str, f32)> {
        self.runner.attached().adapters().iter().map(|(adapter, scale)| (adapter.name.as_str(), *scale))
    }

    /// What keys and values are computed under.
    pub(crate) fn identity(&self) -> [u8; 32] {
        self.runner.attached().identity(&self.engine().loaded().computation())
    }
}
