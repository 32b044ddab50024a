//! What new domains are made of: name servers, SOA, suffixes that tenants share.
//!
//! Invariant: every name here is a domain name; those of servers are absolute, those of suffixes have no dot at the end.

use clap::Args;
use serde::Deserialize;
use snapshot::dns::name::Name;

use super::ConfigError;

/// The name servers of new domains when nothing is said: names that cannot be delegated to, so that nobody's are used.
const NAMESERVERS_DEFAULT: [&str; 2] = ["ns1.petrel.test.", "ns2.petrel.test."];
/// The least TTL in seconds when nothing is said.
const MINIMUM_TTL_DEFAULT: u32 = 3600;

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
}

impl Domains {
    /// Merges arguments and file.
    pub(super) fn from(args: DomainArgs, file: FileDomains) -> Result<Domains, ConfigError> {
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
        Ok(Domains {
            hostmaster: absolute(&hostmaster)?,
            local_suffixes: suffixes.iter().map(local).collect::<Result<Vec<_>, _>>()?,
            minimum_ttl_secs: args.minimum_ttl.or(file.minimum_ttl).unwrap_or(MINIMUM_TTL_DEFAULT),
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
