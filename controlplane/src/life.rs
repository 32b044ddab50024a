//! The life of the process: configuration, log, listener, tasks, signals, end.
//!
//! It decides order and nothing else. Invariant: a line `ready http://ADDR` on standard output is written after the
//! listener accepts connections, and only then, so that whoever started us can wait for it.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use snapshot::image::SigningKey;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::api::{self, Api};
use crate::clock::Anchor;
use crate::config::{Args, Config};
use crate::dnssec::Dnssec;
use crate::http::listen::{Listener, accept};
use crate::http::openapi;
use crate::http::server::{Server, Settings};
use crate::keys::Device;
use crate::planes::{Pace, Planes};
use crate::publish::{self, Publisher};
use crate::serve::{self, Follows as _};
use crate::store::{Store, StoreError};

/// Runs the control plane until SIGTERM or SIGINT; the exit codes are in the help text of [`Args`].
#[must_use]
pub fn run(args: Args) -> ExitCode {
    start_log();
    let check = args.check;
    let config = match Config::from_args(args) {
        Ok(config) => config,
        Err(cause) => {
            error!("{cause}");
            return ExitCode::from(1);
        }
    };
    let ended = if check { check_keys(&config) } else { serve_until_told(config) };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            error!("{cause}");
            ExitCode::from(3)
        }
    }
}

/// Makes sure that the key of snapshots can be read, and says that all is right.
fn check_keys(config: &Config) -> io::Result<()> {
    if let Some(path) = &config.sign {
        SigningKey::read(path).map_err(io::Error::other)?;
    }
    say("configuration is right")
}

/// Log lines go to standard error, at the level of `RUST_LOG` (default `info`).
fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A line that cannot be written, to a file on a full disk, is lost; telling of that would panic for the same reason.
    let log = log.log_internal_errors(false);
    // A log that is already there (of tests in one process) serves as well.
    log.with_ansi(io::stderr().is_terminal()).with_target(false).try_init().ok();
}

/// Writes one line on standard output.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// How many threads answer requests; what blocks is done elsewhere.
const WORKER_COUNT: usize = 2;

/// On how many keys the sealing key is tried: one may be damaged.
const KEYS_TRIED: usize = 8;

