//! The difference between two states of a domain: what an import would change, what a plan shows, what undo takes back.
//!
//! Records of an RRset are a set; their order makes no difference. Invariant: an RRset is in at most one of the three lists of a
//! [`Diff`], each sorted as an export is. The serde form has its own names and is a promise; [`Diff::write_text`] is for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use serde::{Deserialize, Serialize};
use snapshot::dns::rtype::Rtype;

use super::export::{Exported, SortKey, push_line};
use super::is_managed;
use crate::rrset::{Draft, full_name};

/// An RRset as it is or will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rrset {
    /// Below the domain, empty for the apex.
    pub subname: String,
    /// The mnemonic of its type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// What it holds.
    #[serde(flatten)]
    pub value: RrsetValue,
}

/// TTL and records of an RRset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RrsetValue {
    /// TTL in seconds.
    pub ttl: u32,
    /// Canonical presentation format.
    pub records: BTreeSet<String>,
}

/// An RRset that is there before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Below the domain, empty for the apex.
    pub subname: String,
    /// The mnemonic of its type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// What it held.
    pub before: RrsetValue,
    /// What it holds then.
    pub after: RrsetValue,
}

/// What makes one state of a domain of another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// RRsets that are new.
    pub added: Vec<Rrset>,
    /// RRsets with another TTL or other records.
    pub changed: Vec<Changed>,
    /// RRsets that go.
    pub removed: Vec<Rrset>,
}

/// What an import does to RRsets that the zone file does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The domain is new and has none; any that there are stay.
    Create,
    /// They stay.
    Merge,
    /// They go, but for those that only we make.
    Replace,
}

impl Rrset {
    /// The RRset of a draft that has TTL and records, as those of an import do; `None` for others.
    #[must_use]
    pub fn of_draft(draft: &Draft) -> Option<Rrset> {
        let records = draft.records.as_ref()?.iter().map(|content| content.text.clone()).collect();
        let value = RrsetValue { ttl: draft.ttl?, records };
        Some(Rrset { subname: draft.subname.clone(), rtype: draft.rtype.to_string(), value })
    }

    /// Where it is in an export.
    fn sort_key(&self) -> SortKey {
        SortKey::of(&self.subname, &self.rtype)
    }

    /// Whether an import leaves it alone.
    fn is_managed(&self) -> bool {
        Rtype::parse(self.rtype.as_bytes()).is_some_and(|rtype| is_managed(rtype, self.subname.is_empty()))
    }
}

impl Diff {
    /// Compares two states. An RRset without records counts as none.
    #[must_use]
    pub fn between(before: impl IntoIterator<Item = Rrset>, after: impl IntoIterator<Item = Rrset>) -> Diff {
        let is_there = |rrset: &Rrset| !rrset.value.records.is_empty();
        let mut pairs: BTreeMap<SortKey, (Option<Rrset>, Option<Rrset>)> = BTreeMap::new();
        for rrset in before.into_iter().filter(is_there) {
            let key = rrset.sort_key();
            pairs.entry(key).or_default().0 = Some(rrset);
        }
        for rrset in after.into_iter().filter(is_there) {
            let key = rrset.sort_key();
            pairs.entry(key).or_default().1 = Some(rrset);
        }
        let mut diff = Diff::default();
        for pair in pairs.into_values() {
            match pair {
                (None, Some(after)) => diff.added.push(after),
                (Some(before), None) => diff.removed.push(before),
                (Some(before), Some(after)) if before.value != after.value => {
                    let Rrset { subname, rtype, value: before } = before;
                    diff.changed.push(Changed { subname, rtype, before, after: after.value });
                }
                _ => {}
            }
        }
        diff
    }

    /// What an import of `drafts` changes in a domain that holds `current`. An RRset of the zone file takes the place of one
    /// that is there, with all its records.
    #[must_use]
    pub fn of_import(current: impl IntoIterator<Item = Rrset>, drafts: &[Draft], mode: Mode) -> Diff {
        let current = current.into_iter().filter(|rrset| !rrset.is_managed());
        let mut diff = Diff::between(current, drafts.iter().filter_map(Rrset::of_draft));
        if mode != Mode::Replace {
            diff.removed.clear();
        }
        diff
    }

