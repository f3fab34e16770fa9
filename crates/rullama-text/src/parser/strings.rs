//! Strings in single or double quotes, as JSON and Python write them.

/// Text with its escapes resolved; unknown ones stay as they are.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let mut tail = after.chars();
        let plain = match tail.next() {
            Some('n') => Some('\n'),
            Some('t') => Some('\t'),
            Some('r') => Some('\r'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some(c @ ('"' | '\'' | '\\' | '/')) => Some(c),
            _ => None,
        };
        rest = match (plain, unicode(after)) {
            (Some(c), _) => {
                out.push(c);
                tail.as_str()
            }
            (None, Some((c, len))) => {
                out.push(c);
                &after[len..]
            }
            (None, None) => {
                out.push('\\');
                after
            }
        };
    }
    out.push_str(rest);
    out
}

/// The character of `uXXXX`, or of two that make a surrogate pair, and the length of its escape.
fn unicode(text: &str) -> Option<(char, usize)> {
    let unit = |text: &str| {
        let digits = text.strip_prefix('u')?.get(..4)?;
        let valid = digits.bytes().all(|b| b.is_ascii_hexdigit());
        if valid { u32::from_str_radix(digits, 16).ok() } else { None }
    };
    let high = unit(text)?;
    if let Some(c) = char::from_u32(high) {
        return Some((c, 5));
    }
    let low = unit(text[5..].strip_prefix('\\')?)?;
    let pair = (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low);
    let c = if pair { char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)) } else { None };
    Some((c?, 11))
}
