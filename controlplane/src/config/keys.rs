//! How DNSSEC keys are rolled: when by themselves, how long caches are waited for, who is asked about the parent.
//!
//! Invariant: every wait has a value, and those that nobody set are on the safe side.

use std::net::SocketAddr;

use clap::Args;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::domains::DNS_PORT;
use crate::ask::Servers;

/// TTL of DNSKEY if nothing is said.
const KEYS_TTL_SECS: u32 = 3600;
/// Until secondaries, ours and those of the parent, have what is new, if nothing is said.
const PROPAGATION_SECS: u32 = 3600;
/// The TTL of DS where it was not seen: that of the slowest registries.
const PARENT_DS_TTL_SECS: u32 = 86_400;
/// Time between two looks at a parent that has something to do.
const PARENT_POLL_SECS: u32 = 300;
/// For how long a ZSK is used.
const ZSK_LIFETIME_DAYS: u32 = 90;
/// Seconds of a day.
const DAY_SECS: u32 = 86_400;

/// The arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyArgs {
    /// TTL of DNSKEY, CDS and CDNSKEY records; rollovers that begin within the old TTL after it was lowered are not safe
    /// [default: 3600].
    #[arg(long, value_name = "SECONDS")]
    pub keys_ttl: Option<u32>,
    /// How long it takes until secondaries serve what was published [default: 3600].
    #[arg(long, value_name = "SECONDS")]
    pub propagation: Option<u32>,
    /// TTL of DS records at the parent, where it is not seen [default: 86400].
    #[arg(long, value_name = "SECONDS")]
    pub parent_ds_ttl: Option<u32>,
    /// Resolver with which the servers of parents are found, to see which DS they have [default: the operator says it].
    #[arg(long, value_name = "ADDR:PORT")]
    pub parent_resolver: Option<SocketAddr>,
    /// Network in which servers of parents are asked although its addresses are private or for other special purposes
    /// (repeatable) [default: only public addresses are asked, for DS and for proofs of domains].
    #[arg(long, value_name = "PREFIX")]
    #[serde(default, deserialize_with = "networks")]
    pub parent_allow: Vec<IpNet>,
    /// Time between two looks at a parent that is to take another DS [default: 300].
    #[arg(long, value_name = "SECONDS")]
    pub parent_poll: Option<u32>,
    /// After how many days ZSKs are rolled by themselves; 0 never [default: 90].
    #[arg(long, value_name = "DAYS")]
    pub zsk_lifetime: Option<u32>,
    /// After how many days KSKs and CSKs are rolled by themselves; 0 never [default: 0].
    #[arg(long, value_name = "DAYS")]
    pub ksk_lifetime: Option<u32>,
}

/// The table `[keys]` of the file, with the arguments' names.
pub(super) type FileKeys = KeyArgs;

/// Networks of the file.
fn networks<'de, D: Deserializer<'de>>(file: D) -> Result<Vec<IpNet>, D::Error> {
    let network =
        |text: &String| text.parse().map_err(|_| D::Error::custom(format!("{text} is no network such as 10.0.0.0/8")));
    Vec::<String>::deserialize(file)?.iter().map(network).collect()
}

/// How keys are rolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// TTL of DNSKEY and what goes with it.
    pub ttl_secs: u32,
    /// Until all secondaries have what is new.
    pub propagation_secs: u32,
    /// TTL of DS where it was not seen.
    pub ds_ttl_secs: u32,
    /// Whom to ask about parents, if anybody.
    pub parent: Option<Servers>,
    /// Networks in which servers of parents are asked although they are not public.
    pub parent_allow: Vec<IpNet>,
    /// Time between two looks at a parent.
    pub poll_secs: u32,
    /// For how long a ZSK is used; 0 for ever.
    pub zsk_secs: u32,
    /// The same for a KSK or CSK.
    pub ksk_secs: u32,
}

impl Default for Keys {
    fn default() -> Keys {
        Keys::from(&KeyArgs::default(), &FileKeys::default())
    }
}

impl Keys {
    /// Merges arguments and file.
    pub(super) fn from(args: &KeyArgs, file: &FileKeys) -> Keys {
        let resolver = args.parent_resolver.or(file.parent_resolver);
        let allowed = if args.parent_allow.is_empty() { &file.parent_allow } else { &args.parent_allow };
        let servers = |resolver| Servers { resolver, authority_port: DNS_PORT, allowed: allowed.clone() };
        let days = |days: u32| days.saturating_mul(DAY_SECS);
        Keys {
            ttl_secs: args.keys_ttl.or(file.keys_ttl).unwrap_or(KEYS_TTL_SECS),
            propagation_secs: args.propagation.or(file.propagation).unwrap_or(PROPAGATION_SECS),
            ds_ttl_secs: args.parent_ds_ttl.or(file.parent_ds_ttl).unwrap_or(PARENT_DS_TTL_SECS),
            parent: resolver.map(servers),
            parent_allow: allowed.clone(),
            poll_secs: args.parent_poll.or(file.parent_poll).unwrap_or(PARENT_POLL_SECS).max(1),
            zsk_secs: days(args.zsk_lifetime.or(file.zsk_lifetime).unwrap_or(ZSK_LIFETIME_DAYS)),
            ksk_secs: days(args.ksk_lifetime.or(file.ksk_lifetime).unwrap_or(0)),
        }
    }
}
