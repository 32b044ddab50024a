//! Alarms: what the operator must know before it is too late, told in the log and to a command of theirs.
//!
//! Who looks for trouble is `api::alarms`; here it is decided when it is told again, and how. Invariants: the same trouble is told
//! once a day, and a kind of trouble once an hour, however many domains it strikes; whoever tells waits for no command.

mod hook;

use std::collections::HashMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use tracing::{error, warn};

/// How long it takes until the same is told again.
const AGAIN: Duration = Duration::from_secs(86_400);
/// The same for all of a kind together: what comes meanwhile is told at once then.
const APART: Duration = Duration::from_secs(3600);
/// How many subjects an alarm shows.
const SHOWN_MAX: usize = 20;
/// How much of what is said of each, in characters.
const TEXT_LEN_MAX: usize = 400;

/// What an alarm can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Signatures in service end soon.
    Expiring,
    /// Signed domains that keep older content, and older signatures.
    Refused,
    /// The time is not believed, so nothing is signed.
    Clock,
    /// Domains that are due are not signed anew.
    Renewal,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What it is about: a domain, or nothing if there is only one such thing.
    pub(crate) subject: String,
    /// What is wrong with it.
    pub(crate) text: String,
}

/// What is to be told.
#[derive(Debug, PartialEq, Eq)]
struct Alarm {
    /// In a line.
    summary: String,
    /// In lines.
    body: String,
}

/// What was told, and whom to tell.
#[derive(Debug)]
pub(crate) struct Alarms {
    /// The command with its arguments; nothing if there is none.
    command: Vec<String>,
    /// When a trouble was told last, by kind and subject.
    told: HashMap<(Kind, String), Instant>,
    /// When anything of a kind was.
    last: HashMap<Kind, Instant>,
}

impl Kind {
    /// As the command is told.
    fn as_str(self) -> &'static str {
        match self {
            Kind::Expiring => "expiring",
            Kind::Refused => "refused",
            Kind::Clock => "clock",
            Kind::Renewal => "renewal",
        }
    }

    /// What is wrong, for so many subjects.
    fn summary(self, count: u64) -> String {
        let domains = if count == 1 { "signed domain" } else { "signed domains" };
        match self {
            Kind::Expiring => format!("signatures of {count} {domains} end soon"),
            Kind::Refused => format!("{count} {domains} cannot be published anew"),
            Kind::Clock => "nothing is signed, as the clock is not believed".to_owned(),
            Kind::Renewal => "signatures are not renewed".to_owned(),
        }
    }
}

impl Alarms {
    /// Tells the log, and the command if there is one.
    pub(crate) fn new(command: Vec<String>) -> Alarms {
        Alarms { command, told: HashMap::new(), last: HashMap::new() }
    }

    /// Tells what is wrong now of a kind, as far as it is time to; `count` is how many there are, if not all are listed. The command
    /// runs on a thread of its own.
    pub(crate) fn tell(&mut self, kind: Kind, troubles: &[Trouble], count: u64, now: Instant) {
        let Some(Alarm { summary, body }) = self.take(kind, troubles, count, now) else { return };
        error!(alarm = kind.as_str(), "{summary}: {}", body.trim_end().replace('\n', "; "));
        if self.command.is_empty() {
            return;
        }
        let (command, text) = (self.command.clone(), format!("Subject: Petrel: {summary}\n\n{body}"));
        let run = move || {
            hook::run(&command, kind.as_str(), &text, hook::PATIENCE)
                .unwrap_or_else(|cause| warn!("the alarm was not passed on: {cause}"));
        };
        if let Err(cause) = std::thread::Builder::new().name("alarm".into()).spawn(run) {
            warn!("the alarm was not passed on: {cause}");
        }
    }

