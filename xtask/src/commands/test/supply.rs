//! What the project is built from: licences, sources, and what is known against its packages.

use super::{Outcome, cargo, passes};
use crate::{process, workspace};
use anyhow::Result;
use serde_json::Value;

const NO_DENY: Outcome = Outcome::Skipped("cargo-deny is not installed: `cargo install cargo-deny --locked`");

/// Licences, bans and sources; needs no network.
pub fn deny() -> Result<Outcome> {
    if !installed() {
        return Ok(NO_DENY);
    }
    passes(&mut cargo(&["deny", "check", "licenses", "bans", "sources"]))
}

/// What RustSec knows, where its database can be had; of the fuzz targets' packages, too.
pub fn advisories() -> Result<Outcome> {
    if !installed() {
        return Ok(NO_DENY);
    }
    if process::output(&mut cargo(&["deny", "fetch", "db"])).is_none() {
        return Ok(Outcome::Skipped("RustSec's database cannot be fetched"));
    }
    let mut all = true;
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let mut check = cargo(&["deny", "--manifest-path", manifest, "check", "--disable-fetch", "advisories"]);
        all &= matches!(passes(&mut check)?, Outcome::Check(true));
    }
    Ok(Outcome::Check(all))
}

fn installed() -> bool {
    process::output(&mut cargo(&["deny", "--version"])).is_some()
}

/// What the registry knows of the tools that build the page, where it answers. None of them is part of what ships.
pub fn npm_audit() -> Result<Outcome> {
    for folder in ["web", "web/docs"] {
        let outcome = audit(folder)?;
        if !matches!(outcome, Outcome::Check(true)) {
            return Ok(outcome);
        }
    }
    Ok(Outcome::Check(true))
}

fn audit(folder: &str) -> Result<Outcome> {
    let mut npm = process::npm(&workspace::root().join(folder));
    npm.args(["audit", "--json", "--audit-level=high", "--fetch-timeout=20000", "--fetch-retries=0"]);
    let (success, report) = process::tee(&mut npm)?;
    Ok(match (success, counted(&report)) {
        (success, true) => Outcome::Check(success),
        (_, false) => Outcome::Skipped("the npm registry does not answer `npm audit`"),
    })
}

/// Whether this is a report, and not an error in its place.
fn counted(report: &str) -> bool {
    serde_json::from_str(report).is_ok_and(|report: Value| report["metadata"]["vulnerabilities"].is_object())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_report_is_told_from_an_error() {
        assert!(super::counted(r#"{"vulnerabilities": {}, "metadata": {"vulnerabilities": {"high": 0, "total": 0}}}"#));
        for none in ["", "no JSON", r#"{"message": "405 Method Not Allowed", "statusCode": 405, "error": {"summary": ""}}"#, "[]"] {
            assert!(!super::counted(none), "{none}");
        }
    }
}
