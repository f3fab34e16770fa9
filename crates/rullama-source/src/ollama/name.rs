//! Model names: `[scheme://][host/][namespace/]model[:tag]`.

use std::{fmt, str::FromStr};

use super::error::NameError;

const HOST: &str = "registry.ollama.ai";
const NAMESPACE: &str = "library";
const TAG: &str = "latest";

/// A complete name; every part is safe as a folder name (no separator, no leading dot).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName {
    pub(crate) host: String,
    pub(crate) namespace: String,
    pub(crate) model: String,
    pub(crate) tag: String,
}

impl ModelName {
    /// Reads a name and fills in what is left out: `registry.ollama.ai/library/...:latest`.
    ///
    /// # Errors
    /// [`NameError`] with the part that is wrong.
    pub fn parse(input: &str) -> Result<Self, NameError> {
        let error = |reason| NameError { input: input.to_owned(), reason };
        let rest = input.split_once("://").map_or(input, |(_, rest)| rest);
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (path, tag) = match rest[slash..].rfind(':') {
            Some(colon) => (&rest[..slash + colon], &rest[slash + colon + 1..]),
            None => (rest, TAG),
        };
        let mut parts = path.rsplitn(3, '/');
        let model = parts.next().unwrap_or_default();
        let namespace = parts.next().unwrap_or(NAMESPACE);
        let host = parts.next().unwrap_or(HOST);
        Self::from_parts(host, namespace, model, tag).map_err(error)
    }

    /// From the four parts of a manifest's path.
    ///
    /// # Errors
    /// Which part is wrong.
    pub fn from_parts(host: &str, namespace: &str, model: &str, tag: &str) -> Result<Self, &'static str> {
        if !valid(host, 350, |byte| matches!(byte, b'.' | b':')) {
            return Err("the host has a character or length that is not allowed");
        }
        if !valid(namespace, 80, |_| false) {
            return Err("the namespace has a character or length that is not allowed");
        }
        if !valid(model, 80, |byte| byte == b'.') {
            return Err("the model part has a character or length that is not allowed");
        }
        if !valid(tag, 80, |byte| byte == b'.') {
            return Err("the tag has a character or length that is not allowed");
        }
        let [host, namespace, model, tag] = [host, namespace, model, tag].map(str::to_owned);
        Ok(Self { host, namespace, model, tag })
    }

    /// Registry, such as `registry.ollama.ai` or `hf.co`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Owner; `library` for Ollama's own models.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Model, such as `gemma4`.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Tag, such as `e2b`.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The parts as folders under `manifests/`.
    pub fn parts(&self) -> [&str; 4] {
        [&self.host, &self.namespace, &self.model, &self.tag]
    }

    /// Whether the names differ at most in the case of ASCII letters, as Ollama compares them.
    pub fn same(&self, other: &Self) -> bool {
        self.parts().iter().zip(other.parts()).all(|(a, b)| a.eq_ignore_ascii_case(b))
    }
}

/// 1 to `longest` bytes of `[A-Za-z0-9_-]` and `extra`, beginning with neither `-` nor `extra`.
fn valid(part: &str, longest: usize, extra: impl Fn(u8) -> bool) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = part.as_bytes();
    bytes.len() <= longest
        && bytes.first().is_some_and(|&first| word(first))
        && bytes.iter().all(|&byte| word(byte) || byte == b'-' || extra(byte))
}

/// The shortest text that names the model, always with its tag.
impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default_host = self.host.eq_ignore_ascii_case(HOST);
        if !default_host {
            write!(f, "{}/", self.host)?;
        }
        if !default_host || !self.namespace.eq_ignore_ascii_case(NAMESPACE) {
            write!(f, "{}/", self.namespace)?;
        }
        write!(f, "{}:{}", self.model, self.tag)
    }
}

impl FromStr for ModelName {
    type Err = NameError;

    fn from_str(input: &str) -> Result<Self, NameError> {
        Self::parse(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(input: &str) -> [String; 4] {
        ModelName::parse(input).unwrap().parts().map(str::to_owned)
    }

    #[test]
    fn names() {
        let library = ["registry.ollama.ai", "library"];
        let with = |[a, b]: [&str; 2], c: &str, d: &str| [a, b, c, d].map(str::to_owned);
        assert_eq!(parts("gemma4"), with(library, "gemma4", "latest"));
        assert_eq!(parts("gemma4:e2b"), with(library, "gemma4", "e2b"));
        assert_eq!(parts("me/g_4.1:A-b.c"), with(["registry.ollama.ai", "me"], "g_4.1", "A-b.c"));
        assert_eq!(parts("hf.co/org/repo:Q4_K_M"), with(["hf.co", "org"], "repo", "Q4_K_M"));
        assert_eq!(parts("http://localhost:5000/a/b"), with(["localhost:5000", "a"], "b", "latest"));
        for (input, shown) in [
            ("gemma4", "gemma4:latest"),
            ("https://registry.ollama.ai/library/gemma4:e2b", "gemma4:e2b"),
            ("me/x", "me/x:latest"),
            ("hf.co/library/x", "hf.co/library/x:latest"),
        ] {
            assert_eq!(ModelName::parse(input).unwrap().to_string(), shown);
        }
        let name = |text| ModelName::parse(text).unwrap();
        assert!(name("Gemma4:E2B").same(&name("gemma4:e2b")));
        assert!(!name("gemma4:e2b").same(&name("gemma4:e4b")));
    }

    #[test]
    fn no_names() {
        for input in [
            "",
            ":",
            "a:",
            ":b",
            "/a",
            "a/",
            "a//b",
            "..",
            "../x",
            "a/../b",
            ".a",
            "-a",
            "a b",
            "a\\b",
            "C:\\model.gguf",
            "a/b/c/d",
            "na.me/x",
            "a:b:c",
            "a:.",
            "é",
            "a\0",
            "/etc/passwd",
            "./x.gguf",
        ] {
            assert!(ModelName::parse(input).is_err(), "{input:?}");
        }
        assert!(ModelName::parse(&"x".repeat(81)).is_err());
    }

    proptest! {
        #[test]
        fn a_name_is_never_a_way_out(input in "\\PC{0,40}") {
            if let Ok(name) = ModelName::parse(&input) {
                for part in name.parts() {
                    prop_assert!(!part.is_empty() && !part.starts_with('.'));
                    prop_assert!(!part.contains(['/', '\\', '\0']));
                }
                prop_assert!(ModelName::parse(&name.to_string()).unwrap().same(&name));
            }
        }
    }
}
