//! Modules by the names that people and other programs have for them.

use crate::Module;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::str::FromStr;

/// A name that no module has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no linear layer")]
pub struct UnknownModule(pub String);

impl Module {
    /// Attention's four and the feed-forward's three.
    pub const PROJECTIONS: [Module; 7] = [Module::Q, Module::K, Module::V, Module::O, Module::Gate, Module::Up, Module::Down];

    /// Names beside those of transformers and GGUF.
    fn others(self) -> &'static [&'static str] {
        match self {
            Module::Q => &["q", "wq"],
            Module::K => &["k", "wk"],
            Module::V => &["v", "wv"],
            Module::O => &["o", "attn_o", "wo"],
            Module::Gate => &["gate"],
            Module::Up => &["up"],
            Module::Down => &["down"],
            Module::PerLayerModelProjection => &["per_layer_model_proj"],
            Module::Embedding => &["embedding"],
            Module::Head => &["head"],
            Module::PerLayerGate | Module::PerLayerProjection => &[],
        }
    }
}

impl FromStr for Module {
    type Err = UnknownModule;

    /// A name of transformers (`q_proj`), of GGUF (`attn_q`) or a short one (`q`).
    fn from_str(name: &str) -> Result<Self, UnknownModule> {
        let folded = name.trim().to_lowercase();
        let has = |m: &Module| m.hf_name() == folded || m.gguf_name() == folded || m.others().contains(&folded.as_str());
        Module::ALL.into_iter().find(has).ok_or_else(|| UnknownModule(name.into()))
    }
}

impl Serialize for Module {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.hf_name())
    }
}

impl<'de> Deserialize<'de> for Module {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_of_one_module() {
        for module in Module::ALL {
            let names = [module.hf_name(), module.gguf_name()].into_iter().chain(module.others().iter().copied());
            for name in names {
                assert_eq!(name.parse(), Ok(module));
                assert_eq!(name.to_uppercase().parse(), Ok(module));
            }
            let json = serde_json::to_string(&module).unwrap();
            assert_eq!(serde_json::from_str::<Module>(&json).unwrap(), module);
        }
        assert_eq!("qq".parse::<Module>(), Err(UnknownModule("qq".into())));
    }
}
