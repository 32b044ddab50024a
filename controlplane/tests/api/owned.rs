//! DNSKEY, CDS and CDNSKEY of the owner beside our keys: what could not be published with them is refused when it is written.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::{Answer, Bench, Issued};
use controlplane::clock::now_us;

/// The RRsets of the domain.
const RRSETS: &str = "/api/v1/domains/d.example/rrsets/";
/// A key of somebody else, of our algorithm.
const THEIRS: &str =
    "257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";
/// One of another algorithm.
const OTHERS: &str = "257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=";
/// What asks for the removal of all DS.
const REMOVAL: &str = "0 0 0 00";

/// An account with the domain d.example, which is signed with a CSK.
struct Home {
    /// The server.
    bench: Bench,
    /// The owner's token.
    token: Issued,
}

impl Home {
    /// A fresh one.
    fn new() -> Home {
        let (bench, token) = Bench::with_domains(&["d.example"]);
        Home { bench, token }
    }

    /// Writes RRsets of the apex, in one request.
    fn write(&self, rrsets: &[(&str, &[&str])]) -> Answer {
        let rrset = |(rtype, records): &(&str, &[&str])| json!({ "subname": "", "type": rtype, "ttl": 3600, "records": records });
        let body = Value::Array(rrsets.iter().map(rrset).collect());
        self.bench.call(self.token.who(), "PATCH", RRSETS, Some(&body.to_string()))
    }

    /// Makes sure that a write is refused with these words.
    fn refuses(&self, rrsets: &[(&str, &[&str])], words: &str) {
        let refused = self.write(rrsets);
        assert_eq!(refused.status, 400, "{rrsets:?}: {}", refused.text);
        assert!(refused.text.contains(words), "{rrsets:?}: {}", refused.text);
        assert_eq!(self.signing()["refused"], Value::Null, "the domain can be published");
    }

    /// Makes sure that a write is taken, and can be published.
    fn takes(&self, rrsets: &[(&str, &[&str])]) {
        let done = self.write(rrsets);
        assert_eq!((done.status, done.header("petrel-refused")), (200, None), "{rrsets:?}: {}", done.text);
        assert_eq!(self.signing()["refused"], Value::Null);
    }

    /// How the domain is signed.
    fn signing(&self) -> Value {
        self.bench.get(self.token.who(), "/api/zones/d.example/dnssec").json()
    }

    /// Its keys.
    fn keys(&self) -> Value {
        self.bench.get(self.token.who(), "/api/zones/d.example/keys").json()
    }

    /// The DS of a key that is shown, by digest; they have the form of CDS.
    fn ds(&self, dnskey: &str) -> Vec<String> {
        let keys = self.signing()["keys"].clone();
        let key = keys.as_array().unwrap().iter().find(|key| key["dnskey"] == dnskey).unwrap();
        key["ds"].as_array().unwrap().iter().map(|ds| ds.as_str().unwrap().to_owned()).collect()
    }
}

/// Another DNSKEY with algorithm and tag of this one: words of 16 bits can change places without changing the sum.
fn alike(dnskey: &str) -> String {
    let (head, public) = dnskey.rsplit_once(' ').unwrap();
    let mut public = BASE64.decode(public.as_bytes()).unwrap();
    let at = (2..public.len()).step_by(2).find(|at| public[*at..at + 2] != public[..2]).unwrap();
    public.swap(0, at);
    public.swap(1, at + 1);
    format!("{head} {}", BASE64.encode(&public))
}

#[test]
fn a_dnskey_that_cannot_be_published_beside_ours_is_refused() {
    let home = Home::new();
    let ours = home.signing()["keys"][0]["dnskey"].as_str().unwrap().to_owned();
    home.refuses(&[("DNSKEY", &[&alike(&ours)])], "validators must try them all");
    home.refuses(&[("DNSKEY", &["257 3 13 AAAA"])], "has 3 octets of key");
    home.refuses(&[("DNSKEY", &[&THEIRS.replacen(" 3 ", " 2 ", 1)])], "protocol 2");
    home.refuses(&[("DNSKEY", &[OTHERS])], "needs signatures that this server cannot make");
    home.takes(&[("DNSKEY", &[THEIRS])]);
    home.refuses(&[("DNSKEY", &[THEIRS, &alike(THEIRS)])], "validators must try them all");
    home.takes(&[("DNSKEY", &[])]);
}

