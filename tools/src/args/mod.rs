//! The command line of `dnsctl`, with its help texts.
//!
//! It only says what may be written; what it means is in `commands`. Invariant: `--dir` and `--json` are understood before
//! and after the verb, and wherever a command wants a directory, `--dir` can give it.

mod key;
mod remote;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::failure::{EXIT_CODES, Failure};
use crate::output::Format;

pub(crate) use key::{Key, KeyKind};
pub(crate) use remote::{
    Account, AccountVerb, Apply, Backup, Class, Clock, ClockVerb, Denial, Dnssec, DnssecVerb, Doctor, Domain,
    DomainVerb, Force, Import, Layout, Limit, Mode, NewToken, Plan, Quotas, Reach, Records, Recover, Rest, Restore,
    Rrset, RrsetVerb, Token, TokenVerb,
};

/// Petrel's tool: compile zone files, look into snapshots, talk to data planes.
#[derive(Debug, Parser)]
#[command(name = "dnsctl", version, after_help = EXIT_CODES, propagate_version = true)]
pub(crate) struct Cli {
    /// Directory of the snapshots, for commands that are given none.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Write one JSON document instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn zone files into a new generation of a directory.
    Compile(Compile),
    /// Look for mistakes in zone files; writes nothing.
    Check(Check),
    /// Show what a directory holds.
    Inspect(Inspect),
    /// Show, roll, import and export the DNSSEC keys of domains; make the key that signs snapshots.
    Key(Key),
    /// Show what a data plane would answer, without one.
    Lookup(Lookup),
    /// Have a running data plane take the newest generation.
    Push(Push),
    /// Show what a running data plane is doing.
    Status(Status),
    /// Start both processes on this machine for a first try.
    Up(Up),
    /// Make, list, limit and stop accounts.
    Account(Account),
    /// Make, list, rotate, review and delete tokens.
    Token(Token),
    /// Make, list, show, delete, import and export domains, and take changes back.
    Domain(Domain),
    /// Sign domains, show their keys and DS records.
    Dnssec(Dnssec),
    /// Show whether the control plane believes its clock, or say that it is right: nothing is signed otherwise.
    Clock(Clock),
    /// Show and change RRsets.
    Rrset(Rrset),
    /// Show how a zone file differs from what its domain holds; 0 the same, 2 it differs.
    Plan(Plan),
    /// Make a domain what a zone file says.
    Apply(Apply),
    /// Copy the database of a running control plane into a new file.
    Backup(Backup),
    /// Put a backup in place of the database of a control plane that does not run.
    Restore(Restore),
    /// Bring a database back into service that lacks changes which were published.
    Recover(Recover),
    /// Look whether a running control plane is well.
    Doctor(Doctor),
    /// The data plane as a child of `up`.
    #[command(name = "__dataplane", hide = true)]
    Dataplane(DataplaneChild),
    /// The control plane as a child of `up`.
    #[command(name = "__controlplane", hide = true)]
    Controlplane(Box<ControlplaneChild>),
}

/// Arguments of `compile`.
///
/// The zones given become the whole content of the new generation. A zone's origin is --origin, or the first
/// $ORIGIN before any record, or the file name: NAME.zone (root.zone is the root).
///
/// A zone that would lose more than 100 names and more than a fifth of them, or go, keeps what it has, and the exit code is 1;
/// the other zones are published (gate `shrink`). If all zones together would, nothing is (gate `shrink-total`).
#[derive(Debug, Args)]
pub(crate) struct Compile {
    /// Zone files.
    #[arg(value_name = "FILE", required_unless_present_any = ["zones", "zonelist"])]
    pub(crate) files: Vec<PathBuf>,
    /// A directory of files NAME.zone, instead of single files.
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    pub(crate) zones: Option<PathBuf>,
    /// A list of zones, a line each: ORIGIN, tab, PATH, maybe a tab and flags (`signed`: serve its own signatures).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "zones", "origin"])]
    pub(crate) zonelist: Option<PathBuf>,
    /// Leave out zones that cannot be loaded, one line each on standard error, and publish the others.
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Directory of the snapshots, created if missing.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Origin of the one zone file given.
    #[arg(long, value_name = "NAME", conflicts_with = "zones")]
    pub(crate) origin: Option<String>,
    /// Keep the zones of the current generation that are not given.
    #[arg(long)]
    pub(crate) merge: bool,
    /// Sign the snapshot with the key in this file, see `dnsctl key snapshot`.
    #[arg(long, value_name = "KEYFILE")]
    pub(crate) sign: Option<PathBuf>,
    /// How many zones to compile side by side [default: one per core].
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// How many generations to keep.
    #[arg(long, value_name = "N", default_value = "8")]
    pub(crate) keep: NonZeroUsize,
    /// Which parts of the zone-file language are allowed.
    #[command(flatten)]
    pub(crate) language: Language,
    /// Passing a gate.
    #[command(flatten)]
    pub(crate) force: Force,
}

