//! What the server counts, in one answer.
//!
//! Zones and records are the account's; the rest is the server's. Numbers of data planes are those of their latest poll.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::super::domains::account_of;
use super::super::{Api, aside};
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::store::Reader;

/// The counters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stats {
    /// Zones of the account.
    zones: u64,
    /// RRsets in them, SOA records not counted.
    rrsets: u64,
    /// Records in them, SOA records not counted.
    records: u64,
    /// The last change that is committed.
    change: u64,
    /// The last change that is published.
    published_change: u64,
    /// The generation that is published.
    generation: Option<u64>,
    /// When that was; none before the first.
    published: Option<String>,
    /// The data planes.
    planes: Planes,
    /// Queries that the data planes have had since their start.
    queries: u64,
    /// Replies by RCODE.
    replies: std::collections::BTreeMap<String, u64>,
    /// Seconds since the start of the data plane that runs longest; 0 if none is attached.
    uptime_secs: u64,
}

/// Data planes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PlanesOfStats)]
struct Planes {
    /// How many there are.
    configured: usize,
    /// How many of them answer.
    attached: usize,
}

/// GET.
pub(super) async fn show(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let account = account_of(&app, &call, call.caller()?)?;
    let counted = |reader: &Reader<'_>| {
        let zones = reader.domain_count(account)?;
        Ok((zones, reader.account_rrset_count(account)?, reader.account_record_count(account)?, reader.head()?))
    };
    let (zones, rrsets, records, head) = aside(|| app.read(counted))?;
    let progress = app.publisher.progress();
    let states = app.planes.states();
    let attached: Vec<_> = states.iter().filter_map(|(_, state)| state.attached()).collect();
    let counters = || attached.iter().flat_map(|plane| &plane.counters);
    let mut replies = std::collections::BTreeMap::new();
    for counter in counters().filter(|counter| counter.name == "replies_total") {
        let rcode = counter.label.as_ref().map_or("", |(_, value)| value);
        *replies.entry(rcode.to_owned()).or_insert(0) += counter.value;
    }
    let stats = Stats {
        zones,
        rrsets,
        records,
        change: head.change.0,
        published_change: progress.change.0,
        generation: progress.generation,
        published: (progress.at_us > 0).then(|| crate::value::Timestamp::from_micros(progress.at_us).to_string()),
        planes: Planes { configured: states.len(), attached: attached.len() },
        queries: counters().filter(|counter| counter.name == "queries_total").map(|counter| counter.value).sum(),
        replies,
        uptime_secs: attached.iter().map(|plane| plane.status.uptime_secs).max().unwrap_or(0),
    };
    Ok(Reply::json(200, &stats))
}
