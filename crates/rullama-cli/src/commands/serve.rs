use crate::environment;
use crate::load::LoadArguments;
use crate::serve::api::ollama::keep_alive;
use crate::serve::api::{Api, Bodies, token};
use crate::serve::host::{Host, KeepAlive, Settings};
use crate::serve::tls::Tls;
use crate::serve::{Access, Site, lan, query, router, serve};
use crate::terminal;
use anyhow::{Context, Result, bail};
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Serve the page, and models over Ollama's and OpenAI's APIs
///
/// The page runs the model itself, on WebGPU; it may also load the models that Ollama has here. Programs
/// written for Ollama (/api) or OpenAI (/v1) get answers from this machine's GPU: the models are those of
/// `rullama list`, loaded by the first request that names one. Only this machine can connect (127.0.0.1),
/// unless --address says otherwise. Pages of other origins may use the APIs if OLLAMA_ORIGINS lists them.
/// Ctrl-C ends it.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  rullama serve --open\n  rullama serve --port 11434         in Ollama's place: programs need no change\n  rullama serve --address 0.0.0.0    for other machines, with a token\n  rullama serve --lan                for a phone, with a code to scan\n  rullama serve --port 0 --web web/app/dist"
)]
pub struct Arguments {
    /// The port; 0 takes a free one and prints it. Ollama's own is 11434
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The address to listen on; beyond this machine a token is asked for [default: 127.0.0.1, with --lan 0.0.0.0]
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// For a phone in the same network: https by a certificate made here, a token, and a code to scan
    #[arg(long)]
    lan: bool,
    /// A certificate in PEM to serve https with, such as mkcert or tailscale write one
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its key in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// What requests must bear (Authorization: Bearer TOKEN) [default: none on this machine, else a new one]
    #[arg(long, value_name = "TOKEN", value_parser = bearable)]
    token: Option<String>,
    /// Another name by which this machine is asked, such as host.docker.internal; may be given several times
    #[arg(long, value_name = "NAME")]
    host_name: Vec<String>,
    /// The folder of the built page [default: web/app/dist here, or beside or above this program]
    #[arg(long, value_name = "DIR")]
    web: Option<PathBuf>,
    /// Open the page in the default browser
    #[arg(long)]
    open: bool,
    /// How long a model stays loaded after a request that does not say (5m, 300, 0; -1 is for ever)
    #[arg(long, value_name = "TIME", default_value = "5m", allow_negative_numbers = true, value_parser = kept)]
    keep_alive: KeepAlive,
    /// Models that may be loaded at a time, as far as memory lets them
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    max_models: u8,
    /// Requests that may wait for their turn; further ones are told to come again (503)
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u8).range(1..=200))]
    max_queue: u8,
    #[command(flatten)]
    load: LoadArguments,
}

fn kept(text: &str) -> Result<KeepAlive, String> {
    keep_alive(text).ok_or_else(|| "give a time, such as 5m, 1h or -1 for ever".to_owned())
}

