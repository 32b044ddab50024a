//! Domains of tenants wait until it is proved that they are theirs; the world is a thread with a socket.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use controlplane::config::{Verification, Whose};
use controlplane::store::accounts::{Account, Class};
use serde_json::Value;
use snapshot::dns::class::Class as DnsClass;
use snapshot::dns::message::{Flags, Message, Rcode};
use snapshot::dns::name::Name;
use snapshot::dns::rtype::Rtype;

use crate::harness::{Bench, Full, Issued, Who};

/// The zone below which server names are made up.
const UNDER: &str = "verify.petrel.test.";

/// What the world has: (question asked with recursion or not, its name and type, the data). What is not there is lame.
type Facts = Vec<(bool, String, Rtype, Vec<u8>)>;

/// A resolver and all name servers there are, on one port.
struct World {
    /// Where they answer.
    addr: SocketAddr,
    /// What they know.
    facts: Arc<Mutex<Facts>>,
}

impl World {
    /// One in which `org` is served and example.org is delegated to the name servers that all our domains share.
    fn new() -> World {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (addr, facts) = (socket.local_addr().unwrap(), Arc::new(Mutex::new(Facts::new())));
        let known = Arc::clone(&facts);
        std::thread::spawn(move || {
            let mut buf = [0; 512];
            // An empty datagram ends it.
            while let Ok((len @ 1.., from)) = socket.recv_from(&mut buf) {
                socket.send_to(&reply(&buf[..len], &known.lock().unwrap()), from).unwrap();
            }
        });
        let world = World { addr, facts };
        world.learn(true, "org.", Rtype::NS, name("a0.nic.test."));
        world.learn(true, "a0.nic.test.", Rtype::A, vec![127, 0, 0, 1]);
        world.learn(false, "example.org.", Rtype::NS, name("ns1.petrel.test."));
        world
    }

    /// Adds a fact.
    fn learn(&self, recursive: bool, owner: &str, rtype: Rtype, rdata: Vec<u8>) {
        self.facts.lock().unwrap().push((recursive, owner.to_owned(), rtype, rdata));
    }

    /// Puts a text into the zone example.org, wherever that is.
    fn publish_text(&self, owner: &str, text: &str) {
        let len = u8::try_from(text.len()).unwrap();
        self.learn(true, owner, Rtype::TXT, [&[len], text.as_bytes()].concat());
    }

    /// A server that looks here.
    fn bench(&self) -> Bench {
        Bench::with(self.verification())
    }

