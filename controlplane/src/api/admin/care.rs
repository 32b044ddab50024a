//! The care of the server: a copy of the database, and a look at everything that can be wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::domains::object;
use super::super::fields::{Fields, REQUIRED};
use super::super::{Api, now_us};
use super::ACCESS;
use crate::http::call::Call;
use crate::http::reply::{Refusal, Reply};
use crate::http::route::{Count, Operation, Route, Style, Success};
use crate::keys::Device;
use crate::publish::Progress;
use crate::store::StoreError;
use crate::store::changes::Head;
use crate::value::Timestamp;

/// Less free room than this is a finding: a publish writes whole packs, a database its log.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// A copy that was made.
#[derive(Debug, Serialize, ToSchema)]
struct BackupMade {
    /// The new file.
    path: String,
    /// Its length.
    bytes: u64,
}

/// Where to copy the database.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "the body is read field by field for its error messages; this is its description")]
struct BackupBody {
    /// A file that is not there, as an absolute path.
    path: String,
}

/// What was found.
#[derive(Debug, Serialize, ToSchema)]
struct Diagnosis {
    /// Whether nothing is wrong.
    ok: bool,
    /// What is wrong, for people.
    findings: Vec<String>,
    /// Why the database is not trusted.
    quarantine: Option<String>,
    /// Why nothing is published at all.
    stopped: Option<String>,
    /// Whether writing has failed for good.
    store_broken: bool,
    /// What is wrong with the database file.
    damages: Vec<String>,
    /// The last change in the database.
    change: u64,
    /// The last change that is published.
    published_change: u64,
    /// The generation that has it.
    generation: Option<u64>,
    /// The data planes.
    planes: Vec<DiagnosedPlane>,
    /// Why nothing is signed, if the time is not believed.
    clock_doubt: Option<String>,
    /// Why the device that keeps keys cannot be used, if it cannot.
    device_trouble: Option<String>,
    /// Since when.
    device_trouble_since: Option<String>,
    /// How many keys that no domain needs wait to be removed from it.
    device_keys_to_remove: u64,
    /// Zones that cannot be published.
    refused_zones: Vec<RefusedZone>,
    /// Free room on the disk of the database.
    disk_free_bytes: u64,
}

/// A data plane.
#[derive(Debug, Serialize, ToSchema)]
struct DiagnosedPlane {
    /// Its control socket.
    path: String,
    /// Whether it answers.
    attached: bool,
    /// The last change it serves.
    change: u64,
    /// The generation it serves.
    generation: Option<u64>,
}

/// A zone that cannot be published.
#[derive(Debug, Serialize, ToSchema)]
struct RefusedZone {
    /// Its name.
    name: String,
    /// Why.
    reason: String,
}

/// The rows.
pub(super) static ROUTES: [Route<Api>; 2] = [
    Route::new(
        "/api/admin/backup/",
        &[Operation::post(|app, call| Box::pin(back_up(app, call)))
            .access(ACCESS)
            .body::<BackupBody>(Count::One)
            .replies(&[Success::json::<BackupMade>(201)])
            .refuses(&[507])
            .summary("Copies the database into a new file while it stays in use")],
    )
    .style(Style::Operations),
    Route::new(
        "/api/admin/doctor/",
        &[Operation::get(|app, call| Box::pin(examine(app, call)))
            .access(ACCESS)
            .replies(&[Success::json::<Diagnosis>(200)])
            .summary("Looks at everything that can be wrong")],
    )
    .style(Style::Operations),
];

