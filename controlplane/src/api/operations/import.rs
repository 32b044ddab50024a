//! A zone file into a zone that is there.
//!
//! An RRset of the file takes the place of the one in the zone. The rest of the zone stays, or goes if the file is to
//! replace it. Where the SOA record may be changed, SOA and NS records of the apex come from the file as well. Invariant: a
//! file is taken over as a whole, in one change, or not at all; one that would remove much, or was signed elsewhere where we do
//! not sign, only with a reason, which stays in the history.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde::Serialize;
use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;
use utoipa::ToSchema;

use super::super::gates::{self, Names, Signatures};
use super::super::{Api, aside};
use crate::change::{self, Actor, Change, Committed, Edits, Precondition, Target, soa_of};
use crate::gate::Force;
use crate::http::call::{Body, Call};
use crate::http::reply::{Refusal, Reply};
use crate::rrset::{Content, Draft, lenient};
use crate::store::domains::{Denial, Domain, Soa, SoaMode};
use crate::store::rrsets::Record;
use crate::store::{StoreError, Txn};
use crate::zonetext::diff::Mode;
use crate::zonetext::{self, Customs};

/// What became of a zone file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Imported {
    /// The zone.
    zone: String,
    /// Its serial.
    serial: u32,
    /// RRsets of the file.
    rrsets: usize,
    /// Their records.
    records: usize,
    /// Records of the file that were left out: outside of the zone, or made by the server itself.
    ignored: usize,
    /// RRsets that are new or became others.
    changed: usize,
    /// RRsets that went.
    removed: usize,
    /// What is to be said of it, if anything is.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// What zone files may hold here.
const CUSTOMS: Customs = Customs {
    is_left_out: |rtype, is_apex| match rtype {
        Rtype::SOA | Rtype::NS => false,
        _ => zonetext::is_managed(rtype, is_apex) && rtype != Rtype::KEY,
    },
    subname: |text| match Name::parse(text.as_bytes(), Some(Name::root().as_ref())) {
        Ok(_) => Vec::new(),
        Err(error) => vec![error.to_string()],
    },
    kind: lenient::kind,
    content: lenient::content,
    ttl_secs_max: i32::MAX as u32,
};

/// What is asked of an import besides its content.
struct Terms {
    /// What becomes of the rest of the zone.
    mode: Mode,
    /// Gates that are forced.
    force: Option<Force>,
    /// What `If-Match` asks for.
    precondition: Option<Precondition>,
}

/// POST.
pub(super) async fn import(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?.clone();
    let mode = match call.query("replace") {
        None | Some("" | "0" | "false") => Mode::Merge,
        Some("1" | "true") => Mode::Replace,
        Some(_) => return Err(Refusal::field("replace", "Must be 0 or 1.")),
    };
    let text: &[u8] = if let Body::Bytes(bytes) = &call.body { bytes } else { b"" };
    let force = gates::of_body(gates::of_query(&call).as_ref())?;
    let rules = app.rules(&call, &domain)?;
    let customs = if domain.soa_mode == SoaMode::User {
        CUSTOMS
    } else {
        Customs { is_left_out: zonetext::is_managed, ..CUSTOMS }
    };
    let refuse = |messages: serde_json::Value| Refusal::json(400, serde_json::json!({ "zonefile": messages }));
    let import = aside(|| zonetext::import_as(text, &rules, &customs)).map_err(|error| refuse(error.messages()))?;
    if let Some(messages) = import.messages() {
        return Err(refuse(messages));
    }
    let signatures = Signatures { dnssec: import.dnssec, is_signed: domain.denial != Denial::Off };
    signatures.pass(force.as_ref())?;
    let report = import.report();
    let actor = app.actor(&call, "operations")?;
    let drafts = import.drafts;
    let terms = Terms { mode, force, precondition: app.precondition(&call, &domain)? };
    let committed = app.write(move |txn| take_over(txn, actor, &domain, drafts, terms)).await?;
    let is_gone = |edit: &&change::Edit| edit.after.is_none();
    let removed = committed.edits.iter().filter(is_gone).count();
    let imported = Imported {
        zone: committed.domain.name.clone(),
        serial: committed.domain.serial,
        rrsets: report.applied.rrsets,
        records: report.applied.records,
        ignored: report.ignored.count,
        changed: committed.edits.len() - removed,
        removed,
        note: signatures.note(),
    };
    let reply = Reply::json(200, &imported).note(imported.note.as_deref());
    Ok(app.served(&call, reply, committed.change).await)
}

/// Makes the zone what the drafts say.
fn take_over(
    txn: &Txn<'_>,
    actor: Actor,
    domain: &Domain,
    drafts: Vec<Draft>,
    terms: Terms,
) -> Result<Committed, Refusal> {
    let Terms { mode, force, precondition } = terms;
    let mut soa: Option<Soa> = None;
    let mut kept: BTreeSet<(Vec<u8>, Rtype)> = BTreeSet::new();
    let mut targets = Vec::with_capacity(drafts.len());
    for Draft { subname, rtype, ttl, records } in drafts {
        let (ttl_secs, records) = (ttl.unwrap_or_default(), records.unwrap_or_default());
        if rtype == Rtype::SOA {
            soa = records.first().and_then(|content| soa_of(&content.text, ttl_secs));
            continue;
        }
        let subname = subname.to_ascii_lowercase();
        kept.insert((change::node_of(&subname)?, rtype));
        targets.push(Target {
            subname,
            rtype,
            state: Some((
                ttl_secs,
                records.into_iter().map(|Content { text, rdata }| Record::new(text, rdata)).collect(),
            )),
        });
    }
    if mode == Mode::Replace {
        // A file without them, as exports of other services are, takes nobody's name servers away.
        let stays = |subname: &str, rtype| subname.is_empty() && rtype == Rtype::NS;
        let mut before = HashSet::new();
        let mut after: HashSet<String> = targets.iter().map(|target| target.subname.clone()).collect();
        txn.each_rrset(domain.id, |rrset| {
            // No zone file has what is disabled, so none can mean to take it away.
            if rrset.enabled().next().is_none() {
                return Ok(());
            }
            if stays(&rrset.subname, rrset.rtype) {
                after.insert(String::new());
            }
            before.insert(rrset.subname.clone());
            if !stays(&rrset.subname, rrset.rtype) && !kept.contains(&(rrset.node, rrset.rtype)) {
                targets.push(Target { subname: rrset.subname, rtype: rrset.rtype, state: None });
            }
            Ok::<_, StoreError>(())
        })?;
        Names { before: before.len(), gone: before.difference(&after).count() }.pass(force.as_ref())?;
    }
    let note = force.map(|force| force.reason.into());
    let edits = Edits::Targets { kind: "import", undoes: None, note, targets, soa };
    Ok(change::commit(txn, Change { actor, domain: domain.id, precondition, edits, dry_run: false })?)
}
