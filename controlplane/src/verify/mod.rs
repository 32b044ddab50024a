//! Whether whoever made a domain here has it in the world: what proves it, and what given answers prove.
//!
//! A delegation that leads to our servers and finds nothing there (RFC 9499 "lame delegation") waits for anybody who makes
//! the domain here. So it proves nothing that a domain is delegated to the names all our domains share; what does is a
//! random name, made for this domain of this account, in the delegation at the parent, or as text in the zone that the
//! world sees. This module is pure; [`ask`] has the sockets. Invariant: only RRs of the very names that are asked for
//! count, so that no alias and no wildcard elsewhere speaks for a domain.

pub mod ask;

use snapshot::dns::message::{Message, Resource};
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;

/// The label below which the text is looked for.
const TXT_LABEL: &str = "_petrel-verify";

/// What proved a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The delegation at its parent names the server that was made up for it.
    Delegation,
    /// The text is in its zone.
    Txt,
}

impl Proof {
    /// For people and change-sets.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Proof::Delegation => "proved by its delegation",
            Proof::Txt => "proved by a TXT record",
        }
    }
}

/// What a domain has to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The domain.
    domain: Name,
    /// The owner of the text.
    txt_owner: Name,
    /// The random text, also the first label of the server name.
    token: String,
    /// The server name that was made up; `None` where the installation has no zone for them.
    server: Option<Name>,
}

impl Challenge {
    /// The challenge of a domain, whose name has no dot at the end; `under` is the absolute name below which server names are
    /// made up. `None` if the names get too long.
    #[must_use]
    pub fn new(domain: &str, token: &str, under: Option<&str>) -> Option<Challenge> {
        let name = |text: String| Name::parse(text.as_bytes(), None).ok();
        Some(Challenge {
            domain: name(format!("{domain}."))?,
            txt_owner: name(format!("{TXT_LABEL}.{domain}."))?,
            token: token.to_owned(),
            server: under.and_then(|under| name(format!("{token}.{under}"))),
        })
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> NameRef<'_> {
        self.domain.as_ref()
    }

    /// The owner of the TXT record that proves it.
    #[must_use]
    pub fn txt_owner(&self) -> NameRef<'_> {
        self.txt_owner.as_ref()
    }

    /// The text of that record.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The server that proves it if the delegation at the parent names it.
    #[must_use]
    pub fn server(&self) -> Option<NameRef<'_>> {
        self.server.as_ref().map(Name::as_ref)
    }

    /// Whether the answer to a question for the TXT record proves the domain. The strings of a record count as one text
    /// (RFC 7208 section 3.3 reads them so, and so do people).
    #[must_use]
    pub fn is_proved_by_txt(&self, answer: &Message) -> bool {
        let of_owner = |rr: &&Resource| rr.rtype == Rtype::TXT && rr.owner == self.txt_owner;
        answer.answers.iter().filter(of_owner).any(|rr| text_of(&rr.rdata).as_deref() == Some(self.token.as_bytes()))
    }

    /// Whether what a server of the parent says of the domain's NS records proves it. They stand in the authority section of a
    /// referral, or in the answer of a server that has both zones.
    #[must_use]
    pub fn is_proved_by_delegation(&self, answer: &Message) -> bool {
        let Some(server) = self.server() else { return false };
        let rrs = answer.answers.iter().chain(&answer.authorities);
        rrs.filter(|rr| rr.rtype == Rtype::NS && rr.owner == self.domain)
            .any(|rr| NameRef::prefix_of(&rr.rdata).is_ok_and(|name| name == server))
    }
}