    /// The difference the other way round, which takes this one back.
    #[must_use]
    pub fn inverse(self) -> Diff {
        let Diff { added, changed, removed } = self;
        let turn = |change: Changed| Changed { before: change.after, after: change.before, ..change };
        Diff { added: removed, changed: changed.into_iter().map(turn).collect(), removed: added }
    }

    /// Whether the states are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// Writes a line for each record that goes (`-`) or comes (`+`), in the form of an export. A record whose TTL alone changes
    /// goes and comes. RRsets are in the order of an export, whatever happens to them.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_text(&self, out: &mut impl Write, domain: &str) -> fmt::Result {
        let mut parts: Vec<Part<'_>> = Vec::new();
        let part = |rrset, before, after| Part { rrset, before, after };
        for Rrset { subname, rtype, value } in &self.added {
            parts.push(part((subname, rtype), None, Some(value)));
        }
        for Changed { subname, rtype, before, after } in &self.changed {
            parts.push(part((subname, rtype), Some(before), Some(after)));
        }
        for Rrset { subname, rtype, value } in &self.removed {
            parts.push(part((subname, rtype), Some(value), None));
        }
        parts.sort_by_cached_key(|part| SortKey::of(part.rrset.0, part.rrset.1));
        parts.iter().try_for_each(|part| part.write_text(out, domain))
    }
}

/// What happens to one RRset.
struct Part<'a> {
    /// Subname and type.
    rrset: (&'a str, &'a str),
    /// What it holds before.
    before: Option<&'a RrsetValue>,
    /// What it holds after.
    after: Option<&'a RrsetValue>,
}

impl Part<'_> {
    /// Writes the records that are only on one side.
    fn write_text(&self, out: &mut impl Write, domain: &str) -> fmt::Result {
        let (subname, rtype) = self.rrset;
        let owner = full_name(subname, domain);
        for (sign, this, other) in [("-", self.before, self.after), ("+", self.after, self.before)] {
            let Some(RrsetValue { ttl, records }) = this else { continue };
            let stays = |record: &str| other.is_some_and(|other| other.ttl == *ttl && other.records.contains(record));
            for record in records.iter().filter(|record| !stays(record)) {
                push_line(out, sign, (&owner, *ttl, rtype), record)?;
            }
        }
        Ok(())
    }
}

