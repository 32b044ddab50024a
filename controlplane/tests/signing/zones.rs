//! Zones to sign, and how signed ones are judged.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use controlplane::check::dnssec::{Dnssec, Need};
use controlplane::check::review;
use controlplane::sign::{Announce, Denial, Key, Plan, Published, SignError, Signed, Times, sign};
use snapshot::dns::name::Name;
use snapshot::dns::rdata::Text;
use snapshot::dns::zone::{Zone, ZoneBuilder};
use snapshot::dns::zonefile::{Options, Reader};

/// When tests sign if nobody else looks at the clock.
pub(crate) const NOW: u64 = 1_800_000_000;
/// Seconds of a day.
pub(crate) const DAY: u32 = 86_400;
/// The ways of denial.
pub(crate) const DENIALS: [Denial; 3] =
    [Denial::Nsec, Denial::Nsec3 { opt_out: false }, Denial::Nsec3 { opt_out: true }];

/// The zone that has it all: wildcards, empty non-terminals, a DNAME, delegations with and without DS and glue, names
/// below them, escaped labels, upper case in owners and RDATA, TTLs that differ.
pub(crate) const RICH: &str = "\
@ 3600 SOA ns1 hostmaster 1 7200 900 1209600 300
@ NS ns1
@ NS NS2.Example.Test.
@ MX 10 Mail
@ TYPE65500 \\# 2 abcd
ns1 A 192.0.2.1
ns2 AAAA 2001:db8::2
mail 60 A 192.0.2.4
mail 90 A 192.0.2.3
MAIL TXT \"a mail server\"
*.wild A 192.0.2.5
*.WILD MX 5 mail
deep.empty.non.terminal TXT x
also.non.terminal TXT x
alias CNAME Mail
*.deep.alias2 CNAME alias
redirect DNAME elsewhere.example.
redirect TXT beside
insecure NS ns.insecure
ns.insecure A 192.0.2.6
Insecure2 NS ns2
a.b.c.below.ent NS ns1
far.below.unsigned NS ns1
far.below.unsigned NS NS.far.below.unsigned
ns.far.below.unsigned AAAA 2001:db8::9
secure NS ns.secure
secure DS 12345 8 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
ns.secure AAAA 2001:db8::7
www.sub.secure A 192.0.2.9
_sip._udp SRV 0 0 5060 MAIL
\\000\\001.zero TXT x
\\000 A 192.0.2.7
\\.dot\\\\ A 192.0.2.8
\\200\\255 TXT \"\\000\\255\"
naptr NAPTR 10 10 \"u\" \"sip\" \"\" Target.Example.Test.
service HTTPS 1 Mail.Example.TEST. alpn=h2
";

/// A zone that is its apex.
pub(crate) const BARE: &str = "@ 300 SOA ns.example. hostmaster 1 7200 900 1209600 3600\n@ NS ns.example.\n";

/// Wildcards beside names that are there for delegations without DS alone.
pub(crate) const WILD: &str = "\
@ 300 SOA ns.example. hostmaster 1 7200 900 1209600 3600
@ NS ns.example.
@ CSYNC 1 3 A NS AAAA
* TXT x
a.* TXT x
x.y.ent NS ns.example.
*.deep A 192.0.2.1
x.empty.deep NS ns.example.
secure.other.deep NS ns.example.
secure.other.deep DS 12345 8 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
";

/// A root zone with a delegation.
pub(crate) const ROOT: &str = "@ 300 SOA a.nic. nstld.nic. 1 7200 900 1209600 3600\n@ NS a.nic.\nnic. NS a.nic.\na.nic. A 192.0.2.1\n\
                               test. NS a.nic.\n";

/// A zone whose apex redirects all below.
pub(crate) const APEX_DNAME: &str = "@ 300 SOA ns.example. hostmaster 1 7200 900 1209600 3600\n@ NS ns.example.\n\
                                     @ DNAME other.example.\n";

/// Reads a zone with a default TTL of an hour.
pub(crate) fn zone_of(apex: &str, text: &str) -> Zone {
    let apex: Name = apex.parse().expect("a name");
    let options = Options { origin: Some(apex.clone()), default_ttl: Some(3600), ..Options::default() };
    let mut reader = Reader::new(text.as_bytes(), options);
    let mut builder = ZoneBuilder::new(apex);
    while let Some(record) = reader.read().expect("the zone can be read") {
        builder.push(record).expect("the zone is small");
    }
    builder.finish()
}

/// Three weeks of validity that are renewed after one, spread over three days.
pub(crate) fn times(now_unix_secs: u64) -> Times {
    Times {
        now_unix_secs,
        validity_secs: 21 * DAY,
        jitter_secs: 3 * DAY,
        inception_back_secs: 3 * 3600,
        refresh_secs: 14 * DAY,
    }
}

/// A plan that announces nothing.
pub(crate) fn plan<'p>(keys: &'p [Key<'p>], denial: Denial, now_unix_secs: u64) -> Plan<'p> {
    Plan {
        keys,
        extra_dnskeys: &[],
        announce: Announce::Nothing,
        denial,
        times: times(now_unix_secs),
        keys_ttl_secs: 3600,
        zonemd: false,
    }
}

/// Signs with two threads.
pub(crate) fn sign_it(zone: &Zone, plan: &Plan<'_>, published: &dyn Published) -> Result<Signed, SignError> {
    sign(zone, plan, published, NonZeroUsize::new(2).expect("two is not zero"))
}

/// What is wrong with a zone, as code and owner.
pub(crate) fn faults(zone: &Zone, need: Need, at_unix_secs: u64) -> BTreeSet<String> {
    let dnssec = Dnssec { need, at_unix_secs, jobs: NonZeroUsize::MIN };
    let found = review(zone, &dnssec);
    found.iter().map(|finding| format!("{} {}", finding.code, finding.owner.to_canonical())).collect()
}

/// Makes sure that signing added nothing wrong: that there is no finding which the zone did not have before.
#[track_caller]
pub(crate) fn check_good(before: &Zone, signed: &Zone, at_unix_secs: u64, context: &str) {
    let known = faults(before, Need::Optional, at_unix_secs);
    let found = faults(signed, Need::Required, at_unix_secs);
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "{context}: {new:?}\n{}", text(signed));
}

/// A zone as a zone file, one record a line.
pub(crate) fn text(zone: &Zone) -> String {
    let rrsets = zone.owners().flat_map(|owner| owner.rrsets().collect::<Vec<_>>());
    let records = rrsets.flat_map(|rrset| rrset.records().collect::<Vec<_>>());
    let line = |record: snapshot::dns::zone::Record<'_>| {
        let text = Text { rtype: record.rtype, rdata: record.rdata };
        format!("{} {} IN {} {text}\n", record.owner, record.ttl_secs, record.rtype)
    };
    // Zone files begin with the SOA, for some readers.
    let (soa, others): (Vec<_>, Vec<_>) = records.map(line).partition(|line| line.contains(" IN SOA "));
    [soa, others].concat().concat()
}
