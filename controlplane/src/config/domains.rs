//! What new domains are made of: name servers, SOA, suffixes that tenants share, and how tenants prove theirs.
//!
//! Invariant: every name here is a domain name; those of servers are absolute, those of suffixes have no dot at the end.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use ipnet::IpNet;
use serde::Deserialize;
use snapshot::dns::name::Name;

use super::{ConfigError, Keys};
use crate::ask::Servers;

/// The name servers of new domains when nothing is said: names that cannot be delegated to, so that nobody's are used.
const NAMESERVERS_DEFAULT: [&str; 2] = ["ns1.petrel.test.", "ns2.petrel.test."];
/// The least TTL in seconds when nothing is said.
const MINIMUM_TTL_DEFAULT: u32 = 3600;
/// The longest TTL that RRsets of the API can have, in seconds: with a longer minimum none could be written.
pub(super) const MINIMUM_TTL_MAX: u32 = 86_400;

/// Where name servers answer.
pub(super) const DNS_PORT: u16 = 53;

/// The arguments.
#[derive(Debug, Clone, Default, Args)]
pub struct DomainArgs {
    /// Name server of new domains (repeatable) [default: ns1.petrel.test. and ns2.petrel.test.].
    #[arg(long = "nameserver", value_name = "NAME")]
    pub nameservers: Vec<String>,
    /// RNAME of the SOA records of new domains [default: hostmaster at the first name server's parent].
    #[arg(long, value_name = "NAME")]
    pub hostmaster: Option<String>,
    /// Zone below which tenants may register (repeatable).
    #[arg(long = "local-suffix", value_name = "NAME")]
    pub local_suffixes: Vec<String>,
    /// The least TTL in new domains [default: 3600].
    #[arg(long, value_name = "SECONDS")]
    pub minimum_ttl: Option<u32>,
    /// Sign new domains, with this proof of what they lack [default: nsec].
    #[arg(long, value_name = "HOW", value_enum)]
    pub dnssec: Option<Dnssec>,
    /// Publish domains of these accounts only after it is proved that they are theirs [default: off].
    #[arg(long = "verify", value_name = "WHOSE", value_enum)]
    pub verify: Option<Whose>,
    /// Zone, served by us with a wildcard for our addresses, below which name servers are made up that prove a domain.
    #[arg(long, value_name = "NAME")]
    pub verify_under: Option<String>,
    /// Resolver to look for proofs with.
    #[arg(long, value_name = "ADDR:PORT")]
    pub resolver: Option<SocketAddr>,
}

/// Whose new domains must be proved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// Nobody's: a domain is served as soon as it is made.
    #[default]
    Off,
    /// Those of tenants.
    Hosting,
}

/// Whether and how new domains are signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dnssec {
    /// Not at all.
    Off,
    /// With NSEC: answers about what does not exist are the cheapest to make, to send and to verify.
    #[default]
    Nsec,
    /// With NSEC3.
    Nsec3,
}

/// How domains are proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Whose.
    pub whose: Whose,
    /// Absolute name below which name servers are made up.
    pub under: Option<String>,
    /// Whom to ask; without one only the operator's word publishes.
    pub resolver: Option<SocketAddr>,
    /// The port of name servers of the world.
    pub authority_port: u16,
    /// Networks in which they are asked although these are not public.
    pub allowed: Vec<IpNet>,
}

impl Default for Verification {
    fn default() -> Verification {
        Verification { whose: Whose::Off, under: None, resolver: None, authority_port: DNS_PORT, allowed: Vec::new() }
    }
}

impl Verification {
    /// Whom to ask, if anybody.
    #[must_use]
    pub fn servers(&self) -> Option<Servers> {
        let allowed = self.allowed.clone();
        self.resolver.map(|resolver| Servers { resolver, authority_port: self.authority_port, allowed })
    }
}

/// The table `[domains]` of the file.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileDomains {
    /// As `--nameserver`, all of them.
    #[serde(default)]
    nameservers: Vec<String>,
    /// As `--hostmaster`.
    hostmaster: Option<String>,
    /// As `--local-suffix`, all of them.
    #[serde(default)]
    local_suffixes: Vec<String>,
    /// As `--minimum-ttl`.
    minimum_ttl: Option<u32>,
    /// As `--dnssec`.
    dnssec: Option<Dnssec>,
    /// As `--verify`.
    verify: Option<Whose>,
    /// As `--verify-under`.
    verify_under: Option<String>,
    /// As `--resolver`.
    resolver: Option<SocketAddr>,
}

/// What new domains are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domains {
    /// Absolute names.
    pub nameservers: Vec<String>,
    /// Absolute name.
    pub hostmaster: String,
    /// Names without a dot at the end.
    pub local_suffixes: Vec<String>,
    /// In seconds.
    pub minimum_ttl_secs: u32,
    /// Whether and how they are signed.
    pub dnssec: Dnssec,
    /// How those of tenants are proved to be theirs.
    pub verification: Verification,
    /// How keys are rolled.
    pub keys: Keys,
}

impl Domains {
    /// Merges arguments and file.
    pub(super) fn from(args: DomainArgs, file: FileDomains, keys: Keys) -> Result<Domains, ConfigError> {
        let first = |args: Vec<String>, file: Vec<String>| if args.is_empty() { file } else { args };
        let mut nameservers = first(args.nameservers, file.nameservers);
        if nameservers.is_empty() {
            nameservers = NAMESERVERS_DEFAULT.map(str::to_owned).to_vec();
        }
        let nameservers = nameservers.iter().map(|name| absolute(name)).collect::<Result<Vec<_>, _>>()?;
        let parent = nameservers.first().and_then(|name| name.split_once('.')).map_or("", |(_, parent)| parent);
        let hostmaster = args.hostmaster.or(file.hostmaster).unwrap_or_else(|| format!("hostmaster.{parent}"));
        let suffixes = first(args.local_suffixes, file.local_suffixes);
        let local = |name: &String| absolute(name).map(|name| name.trim_end_matches('.').to_owned());
        let under = args.verify_under.or(file.verify_under);
        let verification = Verification {
            whose: args.verify.or(file.verify).unwrap_or_default(),
            under: under.as_deref().map(absolute).transpose()?,
            resolver: args.resolver.or(file.resolver),
            allowed: keys.parent_allow.clone(),
            ..Verification::default()
        };
        Ok(Domains {
            verification,
            keys,
            dnssec: args.dnssec.or(file.dnssec).unwrap_or_default(),
            hostmaster: absolute(&hostmaster)?,
            local_suffixes: suffixes.iter().map(local).collect::<Result<Vec<_>, _>>()?,
            minimum_ttl_secs: match args.minimum_ttl.or(file.minimum_ttl).unwrap_or(MINIMUM_TTL_DEFAULT) {
                over if over > MINIMUM_TTL_MAX => return Err(ConfigError::MinimumTtl(over)),
                secs => secs,
            },
            nameservers,
        })
    }
}

/// A name in lower case with a dot at its end.
fn absolute(text: &str) -> Result<String, ConfigError> {
    let name = format!("{}.", text.trim_end_matches('.')).to_ascii_lowercase();
    match Name::parse(name.as_bytes(), None) {
        Ok(_) if !text.is_empty() => Ok(name),
        _ => Err(ConfigError::Name(text.to_owned())),
    }
}
