//! Proof that a domain is its account's: what is asked for, and looking whether it is there.
//!
//! What proves it is judged by `verify`. Invariants: a domain that was not proved is published by nobody's hand but the
//! operator's; one that is not proved in time goes, and leaves its name to others; however many ask for a look,
//! [`BOUNDS`] holds.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tracing::warn;
use utoipa::ToSchema;

use super::domains::View;
use super::looks::Bounds;
use super::{Api, aside, now_us};
use crate::change::{self, Actor, Grounds};
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Access, Operation, Permission, Resource, Route, Scope, Success};
use crate::rrset::Limits;
use crate::store::StoreError;
use crate::store::domains::Domain;
use crate::verify::{Challenge, ask};

/// How many looks for proofs there may be.
pub(super) const BOUNDS: Bounds = Bounds { all: 8, each: 1, each_minute: 30 };

/// How often it is looked for domains that were not proved in time.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// How many of them go at once, so that writes of others are not held up; a thousand in ten minutes is more than anybody makes.
const SWEEP_COUNT_MAX: usize = 1000;

/// What is missing until a domain is published.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verification)]
pub(super) struct Missing {
    /// `unverified`.
    state: &'static str,
    /// Records any of which proves it.
    proofs: Vec<Wanted>,
}

/// A record that proves a domain.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = VerificationProof)]
struct Wanted {
    /// `NS`, in the delegation at the parent, beside others; or `TXT`, in the zone as the world sees it.
    #[serde(rename = "type")]
    rtype: &'static str,
    /// Its owner.
    name: String,
    /// Its content.
    content: String,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 1] = [Route::new(
    "/api/v1/domains/{name}/verify/",
    &[Operation::post(|app, call| Box::pin(verify(app, call)))
        .access(Access::With(Permission::Write))
        .scopes(&[Scope::DnsApiExpensive])
        .resource(Resource::PartOfDomain)
        .query(&["wait"])
        .replies(&[Success::json::<View>(200), Success::json::<View>(202)])
        .refuses(&[409])
        .summary("Looks whether a domain is proved to be the account's, and publishes it then")],
)];

impl Api {
    /// What a domain has to show; `None` if nothing.
    fn challenge(&self, domain: &Domain) -> Option<Challenge> {
        let under = self.settings.verification.under.as_deref();
        Challenge::new(&domain.name, domain.unproved.as_deref()?, under)
    }

    /// What is missing until a domain is published, as clients see it.
    pub(super) fn missing_proof(&self, domain: &Domain) -> Option<Missing> {
        let challenge = self.challenge(domain)?;
        let server = challenge.server().map(|server| Wanted {
            rtype: "NS",
            name: challenge.domain().to_string(),
            content: server.to_string(),
        });
        let content = format!("\"{}\"", challenge.token());
        let text = Wanted { rtype: "TXT", name: challenge.txt_owner().to_string(), content };
        Some(Missing { state: "unverified", proofs: server.into_iter().chain([text]).collect() })
    }

    /// Publishes a domain on these grounds.
    pub(super) async fn prove(&self, call: Call<Api>, actor: Actor, grounds: Grounds) -> Result<Reply, Refusal> {
        let id = call.domain()?.id;
        let (domain, change) = self.change(move |txn| change::prove(txn, &actor, id, grounds)).await?;
        let reply = Reply::json(200, &self.view(&domain));
        Ok(self.served(&call, reply, change).await)
    }
}

/// Deletes domains that nobody has proved in time, now and then until told to end.
pub async fn keep(app: Arc<Api>, mut stop: watch::Receiver<bool>) {
    loop {
        app.expire().await;
        tokio::select! {
            () = tokio::time::sleep(SWEEP_INTERVAL) => {}
            // A sender that is gone can never say stop, and that is an end too.
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

impl Api {
    /// Deletes the domains that nobody has proved in time. What cannot be deleted is left to the next time.
    async fn expire(&self) {
        if !self.house.wants_proof || self.writable().is_err() {
            return;
        }
        let (now_us, house) = (now_us(), Arc::clone(&self.house));
        let due =
            aside(|| self.store.read(|reader| reader.unproved_before(change::unproved_since(now_us), SWEEP_COUNT_MAX)));
        let due = due.unwrap_or_else(|error: StoreError| {
            warn!("domains that are not proved stay: {error}");
            Vec::new()
        });
        let account = self.operator.id;
        let actor =
            Actor { account, token: None, address: None, via: "expiry", now_us, limits: Limits::OPERATOR, house };
        for domain in due {
            let actor = actor.clone();
            if let Err(error) = self.store.write(move |txn| change::expire(txn, &actor, domain)).await {
                warn!("a domain that is not proved stays: {error}");
            }
        }
    }
}

/// POST.
async fn verify(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?;
    let Some(token) = domain.unproved.clone() else { return Ok(Reply::json(200, &app.view(domain))) };
    let Some(challenge) = app.challenge(domain) else {
        return Err(Refusal::conflict("the name is too long for a record that proves it; ask the operator."));
    };
    app.writable()?;
    let Some(servers) = app.settings.verification.servers() else {
        return Err(Refusal::detail(503, "This server has no resolver to look with; ask its operator."));
    };
    let Some(account) = app.read(|reader| reader.account(domain.account))? else { return Err(Refusal::forbidden()) };
    let look = app.looks.begin(account.id, account.class, now_us())?;
    let found = tokio::task::spawn_blocking(move || {
        // A client that leaves ends its request, but not this thread.
        let _look = look;
        ask::look(&servers, &challenge)
    });
    match found.await.map_err(|_| Refusal::internal())? {
        Err(error) => Err(Refusal::detail(503, format!("The domain could not be looked up: {error}."))),
        Ok(None) => Err(Refusal::conflict("neither of the records that prove the domain is there.")),
        Ok(Some(proof)) => {
            let actor = Actor { now_us: now_us(), ..app.actor(&call, "rest")? };
            app.prove(call, actor, Grounds::Shown { token, how: proof.as_str() }).await
        }
    }
}
