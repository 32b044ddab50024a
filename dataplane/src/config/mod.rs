//! What the operator can set: command line over config file over defaults, checked once into `Config`.
//!
//! It opens nothing but the config file, the cookie secrets and the public keys. Invariant: a `Config` needs no further checks by those who use it.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use snapshot::image::Trust;
use thiserror::Error;

use crate::answer::{Cookies, NSID_LEN_MAX, Settings, Subnets};
use crate::bind::{Listen, Origin, default_listen};
use crate::engine::Choice;
use crate::engine::xdp::Shape;
use crate::prefix::BadPrefix;
use crate::stream::Limits;

mod address;
mod file;
mod guard;
mod secrets;
mod trust;

use file::File;

/// The longest file of settings or secrets in bytes.
const FILE_LEN_MAX: u64 = 1 << 20;
/// Most workers: more than cores of any host we know.
const THREADS_MAX: usize = 1024;
/// The largest reply over UDP: the buffers of the engines are not longer.
const UDP_LEN_MAX: u16 = 4096;
/// The smallest limit for replies over UDP (RFC 1035 section 4.2.1).
const UDP_LEN_MIN: u16 = 512;
/// Most prefixes of resolvers that tell subnets.
const ECS_PREFIXES_MAX: u64 = 256;
/// Longest `version.bind` text: one character string.
const VERSION_LEN_MAX: usize = 255;

/// The command line of the data plane.
#[derive(Debug, Clone, Default, Parser)]
#[command(
    name = "dns-dataplane",
    version,
    about = "Answers DNS queries from an immutable snapshot",
    after_help = "Exit codes: 0 ended in good order or checked, 1 failed, 2 wrong arguments or configuration, \
                  3 no snapshot can be loaded."
)]
pub struct Args {
    /// Directory of snapshots to follow
    #[arg(long, value_name = "DIR")]
    pub snapshots: Option<PathBuf>,
    /// Serve only snapshots signed with a key of this file, a public key a line; repeatable, for a change of keys
    /// [default: signatures are not asked for]
    #[arg(long, value_name = "FILE")]
    pub trust: Vec<PathBuf>,
    /// Address to answer on: IP, IP:PORT, `[IPv6]:PORT`; repeatable [default: 127.0.0.1 and ::1, port 53]
    #[arg(long, value_name = "ADDR", num_args = 1..)]
    pub listen: Vec<String>,
    /// Workers for UDP [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Pin each worker to a core
    #[arg(long)]
    pub pin: bool,
    /// Pin workers, and have each answer what arrives on its core: for network cards with a queue and interrupt per core
    #[arg(long)]
    pub steer: bool,
    /// How datagrams are read and sent [default: auto]
    #[arg(long, value_enum)]
    pub engine: Option<Choice>,
    /// Network interface whose queries come by AF_XDP, past the kernel's UDP; repeatable. Needs CAP_NET_ADMIN, CAP_NET_RAW
    /// and CAP_BPF, at the start only [default: none]
    #[arg(long, value_name = "IFACE")]
    pub xdp: Vec<String>,
    /// Path of the control socket; none without it
    #[arg(long, value_name = "PATH")]
    pub control: Option<PathBuf>,
    /// Group whose members may ask on the control socket too, but not take over
    #[arg(long, value_name = "NAME")]
    pub control_group: Option<String>,
    /// File of cookie secrets that servers share: 32 hexadecimal digits a line, the first makes cookies, all check them
    /// [default: a random secret of this process]
    #[arg(long, value_name = "FILE")]
    pub cookie_secrets: Option<PathBuf>,
    /// Replies a second of one kind about one zone to a /24 or /56 over UDP; 0 for no limit [default: 200]
    #[arg(long, value_name = "N")]
    pub rate: Option<u32>,
    /// Queries a second of one client over UDP, whatever it asks; 0 for no limit [default: 0]
    #[arg(long, value_name = "N")]
    pub client_rate: Option<u32>,
    /// Prefix of clients that may ask, where a shorter one is denied; repeatable
    #[arg(long, value_name = "PREFIX")]
    pub allow: Vec<String>,
    /// Prefix of clients that may not ask; repeatable, the longest prefix decides
    #[arg(long, value_name = "PREFIX")]
    pub deny: Vec<String>,
    /// Prefix of resolvers whose word about the subnets of their clients is taken (EDNS Client Subnet); repeatable
    /// [default: none]
    #[arg(long, value_name = "PREFIX")]
    pub ecs: Vec<String>,
    /// Configuration file (TOML); the command line wins over it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check configuration and snapshot, then exit
    #[arg(long)]
    pub check: bool,
    /// User to become after binding; needs root
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Load generations on trial, as a data plane asks on standard input
    #[arg(long, hide = true)]
    pub taste: bool,
    /// The arguments by which this program is a data plane, for trial loads; `None` does without them
    #[arg(skip)]
    pub program: Option<Vec<OsString>>,
}

