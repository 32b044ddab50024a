//! `/metrics` in the Prometheus text exposition format 0.0.4.
//!
//! Counters come from the data planes under names of their own; here they get their prefix, HELP and TYPE, and a
//! `plane` label. Invariant: whatever a plane reports, the page parses: names are checked, label values escaped, each
//! family is announced once and no sample stands twice. What does not fit is left out and counted.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use snapshot::handover::frames::Counter;

use crate::planes::{Planes, State};

/// The media type of the page.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What every name of ours begins with.
const PREFIX: &str = "dns_";

/// HELP of the counters that data planes are known to report; others get a general line.
const HELP: &[(&str, &str)] = &[
    ("queries_total", "Queries received, by transport."),
    ("replies_total", "Replies sent, by RCODE."),
    ("truncated_total", "Replies with TC set."),
    ("drops_total", "Datagrams that got no reply, by reason."),
    ("restrained_total", "Replies without an answer, empty or refusing, by the limit that was passed."),
    ("udp_unproven_query_bytes_total", "Bytes of queries over UDP without a valid cookie that got a reply."),
    ("udp_unproven_reply_bytes_total", "Bytes of the replies to them."),
    ("udp_amplification_percent_max", "Longest reply over UDP without a valid cookie, in percent of its query."),
    ("reloads_total", "Generations asked for, by result."),
    ("quarantined_total", "Different packets that made the answering code panic; the status shows the latest."),
    ("panics_total", "Packets that made the answering code panic."),
    ("tcp_connections", "Open TCP connections."),
    ("tcp_connections_total", "TCP connections accepted."),
];

/// One metric with all its samples.
struct Family {
    /// Its HELP line, already free of line breaks.
    help: String,
    /// `counter` or `gauge`.
    kind: &'static str,
    /// Values by their rendered labels, so that none stands twice.
    samples: BTreeMap<String, u64>,
}

/// All metrics by name.
#[derive(Default)]
struct Page {
    /// By full name.
    families: BTreeMap<String, Family>,
    /// How many reported counters were left out.
    left_out_count: u64,
}

/// A number of this process for the page.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// The metric's name without our prefix.
    pub name: &'static str,
    /// What it tells.
    pub help: &'static str,
    /// Whether it only grows.
    pub is_counter: bool,
    /// The value.
    pub value: u64,
}

/// The whole page.
pub(super) fn render(planes: &Planes, figures: &[Figure]) -> String {
    let mut page = Page::default();
    let labels = [("version", env!("CARGO_PKG_VERSION"))];
    page.gauge("controlplane_build_info", "Always 1; the version of this process is in the label.", &labels, 1);
    if let Ok(newest) = planes.newest() {
        let help = "Newest generation of the snapshot directory, 0 for none.";
        page.gauge("snapshot_generation", help, &[], newest.unwrap_or(0));
    }
    for figure in figures {
        page.gauge(figure.name, figure.help, &[], figure.value);
        if figure.is_counter
            && let Some(family) = page.families.get_mut(&format!("{PREFIX}{}", figure.name))
        {
            family.kind = "counter";
        }
    }
    for (path, state) in planes.states() {
        page.plane(&path.to_string_lossy(), &state);
    }
    let left_out_count = page.left_out_count;
    let help = "Counters of data planes that could not be shown, of this page.";
    page.gauge("controlplane_counters_left_out", help, &[], left_out_count);
    page.to_string()
}

