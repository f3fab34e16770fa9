//! The recordings of a session's steps.

use rullama_gpu::{Encoded, Slice};
use rullama_model::attached::Attached;
use rullama_model::kv_cache::KvCache;
use rullama_model::model::Shape;
use rullama_model::plan::{Plan, Pool, Resources};
use rullama_model::weights::Weights;
use rullama_model::words::WordBuffers;
use rullama_model::{Loaded, ModelError};
use rullama_ops::sample::SampleMode;
use rullama_ops::{Cache, Half, Part, Tensor, Words};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A recording's identity: the step's shape and what follows the logits.
pub(crate) type PlanKey = (Shape, Option<SampleMode>);

/// Recordings, built on first use.
#[derive(Default)]
pub(crate) struct Plans {
    pub known: HashMap<PlanKey, Plan>,
    /// The commands of one of them up to some end, made ready while the step before runs.
    ahead: Option<(PlanKey, usize, Encoded)>,
}

/// What [`Resources`] of a session a plan is built from.
pub(crate) struct View<'a> {
    pub weights: &'a Weights,
    pub cache: &'a KvCache,
    pub words: &'a WordBuffers,
    /// Of a table whose rows are streamed.
    pub row_places: Option<Slice>,
    pub attached: Option<&'a Attached>,
    pub banned: &'a [(String, &'static str)],
}

impl Resources for View<'_> {
    fn weights(&self) -> &Weights {
        self.weights
    }

    fn cache(&self, layer: usize, half: Half) -> Option<Cache> {
        self.cache.operand(layer, half)
    }

    fn words(&self, words: Words) -> Option<Slice> {
        if words == Words::RowPlaces { self.row_places.clone() } else { self.words.slice(words) }
    }

    fn trained(&self, name: &str, _: Part) -> Option<Tensor> {
        self.attached?.tensor(name)
    }

    fn banned(&self) -> &[(String, &'static str)] {
        self.banned
    }
}

impl Plans {
    /// What was made ready of this recording up to `end`.
    pub fn take_ahead(&mut self, key: PlanKey, end: usize) -> Option<Encoded> {
        self.ahead.take_if(|ahead| (ahead.0, ahead.1) == (key, end)).map(|ahead| ahead.2)
    }

    /// Makes a recording that is there ready up to `end`.
    pub fn make_ahead(&mut self, loaded: &Loaded, key: PlanKey, end: usize) {
        // With experts a step is cut into many.
        if let (false, Some(plan)) = (loaded.streams_experts(), self.known.get(&key)) {
            self.ahead = Some((key, end, loaded.device.encode(&plan.recording, 0..end)));
        }
    }

    pub fn clear(&mut self) {
        *self = Plans::default();
    }

    pub async fn get(
        &mut self,
        loaded: &Loaded,
        pool: &mut Pool,
        from: (&KvCache, &WordBuffers, &Attached),
        key: PlanKey,
    ) -> Result<&Plan, ModelError> {
        Ok(match self.known.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let (cache, words, attached) = from;
                let graph = loaded.graph(key.0, key.1, &attached.terms).await?;
                let banned = loaded.banned().await;
                let (weights, row_places) = (&loaded.weights, loaded.row_places());
                let view = View { weights, cache, words, row_places, attached: Some(attached), banned: &banned };
                place.insert(Plan::build(&loaded.device, &graph, &view, pool).await?)
            }
        })
    }
}
