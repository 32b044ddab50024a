//! What the control plane tells about itself on `/metrics`: commits, publishing, what waits.
//!
//! Figures only; names and labels are fixed, so that no client can make the page grow.

use super::{Api, now_us};
use crate::keys::Device;
use crate::serve::Figure;
use crate::store::StoreError;

/// The figures of this moment.
pub(super) fn figures(api: &Api) -> Vec<Figure> {
    let progress = api.publisher.progress();
    let counts = progress.counts;
    let head = api.store.read(|reader| reader.head()).map_or(0, |head| head.change.0);
    let age_secs = (now_us() - progress.at_us).max(0) / 1_000_000;
    let is_published = progress.at_us > 0;
    let store = api.store.counts();
    let gauge = |name, help, value| Figure { name, help, is_counter: false, value };
    let counter = |name, help, value| Figure { name, help, is_counter: true, value };
    let mut figures = vec![
        counter("commits_total", "Transactions committed.", store.commits),
        counter("commit_jobs_total", "Writes in them.", store.jobs),
        counter("commit_failures_total", "Transactions that could not be committed.", store.failures),
        gauge("commit_queue", "Writes that wait for a transaction.", store.waiting),
        gauge("store_broken", "Whether writing has failed for good.", u64::from(api.store.is_broken())),
        gauge("store_low", "Whether the disk is too full to add anything.", u64::from(api.store.is_low())),
        gauge("store_quarantined", "Whether the database is not trusted.", u64::from(progress.stopped.is_some())),
        counter("publish_generations_total", "Generations published.", counts.generations),
        counter("publish_changes_total", "Changes in them.", counts.changes),
        counter("publish_zones_total", "Segments compiled for them.", counts.zones),
        counter("publish_overlays_total", "Overlays among those.", counts.overlays),
        counter("publish_failures_total", "Publications that failed and are tried again.", counts.failures),
        counter("publish_microseconds_total", "Time spent publishing.", counts.publish_us),
        gauge("publish_packs", "Packs of the newest generation.", counts.packs),
        gauge("publish_queue", "Changes that are committed and not published.", head.saturating_sub(progress.change.0)),
        gauge("publish_refused_zones", "Zones that keep older content.", progress.refused.len() as u64),
    ];
    figures.extend(of_signing(api));
    figures.extend(api.dnssec.device().into_iter().flat_map(|device| of_device(api, device)));
    if is_published {
        let help = "Seconds since the last publication.";
        figures.push(gauge("publish_age_seconds", help, u64::try_from(age_secs).unwrap_or(0)));
    }
    figures
}

/// Whether signing goes on, and until when it must.
fn of_signing(api: &Api) -> Vec<Figure> {
    let gauge = |name, help, value| Figure { name, help, is_counter: false, value };
    let is_suspect = api.dnssec.clock().trusted().is_err();
    let help = "Whether the time is not believed, so that nothing is signed.";
    let mut figures = vec![gauge("clock_suspect", help, u64::from(is_suspect))];
    let before = api.expiring_before();
    let found = api.store.read(|reader| {
        Ok::<_, StoreError>((reader.count_signatures_ending(before)?, reader.signatures_ending(u64::MAX, 1)?))
    });
    // What cannot be read is left out: 0 would say that all is well.
    if let Ok((count, first)) = found {
        figures.push(gauge("signatures_expiring", "Signed domains of which a signature ends within 10 days.", count));
        let help = "When the first signature in service ends, in seconds since 1970.";
        figures.extend(first.first().map(|first| gauge("signatures_expire_at_seconds", help, first.at_unix_secs)));
    }
    figures
}

/// What the device does that keeps keys, and whether it can.
fn of_device(api: &Api, device: &Device) -> Vec<Figure> {
    let counter = |name, help, value| Figure { name, help, is_counter: true, value };
    let (counts, is_in_trouble) = (device.counts(), device.trouble().is_some());
    let help = "Whether the device that keeps keys cannot be used.";
    let failures = api.dnssec.removal_failures();
    let mut figures = vec![
        counter("device_operations_total", "Tasks of the device that keeps keys.", counts.operations),
        counter("device_failures_total", "Those that failed or took too long.", counts.failures),
        counter("device_microseconds_total", "Time they took, of all sessions together.", counts.busy_us),
        Figure { name: "device_trouble", help, is_counter: false, value: u64::from(is_in_trouble) },
        counter("device_removal_failures_total", "Keys of no use that could not be removed from it.", failures),
    ];
    let waiting = api.store.read(|reader| reader.count_dropped_objects());
    let help = "Keys of no use that wait to be removed from it.";
    figures.extend(waiting.ok().map(|value: u64| Figure {
        name: "device_keys_to_remove",
        help,
        is_counter: false,
        value,
    }));
    figures
}
