//! Whether a zone is signed: show, begin, end.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::Api;
use super::super::domains::{Key, object};
use super::super::refusal::of_change;
use super::field;
use crate::change;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::store::Txn;
use crate::store::domains::{Denial, Domain};

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
    /// Where its CDS and CDNSKEY records are published a second time, for a parent that has no DS yet (RFC 9615).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signals: Vec<String>,
    /// Where they would be, were these names not too long.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signals_too_long: Vec<String>,
    /// Why its newest content is not served, if it is not: what the gate found.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// What a client sends to have a zone signed.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
pub(super) struct NewSigning {
    /// `nsec` (default), `nsec3` or `opt-out`.
    denial: Option<String>,
}

impl Api {
    /// How a domain's signing is shown.
    fn signing(&self, domain: &Domain) -> Result<Signing, Refusal> {
        let suffixes = &self.settings.local_suffixes;
        let signals = self.store.read(|reader| change::signals_of(reader, suffixes, domain)).map_err(of_change)?;
        let (fitting, long): (Vec<_>, Vec<_>) = signals.into_iter().partition(|signal| signal.fits);
        let names = |signals: Vec<change::Signal>| signals.into_iter().map(|signal| signal.name).collect();
        Ok(Signing {
            signals: names(fitting),
            signals_too_long: names(long),
            zone: domain.name.clone(),
            signed: domain.denial != Denial::Off,
            denial: domain.denial.as_str(),
            keys: self.keys_of(domain)?,
            refused: self.publisher.refusal_of(&domain.name),
        })
    }

    /// Has a zone signed, or not, and answers with how it is then.
    async fn sign(&self, call: &Call<Api>, denial: Denial) -> Result<Reply, Refusal> {
        let domain = call.domain()?;
        let (id, actor, precondition) = (domain.id, self.actor(call, "operations")?, self.precondition(call, domain)?);
        let needs_key = denial != Denial::Off && self.read(|reader| Ok(reader.keys(id)?.is_empty()))?;
        let key = if needs_key { Some(self.new_key(&domain.name)?) } else { None };
        let offered: Vec<_> = key.iter().cloned().collect();
        let sign = move |txn: &Txn<'_>| {
            change::expect(txn, id, precondition.as_ref())?;
            change::set_signing(txn, &actor, id, denial, key)
        };
        let signed = self.change(sign).await;
        self.settle_keys(&offered, signed.as_ref().ok().map(|(domain, _)| domain));
        let (domain, change) = signed?;
        let served = self.served(call, Reply::empty(200), change).await;
        // Only now it is known what the gate thinks of it.
        let mut reply = Reply::json(served.status.as_u16(), &self.signing(&domain)?);
        reply.headers.extend(served.headers);
        Ok(reply)
    }
}

/// GET.
pub(super) async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    Ok(Reply::json(200, &app.signing(call.domain()?)?))
}

/// POST: has the zone signed, or signed otherwise.
pub(super) async fn enable(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let denial = match field::text(object(call.json())?, "denial")? {
        None => Denial::Nsec,
        Some(text) => Denial::parse(text)
            .filter(|denial| *denial != Denial::Off)
            .ok_or_else(|| Refusal::field("denial", "Must be nsec, nsec3 or opt-out."))?,
    };
    app.sign(&call, denial).await
}

/// DELETE: ends signing.
pub(super) async fn disable(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    app.sign(&call, Denial::Off).await
}
