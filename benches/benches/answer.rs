//! Time per answered query, by kind, for 100 and for a million names; and parse, lookup and compile on their own.
//!
//! `cargo bench -p benches --bench answer`. Random order over the whole zone, batches as the workers make them.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use benches::{KINDS, Kind, builder, overlaid, overlay, queries, queries_in_overlay, touched, view, write_zone, zone};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dataplane::answer::{BATCH_LEN, Scratch, Settings, respond};
use dataplane::packet::{Arrival, Packet, Transport};
use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::zonefile::{Options, Reader};
use snapshot::image::{Segment, View, ZoneCounts};

/// How many different questions a run cycles through: more than the caches hold nodes.
const QUESTIONS: u32 = 1 << 19;

/// Answers one batch of copies of `batch`.
fn answer_batch(
    view: &View,
    batch: &[Vec<u8>],
    buffers: &mut [[u8; 2048]],
    scratch: &mut Scratch,
    settings: &Settings,
) {
    let mut packets: [Option<Packet<'_>>; BATCH_LEN] = [const { None }; BATCH_LEN];
    for ((slot, buf), query) in packets.iter_mut().zip(buffers).zip(batch) {
        buf[..query.len()].copy_from_slice(query);
        *slot = Some(Packet::new(buf, query.len(), IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
    let mut packets = packets.map(|packet| packet.expect("every lane was filled"));
    let arrival = Arrival { transport: Transport::Udp, now_secs: 0, lot: 0 };
    respond(settings, view, arrival, &mut packets, scratch);
    black_box(&packets);
}

/// The whole way from query bytes to reply bytes.
fn answers(criterion: &mut Criterion) {
    let settings = Settings::default();
    for names in [100, 1_000_000] {
        let mut group = criterion.benchmark_group(format!("answer/{names}"));
        group.throughput(Throughput::Elements(BATCH_LEN as u64));
        for kind in KINDS {
            let view = view(&kind.zone(names));
            let asked = queries(kind, names, QUESTIONS);
            let mut batches = asked.chunks_exact(BATCH_LEN).cycle();
            let mut scratch = Scratch::new();
            let mut buffers = vec![[0; 2048]; BATCH_LEN];
            group.bench_function(format!("{kind:?}"), |bencher| {
                bencher.iter(|| {
                    let batch = batches.next().expect("the cycle never ends");
                    answer_batch(&view, batch, &mut buffers, &mut scratch, &settings);
                });
            });
        }
        group.finish();
    }
}

/// The like with an overlay of 4,096 nodes, and what it takes to build one.
fn overlays(criterion: &mut Criterion) {
    const NAMES: u32 = 1_000_000;
    const NODES: u32 = 4096;
    let settings = Settings::default();
    let zone = zone(NAMES);
    let base = Segment::build(&zone).expect("the zone is well-formed").base_facts().expect("whole zones can be bases");
    for count in [10, NODES] {
        let touched = touched(NAMES, count - 1);
        // From nothing, as after a restart; and what each further change of one name costs.
        criterion.bench_function(&format!("overlay/build/{count}"), |bencher| {
            bencher.iter(|| overlay(black_box(&zone), &touched, base).facts.bytes);
        });
        let mut kept = Some(builder(&zone, &touched, base));
        let mut changes = touched.chunks_exact(1).cycle();
        criterion.bench_function(&format!("overlay/change/{count}"), |bencher| {
            bencher.iter(|| {
                let change = changes.next().expect("the cycle never ends");
                kept = kept.take().and_then(|kept| kept.change(black_box(&zone), change).ok());
                kept.as_ref().map(|kept| kept.build(ZoneCounts::default()).map(|built| built.facts.bytes))
            });
        });
    }
    let view = overlaid(&zone, NAMES, NODES - 1);
    let mut group = criterion.benchmark_group("overlay/answer");
    group.throughput(Throughput::Elements(BATCH_LEN as u64));
    for (kind, asked) in [
        ("Hit in base", queries(Kind::Hit, NAMES, QUESTIONS)),
        ("Hit in overlay", queries_in_overlay(NAMES, NODES - 1)),
        ("NxDomain", queries(Kind::NxDomain, NAMES, QUESTIONS)),
    ] {
        let mut batches = asked.chunks_exact(BATCH_LEN).cycle();
        let mut scratch = Scratch::new();
        let mut buffers = vec![[0; 2048]; BATCH_LEN];
        group.bench_function(kind, |bencher| {
            bencher.iter(|| {
                let batch = batches.next().expect("the cycle never ends");
                answer_batch(&view, batch, &mut buffers, &mut scratch, &settings);
            });
        });
    }
    group.finish();
}

/// Finding zone and node of a name, one at a time.
fn lookups(criterion: &mut Criterion) {
    let view = view(&zone(1_000_000));
    let asked = queries(Kind::Hit, 1_000_000, QUESTIONS);
    let mut names = asked.iter().cycle();
    let mut name = LookupName::default();
    criterion.bench_function("lookup/1000000/one-at-a-time", |bencher| {
        bencher.iter(|| {
            let query = names.next().expect("the cycle never ends");
            name.assign(&query[12..]).expect("the question has a name");
            let zone = view.find_zone(&name, name.label_count()).and_then(|id| view.get(id)).expect("in the zone");
            black_box(zone.find_now(&name).is_some())
        });
    });
}

/// Reading a zone file: `parse/10000` reads some 19,000 records.
fn parse(criterion: &mut Criterion) {
    let mut text = Vec::new();
    write_zone(10_000, &mut text).expect("memory can be written");
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("10000", |bencher| {
        bencher.iter(|| {
            let mut reader = Reader::new(text.as_slice(), Options::default());
            let mut records = 0;
            while let Some(record) = reader.read().expect("the zone is well-formed") {
                records += black_box(record.rdata).len();
            }
            records
        });
    });
    group.finish();
}

/// Compiling ready records into a segment.
fn compile(criterion: &mut Criterion) {
    for names in [10, 10_000] {
        let zone = zone(names);
        criterion.bench_function(&format!("compile/{names}"), |bencher| {
            bencher.iter_batched(|| (), |()| Segment::build(black_box(&zone)).is_ok(), BatchSize::PerIteration);
        });
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(20);
    targets = answers, overlays, parse, lookups, compile
}
criterion_main!(all);
