//! Gates in requests and refusals: how a client forces one, and how a closed one is told.
//!
//! The rule is [`crate::gate`]'s. Invariant: every door that takes content whole speaks of gates in the same words.

use serde_json::{Value, json};

use super::Api;
use crate::gate::{Force, Gate, Reason, is_shrink};
use crate::http::call::Call;
use crate::http::reply::Refusal;
use crate::zonetext::DnssecRecords;

/// How many names there are, and how many of them go.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names {
    /// How many there are.
    pub(super) before: usize,
    /// How many go.
    pub(super) gone: usize,
}

impl Names {
    /// The gate that has to be forced, if one has.
    pub(super) fn gate(self) -> Option<Gate> {
        is_shrink(self.before as u64, self.gone as u64).then_some(Gate::Shrink)
    }

    /// Refuses what goes through a gate that is not forced.
    pub(super) fn pass(self, force: Option<&Force>) -> Result<(), Refusal> {
        match self.gate() {
            Some(gate) if !force.is_some_and(|force| force.opens(gate)) => Err(self.refusal(gate)),
            _ => Ok(()),
        }
    }

    /// 409 with the name of the gate.
    fn refusal(self, gate: Gate) -> Refusal {
        let Names { before, gone } = self;
        let detail = format!(
            "This would remove {gone} of {before} names, more than a fifth. Force the gate with a reason if that is meant."
        );
        Refusal::json(
            409,
            json!({ "detail": detail, "gate": gate.name(), "names": { "before": before, "gone": gone } }),
        )
    }
}

/// What a zone file has from whoever signed it, for a domain that is or would be signed here, or is not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signatures {
    /// What is left out of the file.
    pub(super) dnssec: DnssecRecords,
    /// Whether the domain is signed here.
    pub(super) is_signed: bool,
}

impl Signatures {
    /// The gate that has to be forced, if one has: to whoever has a DS of the domain it would be bogus.
    pub(super) fn gate(self) -> Option<Gate> {
        (self.dnssec.is_signed() && !self.is_signed).then_some(Gate::Unsign)
    }

    /// Refuses what goes through a gate that is not forced: 409 with the name of the gate.
    pub(super) fn pass(self, force: Option<&Force>) -> Result<(), Refusal> {
        let Some(gate) = self.gate().filter(|gate| !force.is_some_and(|force| force.opens(*gate))) else {
            return Ok(());
        };
        let detail = format!(
            "The file is signed, and its {} DNSSEC records are not taken over; the domain is not signed here, so that \
             whoever has a DS of it would find it bogus. Import its keys (dnsctl key import) and sign it here (dnsctl dnssec \
             enable) first, or force the gate with a reason if its parent has no DS of it.",
            self.dnssec.count
        );
        Err(Refusal::json(409, json!({ "detail": detail, "gate": gate.name() })))
    }

    /// What is to be said of an import that was done; nothing if nothing of that kind was in the file.
    pub(super) fn note(self) -> Option<String> {
        let Signatures { dnssec: DnssecRecords { count, .. }, is_signed } = self;
        let rest = if is_signed {
            "the domain is signed here, so the DS records at its parent must be of its keys here (dnsctl dnssec ds)"
        } else {
            "the domain is not signed here"
        };
        (count > 0).then(|| format!("{count} DNSSEC records of the file were left out: {rest}"))
    }
}

/// What a body forces: the field `force`, with a gate or a list of them, and the reason.
pub(super) fn of_body(force: Option<&Value>) -> Result<Option<Force>, Refusal> {
    let Some(force) = force.filter(|force| !force.is_null()) else { return Ok(None) };
    let refuse = |name: &str, text: &str| Refusal::json(400, json!({ "force": { name: [text] } }));
    let gate = |name: &Value| name.as_str().and_then(Gate::of_name);
    let gates: Option<Vec<Gate>> = match force.get("gate") {
        Some(Value::Array(names)) if !names.is_empty() => names.iter().map(gate).collect(),
        Some(name) => gate(name).map(|gate| vec![gate]),
        None => None,
    };
    let gates = gates.ok_or_else(|| refuse("gate", "There is no such gate."))?;
    let reason = force.get("reason").and_then(Value::as_str).unwrap_or_default();
    let reason = Reason::new(reason).map_err(|wrong| refuse("reason", wrong))?;
    Ok(Some(Force { gates, reason }))
}

/// What a query forces, in the form of a body: `gate` and `reason`.
pub(super) fn of_query(call: &Call<Api>) -> Option<Value> {
    call.query("gate").map(|gate| json!({ "gate": gate, "reason": call.query("reason") }))
}
