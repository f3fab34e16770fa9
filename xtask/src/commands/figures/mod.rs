//! Figures from records: the table in README.md, and curves as pictures beside the records. `benchmarks/figures.json` says which
//! records, so that no number is typed in by hand; `check` refuses what is out of step.

use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

mod curve;
mod table;

/// What stands around the table in README.md.
const MARKS: [&str; 2] = ["<!-- figures: cargo xtask figures -->\n", "<!-- end of figures -->"];

/// Writes what the records make.
///
/// # Errors
/// A record that is missing or lacks a field, README.md without the marks, or what cannot be written.
pub fn run() -> Result<()> {
    for (path, text) in made(&workspace::root())? {
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(())
}

/// Files that are not what the records make.
///
/// # Errors
/// As [`run`].
pub fn stale(root: &Path) -> Result<Vec<String>> {
    let stale = made(root)?.into_iter().filter(|(path, text)| fs::read_to_string(path).ok().as_ref() != Some(text));
    let line = |path: PathBuf| {
        format!("{}: not what the records make; run `cargo xtask figures`", path.strip_prefix(root).unwrap_or(&path).display())
    };
    Ok(stale.map(|(path, _)| line(path)).collect())
}

/// Every file that records make, and its text.
fn made(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let benchmarks = root.join("benchmarks");
    let list: Value = read(&benchmarks.join("figures.json"))?;
    let readme = root.join("README.md");
    let text = fs::read_to_string(&readme).context("reading README.md")?;
    let mut made = vec![(readme, inserted(&text, &table::markdown(&benchmarks, &list["table"])?)?)];
    for curve in list["curves"].as_array().context("figures.json: `curves` is no list")? {
        let name = curve["file"].as_str().context("figures.json: a curve has no `file`")?;
        made.push((benchmarks.join(name), curve::svg(&benchmarks, curve)?));
    }
    Ok(made)
}

/// The text with the table between the marks.
fn inserted(text: &str, table: &str) -> Result<String> {
    let Some((before, rest)) = text.split_once(MARKS[0]) else { bail!("README.md lacks the line `{}`", MARKS[0].trim()) };
    let Some((_, after)) = rest.split_once(MARKS[1]) else { bail!("README.md lacks the line `{}`", MARKS[1]) };
    Ok([before, MARKS[0], table, MARKS[1], after].concat())
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}

/// A record's number.
fn number(record: &Value, field: &str) -> Result<f64> {
    record[field].as_f64().with_context(|| format!("a record has no number `{field}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_what_stood_between_the_marks() {
        let text = format!("a\n{}old\n{}\nb", MARKS[0], MARKS[1]);
        assert_eq!(inserted(&text, "new\n").unwrap(), format!("a\n{}new\n{}\nb", MARKS[0], MARKS[1]));
        assert!(inserted("nothing", "new").unwrap_err().to_string().contains("README.md lacks"));
    }

    #[test]
    fn what_is_checked_in_is_what_the_records_make() {
        assert_eq!(stale(&workspace::root()).unwrap(), Vec::<String>::new());
    }
}
