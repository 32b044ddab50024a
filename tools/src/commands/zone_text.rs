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
use crate::output::{Counted, Output};
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
            let body = json!({ "name": self.domain, "zonefile": self.text });
            let mut found = remote.json(&Ask::with(Method::POST, "/api/v1/domains/?dry_run=true", &body))?;
            let text = self.first(&found)?;
            found["exists"] = false.into();
            return Ok(Outcome { shown: Shown { value: found, text }, differs: true });
        }
        let body = json!({ "zonefile": self.text, "mode": mode, "dry_run": true });
        let found = remote.json(&Ask::with(Method::POST, &path(&self.domain, "import/"), &body))?;
        let mut text = difference::of_import(&found, &self.domain)?;
        let differs = !text.is_empty();
        text.push_str(&gates(&found));
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
            let mut body = json!({ "name": self.domain, "zonefile": self.text });
            put_force(&mut body, force);
            // A file that is signed is not to become a domain that is not without a word.
            let path = "/api/v1/domains/?refuse_signed=true";
            let made = super::written(remote, &Ask::with(Method::POST, path, &body), output)?;
            let text = format!("made {}\n", self.domain);
            return Ok(Outcome { shown: Shown { value: made, text }, differs: true });
        }
        let mut body = json!({ "zonefile": self.text, "mode": mode });
        put_force(&mut body, force);
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

    /// What a domain would be that the file makes: all its records, and what of it the server does otherwise than the file.
    fn first(&self, found: &Value) -> Result<String, Failure> {
        let domain = &self.domain;
        let mut text = format!("{domain} is not there; it would be made\n{}", difference::of_import(found, domain)?);
        let mut line = |words: String| text.push_str(&format!("{}\n", crate::output::printable(&words)));
        if let Some(names) = found["replaces_names"].as_u64() {
            line(format!(
                "note: it takes the place of a zone from a file that is served now, of {}",
                Counted(names, "name")
            ));
        }
        let words = |value: &Value| {
            let words: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            words.join(" ")
        };
        line(format!(
            "note: the SOA record is the server's, {} and a serial of its own, not the file's",
            words(&found["soa"])
        ));
        line(format!(
            "note: the NS records of {domain} are the server's, {}, not the file's",
            words(&found["nameservers"])
        ));
        let report = &found["report"];
        let count = |value: &Value| value.as_u64().filter(|count| *count > 0);
        if let Some(raised) = count(&report["ttls"]["raised"]) {
            let least = &found["minimum_ttl"];
            line(format!("note: the TTL of {} is raised to the server's least, {least} s", Counted(raised, "RRset")));
        }
        if let Some(lowered) = count(&report["ttls"]["lowered"]) {
            line(format!("note: the TTL of {} is lowered to the server's greatest", Counted(lowered, "RRset")));
        }
        if let Some(ignored) = count(&report["ignored"]["count"]) {
            let why = "made by the server itself, or outside of the domain";
            line(format!(
                "note: {} of the file {} left out: {why}",
                Counted(ignored, "record"),
                if ignored == 1 { "is" } else { "are" }
            ));
        }
        if found["truncated"] == true {
            line("note: not all records are shown".into());
        }
        text.push_str(&gates(found));
        Ok(text)
    }

    /// Whether the domain is there.
    fn is_there(&self, remote: &Remote) -> Result<bool, Failure> {
        let answer = remote.send(&Ask::get(&path(&self.domain, "")))?;
        if answer.status == 404 { Ok(false) } else { answer.success().map(|_| true) }
    }
}

/// A line for each gate that has to be forced.
fn gates(found: &Value) -> String {
    let gates = found["gates"].as_array().into_iter().flatten().filter_map(Value::as_str);
    gates.map(|gate| format!("gate `{gate}`: apply it with --force {gate} --reason TEXT\n")).collect()
}

/// Puts what is forced into a body.
fn put_force(body: &mut Value, force: &Force) {
    if let Some(reason) = &force.reason {
        body["force"] = json!({ "gate": force.force, "reason": reason });
    }
}
