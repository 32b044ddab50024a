//! `dnsctl key`: the key that signs snapshots, which is made here, and those of domains, which are `zone_key`'s.
//!
//! Invariant: the secret half of the first goes into its file and nowhere else.

use std::fmt::{self, Display};
use std::path::Path;

use serde::Serialize;
use snapshot::handover::explain;
use snapshot::image::SigningKey;

use super::zone_key;
use crate::args::{Key, KeyKind};
use crate::failure::Failure;
use crate::output::Output;

/// The key.
#[derive(Debug, Serialize)]
struct Report {
    /// The file of the secret half.
    file: String,
    /// Whether it was made now.
    fresh: bool,
    /// The public half in hexadecimal digits.
    public: String,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Unable`] if the file cannot be made, [`Failure::Input`] if what is there is no key, or no secret; those of
/// [`zone_key::run`].
pub(crate) fn run(args: &Key, dir: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let KeyKind::Snapshot { file } = &args.kind else { return zone_key::run(args, dir, output) };
    let fresh = !file.exists();
    let key = if fresh {
        SigningKey::generate_into(file).map_err(|cause| Failure::Unable(explain(&cause)))?
    } else {
        SigningKey::read(file).map_err(|cause| Failure::Input(explain(&cause)))?
    };
    output.report(&Report { file: file.display().to_string(), fresh, public: key.public().to_string() })
}

impl Display for Report {
    /// The public half alone, so that it can be written to a file for `dns-dataplane --trust`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Reach;
    use crate::output::Format;
    use crate::output::tests::capture;

    #[test]
    fn a_key_is_made_once_and_shown_again() {
        let dir = tempfile::tempdir().unwrap();
        let of = |file| Key { reach: Reach::default(), kind: KeyKind::Snapshot { file: dir.path().join(file) } };
        let args = of("key");
        let (made, first, _) = capture(Format::Text, |output| run(&args, None, output));
        let (shown, second, _) = capture(Format::Text, |output| run(&args, None, output));
        assert!(made.is_ok() && shown.is_ok());
        assert_eq!((first.len(), &first), (65, &second));
        let args = of("none/key");
        assert!(matches!(capture(Format::Text, |output| run(&args, None, output)).0, Err(Failure::Unable(_))));
    }
}
