//! Which linear layer a pair of low-rank matrices belongs to, by every name that it has.

use std::fmt;

/// Layers that a name may count up to, exclusive.
pub const MAX_LAYERS: u32 = 1024;

/// A linear layer of Gemma 4; the last three are the model's own, the others every decoder layer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Module {
    Q,
    K,
    V,
    O,
    Gate,
    Up,
    Down,
    PerLayerGate,
    PerLayerProjection,
    PerLayerModelProjection,
    Embedding,
    Head,
}

/// GGUF's name, the path below a layer (or the model) in transformers, and whether each layer has one.
const NAMES: [(Module, &str, &str, bool); 12] = [
    (Module::Q, "attn_q", "self_attn.q_proj", true),
    (Module::K, "attn_k", "self_attn.k_proj", true),
    (Module::V, "attn_v", "self_attn.v_proj", true),
    (Module::O, "attn_output", "self_attn.o_proj", true),
    (Module::Gate, "ffn_gate", "mlp.gate_proj", true),
    (Module::Up, "ffn_up", "mlp.up_proj", true),
    (Module::Down, "ffn_down", "mlp.down_proj", true),
    (Module::PerLayerGate, "inp_gate", "per_layer_input_gate", true),
    (Module::PerLayerProjection, "proj", "per_layer_projection", true),
    (Module::PerLayerModelProjection, "per_layer_model_proj", "per_layer_model_projection", false),
    (Module::Embedding, "token_embd", "embed_tokens", false),
    (Module::Head, "output", "lm_head", false),
];

impl Module {
    /// Every module.
    pub const ALL: [Module; 12] = [
        Module::Q,
        Module::K,
        Module::V,
        Module::O,
        Module::Gate,
        Module::Up,
        Module::Down,
        Module::PerLayerGate,
        Module::PerLayerProjection,
        Module::PerLayerModelProjection,
        Module::Embedding,
        Module::Head,
    ];

    fn row(self) -> &'static (Module, &'static str, &'static str, bool) {
        &NAMES[self as usize]
    }

    /// As in `blk.N.NAME.weight`: `attn_q`.
    pub fn gguf_name(self) -> &'static str {
        self.row().1
    }

    /// The path below a layer in transformers: `self_attn.q_proj`.
    pub fn hf_path(self) -> &'static str {
        self.row().2
    }

    /// The path's last part, as PEFT's `target_modules` has it: `q_proj`.
    pub fn hf_name(self) -> &'static str {
        self.hf_path().rsplit('.').next().unwrap_or_default()
    }

    /// Whether every decoder layer has one, and not the model as a whole.
    pub fn in_layers(self) -> bool {
        self.row().3
    }
}

/// Writes the [`Module::hf_name`].
impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.hf_name())
    }
}

/// The linear layer that a pair belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// `None` for the embedding, the head and `per_layer_model_projection` alone.
    pub layer: Option<u32>,
    pub module: Module,
}

impl Target {
    /// A module of a decoder layer.
    pub fn layer(layer: u32, module: Module) -> Self {
        Self { layer: Some(layer), module }
    }

    /// A module of the model as a whole.
    pub fn model(module: Module) -> Self {
        Self { layer: None, module }
    }

    /// Whether the weight is a table whose *rows* are the inputs: the embedding.
    pub fn is_table(self) -> bool {
        self.module == Module::Embedding
    }

    /// The base tensor without `.weight`: `blk.3.attn_q`, `token_embd`, `output`, `per_layer_model_proj`.
    pub fn gguf_name(self) -> String {
        self.named("blk", self.module.gguf_name())
    }

    /// Reads [`Target::gguf_name`].
    pub fn from_gguf(name: &str) -> Option<Self> {
        Self::parse(name, "blk.", Module::gguf_name)
    }

    /// The path in the language model of transformers: `layers.3.self_attn.q_proj`, `embed_tokens`, `lm_head`.
    pub fn hf_name(self) -> String {
        self.named("layers", self.module.hf_path())
    }

    /// Reads [`Target::hf_name`].
    pub fn from_hf(name: &str) -> Option<Self> {
        Self::parse(name, "layers.", Module::hf_path)
    }

    /// The short key of gradients and trained matrices: `layers.3.q_proj`, `embed_tokens`, `lm_head`.
    pub fn key(self) -> String {
        self.named("layers", self.module.hf_name())
    }

    /// Reads [`Target::key`].
    pub fn from_key(key: &str) -> Option<Self> {
        Self::parse(key, "layers.", Module::hf_name)
    }

    fn named(self, layers: &str, name: &str) -> String {
        match self.layer {
            Some(layer) => format!("{layers}.{layer}.{name}"),
            None => name.to_owned(),
        }
    }

    fn parse(text: &str, layers: &str, name: impl Fn(Module) -> &'static str) -> Option<Self> {
        let (layer, rest) = match text.strip_prefix(layers) {
            Some(rest) => {
                let (layer, rest) = rest.split_once('.')?;
                (Some(index(layer)?), rest)
            }
            None => (None, text),
        };
        let module = Module::ALL.into_iter().find(|module| name(*module) == rest)?;
        (module.in_layers() == layer.is_some()).then_some(Self { layer, module })
    }
}

/// Writes the [`Target::hf_name`].
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.hf_name())
    }
}

/// A layer's number in the one way that it is written.
pub(crate) fn index(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|layer| plain && *layer < MAX_LAYERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_modules() {
        for (module, row) in Module::ALL.into_iter().zip(NAMES) {
            assert_eq!((module, module.gguf_name()), (row.0, row.1));
        }
    }

    #[test]
    fn names_there_and_back() {
        for module in Module::ALL {
            let target = if module.in_layers() { Target::layer(34, module) } else { Target::model(module) };
            assert_eq!(Target::from_gguf(&target.gguf_name()), Some(target));
            assert_eq!(Target::from_hf(&target.hf_name()), Some(target));
            assert_eq!(Target::from_key(&target.key()), Some(target));
        }
        let q = Target::layer(3, Module::Q);
        assert_eq!(
            (q.gguf_name(), q.hf_name(), q.key()),
            ("blk.3.attn_q".into(), "layers.3.self_attn.q_proj".into(), "layers.3.q_proj".into())
        );
        assert_eq!(Target::model(Module::Head).gguf_name(), "output");
    }

    #[test]
    fn what_is_no_target() {
        for name in [
            "blk.3",
            "blk.+3.attn_q",
            "blk.03.attn_q",
            "blk.1024.attn_q",
            "blk..attn_q",
            "attn_q",
            "blk.0.token_embd",
            "blk.3.attn_q.weight",
            "",
        ] {
            assert_eq!(Target::from_gguf(name), None, "{name}");
        }
        assert_eq!(Target::from_hf("layers.0.embed_tokens"), None);
        assert_eq!(Target::from_hf("layers.99999999999.mlp.up_proj"), None);
        assert_eq!(Target::from_gguf("blk.0.attn_q"), Some(Target::layer(0, Module::Q)));
    }
}