    /// What is to be told now.
    fn take(&mut self, kind: Kind, troubles: &[Trouble], count: u64, now: Instant) -> Option<Alarm> {
        // What is over and comes again is new.
        self.told.retain(|(of, subject), _| *of != kind || troubles.iter().any(|trouble| trouble.subject == *subject));
        let is_recent = |at: &Instant, time| now.saturating_duration_since(*at) < time;
        if self.last.get(&kind).is_some_and(|at| is_recent(at, APART)) {
            return None;
        }
        let key = |trouble: &Trouble| (kind, trouble.subject.clone());
        if troubles.iter().all(|trouble| self.told.get(&key(trouble)).is_some_and(|at| is_recent(at, AGAIN))) {
            return None;
        }
        self.told.extend(troubles.iter().map(|trouble| (key(trouble), now)));
        self.last.insert(kind, now);
        let mut body = String::new();
        for Trouble { subject, text } in troubles.iter().take(SHOWN_MAX) {
            let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_LEN_MAX).collect();
            let between = if subject.is_empty() { "" } else { ": " };
            // A string takes everything.
            writeln!(body, "{subject}{between}{text}").ok();
        }
        let shown = u64::try_from(troubles.len().min(SHOWN_MAX)).unwrap_or(u64::MAX);
        if count > shown {
            writeln!(body, "and {} more", count - shown).ok();
        }
        Some(Alarm { summary: kind.summary(count), body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Troubles with these subjects.
    fn troubles(subjects: &[&str]) -> Vec<Trouble> {
        subjects.iter().map(|subject| Trouble { subject: (*subject).into(), text: "bad".into() }).collect()
    }

    /// What is told of these subjects some hours later, or nothing.
    fn check(alarms: &mut Alarms, begun: Instant, hours: u64, subjects: &[&str], expected: &str) {
        let troubles = troubles(subjects);
        let now = begun + Duration::from_secs(hours * 3600);
        let alarm = alarms.take(Kind::Refused, &troubles, troubles.len() as u64, now);
        let found = alarm.map_or_else(String::new, |alarm| alarm.body.replace(": bad\n", " "));
        assert_eq!(found.trim_end(), expected, "after {hours} h");
    }

    #[test]
    fn the_same_is_told_daily_and_what_is_new_within_the_hour() {
        let (mut alarms, begun) = (Alarms::new(Vec::new()), Instant::now());
        check(&mut alarms, begun, 0, &[], "");
        check(&mut alarms, begun, 0, &["a", "b"], "a b");
        check(&mut alarms, begun, 0, &["a", "b", "c"], "");
        check(&mut alarms, begun, 1, &["a", "b", "c"], "a b c");
        check(&mut alarms, begun, 24, &["a", "b", "c"], "");
        check(&mut alarms, begun, 25, &["a", "b"], "a b");
        check(&mut alarms, begun, 26, &["b"], "");
        check(&mut alarms, begun, 27, &["a", "b"], "a b");
        check(&mut alarms, begun, 28, &[], "");
        check(&mut alarms, begun, 28, &["b"], "b");
    }

    #[test]
    fn kinds_do_not_wait_for_each_other() {
        let (mut alarms, now) = (Alarms::new(Vec::new()), Instant::now());
        assert!(alarms.take(Kind::Clock, &troubles(&[""]), 1, now).is_some());
        assert!(alarms.take(Kind::Expiring, &troubles(&["a"]), 1, now).is_some());
        assert!(alarms.take(Kind::Clock, &troubles(&[""]), 1, now).is_none());
    }

    #[test]
    fn an_alarm_is_short_and_has_no_control_characters() {
        let names: Vec<String> = (0..100).map(|n| format!("d{n}")).collect();
        let mut troubles = troubles(&names.iter().map(String::as_str).collect::<Vec<_>>());
        troubles[0].text = format!("two\nlines{}", "x".repeat(1000));
        let alarm = Alarms::new(Vec::new()).take(Kind::Expiring, &troubles, 5000, Instant::now()).unwrap();
        assert_eq!(alarm.summary, "signatures of 5000 signed domains end soon");
        assert_eq!(alarm.body.lines().count(), SHOWN_MAX + 1);
        assert!(alarm.body.starts_with("d0: two linesx") && alarm.body.ends_with("and 4980 more\n"), "{}", alarm.body);
        assert!(alarm.body.len() < SHOWN_MAX * (TEXT_LEN_MAX + 10));
    }
}
