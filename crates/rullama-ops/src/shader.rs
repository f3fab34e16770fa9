//! Links WGSL: one source per algorithm, structure chosen by flags.
//!
//! Directives stand alone on a line:
//! - `#import NAME` inserts a shared module, or a module that the caller binds (a weight
//!   format's decoder); each is inserted once.
//! - `#import NAME as SUFFIX` does so with `_SUFFIX` behind the names that it declares, and those that have
//!   been declared with it: kernels that read several weights have a decoder for each.
//! - `#if FLAG`, `#if !FLAG`, `#else`, `#endif` keep or drop lines.
//! - `#param NAME: TYPE` adds a field to the parameters, where `#params` stands.
//! - `#repeat NAME COUNT`, `#end` write a loop out ([`unroll`]); COUNT is a number or one of the constants.
//!
//! `@binding(_)` becomes the next number from 1 on, so that what a module or flag adds needs no number of its own.
//!
//! Numbers that shape registers and workgroup memory arrive as `const NAME: u32 = value;`.

use rullama_gpu::{Caps, GpuError, Kernel};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, OnceLock};
use unroll::unroll;

mod unroll;

/// Modules that any kernel may import.
const SHARED: &[(&str, &str)] = &[
    ("reduce", rullama_quant::wgsl!("shared/reduce.wgsl")),
    ("math", rullama_quant::wgsl!("shared/math.wgsl")),
    ("philox", rullama_quant::wgsl!("shared/philox.wgsl")),
    ("team", rullama_quant::wgsl!("shared/team.wgsl")),
    ("group_codes", rullama_quant::wgsl!("shared/group_codes.wgsl")),
    ("code_groups", rullama_quant::wgsl!("shared/code_groups.wgsl")),
    ("codes_dot", rullama_quant::wgsl!("shared/codes_dot.wgsl")),
    ("codes_store", rullama_quant::wgsl!("shared/codes_store.wgsl")),
    ("tile_sums", rullama_quant::wgsl!("shared/tile_sums.wgsl")),
];

/// Stands for the fields that modules add to the parameters, until all are known.
const PARAMS: &str = "\u{1}params\n";

/// What is known of a text while it is put together.
#[derive(Default)]
struct Expansion {
    imported: BTreeSet<String>,
    /// Fields, a line each.
    params: String,
}

/// Kernels that have been linked: by what was asked for, and by the text that it came to.
#[derive(Default)]
struct Linked {
    requests: HashMap<Link, Kernel>,
    texts: HashMap<String, Kernel>,
}

