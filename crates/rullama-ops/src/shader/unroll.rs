//! Written-out loops in WGSL, for values that must stay in registers.

/// Repeats the lines between `#repeat NAME COUNT` and `#end`, with `{NAME}` replaced by 0, 1, ..
/// `COUNT` is a number or one of `counts`; blocks nest.
///
/// An array indexed by a loop variable stays in registers only if a compiler unrolls the loop,
/// and the guards that WebGPU implementations add to loops and indices keep some from it.
///
/// # Errors
/// What a `#repeat` without a count or an end asks for.
pub(super) fn unroll(text: &str, counts: &[(&str, u32)]) -> Result<String, String> {
    let mut lines = text.lines();
    let mut out = String::new();
    while let Some(line) = lines.next() {
        let Some(head) = line.trim().strip_prefix("#repeat ") else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let (name, count) = head.trim().split_once(' ').ok_or_else(|| format!("`{line}` wants a name and a count"))?;
        let count = counts.iter().find(|c| c.0 == count).map_or_else(|| count.parse().ok(), |c| Some(c.1));
        let count = count.ok_or_else(|| format!("unknown count in `{line}`"))?;
        let body = block(&mut lines).ok_or_else(|| format!("`{line}` has no `#end`"))?;
        for i in 0..count {
            out.push_str(&unroll(&body.replace(&format!("{{{name}}}"), &i.to_string()), counts)?);
        }
    }
    Ok(out)
}

/// Lines up to the `#end` of the block just opened.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    let mut body = String::new();
    let mut depth = 1;
    for line in lines {
        match line.trim() {
            "#end" => depth -= 1,
            t if t.starts_with("#repeat ") => depth += 1,
            _ => {}
        }
        if depth == 0 {
            return Some(body);
        }
        body.push_str(line);
        body.push('\n');
    }
    None
}

#[cfg(test)]
mod tests {
    use super::unroll;

    #[test]
    fn nested_blocks_take_both_indices() {
        let text = "a\n#repeat i N\n#repeat j 2\nv{i}_{j}\n#end\n#end\nb";
        assert_eq!(unroll(text, &[("N", 2)]).unwrap(), "a\nv0_0\nv0_1\nv1_0\nv1_1\nb\n");
        assert_eq!(unroll(text, &[("N", 0)]).unwrap(), "a\nb\n");
    }

    #[test]
    fn refuses_unknown_counts_and_open_blocks() {
        for text in ["#repeat i N\n#end", "#repeat i 2\nx", "#repeat i\n#end"] {
            assert!(unroll(text, &[]).is_err(), "{text}");
        }
    }
}
