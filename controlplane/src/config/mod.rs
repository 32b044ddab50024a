//! What the operator can set: arguments, the TOML file, and what they make together.
//!
//! It opens no socket and watches nothing. Invariant: a [`Config`] is complete and was checked as far as that goes
//! without touching the network; an argument wins over the file, and a key the file may not have is an error.

mod device;
mod domains;
mod keys;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Parser;
use ipnet::IpNet;
use serde::Deserialize;

pub use device::DeviceArgs;
pub use domains::{Dnssec, DomainArgs, Domains, Verification, Whose};

pub use keys::{KeyArgs, Keys};

use device::FileDevice;
use domains::{FileDomains, MINIMUM_TTL_MAX};
use keys::FileKeys;

use crate::keys::DeviceSettings;

/// Where HTTP is served when nothing is said: this machine only.
pub const API_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8088);
/// How many data planes one control plane may follow: each costs a task and a connection.
pub const PLANE_COUNT_MAX: usize = 64;
/// The longest config file in bytes: it is a dozen lines.
const FILE_LEN_MAX: u64 = 64 << 10;

/// The control plane of Petrel: keeps zones in a database, serves the REST API, and publishes what changes.
///
/// Exit codes: 0 ended when told to, or `--check` found nothing wrong; 1 the configuration is wrong; 2 usage;
/// 3 it could not listen or start.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "dns-controlplane", version)]
pub struct Args {
    /// Directory of the snapshots.
    #[arg(long, value_name = "DIR")]
    pub snapshots: Option<PathBuf>,
    /// Address for HTTP; port 0 takes a free one [default: 127.0.0.1:8088].
    #[arg(long, value_name = "ADDR")]
    pub api: Option<SocketAddr>,
    /// Local socket for HTTP, besides the address; only its own user may connect [default: STATE/socket].
    #[arg(long, value_name = "PATH")]
    pub api_socket: Option<PathBuf>,
    /// Directory of the database [default: `state` in the directory of the snapshots].
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Sign what is published with the key in this file, as `dnsctl key snapshot` makes it [default: not signed].
    #[arg(long, value_name = "FILE")]
    pub sign: Option<PathBuf>,
    /// File with the secret that seals DNSSEC keys; it is made if it is not there [default: STATE/seal.key].
    #[arg(long, value_name = "FILE")]
    pub seal: Option<PathBuf>,
    /// Command that is run when signatures are in danger, its words apart by blanks: an absolute path and arguments. It reads
    /// the text, which begins with a Subject: field, and has the kind in PETREL_ALARM [default: alarms are only logged].
    #[arg(long, value_name = "COMMAND")]
    pub alarm: Option<String>,
    /// Database of places in the format of MaxMind (mmdb), for records that are answered by country or continent; it is read
    /// again when it changes [default: none, such records are answered as if clients were nowhere].
    #[arg(long, value_name = "FILE")]
    pub geoip: Option<PathBuf>,
    /// The device that makes and keeps new DNSSEC keys.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// What new domains are made of.
    #[command(flatten)]
    pub domains: DomainArgs,
    /// How DNSSEC keys are rolled.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// Network of proxies whose X-Forwarded-For, -Proto and -Host are believed (repeatable) [default: none].
    #[arg(long = "trusted-proxy", value_name = "CIDR")]
    pub trusted_proxies: Vec<IpNet>,
    /// Control socket of a data plane to follow (repeatable).
    #[arg(long = "dataplane", value_name = "PATH")]
    pub dataplanes: Vec<PathBuf>,
    /// TOML file with the keys `snapshots`, `state`, `sign`, `seal`, `alarm`, `geoip`, `api`, `api_socket`, `trusted_proxies`, `dataplanes` and the
    /// tables `pkcs11`, `domains` and `keys`; arguments win over it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check the configuration, print one line and end.
    #[arg(long)]
    pub check: bool,
}