/// What to link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Link {
    name: String,
    text: Text,
    flags: BTreeSet<&'static str>,
    consts: Vec<(&'static str, u32)>,
    modules: Vec<(&'static str, Text)>,
}

/// A text of the program, told from others by its place: comparing what stands there would take longer than all else that is done for a
/// dispatch.
#[derive(Debug, Clone, Copy, Default)]
struct Text(&'static str);

impl Text {
    fn place(self) -> (usize, usize) {
        (self.0.as_ptr() as usize, self.0.len())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Text {}

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.place().hash(state);
    }
}

impl Link {
    /// `name` is the kernel's path, as `matmul/vector`.
    pub fn new(name: &str, text: &'static str, caps: &Caps) -> Self {
        let mut link = Link { name: name.into(), text: Text(text), ..Default::default() };
        link.flag("browser", caps.browser);
        link
    }

    /// Sets a flag for `#if` when `on`.
    pub fn flag(&mut self, name: &'static str, on: bool) -> &mut Self {
        if on {
            self.flags.insert(name);
        }
        self
    }

    /// Declares `const name: u32 = value;`.
    pub fn constant(&mut self, name: &'static str, value: u32) -> &mut Self {
        self.consts.push((name, value));
        self
    }

    /// Binds the text that `#import name` inserts.
    pub fn module(&mut self, name: &'static str, text: &'static str) -> &mut Self {
        self.modules.push((name, Text(text)));
        self
    }

    /// The linked kernel; equal requests share one.
    ///
    /// # Errors
    /// [`GpuError::Validation`] naming the kernel and what its text asks for and is not linked, or is no interface.
    pub fn kernel(&self) -> Result<Kernel, GpuError> {
        static CACHE: OnceLock<Mutex<Linked>> = OnceLock::new();
        let mut cache = CACHE.get_or_init(Default::default).lock().unwrap_or_else(|p| p.into_inner());
        if let Some(kernel) = cache.requests.get(self) {
            return Ok(kernel.clone());
        }
        let source = self.source().map_err(|message| GpuError::Validation { what: format!("kernel `{}`", self.name), message })?;
        let kernel = match cache.texts.get(&source) {
            Some(kernel) => kernel.clone(),
            None => {
                let flags: Vec<_> = self.flags.iter().filter(|f| **f != "browser").copied().collect();
                Kernel::reflect(&format!("{}[{}]", self.name, flags.join(",")), &source)?
            }
        };
        cache.requests.insert(self.clone(), kernel.clone());
        cache.texts.insert(source, kernel.clone());
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
        let mut expansion = Expansion::default();
        self.expand(self.text.0, &mut out, &mut expansion)?;
        let at = out.find(PARAMS);
        if at.is_none() && !expansion.params.is_empty() {
            return Err("`#param` without `#params`".into());
        }
        let text = unroll(&out.replacen(PARAMS, &expansion.params, 1), &self.consts)?;
        Ok(number_bindings(&text))
    }

    fn expand(&self, text: &str, out: &mut String, expansion: &mut Expansion) -> Result<(), String> {
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
                ["#import", name] => self.import(name, out, expansion)?,
                ["#import", name, "as", suffix] => self.import_as(name, suffix, out, expansion)?,
                ["#param", name, kind] => expansion.params.push_str(&format!("{name} {kind},\n")),
                ["#params"] => out.push_str(PARAMS),
                ["#repeat", ..] | ["#end"] => {
                    out.push_str(line);
                    out.push('\n');
                }
                [first, ..] if first.starts_with('#') => return Err(format!("unknown directive `{line}`")),
                _ => {
                    out.push_str(line);
                    out.push('\n');
                }
            }
        }
        if keep.is_empty() { Ok(()) } else { Err("`#if` without `#endif`".into()) }
    }

    fn import(&self, name: &str, out: &mut String, expansion: &mut Expansion) -> Result<(), String> {
        if !expansion.imported.insert(name.to_string()) {
            return Ok(());
        }
        self.expand(self.text_of(name)?, out, expansion)
    }

    fn import_as(&self, name: &str, suffix: &str, out: &mut String, expansion: &mut Expansion) -> Result<(), String> {
        if !expansion.imported.insert(format!("{name} as {suffix}")) {
            return Ok(());
        }
        let mut text = String::new();
        self.expand(self.text_of(name)?, &mut text, expansion)?;
        let ending = format!("_{suffix}");
        let known = out.lines().filter_map(declared).filter_map(|name| name.strip_suffix(&ending)).map(str::to_string);
        let names: BTreeSet<String> = known.chain(text.lines().filter_map(declared).map(str::to_string)).collect();
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let mut rest = text.as_str();
        while let Some(start) = rest.find(is_name) {
            let (before, from) = rest.split_at(start);
            let (word, after) = from.split_at(from.find(|c| !is_name(c)).unwrap_or(from.len()));
            out.push_str(before);
            out.push_str(word);
            if names.contains(word) {
                out.push('_');
                out.push_str(suffix);
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(())
    }

    fn text_of(&self, name: &str) -> Result<&'static str, String> {
        let modules = self.modules.iter().map(|(name, text)| (*name, text.0));
        let found = modules.chain(SHARED.iter().copied()).find(|module| module.0 == name);
        found.map(|module| module.1).ok_or_else(|| format!("no module `{name}` to import"))
    }
}

/// The name that a line declares for its whole module.
fn declared(line: &str) -> Option<&str> {
    let (kind, rest) = line.split_once(' ')?;
    let rest = if kind == "@group(0)" { rest.split_once("> ")?.1 } else { rest };
    let name = &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_')?];
    matches!(kind, "fn" | "const" | "struct" | "@group(0)").then_some(name)
}

fn number_bindings(text: &str) -> String {
    let mut parts = text.split("@binding(_)");
    let mut out = parts.next().unwrap_or_default().to_string();
    for (i, part) in parts.enumerate() {
        out.push_str(&format!("@binding({}){part}", i + 1));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_are_numbered_in_order() {
        let text = "@binding(0) p\n#if a\n@binding(_) x\n#endif\n@binding(_) y";
        assert_eq!(link(text, &["a"]).source().unwrap(), "@binding(0) p\n@binding(1) x\n@binding(2) y\n");
        assert_eq!(link(text, &[]).source().unwrap(), "@binding(0) p\n@binding(1) y\n");
    }

    fn link(text: &'static str, flags: &[&'static str]) -> Link {
        Link {
            name: "t".into(),
            text: Text(text),
            flags: flags.iter().copied().collect(),
            modules: vec![("m", Text("M\n#import n")), ("n", Text("N"))],
            ..Default::default()
        }
    }

    #[test]
    fn keeps_lines_by_flags_and_imports_once() {
        let text = "#import m\n#import n\n#if a\nA\n#if !b\nAB\n#endif\n#else\nE\n#endif\nend";
        assert_eq!(link(text, &["a"]).source().unwrap(), "M\nN\nA\nAB\nend\n");
        assert_eq!(link(text, &["b"]).source().unwrap(), "M\nN\nE\nend\n");
    }

    #[test]
    fn names_of_a_module_get_its_suffix() {
        let mut link = link(
            "fn read_a() {}\n@group(0) @binding(_) var<storage, read> held_a: X;\n#import p as a\n#import p as a\n#import p as b\nend",
            &[],
        );
        link.modules
            .push(("p", Text("const N = 2u;\nfn sum(x: Own) -> u32 {\n    let held = N;\n    return read(held) + sums + other.N2;\n}")));
        let as_a = "const N_a = 2u;\nfn sum_a(x: Own) -> u32 {\n    let held_a = N_a;\n    return read_a(held_a) + sums + other.N2;\n}\n";
        let as_b = "const N_b = 2u;\nfn sum_b(x: Own) -> u32 {\n    let held = N_b;\n    return read(held) + sums + other.N2;\n}\n";
        let first = "fn read_a() {}\n@group(0) @binding(1) var<storage, read> held_a: X;\n";
        assert_eq!(link.source().unwrap(), format!("{first}{as_a}{as_b}end\n"));
    }

    #[test]
    fn parameters_of_modules_stand_where_they_are_wanted() {
        let mut link = link("struct Params {\na: u32,\n#params\n}\n#import p\nend", &[]);
        link.modules.push(("p", Text("#param b: f32\nP")));
        assert_eq!(link.source().unwrap(), "struct Params {\na: u32,\nb: f32,\n}\nP\nend\n");
        link.text = Text("#import p");
        assert!(link.source().is_err());
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