fn bearable(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain { Ok(text.to_owned()) } else { Err("give letters, digits and signs without blanks".to_owned()) }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let web = match &arguments.web {
        Some(folder) => Some(check(folder)?),
        None => find(),
    };
    if arguments.load.named_drafter().is_some() {
        let reason = "--drafter is for one model, and this serves several. Leave it out: with --speculate auto, drafters of Ollama's store are found beside their models";
        return Err(crate::error::usage(reason));
    }
    let mut access = access(arguments)?;
    let shown = access.token.clone().filter(|_| arguments.token.is_none() && !arguments.lan);
    let roots = environment::ollama_roots();
    let settings = Settings { load: arguments.load.clone(), keep_alive: arguments.keep_alive, most: arguments.max_models.into() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("the server cannot start")?;
    let result = runtime.block_on(async {
        let listener = listen(arguments).await?;
        let host = Host::start(settings, arguments.max_queue.into())?;
        let api = Arc::new(Api { host, roots: roots.clone(), bodies: Bodies::default() });
        let bound = listener.local_addr()?;
        let (url, tls) = secure(arguments, bound)?;
        access.https = tls.is_some();
        let link = match &access.token {
            Some(token) => format!("{url}{}", query(token)),
            None => url.clone(),
        };
        writeln!(terminal::stdout(), "rullama is at {url} (Ctrl-C ends it)")?;
        if arguments.lan {
            invite(&link, tls.as_ref().filter(|_| arguments.certificate.is_none()))?;
        }
        if let Some(token) = shown {
            writeln!(terminal::stdout(), "requests must bear the token {token} (Authorization: Bearer {token})")?;
        }
        if web.is_none() {
            terminal::tell("note: the page is not built, so there are only the APIs; `cargo xtask web` builds it\n");
        }
        if arguments.open {
            open(&link);
        }
        let site = Site { web, roots };
        tokio::select! {
            () = serve(listener, router(site, Arc::clone(&api), access), tls) => {}
            () = stopped() => {}
        }
        // A second Ctrl-C does not wait for the GPU.
        let ending = tokio::task::spawn_blocking(move || api.host.stop(GRACE));
        tokio::select! {
            _ = ending => {}
            () = stopped() => {}
        }
        Ok(())
    });
    // A thread that waits for a disk must not keep the program.
    runtime.shutdown_background();
    result
}

/// Longest time for the GPU to end what it computes.
const GRACE: Duration = Duration::from_secs(10);

/// Ctrl-C, or the request to end.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                // Without a handler Ctrl-C ends the program all the same.
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

/// The address that the server is asked under, and what it is secured with.
fn secure(arguments: &Arguments, bound: SocketAddr) -> Result<(String, Option<Tls>)> {
    let unspecified = bound.ip().is_unspecified();
    let address = if arguments.lan && unspecified {
        lan::address().context("this machine has no address in a network. Connect it, or say which to use with --address.")?
    } else {
        // The very address that is listened on: `localhost` may be another server's, on [::1].
        bound.ip()
    };
    let authority = SocketAddr::new(address, bound.port());
    let url = format!("https://{authority}/");
    let tls = match (&arguments.certificate, &arguments.key) {
        (Some(certificate), Some(key)) => Some(Tls::read(certificate, key, &url)?),
        _ if arguments.lan => Some(Tls::own(address, environment::certificates().as_deref(), &url)?),
        _ => None,
    };
    let url = if tls.is_some() { url } else { format!("http://{authority}/") };
    Ok((url, tls))
}

/// The link for a phone, as a code where a person watches. `own` is the certificate that was made here.
fn invite(link: &str, own: Option<&Tls>) -> Result<()> {
    let mut out = terminal::stdout();
    writeln!(out, "on a phone in the same network open {link}")?;
    if out.is_terminal() {
        for line in lan::code(link).unwrap_or_default() {
            terminal::dark_on_light(&line)?;
        }
    }
    if let Some(Tls { fingerprint, .. }) = own {
        writeln!(out, "Its browser warns of the certificate, which was made here: choose to go on.")?;
        writeln!(out, "The warning is about this one if its SHA-256 is {fingerprint}")?;
    }
    Ok(())
}

/// Who may ask: whoever is on this machine, and others with a token.
fn access(arguments: &Arguments) -> Result<Access> {
    let address = listened(arguments);
    let open = arguments.lan || !address.is_loopback();
    let made = || token().context("this system gives no randomness for a token. Give one with --token.");
    let token = match &arguments.token {
        None if open => Some(made()?),
        given => given.clone(),
    };
    // The very address that is listened on is a name of this machine.
    let mut hosts = arguments.host_name.clone();
    hosts.push(match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    });
    Ok(Access { hosts, open, token, https: false, origins: environment::ollama_origins() })
}

fn listened(arguments: &Arguments) -> IpAddr {
    let usual = if arguments.lan { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
    arguments.address.unwrap_or(usual.into())
}

async fn listen(arguments: &Arguments) -> Result<TcpListener> {
    let address = listened(arguments);
    let listener = TcpListener::bind((address, arguments.port)).await;
    listener.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            anyhow::anyhow!("port {} is in use. Choose another with --port, or --port 0 for a free one.", arguments.port)
        }
        ErrorKind::AddrNotAvailable => {
            anyhow::anyhow!("{address} is no address of this machine. Choose another with --address, or 0.0.0.0 for all.")
        }
        _ => anyhow::anyhow!("port {} cannot be opened: {error}. Choose another with --port.", arguments.port),
    })
}

/// A folder with a page in it.
fn check(folder: &Path) -> Result<PathBuf> {
    if !folder.join("index.html").is_file() {
        bail!("{} holds no index.html. Build the page with `cargo xtask web`, or give its folder with --web.", folder.display());
    }
    Ok(folder.to_owned())
}

/// `web/app/dist` under the current folder, or under one that holds this program.
fn find() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.canonicalize().unwrap_or(program);
    let mut places = vec![PathBuf::new()];
    places.extend(program.ancestors().skip(1).map(Path::to_owned));
    places.iter().map(|place| place.join("web/app/dist")).find(|folder| folder.join("index.html").is_file())
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
