use crate::environment;
use crate::serve::{Site, router, serve};
use crate::terminal;
use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Serve the page to the browser on this machine
///
/// The page runs the model itself, on WebGPU. It may also load the models that Ollama has here. Only
/// this machine can connect (127.0.0.1). Ctrl-C ends it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  rullama serve --open\n  rullama serve --port 0 --web web/app/dist")]
pub struct Arguments {
    /// The port; 0 takes a free one and prints it
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The folder of the built page [default: web/app/dist here, or beside or above this program]
    #[arg(long, value_name = "DIR")]
    web: Option<PathBuf>,
    /// Open the page in the default browser
    #[arg(long)]
    open: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let web = match &arguments.web {
        Some(folder) => check(folder)?,
        None => find()?,
    };
    let site = Site { web, roots: environment::ollama_roots() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the server cannot start")?;
    let result = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", arguments.port)).await;
        let listener = listener.map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => {
                anyhow::anyhow!("port {} is in use. Choose another with --port, or --port 0 for a free one.", arguments.port)
            }
            _ => anyhow::anyhow!("port {} cannot be opened: {error}. Choose another with --port.", arguments.port),
        })?;
        // The very address that is listened on: `localhost` may be another server's, on [::1].
        let url = format!("http://{}/", listener.local_addr()?);
        writeln!(terminal::stdout(), "rullama is at {url} (Ctrl-C ends it)")?;
        if arguments.open {
            open(&url);
        }
        let stopped = async {
            // Without a handler Ctrl-C ends the program all the same.
            let _ = tokio::signal::ctrl_c().await;
        };
        tokio::select! {
            () = serve(listener, router(site)) => Ok(()),
            () = stopped => Ok(()),
        }
    });
    // A thread that waits for a disk must not keep the program.
    runtime.shutdown_background();
    result
}

/// A folder with a page in it.
fn check(folder: &Path) -> Result<PathBuf> {
    if !folder.join("index.html").is_file() {
        bail!("{} holds no index.html. Build the page with `cargo xtask web`, or give its folder with --web.", folder.display());
    }
    Ok(folder.to_owned())
}

/// `web/app/dist` under the current folder, or under one that holds this program.
fn find() -> Result<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.canonicalize().unwrap_or(program);
    let mut places = vec![PathBuf::new()];
    places.extend(program.ancestors().skip(1).map(Path::to_owned));
    let found = places.iter().map(|place| place.join("web/app/dist")).find(|folder| folder.join("index.html").is_file());
    found.context("the built page (web/app/dist) was not found. Build it with `cargo xtask web`, or give its folder with --web.")
}

/// Opens the browser; where there is none, the printed address serves.
fn open(url: &str) {
    let mut command = if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        let mut command = Command::new("cmd");
        command.args(["/c", "start", ""]);
        command
    } else {
        Command::new("xdg-open")
    };
    if command.arg(url).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_err() {
        terminal::tell_line(format_args!("note: no browser could be opened; open {url} yourself"));
    }
}
