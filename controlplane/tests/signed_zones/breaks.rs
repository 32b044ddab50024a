//! Sound signed zones with one thing broken.

use super::errors;
use super::signer::{Chain, SignedZone};

/// A zone as records, to be edited.
struct Bench {
    /// Owner, TTL, class, type and RDATA of each record.
    records: Vec<Vec<String>>,
}

impl Bench {
    /// A zone signed with one algorithm.
    fn new(chain: Chain) -> Bench {
        Bench { records: SignedZone::by_bind(&["ECDSAP256SHA256"], chain).records() }
    }

    /// The line of a record, by owner, type and, for RRSIG, the covered type.
    fn line(&self, owner: &str, rtype: &str, covered: &str) -> usize {
        let is_it = |record: &&Vec<String>| {
            record[0].eq_ignore_ascii_case(owner) && record[3] == rtype && (covered.is_empty() || record[4] == covered)
        };
        let idx = self.records.iter().position(|record| is_it(&record));
        idx.unwrap_or_else(|| panic!("there is no {rtype} {covered} at {owner}")) + 1
    }

    /// The line of the NSEC3 of which a field fits.
    fn nsec3_line(&self, is_it: impl Fn(&[String]) -> bool) -> usize {
        let found = self.records.iter().position(|record| record[3] == "NSEC3" && is_it(record));
        found.expect("there is such an NSEC3") + 1
    }

    /// The record at a line.
    fn at(&mut self, line: usize) -> &mut Vec<String> {
        &mut self.records[line - 1]
    }

    /// Makes the record at a line a comment, so that all lines stay where they are.
    fn remove(&mut self, line: usize) {
        self.at(line).insert(0, ";".into());
    }

    /// The zone file.
    fn text(&self) -> String {
        self.records.iter().map(|record| record.join(" ") + "\n").collect()
    }

    /// Asserts that there is an error of this line, owner and code.
    #[track_caller]
    fn finds(&self, line: usize, owner: &str, code: &str) {
        let errors = errors(&self.text());
        let expected = format!("{line} {owner} {code}");
        assert!(
            errors.iter().any(|error| error.eq_ignore_ascii_case(&expected)),
            "{expected} is not among {errors:#?}"
        );
    }

    /// Asserts that these are all errors.
    #[track_caller]
    fn finds_only(&self, expected: &[String]) {
        assert_eq!(errors(&self.text()), expected);
    }
}

/// The name of all zones here.
const APEX: &str = "example.test.";
/// A name with addresses.
const MAIL: &str = "mail.example.test.";

#[test]
fn a_wrong_signature() {
    let mut bench = Bench::new(Chain::Nsec);
    let line = bench.line(MAIL, "RRSIG", "A");
    let signature = bench.at(line).get_mut(12).expect("RRSIG has a signature");
    let first = if signature.starts_with('A') { "B" } else { "A" };
    signature.replace_range(..1, first);
    bench.finds_only(&[format!("{line} {MAIL} bad-signature")]);
}

#[test]
fn a_record_that_changed_after_it_was_signed() {
    let mut bench = Bench::new(Chain::Nsec);
    let record = bench.line(MAIL, "A", "");
    bench.at(record)[4] = "192.0.2.99".into();
    let line = bench.line(MAIL, "RRSIG", "A");
    bench.finds_only(&[format!("{line} {MAIL} bad-signature")]);
}

#[test]
fn a_record_that_was_added_after_the_others_were_signed() {
    let mut bench = Bench::new(Chain::Nsec);
    bench.records.push(["mail.example.test.", "3600", "IN", "A", "192.0.2.99"].map(String::from).to_vec());
    let line = bench.line(MAIL, "RRSIG", "A");
    bench.finds_only(&[format!("{line} {MAIL} bad-signature")]);
    bench.records.pop();
    bench.records.push(["new.example.test.", "3600", "IN", "A", "192.0.2.99"].map(String::from).to_vec());
    let line = bench.records.len();
    bench.finds_only(&[
        format!("{line} new.example.test. missing-nsec"),
        format!("{line} new.example.test. missing-rrsig"),
    ]);
}

#[test]
fn a_missing_signature() {
    let mut bench = Bench::new(Chain::Nsec);
    let (line, record) = (bench.line(MAIL, "RRSIG", "TXT"), bench.line(MAIL, "TXT", ""));
    bench.remove(line);
    bench.finds_only(&[format!("{record} {MAIL} missing-rrsig")]);
}

#[test]
fn a_signature_of_what_is_not_there() {
    let mut bench = Bench::new(Chain::Nsec);
    let (line, record) = (bench.line(MAIL, "RRSIG", "TXT"), bench.line(MAIL, "TXT", ""));
    bench.remove(record);
    bench.finds(line, MAIL, "rrsig-without-rrset");
    let nsec = bench.line(MAIL, "NSEC", "");
    bench.finds(nsec, MAIL, "nsec-types");
}

