//! Whether a zone is signed: show, begin, end.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::domains::{Key, object};
use super::super::history::flag;
use super::super::refusal::{self, of_change};
use super::super::rolling::Standing;
use super::super::{Api, aside};
use super::{field, keys};
use crate::change;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::keys::{Algorithm, Role};
use crate::roll::{self, Due};
use crate::store::domains::{Denial, Domain};
use crate::store::keys::{NewKey, State, StoredKey};
use crate::store::{Reader, StoreError, Txn};
use crate::value::Timestamp;

/// How a zone is signed, as clients see it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ZoneDnssec)]
pub(super) struct Signing {
    /// The zone.
    zone: String,
    /// Whether it is signed.
    signed: bool,
    /// How it proves what it lacks: `nsec`, `nsec3` or `opt-out`; `off` where it is not signed.
    denial: &'static str,
    /// Its keys, with the DS records that its parent should have.
    keys: Vec<Key>,
    /// Before when the parent should not have them: what caches may hold from when the zone was not signed would be bogus. Later if
    /// the signed zone is not served yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    ds_from: Option<String>,
    /// Where its CDS and CDNSKEY records are published a second time, for a parent that has no DS yet (RFC 9615).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signals: Vec<String>,
    /// Where they would be, were these names not too long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signals_too_long: Vec<String>,
    /// Why its newest content is not served, or nothing is signed, if so: what the gate found, or a clock that is not believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// What else asks the parent for something, if anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

/// What is said where the owner asks the parent to remove all DS.
const REMOVAL: &str = "the owner asks the parent to remove all DS records, with the CDS 0 0 0 00 or CDNSKEY 0 3 0 AA== record at \
                       the apex, and so for none of the keys here; remove that record to take it back";

/// What a client sends to have a zone signed.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
pub(super) struct NewSigning {
    /// `nsec`, `nsec3` or `opt-out`; without it as the zone is signed, or `nsec` if it is not.
    denial: Option<String>,
    /// The keys of a zone that has none: `csk` (default), one that signs everything, or `split`, a KSK and a ZSK.
    keys: Option<String>,
    /// Their algorithm: 13 (default), 14 or 15.
    algorithm: Option<u8>,
    /// Whether keys of before may go that were imported, or of which the parent has had a DS.
    force: Option<bool>,
}

impl Api {
    /// How a domain's signing is shown.
    fn signing(&self, domain: &Domain) -> Result<Signing, Refusal> {
        let signed = domain.denial != Denial::Off;
        // While the clock is in doubt nothing is renewed either.
        let doubt = || self.dnssec.clock().trusted().err().filter(|_| signed).map(|doubt| doubt.to_string());
        let suffixes = &self.settings.local_suffixes;
        let signals = self.store.read(|reader| change::signals_of(reader, suffixes, domain)).map_err(of_change)?;
        let (fitting, long): (Vec<_>, Vec<_>) = signals.into_iter().partition(|signal| signal.fits);
        let names = |signals: Vec<change::Signal>| signals.into_iter().map(|signal| signal.name).collect();
        Ok(Signing {
            signals: names(fitting),
            signals_too_long: names(long),
            zone: domain.name.clone(),
            signed,
            denial: domain.denial.as_str(),
            keys: self.keys_of(domain)?,
            ds_from: self.ds_from(domain)?,
            refused: self.publisher.refusal_of(&domain.name).or_else(doubt),
            note: self.removal_note(domain)?,
        })
    }

    /// What is said if the owner asks the parent to remove all DS.
    pub(super) fn removal_note(&self, domain: &Domain) -> Result<Option<&'static str>, Refusal> {
        Ok(self.read(|reader| change::asks_for_removal(reader, domain))?.then_some(REMOVAL))
    }

    /// From when the parent may have the first DS of a domain that was served without signatures; `None` once it may.
    fn ds_from(&self, domain: &Domain) -> Result<Option<String>, Refusal> {
        if domain.denial == Denial::Off {
            return Ok(None);
        }
        let Standing { keys, waits, .. } = self.read(|reader| self.standing(reader, domain.clone()))?;
        let keys: Vec<roll::Key> = keys.iter().filter_map(roll::Key::of).collect();
        if !roll::is_first(&keys) {
            return Ok(None);
        }
        let from = roll::waits_of(&keys, &waits).into_iter().find_map(|wait| match wait.due {
            Due::At(at_us) => Some(Timestamp::from_micros(at_us).to_string()),
            Due::Seen(_) | Due::Gone(_) => None,
        });
        Ok(from)
    }

