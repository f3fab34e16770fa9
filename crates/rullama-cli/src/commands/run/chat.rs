//! The conversation at a terminal.

use super::output::{self, Output};
use crate::interrupt;
use anyhow::Result;
use rullama::{Cancel, Chat, Event, Finish, GenerateOptions, Message, Role};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

const HELP: &str = "  /clear          begin anew
  /system TEXT    begin anew with this system prompt; without TEXT: with none
  \"\"\"             begin and end a message of several lines
  /bye, Ctrl-D    leave
  Ctrl-C          stop the answer";

/// Asks and answers until the person leaves.
///
/// # Errors
/// The terminal, or an answer that cannot go on (a lost device); a full context only ends the turn.
pub fn converse(mut chat: Chat, options: &GenerateOptions, verbose: bool) -> Result<()> {
    let mut editor = DefaultEditor::new()?;
    // What every conversation here begins with.
    let mut first = chat.messages().to_vec();
    eprintln!("Ask something; /help lists what else can be typed.");
    loop {
        let Some(line) = read(&mut editor)? else { return Ok(()) };
        let text = line.trim();
        match text.split_whitespace().next() {
            None => continue,
            Some("/bye" | "/exit" | "/quit") => return Ok(()),
            Some("/help" | "/?") => eprintln!("{HELP}"),
            Some("/clear") => {
                chat.set_messages(first.clone());
                eprintln!("The conversation begins anew.");
            }
            Some("/system") => {
                let system = text["/system".len()..].trim();
                first.retain(|message| message.role != Role::System);
                if !system.is_empty() {
                    first.insert(0, Message::system(system));
                }
                chat.set_messages(first.clone());
                eprintln!("The conversation begins anew{}.", if system.is_empty() { "" } else { " with this system prompt" });
            }
            Some(word) if is_command(word) => eprintln!("{word} is not known; /help lists what is."),
            Some(_) => answer(&mut chat, text, options, verbose)?,
        }
    }
}

/// `/word`, but not a path such as `/etc/hosts`.
fn is_command(word: &str) -> bool {
    word.strip_prefix('/').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

fn answer(chat: &mut Chat, text: &str, options: &GenerateOptions, verbose: bool) -> Result<()> {
    let cancel = Cancel::new();
    let on_interrupt = cancel.clone();
    interrupt::on_first(move || on_interrupt.cancel());
    interrupt::reset();
    let mut output = Output::new();
    let mut show = |event: &Event| output.event(event, &cancel);
    let result = pollster::block_on(chat.send(Message::user(text), options, &cancel, &mut show));
    output.finish()?;
    interrupt::reset();
    match result {
        Ok(summary) => {
            if summary.finish == Finish::Cancelled {
                eprintln!("(stopped)");
            }
            if verbose {
                eprintln!("{}", output::timings(&summary));
            }
            Ok(())
        }
        Err(error @ (rullama::Error::ContextFull { .. } | rullama::Error::Cancelled)) => {
            eprintln!("{error}. /clear begins anew.");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// A line, or several between triple quotes; `None` at the end.
fn read(editor: &mut DefaultEditor) -> Result<Option<String>> {
    let Some(first) = line(editor, ">>> ")? else { return Ok(None) };
    let Some(begin) = first.trim_start().strip_prefix("\"\"\"") else {
        editor.add_history_entry(&first)?;
        return Ok(Some(first));
    };
    let mut text = begin.to_owned();
    while !text.ends_with("\"\"\"") || text.len() < 3 {
        let Some(next) = line(editor, "... ")? else { return Ok(None) };
        text.push('\n');
        text.push_str(next.trim_end());
    }
    text.truncate(text.len() - 3);
    Ok(Some(text))
}

fn line(editor: &mut DefaultEditor, mark: &str) -> Result<Option<String>> {
    match editor.readline(mark) {
        Ok(line) => Ok(Some(line)),
        Err(ReadlineError::Interrupted) => {
            eprintln!("(/bye or Ctrl-D leaves)");
            Ok(Some(String::new()))
        }
        Err(ReadlineError::Eof) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn commands() {
        assert!(super::is_command("/foo"));
        assert!(!super::is_command("/etc/hosts") && !super::is_command("/") && !super::is_command("foo"));
    }
}
