//! Looks into the world that are under way: how many there may be, of one account and of all.
//!
//! Whom they ask is said by records of whoever has the domain, and each holds a thread until it is over. Invariant: a look
//! counts until its thread is free, however it ended and whether or not anybody still waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ask::TIME_MAX;
use crate::http::reply::Refusal;
use crate::store::AccountId;
use crate::store::accounts::Class;

/// Microseconds of the minute in which looks are counted.
const MINUTE_US: i64 = 60_000_000;

/// How many looks there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Under way at once: each may hold a thread for seconds.
    pub(super) all: usize,
    /// Under way at once of one account.
    pub(super) each: usize,
    /// Begun in a minute of one account that is a tenant's.
    pub(super) each_minute: u32,
}

/// What is under way.
#[derive(Debug, Default)]
struct UnderWay {
    /// Of all.
    all: usize,
    /// By account, of those that have any.
    each: HashMap<AccountId, usize>,
    /// The minute in which is counted, since 1970.
    minute: i64,
    /// Those begun in that minute, by account.
    begun: HashMap<AccountId, u32>,
}

/// Looks of one kind.
#[derive(Debug)]
pub(super) struct Looks {
    /// How many there may be.
    bounds: Bounds,
    /// How many there are.
    under_way: Arc<Mutex<UnderWay>>,
}

/// A look that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Look {
    /// All that are.
    under_way: Arc<Mutex<UnderWay>>,
    /// Whose it is.
    account: AccountId,
}

/// Why no look begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// The account has its share; there is room after so many seconds.
    Account(u64),
    /// All have.
    All,
}

impl From<Busy> for Refusal {
    fn from(busy: Busy) -> Refusal {
        match busy {
            Busy::Account(secs) => Refusal::throttled(secs),
            Busy::All => Refusal::detail(503, "Too many domains are looked up at the moment; try again."),
        }
    }
}

impl Looks {
    /// None yet.
    pub(super) fn new(bounds: Bounds) -> Looks {
        Looks { bounds, under_way: Arc::default() }
    }

    /// Takes a place for a look of an account of this class, if there is one.
    pub(super) fn begin(&self, account: AccountId, class: Class, now_us: i64) -> Result<Look, Busy> {
        let Bounds { all, each, each_minute } = self.bounds;
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now_us.div_euclid(MINUTE_US);
        if under_way.minute != minute {
            under_way.minute = minute;
            under_way.begun.clear();
        }
        if under_way.each.get(&account).is_some_and(|count| *count >= each) {
            return Err(Busy::Account(TIME_MAX.as_secs()));
        }
        let begun = under_way.begun.get(&account).copied().unwrap_or(0);
        if class == Class::Hosting && begun >= each_minute {
            let left_us = MINUTE_US - now_us.rem_euclid(MINUTE_US);
            return Err(Busy::Account(left_us.unsigned_abs().div_ceil(1_000_000)));
        }
        if under_way.all >= all {
            return Err(Busy::All);
        }
        under_way.all += 1;
        *under_way.each.entry(account).or_default() += 1;
        under_way.begun.insert(account, begun.saturating_add(1));
        Ok(Look { under_way: Arc::clone(&self.under_way), account })
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.all = under_way.all.saturating_sub(1);
        if let Some(count) = under_way.each.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                under_way.each.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks of which eight may be under way, this many of one account, and of a tenant five in a minute.
    fn looks(each: usize) -> Looks {
        Looks::new(Bounds { all: 8, each, each_minute: 5 })
    }

    /// Why a look of a tenant is refused at a time in seconds; `None` if it is not, and it is over at once.
    fn refused(looks: &Looks, account: i64, secs: i64) -> Option<Busy> {
        looks.begin(AccountId(account), Class::Hosting, secs * 1_000_000).err()
    }

    #[test]
    fn each_account_has_one_look_under_way_and_all_have_eight() {
        let looks = looks(1);
        let begin = |account| looks.begin(AccountId(account), Class::Hosting, 0).unwrap();
        let mut begun: Vec<Look> = (0..7).map(begin).collect();
        assert_eq!((refused(&looks, 3, 0), refused(&looks, 7, 0)), (Some(Busy::Account(5)), None), "that is over");
        begun.push(begin(7));
        assert_eq!((refused(&looks, 3, 0), refused(&looks, 8, 0)), (Some(Busy::Account(5)), Some(Busy::All)));
        begun.remove(3);
        assert_eq!((refused(&looks, 3, 0), refused(&looks, 2, 0)), (None, Some(Busy::Account(5))));
    }

    #[test]
    fn a_tenant_has_so_many_looks_in_a_minute_and_the_operator_as_many_as_there_is_time_for() {
        let looks = looks(2);
        assert!((0..5).all(|_| refused(&looks, 1, 130).is_none()));
        assert_eq!(refused(&looks, 1, 130), Some(Busy::Account(50)));
        assert_eq!((refused(&looks, 2, 130), refused(&looks, 1, 180)), (None, None), "another account, another minute");
        assert!((0..50).all(|_| looks.begin(AccountId(1), Class::Operator, 190_000_000).is_ok()));
    }
}