/// POST to the backup.
async fn back_up(app: Arc<Api>, call: Call<Api>) -> Result<Reply, Refusal> {
    let mut fields = Fields::of(object(call.json())?).only(&["path"]);
    let path = match fields.value("path") {
        Some(Value::String(text)) if Path::new(text).is_absolute() && !text.contains('\0') => PathBuf::from(text),
        Some(_) => {
            fields.refuse("path", "Must be an absolute path.");
            PathBuf::new()
        }
        None => {
            fields.refuse("path", REQUIRED);
            PathBuf::new()
        }
    };
    fields.done()?;
    let (target, copied) = (path.clone(), Arc::clone(&app));
    let copied = tokio::task::spawn_blocking(move || {
        copied.store.back_up(&target)?;
        let length = std::fs::metadata(&target).map(|file| file.len());
        length.map_err(|source| StoreError::Io { path: target, source })
    });
    match copied.await {
        Ok(Ok(bytes)) => Ok(Reply::json(201, &BackupMade { path: path.to_string_lossy().into_owned(), bytes })),
        Ok(Err(StoreError::Io { source, .. })) => Err(Refusal::field("path", told(&source))),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Refusal::internal()),
    }
}

/// Why a file could not be made, for people.
fn told(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AlreadyExists => "There is such a file already.".to_owned(),
        _ => format!("The file cannot be made: {cause}."),
    }
}

/// GET of the findings.
async fn examine(app: Arc<Api>, _: Call<Api>) -> Result<Reply, Refusal> {
    let examined = Arc::clone(&app);
    // Reading the whole file takes a while, and requests of others must go on.
    let looked = tokio::task::spawn_blocking(move || {
        // What cannot be read at all is a finding as well: to tell it is what this is for.
        let told = |cause: StoreError| vec![cause.to_string()];
        let damages = examined.store.read(|reader| {
            let mut damages = reader.damages()?;
            damages.extend(reader.miscounts()?);
            Ok(damages)
        });
        let damages = damages.unwrap_or_else(told);
        let head = examined.store.read(|reader| reader.head());
        let change = head.map_or(0, |head: Head| head.change.0);
        let directory = examined.store.path().parent().unwrap_or(Path::new("/"));
        let room = rustix::fs::statvfs(directory);
        (damages, change, room.map_or(0, |room| room.f_bavail * room.f_frsize))
    });
    let (damages, change, disk_free_bytes) = looked.await.map_err(|_| Refusal::internal())?;
    let Progress { change: published, generation, planes, refused, stopped, .. } = app.publisher.progress();
    let mut refused_zones: Vec<RefusedZone> =
        refused.into_iter().map(|(name, reason)| RefusedZone { name, reason }).collect();
    refused_zones.sort_by(|one, other| one.name.cmp(&other.name));
    let planes = planes.into_iter().map(|plane| DiagnosedPlane {
        path: plane.path.to_string_lossy().into_owned(),
        attached: plane.attached,
        change: plane.change.0,
        generation: plane.generation,
    });
    let trouble = app.dnssec.device().and_then(Device::trouble_for);
    let since = |ago: &Duration| now_us().saturating_sub_unsigned(u64::try_from(ago.as_micros()).unwrap_or(u64::MAX));
    let mut diagnosis = Diagnosis {
        ok: true,
        findings: Vec::new(),
        quarantine: app.publisher.quarantine().map(ToString::to_string),
        stopped,
        store_broken: app.store.is_broken(),
        damages,
        change,
        published_change: published.0,
        generation,
        planes: planes.collect(),
        clock_doubt: app.dnssec.clock().trusted().err().map(|doubt| doubt.to_string()),
        device_trouble_since: trouble.as_ref().map(|(_, ago)| Timestamp::from_micros(since(ago)).to_string()),
        device_trouble: trouble.map(|(cause, _)| cause),
        device_keys_to_remove: app.read(|reader| reader.count_dropped_objects()).unwrap_or(0),
        refused_zones,
        disk_free_bytes,
    };
    diagnosis.findings = diagnosis.judge();
    diagnosis.ok = diagnosis.findings.is_empty();
    Ok(Reply::json(200, &diagnosis))
}