impl Page {
    /// Adds what is known of one plane.
    fn plane(&mut self, path: &str, state: &State) {
        let plane = [("plane", path)];
        let up = u64::from(state.attached().is_some());
        self.gauge("plane_up", "Whether the data plane answered the latest poll.", &plane, up);
        let Some(attached) = state.attached() else { return };
        let status = &attached.status;
        if let Some(generation) = status.generation {
            self.gauge("plane_generation", "Generation the data plane serves.", &plane, generation);
        }
        self.gauge("plane_zones", "Zones the data plane serves.", &plane, status.zones);
        self.gauge("plane_snapshot_bytes", "Bytes of snapshot memory of the data plane.", &plane, status.bytes);
        self.gauge("plane_workers", "Workers of the data plane.", &plane, u64::from(status.workers));
        self.gauge("plane_uptime_seconds", "Seconds since the data plane started.", &plane, status.uptime_secs);
        let refused = u64::from(status.refused.is_some());
        self.gauge("plane_refuses_newest", "Whether the data plane refused the newest generation.", &plane, refused);
        let build = [("plane", path), ("version", status.version.as_str()), ("engine", status.engine.as_str())];
        self.gauge("plane_build_info", "Always 1; version and engine are in the labels.", &build, 1);
        for counter in &attached.counters {
            self.counter(path, counter);
        }
    }

    /// Adds a gauge of our own.
    fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        let family = || Family { help: help.to_owned(), kind: "gauge", samples: BTreeMap::new() };
        let family = self.families.entry(format!("{PREFIX}{name}")).or_insert_with(family);
        family.samples.insert(Labels(labels).to_string(), value);
    }

    /// Adds a counter of a plane, or leaves it out if its name or label is none, or one of ours.
    fn counter(&mut self, path: &str, counter: &Counter) {
        let name = counter.name.as_str();
        let ours = name.starts_with("plane_") || name.starts_with("controlplane_") || name == "snapshot_generation";
        let label = counter.label.as_ref();
        let label_is_good = label.is_none_or(|(key, _)| is_label_name(key) && key != "plane");
        if ours || !is_metric_name(name) || !label_is_good {
            self.left_out_count += 1;
            return;
        }
        let mut labels = vec![("plane", path)];
        labels.extend(label.map(|(key, value)| (key.as_str(), value.as_str())));
        let family = self.families.entry(format!("{PREFIX}{name}")).or_insert_with(|| family_of(name));
        family.samples.insert(Labels(&labels).to_string(), counter.value);
    }
}

/// The empty family of a plane's counter.
fn family_of(name: &str) -> Family {
    let known = HELP.iter().find(|(known, _)| *known == name);
    let help = known.map_or_else(|| format!("Reported by the data plane as {name}."), |(_, help)| (*help).to_owned());
    let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
    Family { help, kind, samples: BTreeMap::new() }
}

impl fmt::Display for Page {
    fn fmt(&self, page: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, Family { help, kind, samples }) in &self.families {
            writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
            for (labels, value) in samples {
                writeln!(page, "{name}{labels} {value}")?;
            }
        }
        Ok(())
    }
}