#[test]
fn a_missing_nsec() {
    let mut bench = Bench::new(Chain::Nsec);
    let (nsec, rrsig) = (bench.line(MAIL, "NSEC", ""), bench.line(MAIL, "RRSIG", "NSEC"));
    bench.remove(nsec);
    bench.remove(rrsig);
    let line = bench.line(MAIL, "A", "");
    bench.finds_only(&[format!("{line} {MAIL} missing-nsec")]);
}

#[test]
fn an_nsec_that_skips_a_name() {
    let mut bench = Bench::new(Chain::Nsec);
    let line = bench.line("alias.example.test.", "NSEC", "");
    bench.at(line)[4] = "redirect.example.test.".into();
    bench.finds(line, "alias.example.test.", "nsec-chain");
}

#[test]
fn an_nsec_chain_that_does_not_return_to_the_apex() {
    let mut bench = Bench::new(Chain::Nsec);
    let line = bench.line("*.wild.example.test.", "NSEC", "");
    assert_eq!(bench.at(line)[4], APEX);
    bench.at(line)[4] = MAIL.into();
    bench.finds(line, "*.wild.example.test.", "nsec-chain");
}

#[test]
fn an_nsec_with_a_wrong_type() {
    for (from, to) in [("A", "AAAA"), ("TXT", "")] {
        let mut bench = Bench::new(Chain::Nsec);
        let line = bench.line(MAIL, "NSEC", "");
        let record = bench.at(line);
        let idx = 5 + record[5..].iter().position(|field| field == from).expect("the type is listed");
        record[idx] = to.into();
        bench.finds(line, MAIL, "nsec-types");
    }
}

#[test]
fn an_nsec_of_glue() {
    let mut bench = Bench::new(Chain::Nsec);
    let text = ["ns.secure.example.test.", "3600", "IN", "NSEC", "example.test.", "AAAA", "NSEC"];
    bench.records.push(text.map(String::from).to_vec());
    bench.finds(bench.records.len(), "ns.secure.example.test.", "nsec-below-cut");
}

#[test]
fn a_signature_on_glue_and_on_a_delegation() {
    for (owner, rtype) in [("ns.secure.example.test.", "AAAA"), ("secure.example.test.", "NS")] {
        for chain in [Chain::Nsec, Chain::Nsec3] {
            let mut bench = Bench::new(chain);
            let line = bench.line(APEX, "RRSIG", "SOA");
            let mut record = bench.at(line).clone();
            record[0] = owner.into();
            record[4] = rtype.into();
            bench.records.push(record);
            bench.finds(bench.records.len(), owner, "rrsig-on-glue");
        }
    }
}

#[test]
fn a_ttl_that_differs_between_signature_and_records() {
    let mut bench = Bench::new(Chain::Nsec);
    let line = bench.line(MAIL, "RRSIG", "A");
    bench.at(line)[1] = "1800".into();
    bench.finds_only(&[format!("{line} {MAIL} rrsig-ttl")]);
    for idx in 0..bench.records.len() {
        let record = &mut bench.records[idx];
        if record[0] == MAIL && record[3] == "A" {
            record[1] = "1800".into();
        }
    }
    bench.finds_only(&[format!("{line} {MAIL} rrsig-original-ttl")]);
}

#[test]
fn a_signature_of_another_zone_key_or_name() {
    for (field, value, code) in [
        (11, "test.", "rrsig-signer"),
        (10, "1", "rrsig-without-key"),
        (6, "2", "rrsig-labels"),
        (6, "4", "rrsig-labels"),
        (5, "8", "rrsig-without-key"),
        (8, "20000101000000", "rrsig-expired"),
        (9, "20370101000000", "rrsig-times"),
    ] {
        let mut bench = Bench::new(Chain::Nsec);
        let line = bench.line(MAIL, "RRSIG", "A");
        bench.at(line)[field] = value.into();
        if code == "rrsig-expired" {
            bench.at(line)[9] = "19990101000000".into();
        }
        bench.finds(line, MAIL, code);
    }
}

#[test]
fn keys_that_are_missing_or_not_used() {
    let mut bench = Bench::new(Chain::Nsec);
    for idx in 0..bench.records.len() {
        if bench.records[idx][3] == "DNSKEY" {
            bench.remove(idx + 1);
        }
    }
    bench.finds(0, APEX, "no-dnskey");
    let mut bench = Bench::new(Chain::Nsec);
    let key = "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=";
    bench.records.push(["example.test.", "3600", "IN", "DNSKEY", "256", "3", "15", key].map(String::from).to_vec());
    let line = bench.line(APEX, "DNSKEY", "");
    bench.finds(bench.records.len(), APEX, "algorithm-not-used");
    bench.at(line)[5] = "4".into();
    bench.finds(line, APEX, "dnskey-protocol");
}

#[test]
fn an_entry_point_that_signs_no_keys() {
    let mut bench = Bench::new(Chain::Nsec);
    let line_of = |bench: &Bench, flags: &str| {
        let is_it = |record: &Vec<String>| record[3] == "DNSKEY" && record[4] == flags;
        1 + bench.records.iter().position(is_it).expect("there is such a key")
    };
    let (zone_key, entry_point) = (line_of(&bench, "256"), line_of(&bench, "257"));
    bench.at(zone_key)[4] = "257".into();
    bench.at(entry_point)[4] = "256".into();
    // Flags are part of what is signed and of key tags, so that more than this is wrong now.
    bench.finds(zone_key, APEX, "entry-point-not-used");
}

