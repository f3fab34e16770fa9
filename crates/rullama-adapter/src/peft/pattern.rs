//! PEFT's patterns over module names: regular expressions, which mostly are plain names.
//!
//! Source: PEFT `utils/other.py` `get_pattern_key`, `tuners/tuners_utils.py` `check_target_module_exists`.

use regex_lite::{Regex, RegexBuilder};

/// Bytes of a compiled expression; bounds the time of a match.
const MAX_COMPILED: usize = 32 << 10;

/// A key of `rank_pattern` or `alpha_pattern`: an expression that the end of a path matches, after a dot or from its start.
pub(crate) enum Pattern {
    /// Letters, digits, `_`, `-`, and dots, which stand for any character.
    Plain(Vec<u8>),
    Expression(Regex),
}

impl Pattern {
    /// # Errors
    /// What is wrong with the expression.
    pub fn new(key: &str) -> Result<Self, String> {
        if key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) {
            return Ok(Self::Plain(key.as_bytes().to_vec()));
        }
        expression(&format!(r"^(?:.*\.)?(?:{key})$")).map(Self::Expression)
    }

    pub fn matches(&self, path: &str) -> bool {
        let key = match self {
            Self::Expression(expression) => return expression.is_match(path),
            Self::Plain(key) => key,
        };
        let Some((before, end)) = path.len().checked_sub(key.len()).and_then(|at| path.as_bytes().split_at_checked(at)) else {
            return false;
        };
        let begins = before.is_empty() || before.ends_with(b".");
        begins && key.iter().zip(end).all(|(key, byte)| key == byte || *key == b'.')
    }
}

/// # Errors
/// What is wrong with the expression.
pub(crate) fn expression(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).size_limit(MAX_COMPILED).build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_peft_matches() {
        let matches = |key: &str, path: &str| Pattern::new(key).unwrap().matches(path);
        let path = "model.language_model.layers.13.self_attn.o_proj";
        for key in [
            "o_proj",
            "self_attn.o_proj",
            "layers.13.self_attn.o_proj",
            path,
            "self.attn.o_proj",
            r".*o_proj",
            r"layers\.1[0-9]\..*",
            "(?:q|o)_proj",
        ] {
            assert!(matches(key, path), "{key}");
        }
        for key in
            ["proj", "layers.3.self_attn.o_proj", "self_attn", "x.model.language_model.layers.13.self_attn.o_proj", "^self_attn.o_proj", ""]
        {
            assert!(!matches(key, path), "{key}");
        }
        assert!(matches("^lm_head", "lm_head") && matches("lm_head", "lm_head"));
        assert!(Pattern::new("(").is_err() && Pattern::new("(?!x)y").is_err());
        assert!(Pattern::new("(a{100}){100}{100}").is_err());
    }
}