impl Diagnosis {
    /// What is wrong, for people.
    fn judge(&self) -> Vec<String> {
        let mut found = Vec::new();
        found.extend(self.quarantine.as_ref().map(|why| format!("The database is quarantined: {why}.")));
        found.extend(self.stopped.as_ref().map(|why| format!("Nothing is published: {why}.")));
        if self.store_broken {
            found.push("Writing to the disk has failed; nothing is accepted until a restart.".to_owned());
        }
        found.extend(self.damages.iter().map(|damage| format!("The database file is damaged: {damage}.")));
        if self.published_change < self.change {
            let (last, published) = (self.change, self.published_change);
            found.push(format!("The last change is {last}, but only those up to {published} are published."));
        }
        for plane in &self.planes {
            if !plane.attached {
                found.push(format!("The data plane at {} does not answer.", plane.path));
            } else if plane.change < self.published_change {
                found.push(format!("The data plane at {} serves an older generation.", plane.path));
            }
        }
        found.extend(self.clock_doubt.as_ref().map(|doubt| format!("The time is not believed: {doubt}.")));
        if let (Some(cause), Some(since)) = (&self.device_trouble, &self.device_trouble_since) {
            found.push(format!("The device that keeps keys cannot be used since {since}: {cause}."));
        }
        let zones = self.refused_zones.iter();
        found.extend(zones.map(|zone| format!("The zone {} is not published anew: {}.", zone.name, zone.reason)));
        if self.disk_free_bytes < FREE_BYTES_MIN {
            found.push(format!("Only {} MiB are free on the disk.", self.disk_free_bytes >> 20));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server in good health.
    fn healthy() -> Diagnosis {
        let plane = DiagnosedPlane { path: "/run/a".into(), attached: true, change: 7, generation: Some(3) };
        Diagnosis {
            ok: true,
            findings: Vec::new(),
            quarantine: None,
            stopped: None,
            store_broken: false,
            damages: Vec::new(),
            change: 7,
            published_change: 7,
            generation: Some(3),
            planes: vec![plane],
            clock_doubt: None,
            device_trouble: None,
            device_trouble_since: None,
            device_keys_to_remove: 3,
            refused_zones: Vec::new(),
            disk_free_bytes: 2 << 30,
        }
    }

    #[test]
    fn each_ailment_is_named_and_health_has_none() {
        assert_eq!(healthy().judge(), Vec::<String>::new());
        let zone = || vec![RefusedZone { name: "a.test".into(), reason: "no NS".into() }];
        let some = |text: &str| Some(text.to_owned());
        let plane =
            |attached, change| vec![DiagnosedPlane { path: "/run/a".into(), attached, change, generation: Some(2) }];
        for (ailing, word) in [
            (Diagnosis { quarantine: Some("old".into()), ..healthy() }, "quarantined: old"),
            (Diagnosis { stopped: Some("disk".into()), ..healthy() }, "Nothing is published: disk"),
            (Diagnosis { store_broken: true, ..healthy() }, "until a restart"),
            (Diagnosis { damages: vec!["page 7".into()], ..healthy() }, "damaged: page 7"),
            (Diagnosis { change: 9, ..healthy() }, "last change is 9"),
            (Diagnosis { planes: plane(false, 7), ..healthy() }, "/run/a does not answer"),
            (Diagnosis { planes: plane(true, 6), ..healthy() }, "/run/a serves an older"),
            (Diagnosis { clock_doubt: Some("early".into()), ..healthy() }, "time is not believed: early"),
            (
                Diagnosis { device_trouble: some("away"), device_trouble_since: some("noon"), ..healthy() },
                "cannot be used since noon: away",
            ),
            (Diagnosis { refused_zones: zone(), ..healthy() }, "a.test is not published anew: no NS"),
            (Diagnosis { disk_free_bytes: 5 << 20, ..healthy() }, "Only 5 MiB"),
        ] {
            let found = ailing.judge();
            assert!(found.len() == 1 && found[0].contains(word), "{word}: {found:?}");
        }
    }
}
