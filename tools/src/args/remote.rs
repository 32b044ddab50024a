//! The command line of what goes through the control plane: accounts, tokens, domains, RRsets, whole zone files, backups.
//!
//! Invariant: each group takes the options that say which control plane is meant, before and after its verb.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Which control plane, and in whose name.
///
/// Without --url it is the local socket of this machine: --socket, or `state/socket` in --dir, or PETREL_SOCKET, or that of
/// `petrel-data` below the current directory. With --url (or PETREL_URL) a token is needed; a token of the environment counts
/// over the socket too.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Reach {
    /// Address of the control plane, as http://127.0.0.1:8088 [env: PETREL_URL].
    #[arg(long, global = true, value_name = "URL", conflicts_with = "socket")]
    pub(crate) url: Option<String>,
    /// Local socket of the control plane [env: PETREL_SOCKET] [default: DIR/state/socket].
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// File with the token [env: PETREL_TOKEN has the token itself].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Act for this account; only the operator on this machine may.
    #[arg(long, global = true, value_name = "EMAIL")]
    pub(crate) account: Option<String>,
}

/// Arguments of `account`.
#[derive(Debug, Args)]
pub(crate) struct Account {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: AccountVerb,
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountVerb {
    /// Make an account.
    Add {
        /// Its mail address.
        email: String,
        /// Whose rules hold for it.
        #[arg(long, value_enum, default_value = "operator")]
        class: Class,
        /// How many domains it may have [default: as many as it likes].
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// Make a token with all permissions too, and print it; it is shown only this once.
        #[arg(long)]
        token: bool,
    },
    /// List the accounts.
    List,
    /// Show one account: what it has, and what it may have.
    Show {
        /// Its mail address.
        email: String,
    },
    /// Say how much an account may have: a number, or `none` for as much as it likes.
    Limit {
        /// Its mail address.
        email: String,
        /// How much.
        #[command(flatten)]
        quotas: Quotas,
    },
    /// Stop an account: its tokens are refused and its domains no longer served, but kept.
    Suspend {
        /// Its mail address.
        email: String,
    },
    /// Bring a suspended account back, with its domains.
    Resume {
        /// Its mail address.
        email: String,
    },
}

/// Whose rules hold for an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Class {
    /// The operator's own: any domain name, no throttles.
    Operator,
    /// A tenant: name policy, throttles, limits.
    Hosting,
}

/// A limit, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<u32>);

/// How much an account may have.
#[derive(Debug, Clone, Default, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Quotas {
    /// How many domains; the same as --domains.
    #[arg(value_name = "N", value_parser = limit, conflicts_with = "domains")]
    pub(crate) domain_count: Option<Limit>,
    /// How many domains.
    #[arg(long, value_name = "N", value_parser = limit)]
    pub(crate) domains: Option<Limit>,
    /// How many RRsets in all its domains together.
    #[arg(long, value_name = "N", value_parser = limit)]
    pub(crate) rrsets: Option<Limit>,
    /// How many records in all its domains together; one with several regions in `geo` counts once for each.
    #[arg(long, value_name = "N", value_parser = limit)]
    pub(crate) records: Option<Limit>,
    /// How many bytes of RDATA and comments in all its domains together.
    #[arg(long, value_name = "N", value_parser = limit)]
    pub(crate) bytes: Option<Limit>,
    /// How many changes it may publish in an hour.
    #[arg(long, value_name = "N", value_parser = limit)]
    pub(crate) writes_per_hour: Option<Limit>,
    /// How many bytes of history its changes may add in a day.
    #[arg(long, value_name = "N", value_parser = limit)]
    pub(crate) history_per_day: Option<Limit>,
}

/// Reads a number or `none`.
fn limit(text: &str) -> Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        _ => text.parse().map(|count| Limit(Some(count))).map_err(|_| "it is no number, and not `none`".into()),
    }
}

