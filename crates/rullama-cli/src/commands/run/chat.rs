//! The conversation at a terminal.

use super::output::{self, Output};
use crate::error::Interrupted;
use crate::{interrupt, load, media, terminal, video};
use anyhow::Result;
use rullama::{Cancel, Chat, Event, Finish, GenerateOptions, MediaKind, MediaPart, Message, Role, SizeRule};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use std::path::{Path, PathBuf};

const HELP: &str = "  /clear          begin anew
  /system TEXT    begin anew with this system prompt; without TEXT: with none
  PATH            a picture, a sound, a video or a folder of frames, typed or dropped here, is shown to the model
  \"\"\"             begin and end a message of several lines
  /bye, Ctrl-D    leave
  Ctrl-C          stop the answer; twice without one: leave";

/// Asks and answers until the person leaves. The first question is about what was `shown` already.
///
/// # Errors
/// The terminal, or an answer that cannot go on (a lost device); a full context only ends the turn.
pub fn converse(mut chat: Chat, mut shown: Vec<MediaPart>, options: &GenerateOptions, verbose: bool) -> Result<()> {
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
            Some(_) => answer(&mut chat, std::mem::take(&mut shown), text, options, verbose)?,
        }
    }
}

/// `/word`, but not a path such as `/etc/hosts`.
fn is_command(word: &str) -> bool {
    word.strip_prefix('/').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

fn answer(chat: &mut Chat, mut shown: Vec<MediaPart>, text: &str, options: &GenerateOptions, verbose: bool) -> Result<()> {
    let cancel = Cancel::new();
    let on_interrupt = cancel.clone();
    interrupt::on_first(move || on_interrupt.cancel());
    interrupt::reset();
    let (files, text) = dragged(text);
    for (kind, path) in files {
        let given = media::read(kind, &path, SizeRule::default(), None);
        match given.and_then(|given| super::show(chat, &given, &cancel)) {
            Ok(parts) => shown.extend(parts),
            Err(error) => {
                terminal::tell_line(format_args!("{error:#}."));
                return Ok(());
            }
        }
    }
    let before = pollster::block_on(chat.session().engine().expert_stats());
    let message = media::message(shown, &text);
    let mut output = Output::new();
    let mut show = |event: &Event| output.event(event, &cancel);
    let result = pollster::block_on(chat.send(message, options, &cancel, &mut show));
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
                if let Some(experts) = load::experts_since(chat.session().engine(), before.unwrap_or_default()) {
                    terminal::tell_line(format_args!("{experts}"));
                }
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

/// Files of pictures, sounds and videos among the words of a line, as terminals write them where one is dropped on them: in quotes, or with `\` before
/// spaces; and the line without them.
fn dragged(line: &str) -> (Vec<(MediaKind, PathBuf)>, String) {
    let mut files = Vec::new();
    let mut text = String::new();
    for (word, written) in words(line) {
        let file = media::kind_of_name(&word).filter(|_| Path::new(&word).is_file());
        // A word alone is hardly meant to be a folder.
        let folder = || (word.contains(['/', '\\']) && video::is_folder_of_frames(Path::new(&word))).then_some(MediaKind::Video);
        match file.or_else(folder) {
            Some(kind) => files.push((kind, PathBuf::from(word))),
            None => text.push_str(written),
        }
    }
    if files.is_empty() { (files, line.to_owned()) } else { (files, text.split_whitespace().collect::<Vec<_>>().join(" ")) }
}

/// Words, and how they stand in the line with the spaces before them.
fn words(line: &str) -> Vec<(String, &str)> {
    let (mut words, mut word, mut start, mut quote, mut escaped) = (Vec::new(), String::new(), 0, None, false);
    for (at, c) in line.char_indices() {
        let space = c.is_whitespace() && quote.is_none() && !escaped;
        match c {
            _ if escaped => word.push(c),
            _ if space && word.is_empty() => {}
            _ if space => {
                words.push((std::mem::take(&mut word), &line[start..at]));
                start = at;
            }
            '\\' => {}
            '\'' | '"' if quote == Some(c) => quote = None,
            '\'' | '"' if quote.is_none() && word.is_empty() => quote = Some(c),
            _ => word.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    if start < line.len() {
        words.push((word, &line[start..]));
    }
    words
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
    fn dropped_files_are_found_among_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b.png");
        std::fs::write(&path, "x").unwrap();
        let path = path.to_str().unwrap();
        for written in [format!("'{path}'"), format!("\"{path}\""), path.replace(' ', "\\ ")] {
            let (files, text) = super::dragged(&format!("what is {written} here?"));
            assert_eq!((files.len(), text.as_str()), (1, "what is here?"), "{written}");
            assert_eq!(files[0].1.to_str(), Some(path));
        }
        for line in ["don't  look at it's.png", "C:\\x.png", "", "say \"hi"] {
            assert_eq!(super::dragged(line), (Vec::new(), line.to_owned()));
        }
    }

    #[test]
    fn commands() {
        assert!(super::is_command("/foo"));
        assert!(!super::is_command("/etc/hosts") && !super::is_command("/") && !super::is_command("foo"));
    }
}