    /// Has a zone signed, or not, and answers with how it is then. Keys take the place of those with the numbers `former`.
    async fn sign(
        &self,
        call: &Call<Api>,
        denial: Denial,
        keys: Vec<NewKey>,
        former: Vec<i64>,
    ) -> Result<Reply, Refusal> {
        self.timely()?;
        let domain = call.domain()?;
        let (id, actor, precondition) = (domain.id, self.actor(call, "operations")?, self.precondition(call, domain)?);
        let offered = keys.clone();
        let sign = move |txn: &Txn<'_>| {
            change::expect(txn, id, precondition.as_ref())?;
            change::give_up_keys(txn, &actor, id, &former)?;
            change::set_signing(txn, &actor, id, denial, keys)
        };
        let signed = self.change(sign).await;
        self.settle_keys(&offered);
        let (domain, change) = signed?;
        let served = self.served(call, Reply::empty(200), change).await;
        // Only now it is known what the gate thinks of it.
        let mut reply = Reply::json(served.status.as_u16(), &self.signing(&domain)?);
        reply.headers.extend(served.headers);
        Ok(reply)
    }

    /// The first keys of a domain.
    fn first_keys(&self, domain: &Domain, roles: &[Role], algorithm: Algorithm) -> Result<Vec<NewKey>, Refusal> {
        let mut taken = self.tags_of_others(domain)?;
        let mut made = Vec::new();
        for role in roles {
            let key = self.dnssec.make_key(&domain.name, *role, algorithm, State::Active, &taken);
            let key = key.map_err(|error| refusal::of_key(&domain.name, error))?;
            taken.push(key.tag);
            made.push(key);
        }
        Ok(made)
    }

    /// Makes sure that others may take the place of a domain's keys, which are `stored`. What is forced is not looked at; a zone
    /// that is signed keeps its keys all the same.
    async fn may_have_others(&self, domain: &Domain, stored: &[StoredKey], is_forced: bool) -> Result<(), Refusal> {
        if domain.denial != Denial::Off {
            return Err(Refusal::conflict("the zone has other keys; roll them, or end signing first, to have these."));
        }
        if is_forced {
            return Ok(());
        }
        // Keys that were made here and that nobody is known to rely on can be made again.
        let is_dear = |key: &&StoredKey| key.is_imported || key.ds.seen_us.is_some();
        let dear: Vec<String> = stored.iter().filter(is_dear).map(|key| key.key.tag.to_string()).collect();
        if !dear.is_empty() {
            let text = format!(
                "keys that were imported, or that the parent has had a DS of, would be deleted for good: {}. Sign with those \
                 that the zone has, by leaving keys and algorithm out, or force it.",
                dear.join(", ")
            );
            return Err(Refusal::conflict(&text));
        }
        match self.trust_in(domain).await? {
            Trust::None | Trust::Unseen => Ok(()),
            Trust::Some | Trust::Unknown(_) => {
                let text = "the parent has DS records of the keys that the zone had, or cannot be asked: remove them there \
                            and wait until their TTL is over, or sign with those keys again.";
                Err(Refusal::conflict(text))
            }
        }
    }

    /// Makes sure that nobody depends on the signatures of a domain: whoever has a DS of it takes it for bogus without them.
    async fn is_not_trusted(&self, domain: &Domain) -> Result<(), Refusal> {
        let cause = match self.trust_in(domain).await? {
            Trust::None => return Ok(()),
            Trust::Some => {
                let text = "the parent has DS records of the zone: without signatures it would be bogus. Remove them there \
                            and wait until their TTL is over; force ends signing all the same.";
                return Err(Refusal::conflict(text));
            }
            Trust::Unseen => "it was asked for them and nobody looks at it here (--parent-resolver)".to_owned(),
            Trust::Unknown(cause) => cause,
        };
        let text = format!(
            "whether the parent has DS records of the zone cannot be told, as {cause}: without signatures it would be bogus. \
             force ends signing all the same."
        );
        Err(Refusal::conflict(&text))
    }

    /// What is known of the DS records that the parent has of a domain.
    async fn trust_in(&self, domain: &Domain) -> Result<Trust, Refusal> {
        match self.parent_ds(domain).await? {
            Some(Ok(parent)) if parent.is_complete && parent.sets.iter().all(Vec::is_empty) => Ok(Trust::None),
            Some(Ok(_)) => Ok(Trust::Some),
            Some(Err(cause)) => Ok(Trust::Unknown(cause.to_string())),
            None => Ok(self.read(|reader| trust_by_database(reader, domain))?),
        }
    }
}

