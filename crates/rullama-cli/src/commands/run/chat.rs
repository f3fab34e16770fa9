//! The conversation at a terminal.

use super::output::{self, Output};
use crate::error::Interrupted;
use crate::{interrupt, terminal};
use anyhow::Result;
use rullama::{Cancel, Chat, Event, Finish, GenerateOptions, Message, Role};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

const HELP: &str = "  /clear          begin anew
  /system TEXT    begin anew with this system prompt; without TEXT: with none
  \"\"\"             begin and end a message of several lines
  /bye, Ctrl-D    leave
  Ctrl-C          stop the answer; twice without one: leave";

/// Asks and answers until the person leaves.
///
/// # Errors
/// The terminal, or an answer that cannot go on (a lost device); a full context only ends the turn.
pub fn converse(mut chat: Chat, options: &GenerateOptions, verbose: bool) -> Result<()> {
    let mut prompt = Prompt { editor: DefaultEditor::new()?, interrupted: false };
    // What every conversation here begins with.
    let mut first = chat.messages().to_vec();
    terminal::tell_line(format_args!("Ask something; /help lists what else can be typed."));
    loop {
        let Some(line) = prompt.read()? else { return Ok(()) };
        let text = line.trim();
        match text.split_whitespace().next() {
            None => continue,
            Some("/bye" | "/exit" | "/quit") => return Ok(()),
            Some("/help" | "/?") => terminal::tell_line(format_args!("{HELP}")),
            Some("/clear") => {
                chat.set_messages(first.clone());
                terminal::tell_line(format_args!("The conversation begins anew."));
            }
            Some("/system") => {
                let system = text["/system".len()..].trim();
                first.retain(|message| message.role != Role::System);
                if !system.is_empty() {
                    first.insert(0, Message::system(system));
                }
                chat.set_messages(first.clone());
                terminal::tell_line(format_args!(
                    "The conversation begins anew{}.",
                    if system.is_empty() { "" } else { " with this system prompt" }
                ));
            }
            Some(word) if is_command(word) => terminal::tell_line(format_args!("{word} is not known; /help lists what is.")),
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
    if let Ok(summary) = &result {
        output.note_silence(summary);
    }
    output.finish()?;
    interrupt::reset();
    match result {
        Ok(summary) => {
            if summary.finish == Finish::Cancelled {
                terminal::tell_line(format_args!("(stopped)"));
            }
            if verbose {
                terminal::tell_line(format_args!("{}", output::timings(&summary)));
            }
            Ok(())
        }
        Err(error @ (rullama::Error::ContextFull { .. } | rullama::Error::Cancelled)) => {
            terminal::tell_line(format_args!("{error}. /clear begins anew."));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Where the person types.
struct Prompt {
    editor: DefaultEditor,
    /// Ctrl-C was the last that was typed.
    interrupted: bool,
}

impl Prompt {
    /// A line, or several between triple quotes; `None` at the end.
    fn read(&mut self) -> Result<Option<String>> {
        let Some(first) = self.line(">>> ")? else { return Ok(None) };
        let Some(begin) = first.trim_start().strip_prefix("\"\"\"") else {
            self.editor.add_history_entry(&first)?;
            return Ok(Some(first));
        };
        let mut text = begin.to_owned();
        while !text.ends_with("\"\"\"") || text.len() < 3 {
            let Some(next) = self.line("... ")? else { return Ok(None) };
            text.push('\n');
            text.push_str(next.trim_end());
        }
        text.truncate(text.len() - 3);
        Ok(Some(text))
    }

    /// A line; the first Ctrl-C gives an empty one, a second in a row [`Interrupted`].
    fn line(&mut self, mark: &str) -> Result<Option<String>> {
        let line = self.editor.readline(mark);
        let again = std::mem::replace(&mut self.interrupted, matches!(line, Err(ReadlineError::Interrupted)));
        match line {
            Ok(line) => Ok(Some(line)),
            Err(ReadlineError::Interrupted) if again => Err(Interrupted.into()),
            Err(ReadlineError::Interrupted) => {
                terminal::tell_line(format_args!("(Ctrl-C again, /bye or Ctrl-D leaves)"));
                Ok(Some(String::new()))
            }
            Err(ReadlineError::Eof) => Ok(None),
            Err(error) => Err(error.into()),
        }
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