#[test]
fn a_cds_needs_its_dnskey_and_both_go_together() {
    let home = Home::new();
    home.takes(&[("DNSKEY", &[THEIRS])]);
    let ds = home.ds(THEIRS);
    home.takes(&[("DNSKEY", &[])]);
    home.refuses(&[("CDS", &[&ds[0]])], "fits no DNSKEY of the zone");
    home.refuses(&[("CDNSKEY", &[THEIRS])], "fits no DNSKEY of the zone");
    home.refuses(&[("CDNSKEY", &[OTHERS])], "no DNSKEY has");
    home.refuses(&[("CDS", &["0 0 0 01"])], "is not `0 0 0 00`");
    let ours = home.signing()["keys"][0]["dnskey"].as_str().unwrap().to_owned();
    home.takes(&[("CDS", &[&home.ds(&ours)[0]])]);
    home.takes(&[("CDS", &[])]);
    home.takes(&[("CDS", &[&ds[0]]), ("DNSKEY", &[THEIRS])]);
    home.refuses(&[("DNSKEY", &[])], "goes together with the CDS and CDNSKEY records");
    home.takes(&[("DNSKEY", &[]), ("CDS", &[])]);
    // Nobody judges them where nothing is signed, until something is.
    assert_eq!(home.bench.call(home.token.who(), "DELETE", "/api/zones/d.example/dnssec?force=true", None).status, 200);
    assert_eq!(home.write(&[("CDS", &[&ds[0]])]).status, 200);
    let refused = home.bench.post(home.token.who(), "/api/zones/d.example/dnssec", "{}");
    assert!(refused.status == 400 && refused.text.contains("fits no DNSKEY"), "{}", refused.text);
}

#[test]
fn whoever_asks_for_the_removal_of_all_ds_is_told_so() {
    let home = Home::new();
    assert_eq!((home.signing().get("note"), home.keys().get("note")), (None, None));
    home.takes(&[("CDS", &[REMOVAL])]);
    for shown in [home.signing(), home.keys()] {
        assert!(shown["note"].as_str().unwrap().contains("asks the parent to remove all DS"), "{shown}");
    }
    home.takes(&[("CDS", &[])]);
    assert_eq!(home.signing().get("note"), None);
}

#[test]
fn requests_to_the_parent_are_at_the_apex_only() {
    let home = Home::new();
    let write = |subname: &str, rtype: &str, record: &str| {
        let body = json!({ "subname": subname, "type": rtype, "ttl": 3600, "records": [record] });
        home.bench.post(home.token.who(), RRSETS, &body.to_string())
    };
    for (rtype, record) in [("CDS", REMOVAL), ("CDNSKEY", "0 3 0 AA==")] {
        let refused = write("sub", rtype, record);
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert!(refused.text.contains("RRset must have empty subname."), "{}", refused.text);
        assert_eq!(write("_dsboot.other.example._signal.ns1", rtype, record).status, 201, "a signal (RFC 9615)");
    }
}

#[test]
fn while_the_algorithm_changes_nobody_elses_keys_come_in() {
    let home = Home::new();
    let roll = home.bench.post(home.token.who(), "/api/zones/d.example/keys/roll", r#"{"algorithm":15}"#);
    assert_eq!(roll.status, 200, "{}", roll.text);
    home.refuses(&[("DNSKEY", &[THEIRS])], "can be added once that is over");
    home.refuses(&[("DNSKEY", &[OTHERS])], "can be added once that is over");
    assert_eq!(home.bench.call(home.token.who(), "DELETE", "/api/zones/d.example/keys/roll", None).status, 200);
    home.takes(&[("DNSKEY", &[THEIRS])]);
    // A rollover within the algorithm is no hindrance; the next one begins once the last step is served.
    let id = home.bench.store.read(|reader| reader.domain_by_name("d.example")).unwrap().unwrap().id;
    let step = home.bench.store.read(|reader| reader.rollover(id)).unwrap().change.unwrap();
    home.bench.store.write_blocking(move |txn| controlplane::change::begin_step(txn, id, step, now_us())).unwrap();
    assert_eq!(home.bench.post(home.token.who(), "/api/zones/d.example/keys/roll", "{}").status, 200);
    home.takes(&[("DNSKEY", &[])]);
    home.takes(&[("DNSKEY", &[THEIRS])]);
}