/// Parts of the zone-file language that reach beyond the file and are off by default.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Language {
    /// Allow $INCLUDE of files below this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) allow_include: Option<PathBuf>,
    /// Allow $GENERATE, up to so many records a zone.
    #[arg(long, value_name = "N")]
    pub(crate) allow_generate: Option<u64>,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Zone files.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Origin of the one zone file given.
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
    /// The zones must be signed: mistakes in their DNSSEC records are errors, not warnings.
    #[arg(long)]
    pub(crate) dnssec: bool,
    /// Judge signatures for this time, YYYYMMDDHHMMSS in UTC or seconds since 1970 [default: now].
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
    /// Which parts of the zone-file language are allowed.
    #[command(flatten)]
    pub(crate) language: Language,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// Directory of the snapshots.
    #[arg(value_name = "DIR")]
    pub(crate) dir_named: Option<PathBuf>,
    /// Only this zone.
    #[arg(long, value_name = "NAME")]
    pub(crate) zone: Option<String>,
    /// List the names of the zones with their types.
    #[arg(long)]
    pub(crate) names: bool,
}

/// Arguments of `lookup`: `DIR NAME [TYPE]`, or `NAME [TYPE]` after --dir, or the directory and --batch.
#[derive(Debug, Args)]
pub(crate) struct Lookup {
    /// [DIR] NAME [TYPE]: the directory (unless --dir gives it), what to ask for, and its type [default: A].
    #[arg(value_names = ["DIR", "NAME", "TYPE"], num_args = 1..=3, required_unless_present = "batch")]
    pub(crate) words: Vec<String>,
    /// Ask every question of a file, lines NAME TYPE as dnsperf reads them, and print NAME TYPE RCODE for each.
    #[arg(long, value_name = "FILE")]
    pub(crate) batch: Option<PathBuf>,
    /// Ask for DNSSEC records (DO).
    #[arg(long = "do")]
    pub(crate) dnssec_ok: bool,
    /// Ask as over TCP: nothing is truncated.
    #[arg(long)]
    pub(crate) tcp: bool,
}

/// Arguments of `push`.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// Directory of the snapshots.
    #[arg(value_name = "DIR")]
    pub(crate) dir_named: Option<PathBuf>,
    /// Control socket of the data plane [default: DIR/control].
    #[arg(long, value_name = "PATH")]
    pub(crate) to: Option<PathBuf>,
    /// How many seconds to wait for the acknowledgement.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) wait: u64,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Directory of the snapshots.
    #[arg(value_name = "DIR")]
    pub(crate) dir_named: Option<PathBuf>,
    /// Control socket of the data plane [default: DIR/control].
    #[arg(long, value_name = "PATH")]
    pub(crate) to: Option<PathBuf>,
    /// Show the counters too.
    #[arg(long)]
    pub(crate) counters: bool,
}

/// Arguments of `up`.
///
/// The directory is --dir, or `petrel-data` below the current one. Zones given replace those it serves, but for domains made
/// with the control plane; without any, it serves what it holds, and a new one gets the sample zone example.test.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// Zone file to serve (repeatable).
    #[arg(long = "zone", value_name = "FILE")]
    pub(crate) zones: Vec<PathBuf>,
    /// Address for DNS; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5300")]
    pub(crate) dns: SocketAddr,
    /// Address for HTTP; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8088")]
    pub(crate) api: SocketAddr,
    /// Database of places (mmdb), for records that are answered by country or continent.
    #[arg(long, value_name = "FILE")]
    pub(crate) geoip: Option<PathBuf>,
    /// Prefix of resolvers whose word about the subnets of their clients is taken (repeatable).
    #[arg(long, value_name = "PREFIX")]
    pub(crate) ecs: Vec<String>,
    /// Sign new domains, with this proof of what they lack.
    #[arg(long, value_name = "HOW", value_parser = ["off", "nsec", "nsec3"], default_value = "nsec")]
    pub(crate) dnssec: String,
    /// Passing a gate that stops the zones given.
    #[command(flatten)]
    pub(crate) force: Force,
}

