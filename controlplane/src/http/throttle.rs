//! Throttles: how often an identity may do what.
//!
//! A sliding log: for each scope, bucket and identity the times of what was let through; a window has room if fewer than its
//! count lie in it. It takes the time from its caller and keeps nothing on disk, but its state can be carried over a restart.
//! Invariants: what is refused is not logged, several scopes are admitted together or not at all, and memory is bounded by
//! [`KEY_COUNT_MAX`] and [`TIME_COUNT_MAX`] whatever strangers do (RFC 6585 section 4).

use std::collections::{HashMap, VecDeque};

/// The most (scope, bucket, identity) that are remembered.
const KEY_COUNT_MAX: usize = 1 << 16;
/// The most times that are remembered: 16 MB.
const TIME_COUNT_MAX: usize = 1 << 21;
/// Microseconds in a second.
const SECOND_US: u64 = 1_000_000;

/// What a request counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// What sends mail or makes accounts.
    AccountManagementActive,
    /// Other work on accounts and tokens.
    AccountManagementPassive,
    /// Reading domains and RRsets.
    DnsApiCheap,
    /// Making and deleting domains.
    DnsApiExpensive,
    /// Writing into one domain, and its export; counted for each domain.
    DnsApiPerDomainExpensive,
    /// Dynamic updates; counted for each domain, by the handler, because the query names the domain.
    DynDns,
    /// Asking for one's own address, by address.
    CheckIp,
    /// Everything, by account and day.
    User,
    /// Credentials that were wrong, by address.
    WrongCredentials,
}

/// Scopes by the names under which they are stored.
const SCOPE_NAMES: &[(Scope, &str)] = &[
    (Scope::AccountManagementActive, "account_management_active"),
    (Scope::AccountManagementPassive, "account_management_passive"),
    (Scope::DnsApiCheap, "dns_api_cheap"),
    (Scope::DnsApiExpensive, "dns_api_expensive"),
    (Scope::DnsApiPerDomainExpensive, "dns_api_per_domain_expensive"),
    (Scope::DynDns, "dyndns"),
    (Scope::CheckIp, "checkip"),
    (Scope::User, "user"),
    (Scope::WrongCredentials, "wrong_credentials"),
];

impl Scope {
    /// Whether it is counted for each bucket and not only for each identity.
    #[must_use]
    pub const fn has_bucket(self) -> bool {
        matches!(self, Scope::DnsApiPerDomainExpensive | Scope::DynDns)
    }

    /// The name under which it is stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        SCOPE_NAMES.iter().find(|(scope, _)| *scope == self).map_or("", |(_, name)| name)
    }

    /// The scope of a stored name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Scope> {
        SCOPE_NAMES.iter().find(|(_, known)| *known == name).map(|(scope, _)| *scope)
    }
}

/// Which table of rates holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Accounts of strangers: all rates.
    Hosting,
    /// The operator's own accounts: none.
    Operator,
}

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Tells it from all others.
    pub name: String,
    /// Which rates hold for it.
    pub class: Class,
    /// Its own count for [`Scope::User`], instead of that of the table.
    pub per_day: Option<u32>,
}

/// So many in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many requests.
    pub count: u32,
    /// In how many seconds.
    pub secs: u32,
}

/// A rate, written short.
const fn rate(count: u32, secs: u32) -> Rate {
    Rate { count, secs }
}

/// Seconds in a minute.
const MINUTE: u32 = 60;
/// Seconds in an hour.
const HOUR: u32 = 3600;
/// Seconds in a day.
const DAY: u32 = 86_400;

/// The rates of each scope. All rates of a scope must have room.
#[derive(Debug, Clone, Copy)]
pub struct Rates(pub &'static [(Scope, &'static [Rate])]);

/// The rates for strangers. Wrong credentials are few on purpose of nobody, but many of one address are a search; tokens are too long to be
/// found, so this bounds work and noise, and is far above what a broken client or a test sends.
pub const HOSTING: Rates = Rates(&[
    (Scope::AccountManagementActive, &[rate(3, MINUTE)]),
    (Scope::AccountManagementPassive, &[rate(50, MINUTE), rate(600, HOUR)]),
    (Scope::DnsApiCheap, &[rate(10, 1), rate(50, MINUTE)]),
    (Scope::DnsApiExpensive, &[rate(10, 1), rate(300, MINUTE), rate(1000, HOUR)]),
    (Scope::DnsApiPerDomainExpensive, &[rate(2, 1), rate(15, MINUTE), rate(100, HOUR), rate(300, DAY)]),
    (Scope::DynDns, &[rate(2, 2 * MINUTE)]),
    (Scope::CheckIp, &[rate(3, MINUTE)]),
    (Scope::User, &[rate(2000, DAY)]),
    (Scope::WrongCredentials, &[rate(300, MINUTE), rate(3000, HOUR)]),
]);

impl Rates {
    /// The rates of one scope for one identity.
    fn of(&self, scope: Scope, identity: &Identity) -> Vec<Rate> {
        if identity.class == Class::Operator && scope != Scope::WrongCredentials {
            return Vec::new();
        }
        let row = self.0.iter().find(|(known, _)| *known == scope);
        let mut rates = row.map_or_else(Vec::new, |(_, rates)| rates.to_vec());
        if let (Scope::User, Some(count)) = (scope, identity.per_day) {
            rates = vec![rate(count, DAY)];
        }
        rates
    }

    /// The longest window of a scope in microseconds.
    fn longest_us(&self, scope: Scope) -> u64 {
        let rates = self.0.iter().filter(|(known, _)| *known == scope).flat_map(|(_, rates)| rates.iter());
        rates.map(|rate| u64::from(rate.secs) * SECOND_US).max().unwrap_or(0)
    }
}

