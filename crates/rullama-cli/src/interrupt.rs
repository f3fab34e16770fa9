//! Ctrl-C: the first asks the work to stop, a second one ends the program.

use crate::error::Interrupted;
use crate::terminal;
use rullama_source::gguf::write::discard_unfinished;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};

static REQUESTED: AtomicBool = AtomicBool::new(false);
static INSTALLED: Once = Once::new();

type Hook = Box<dyn Fn() + Send>;
/// What the first Ctrl-C does besides setting the flag.
static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Installs the handler; before that, Ctrl-C ends the program at once.
pub fn install() {
    INSTALLED.call_once(|| {
        let installed = ctrlc::set_handler(|| {
            if REQUESTED.swap(true, Ordering::SeqCst) {
                end();
            }
            if let Ok(hook) = HOOK.lock()
                && let Some(hook) = hook.as_ref()
            {
                hook();
            }
        });
        if let Err(error) = installed {
            terminal::tell_line(format_args!("note: Ctrl-C cannot be handled ({error}); it ends the program at once"));
        }
    });
}

/// Ends the program at once, without what it has half written.
pub fn end() -> ! {
    discard_unfinished();
    terminal::tell("interrupted\n");
    std::process::exit(130)
}

/// Sets what the first Ctrl-C does besides.
pub fn on_first(hook: impl Fn() + Send + 'static) {
    if let Ok(mut slot) = HOOK.lock() {
        *slot = Some(Box::new(hook));
    }
}

/// Forgets a Ctrl-C that was dealt with: the next is a first one again.
pub fn reset() {
    REQUESTED.store(false, Ordering::SeqCst);
}

/// Whether Ctrl-C was pressed since the last [`reset`].
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}

/// [`Interrupted`] if Ctrl-C was pressed.
pub fn check() -> anyhow::Result<()> {
    if requested() { Err(Interrupted.into()) } else { Ok(()) }
}