/// Checked settings of a process.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Directory of snapshots.
    pub(crate) snapshots: PathBuf,
    /// The keys that sign them.
    pub(crate) trust: Trust,
    /// Addresses to answer on; at least one.
    pub(crate) listen: Vec<Listen>,
    /// How many workers; at least one.
    pub(crate) threads: usize,
    /// Whether each worker gets a core.
    pub(crate) pinning: Pinning,
    /// Which engine.
    pub(crate) engine: Choice,
    /// Interfaces for AF_XDP, none twice.
    pub(crate) interfaces: Vec<String>,
    /// Sizes of AF_XDP sockets.
    pub(crate) shape: Shape,
    /// Path of the control socket.
    pub(crate) control: Option<PathBuf>,
    /// Group whose members may use it.
    pub(crate) control_group: Option<String>,
    /// User to become.
    pub(crate) user: Option<String>,
    /// Of answers.
    pub(crate) settings: Settings,
    /// Of the guard.
    pub(crate) guard: crate::guard::Settings,
    /// Of TCP.
    pub(crate) tcp: Limits,
}

/// Whether workers stay on one core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pinning {
    /// The kernel places them.
    Free,
    /// Worker i runs on core i.
    Pinned,
    /// Worker i runs on core i and is preferred for what the kernel receives there.
    Steered,
}

/// What is wrong with the settings.
#[derive(Debug, Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("reading {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of the secrets that is none. What it holds is not shown.
    #[error("{path}:{line}: a cookie secret is 32 hexadecimal digits")]
    Secret {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A line that is no public key, or a file without any.
    #[error("{path}:{line}: a public key is 64 hexadecimal digits, or 44 of base64")]
    Trust {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A file without secrets, or with more than are checked for every cookie.
    #[error("{path}: {count} cookie secrets where 1 to {max} can be")]
    SecretCount {
        /// The file.
        path: PathBuf,
        /// How many it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// Secrets that anybody on the machine can read.
    #[error("{path}: cookie secrets that others can read are none: chmod o-rwx")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random secret.
    #[error("making a cookie secret: {0}")]
    Random(std::io::Error),
    /// The file is no TOML or has unknown or ill-typed keys; the text names line and column.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's word.
        message: String,
    },
    /// No snapshot directory.
    #[error("no snapshot directory: give --snapshots DIR or set `snapshots` in the configuration file")]
    NoSnapshots,
    /// An address that is none.
    #[error("`{0}` is no address: write IP, IP:PORT or [IPv6]:PORT")]
    Address(String),
    /// An address that is given twice.
    #[error("{0} is given twice")]
    Repeated(SocketAddr),
    /// A prefix that is none.
    #[error("{0}")]
    Prefix(BadPrefix),
    /// A prefix that is in both lists.
    #[error("{0} is both allowed and denied")]
    AllowedAndDenied(String),
    /// A size that is no power of two.
    #[error("{name} must be a power of two, not {value}")]
    PowerOfTwo {
        /// The setting.
        name: &'static str,
        /// What was given.
        value: usize,
    },
    /// A name that no interface can have.
    #[error("`{0}` is no name of a network interface")]
    Interface(String),
    /// Interfaces that are given and not used, or the other way round.
    #[error("{0}")]
    Engine(&'static str),
    /// A number out of its range.
    #[error("{name} must be {min} to {max}, not {value}")]
    Range {
        /// The setting.
        name: &'static str,
        /// Its least value.
        min: u64,
        /// Its largest value.
        max: u64,
        /// What was given.
        value: u64,
    },
}

impl Config {
    /// Reads the config file, if there is one, and checks everything.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub(crate) fn load(args: &Args) -> Result<Config, ConfigError> {
        let file = match &args.config {
            Some(path) => read(path)?,
            None => File::default(),
        };
        Config::merge(args, file)
    }

    /// The command line over the file over the defaults.
    fn merge(args: &Args, file: File) -> Result<Config, ConfigError> {
        let snapshots = args.snapshots.clone().or(file.snapshots).ok_or(ConfigError::NoSnapshots)?;
        let listen = if args.listen.is_empty() { file.listen.unwrap_or_default() } else { args.listen.clone() };
        let threads = args.threads.or(file.threads);
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZeroUsize::get));
        let udp_len_max = file.answer.udp_len_max.unwrap_or(1232);
        let tcp = file.tcp.limits();
        range("threads", 1, THREADS_MAX as u64, threads as u64)?;
        range("answer.udp_len_max", UDP_LEN_MIN.into(), UDP_LEN_MAX.into(), udp_len_max.into())?;
        range("tcp.connections_max", 1, 1 << 20, tcp.connections_max as u64)?;
        range("tcp.idle_secs", 1, 3600, tcp.idle.as_secs())?;
        range("tcp.write_secs", 1, 3600, tcp.write.as_secs())?;
        if let Some(nsid) = &file.answer.nsid {
            range("length of answer.nsid", 1, NSID_LEN_MAX as u64, nsid.len() as u64)?;
        }
        if let Some(version) = &file.answer.version {
            range("length of answer.version", 0, VERSION_LEN_MAX as u64, version.len() as u64)?;
        }
        let secrets = match args.cookie_secrets.as_ref().or(file.cookies.secrets.as_ref()) {
            Some(path) => secrets::read(path)?,
            None => vec![secrets::random()?],
        };
        let engine = args.engine.or(file.engine).unwrap_or_default();
        let named = if args.xdp.is_empty() { file.xdp.interfaces.unwrap_or_default() } else { args.xdp.clone() };
        let trust = if args.trust.is_empty() { file.trust.unwrap_or_default() } else { args.trust.clone() };
        Ok(Config {
            guard: file.guard.settings(args, udp_len_max, secrets::random()?)?,
            snapshots,
            trust: trust::read(&trust)?,
            listen: addresses(&listen)?,
            threads,
            pinning: match (args.steer || file.steer == Some(true), args.pin || file.pin == Some(true)) {
                (true, _) => Pinning::Steered,
                (false, true) => Pinning::Pinned,
                (false, false) => Pinning::Free,
            },
            engine,
            interfaces: interfaces(engine, named)?,
            shape: shape(file.xdp.frames)?,
            control: args.control.clone().or(file.control),
            control_group: args.control_group.clone().or(file.control_group),
            user: args.user.clone().or(file.user),
            settings: Settings {
                udp_len_max,
                version: file.answer.version,
                nsid: file.answer.nsid,
                cookies: Cookies::new(file.cookies.policy(), secrets),
                tcp_idle: Some(tcp.idle),
                subnets: subnets(if args.ecs.is_empty() { &file.answer.ecs } else { &args.ecs })?,
            },
            tcp,
        })
    }
}

