use crate::model::{self, EMBEDDED};
use crate::table::{self, Table};
use crate::terminal;
use anyhow::Result;
use rullama_source::ollama::{Listed, Listing};
use serde_json::json;
use std::io::Write;
use std::time::{Duration, SystemTime};

/// List the models on this machine
///
/// Those that Ollama has pulled (its store is found as Ollama finds it, OLLAMA_MODELS included) and
/// the small one inside this program. Files elsewhere are named by their path.
#[derive(clap::Args)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (listing, missing) = match model::store() {
        Ok(store) => (store.list(), None),
        Err(error) => (Listing::default(), Some(error)),
    };
    let models = &listing.models;
    let mut out = terminal::stdout();
    if arguments.json {
        let unreadable: Vec<String> = listing.unreadable.iter().map(ToString::to_string).collect();
        let records: Vec<_> = models.iter().map(record).collect();
        writeln!(out, "{:#}", json!({"models": records, "unreadable": unreadable, "embedded": model::embedded_size()}))?;
        return Ok(());
    }
    let mut table = Table::new(&["name", ">size", ">parameters", "type", "modified"]);
    for listed in models {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let size = listed.size.map_or_else(|| "unreadable".to_owned(), table::bytes);
        let modified = listed.modified.and_then(|time| SystemTime::now().duration_since(time).ok()).map_or_else(String::new, ago);
        table.row([listed.name.to_string(), size, text(&listed.config.model_type), text(&listed.config.file_type), modified]);
    }
    if let Some(size) = model::embedded_size() {
        table.row([EMBEDDED.to_owned(), table::bytes(size), "-".to_owned(), "-".to_owned(), "in this program".to_owned()]);
    }
    out.write_all(table.render().as_bytes())?;
    for problem in listing.problems().chain(missing.map(|error| error.to_string())) {
        terminal::tell_line(format_args!("note: {}", terminal::printable(&problem)));
    }
    Ok(())
}

fn record(listed: &Listed) -> serde_json::Value {
    let seconds = listed.modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).map(|time| time.as_secs());
    json!({
        "name": listed.name.to_string(),
        "size": listed.size,
        "parameters": listed.config.model_type,
        "type": listed.config.file_type,
        "modified_unix": seconds,
        "problem": listed.problem.as_ref().map(ToString::to_string),
    })
}

/// `3 days ago`.
fn ago(time: Duration) -> String {
    const UNITS: [(u64, &str); 5] = [(365 * 86400, "year"), (30 * 86400, "month"), (86400, "day"), (3600, "hour"), (60, "minute")];
    let seconds = time.as_secs();
    match UNITS.iter().find(|(length, _)| seconds >= *length) {
        None => "just now".to_owned(),
        Some((length, unit)) => {
            let number = seconds / length;
            format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let text = |seconds| ago(Duration::from_secs(seconds));
        assert_eq!(text(59), "just now");
        assert_eq!(text(60), "1 minute ago");
        assert_eq!(text(3 * 86400 + 5), "3 days ago");
        assert_eq!(text(800 * 86400), "2 years ago");
    }
}