/// Arguments of `token`.
#[derive(Debug, Args)]
pub(crate) struct Token {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: TokenVerb,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token and print it; it is shown only this once.
    Add(NewToken),
    /// List the tokens.
    List,
    /// Give a token a new secret and print it; the old one is void at once. Policies and permissions stay.
    Rotate {
        /// The token's identifier.
        id: String,
    },
    /// Tell which tokens can do more, for longer or from more places than they may need.
    Audit,
    /// Delete a token.
    Rm {
        /// The token's identifier.
        id: String,
    },
}

/// A token to be made.
#[derive(Debug, Args)]
pub(crate) struct NewToken {
    /// What to call it.
    #[arg(default_value = "")]
    pub(crate) name: String,
    /// It may make domains.
    #[arg(long)]
    pub(crate) create_domain: bool,
    /// It may delete domains.
    #[arg(long)]
    pub(crate) delete_domain: bool,
    /// It may manage tokens, itself included.
    #[arg(long)]
    pub(crate) manage_tokens: bool,
    /// It may write into the domains that it makes, and nothing else.
    #[arg(long)]
    pub(crate) auto_policy: bool,
    /// It may only read; the operator on this machine can make such a token.
    #[arg(long)]
    pub(crate) read_only: bool,
    /// A network it may be used from (repeatable) [default: any].
    #[arg(long, value_name = "CIDR")]
    pub(crate) allow: Vec<String>,
    /// How long it is valid, as `[DAYS ][[HH:]MM:]SS`.
    #[arg(long, value_name = "DURATION")]
    pub(crate) max_age: Option<String>,
    /// How long it may be unused before it is void.
    #[arg(long, value_name = "DURATION")]
    pub(crate) max_unused: Option<String>,
}

/// Arguments of `domain`.
#[derive(Debug, Args)]
pub(crate) struct Domain {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: DomainVerb,
}

/// Arguments of `dnssec`.
#[derive(Debug, Args)]
pub(crate) struct Dnssec {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: DnssecVerb,
}

/// What can be done about signing.
#[derive(Debug, Subcommand)]
pub(crate) enum DnssecVerb {
    /// Sign a domain; prints the DS records for its parent.
    Enable {
        /// Its name.
        name: String,
        /// How it proves what it lacks [default: as it does, or nsec if it is not signed].
        #[arg(long, value_enum)]
        denial: Option<Denial>,
        /// Which keys a domain gets that is not signed: one that signs everything, or two [default: those it had, else csk].
        #[arg(long, value_enum)]
        keys: Option<Layout>,
        /// Their algorithm: 13, 14 or 15 [default: 13].
        #[arg(long, value_name = "NUMBER")]
        algorithm: Option<u8>,
        /// Even if keys are deleted by that which were imported, or which the parent has had a DS of.
        #[arg(long)]
        force: bool,
    },
    /// End signing, after the DS records were removed from the parent and have expired in caches; the keys are kept.
    Disable {
        /// Its name.
        name: String,
        /// Even if the parent has DS records, or nobody knows: their holders find the domain bogus then.
        #[arg(long)]
        force: bool,
    },
    /// Print the DS records for the parent.
    Ds {
        /// Its name.
        name: String,
    },
    /// Have a name server vouch for the domains it serves, so that parents believe them without DS (RFC 9615): makes the signed
    /// domain `_signal.HOST`; prints what its parent needs. Signals about signed domains follow by themselves.
    Signal {
        /// The name of the name server.
        host: String,
    },
    /// Show whether a domain is signed, and its keys.
    Status {
        /// Its name.
        name: String,
    },
}

/// Arguments of `clock`.
#[derive(Debug, Args)]
pub(crate) struct Clock {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: ClockVerb,
}

/// What can be done about the clock.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum ClockVerb {
    /// Show what time the control plane has, and whether it believes that.
    Show,
    /// Take the time of the control plane's machine for right: look at `show` first.
    Accept,
}