/// The TOML file as it is written.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileConfig {
    /// As `--snapshots`.
    snapshots: Option<PathBuf>,
    /// As `--api`.
    api: Option<SocketAddr>,
    /// As `--api-socket`.
    api_socket: Option<PathBuf>,
    /// As `--state`.
    state: Option<PathBuf>,
    /// As `--sign`.
    sign: Option<PathBuf>,
    /// As `--seal`.
    seal: Option<PathBuf>,
    /// As `--alarm`.
    alarm: Option<String>,
    /// As `--geoip`.
    geoip: Option<PathBuf>,
    /// The device that makes and keeps new DNSSEC keys.
    #[serde(default)]
    pkcs11: FileDevice,
    /// What new domains are made of.
    #[serde(default)]
    domains: FileDomains,
    /// How DNSSEC keys are rolled.
    #[serde(default)]
    keys: FileKeys,
    /// As `--trusted-proxy`, all of them.
    #[serde(default)]
    trusted_proxies: Vec<String>,
    /// As `--dataplane`, all of them.
    #[serde(default)]
    dataplanes: Vec<PathBuf>,
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Directory of the snapshots; it exists.
    pub snapshots: PathBuf,
    /// Where HTTP is served.
    pub api: SocketAddr,
    /// Where HTTP is served to processes of this machine, besides.
    pub api_socket: PathBuf,
    /// Directory of the database.
    pub state: PathBuf,
    /// The key that signs what is published.
    pub sign: Option<PathBuf>,
    /// The secret that seals DNSSEC keys.
    pub seal: PathBuf,
    /// The command that alarms are told to, with its arguments; nothing for none.
    pub alarm: Vec<String>,
    /// The database of places.
    pub geoip: Option<PathBuf>,
    /// The device that makes and keeps new DNSSEC keys.
    pub device: Option<DeviceSettings>,
    /// What new domains are made of.
    pub domains: Domains,
    /// Networks of proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Control sockets of the data planes, each once, at most [`PLANE_COUNT_MAX`].
    pub planes: Vec<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is no TOML of ours; the cause names line, column and key.
    #[error("{path}: {cause}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        cause: Box<toml::de::Error>,
    },
    /// Nobody said where the snapshots are.
    #[error("no snapshot directory: give --snapshots DIR, or `snapshots` in the config file")]
    NoSnapshots,
    /// The snapshot directory is none.
    #[error("snapshots: {0} is not a directory")]
    NotDirectory(PathBuf),
    /// Of what a device needs, something is missing.
    #[error("a device for keys needs --pkcs11 MODULE, --pkcs11-token LABEL and --pkcs11-pin-file FILE, all of them")]
    HalfDevice,
    /// A file that it needs is not there, or others can read it.
    #[error("{path}: {problem}")]
    DeviceFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// No RRset could be written.
    #[error("a minimum TTL of {0} seconds is above the maximum, {MINIMUM_TTL_MAX}")]
    MinimumTtl(u32),
    /// A name is none.
    #[error("{0:?} is not a domain name")]
    Name(String),
    /// A network of proxies is none.
    #[error("trusted proxy {0} is no network such as 192.0.2.0/24")]
    Proxy(String),
    /// The command for alarms is not named by an absolute path.
    #[error("alarm: {0:?} is no absolute path")]
    Alarm(String),
    /// One plane was named twice: its counters would be shown twice.
    #[error("data plane {0} is named twice")]
    PlaneTwice(PathBuf),
    /// More planes than [`PLANE_COUNT_MAX`].
    #[error("{0} data planes are named, at most {PLANE_COUNT_MAX} can be followed")]
    TooManyPlanes(usize),
}

impl Config {
    /// Merges arguments and file, reads the file if one is named.
    ///
    /// # Errors
    /// [`ConfigError`], one line for people (a syntax error shows the place in the file on more lines).
    pub fn from_args(args: Args) -> Result<Config, ConfigError> {
        let file = match &args.config {
            Some(path) => read_file(path)?,
            None => FileConfig::default(),
        };
        let snapshots = args.snapshots.or(file.snapshots).ok_or(ConfigError::NoSnapshots)?;
        if !snapshots.is_dir() {
            return Err(ConfigError::NotDirectory(snapshots));
        }
        let planes = if args.dataplanes.is_empty() { file.dataplanes } else { args.dataplanes };
        if planes.len() > PLANE_COUNT_MAX {
            return Err(ConfigError::TooManyPlanes(planes.len()));
        }
        if let Some((_, twice)) = planes.iter().enumerate().find(|&(idx, path)| planes[..idx].contains(path)) {
            return Err(ConfigError::PlaneTwice(twice.clone()));
        }
        let parsed = file.trusted_proxies.into_iter().map(|text| text.parse().map_err(|_| ConfigError::Proxy(text)));
        let of_file = parsed.collect::<Result<Vec<IpNet>, _>>()?;
        let trusted_proxies = if args.trusted_proxies.is_empty() { of_file } else { args.trusted_proxies };
        let api = args.api.or(file.api).unwrap_or(API_DEFAULT);
        let state = args.state.or(file.state).unwrap_or_else(|| snapshots.join("state"));
        let api_socket = args.api_socket.or(file.api_socket).unwrap_or_else(|| state.join("socket"));
        let sign = args.sign.or(file.sign);
        let seal = args.seal.or(file.seal).unwrap_or_else(|| state.join("seal.key"));
        let alarm = command(args.alarm.or(file.alarm).unwrap_or_default())?;
        let geoip = args.geoip.or(file.geoip);
        let keys = Keys::from(&args.keys, &file.keys);
        let domains = Domains::from(args.domains, file.domains, keys)?;
        let device = device::settings(args.device, file.pkcs11)?;
        Ok(Config {
            snapshots,
            state,
            sign,
            seal,
            alarm,
            geoip,
            device,
            api,
            api_socket,
            domains,
            trusted_proxies,
            planes,
        })
    }
}