/// Everything between a good configuration and the end.
fn serve_until_told(config: Config) -> io::Result<()> {
    let stop = stop_on_signals()?;
    let store = Arc::new(Store::open(&config.state).map_err(|cause| store_error(&config.state, &cause))?);
    let has_keys = store.read(|reader| reader.has_keys()).map_err(|cause| store_error(&config.state, &cause))?;
    let latest =
        store.read(|reader| reader.latest_keys(KEYS_TRIED)).map_err(|cause| store_error(&config.state, &cause))?;
    let mut dnssec = Dnssec::open(&config.seal, has_keys).map_err(io::Error::other)?.tried_on(&latest);
    if let Some(settings) = config.device.clone() {
        dnssec = dnssec.with_device(Device::start(settings)?, Arc::clone(&store));
    }
    let dnssec = Arc::new(dnssec.with_keys_ttl(config.domains.keys.ttl_secs));
    let known = store.read(|reader| Ok((reader.clock_mark()?, reader.clock_anchor()?)));
    if let (Some(mark_us), anchor) = known.map_err(|cause| store_error(&config.state, &cause))? {
        dnssec.clock().recall(mark_us, anchor.and_then(|octets| Anchor::of_octets(&octets)));
    }
    let planes = publish::Settings {
        dnssec: Some(Arc::clone(&dnssec)),
        snapshots: config.snapshots.clone(),
        planes: config.planes.clone(),
        sign: config.sign.clone(),
    };
    let mut publisher = Publisher::start(Arc::clone(&store), &planes).map_err(io::Error::other)?;
    publisher.follow_places(config.geoip.clone())?;
    let planes = Arc::new(Planes::new(config.snapshots.clone(), config.planes.clone(), Pace::default()));
    let app = Api::new(Arc::clone(&store), publisher, Arc::clone(&planes), config.domains.clone(), dnssec);
    let app = Arc::new(app.map_err(|cause| store_error(&config.state, &cause))?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_COUNT).enable_all().build()?;
    let ended = runtime.block_on(serve(config, store, app, stop));
    // A directory read on a hanging file system must not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

/// Serves HTTP until told to end.
async fn serve(config: Config, store: Arc<Store>, app: Arc<Api>, stop: watch::Receiver<bool>) -> io::Result<()> {
    let listener = TcpListener::bind(config.api).await.map_err(|cause| listen_error(config.api, &cause))?;
    let addr = listener.local_addr()?;
    let socket = &config.api_socket;
    let local = Listener::local(socket).map_err(|cause| socket_error(socket, &cause))?;
    let polls = app.planes().spawn(&stop);
    let throttles = store.read(|reader| reader.throttled());
    let throttles = throttles.unwrap_or_else(|cause: StoreError| {
        warn!("throttles start empty: {cause}");
        Vec::new()
    });
    let settings = Settings {
        trusted_proxies: config.trusted_proxies,
        throttles: throttles.into_iter().filter_map(api::throttles::entry).collect(),
        ..Settings::default()
    };
    let mut tables = vec![serve::routes(), openapi::routes()];
    tables.extend(api::tables());
    let unproved = tokio::spawn(api::verify::keep(Arc::clone(&app), stop.clone()));
    let resigned = tokio::spawn(api::signing::keep(Arc::clone(&app), config.alarm, stop.clone()));
    let rolled = tokio::spawn(api::rolling::keep(Arc::clone(&app), stop.clone()));
    let signals = tokio::spawn(api::signal::keep(Arc::clone(&app), stop.clone()));
    let keep_days = config.device.as_ref().map_or(0, |device| device.keep_days);
    let swept = tokio::spawn(api::objects::keep(Arc::clone(&app), keep_days, stop.clone()));
    let server = Server::new(app, &tables, settings);
    let keep = tokio::spawn(api::throttles::keep(store, Arc::clone(server.shared()), stop.clone()));
    info!("serving http://{addr}");
    say(&format!("ready http://{addr}"))?;
    let local = tokio::spawn(accept(local, server.clone(), stop.clone()));
    accept(Listener::Net(listener), server, stop).await;
    // They end when told to, as the other does; one that panicked is a bug that has been printed.
    drop(local.await);
    drop(keep.await);
    drop(unproved.await);
    drop(resigned.await);
    drop(rolled.await);
    drop(signals.await);
    drop(swept.await);
    for poll in polls {
        drop(poll.await);
    }
    info!("stopped");
    Ok(())
}

/// Says which remedy there is for a database that cannot be opened. Nothing is ever deleted or repaired here: what is left
/// of it may be all that there is.
fn store_error(state: &std::path::Path, cause: &StoreError) -> io::Error {
    let path = state.display();
    let text = match cause {
        StoreError::Held { .. } | StoreError::Newer { .. } | StoreError::Io { .. } | StoreError::Fenced { .. } => {
            cause.to_string()
        }
        StoreError::Full => format!("opening the database in {path}: {cause}: make room and start again"),
        _ => format!(
            "opening the database in {path}: {cause}. Nothing was changed, and the data planes go on serving; put a backup \
             in its place with `dnsctl restore FILE`"
        ),
    };
    io::Error::other(text)
}

/// Says which remedy there is for an address that cannot be had.
fn listen_error(addr: std::net::SocketAddr, cause: &io::Error) -> io::Error {
    let remedy = match cause.kind() {
        io::ErrorKind::AddrInUse => "another process has it; give another with --api ADDR (port 0 takes a free one)",
        io::ErrorKind::PermissionDenied => "ports below 1024 need a privilege; give a higher one with --api ADDR",
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        _ => "give another with --api ADDR",
    };
    io::Error::new(cause.kind(), format!("listening on {addr}: {cause}: {remedy}"))
}

/// Says which socket could not be made.
fn socket_error(path: &std::path::Path, cause: &io::Error) -> io::Error {
    io::Error::new(cause.kind(), format!("making the local socket {}: {cause}", path.display()))
}

/// A value that becomes true at SIGTERM or SIGINT. Further ones change nothing: the end is bounded by the limits of `http`.
fn stop_on_signals() -> io::Result<watch::Receiver<bool>> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let (sender, stop) = watch::channel(false);
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                info!("the configuration is read at start only: restart to change it");
            } else if !sender.send_replace(true) {
                info!("stopping");
            }
        }
    })?;
    Ok(stop)
}
