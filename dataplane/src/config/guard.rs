//! The table `[guard]`: limits, access lists and shares, as written, and what comes of them.
//!
//! It limits nothing itself. Without a word about it, responses are limited and zones get shares; addresses that no
//! route of the Internet leads to are exempt, because nobody can be flooded there from outside.

use std::sync::Arc;

use serde::Deserialize;

use super::{Args, ConfigError, range};
use crate::answer::Secret;
use crate::guard::{Fairness, Limit, Over, Responses, Rules, Settings};
use crate::prefix::Prefix;

/// Prefixes in all lists together, a bound for the memory of a mistake.
const PREFIX_COUNT_MAX: usize = 100_000;
/// The highest rate and the largest burst: what a worker cannot reach.
const PER_SEC_MAX: u64 = 10_000_000;
/// Loopback, private, link-local and benchmarking addresses (RFC 6890): the Internet has no route to them.
const EXEMPT: [&str; 10] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "198.18.0.0/15",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
    "2001:2::/48",
];

/// The table as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Guard {
    /// Replies a second of one kind about one zone to a prefix; 0 for no limit on responses.
    rate: Option<u32>,
    /// How many of them at once.
    burst: Option<u32>,
    /// All replies a second to a prefix.
    rate_all: Option<u32>,
    /// One in so many replies over the limit is sent empty with TC; 0 for none.
    slip: Option<u32>,
    /// Bits that make a prefix of IPv4.
    ipv4_prefix: Option<u8>,
    /// Bits that make a prefix of IPv6.
    ipv6_prefix: Option<u8>,
    /// Who is not limited.
    exempt: Option<Vec<String>>,
    /// Queries a second of one client; 0 for no limit.
    client_rate: Option<u32>,
    /// How many of them at once.
    client_burst: Option<u32>,
    /// What becomes of more.
    client_over: Option<ClientOver>,
    /// Who may ask.
    allow: Option<Vec<String>>,
    /// Who may not.
    deny: Option<Vec<String>>,
    /// What becomes of those.
    denied: Option<Denied>,
    /// Whether zones get shares under overload.
    fair: Option<bool>,
    /// KiB for the buckets of a worker.
    table_kib: Option<usize>,
}

/// The words for what becomes of a query over the rate of its client.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClientOver {
    /// [`Over::Drop`].
    Drop,
    /// [`Over::Truncate`].
    Truncate,
    /// [`Over::Refuse`].
    Refuse,
}

/// The words for what becomes of those who may not ask.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Denied {
    /// [`Over::Drop`].
    Drop,
    /// [`Over::Refuse`].
    Refuse,
}

impl Guard {
    /// Checks everything; the command line wins.
    ///
    /// # Errors
    /// [`ConfigError`] for numbers out of range and texts that are no prefixes.
    pub(super) fn settings(&self, args: &Args, udp_len: u16, secret: Secret) -> Result<Settings, ConfigError> {
        let table_kib = self.table_kib.unwrap_or(1024);
        range("guard.table_kib", 64, 1 << 20, table_kib as u64)?;
        if !table_kib.is_power_of_two() {
            return Err(ConfigError::PowerOfTwo { name: "guard.table_kib", value: table_kib });
        }
        let (halves, _) = secret.0.as_chunks::<8>();
        Ok(Settings {
            rules: Arc::new(self.rules(args)?),
            denied: match self.denied {
                None | Some(Denied::Drop) => Over::Drop,
                Some(Denied::Refuse) => Over::Refuse,
            },
            client: self.client(args)?,
            responses: self.responses(args)?,
            fairness: if self.fair == Some(false) { Fairness::Off } else { Fairness::Zones },
            table_len: table_kib * 1024,
            udp_len,
            seed: [0, 1].map(|at| halves.get(at).map_or(0, |half| u64::from_le_bytes(*half))),
        })
    }

    /// The limits on responses.
    fn responses(&self, args: &Args) -> Result<Option<Responses>, ConfigError> {
        let per_sec = args.rate.or(self.rate).unwrap_or(200);
        let slip = self.slip.unwrap_or(2);
        let (v4_len, v6_len) = (self.ipv4_prefix.unwrap_or(24), self.ipv6_prefix.unwrap_or(56));
        range("guard.slip", 0, 100, slip.into())?;
        range("guard.ipv4_prefix", 8, 32, v4_len.into())?;
        range("guard.ipv6_prefix", 16, 64, v6_len.into())?;
        let Some(kind) = limit(["guard.rate", "guard.burst"], per_sec, self.burst)? else { return Ok(None) };
        let per_sec_all = self.rate_all.unwrap_or(per_sec.saturating_mul(5));
        range("guard.rate_all", kind.per_sec.into(), u32::MAX.into(), per_sec_all.into())?;
        let all = Limit { per_sec: per_sec_all, burst: per_sec_all.max(kind.burst) };
        Ok(Some(Responses { kind, all, slip, v4_len, v6_len }))
    }

    /// The limit on the queries of a client.
    fn client(&self, args: &Args) -> Result<Option<(Limit, Over)>, ConfigError> {
        let per_sec = args.client_rate.or(self.client_rate).unwrap_or(0);
        let limit = limit(["guard.client_rate", "guard.client_burst"], per_sec, self.client_burst)?;
        let over = match self.client_over {
            Some(ClientOver::Drop) => Over::Drop,
            None | Some(ClientOver::Truncate) => Over::Truncate,
            Some(ClientOver::Refuse) => Over::Refuse,
        };
        Ok(limit.map(|limit| (limit, over)))
    }

    /// Who is denied and who exempt.
    fn rules(&self, args: &Args) -> Result<Rules, ConfigError> {
        let list = |given: &[String], written: &Option<Vec<String>>| {
            let texts = if given.is_empty() { written.as_deref().unwrap_or_default() } else { given };
            prefixes(texts.iter().map(String::as_str))
        };
        let allow = list(&args.allow, &self.allow)?;
        let deny = list(&args.deny, &self.deny)?;
        let exempt = match &self.exempt {
            Some(texts) => prefixes(texts.iter().map(String::as_str))?,
            None => prefixes(EXEMPT.into_iter())?,
        };
        range("prefixes of [guard]", 0, PREFIX_COUNT_MAX as u64, (allow.len() + deny.len() + exempt.len()) as u64)?;
        let mut denied = deny.clone();
        denied.sort_unstable();
        match allow.iter().find(|prefix| denied.binary_search(prefix).is_ok()) {
            Some(both) => Err(ConfigError::AllowedAndDenied(both.to_string())),
            None => Ok(Rules::new(&allow, &deny, &exempt)),
        }
    }
}

/// A rate with its burst, twice the rate if nothing is said; `None` for the rate 0.
fn limit(names: [&'static str; 2], per_sec: u32, burst: Option<u32>) -> Result<Option<Limit>, ConfigError> {
    let burst = burst.unwrap_or(per_sec.saturating_mul(2).max(1));
    range(names[0], 0, PER_SEC_MAX, per_sec.into())?;
    range(names[1], 1, 2 * PER_SEC_MAX, burst.into())?;
    Ok((per_sec > 0).then_some(Limit { per_sec, burst }))
}

/// Reads prefixes.
pub(super) fn prefixes<'t>(texts: impl Iterator<Item = &'t str>) -> Result<Vec<Prefix>, ConfigError> {
    texts.map(|text| text.parse().map_err(ConfigError::Prefix)).collect()
}