/// There is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// After how many whole seconds there is; at least 1.
    pub wait_secs: u64,
}

/// One thing that was let through, as it is stored over a restart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// What it counted as.
    pub scope: Scope,
    /// The bucket; empty where the scope has none.
    pub bucket: String,
    /// [`Identity::name`].
    pub identity: String,
    /// When, in microseconds since 1970.
    pub at_us: u64,
}

/// What is counted together.
type Key = (Scope, Box<str>, Box<str>);

/// The times of what was let through.
#[derive(Debug, Default)]
pub struct Log {
    /// Times in ascending order, in microseconds; none of them is empty.
    times: HashMap<Key, VecDeque<u64>>,
    /// How many times there are in all.
    time_count: usize,
}

impl Log {
    /// Lets a request through that counts in all these scopes and buckets, and logs it in each; or in none.
    ///
    /// O(scopes) beside the clearing of what is over, which every time pays for once.
    ///
    /// # Errors
    /// [`Full`] with the longest of the waits if a window of any scope has no room.
    pub fn admit(
        &mut self,
        rates: &Rates,
        identity: &Identity,
        asked: &[(Scope, &str)],
        now_us: u64,
    ) -> Result<(), Full> {
        let mut wait_us = None;
        let mut logged = Vec::with_capacity(asked.len());
        for &(scope, bucket) in asked {
            let of_scope = rates.of(scope, identity);
            if of_scope.is_empty() {
                continue;
            }
            let bucket = if scope.has_bucket() { bucket } else { "" };
            let key: Key = (scope, bucket.into(), identity.name.as_str().into());
            wait_us = wait_us.max(self.wait_us(&key, &of_scope, now_us));
            logged.push((key, of_scope));
        }
        if let Some(wait_us) = wait_us {
            return Err(Full { wait_secs: wait_us.div_ceil(SECOND_US).max(1) });
        }
        for (key, of_scope) in logged {
            let kept_us = of_scope.iter().map(|rate| u64::from(rate.secs) * SECOND_US).max().unwrap_or(0);
            self.push(key, now_us, kept_us);
        }
        self.bound(rates, now_us);
        Ok(())
    }

    /// How long until all these rates have room; `None` if they have.
    fn wait_us(&self, key: &Key, rates: &[Rate], now_us: u64) -> Option<u64> {
        let times = self.times.get(key);
        let waits = rates.iter().filter_map(|rate| {
            let window_us = u64::from(rate.secs) * SECOND_US;
            if rate.count == 0 {
                return Some(window_us);
            }
            let times = times?;
            let first = times.get(times.len().checked_sub(rate.count as usize)?)?;
            // A clock that was set back makes nobody wait longer than a window.
            let wait_us = (first + window_us).saturating_sub(now_us).min(window_us);
            (wait_us > 0).then_some(wait_us)
        });
        waits.max()
    }

    /// Logs one, and forgets what lies before its longest window.
    fn push(&mut self, key: Key, now_us: u64, kept_us: u64) {
        let times = self.times.entry(key).or_default();
        while times.front().is_some_and(|first| first + kept_us <= now_us) {
            times.pop_front();
            self.time_count -= 1;
        }
        // Order is kept even if the clock was set back.
        times.push_back(times.back().map_or(now_us, |last| now_us.max(*last)));
        self.time_count += 1;
    }

    /// Keeps within the bounds: first goes what is over, then those who did nothing for longest. Halving makes the sweep rare.
    fn bound(&mut self, rates: &Rates, now_us: u64) {
        if self.times.len() <= KEY_COUNT_MAX && self.time_count <= TIME_COUNT_MAX {
            return;
        }
        let over =
            |key: &Key, times: &VecDeque<u64>| times.back().is_none_or(|last| last + rates.longest_us(key.0) <= now_us);
        self.times.retain(|key, times| !over(key, times));
        if self.times.len() > KEY_COUNT_MAX / 2 || self.count_times() > TIME_COUNT_MAX / 2 {
            let mut last: Vec<u64> = self.times.values().filter_map(|times| times.back().copied()).collect();
            last.sort_unstable();
            let middle = last.get(last.len() / 2).copied().unwrap_or(0);
            let mut spared = last.len() / 2;
            self.times.retain(|_, times| {
                let newer = times.back().is_some_and(|last| *last >= middle) && spared > 0;
                spared -= usize::from(newer);
                newer
            });
        }
        self.time_count = self.count_times();
    }

    /// How many times there are in all.
    fn count_times(&self) -> usize {
        self.times.values().map(VecDeque::len).sum()
    }

    /// Everything that still counts, in order, to be stored.
    #[must_use]
    pub fn export(&self, rates: &Rates, now_us: u64) -> Vec<Entry> {
        let mut entries = Vec::new();
        for ((scope, bucket, identity), times) in &self.times {
            let kept = times.iter().filter(|at_us| **at_us + rates.longest_us(*scope) > now_us);
            entries.extend(kept.map(|&at_us| Entry {
                scope: *scope,
                bucket: bucket.to_string(),
                identity: identity.to_string(),
                at_us,
            }));
        }
        entries.sort();
        entries
    }

    /// The log that these entries make, in any order. What is over is left out; what lies in the future counts as of now.
    #[must_use]
    pub fn import(rates: &Rates, mut entries: Vec<Entry>, now_us: u64) -> Log {
        let mut log = Log::default();
        entries.sort_by_key(|entry| entry.at_us);
        for Entry { scope, bucket, identity, at_us } in entries {
            let kept_us = rates.longest_us(scope);
            let at_us = at_us.min(now_us);
            if at_us + kept_us > now_us {
                log.push((scope, bucket.into(), identity.into()), at_us, kept_us);
            }
        }
        log.bound(rates, now_us);
        log
    }
}

#[cfg(test)]
mod tests;
