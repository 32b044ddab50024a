//! `dnsctl push`: has a running data plane take the newest generation and waits until it serves it.
//!
//! It publishes nothing itself. Invariant: success means that the data plane has said it serves the generation.

use std::fmt::{self, Display};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use snapshot::handover::Directory;

use crate::args::{Push, control_path};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::Output;

/// What the data plane acknowledged.
#[derive(Debug, Serialize)]
struct Report {
    /// The generation it serves.
    generation: u64,
    /// Whether this push brought it.
    fresh: bool,
    /// Milliseconds from the request to being served, as the data plane counted them.
    millis: f64,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Input`] if the data plane refuses the generation, [`Failure::Unable`] if it cannot be reached.
pub(crate) fn run(args: &Push, global: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let path = control_path(args.to.as_deref(), args.dir_named.as_deref(), global)?;
    let newest = args.dir_named.as_deref().or(global).and_then(newest);
    let serving = Client::connect(&path, Duration::from_secs(args.wait))?.reload()?;
    if let Some(newest) = newest.filter(|&newest| newest > serving.generation) {
        let serving = serving.generation;
        let message = format!(
            "the data plane serves generation {serving}, but the directory holds {newest}: does it follow another directory?"
        );
        return Err(Failure::Input(message));
    }
    output.report(&Report { generation: serving.generation, fresh: serving.fresh, millis: serving.millis })
}

/// The generation that `CURRENT` of a directory names, if it can be told.
fn newest(directory: &Path) -> Option<u64> {
    let current = Directory::open(directory).ok()?.current().ok()??;
    Some(current.manifest.generation.0)
}

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { generation, fresh, millis } = self;
        match fresh {
            true => writeln!(out, "serving generation {generation} after {millis:.1} ms"),
            false => writeln!(out, "generation {generation} was being served already ({millis:.1} ms)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::{fake_plane, frame};
    use crate::output::{Format, tests::capture};
    use snapshot::handover::frames::{Reply, Serving};

    /// Pushes to a plane that gives `reply`; result code, standard output.
    fn push(format: Format, reply: &Reply) -> (u8, String) {
        let dir = tempfile::tempdir().unwrap();
        let plane = fake_plane(&dir.path().join("control"), frame(reply));
        let args = Push { dir_named: Some(dir.path().to_owned()), to: None, wait: 5 };
        let (result, out, _) = capture(format, |output| run(&args, None, output));
        plane.join().unwrap();
        (result.map_or_else(|failure| failure.exit_code(), |()| 0), out)
    }

    #[test]
    fn an_acknowledgement_is_printed_and_a_refusal_is_bad_input() {
        let fresh = Reply::Serving(Serving { generation: 8, fresh: true, millis: 1.25 });
        assert_eq!(push(Format::Text, &fresh), (0, "serving generation 8 after 1.2 ms\n".into()));
        assert_eq!(push(Format::Json, &fresh), (0, "{\"generation\":8,\"fresh\":true,\"millis\":1.25}\n".into()));
        let same = Reply::Serving(Serving { generation: 8, fresh: false, millis: 0.0 });
        assert_eq!(push(Format::Text, &same).1, "generation 8 was being served already (0.0 ms)\n");
        assert_eq!(push(Format::Text, &Reply::Error { message: "broken".into() }), (1, String::new()));
    }
}
