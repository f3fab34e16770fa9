//! Which format each tensor gets.

use crate::error::usage;
use anyhow::Result;
use rullama_quant::mix::{Mix, Tally, target};
use rullama_quant::{DType, QuantError};
use rullama_source::gguf::{TensorInfo, TensorType};

/// How most tensors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// A published mix, such as Q4_K_M.
    Mix(Mix),
    /// One type for every matrix that a mix would quantise, save the head.
    Uniform(DType),
}

impl Scheme {
    /// Reads `q4_k_m`, `Q8_0`, `q6_k`, ...
    ///
    /// # Errors
    /// With the names there are.
    pub fn parse(text: &str) -> Result<Scheme, String> {
        if let Some(mix) = Mix::from_label(text) {
            return Ok(Scheme::Mix(mix));
        }
        match encodable(text) {
            Some(dtype) => Ok(Scheme::Uniform(dtype)),
            None => Err(format!("choose one of {}", Scheme::names().join(", "))),
        }
    }

    /// Every name that [`Scheme::parse`] reads, in lower case.
    pub fn names() -> Vec<String> {
        let mixes = Mix::ALL.iter().map(|mix| mix.label().to_lowercase());
        let uniform = encoders().map(|dtype| dtype.name().to_owned());
        let mut names: Vec<String> = mixes.chain(uniform).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Name as people write it.
    pub fn label(self) -> &'static str {
        match self {
            Scheme::Mix(mix) => mix.label(),
            Scheme::Uniform(dtype) => dtype.label(),
        }
    }

    /// `general.file_type`, where llama.cpp numbers it (`enum llama_ftype`).
    pub fn file_type(self) -> Option<u32> {
        Some(match self {
            Scheme::Mix(mix) => mix.file_type(),
            Scheme::Uniform(DType::Q4_1) => 3,
            Scheme::Uniform(DType::Q5_0) => 8,
            Scheme::Uniform(DType::Q5_1) => 9,
            Scheme::Uniform(DType::Q5K) => 17,
            Scheme::Uniform(DType::Q6K) => 18,
            Scheme::Uniform(_) => return None,
        })
    }
}

/// Formats that can be written.
pub fn encoders() -> impl Iterator<Item = DType> {
    let can = |dtype: &DType| !matches!(rullama_quant::encode(*dtype, &[], &mut Vec::new()), Err(QuantError::NoEncoder { .. }));
    DType::ALL.iter().copied().filter(can)
}

/// Whether a format can be written.
pub fn encodes(dtype: DType) -> bool {
    encoders().any(|other| other == dtype)
}

fn encodable(text: &str) -> Option<DType> {
    encoders().find(|dtype| dtype.name().eq_ignore_ascii_case(text))
}

/// An exception: tensors whose name matches get a type of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pattern: String,
    /// `None`: as it is in the source.
    dtype: Option<DType>,
}

impl Override {
    /// Reads `PATTERN=TYPE`, where TYPE may be `keep`.
    ///
    /// # Errors
    /// With what is missing or unknown.
    pub fn parse(text: &str) -> Result<Override, String> {
        let (pattern, name) = text.rsplit_once('=').ok_or("write PATTERN=TYPE, such as per_layer_token_embd=q8_0")?;
        if pattern.is_empty() {
            return Err("the pattern is empty; `*` matches every tensor".to_owned());
        }
        let dtype = match name {
            "keep" => None,
            name => Some(encodable(name).ok_or_else(|| {
                let names: Vec<&str> = encoders().map(DType::name).collect();
                format!("unknown type {name:?}; choose keep or one of {}", names.join(", "))
            })?),
        };
        Ok(Override { pattern: pattern.to_owned(), dtype })
    }

    /// With a `*` the pattern is the whole name, without one a part of it.
    fn matches(&self, name: &str) -> bool {
        if self.pattern.contains('*') { wildcard(&self.pattern, name) } else { name.contains(&self.pattern) }
    }
}

