//! Keys whose signatures take long: whoever writes elsewhere does not wait for them.

use std::time::Instant;

use super::signed::wait;
use super::*;
use crate::keys::Fake;
use crate::store::domains::Denial;

/// How long a signature takes: a zone of a few names has a dozen.
const DELAY: Duration = Duration::from_millis(100);

#[test]
fn a_slow_device_holds_up_nobody_elses_writes() {
    let bench = Bench::new();
    let (device, fake) = Fake::start(Duration::from_secs(3));
    let dnssec = Dnssec::open(&bench.dir.path().join("seal"), false).unwrap();
    let dnssec = Arc::new(dnssec.with_device(device, Arc::clone(&bench.store)));
    let publisher = bench.signing(&dnssec);
    let (slow, _) = bench.create("slow.test");
    let (other, made) = bench.create("other.test");
    wait(&publisher, made);
    fake.delay(DELAY);
    let signed = bench.sign(&dnssec, slow, "slow.test", Denial::Nsec);
    let begun = Instant::now();
    let change = bench.set(other, "www", "192.0.2.1");
    wait(&publisher, change);
    let (others, served) = (begun.elapsed(), bench.served());
    assert!(others < 5 * DELAY, "another domain waited for {others:?}");
    assert!(served.contains("other.test."), "{served}");
    // Four signatures at least, one after the other: of SOA, NS, NSEC and DNSKEY.
    wait(&publisher, signed);
    assert!(begun.elapsed() >= 4 * DELAY, "its own write waits for its own service: {:?}", begun.elapsed());
    assert_eq!(publisher.refusal_of("slow.test"), None);
    assert!(bench.zone_of(&"slow.test.".parse().unwrap()).record_count() >= 8);
    // Nor does a change of a few names of it, which is known to take long by now.
    let edit = bench.set(slow, "www", "192.0.2.1");
    let begun = Instant::now();
    wait(&publisher, bench.set(other, "www", "192.0.2.2"));
    assert!(begun.elapsed() < 3 * DELAY, "another domain waited for {:?}", begun.elapsed());
    wait(&publisher, edit);
    assert_eq!(publisher.refusal_of("slow.test"), None);
    // Once the device is fast again, that becomes known.
    fake.delay(Duration::ZERO);
    for number in 0..40 {
        wait(&publisher, bench.set(slow, "www", &format!("192.0.2.{number}")));
    }
    let key = bench.store.read(|reader| reader.keys(slow)).unwrap();
    let row = bench.store.read(|reader| reader.domain(slow)).unwrap().unwrap();
    let work = crate::dnssec::Work::Zone { rrsets: row.rrset_count.into(), changed: Some(1) };
    let effort = dnssec.effort(slow, &key, work);
    assert!(effort < DELAY, "it is known to be fast again: {effort:?}");
    publisher.stop();
}
