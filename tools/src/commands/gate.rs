//! Gates on the command line: what forces them, what a closed one tells, and the very command line that would force it.
//!
//! The rule is `controlplane::gate`'s. Invariant: the command line that is shown is the one that was typed, with what forces
//! the gates added, so that it can be copied.

use std::ffi::OsString;
use std::fmt::{self, Display};

use controlplane::gate::{Force, Gate, Loss, Reason};
use serde::Serialize;
use serde_json::{Map, json};

use crate::args;
use crate::failure::Failure;

/// How many losses a message shows; the JSON has all.
const SHOWN_COUNT_MAX: usize = 20;

/// A loss, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LossRow {
    /// The gate.
    gate: &'static str,
    /// The zone; null if it is about all zones together.
    zone: Option<String>,
    /// How many names there were.
    before: u64,
    /// How many there would be.
    after: u64,
    /// All that as part of a sentence.
    #[serde(skip)]
    text: String,
}

/// What the command line forces.
///
/// # Errors
/// [`Failure::Usage`] for a gate that there is not, or a reason that is none.
pub(super) fn force_of(args: &args::Force) -> Result<Option<Force>, Failure> {
    let Some(reason) = &args.reason else { return Ok(None) };
    let gate = |name: &String| {
        let names = Gate::ALL.map(Gate::name).join("`, `");
        Gate::of_name(name).ok_or_else(|| Failure::Usage(format!("there is no gate `{name}`; there are `{names}`")))
    };
    let gates = args.force.iter().map(gate).collect::<Result<Vec<Gate>, Failure>>()?;
    let reason = Reason::new(reason).map_err(|wrong| Failure::Usage(format!("--reason: {wrong}")))?;
    Ok(Some(Force { gates, reason }))
}

/// The failure of losses because of which nothing was published.
pub(super) fn refusal(losses: &[Loss]) -> Failure {
    let rows: Vec<LossRow> = losses.iter().map(LossRow::of).collect();
    failure(&rows, &force_with(losses), "nothing is published")
}

/// The failure of losses: what would be lost, what became of the rest, and how to force it.
pub(super) fn failure(losses: &[LossRow], force_with: &str, rest: &str) -> Failure {
    let mut lines: Vec<String> = losses.iter().take(SHOWN_COUNT_MAX).map(ToString::to_string).collect();
    match losses.len() - lines.len() {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    lines.push(format!("{rest}; to force it: {force_with}"));
    let mut details = Map::new();
    details.insert("refused".into(), json!(losses));
    details.insert("force_with".into(), json!(force_with));
    Failure::Gate { message: lines.join("\n"), details }
}

/// The command line of this process with what forces the gates of these losses.
pub(super) fn force_with(losses: &[Loss]) -> String {
    let words: Vec<OsString> = std::env::args_os().collect();
    let gates: Vec<Gate> = Gate::ALL.into_iter().filter(|gate| losses.iter().any(|loss| loss.gate == *gate)).collect();
    forced(&words, &gates)
}

/// A command line with these gates forced as well.
fn forced(words: &[OsString], gates: &[Gate]) -> String {
    let words: Vec<String> = words.iter().skip(1).map(|word| quoted(&word.to_string_lossy())).collect();
    // What follows two hyphens are files.
    let at = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let has_reason = words[..at].iter().any(|word| word == "--reason" || word.starts_with("--reason="));
    let mut line = vec!["dnsctl".to_owned()];
    line.extend_from_slice(&words[..at]);
    line.extend(gates.iter().map(|gate| format!("--force {}", gate.name())));
    if !has_reason {
        line.push("--reason TEXT".to_owned());
    }
    line.extend_from_slice(&words[at..]);
    line.join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=@%+,".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl LossRow {
    /// Of a loss.
    pub(super) fn of(loss: &Loss) -> LossRow {
        let Loss { gate, zone, before, after } = loss;
        let (gate, zone, text) = (gate.name(), zone.as_ref().map(ToString::to_string), loss.to_string());
        LossRow { gate, zone, before: *before, after: *after, text }
    }
}

impl Display for LossRow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} (gate `{}`)", self.text, self.gate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_that_forces_a_gate_can_be_copied() {
        let both = [Gate::Shrink, Gate::ShrinkTotal];
        for (words, gates, expected) in [
            (
                "/usr/bin/dnsctl compile --out d a.zone",
                &both[..1],
                "dnsctl compile --out d a.zone --force shrink --reason TEXT",
            ),
            (
                "x compile --out d --force shrink --reason moved away a.zone",
                &both[1..],
                "dnsctl compile --out d --force shrink --reason 'moved away' a.zone --force shrink-total",
            ),
            (
                "x compile --out d -- -a.zone",
                &both,
                "dnsctl compile --out d --force shrink --force shrink-total --reason TEXT -- -a.zone",
            ),
            ("x up --zone it's", &both[..1], r"dnsctl up --zone 'it'\''s' --force shrink --reason TEXT"),
        ] {
            let words = words.replace("moved away", "moved_away");
            let words: Vec<OsString> = words.split(' ').map(|word| word.replace('_', " ").into()).collect();
            assert_eq!(forced(&words, gates), expected);
        }
    }

    #[test]
    fn gates_and_reasons_of_the_command_line_are_checked() {
        let args = |gates: &[&str], reason: &str| args::Force {
            force: gates.iter().map(|&gate| gate.into()).collect(),
            reason: Some(reason.into()),
        };
        assert_eq!(force_of(&args::Force::default()).unwrap(), None);
        let force = force_of(&args(&["shrink", "shrink-total", "unsign"], "moved")).unwrap().unwrap();
        assert_eq!((force.gates.as_slice(), force.reason.as_str()), (&Gate::ALL[..], "moved"));
        for (gates, reason, text) in [
            (&["shrunk"][..], "moved", "there is no gate `shrunk`; there are `shrink`, `shrink-total`, `unsign`"),
            (&["shrink"], " ", "--reason: This field may not be blank."),
        ] {
            let failure = force_of(&args(gates, reason)).unwrap_err();
            assert_eq!((failure.exit_code(), failure.to_string().as_str()), (2, text));
        }
    }

    #[test]
    fn a_refusal_tells_people_and_programs_the_same() {
        let zone = Some("big.test.".parse().unwrap());
        let losses = [
            Loss { gate: Gate::Shrink, zone, before: 12_000, after: 7 },
            Loss { gate: Gate::ShrinkTotal, zone: None, before: 12_000, after: 0 },
        ];
        let Failure::Gate { message, details } = refusal(&losses) else { panic!("another failure") };
        let first = "zone big.test. would shrink from 12000 to 7 names (gate `shrink`)\nall zones together would";
        assert!(
            message.starts_with(first) && message.contains("\nnothing is published; to force it: dnsctl "),
            "{message}"
        );
        let expected = json!({"gate": "shrink", "zone": "big.test.", "before": 12_000, "after": 7});
        assert_eq!((&details["refused"][0], &details["refused"][1]["zone"]), (&expected, &json!(null)));
    }
}