/// Arguments of the hidden data plane.
#[derive(Debug, Args)]
pub(crate) struct DataplaneChild {
    /// Process id of `up`: without it, the child ends.
    #[arg(long)]
    pub(crate) parent: u32,
    /// Those of `dns-dataplane`.
    #[command(flatten)]
    pub(crate) args: dataplane::config::Args,
}

/// Arguments of the hidden control plane.
#[derive(Debug, Args)]
pub(crate) struct ControlplaneChild {
    /// Process id of `up`: without it, the child ends.
    #[arg(long)]
    pub(crate) parent: u32,
    /// Those of `dns-controlplane`.
    #[command(flatten)]
    pub(crate) args: controlplane::config::Args,
}

impl Cli {
    /// How results are to be written.
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Text }
    }
}

/// Whether a command line, be it wrong, is one of `plan`, whose exit codes are its own.
pub(crate) fn is_plan(words: &[std::ffi::OsString]) -> bool {
    use clap::CommandFactory;
    let read = Cli::command().ignore_errors(true).try_get_matches_from(words);
    read.is_ok_and(|matches| matches.subcommand_name() == Some("plan"))
}

/// The directory a command works on: its own argument, else `--dir`.
///
/// # Errors
/// [`Failure::Usage`] if neither is given.
pub(crate) fn directory<'a>(own: Option<&'a Path>, global: Option<&'a Path>) -> Result<&'a Path, Failure> {
    own.or(global).ok_or_else(|| Failure::Usage("no directory: name it, or give --dir DIR".into()))
}