impl From<&Exported<'_>> for Rrset {
    fn from(rrset: &Exported<'_>) -> Rrset {
        let value = RrsetValue { ttl: rrset.ttl_secs, records: rrset.records.iter().cloned().collect() };
        Rrset { subname: rrset.subname.to_owned(), rtype: rrset.rtype.to_string(), value }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rrset::{Limits, Rules};
    use crate::zonetext::import;

    /// RRsets of lines `subname type ttl record,record`, the apex as `@`.
    fn state(lines: &[&str]) -> Vec<Rrset> {
        let rrset = |line: &&str| {
            let fields: Vec<&str> = line.splitn(4, ' ').collect();
            let &[subname, rtype, ttl, records] = fields.as_slice() else { panic!("{line}") };
            let value =
                RrsetValue { ttl: ttl.parse().unwrap(), records: records.split(',').map(str::to_owned).collect() };
            Rrset { subname: subname.replace('@', ""), rtype: rtype.to_owned(), value }
        };
        lines.iter().map(rrset).collect()
    }

    /// The readable text of a diff.
    fn text(diff: &Diff) -> String {
        let mut out = String::new();
        diff.write_text(&mut out, "x.example").unwrap();
        out.replace('\t', " ")
    }

    #[test]
    fn rrsets_are_added_changed_and_removed() {
        let before = state(&["www A 3600 1.2.3.4,1.2.3.5", "@ TXT 3600 \"a\"", "b A 3600 1.1.1.1", "c A 60 1.1.1.1"]);
        let after = state(&["www A 3600 1.2.3.6,1.2.3.4", "@ TXT 3600 \"a\"", "c A 90 1.1.1.1", "a.b MX 5 1 m."]);
        let diff = Diff::between(before.clone(), after.clone());
        assert_eq!(
            text(&diff),
            "-b.x.example. 3600 IN A 1.1.1.1\n\
             +a.b.x.example. 5 IN MX 1 m.\n\
             -c.x.example. 60 IN A 1.1.1.1\n\
             +c.x.example. 90 IN A 1.1.1.1\n\
             -www.x.example. 3600 IN A 1.2.3.5\n\
             +www.x.example. 3600 IN A 1.2.3.6\n"
        );
        assert_eq!(Diff::between(after, before.clone()), diff.clone().inverse());
        assert!(Diff::between(before.clone(), before.into_iter().rev()).is_empty());
        assert_eq!(
            serde_json::to_value(&diff).unwrap(),
            serde_json::json!({
                "added": [{"subname": "a.b", "type": "MX", "ttl": 5, "records": ["1 m."]}],
                "changed": [
                    {"subname": "c", "type": "A", "before": {"ttl": 60, "records": ["1.1.1.1"]},
                     "after": {"ttl": 90, "records": ["1.1.1.1"]}},
                    {"subname": "www", "type": "A", "before": {"ttl": 3600, "records": ["1.2.3.4", "1.2.3.5"]},
                     "after": {"ttl": 3600, "records": ["1.2.3.4", "1.2.3.6"]}},
                ],
                "removed": [{"subname": "b", "type": "A", "ttl": 3600, "records": ["1.1.1.1"]}],
            })
        );
        let read: Diff = serde_json::from_value(serde_json::to_value(&diff).unwrap()).unwrap();
        assert_eq!(read, diff);
    }

    #[test]
    fn imports_merge_or_replace_and_leave_alone_what_is_managed() {
        let current =
            state(&["@ NS 3600 ns.a.", "@ SOA 300 a. b. 1 2 3 4 5", "sub NS 3600 ns.a.", "www A 3600 1.2.3.4"]);
        let rules = Rules { domain: "x.example", ttl_secs_min: 60, limits: Limits::OPERATOR };
        let drafts = import(b"$TTL 3600\nwww A 1.2.3.5\nnew A 1.2.3.6\n", &rules).unwrap().drafts;
        let merged =
            "+new.x.example. 3600 IN A 1.2.3.6\n-www.x.example. 3600 IN A 1.2.3.4\n+www.x.example. 3600 IN A 1.2.3.5\n";
        let replaced = "+new.x.example. 3600 IN A 1.2.3.6\n-sub.x.example. 3600 IN NS ns.a.\n\
                        -www.x.example. 3600 IN A 1.2.3.4\n+www.x.example. 3600 IN A 1.2.3.5\n";
        for (mode, expected) in [(Mode::Create, merged), (Mode::Merge, merged), (Mode::Replace, replaced)] {
            assert_eq!(text(&Diff::of_import(current.clone(), &drafts, mode)), expected, "{mode:?}");
        }
    }

    /// Applies a diff to a state, by what it says alone.
    fn applied(mut state: Vec<Rrset>, diff: &Diff) -> Vec<Rrset> {
        state.retain(|rrset| !diff.removed.contains(rrset));
        for Changed { subname, rtype, before, after } in &diff.changed {
            for rrset in state.iter_mut().filter(|rrset| rrset.subname == *subname && rrset.rtype == *rtype) {
                assert_eq!(rrset.value, *before);
                rrset.value = after.clone();
            }
        }
        state.extend(diff.added.iter().cloned());
        state.sort_by_key(Rrset::sort_key);
        state
    }

    /// A random state.
    fn any_state() -> impl Strategy<Value = Vec<Rrset>> {
        let value = (60..62u32, proptest::collection::btree_set("[a-c]", 1..3));
        let states = proptest::collection::btree_map(("[ab]?", "(A|TXT|NS)"), value, 0..8);
        states.prop_map(|states| {
            let rrset =
                |((subname, rtype), (ttl, records))| Rrset { subname, rtype, value: RrsetValue { ttl, records } };
            states.into_iter().map(rrset).collect()
        })
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_one_state_to_the_other_and_back(before in any_state(), after in any_state()) {
            let diff = Diff::between(before.clone(), after.clone());
            let sorted = |state: Vec<Rrset>| applied(state, &Diff::default());
            prop_assert_eq!(applied(before.clone(), &diff), sorted(after.clone()));
            prop_assert_eq!(applied(after, &diff.inverse()), sorted(before));
        }
    }
}
