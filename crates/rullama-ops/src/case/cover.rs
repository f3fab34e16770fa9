//! Which runs a device needs, so that each line of each kernel was computed once.

use rullama_gpu::Kernel;
use std::collections::HashSet;

/// What has been run, by lines of kernels: numbers apart, as constants and what is written out by them differ from shape to shape.
#[derive(Debug, Default)]
pub struct Cover {
    lines: HashSet<(String, String)>,
    variants: HashSet<(&'static str, &'static str)>,
}

impl Cover {
    /// Whether a run of these kernels brings a variant of an operation, or a line of a kernel, that no run before had. It counts as run.
    pub fn adds(&mut self, op: &'static str, variant: &'static str, kernels: &[Kernel]) -> bool {
        let mut new = self.variants.insert((op, variant));
        for kernel in kernels {
            let name = kernel.label().split('[').next().unwrap_or_default();
            for line in kernel.source().lines() {
                new |= self.lines.insert((name.to_owned(), line.replace(|c: char| c.is_ascii_digit(), "")));
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice::from_ref;

    fn kernel(label: &str, text: &str) -> Kernel {
        Kernel::reflect(label, text).unwrap()
    }

    #[test]
    fn new_are_variants_lines_and_lines_of_other_kernels() {
        let mut cover = Cover::default();
        let plain = kernel("a/b", "const N: u32 = 4u;\nx1 = y;");
        assert!(cover.adds("a", "plain", from_ref(&plain)));
        assert!(!cover.adds("a", "plain", from_ref(&plain)));
        assert!(cover.adds("a", "tiled", &[plain]), "another variant");
        assert!(!cover.adds("a", "plain", &[kernel("a/b[flag]", "const N: u32 = 16u;\nx2 = y;")]), "other numbers alone");
        let more = kernel("a/b", "const N: u32 = 4u;\nx1 = z;");
        assert!(cover.adds("a", "plain", from_ref(&more)), "another line");
        assert!(cover.adds("a", "plain", &[more.clone(), kernel("a/c", more.source())]), "the line in another kernel");
        assert!(!cover.adds("a", "plain", &[]));
    }
}
