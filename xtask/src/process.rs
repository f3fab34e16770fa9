//! Child processes: live output, and captured where it is read afterwards.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Cargo, free of the variables that `cargo run` set for this program: build scripts that watch one of
/// them would otherwise run again whenever cargo is used with and without `xtask` in turn.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// npm in `folder`.
pub fn npm(folder: &Path) -> Command {
    let mut command = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    command.current_dir(folder);
    command
}

/// The command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_stem().unwrap_or(command.get_program());
    let mut text = name.to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

fn remedy(command: &Command) -> String {
    format!("cannot start `{0}`: install it, or put it on the PATH", command.get_program().to_string_lossy())
}

/// Runs to the end with the terminal's own input and output.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| remedy(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs to the end, shows the output as it comes and returns what went to standard output.
pub fn tee(command: &mut Command) -> Result<(bool, String)> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| remedy(command))?;
    let mut captured = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        let mut lines = BufReader::new(pipe);
        let mut start = 0;
        while lines.read_until(b'\n', &mut captured)? > 0 {
            let mut out = std::io::stdout().lock();
            out.write_all(&captured[start..])?;
            out.flush()?;
            start = captured.len();
        }
    }
    let status = child.wait()?;
    Ok((status.success(), String::from_utf8_lossy(&captured).into_owned()))
}

/// Standard output of a command that succeeds, without its last line break; `None` otherwise.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok());
    text?.map(|text| text.trim_end().to_owned())
}

/// The first of `names` that is a file in a folder of the PATH.
pub fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let candidates = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    candidates.into_iter().find(|file| file.is_file())
}

/// Processor time of all children that have ended, where the system tells it (Linux).
pub fn processor_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold spaces. What follows begins with field 3; 16 and 17 are the children's times.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(13);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    // Linux shows every program a hundred ticks a second.
    Some(Duration::from_millis((ticks()? + ticks()?) * 10))
}