/// Labels in braces; nothing if there are none.
struct Labels<'l>(&'l [(&'l str, &'l str)]);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, (key, value)) in self.0.iter().enumerate() {
            out.write_str(if idx == 0 { "{" } else { "," })?;
            write!(out, "{key}=\"")?;
            for character in value.chars() {
                match character {
                    '\\' => out.write_str("\\\\")?,
                    '"' => out.write_str("\\\"")?,
                    '\n' => out.write_str("\\n")?,
                    // The format would allow them, but pages are also read on terminals.
                    control if control.is_control() => out.write_char(char::REPLACEMENT_CHARACTER)?,
                    plain => out.write_char(plain)?,
                }
            }
            out.write_char('"')?;
        }
        if self.0.is_empty() { Ok(()) } else { out.write_char('}') }
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`, at most 100 characters; colons are for recording rules, so not from us.
fn is_metric_name(name: &str) -> bool {
    is_label_name(name) && name.len() <= 100
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`, and not one of those that begin with `__`, which are Prometheus's own.
fn is_label_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let rest = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    first && rest && !name.starts_with("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter as a plane reports it.
    fn counter(name: &str, label: Option<(&str, &str)>, value: u64) -> Counter {
        Counter { name: name.into(), label: label.map(|(k, v)| (k.into(), v.into())), value }
    }

    /// Parses a page by the letter of the format: each family announced once by HELP and TYPE, its samples right after
    /// it, label values unescaped, no sample twice. Returns `name{key=value,..}` with values.
    fn parse_strictly(page: &str) -> BTreeMap<String, u64> {
        assert!(page.ends_with('\n'), "the last line must end");
        let mut samples = BTreeMap::new();
        let mut families = std::collections::BTreeSet::new();
        let mut lines = page.lines().peekable();
        while let Some(help) = lines.next() {
            let (name, text) = help.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
            assert!(!text.is_empty() && families.insert(name.to_owned()), "{name} is announced twice or without help");
            let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap().strip_prefix(name).unwrap();
            assert!(matches!(kind, " counter" | " gauge"), "{kind}");
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let labels = sample.strip_prefix(name).unwrap();
                let key = format!("{name}{}", parse_labels(labels));
                assert!(samples.insert(key, value.parse().unwrap()).is_none(), "{sample} stands twice");
            }
        }
        samples
    }

    /// Parses `{key="value",..}` or nothing.
    fn parse_labels(text: &str) -> String {
        let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            assert!(text.is_empty(), "{text}");
            return String::new();
        };
        let mut out = String::from("{");
        let mut rest = inner;
        loop {
            let (key, value) = rest.split_once("=\"").unwrap();
            assert!(is_label_name(key), "{key}");
            out.push_str(key);
            out.push('=');
            let mut chars = value.char_indices();
            let end = loop {
                match chars.next().unwrap() {
                    (_, '\\') => out.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        same @ ('\\' | '"') => same,
                        other => panic!("escape of {other}"),
                    }),
                    (off, '"') => break off,
                    (_, plain) => out.push(plain),
                }
            };
            rest = &value[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
            out.push(',');
        }
        assert!(rest.is_empty(), "{rest}");
        out + "}"
    }

    #[test]
    fn counters_of_all_planes_stand_under_one_announcement() {
        let mut page = Page::default();
        for (path, value) in [("/a", 1), ("/b", 2)] {
            page.counter(path, &counter("replies_total", Some(("rcode", "NXDOMAIN")), value));
            page.counter(path, &counter("replies_total", Some(("rcode", "NOERROR")), value + 10));
        }
        assert_eq!(
            page.to_string(),
            "# HELP dns_replies_total Replies sent, by RCODE.\n# TYPE dns_replies_total counter\n\
             dns_replies_total{plane=\"/a\",rcode=\"NOERROR\"} 11\ndns_replies_total{plane=\"/a\",rcode=\"NXDOMAIN\"} 1\n\
             dns_replies_total{plane=\"/b\",rcode=\"NOERROR\"} 12\ndns_replies_total{plane=\"/b\",rcode=\"NXDOMAIN\"} 2\n"
        );
        assert_eq!(parse_strictly(&page.to_string()).len(), 4);
    }

    #[test]
    fn hostile_names_and_labels_cannot_break_the_page() {
        let mut page = Page::default();
        let evil = "a\"} 1\nevil 2\\<img onerror>\u{1b}[31m\r";
        for name in ["", "1x", "a b", "x\n# HELP", "plane_up", "controlplane_build_info", "snapshot_generation", "ü"] {
            page.counter("/a", &counter(name, None, 1));
        }
        for key in ["", "a-b", "plane", "__name__", "a=\""] {
            page.counter("/a", &counter("queries_total", Some((key, "x")), 1));
        }
        assert_eq!((page.left_out_count, page.to_string().as_str()), (13, ""));
        page.counter(evil, &counter("queries_total", Some(("transport", evil)), 7));
        page.counter(evil, &counter("queries_total", Some(("transport", evil)), 8));
        let shown = evil.replace(['\u{1b}', '\r'], "\u{fffd}");
        let expected = format!("dns_queries_total{{plane={shown},transport={shown}}}");
        assert_eq!(parse_strictly(&page.to_string()), BTreeMap::from([(expected, 8)]));
    }

    #[test]
    fn the_page_without_planes_parses() {
        let planes = Planes::new("/nowhere".into(), vec!["/x".into()], crate::planes::Pace::default());
        let samples = parse_strictly(&render(&planes, &[]));
        assert_eq!(samples["dns_plane_up{plane=/x}"], 0);
        assert_eq!(samples["dns_snapshot_generation"], 0);
    }
}
