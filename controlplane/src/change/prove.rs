//! A domain that was proved to be its account's is published from then on.

use super::commit::{Plan, living_token, record};
use super::domain::has_no_neighbours;
use super::{Actor, Refusal};
use crate::naming::{self, Suffixes};
use crate::store::accounts::{Account, Class};
use crate::store::domains::{Domain, Released};
use crate::store::{ChangeId, DomainId, Reader, Txn};

/// How a domain was found to be its account's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grounds {
    /// The world shows the token that was made up for it; the text says how.
    Shown {
        /// The token.
        token: String,
        /// Where.
        how: &'static str,
    },
    /// The operator says so; the text says why.
    Fiat(String),
}

/// Has a domain published; `None` if it is already.
///
/// # Errors
/// [`Refusal::NoDomain`] if it is gone, or another one of its name was made meanwhile; [`Refusal::Policy`] if another account
/// has proved a domain above or below it meanwhile, which only the operator can overrule; [`Refusal::Forbidden`].
pub fn prove(
    txn: &Txn<'_>,
    actor: &Actor,
    domain: DomainId,
    grounds: Grounds,
) -> Result<(Domain, Option<ChangeId>), Refusal> {
    let mut domain = txn.domain(domain)?.filter(|row| row.account == actor.account).ok_or(Refusal::NoDomain)?;
    if living_token(txn, actor)?.is_some_and(|token| token.read_only) {
        return Err(Refusal::Forbidden);
    }
    let Some(wanted) = domain.unproved.take() else { return Ok((domain, None)) };
    let note = match grounds {
        Grounds::Shown { token, .. } if token != wanted => return Err(Refusal::NoDomain),
        Grounds::Shown { how, .. } => {
            has_no_neighbours(txn, domain.account, &domain.name, &actor.house.local_suffixes)?;
            how.to_owned()
        }
        Grounds::Fiat(reason) => reason,
    };
    domain.change = txn.next_change()?;
    let plan = Plan { note: Some(note), ..Plan::named("verify") };
    record(txn, actor, &domain, &plan, &[], None)?;
    txn.update_domain(&domain)?;
    Ok((domain.clone(), Some(domain.change)))
}

/// The token that a new domain has to show before it is published; `None` if it need not.
///
/// It need not where the world cannot disagree: below a suffix whose delegations we make, within a proved domain of the
/// account, and where the account had the proved domain itself and its name was kept for it since.
pub(super) fn challenge(
    txn: &Reader<'_>,
    actor: &Actor,
    account: &Account,
    name: &str,
    kept: Option<&Released>,
) -> Result<Option<String>, Refusal> {
    let house = &actor.house;
    let was_ours = kept.is_some_and(|it| it.account == account.id && it.was_proved);
    if !house.wants_proof || account.class == Class::Operator || house.locks_ns(name) || was_ours {
        return Ok(None);
    }
    for ancestor in naming::ancestors(name, &Suffixes { local: &house.local_suffixes }) {
        let above = txn.domain_by_name(ancestor)?;
        if above.is_some_and(|above| above.account == account.id && above.unproved.is_none()) {
            return Ok(None);
        }
    }
    Ok(Some(uuid::Uuid::new_v4().simple().to_string()))
}