/// Reads a file of settings, which is never long: something else was meant if it is.
fn read_text(path: &Path) -> Result<String, ConfigError> {
    let read = || {
        let mut text = String::new();
        let len = fs::File::open(path)?.take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
        let fits = len as u64 <= FILE_LEN_MAX;
        if fits { Ok(text) } else { Err(io::Error::other(format!("longer than {FILE_LEN_MAX} bytes"))) }
    };
    read().map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// Reads a config file.
fn read(path: &Path) -> Result<File, ConfigError> {
    let text = read_text(path)?;
    toml::from_str(&text)
        .map_err(|error| ConfigError::Parse { path: path.to_owned(), message: error.to_string().trim_end().to_owned() })
}

/// The addresses to listen on, or the defaults.
fn addresses(texts: &[String]) -> Result<Vec<Listen>, ConfigError> {
    if texts.is_empty() {
        return Ok(default_listen());
    }
    let mut listen: Vec<Listen> = Vec::new();
    for text in texts {
        let addr = address::parse(text).ok_or_else(|| ConfigError::Address(text.clone()))?;
        if addr.port() != 0 && listen.iter().any(|known| known.addr == addr) {
            return Err(ConfigError::Repeated(addr));
        }
        listen.push(Listen { addr, origin: Origin::Asked });
    }
    Ok(listen)
}

/// Whose word about subnets is taken. Each query with one walks the list.
fn subnets(texts: &[String]) -> Result<Subnets, ConfigError> {
    range("number of prefixes for ecs", 0, ECS_PREFIXES_MAX, texts.len() as u64)?;
    guard::prefixes(texts.iter().map(String::as_str)).map(Subnets::new)
}

/// The interfaces for AF_XDP. `auto` takes none by itself: an interface is never taken over unasked.
fn interfaces(engine: Choice, names: Vec<String>) -> Result<Vec<String>, ConfigError> {
    match (engine, names.is_empty()) {
        (Choice::Xdp, true) => return Err(ConfigError::Engine("engine xdp needs an interface: --xdp IFACE")),
        (Choice::Uring | Choice::Socket, false) => {
            return Err(ConfigError::Engine("--xdp IFACE needs engine xdp or auto"));
        }
        _ => {}
    }
    for (idx, name) in names.iter().enumerate() {
        // It becomes a file name in sysfs; the length is IFNAMSIZ without its zero.
        let sound = (1..=15).contains(&name.len()) && !name.contains(['/', ' ', '\0']) && name != "." && name != "..";
        if !sound || names[..idx].contains(name) {
            return Err(ConfigError::Interface(name.clone()));
        }
    }
    Ok(names)
}

/// Sizes of AF_XDP sockets, from the setting if there is one.
fn shape(frames: Option<u32>) -> Result<Shape, ConfigError> {
    let Some(chunk_count) = frames else { return Ok(Shape::default()) };
    range("xdp.frames", 64, 65_536, chunk_count.into())?;
    if chunk_count.is_power_of_two() {
        Ok(Shape { chunk_count })
    } else {
        Err(ConfigError::PowerOfTwo { name: "xdp.frames", value: chunk_count as usize })
    }
}

/// Checks `min <= value <= max`.
fn range(name: &'static str, min: u64, max: u64, value: u64) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(ConfigError::Range { name, min, max, value }) }
}

/// TCP limits that nobody has set.
pub(crate) const TCP_DEFAULT: Limits = Limits {
    connections_max: 10_000,
    idle: Duration::from_secs(10),
    write: Duration::from_secs(5),
    drain: Duration::from_secs(5),
};

#[cfg(test)]
mod tests;
