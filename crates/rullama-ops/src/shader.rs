//! Links WGSL: one source per algorithm, structure chosen by flags.
//!
//! Directives stand alone on a line:
//! - `#import NAME` inserts a shared module, or a module that the caller binds (a weight
//!   format's decoder); each is inserted once.
//! - `#if FLAG`, `#if !FLAG`, `#else`, `#endif` keep or drop lines.
//!
//! Numbers that shape registers and workgroup memory arrive as `const NAME: u32 = value;`.

use rullama_gpu::{Caps, GpuError, Kernel};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, OnceLock};

/// Modules that any kernel may import.
const SHARED: &[(&str, &str)] = &[("reduce", include_str!("shared/reduce.wgsl")), ("math", include_str!("shared/math.wgsl"))];

/// What to link.
#[derive(Debug, Clone, Default)]
pub struct Link<'a> {
    name: String,
    text: &'a str,
    flags: BTreeSet<&'a str>,
    consts: Vec<(&'a str, u32)>,
    modules: Vec<(&'a str, &'a str)>,
}

impl<'a> Link<'a> {
    /// `name` is the kernel's path, as `matmul/vector`.
    pub fn new(name: &str, text: &'a str, caps: &Caps) -> Self {
        let mut link = Link { name: name.into(), text, ..Default::default() };
        link.flag("browser", caps.browser);
        link
    }

    /// Sets a flag for `#if` when `on`.
    pub fn flag(&mut self, name: &'a str, on: bool) -> &mut Self {
        if on {
            self.flags.insert(name);
        }
        self
    }

    /// Declares `const name: u32 = value;`.
    pub fn constant(&mut self, name: &'a str, value: u32) -> &mut Self {
        self.consts.push((name, value));
        self
    }

    /// Binds the text that `#import name` inserts.
    pub fn module(&mut self, name: &'a str, text: &'a str) -> &mut Self {
        self.modules.push((name, text));
        self
    }

    /// The linked kernel; equal requests share one.
    ///
    /// # Errors
    /// [`GpuError::Validation`] naming the kernel and what its text asks for and is not linked, or is no interface.
    pub fn kernel(&self) -> Result<Kernel, GpuError> {
        static CACHE: OnceLock<Mutex<HashMap<String, Kernel>>> = OnceLock::new();
        let source = self.source().map_err(|message| GpuError::Validation { what: format!("kernel `{}`", self.name), message })?;
        let mut cache = CACHE.get_or_init(Default::default).lock().unwrap_or_else(|p| p.into_inner());
        if let Some(kernel) = cache.get(&source) {
            return Ok(kernel.clone());
        }
        let flags: Vec<_> = self.flags.iter().filter(|f| **f != "browser").copied().collect();
        let kernel = Kernel::reflect(&format!("{}[{}]", self.name, flags.join(",")), &source)?;
        cache.insert(source, kernel.clone());
        Ok(kernel)
    }

    /// The linked text.
    ///
    /// # Errors
    /// What the text asks for and is not linked.
    pub fn source(&self) -> Result<String, String> {
        let mut out = String::new();
        // Browsers demand the directive, naga refuses it.
        if self.flags.contains("browser") && self.flags.contains("subgroups") {
            out.push_str("enable subgroups;\n");
        }
        for (name, value) in &self.consts {
            out.push_str(&format!("const {name}: u32 = {value}u;\n"));
        }
        self.expand(self.text, &mut out, &mut BTreeSet::new())?;
        Ok(out)
    }

    fn expand(&self, text: &str, out: &mut String, imported: &mut BTreeSet<String>) -> Result<(), String> {
        // One entry per open `#if`: whether its lines are kept.
        let mut keep: Vec<bool> = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["#if", flag] => {
                    let on = flag.strip_prefix('!').map_or_else(|| self.flags.contains(flag), |f| !self.flags.contains(f));
                    keep.push(on);
                }
                ["#else"] => {
                    let last = keep.last_mut().ok_or("`#else` without `#if`")?;
                    *last = !*last;
                }
                ["#endif"] => {
                    keep.pop().ok_or("`#endif` without `#if`")?;
                }
                _ if keep.contains(&false) => {}
                ["#import", name] => self.import(name, out, imported)?,
                [first, ..] if first.starts_with('#') => return Err(format!("unknown directive `{line}`")),
                [first, ..] if first.starts_with("//") => {}
                _ => {
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
        if keep.is_empty() { Ok(()) } else { Err("`#if` without `#endif`".into()) }
    }

    fn import(&self, name: &str, out: &mut String, imported: &mut BTreeSet<String>) -> Result<(), String> {
        if !imported.insert(name.to_string()) {
            return Ok(());
        }
        let found = self.modules.iter().chain(SHARED).find(|m| m.0 == name);
        let (_, text) = found.ok_or_else(|| format!("no module `{name}` to import"))?;
        self.expand(text, out, imported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link<'a>(text: &'a str, flags: &[&'a str]) -> Link<'a> {
        Link {
            name: "t".into(),
            text,
            flags: flags.iter().copied().collect(),
            modules: vec![("m", "M\n#import n"), ("n", "N")],
            ..Default::default()
        }
    }

    #[test]
    fn keeps_lines_by_flags_and_imports_once() {
        let text = "#import m\n#import n\n#if a\nA\n#if !b\nAB\n#endif\n#else\nE\n#endif\n// note\nend";
        assert_eq!(link(text, &["a"]).source().unwrap(), "M\nN\nA\nAB\nend\n");
        assert_eq!(link(text, &["b"]).source().unwrap(), "M\nN\nE\nend\n");
    }

    #[test]
    fn refuses_unbalanced_and_unknown_directives() {
        for text in ["#if a", "#endif", "#else", "#import nothing", "#define x"] {
            assert!(link(text, &[]).source().is_err(), "{text}");
        }
    }

    #[test]
    fn subgroups_are_enabled_in_browsers_only() {
        assert!(link("x", &["browser", "subgroups"]).source().unwrap().starts_with("enable subgroups;"));
        assert_eq!(link("x", &["subgroups"]).source().unwrap(), "x\n");
    }
}
