//! Keys from elsewhere, for domains that move here without being unsigned in between.
//!
//! Secrets come in over the local socket only, are sealed at once, and are in no reply. Invariant: what is kept can sign, and
//! is for the zone that was named.

use std::sync::Arc;

use snapshot::dns::name::Name;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::super::domains::object;
use super::super::fields::{Fields, REQUIRED};
use super::super::operations::keys::Keys;
use super::super::refusal;
use super::super::{Api, aside};
use super::ACCESS;
use crate::change;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Count, Operation, Resource, Route, Style, Success};
use crate::keys::{Algorithm, KeyPair, Role, bind, key_tag};
use crate::store::Txn;
use crate::store::domains::Domain;
use crate::store::keys::State;

/// The longest file of a key in characters.
const FILE_CHAR_COUNT_MAX: usize = 20_000;

/// A key as its files have it.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[schema(as = AdminKey)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct KeyBody {
    /// The `.private` file of BIND, or PKCS #8 in PEM.
    private: String,
    /// The `.key` file of BIND; needed with `.private`.
    key: Option<String>,
    /// `csk`, `ksk` or `zsk`; needed with PEM. Of a `.key` file with flags 257 it says whether it is a KSK (default) or a CSK.
    keytype: Option<String>,
    /// The algorithm; needed with PEM.
    algorithm: Option<String>,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 1] = [Route::new(
    "/api/admin/domains/{name}/keys/",
    &[Operation::post(|app, call| Box::pin(import(app, call)))
        .access(ACCESS)
        .resource(Resource::PartOfDomain)
        .body::<KeyBody>(Count::One)
        .replies(&[Success::json::<Keys>(201)])
        .refuses(&[409])
        .summary("Takes a key from elsewhere: for a domain that is not signed yet, or for its next rollover")],
)
.style(Style::Operations)];

/// POST.
async fn import(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let domain = call.domain()?.clone();
    let mut fields = Fields::of(object(call.json())?).only(&["private", "key", "keytype", "algorithm"]);
    if fields.value("private").is_none() {
        fields.refuse("private", REQUIRED);
    }
    let private = Zeroizing::new(fields.text("private", FILE_CHAR_COUNT_MAX).unwrap_or_default());
    let key = fields.text("key", FILE_CHAR_COUNT_MAX);
    let role = fields.text("keytype", 3).map(|text| Role::from_name(&text));
    if role == Some(None) {
        fields.refuse("keytype", "Must be csk, ksk or zsk.");
    }
    let algorithm = fields.text("algorithm", 20).map(|text| text.parse::<Algorithm>());
    if let Some(Err(error)) = &algorithm {
        fields.refuse("algorithm", error.to_string());
    }
    fields.done()?;
    let algorithm = algorithm.and_then(Result::ok);
    let (role, pair) = match key {
        Some(key) => of_bind(&domain.name, &private, &key, role.flatten())?,
        None => of_pem(&private, role.flatten(), algorithm)?,
    };
    let mut taken = app.tags_of_others(&domain)?;
    taken.extend(app.read(|reader| reader.keys(domain.id))?.iter().map(|key| key.key.tag));
    let kept = app.dnssec.keep_key(&domain.name, role, &pair, State::Generated, &taken);
    let kept = kept.map_err(|error| refusal::of_key(&domain.name, error))?;
    is_of_service(&app, &domain, role, &pair)?;
    let (id, actor) = (domain.id, app.actor(&call, "admin")?);
    let domain = app.change(move |txn: &Txn<'_>| change::import_key(txn, &actor, id, kept)).await?;
    Ok(Reply::json(201, &app.keys_view(&domain)?))
}

/// Makes sure that a key is one of those that the zone in service is signed with, if the database lacks them: it is in use at
/// once then, and resolvers that have the DS of another would find the zone bogus.
fn is_of_service(app: &Api, domain: &Domain, role: Role, pair: &KeyPair) -> Result<(), Refusal> {
    if !app.read(|reader| change::is_keyless(reader, domain))? {
        return Ok(());
    }
    let apex = Name::parse(format!("{}.", domain.name).as_bytes(), None).map_err(|_| Refusal::internal())?;
    let served = aside(|| app.publisher.dnskeys_served(apex.as_ref())).map_err(|error| {
        tracing::error!("the keys of {} in service: {error}", domain.name);
        Refusal::internal()
    })?;
    let key = pair.dnskey(role);
    if served.is_empty() || served.contains(&key.rdata()) {
        return Ok(());
    }
    let tags: Vec<String> = served.iter().map(|rdata| key_tag(rdata).to_string()).collect();
    let text = format!(
        "the zone in service is signed with keys that the database lacks, and this one, {}, is none of them: it would be in use \
         at once, and make the zone bogus. Import those, which are {}.",
        key.tag(),
        tags.join(", ")
    );
    Err(Refusal::conflict(&text))
}

/// A key from the files of BIND.
fn of_bind(domain: &str, private: &str, key: &str, role: Option<Role>) -> Result<(Role, KeyPair), Refusal> {
    let imported = bind::read(private.as_bytes(), key.as_bytes());
    let imported = imported.map_err(|error| Refusal::non_field(error.to_string()))?;
    let apex = Name::parse(format!("{domain}.").as_bytes(), None).map_err(|_| Refusal::internal())?;
    if imported.apex != apex {
        let text = format!("The key is for {}, not for {domain}.", imported.apex);
        return Err(Refusal::field("key", text));
    }
    let default = if imported.flags == Role::Zsk.flags() { Role::Zsk } else { Role::Ksk };
    let role = role.unwrap_or(default);
    if role.flags() != imported.flags {
        let text = format!("The key has flags {}, which a {role} does not have.", imported.flags);
        return Err(Refusal::field("keytype", text));
    }
    Ok((role, imported.pair))
}

/// A key from PEM.
fn of_pem(private: &str, role: Option<Role>, algorithm: Option<Algorithm>) -> Result<(Role, KeyPair), Refusal> {
    let role = role.ok_or_else(|| Refusal::field("keytype", "PEM does not tell it: csk, ksk or zsk."))?;
    let algorithm = algorithm.ok_or_else(|| Refusal::field("algorithm", "PEM does not tell it: 8, 13, 14 or 15."))?;
    let pair = KeyPair::from_pem(private.as_bytes(), algorithm);
    pair.map(|pair| (role, pair)).map_err(|error| Refusal::field("private", error.to_string()))
}
