//! Whole zone files against the control plane: what they would change, and having it changed.
//!
//! What a file means is the server's to say; here it is only found whose it is. Invariant: `plan` changes nothing.

use std::path::Path;

use controlplane::source::{ZoneSource, apex_of};
use serde_json::{Value, json};

use super::domain::path;
use super::parse_name;
use crate::args::Force;
use crate::difference;
use crate::failure::Failure;
use crate::output::Output;
use crate::remote::{Ask, Method, Remote};
use crate::table::Shown;

/// The longest zone file that the server takes, in bytes.
const TEXT_LEN_MAX: u64 = 32 << 20;

/// A zone file and the domain it is of.
pub(super) struct ZoneText {
    /// The domain, without a dot at the end.
    domain: String,
    /// The file's content.
    text: String,
}

/// What was or would be changed.
pub(super) struct Outcome {
    /// For the output.
    pub(super) shown: Shown,
    /// Whether anything differs.
    pub(super) differs: bool,
}

/// Reads a zone file.
///
/// # Errors
/// [`Failure::Unable`] if it cannot be read, [`Failure::Input`] if it is no text or too long.
pub(super) fn read(file: &Path) -> Result<String, Failure> {
    use std::io::Read;
    let unable = |cause: std::io::Error| Failure::Unable(format!("reading {}: {cause}", file.display()));
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(unable)?;
    opened.take(TEXT_LEN_MAX + 1).read_to_end(&mut bytes).map_err(unable)?;
    if bytes.len() as u64 > TEXT_LEN_MAX {
        return Err(Failure::Input(format!("{} is longer than {TEXT_LEN_MAX} bytes", file.display())));
    }
    String::from_utf8(bytes).map_err(|_| Failure::Input(format!("{} is no UTF-8 text", file.display())))
}

impl ZoneText {
    /// Reads a zone file of the domain `name`, or of that which the file itself tells.
    ///
    /// # Errors
    /// As [`read`], and [`Failure::Input`] if nothing tells the domain.
    pub(super) fn read(file: &Path, name: Option<&str>) -> Result<ZoneText, Failure> {
        let text = read(file)?;
        let source = ZoneSource { path: file.to_owned(), origin: name.map(parse_name).transpose()? };
        let apex = apex_of(&source, text.as_bytes()).map_err(|error| Failure::Input(error.to_string()))?;
        let domain = apex.to_string().to_ascii_lowercase();
        Ok(ZoneText { domain: domain.trim_end_matches('.').to_owned(), text })
    }

    /// What the file would change.
    ///
    /// # Errors
    /// Those of the control plane.
    pub(super) fn plan(&self, remote: &Remote, mode: &str) -> Result<Outcome, Failure> {
        if !self.is_there(remote)? {
            let text = format!("{} is not there; it would be made\n", self.domain);
            let value = json!({ "domain": self.domain, "exists": false, "dry_run": true });
            return Ok(Outcome { shown: Shown { value, text }, differs: true });
        }
        let body = json!({ "zonefile": self.text, "mode": mode, "dry_run": true });
        let found = remote.json(&Ask::with(Method::POST, &path(&self.domain, "import/"), &body))?;
        let mut text = difference::of_import(&found, &self.domain)?;
        for gate in found["gates"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            text.push_str(&format!("gate `{gate}`: apply it with --force {gate} --reason TEXT\n"));
        }
        let differs = !text.is_empty();
        if !differs {
            text = format!("{} is what the file says\n", self.domain);
        }
        Ok(Outcome { shown: Shown { value: found, text }, differs })
    }

    /// Has the domain become what the file says; it is made if it is not there.
    ///
    /// # Errors
    /// Those of the control plane; a gate that is closed names itself.
    pub(super) fn apply(
        &self,
        remote: &Remote,
        mode: &str,
        force: &Force,
        output: &mut Output<'_>,
    ) -> Result<Outcome, Failure> {
        if !self.is_there(remote)? {
            let body = json!({ "name": self.domain, "zonefile": self.text });
            let made = super::written(remote, &Ask::with(Method::POST, "/api/v1/domains/", &body), output)?;
            let text = format!("made {}\n", self.domain);
            return Ok(Outcome { shown: Shown { value: made, text }, differs: true });
        }
        let mut body = json!({ "zonefile": self.text, "mode": mode });
        if let Some(reason) = &force.reason {
            body["force"] = json!({ "gate": force.force, "reason": reason });
        }
        let path = path(&self.domain, "import/");
        let ask = Ask::with(Method::POST, &path, &body);
        let done = super::written(remote, &ask, output)?;
        let mut text = difference::of_import(&done, &self.domain)?;
        let differs = !text.is_empty();
        match done["change"].as_u64() {
            Some(change) => text.push_str(&format!("change {change}\n")),
            None => text.push_str(&format!("{} is what the file says\n", self.domain)),
        }
        Ok(Outcome { shown: Shown { value: done, text }, differs })
    }

    /// Whether the domain is there.
    fn is_there(&self, remote: &Remote) -> Result<bool, Failure> {
        let answer = remote.send(&Ask::get(&path(&self.domain, "")))?;
        if answer.status == 404 { Ok(false) } else { answer.success().map(|_| true) }
    }
}