/// Which keys a domain has.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Layout {
    /// One that signs everything.
    Csk,
    /// A KSK that signs the keys, and a ZSK that signs the rest.
    Split,
}

/// How a domain proves what it lacks.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Denial {
    /// NSEC.
    Nsec,
    /// NSEC3.
    Nsec3,
    /// NSEC3 that leaves out unsigned delegations.
    OptOut,
}

/// What can be done with domains.
#[derive(Debug, Subcommand)]
pub(crate) enum DomainVerb {
    /// Make a domain.
    Add {
        /// Its name.
        name: String,
        /// A zone file with its first content.
        #[arg(long, value_name = "FILE")]
        zonefile: Option<PathBuf>,
        /// Let it take the place of a zone of this name that was compiled from a file.
        #[arg(long)]
        replace_file_zone: bool,
    },
    /// List the domains.
    List,
    /// Show one domain.
    Show {
        /// Its name.
        name: String,
    },
    /// Delete a domain with all it holds; `revive` takes that back.
    Rm {
        /// Its name.
        name: String,
    },
    /// List the deletions of domains that can be taken back, newest first, and until when their names are kept from others.
    Deleted,
    /// Make a deleted domain again with all it held, its keys and DS records too.
    Revive {
        /// Its name.
        name: String,
        /// The change that deleted it, as `deleted` and `history` tell it [default: the last one].
        #[arg(long, value_name = "CHANGE")]
        change: Option<u64>,
        /// Let it take the place of a zone of this name that was compiled from a file.
        #[arg(long)]
        replace_file_zone: bool,
    },
    /// Write a domain as a zone file.
    Export {
        /// Its name.
        name: String,
        /// The file [default: standard output].
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Take a zone file into a domain, which is made if it is not there.
    Import(Import),
    /// List the changes of a domain, newest first.
    History {
        /// Its name.
        name: String,
        /// How many.
        #[arg(long, value_name = "N", default_value = "20")]
        limit: NonZeroUsize,
        /// Only changes before this one.
        #[arg(long, value_name = "CHANGE")]
        before: Option<u64>,
    },
    /// Look whether a domain that waits to be published is proved to be its account's, and publish it then; `domain show`
    /// tells what proves it.
    Verify {
        /// Its name.
        name: String,
        /// Publish it without a proof; only the operator on this machine may.
        #[arg(long, requires = "reason")]
        by_fiat: bool,
        /// Why; it is kept with the change.
        #[arg(long, value_name = "TEXT", requires = "by_fiat")]
        reason: Option<String>,
    },
    /// Take one change back, unless what it touched was changed again.
    Undo {
        /// The domain.
        name: String,
        /// The change's number, as `history` tells it.
        change: u64,
    },
    /// Bring a domain back to what it was after a change or at a time.
    Restore {
        /// The domain.
        name: String,
        /// The change after which it was right.
        #[arg(long, value_name = "CHANGE", required_unless_present = "time", conflicts_with = "time")]
        change: Option<u64>,
        /// The time at which it was right, as 2026-11-22T10:00:00Z.
        #[arg(long, value_name = "TIME")]
        time: Option<String>,
        /// Only tell what would change.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Arguments of `domain import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// [NAME] FILE: the domain (unless the file's $ORIGIN or name tells it) and the zone file.
    #[arg(value_names = ["NAME", "FILE"], num_args = 1..=2, required = true)]
    pub(crate) words: Vec<String>,
    /// What becomes of RRsets that the file does not have.
    #[arg(long, value_enum, default_value = "replace")]
    pub(crate) mode: Mode,
    /// Only tell what would change.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Passing a gate.
    #[command(flatten)]
    pub(crate) force: Force,
}

/// What an import does with RRsets that the zone file does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// They go.
    Replace,
    /// They stay.
    Merge,
}

/// Passing a gate that stops what is probably a mistake.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Force {
    /// Let the content through this gate, as the refusal names it (repeatable).
    #[arg(long, value_name = "GATE", requires = "reason")]
    pub(crate) force: Vec<String>,
    /// Why; it is kept with the change, or for `compile` in its report.
    #[arg(long, value_name = "TEXT", requires = "force")]
    pub(crate) reason: Option<String>,
}