/// What is known of the DS records that the parent of a domain has.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trust {
    /// It has none.
    None,
    /// It has some.
    Some,
    /// There is nobody to ask, and it may have some.
    Unseen,
    /// Whoever was asked does not know, and why.
    Unknown(String),
}

/// What the database knows of the DS records that the parent of a domain has: by the word of its operator, or because the
/// parent is a domain here, or because no parent was ever asked for any.
fn trust_by_database(reader: &Reader<'_>, domain: &Domain) -> Result<Trust, StoreError> {
    let keys = reader.keys(domain.id)?;
    if keys.iter().any(|key| key.ds.seen_us.is_some()) {
        return Ok(Trust::Some);
    }
    if let Some(has_ds) = own_parent_has_ds(reader, &domain.name)? {
        return Ok(if has_ds { Trust::Some } else { Trust::None });
    }
    // What waits for its proof is not served, and so asks for nothing.
    let may_have_ds = |key: &StoredKey| key.key.role != Role::Zsk.name() && key.ds.gone_us.is_none();
    let is_unseen = domain.unproved.is_none() && keys.iter().any(may_have_ds);
    Ok(if is_unseen { Trust::Unseen } else { Trust::None })
}

/// Whether the parent zone of a domain has a DS RRset for it, if that zone is a domain here; `None` if it is not.
pub(super) fn own_parent_has_ds(reader: &Reader<'_>, name: &str) -> Result<Option<bool>, StoreError> {
    let parent = change::parent_of(reader, name)?.filter(|parent| !parent.is_cut_between);
    Ok(parent.map(|parent| parent.has_ds))
}

/// GET.
pub(super) async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, &app.signing(call.domain()?)?))
}

/// Whether a zone's keys have the roles and the algorithm that are wanted, if any are.
fn are_such(keys: &[StoredKey], roles: Option<&[Role]>, algorithm: Option<Algorithm>) -> bool {
    let has = |role: &Role| keys.iter().any(|key| key.key.role == role.name());
    let is_wanted = |key: &StoredKey, roles: &[Role]| roles.iter().any(|role| role.name() == key.key.role);
    roles.is_none_or(|roles| roles.iter().all(has) && keys.iter().all(|key| is_wanted(key, roles)))
        && algorithm.is_none_or(|algorithm| keys.iter().all(|key| key.key.algorithm == algorithm.number()))
}

/// POST: has the zone signed, or signed otherwise.
pub(super) async fn enable(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let body = object(call.json())?;
    let denial = match field::text(body, "denial")? {
        None if call.domain()?.denial == Denial::Off => Denial::Nsec,
        None => call.domain()?.denial,
        Some(text) => Denial::parse(text)
            .filter(|denial| *denial != Denial::Off)
            .ok_or_else(|| Refusal::field("denial", "Must be nsec, nsec3 or opt-out."))?,
    };
    let domain = call.domain()?;
    let algorithm = keys::algorithm(body.get("algorithm"))?;
    let roles: Option<&[Role]> = match field::text(body, "keys")? {
        None => None,
        Some("csk") => Some(&[Role::Csk]),
        Some("split") => Some(&[Role::Ksk, Role::Zsk]),
        Some(_) => return Err(Refusal::field("keys", "Must be csk or split.")),
    };
    let stored = app.read(|reader| reader.keys(domain.id))?;
    if !stored.is_empty() {
        if are_such(&stored, roles, algorithm) {
            return app.sign(&call, denial, Vec::new(), Vec::new()).await;
        }
        app.may_have_others(domain, &stored, flag(body, "force")?).await?;
    }
    let (roles, algorithm) = (roles.unwrap_or(&[Role::Csk]), algorithm.unwrap_or(Algorithm::EcdsaP256Sha256));
    // A device may take its time.
    let made = aside(|| app.first_keys(domain, roles, algorithm))?;
    app.sign(&call, denial, made, stored.iter().map(|key| key.id).collect()).await
}

/// DELETE: ends signing.
pub(super) async fn disable(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    if domain.denial != Denial::Off && call.query("force") != Some("true") {
        app.is_not_trusted(domain).await?;
    }
    app.sign(&call, Denial::Off, Vec::new(), Vec::new()).await
}
