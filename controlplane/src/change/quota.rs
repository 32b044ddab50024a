//! What an account may have, judged and counted in the transaction of the change.
//!
//! O(change): the counters of the account's row are read and written once, nothing is counted over rows. Invariant: what
//! only takes away is never refused, neither for size nor for rate, so an account above a limit that was lowered can come
//! back below it. What the operator does for an account keeps to its sizes and counts against none of its rates.

use super::{Actor, Refusal};
use crate::store::Txn;
use crate::store::accounts::Account;
use crate::store::usage::{DAY_US, Delta, HOUR_US, History, Usage, Writes};

/// Whether a change is the doing of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is: quotas bind it, and it counts as a write, unless the operator does it.
    Own,
    /// It follows from what others do, or the operator brings back what was there: it is counted and never refused.
    Others,
}

/// What a change costs.
pub(super) struct Cost<'c> {
    /// By how much there is more.
    pub(super) delta: &'c Delta,
    /// Bytes that its change-set takes.
    pub(super) history_len: usize,
    /// Whether it does something else than to take away.
    pub(super) adds: bool,
}

/// Judges and counts a change that is published.
///
/// # Errors
/// [`Refusal::Limit`] if it adds to what is more than the account may have then, [`Refusal::Throttled`] if the account has
/// written too often, [`Refusal::Remembered`] if it has written too much.
pub(super) fn charge(txn: &Txn<'_>, actor: &Actor, cost: &Cost<'_>, cause: Cause) -> Result<(), Refusal> {
    let account = txn.account(actor.account)?.ok_or(Refusal::NoDomain)?;
    let after = account.usage.plus(cost.delta);
    let mut writes = account.writes.at(actor.now_us);
    let mut history = account.history.at(actor.now_us);
    if cause == Cause::Own {
        sizes(&account, cost.delta, &after)?;
    }
    // What the operator does for an account is not what the account wrote.
    if cause == Cause::Own && actor.token.is_some() {
        if cost.adds {
            rate(&account, writes, actor.now_us)?;
            remembered(&account, history, actor.now_us)?;
        }
        writes.count = writes.count.saturating_add(1);
        history.bytes = history.bytes.saturating_add(cost.history_len as u64);
    }
    Ok(txn.set_usage(account.id, &after, writes, history)?)
}

/// Makes sure that there is room for another domain, before anything is told of its name.
///
/// # Errors
/// [`Refusal::Limit`].
pub(super) fn domain(account: &Account) -> Result<(), Refusal> {
    if exceeds(account.quotas.domains, 1, account.usage.domains + 1) {
        // Clients know this sentence.
        let text = "Domain limit exceeded. Please contact support to create additional domains.";
        return Err(Refusal::Limit(text.to_owned()));
    }
    Ok(())
}

/// Compares what there would be with what may be.
fn sizes(account: &Account, delta: &Delta, after: &Usage) -> Result<(), Refusal> {
    let (quotas, used) = (&account.quotas, &account.usage);
    for (limit, added, used, after, name, unit) in [
        (quotas.rrsets, delta.rrsets, used.rrsets, after.rrsets, "RRset", "RRsets"),
        (quotas.records, delta.records, used.records, after.records, "Record", "records"),
        (quotas.bytes, delta.bytes, used.bytes, after.bytes, "RDATA", "bytes of RDATA and comments"),
    ] {
        if let Some(max) = limit.filter(|_| exceeds(limit, added, after)) {
            return Err(Refusal::Limit(format!(
                "{name} limit exceeded: the account has {used} of {max} {unit}, and this adds {added}. Please contact \
                 support to have more."
            )));
        }
    }
    Ok(())
}

/// Whether something grows beyond its limit.
fn exceeds(limit: Option<u32>, added: i64, after: u64) -> bool {
    added > 0 && limit.is_some_and(|max| after > u64::from(max))
}

/// Compares how often the account has written with how often it may.
fn rate(account: &Account, writes: Writes, now_us: i64) -> Result<(), Refusal> {
    let Some(max) = account.quotas.writes_per_hour.filter(|max| writes.count >= *max) else { return Ok(()) };
    Err(Refusal::Throttled {
        used: writes.count,
        max,
        secs: secs_until(writes.since_us.saturating_add(HOUR_US), now_us),
    })
}

/// Compares how much is remembered of what the account wrote with how much may be. Only what was written before counts: a
/// change that is larger than the limit would be possible at no time otherwise, and what a request can hold bounds it.
fn remembered(account: &Account, history: History, now_us: i64) -> Result<(), Refusal> {
    let spent = |max: &u32| history.bytes >= u64::from(*max);
    let Some(max) = account.quotas.history_per_day.filter(spent) else { return Ok(()) };
    let secs = secs_until(history.since_us.saturating_add(DAY_US), now_us);
    Err(Refusal::Remembered { used: history.bytes, max, secs })
}

/// Seconds until a time in microseconds since 1970, at least one.
fn secs_until(end_us: i64, now_us: i64) -> u64 {
    u64::try_from(end_us.saturating_sub(now_us)).unwrap_or(0).div_ceil(1_000_000).max(1)
}