    /// How domains are proved by what is here.
    fn verification(&self) -> Verification {
        Verification {
            whose: Whose::Hosting,
            under: Some(UNDER.to_owned()),
            resolver: Some(self.addr),
            authority_port: self.addr.port(),
            allowed: vec!["127.0.0.0/8".parse().unwrap()],
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(&[], self.addr).unwrap();
    }
}

/// A name as RDATA.
fn name(text: &str) -> Vec<u8> {
    Name::parse(text.as_bytes(), None).unwrap().as_wire().to_vec()
}

/// The reply to a query: what is known, as answer to who wants recursion and as referral to others.
fn reply(query: &[u8], facts: &Facts) -> Vec<u8> {
    let asked = Message::from_wire(query).unwrap();
    let (question, recursive) = (&asked.questions[0], asked.header.flags.contains(Flags::RD));
    let owner = question.qname.to_string().to_ascii_lowercase();
    let found = facts.iter().filter(|fact| (fact.0, &fact.1, fact.2) == (recursive, &owner, question.qtype));
    let mut rrs = Vec::new();
    let mut count = 0_u16;
    for (_, _, rtype, rdata) in found {
        rrs.extend_from_slice(question.qname.as_wire());
        rrs.extend([rtype.0, DnsClass::IN.0, 0, 60].into_iter().flat_map(u16::to_be_bytes));
        rrs.extend_from_slice(&u16::try_from(rdata.len()).unwrap().to_be_bytes());
        rrs.extend_from_slice(rdata);
        count += 1;
    }
    let rcode = if count == 0 { Rcode::SERVFAIL } else { Rcode::NOERROR };
    let counts = if recursive { [1, count, 0, 0] } else { [1, 0, count, 0] };
    let head = [asked.header.id, Flags::QR.0 | rcode.0].into_iter().chain(counts);
    let question_len = question.qname.as_wire().len() + 4;
    let mut reply: Vec<u8> = head.flat_map(u16::to_be_bytes).collect();
    reply.extend_from_slice(&query[12..12 + question_len]);
    reply.extend(rrs);
    reply
}

/// A tenant with a token.
fn tenant(bench: &Bench, email: &str) -> (Account, Issued) {
    let account = bench.account_of(email, Class::Hosting);
    let token = bench.token(&account, Full);
    (account, token)
}

/// Makes a domain; the token that it has to show, and empty if none.
fn make(bench: &Bench, token: &Issued, domain: &str) -> String {
    let made = bench.post(token.who(), "/api/v1/domains/", &format!(r#"{{"name":"{domain}"}}"#));
    assert_eq!(made.status, 201, "{}", made.text);
    let wanted = made.json()["verification"]["proofs"][1]["content"].as_str().unwrap_or_default().to_owned();
    wanted.trim_matches('"').to_owned()
}

/// Asks to look for the proof of example.org: status and body.
fn verify(bench: &Bench, who: Who<'_>) -> (u16, Value) {
    let answer = bench.call(who, "POST", "/api/v1/domains/example.org/verify/", None);
    (answer.status, answer.json())
}

#[test]
fn t_g3_a_lame_delegation_to_us_serves_nobody_who_claims_it() {
    let world = World::new();
    let bench = world.bench();
    let (_, token) = tenant(&bench, "duck@mail.example");
    let secret = make(&bench, &token, "example.org");
    assert_eq!(secret.len(), 32);
    assert_eq!(bench.served(), "");
    let rrset = r#"{"subname":"www","type":"A","ttl":3600,"records":["192.0.2.1"]}"#;
    let written = bench.post(token.who(), "/api/v1/domains/example.org/rrsets/", rrset);
    assert_eq!((written.status, written.header("petrel-served")), (201, Some("no")));
    let shown = bench.get(token.who(), "/api/v1/domains/").json()[0].clone();
    assert_eq!((&shown["verification"]["state"], &shown["published"]), (&"unverified".into(), &Value::Null));
    let proofs = &shown["verification"]["proofs"];
    let server = format!("{secret}.{UNDER}");
    assert_eq!((&proofs[0]["name"], &proofs[0]["content"]), (&"example.org.".into(), &server.into()), "{proofs}");
    assert_eq!(proofs[1]["name"], "_petrel-verify.example.org.");
    let told = verify(&bench, token.who());
    assert_eq!(told.0, 409, "{}", told.1);
    // Neither the token of another domain nor one at another name is a proof.
    world.publish_text("_petrel-verify.example.org.", "0123456789abcdef0123456789abcdef");
    world.publish_text("example.org.", &secret);
    world.learn(false, "example.org.", Rtype::NS, name(&format!("0123456789abcdef0123456789abcdef.{UNDER}")));
    assert_eq!(verify(&bench, token.who()).0, 409);
    let (_, other) = tenant(&bench, "other@mail.example");
    assert_eq!(verify(&bench, other.who()).0, 404);
    assert_eq!(bench.served(), "");
}

#[test]
fn t_g3_either_proof_publishes_and_what_follows_from_it_needs_none() {
    for by_text in [true, false] {
        let world = World::new();
        let bench = world.bench();
        let (_, token) = tenant(&bench, "owner@mail.example");
        let secret = make(&bench, &token, "example.org");
        if by_text {
            world.publish_text("_petrel-verify.example.org.", &secret);
        } else {
            world.learn(false, "example.org.", Rtype::NS, name(&format!("{secret}.{UNDER}")));
        }
        let (status, body) = verify(&bench, token.who());
        assert_eq!((status, body.get("verification")), (200, None), "{body}");
        assert_eq!(bench.served(), "example.org.");
        let history = bench.get(token.who(), "/api/v1/domains/example.org/history/").json();
        let how = if by_text { "proved by a TXT record" } else { "proved by its delegation" };
        assert_eq!((&history[0]["kind"], &history[0]["note"]), (&"verify".into(), &how.into()), "{history}");
        assert_eq!(verify(&bench, token.who()).0, 200, "once more changes nothing");
        assert_eq!(make(&bench, &token, "sub.example.org"), "");
        assert_eq!(make(&bench, &token, "me.dyn.petrel.test"), "");
        // While the name is kept for the account, it needs no other proof.
        assert_eq!(bench.call(token.who(), "DELETE", "/api/v1/domains/example.org/", None).status, 204);
        assert_eq!(make(&bench, &token, "example.org"), "");
        assert_eq!(bench.served().split(' ').count(), 3);
    }
}

#[test]
fn t_g3_a_domain_that_was_made_anew_has_another_token() {
    let world = World::new();
    let bench = world.bench();
    let (_, token) = tenant(&bench, "owner@mail.example");
    let first = make(&bench, &token, "example.org");
    assert_eq!(bench.call(token.who(), "DELETE", "/api/v1/domains/example.org/", None).status, 204);
    let second = make(&bench, &token, "example.org");
    assert!(first != second && second.len() == 32, "it was not proved before");
    world.publish_text("_petrel-verify.example.org.", &first);
    assert_eq!(verify(&bench, token.who()).0, 409);
}

#[test]
fn t_g3_servers_of_parents_are_not_asked_at_private_addresses() {
    let world = World::new();
    let bench = Bench::with(Verification { allowed: Vec::new(), ..world.verification() });
    let (_, token) = tenant(&bench, "duck@mail.example");
    let secret = make(&bench, &token, "example.org");
    world.learn(false, "example.org.", Rtype::NS, name(&format!("{secret}.{UNDER}")));
    let (status, told) = verify(&bench, token.who());
    assert_eq!(status, 503, "{told}");
    assert!(told["detail"].as_str().unwrap().contains("a0.nic.test."), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("127.0.0.1, which is not public"), "{told}");
    // A resolver that the operator named may be anywhere.
    world.publish_text("_petrel-verify.example.org.", &secret);
    assert_eq!(verify(&bench, token.who()).0, 200);
}

#[test]
fn t_g3_what_cannot_be_looked_up_is_told_and_not_published() {
    let world = World::new();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let verification = Verification { whose: Whose::Hosting, resolver: Some(closed), ..Verification::default() };
    let bench = Bench::with(verification.clone());
    let (_, token) = tenant(&bench, "owner@mail.example");
    make(&bench, &token, "example.org");
    let (status, body) = verify(&bench, token.who());
    let detail = "The domain could not be looked up: the resolver does not answer.";
    assert_eq!((status, &body["detail"]), (503, &detail.into()));
    let bench = Bench::with(Verification { resolver: None, ..verification });
    let (_, token) = tenant(&bench, "owner@mail.example");
    make(&bench, &token, "example.org");
    let (status, body) = verify(&bench, token.who());
    assert!(status == 503 && body["detail"].to_string().contains("no resolver"), "{body}");
    // A resolver that cannot tell who serves the parent.
    world.facts.lock().unwrap().clear();
    let bench = world.bench();
    let (_, token) = tenant(&bench, "owner@mail.example");
    make(&bench, &token, "example.org");
    let (status, body) = verify(&bench, token.who());
    assert!(status == 503 && body["detail"].to_string().contains("parent"), "{body}");
    assert_eq!(bench.served(), "");
}

#[test]
fn t_g3_the_operator_can_vouch_and_says_why() {
    let world = World::new();
    let bench = world.bench();
    let (_, token) = tenant(&bench, "owner@mail.example");
    make(&bench, &token, "example.org");
    let path = "/api/admin/domains/example.org/verify/";
    let reason = r#"{"reason":"their contract, page 3"}"#;
    assert_eq!(bench.post(token.who(), path, reason).status, 403);
    for body in ["{}", r#"{"reason":""}"#, r#"{"reason":"a\nb"}"#, r#"{"reason":7,"why":1}"#] {
        assert_eq!(bench.post(Who::Operator, path, body).status, 400, "{body}");
    }
    assert_eq!(bench.served(), "");
    assert_eq!(bench.post(Who::Operator, path, reason).status, 200);
    assert_eq!(bench.served(), "example.org.");
    let history = bench.get(token.who(), "/api/v1/domains/example.org/history/").json();
    assert_eq!((&history[0]["note"], &history[0]["by"]["via"]), (&"their contract, page 3".into(), &"admin".into()));
    assert_eq!(bench.post(Who::Operator, "/api/admin/domains/none.example/verify/", reason).status, 404);
}

#[test]
fn t_g3_accounts_of_the_operator_and_servers_that_ask_for_no_proof_serve_at_once() {
    let world = World::new();
    let bench = world.bench();
    let own = bench.token(&bench.account("own@mail.example"), Full);
    assert_eq!(make(&bench, &own, "example.org"), "");
    assert_eq!(bench.served(), "example.org.");
    let bench = Bench::start();
    let (_, token) = tenant(&bench, "owner@mail.example");
    assert_eq!(make(&bench, &token, "example.org"), "");
    assert_eq!(bench.served(), "example.org.");
}

#[test]
fn t_g4_another_account_does_not_get_the_name_of_a_deleted_domain() {
    let world = World::new();
    let bench = world.bench();
    let (_, first) = tenant(&bench, "one@mail.example");
    let secret = make(&bench, &first, "example.org");
    world.learn(false, "example.org.", Rtype::NS, name(&format!("{secret}.{UNDER}")));
    assert_eq!(verify(&bench, first.who()).0, 200);
    assert_eq!(bench.call(first.who(), "DELETE", "/api/v1/domains/example.org/", None).status, 204);
    let (_, second) = tenant(&bench, "two@mail.example");
    let refused = bench.post(second.who(), "/api/v1/domains/", r#"{"name":"example.org"}"#);
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert_eq!(bench.served(), "");
}

#[test]
fn t_g3_nothing_says_that_a_change_of_an_unproved_domain_is_served() {
    let world = World::new();
    let bench = Bench::with_plane_and(world.verification());
    let own = bench.token(&bench.account("own@mail.example"), Full);
    let served = |token: &Issued, change: &str| {
        let shown = bench.get(token.who(), &format!("/api/v1/changes/{change}/")).json();
        assert_eq!(shown["generation"].is_u64(), shown["served"] == "yes", "{shown}");
        shown["served"] == "yes"
    };
    // The plane is found a moment after the start.
    let made = bench.post(own.who(), "/api/v1/domains/", r#"{"name":"first.example"}"#);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !served(&own, made.header("petrel-change").unwrap()) {
        assert!(Instant::now() < deadline);
    }
    let (_, token) = tenant(&bench, "owner@mail.example");
    let secret = make(&bench, &token, "example.org");
    let rrset = r#"{"subname":"www","type":"A","ttl":3600,"records":["192.0.2.1"]}"#;
    let written = bench.post(token.who(), "/api/v1/domains/example.org/rrsets/", rrset);
    assert_eq!((written.status, written.header("petrel-served")), (201, Some("no")));
    let change = written.header("petrel-change").unwrap();
    assert!(!served(&token, change));
    let history = || bench.get(token.who(), "/api/v1/domains/example.org/history/").json();
    let all = |state: &str| history().as_array().unwrap().iter().all(|change| change["served"] == *state);
    assert!(all("no"), "{}", history());
    world.publish_text("_petrel-verify.example.org.", &secret);
    let proved = bench.call(token.who(), "POST", "/api/v1/domains/example.org/verify/", None);
    assert_eq!((proved.status, proved.header("petrel-served")), (200, None), "{}", proved.text);
    assert!(served(&token, change) && all("yes"), "{}", history());
}