/// Arguments of `rrset`.
#[derive(Debug, Args)]
pub(crate) struct Rrset {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: RrsetVerb,
}

/// What can be done with RRsets. SUBNAME is the owner below the domain, `@` for the domain itself.
#[derive(Debug, Subcommand)]
pub(crate) enum RrsetVerb {
    /// Show the RRsets of a domain, of one owner, or one.
    Get {
        /// The domain.
        domain: String,
        /// The owner.
        subname: Option<String>,
        /// The type.
        #[arg(value_name = "TYPE")]
        rtype: Option<String>,
    },
    /// Make an RRset what is given, whether it is there or not.
    Set(Records),
    /// Add records to an RRset, which is made if it is not there.
    Add(Records),
    /// Delete an RRset, or some of its records.
    Rm {
        /// The domain.
        domain: String,
        /// The owner.
        subname: String,
        /// The type.
        #[arg(value_name = "TYPE")]
        rtype: String,
        /// Records to delete, each one word of the shell [default: all].
        #[arg(value_name = "RECORD", allow_hyphen_values = true)]
        records: Vec<String>,
    },
}

/// An RRset with its records.
#[derive(Debug, Args)]
pub(crate) struct Records {
    /// The domain.
    pub(crate) domain: String,
    /// The owner below the domain; `@` for the domain itself.
    pub(crate) subname: String,
    /// The type.
    #[arg(value_name = "TYPE")]
    pub(crate) rtype: String,
    /// The records, each one word of the shell.
    #[arg(value_name = "RECORD", required = true)]
    pub(crate) records: Vec<String>,
    /// TTL in seconds [default: what it has, else 3600].
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ttl: Option<u32>,
}

/// Arguments of `plan`.
///
/// It changes nothing. Its exit codes are those of diff(1): 0 the same, 2 it differs, 1 the file, the command line or the
/// answer is bad; 3 as for all commands.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// The zone file.
    pub(crate) file: PathBuf,
    /// The domain [default: the file's $ORIGIN, or its name NAME.zone].
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
}

/// Arguments of `apply`: the domain becomes what the zone file says.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// The zone file.
    pub(crate) file: PathBuf,
    /// The domain [default: the file's $ORIGIN, or its name NAME.zone].
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
    /// Passing a gate.
    #[command(flatten)]
    pub(crate) force: Force,
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// The file to make; the control plane writes it, in a directory that it may write to.
    pub(crate) file: PathBuf,
}

/// Where the control plane keeps its things, for commands that run while it does not.
#[derive(Debug, Args)]
pub(crate) struct Rest {
    /// Directory of the database [default: `state` in --dir].
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// Where it goes.
    #[command(flatten)]
    pub(crate) rest: Rest,
    /// The backup.
    pub(crate) file: PathBuf,
    /// Take the backup for the truth even though more was published since: as `recover` afterwards.
    #[arg(long)]
    pub(crate) accept: bool,
}

/// Arguments of `recover`: take the database for the truth although it lacks changes that were published.
///
/// All its domains are published again, with serials ahead of those in service; domains that it does not have, but the
/// one before it had, are no longer served.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Take the content of all domains from the snapshot in service, which has every change that was acknowledged; domains
    /// that the database lacks are made for the operator's account. Accounts and tokens stay as the database has them.
    #[arg(long)]
    pub(crate) from_snapshot: bool,
    /// Where it is.
    #[command(flatten)]
    pub(crate) rest: Rest,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Which control plane.
    #[command(flatten)]
    pub(crate) reach: Reach,
}