/// Whether `name` is the pattern with each `*` replaced by some text.
fn wildcard(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The type of each tensor, in file order. The last matching exception wins; vectors, and tensors
/// whose type can only be copied, stay as they are.
///
/// # Errors
/// An exception that matches no matrix, or whose type the rows do not divide into.
pub fn assign(scheme: Scheme, overrides: &[Override], tensors: &[&TensorInfo]) -> Result<Vec<DType>> {
    let mut tally = Tally::new(tensors.iter().map(|tensor| tensor.name.as_str()));
    let mut used = vec![false; overrides.len()];
    let mut unfit = Vec::new();
    let mut types = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let TensorType::Known(source) = tensor.kind else {
            // Copied; the type is not looked at.
            types.push(DType::F32);
            continue;
        };
        // Asked for every tensor, since the rules count.
        let mut wanted = by_scheme(scheme, tensor, source, &mut tally);
        for (exception, used) in overrides.iter().zip(&mut used) {
            if tensor.dims.len() > 1 && exception.matches(&tensor.name) {
                *used = true;
                wanted = exception.dtype.unwrap_or(source);
            }
        }
        if !tensor.cols().is_multiple_of(wanted.block_len() as u64) {
            unfit.push(format!("{} (rows of {})", tensor.name, tensor.cols()));
        }
        types.push(wanted);
    }
    if let Some(at) = used.iter().position(|used| !used) {
        return Err(usage(format!(
            "--tensor-type: no matrix of the model matches {:?}. `rullama show --tensors` lists their names.",
            overrides[at].pattern
        )));
    }
    if !unfit.is_empty() {
        return Err(usage(format!(
            "--tensor-type: these rows do not divide into blocks of the type: {}. Give them another type, or `NAME=keep`.",
            unfit.join(", ")
        )));
    }
    Ok(types)
}

fn by_scheme(scheme: Scheme, tensor: &TensorInfo, source: DType, tally: &mut Tally) -> DType {
    match scheme {
        Scheme::Mix(mix) => target(mix, &tensor.name, &tensor.dims, source, tally),
        Scheme::Uniform(dtype) => uniform(dtype, tensor, source, tally),
    }
}

/// `dtype`; for the head of a model in 4 or 5 bits Q6_K, as the mixes have it; and for rows that do
/// not divide into its blocks the nearest type that they do.
fn uniform(dtype: DType, tensor: &TensorInfo, source: DType, tally: &mut Tally) -> DType {
    let of = |mix, source, tally: &mut Tally| target(mix, &tensor.name, &tensor.dims, source, tally);
    // A mix leaves some tensors their type, whatever it is.
    if of(Mix::F16, DType::BF16, tally) == DType::BF16 {
        return source;
    }
    let is_head = of(Mix::Q4_0, source, tally) == DType::Q6K;
    let wanted = if is_head && dtype != DType::Q8_0 { DType::Q6K } else { dtype };
    let small_blocks = match wanted {
        DType::Q4K => DType::Q5_0,
        DType::Q5K => DType::Q5_1,
        DType::Q6K => DType::Q8_0,
        other => other,
    };
    let divides = |dtype: &DType| tensor.cols().is_multiple_of(dtype.block_len() as u64);
    [wanted, small_blocks].into_iter().find(divides).unwrap_or(DType::F16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        assert_eq!(Scheme::parse("q4_k_m"), Ok(Scheme::Mix(Mix::Q4KM)));
        assert_eq!(Scheme::parse("Q6_K"), Ok(Scheme::Uniform(DType::Q6K)));
        assert_eq!(Scheme::parse("f16"), Ok(Scheme::Mix(Mix::F16)));
        let message = Scheme::parse("q9").unwrap_err();
        assert!(message.contains("q4_k_m") && message.contains("q8_0"), "{message}");
        for name in Scheme::names() {
            assert_eq!(Scheme::parse(&name).unwrap().label().to_lowercase(), name);
        }
    }

    #[test]
    fn patterns() {
        let matches = |pattern: &str, name: &str| Override { pattern: pattern.into(), dtype: None }.matches(name);
        assert!(matches("per_layer_token_embd", "per_layer_token_embd.weight"));
        assert!(matches("v.*", "v.blk.0.attn_q.weight") && !matches("v.*", "blk.0.attn_v.weight"));
        assert!(matches("*ffn_down*", "blk.3.ffn_down.weight") && matches("blk.*.ffn_*.weight", "blk.3.ffn_up.weight"));
        assert!(matches("*", "x") && !matches("a*a", "a") && !matches("blk.*.bias", "blk.0.weight"));
    }

    #[test]
    fn exceptions() {
        let parsed = Override::parse("v.*=q8_0").unwrap();
        assert_eq!(parsed, Override { pattern: "v.*".into(), dtype: Some(DType::Q8_0) });
        assert_eq!(Override::parse("a=keep").unwrap().dtype, None);
        for wrong in ["x", "=q8_0", "a=", "a=q9"] {
            assert!(Override::parse(wrong).is_err(), "{wrong}");
        }
    }
}
