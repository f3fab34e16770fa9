//! The length of functions in Rust.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, ImplItemFn, ItemFn, Signature, TraitItemFn};

use super::sources::Source;

/// Where a function holds two ideas, as a rule.
const MAX_LINES: usize = 60;

/// Functions of a Rust file with more than [`MAX_LINES`] lines from `fn` to the closing brace.
pub fn violations(source: &Source) -> Vec<String> {
    if !source.path.ends_with(".rs") {
        return Vec::new();
    }
    let file = match syn::parse_file(source.text) {
        Ok(file) => file,
        Err(error) => return vec![format!("{}:{}: cannot be read as Rust: {error}", source.path, line(error.span()))],
    };
    let mut lengths = Lengths::default();
    lengths.visit_file(&file);
    let long = lengths.0.into_iter().filter(|function| function.lines > MAX_LINES);
    long.map(|Function { name, first, lines }| {
        format!("{}:{first}: `{name}` has {lines} lines, more than {MAX_LINES}; look for the second idea in it", source.path)
    })
    .collect()
}

struct Function {
    name: String,
    first: usize,
    lines: usize,
}

#[derive(Default)]
struct Lengths(Vec<Function>);

impl Lengths {
    fn add(&mut self, signature: &Signature, block: &Block) {
        let first = line(signature.span());
        let lines = block.span().end().line + 1 - first;
        self.0.push(Function { name: signature.ident.to_string(), first, lines });
    }
}

impl<'ast> Visit<'ast> for Lengths {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(block) = &function.default {
            self.add(&function.sig, block);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

fn line(span: Span) -> usize {
    span.start().line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        violations(&Source { path: "crates/a/src/lib.rs", text })
    }

    fn function(head: &str, lines: usize) -> String {
        format!("{head} {{\n{}}}\n", "    step();\n".repeat(lines - 2))
    }

    #[test]
    fn the_bound() {
        assert_eq!(check(&function("fn a()", MAX_LINES)), Vec::<String>::new());
        let found = check(&format!("// one\n\n/// Two.\n#[inline]\n{}", function("pub async fn a()", MAX_LINES + 1)));
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/a/src/lib.rs:5: `a` has 61 lines"), "{found:?}");
    }

    #[test]
    fn wherever_a_function_stands() {
        let long = function("fn long()", MAX_LINES + 1);
        for text in [
            format!("mod a {{ mod b {{ {long} }} }}"),
            format!("impl A {{ {long} }}"),
            format!("trait A {{ fn short(); {long} }}"),
            format!("fn outer() {{ let x = {{ {long} 3 }}; }}"),
        ] {
            assert!(check(&text).iter().any(|found| found.contains("`long`")), "{text}");
        }
    }

    #[test]
    fn braces_in_texts_are_no_braces() {
        let text = format!("fn a() {{ let s = \"{{\"; let c = '{{'; let r = r#\"\"}}\"#; /* {{ */ }}\n{}", function("fn b()", 3));
        assert_eq!(check(&text), Vec::<String>::new());
    }

    #[test]
    fn other_files_and_broken_ones() {
        assert!(violations(&Source { path: "a.md", text: "fn" }).is_empty());
        assert!(check("fn a( {")[0].contains("cannot be read as Rust"));
    }
}