/// The control socket a command talks to: `--to`, else `control` in the directory.
///
/// # Errors
/// [`Failure::Usage`] if neither is given.
pub(crate) fn control_path(to: Option<&Path>, own: Option<&Path>, global: Option<&Path>) -> Result<PathBuf, Failure> {
    match to {
        Some(path) => Ok(path.to_owned()),
        None => Ok(directory(own, global)?.join("control")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Parses words after `dnsctl`; the parsed line or clap's kind of error.
    fn parse(words: &str) -> Result<Cli, clap::error::ErrorKind> {
        Cli::try_parse_from(std::iter::once("dnsctl").chain(words.split_whitespace())).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_is_consistent_and_the_help_tells_the_exit_codes() {
        let mut command = Cli::command();
        command.clone().debug_assert();
        let help = command.render_help().to_string();
        assert!(help.contains("Exit codes:") && !help.contains("__dataplane"), "{help}");
        for failure in [
            Failure::Input(String::new()),
            Failure::Usage(String::new()),
            Failure::Unable(String::new()),
            Failure::Ended(String::new()),
        ] {
            assert!(EXIT_CODES.contains(&format!("\n  {}  ", failure.exit_code())));
        }
    }

    #[test]
    fn global_options_stand_before_or_after_the_verb() {
        for words in ["--dir d --json up", "up --dir d --json", "--json up --dir d"] {
            let cli = parse(words).unwrap();
            assert_eq!((cli.dir, cli.json), (Some(PathBuf::from("d")), true), "{words}");
        }
    }

    #[test]
    fn right_lines_are_accepted() {
        for words in [
            "compile --out d a.zone b.zone",
            "compile --out d --zones z --merge --jobs 2 --keep 3",
            "compile --out d --zonelist l --keep-going",
            "compile --out d --origin . --allow-include i --allow-generate 9 root.zone",
            "compile --out d --sign k a.zone",
            "compile --out d --force shrink --force shrink-total --reason why a.zone",
            "up --zone a --force shrink --reason why",
            "key snapshot k",
            "check --origin example.test a",
            "inspect d --zone a. --names",
            "lookup d example.test MX --do --tcp",
            "--dir d lookup example.test",
            "lookup d --batch questions",
            "--dir d lookup --batch questions --tcp",
            "push d --to p --wait 5",
            "status --to p --counters",
            "up --zone a --zone b --dns 127.0.0.1:0 --api [::1]:0",
            "__controlplane --parent 1 --snapshots d",
            "--dir d account add a@b.test --class hosting --limit 3 --token --json",
            "account limit a@b.test none --url http://h",
            "account limit a@b.test --domains 3 --rrsets 9 --records none --bytes 7 --writes-per-hour 60 --history-per-day 9",
            "account show a@b.test",
            "--dir d token --account a@b.test add certbot --allow 192.0.2.0/24 --max-age 3600",
            "token audit --socket s",
            "domain add example.org --zonefile f",
            "domain add example.org --replace-file-zone",
            "domain import f --mode merge --dry-run",
            "domain import example.org f --force shrink --reason why",
            "domain history example.org --limit 3 --before 9",
            "domain verify example.org --by-fiat --reason why",
            "domain restore example.org --time 2026-11-22T10:00:00Z --dry-run",
            "rrset get example.org",
            "rrset set example.org @ TXT a b --ttl 60",
            "rrset rm example.org www A",
            "plan f --origin example.org",
            "apply f --force shrink --reason why",
            "backup f",
            "--dir d restore f --accept",
            "recover --state s",
            "doctor",
            "clock show --json",
            "--dir d clock accept",
            "dnssec enable example.org --denial nsec3 --keys split --algorithm 15 --force",
            "dnssec disable example.org --force",
            "--dir d key status example.org --json",
            "key roll example.org --type zsk",
            "key roll example.org --algorithm 15 --url http://h",
            "key ds-seen example.org 1234 --ttl 60 --force",
            "key ds-gone example.org --force",
            "key lifetime example.org --zsk 0 --ksk default",
            "key import example.org K.private K.key --socket s",
            "key import example.org k.pem --type csk --algorithm 13",
        ] {
            assert!(parse(words).is_ok(), "{words}: {:?}", parse(words).err());
        }
    }

    #[test]
    fn wrong_lines_are_refused() {
        use clap::error::ErrorKind;
        for (words, kind) in [
            ("", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("compile --out d", ErrorKind::MissingRequiredArgument),
            ("compile --out d --zones z a.zone", ErrorKind::ArgumentConflict),
            ("compile --out d --zones z --origin .", ErrorKind::ArgumentConflict),
            ("compile --out d --zones z --zonelist l", ErrorKind::ArgumentConflict),
            ("compile --out d --jobs 0 a", ErrorKind::ValueValidation),
            ("compile --out d --keep 0 a", ErrorKind::ValueValidation),
            ("check", ErrorKind::MissingRequiredArgument),
            ("lookup", ErrorKind::MissingRequiredArgument),
            ("lookup d n A extra", ErrorKind::TooManyValues),
            ("key snapshot", ErrorKind::MissingRequiredArgument),
            ("push d --wait 0", ErrorKind::ValueValidation),
            ("up --dns here", ErrorKind::ValueValidation),
            ("fly", ErrorKind::InvalidSubcommand),
            ("account", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ("account add a@b.test --class king", ErrorKind::InvalidValue),
            ("account limit a@b.test many", ErrorKind::ValueValidation),
            ("account limit a@b.test", ErrorKind::MissingRequiredArgument),
            ("account limit a@b.test 3 --domains 4", ErrorKind::ArgumentConflict),
            ("domain restore example.org", ErrorKind::MissingRequiredArgument),
            ("domain import a b c", ErrorKind::TooManyValues),
            ("domain verify example.org --by-fiat", ErrorKind::MissingRequiredArgument),
            ("apply f --force shrink", ErrorKind::MissingRequiredArgument),
            ("compile --out d a.zone --force shrink", ErrorKind::MissingRequiredArgument),
            ("compile --out d a.zone --reason why", ErrorKind::MissingRequiredArgument),
            ("rrset set example.org @ A", ErrorKind::MissingRequiredArgument),
            ("domain list --url u --socket s", ErrorKind::ArgumentConflict),
        ] {
            assert_eq!(parse(words).err(), Some(kind), "{words}");
        }
    }

    #[test]
    fn directories_and_sockets_have_defaults() {
        let (own, global) = (Path::new("own"), Path::new("global"));
        assert_eq!(directory(Some(own), Some(global)).unwrap(), own);
        assert_eq!(directory(None, Some(global)).unwrap(), global);
        assert_eq!(directory(None, None).unwrap_err().exit_code(), 2);
        assert_eq!(control_path(None, Some(own), None).unwrap(), Path::new("own/control"));
        assert_eq!(control_path(Some(global), None, None).unwrap(), global);
    }
}
