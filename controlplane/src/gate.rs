//! Gates: content that arrives whole and loses much of what was there, or its signatures, is probably a mistake. It is refused,
//! unless somebody forces the gate and says why.
//!
//! Here are the rule, the names of the gates and what forces them, for whoever compiles or imports; who loses what is for
//! them to find out. A change that names what it removes passes no gate. Invariant: nothing else decides what is too much.

use std::fmt;

use snapshot::dns::name::Name;

/// So many names may always go.
const FREE_NAME_COUNT: u64 = 100;
/// And of more than that, one in so many.
const FREE_SHARE: u64 = 5;
/// The longest reason in characters.
const REASON_LEN_MAX: usize = 1000;

/// A gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// A zone loses much.
    Shrink,
    /// All zones of a publication together lose much.
    ShrinkTotal,
    /// What was signed elsewhere is imported without its signatures.
    Unsign,
}

/// Why a gate is forced: one line that is not blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

/// Gates that are forced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Force {
    /// Which.
    pub gates: Vec<Gate>,
    /// Why.
    pub reason: Reason,
}

/// Names that would go, and more of them than a gate lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The gate.
    pub gate: Gate,
    /// The zone; none if it is about all zones together.
    pub zone: Option<Name>,
    /// How many names there were.
    pub before: u64,
    /// How many there would be.
    pub after: u64,
}

/// Whether content that had `before` names loses too much when `gone` of them go: more than 100 and more than a fifth.
#[must_use]
pub fn is_shrink(before: u64, gone: u64) -> bool {
    gone > FREE_NAME_COUNT && gone > before / FREE_SHARE
}

impl Gate {
    /// All of them.
    pub const ALL: [Gate; 3] = [Gate::Shrink, Gate::ShrinkTotal, Gate::Unsign];

    /// What refusals call it and whoever forces it writes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Gate::Shrink => "shrink",
            Gate::ShrinkTotal => "shrink-total",
            Gate::Unsign => "unsign",
        }
    }

    /// The gate of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Gate> {
        Gate::ALL.into_iter().find(|gate| gate.name() == name)
    }
}

impl Reason {
    /// Takes a reason without the blanks around it.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub fn new(text: &str) -> Result<Reason, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("This field may not be blank.");
        }
        if text.chars().count() > REASON_LEN_MAX || text.chars().any(char::is_control) {
            return Err("A reason is one line of at most 1000 characters.");
        }
        Ok(Reason(text.to_owned()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> String {
        reason.0
    }
}

impl Force {
    /// Whether a gate is open.
    #[must_use]
    pub fn opens(&self, gate: Gate) -> bool {
        self.gates.contains(&gate)
    }
}

impl Loss {
    /// The loss of content that had and would have so many names, if it is too much.
    #[must_use]
    pub fn of(gate: Gate, zone: Option<&Name>, before: u64, after: u64) -> Option<Loss> {
        let is_too_much = is_shrink(before, before.saturating_sub(after));
        is_too_much.then(|| Loss { gate, zone: zone.cloned(), before, after })
    }
}

/// Writes it as part of a sentence: `zone big.test. would shrink from 1000 to 100 names`.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Loss { zone, before, after, .. } = self;
        match (zone, after) {
            (Some(zone), 0) => write!(f, "zone {zone} would go with its {before} names"),
            (Some(zone), _) => write!(f, "zone {zone} would shrink from {before} to {after} names"),
            (None, _) => write!(f, "all zones together would shrink from {before} to {after} names"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_a_fifth_and_more_than_a_hundred_names_are_too_much() {
        for (before, gone, expected) in [
            (0, 0, false),
            (100, 100, false),
            (101, 101, true),
            (500, 100, false),
            (504, 101, true),
            (505, 101, false),
            (506, 101, false),
            (1000, 200, false),
            (1000, 201, true),
            (1_000_000, 200_000, false),
            (1_000_000, 200_001, true),
            (u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(is_shrink(before, gone), expected, "{gone} of {before}");
        }
    }

    #[test]
    fn growth_is_no_loss_and_losses_tell_what_goes() {
        let zone: Name = "big.test.".parse().unwrap();
        let text = |zone, before, after| Loss::of(Gate::Shrink, zone, before, after).map(|loss| loss.to_string());
        assert_eq!(text(Some(&zone), 1000, 2000), None);
        assert_eq!(text(Some(&zone), 0, 1000), None);
        assert_eq!(text(Some(&zone), 1000, 800), None);
        let expected = "zone big.test. would shrink from 1000 to 799 names";
        assert_eq!(text(Some(&zone), 1000, 799).as_deref(), Some(expected));
        assert_eq!(text(Some(&zone), 101, 0).as_deref(), Some("zone big.test. would go with its 101 names"));
        let expected = "all zones together would shrink from 1000 to 0 names";
        assert_eq!(text(None, 1000, 0).as_deref(), Some(expected));
    }

    #[test]
    fn gates_have_names_and_reasons_are_lines() {
        assert_eq!(Gate::ALL.map(|gate| Gate::of_name(gate.name())), Gate::ALL.map(Some));
        assert_eq!(Gate::of_name("Shrink"), None);
        assert_eq!(Reason::new(" moved away ").map(String::from), Ok("moved away".into()));
        for wrong in ["", " \t", "two\nlines", &"x".repeat(1001)] {
            assert!(Reason::new(wrong).is_err(), "{wrong:?}");
        }
        assert!(Reason::new(&"ä".repeat(1000)).is_ok());
        let force = Force { gates: vec![Gate::ShrinkTotal], reason: Reason::new("x").unwrap() };
        assert_eq!((force.opens(Gate::Shrink), force.opens(Gate::ShrinkTotal)), (false, true));
    }
}
