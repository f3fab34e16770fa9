//! Where a store may lie.

use std::path::{Path, PathBuf};

/// Operating systems by where Ollama keeps its models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Os {
    Linux,
    MacOs,
    Windows,
    Other,
}

impl Os {
    /// The one that this program was built for.
    pub const fn current() -> Self {
        if cfg!(target_os = "linux") {
            Self::Linux
        } else if cfg!(target_os = "macos") {
            Self::MacOs
        } else if cfg!(windows) {
            Self::Windows
        } else {
            Self::Other
        }
    }
}

/// Folders to try, in order.
///
/// `models` is the value of `OLLAMA_MODELS`, `home` the user's folder (`$HOME`, on Windows
/// `%USERPROFILE%`); both come from the caller. A set `OLLAMA_MODELS` is the only candidate, as it is
/// for Ollama. Linux adds the home of the user that the system service runs as.
pub fn default_roots(home: Option<&Path>, models: Option<&str>, os: Os) -> Vec<PathBuf> {
    let trim = |text: &str| text.trim().trim_matches(['"', '\'']).trim().to_owned();
    if let Some(set) = models.map(trim).filter(|set| !set.is_empty()) {
        return vec![PathBuf::from(set)];
    }
    let under = |home: &Path| home.join(".ollama").join("models");
    let mut roots: Vec<PathBuf> = home.map(under).into_iter().collect();
    if os == Os::Linux {
        roots.push(under(Path::new("/usr/share/ollama")));
    }
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots() {
        let home = Some(Path::new("/home/a"));
        let user = PathBuf::from("/home/a/.ollama/models");
        let service = PathBuf::from("/usr/share/ollama/.ollama/models");
        assert_eq!(default_roots(home, None, Os::Linux), [user.clone(), service.clone()]);
        assert_eq!(default_roots(home, Some("  "), Os::MacOs), std::slice::from_ref(&user));
        assert_eq!(default_roots(home, Some("\"\""), Os::Windows), [user]);
        assert_eq!(default_roots(None, None, Os::Linux), [service]);
        assert_eq!(default_roots(None, None, Os::Windows), [] as [PathBuf; 0]);
        for set in [" /data/m ", "\"/data/m\"", "' /data/m '"] {
            assert_eq!(default_roots(home, Some(set), Os::Linux), [PathBuf::from("/data/m")]);
        }
    }
}
