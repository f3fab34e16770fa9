//! Merging adapters into a model: which tensors change, and what becomes of their types.

use crate::quantize::{Delta, Planned, Scheme, Term, assign, encodes};
use anyhow::{Context, Result};
use rullama_adapter::{Adapter, Module, Target};
use rullama_model::model::{self, Model};
use rullama_quant::DType;
use rullama_source::gguf::{Gguf, TensorInfo, TensorType};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The embedding, which is the head as well where the file has no [`HEAD`].
const EMBEDDING: &str = "token_embd.weight";
/// A head of its own.
const HEAD: &str = "output.weight";

/// Adapters with the scales that a person gives them.
pub type Scaled = (Arc<Adapter>, f32);

/// The new file's tensors, and what a person may want to know of them.
pub struct Plan {
    pub tensors: Vec<Planned>,
    /// Tensors with an adapter.
    pub changed: usize,
    /// The head is written apart from the embedding, whose table it was.
    pub untied: bool,
    /// Tensors that become Q8_0, since their own type can only be read: type and number.
    pub replaced: Vec<(&'static str, usize)>,
}

/// Where a linear layer is in the file.
struct Place<'a> {
    tensor: &'a TensorInfo,
    rows: Range<u64>,
}

impl Place<'_> {
    /// `(inputs, outputs)` of the layer that this is the weight of.
    fn shape(&self, target: &Target) -> Option<(u32, u32)> {
        let rows = u32::try_from(self.rows.end - self.rows.start).ok()?;
        let cols = u32::try_from(self.tensor.cols()).ok()?;
        Some(if target.is_table() { (rows, cols) } else { (cols, rows) })
    }
}

fn place<'a>(gguf: &'a Gguf, model: &dyn Model, target: &Target) -> Option<Place<'a>> {
    let named = match target.module {
        Module::Head => gguf.tensors.get(HEAD).or_else(|| gguf.tensors.get(EMBEDDING)),
        _ => gguf.tensors.get(&format!("{}.weight", target.gguf_name())),
    };
    if let Some(tensor) = named {
        return Some(Place { tensor, rows: 0..tensor.rows() });
    }
    // Rows of a tensor that holds several projections.
    let part = model.specs().part(&target.gguf_name())?.part;
    Some(Place { tensor: gguf.tensors.get(&part.tensor.name)?, rows: part.rows.clone() })
}

/// Plans `W + sum of factor * scale * B A` for every tensor with an adapter, in its own type where that can be written and else
/// in Q8_0; with a `scheme`, all tensors in its types.
///
/// A model with one table for embedding and head gets a head of its own where an adapter is on either: it would be on both.
///
/// # Errors
/// A file that is no model for here; an adapter of another model.
pub fn plan(gguf: &Gguf, adapters: &[Scaled], scheme: Option<Scheme>) -> Result<Plan> {
    let model = model::open(gguf).context("the model cannot be merged with an adapter")?;
    for (adapter, _) in adapters {
        adapter.check_against(|target| place(gguf, &*model, target)?.shape(target))?;
    }
    let has = |module| adapters.iter().any(|(adapter, _)| adapter.pairs.contains_key(&Target::model(module)));
    let untied = !gguf.tensors.contains(HEAD) && (has(Module::Embedding) || has(Module::Head));
    let head = gguf.tensors.get(EMBEDDING).filter(|_| untied).map(|table| TensorInfo { name: HEAD.to_owned(), ..table.clone() });
    let tensors: Vec<&TensorInfo> = gguf.tensors.iter().chain(&head).collect();
    let types = scheme.map(|scheme| assign(scheme, &[], &tensors)).transpose()?;
    let mut terms = terms(gguf, &*model, adapters);
    let (mut planned, mut changed, mut replaced) = (Vec::with_capacity(tensors.len()), 0, HashMap::new());
    for (i, tensor) in tensors.into_iter().enumerate() {
        let delta = terms.remove(&tensor.name).map(|terms| Arc::new(Delta { cols: tensor.cols(), terms }));
        let own = if let TensorType::Known(own) = tensor.kind { Some(own) } else { None };
        let wanted = own.map(|own| match &types {
            Some(types) => types[i],
            None if delta.is_none() || encodes(own) => own,
            None => DType::Q8_0,
        });
        if let (Some(own), Some(DType::Q8_0), None, true) = (own, wanted, scheme, wanted != own) {
            *replaced.entry(own.label()).or_insert(0) += 1;
        }
        changed += usize::from(delta.is_some());
        let target = wanted.filter(|_| delta.is_some() || wanted != own);
        planned.push(Planned { tensor: tensor.clone(), target, delta });
    }
    let mut replaced: Vec<_> = replaced.into_iter().collect();
    replaced.sort_unstable();
    Ok(Plan { tensors: planned, changed, untied, replaced })
}

/// What is added to which tensor of the new file.
fn terms(gguf: &Gguf, model: &dyn Model, adapters: &[Scaled]) -> HashMap<String, Vec<Term>> {
    let mut terms: HashMap<String, Vec<Term>> = HashMap::new();
    for (adapter, factor) in adapters {
        for target in adapter.pairs.keys() {
            let Some(place) = place(gguf, model, target) else { continue };
            let name = if target.module == Module::Head { HEAD } else { &place.tensor.name };
            let term = Term { adapter: adapter.clone(), target: *target, factor: *factor, rows: place.rows };
            terms.entry(name.to_owned()).or_default().push(term);
        }
    }
    terms
}
