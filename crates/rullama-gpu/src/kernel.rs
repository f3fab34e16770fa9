//! A kernel is WGSL text plus what its declarations say: parameter names and bindings.

use crate::GpuError;
use std::sync::Arc;

/// How a kernel uses a storage binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    Read,
    ReadWrite,
}

/// A 32-bit kernel parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Param {
    U32(u32),
    F32(f32),
}

impl Param {
    pub(crate) fn bits(self) -> u32 {
        match self {
            Param::U32(v) => v,
            Param::F32(v) => v.to_bits(),
        }
    }

    fn type_name(self) -> &'static str {
        match self {
            Param::U32(_) => "u32",
            Param::F32(_) => "f32",
        }
    }
}

impl From<u32> for Param {
    fn from(v: u32) -> Self {
        Param::U32(v)
    }
}

impl From<f32> for Param {
    fn from(v: f32) -> Self {
        Param::F32(v)
    }
}

/// Linked WGSL text with its interface, read from the text itself: the fields of
/// `struct Params` (each `u32` or `f32`; bound as `params` at binding 0) and the storage
/// bindings from 1 on. The host names them, so the two sides cannot drift apart.
///
/// The text is a part of the program, never a stranger's, and its loops end whatever buffers and parameters hold: natively
/// nothing else stops them.
#[derive(Debug, Clone)]
pub struct Kernel(Arc<Inner>);

/// The same where they are clones of one: comparing texts would take longer than all else that is done for a dispatch.
impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Kernel {}

impl std::hash::Hash for Kernel {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

#[derive(Debug)]
struct Inner {
    label: String,
    source: String,
    params: Vec<(String, String)>,
    bindings: Vec<(String, Access)>,
}

impl Kernel {
    /// Reads the interface of `source`.
    ///
    /// # Errors
    /// [`GpuError::Validation`] naming the kernel and the declaration that cannot be read.
    pub fn reflect(label: &str, source: &str) -> Result<Self, GpuError> {
        let fail = |message: String| GpuError::Validation { what: format!("kernel `{label}`"), message };
        let params = source.find("struct Params").map(|at| fields(&source[at..])).transpose().map_err(&fail)?.unwrap_or_default();
        let mut bindings = Vec::new();
        for line in source.lines().filter(|l| l.contains("var<storage")) {
            let access = if line.contains("read_write") { Access::ReadWrite } else { Access::Read };
            let index: usize = between(line, "@binding(", ")")
                .and_then(|s| s.parse().ok())
                .ok_or_else(|| fail(format!("no binding number in `{line}`")))?;
            let name = between(line, ">", ":").ok_or_else(|| fail(format!("no name in `{line}`")))?.trim().to_string();
            bindings.push((index, name, access));
        }
        bindings.sort_by_key(|b| b.0);
        if bindings.iter().enumerate().any(|(i, b)| b.0 != i + 1) {
            return Err(fail("storage bindings must be numbered 1, 2, ...".into()));
        }
        let bindings = bindings.into_iter().map(|(_, name, access)| (name, access)).collect();
        Ok(Kernel(Arc::new(Inner { label: label.into(), source: source.into(), params, bindings })))
    }

    pub fn label(&self) -> &str {
        &self.0.label
    }

    pub fn source(&self) -> &str {
        &self.0.source
    }

    pub(crate) fn bindings(&self) -> &[(String, Access)] {
        &self.0.bindings
    }

    pub(crate) fn has_params(&self) -> bool {
        !self.0.params.is_empty()
    }

    /// Parameter words in the declared order; `given` must name each field once with its type.
    pub(crate) fn pack(&self, given: &[(&'static str, Param)]) -> Result<Vec<u32>, GpuError> {
        let fail = |message: String| GpuError::Validation { what: format!("parameters of kernel `{}`", self.label()), message };
        let declared = &self.0.params;
        if let Some((name, _)) = given.iter().find(|(name, _)| !declared.iter().any(|d| d.0 == *name)) {
            return Err(fail(format!("`{name}` is not declared")));
        }
        declared
            .iter()
            .map(|(name, kind)| {
                let (_, value) = given.iter().find(|g| g.0 == name).ok_or_else(|| fail(format!("`{name}` is not given")))?;
                if value.type_name() == kind {
                    Ok(value.bits())
                } else {
                    Err(fail(format!("`{name}` is {kind}, given {}", value.type_name())))
                }
            })
            .collect()
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let rest = &text[text.find(start)? + start.len()..];
    Some(&rest[..rest.find(end)?])
}

/// `name: type` pairs of the struct whose text starts here.
fn fields(text: &str) -> Result<Vec<(String, String)>, String> {
    let body = between(text, "{", "}").ok_or("unclosed `struct Params`")?;
    let code: String = body.lines().map(|l| l.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    code.split(',')
        .map(str::trim)
        .filter(|f| !f.is_empty())
        .map(|f| match f.split_once(':') {
            Some((name, kind)) if matches!(kind.trim(), "u32" | "f32") => Ok((name.trim().to_string(), kind.trim().to_string())),
            _ => Err(format!("field `{f}` of Params is neither u32 nor f32")),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "struct Params { rows: u32, // how many\n eps: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;";

    #[test]
    fn reads_interface_in_binding_order() {
        let kernel = Kernel::reflect("t", TEXT).unwrap();
        assert_eq!(kernel.bindings(), [("x".to_string(), Access::Read), ("y".to_string(), Access::ReadWrite)]);
        assert_eq!(kernel.pack(&[("eps", 1.0.into()), ("rows", 7.into())]).unwrap(), [7, 1f32.to_bits()]);
    }

    #[test]
    fn refuses_missing_unknown_and_mistyped_parameters() {
        let kernel = Kernel::reflect("t", TEXT).unwrap();
        for given in [
            vec![("rows", Param::U32(1))],
            vec![("rows", 1.into()), ("eps", 1.0.into()), ("x", 1.into())],
            vec![("rows", 1.0.into()), ("eps", 1.0.into())],
        ] {
            assert!(kernel.pack(&given).is_err(), "{given:?}");
        }
    }

    #[test]
    fn refuses_gaps_in_binding_numbers() {
        assert!(Kernel::reflect("t", "@group(0) @binding(2) var<storage, read> x: array<f32>;").is_err());
    }
}
