//! WGSL as it is compiled in: what a driver reads of a file. Comments are a sixth of the kernels' text, and would travel to every
//! browser.

/// The texts of WGSL files, one after another, without comments, indentation and empty lines.
#[macro_export]
macro_rules! wgsl {
    ($($file:literal),+) => {{
        const FILES: &str = concat!($(include_str!($file)),+);
        const BARE: [u8; $crate::bare::size(FILES)] = $crate::bare::bytes(FILES);
        const TEXT: &str = $crate::bare::text(&BARE);
        TEXT
    }};
}

/// Bytes of what is left of a text.
pub const fn size(text: &str) -> usize {
    strip(text.as_bytes(), &mut [])
}

/// What is left of a text, which has `N` bytes.
pub const fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0; N];
    strip(text.as_bytes(), &mut out);
    out
}

pub const fn text(bytes: &[u8]) -> &str {
    match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("only whole lines were taken of a text"),
    }
}

/// Writes what is left of `text` to `out`, as far as that goes; gives its length. WGSL has no strings that `//` could stand in.
const fn strip(text: &[u8], out: &mut [u8]) -> usize {
    let (mut at, mut len) = (0, 0);
    while at < text.len() {
        while at < text.len() && text[at] == b' ' {
            at += 1;
        }
        let start = at;
        while at < text.len() && text[at] != b'\n' && !(text[at] == b'/' && at + 1 < text.len() && text[at + 1] == b'/') {
            at += 1;
        }
        let mut end = at;
        while end > start && text[end - 1] == b' ' {
            end -= 1;
        }
        while at < text.len() && text[at] != b'\n' {
            at += 1;
        }
        at += 1;
        let mut from = start;
        while from < end {
            len = push(out, len, text[from]);
            from += 1;
        }
        if end > start {
            len = push(out, len, b'\n');
        }
    }
    len
}

const fn push(out: &mut [u8], len: usize, byte: u8) -> usize {
    if len < out.len() {
        out[len] = byte;
    }
    len + 1
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_driver_reads_is_left() {
        const TEXT: &str = "// note\n\nfn f() {\n    a = b / c; // why\n    #if x\n//\n}";
        const LEFT: [u8; super::size(TEXT)] = super::bytes(TEXT);
        assert_eq!(super::text(&LEFT), "fn f() {\na = b / c;\n#if x\n}\n");
        assert_eq!(super::size(""), 0);
    }
}