/// Takes a command apart at its blanks. Where its program is looked for must not depend on how we were started.
fn command(text: String) -> Result<Vec<String>, ConfigError> {
    let words: Vec<String> = text.split_ascii_whitespace().map(str::to_owned).collect();
    match words.first() {
        Some(program) if !Path::new(program).is_absolute() => Err(ConfigError::Alarm(program.clone())),
        None if !text.is_empty() => Err(ConfigError::Alarm(text)),
        _ => Ok(words),
    }
}

/// Reads and parses the config file.
fn read_file(path: &Path) -> Result<FileConfig, ConfigError> {
    use std::io::Read;
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        let len = std::fs::File::open(path)?.take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
        if len as u64 > FILE_LEN_MAX {
            return Err(std::io::Error::other(format!("longer than {FILE_LEN_MAX} bytes")));
        }
        Ok(text)
    };
    let text = read().map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })?;
    toml::from_str(&text).map_err(|cause| ConfigError::Syntax { path: path.to_owned(), cause: Box::new(cause) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `Config::from_args` on a file's text and arguments after the program's name; the result as text.
    fn check_config(file: Option<&str>, args: &[&str], expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        let mut words = vec!["dns-controlplane".to_owned()];
        words.extend(args.iter().map(|word| word.replace("DIR", root)));
        if let Some(text) = file {
            let path = dir.path().join("c.toml");
            std::fs::write(&path, text.replace("DIR", root)).unwrap();
            words.extend(["--config".to_owned(), path.to_str().unwrap().to_owned()]);
        }
        let found = match Config::from_args(Args::try_parse_from(words).unwrap()) {
            Ok(Config { snapshots, api, planes, api_socket, trusted_proxies, state, domains, .. }) => {
                let socket = format!(" {} {}", api_socket.display(), state.display());
                let Domains { nameservers, hostmaster, minimum_ttl_secs, verification, .. } = domains;
                let verification = format!("{:?} {:?}", verification.whose, verification.under);
                let domains = format!(" {} {hostmaster} {minimum_ttl_secs} {verification}", nameservers.join(","));
                let proxies: String = trusted_proxies.iter().map(|net| format!(" {net}")).collect();
                format!("{} {api} {planes:?}{socket}{proxies}{domains}", snapshots.display())
            }
            Err(error) => error.to_string(),
        };
        let found = found.replace(root, "DIR");
        assert!(found.contains(expected), "{found:?} does not contain {expected:?}");
    }

    #[test]
    fn arguments_win_over_the_file_and_both_over_defaults() {
        check_config(None, &["--snapshots", "DIR"], "DIR 127.0.0.1:8088 []");
        let file = "snapshots = 'DIR'\napi = '[::1]:1'\ndataplanes = ['a', 'b']";
        check_config(Some(file), &[], r#"DIR [::1]:1 ["a", "b"]"#);
        check_config(Some(file), &["--api", "127.0.0.9:2", "--dataplane", "c"], r#"DIR 127.0.0.9:2 ["c"]"#);
    }

    #[test]
    fn the_local_socket_and_proxies_are_settings_like_others() {
        let file = "snapshots = 'DIR'\napi_socket = 'DIR/s'\ntrusted_proxies = ['10.0.0.0/8', 'fd00::/8']";
        check_config(Some(file), &[], "[] DIR/s DIR/state 10.0.0.0/8 fd00::/8");
        let args = ["--api-socket", "DIR/t", "--trusted-proxy", "192.0.2.0/24"];
        check_config(Some(file), &args, "[] DIR/t DIR/state 192.0.2.0/24");
        check_config(Some("snapshots = 'DIR'\ntrusted_proxies = ['10.0.0.1/x']"), &[], "10.0.0.1/x is no network");
    }

    #[test]
    fn a_device_for_keys_needs_all_that_it_needs() {
        check_config(None, &["--snapshots", "DIR", "--pkcs11", "DIR/m.so"], "all of them");
        let all = ["--snapshots", "DIR", "--pkcs11", "DIR/m.so", "--pkcs11-token", "t", "--pkcs11-pin-file", "DIR/pin"];
        check_config(None, &all, "DIR/m.so: No such file");
        let file = "snapshots = 'DIR'\n[pkcs11]\nmodule = 'DIR/c.toml'\ntoken = 't'\npin_file = 'DIR/none'";
        check_config(Some(file), &[], "DIR/none: No such file");
        // The config file stands for a PIN that all the world can read.
        check_config(Some(&file.replace("none", "c.toml")), &[], "others can read the PIN");
    }

    #[test]
    fn whose_domains_are_proved_is_a_setting() {
        check_config(None, &["--snapshots", "DIR"], "3600 Off None");
        let file =
            "snapshots = 'DIR'\n[domains]\nverify = 'hosting'\nverify_under = 'v.example'\nresolver = '[::1]:53'";
        check_config(Some(file), &[], r#"Hosting Some("v.example.")"#);
        check_config(Some(file), &["--verify", "off", "--verify-under", "w.example."], r#"Off Some("w.example.")"#);
        check_config(Some("snapshots = 'DIR'\n[domains]\nverify = 'all'"), &[], "unknown variant `all`");
    }

    #[test]
    fn what_may_be_asked_beside_public_addresses_is_one_setting_for_ds_and_proofs() {
        let allowed = |file: &str, args: &[&str]| {
            let file: FileKeys = toml::from_str(file).map_err(|error| error.to_string())?;
            let words = ["x"].iter().chain(args);
            let args = Args::try_parse_from(words).map_err(|error| error.to_string())?;
            let domains = Domains::from(args.domains, FileDomains::default(), Keys::from(&args.keys, &file));
            let domains = domains.map_err(|error| error.to_string())?;
            let of_proofs = domains.verification.allowed;
            assert_eq!(domains.keys.parent.map(|servers| servers.allowed), Some(of_proofs.clone()));
            Ok::<_, String>(of_proofs.iter().map(|net| format!("{net} ")).collect::<String>())
        };
        let file = "parent_resolver = '[::1]:53'\nparent_allow = ['10.0.0.0/8', 'fd00::/8']";
        assert_eq!(allowed(file, &[]), Ok("10.0.0.0/8 fd00::/8 ".to_owned()));
        assert_eq!(allowed(file, &["--parent-allow", "192.168.0.0/16"]), Ok("192.168.0.0/16 ".to_owned()));
        let wrong = allowed("parent_allow = ['10.0.0.0/x']", &[]).unwrap_err();
        assert!(wrong.contains("10.0.0.0/x is no network"), "{wrong}");
        assert!(allowed(file, &["--parent-allow", "here"]).is_err());
    }

    #[test]
    fn a_command_is_words_and_begins_with_an_absolute_path() {
        let words = |text: &str| command(text.to_owned()).map_err(|error| error.to_string());
        assert_eq!(words("/usr/sbin/sendmail  a@b.test"), Ok(vec!["/usr/sbin/sendmail".into(), "a@b.test".into()]));
        assert_eq!(words(""), Ok(Vec::new()));
        assert_eq!(words("mail a"), Err("alarm: \"mail\" is no absolute path".into()));
        check_config(Some("snapshots = 'DIR'\nalarm = ' '"), &[], r#"alarm: " " is no absolute path"#);
    }

    #[test]
    fn mistakes_name_what_is_wrong_and_where() {
        check_config(None, &[], "no snapshot directory");
        check_config(None, &["--snapshots", "DIR/none"], "DIR/none is not a directory");
        check_config(None, &["--snapshots", "DIR", "--config", "DIR/none"], "reading DIR/none: No such file");
        check_config(None, &["--snapshots", "DIR", "--dataplane", "a", "--dataplane", "a"], "a is named twice");
        check_config(Some("snapshots = 'DIR'\ncolour = 1"), &[], "unknown field `colour`");
        check_config(Some("snapshots = 'DIR'\ncolour = 1"), &[], "line 2");
        check_config(Some("api = 'here'"), &[], "line 1");
        let many: String = (0..65).map(|n| format!("'{n}',")).collect();
        check_config(Some(&format!("snapshots = 'DIR'\ndataplanes = [{many}]")), &[], "at most 64");
        check_config(Some(&"#".repeat(70_000)), &[], "longer than 65536 bytes");
    }
}