#[test]
fn an_nsec3_gap() {
    for chain in [Chain::Nsec3, Chain::Salted] {
        let mut bench = Bench::new(chain);
        // The NSEC3 of the delegation with DS is told by its types.
        let line = bench.nsec3_line(|record| record.ends_with(&["NS", "DS", "RRSIG"].map(String::from)));
        let owner = bench.at(line)[0].clone();
        bench.remove(line);
        let rrsig = bench.line(&owner, "RRSIG", "NSEC3");
        bench.remove(rrsig);
        let cut = bench.line("secure.example.test.", "NS", "");
        bench.finds(cut, "secure.example.test.", "missing-nsec3");
        let hash = owner.split('.').next().expect("an owner has labels").to_owned();
        let before = bench.nsec3_line(|record| record[8].eq_ignore_ascii_case(&hash));
        let previous = bench.at(before)[0].clone();
        bench.finds(before, &previous, "nsec3-chain");
    }
}

#[test]
fn an_nsec3_of_an_empty_non_terminal_that_is_missing() {
    let mut bench = Bench::new(Chain::Nsec3);
    let line = bench.nsec3_line(|record| record.len() == 9);
    bench.remove(line);
    let codes = errors(&bench.text());
    assert!(codes.iter().any(|error| error.ends_with("missing-nsec3")), "{codes:?}");
}

#[test]
fn an_nsec3_that_names_the_wrong_next_hash_or_type() {
    let mut bench = Bench::new(Chain::Nsec3);
    let line = bench.nsec3_line(|record| record.last().is_some_and(|last| last == "NSEC3PARAM"));
    let owner = bench.at(line)[0].clone();
    bench.at(line).pop();
    bench.finds(line, APEX, "nsec3-types");
    let mut bench = Bench::new(Chain::Nsec3);
    let line = bench.line(&owner, "NSEC3", "");
    bench.at(line)[8] = owner.split('.').next().expect("an owner has labels").into();
    bench.finds(line, &owner, "nsec3-chain");
}

#[test]
fn nsec3_without_nsec3param_and_the_reverse() {
    let mut bench = Bench::new(Chain::Nsec3);
    let (param, rrsig) = (bench.line(APEX, "NSEC3PARAM", ""), bench.line(APEX, "RRSIG", "NSEC3PARAM"));
    bench.remove(param);
    bench.remove(rrsig);
    let first = bench.nsec3_line(|_| true);
    let codes = errors(&bench.text());
    assert!(codes.iter().any(|error| error.ends_with("nsec3-without-nsec3param")), "{first}: {codes:?}");
    let mut bench = Bench::new(Chain::Nsec);
    bench.records.push(["example.test.", "0", "IN", "NSEC3PARAM", "1", "0", "0", "-"].map(String::from).to_vec());
    bench.finds(bench.records.len(), APEX, "nsec3param-without-nsec3");
}

#[test]
fn nsec3_parameters_that_differ_or_cost_too_much() {
    let mut bench = Bench::new(Chain::Salted);
    let line = bench.line(APEX, "NSEC3PARAM", "");
    bench.at(line)[7] = "AABBCCDE".into();
    bench.finds(line, APEX, "nsec3param-without-nsec3");
    let mut bench = Bench::new(Chain::Salted);
    for record in bench.records.iter_mut().filter(|record| record[3].starts_with("NSEC3")) {
        record[6] = "151".into();
    }
    let codes = errors(&bench.text());
    assert!(codes.iter().any(|error| error.ends_with("nsec3-iterations")), "{codes:?}");
}

#[test]
fn opt_out_lets_insecure_delegations_be_missing_and_nothing_else() {
    let mut bench = Bench::new(Chain::OptOut);
    bench.records.push(["new.example.test.", "3600", "IN", "NS", "ns1.example.test."].map(String::from).to_vec());
    bench.finds_only(&[]);
    bench
        .records
        .push(["new.example.test.", "3600", "IN", "DS", "1", "8", "1", &"00".repeat(20)].map(String::from).to_vec());
    bench.finds(bench.records.len() - 1, "new.example.test.", "missing-nsec3");
    let mut bench = Bench::new(Chain::Nsec3);
    bench.records.push(["new.example.test.", "3600", "IN", "NS", "ns1.example.test."].map(String::from).to_vec());
    let line = bench.records.len();
    bench.finds_only(&[format!("{line} new.example.test. missing-nsec3")]);
}

#[test]
fn no_denial_at_all() {
    let mut bench = Bench::new(Chain::Nsec);
    for record in &mut bench.records {
        if record[3] == "NSEC" || (record[3] == "RRSIG" && record[4] == "NSEC") {
            record.insert(0, ";".into());
        }
    }
    bench.finds_only(&[format!("0 {APEX} no-denial")]);
}
