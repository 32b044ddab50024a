//! What clients are told when the database or a rule says no.

use axum::http::header::RETRY_AFTER;
use tracing::error;

use crate::change;
use crate::dnssec::DnssecError;
use crate::http::reply::Refusal;
use crate::keys::SealError;
use crate::store::StoreError;

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        of_store(&error)
    }
}

impl From<change::Refusal> for Refusal {
    fn from(refused: change::Refusal) -> Refusal {
        of_change(refused)
    }
}

/// Of the database. Its own words go to the log, never to a client.
pub(super) fn of_store(error: &StoreError) -> Refusal {
    match error {
        StoreError::Full => Refusal::detail(507, "No room is left to store this."),
        StoreError::Broken => Refusal::detail(503, "The database cannot be written; only reading is possible."),
        StoreError::Fenced { .. } => Refusal::detail(503, "Another control plane has taken over."),
        StoreError::Damaged(what) => {
            error!("{what} is damaged");
            Refusal::detail(503, "The stored data is damaged.")
        }
        other if other.is_of_disk() => {
            error!("{other}");
            Refusal::detail(503, "The database cannot be read or written.")
        }
        other => {
            error!("{other}");
            Refusal::internal()
        }
    }
}

/// Of `change`.
pub(super) fn of_change(refused: change::Refusal) -> Refusal {
    use change::Refusal as R;
    let text = refused.to_string();
    match refused {
        R::NoDomain | R::NoRrset | R::NoChange => Refusal::not_found(text),
        R::Forbidden | R::Limit(_) => Refusal::detail(403, text),
        R::Throttled { secs, .. } | R::Remembered { secs, .. } => {
            Refusal::detail(429, text).header(RETRY_AFTER, &secs.to_string())
        }
        R::Precondition => Refusal::precondition_failed(),
        R::Body(body) => Refusal::json(400, body),
        R::Rules(texts) => Refusal::json(400, serde_json::json!(texts)),
        R::Taken | R::Policy => Refusal::field("name", text),
        R::Overtaken(_) => Refusal::conflict(&text),
        // Handlers that ask for a dry run take this for a success before it gets here.
        R::DryRun(_) => Refusal::detail(409, text),
        R::Store(error) => of_store(&error),
    }
}

/// A domain gets no key.
pub(super) fn of_key(domain: &str, error: DnssecError) -> Refusal {
    match error {
        DnssecError::Make(error) => Refusal::field("algorithm", error.to_string()),
        DnssecError::TagTaken(_) => Refusal::conflict(&format!("{error}.")),
        DnssecError::Store(error) => of_store(&error),
        DnssecError::Device(_) | DnssecError::Seal(SealError::NoKey(_)) => {
            error!("a key for {domain}: {error}");
            let text = "No key can be made or kept at the moment: the log of the server says why.";
            Refusal::detail(503, text)
        }
        other => {
            error!("a key for {domain}: {other}");
            Refusal::internal()
        }
    }
}