/// The strings of TXT RDATA, joined; `None` if it is malformed (RFC 1035 section 3.3.14).
fn text_of(mut rdata: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(rdata.len());
    while let Some((&len, rest)) = rdata.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(len))?;
        text.extend_from_slice(string);
        rdata = rest;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use snapshot::dns::class::Class;
    use snapshot::dns::message::{Flags, Header};

    use super::*;

    /// A challenge for example.org.
    fn challenge() -> Challenge {
        Challenge::new("example.org", "k7", Some("verify.petrel.test.")).unwrap()
    }

    /// A name.
    fn name(text: &str) -> Name {
        Name::parse(text.as_bytes(), None).unwrap()
    }

    /// A message with these RRs as answer and authority.
    fn message(answers: Vec<Resource>, authorities: Vec<Resource>) -> Message {
        let header = Header { id: 1, flags: Flags::QR };
        Message { header, questions: Vec::new(), answers, authorities, additionals: Vec::new(), edns: None }
    }

    /// A TXT record with these strings.
    fn txt(owner: &str, strings: &[&str]) -> Resource {
        let rdata = strings.iter().flat_map(|text| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat());
        let rdata = rdata.collect();
        Resource { owner: name(owner), rtype: Rtype::TXT, class: Class::IN, ttl_secs: 1, rdata }
    }

    /// An NS record.
    fn ns(owner: &str, server: &str) -> Resource {
        let rdata = name(server).as_wire().to_vec();
        Resource { owner: name(owner), rtype: Rtype::NS, class: Class::IN, ttl_secs: 1, rdata }
    }

    #[test]
    fn t_g3_only_the_token_at_its_own_name_is_a_proof() {
        for (rr, expected) in [
            (txt("_petrel-verify.example.org.", &["k7"]), true),
            (txt("_Petrel-Verify.Example.ORG.", &["k", "7"]), true),
            (txt("_petrel-verify.example.org.", &["k8"]), false),
            (txt("_petrel-verify.example.org.", &["k7 "]), false),
            (txt("example.org.", &["k7"]), false),
            (txt("elsewhere.test.", &["k7"]), false),
            (ns("_petrel-verify.example.org.", "k7."), false),
        ] {
            assert_eq!(challenge().is_proved_by_txt(&message(vec![rr.clone()], Vec::new())), expected, "{rr:?}");
            assert!(!challenge().is_proved_by_txt(&message(Vec::new(), vec![rr])), "it must be an answer");
        }
        let mut broken = txt("_petrel-verify.example.org.", &["k7"]);
        broken.rdata[0] = 9;
        assert!(!challenge().is_proved_by_txt(&message(vec![broken], Vec::new())));
    }

    #[test]
    fn the_longest_name_of_a_domain_can_be_proved() {
        // A domain's name has 191 characters at most.
        let label = "a".repeat(63);
        let longest = [&*label; 3].join(".");
        let token = "k".repeat(32);
        let challenge = Challenge::new(&longest, &token, Some("verify.petrel.test.")).unwrap();
        assert_eq!((longest.len(), challenge.server().is_some()), (191, true));
        assert!(Challenge::new(&format!("{longest}.{}", &label[..50]), &token, None).is_none());
    }

    #[test]
    fn t_g3_a_delegation_to_the_names_that_all_share_proves_nothing() {
        for (rr, expected) in [
            (ns("example.org.", "k7.verify.petrel.test."), true),
            (ns("Example.org.", "K7.verify.Petrel.test."), true),
            (ns("example.org.", "ns1.petrel.test."), false),
            (ns("example.org.", "k8.verify.petrel.test."), false),
            (ns("example.org.", "verify.petrel.test."), false),
            (ns("www.example.org.", "k7.verify.petrel.test."), false),
            (ns("org.", "k7.verify.petrel.test."), false),
        ] {
            let referral = message(Vec::new(), vec![ns("example.org.", "ns1.petrel.test."), rr.clone()]);
            assert_eq!(challenge().is_proved_by_delegation(&referral), expected, "{rr:?}");
            assert_eq!(challenge().is_proved_by_delegation(&message(vec![rr], Vec::new())), expected);
        }
        let without = Challenge::new("example.org", "k7", None).unwrap();
        let referral = message(Vec::new(), vec![ns("example.org.", "k7.verify.petrel.test.")]);
        assert!(!without.is_proved_by_delegation(&referral));
    }
}
