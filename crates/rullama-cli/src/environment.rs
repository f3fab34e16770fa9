//! The environment variables that the program heeds, all of them.

use rullama_source::ollama::{Os, default_roots};
use std::{env, path::PathBuf};

fn text(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// `HOME`, on Windows `USERPROFILE`.
pub fn home() -> Option<PathBuf> {
    text(if cfg!(windows) { "USERPROFILE" } else { "HOME" }).map(PathBuf::from)
}

/// This program's folder for what can be made anew: under `XDG_CACHE_HOME`, else the system's place.
fn cache() -> Option<PathBuf> {
    let under_home = |path: &str| home().map(|home| home.join(path));
    let system = match () {
        () if cfg!(target_os = "macos") => under_home("Library/Caches"),
        () if cfg!(windows) => text("LOCALAPPDATA").map(PathBuf::from),
        () => text("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| under_home(".cache")),
    };
    system.map(|folder| folder.join("rullama"))
}

/// The file that remembers which of Ollama's files were checked.
pub fn verified() -> Option<PathBuf> {
    cache().map(|folder| folder.join("verified.json"))
}

/// The file that remembers which products were faster on which adapter.
pub fn measured() -> Option<PathBuf> {
    cache().map(|folder| folder.join("measured.json"))
}

/// The folder of the certificates that were made here.
pub fn certificates() -> Option<PathBuf> {
    cache().map(|folder| folder.join("certificates"))
}

/// Folders in which Ollama may keep models: `OLLAMA_MODELS`, else its default places.
pub fn ollama_roots() -> Vec<PathBuf> {
    default_roots(home().as_deref(), text("OLLAMA_MODELS").as_deref(), Os::current())
}

/// Origins whose pages may use the APIs: `OLLAMA_ORIGINS`, separated by commas, with `*` for any text.
pub fn ollama_origins() -> Vec<String> {
    let listed = text("OLLAMA_ORIGINS").unwrap_or_default();
    listed.split(',').map(|origin| origin.trim().trim_end_matches('/').to_owned()).filter(|origin| !origin.is_empty()).collect()
}

/// Leaves out Mesa's layer that asks a compositor for its GPU where there is no place for the compositor's socket: its
/// library would say so on standard error.
pub fn without_compositor() {
    if cfg!(target_os = "linux") && text("XDG_RUNTIME_DIR").is_none() && text("MESA_VK_DEVICE_SELECT").is_none() {
        // SAFETY: called first of all, before there is a second thread.
        #[allow(unsafe_code, reason = "drivers read it from the environment alone")]
        unsafe {
            env::set_var("NODEVICE_SELECT", "1");
        }
    }
}

/// `NO_COLOR` asks for plain text, whatever its value.
pub fn no_color() -> bool {
    text("NO_COLOR").is_some() || text("TERM").as_deref() == Some("dumb")
}

/// The proxy for an address: `https_proxy` or `http_proxy`, else `all_proxy` (or upper-case), unless
/// the address is of this machine or under one of `no_proxy`.
pub fn proxy(url: &str) -> Option<String> {
    let either = |name: &str| text(name).or_else(|| text(&name.to_uppercase()));
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = if host.starts_with('[') { host } else { host.split(':').next().unwrap_or_default() };
    let excluded = either("no_proxy").unwrap_or_default();
    if is_local(host) || excluded.split(',').any(|entry| covers(entry.trim(), host)) {
        return None;
    }
    either(&format!("{scheme}_proxy")).or_else(|| either("all_proxy"))
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// Whether an entry of `no_proxy` covers a host: itself, its subdomains, or `*`.
fn covers(entry: &str, host: &str) -> bool {
    let entry = entry.trim_start_matches('.');
    entry == "*" || (!entry.is_empty() && (host == entry || host.ends_with(&format!(".{entry}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_without_proxy() {
        assert!(covers("example.org", "a.example.org") && covers(".example.org", "example.org") && covers("*", "x"));
        assert!(!covers("example.org", "badexample.org") && !covers("", "x"));
        assert!(is_local("127.0.0.1") && is_local("localhost") && !is_local("localhost.example"));
    }
}
