#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use prost::Message as _;

use super::proto::event::{BEGIN, END, INSTANT};
use super::*;
use crate::export::tests::facts;
use crate::model::{Outcome, Phase};
use crate::sim::Rng;
use crate::sink::fixture;

fn packets(facts: &[Fact]) -> Vec<TracePacket> {
    let mut perfetto = Perfetto::new(Vec::new());
    for fact in facts {
        perfetto.fact(fact).unwrap();
    }
    perfetto.finish(&Summary::default()).unwrap();
    let bytes = perfetto.packets.into_inner();
    let (mut rest, mut packets) = (bytes.as_slice(), Vec::new());
    while let Some((10, after)) = rest.split_first() {
        rest = after;
        packets.push(TracePacket::decode_length_delimited(&mut rest).unwrap());
    }
    assert!(rest.is_empty());
    packets
}

/// By time, as the viewer sorts them: (time, event).
fn events(packets: &[TracePacket]) -> Vec<(u64, TrackEvent)> {
    let mut events: Vec<_> =
        packets.iter().filter_map(|p| Some((p.timestamp?, p.track_event.clone()?))).collect();
    events.sort_by_key(|(at, _)| *at);
    events
}

/// A window of so many microseconds.
fn window(seq: u64, from: u64, to: u64) -> Transfer {
    let mut t = fixture::transfer(1);
    t.id.seq = seq;
    t.submit_ns = fixture::START + from * 1000;
    t.release_ns = Some(fixture::START + to * 1000);
    (t.return_ns, t.first_xmit_ns, t.ack_ns) = (None, None, None);
    t
}

#[test]
fn slices_of_a_track_never_overlap() {
    let mut rng = Rng::new(7);
    let mut all: Vec<(u64, u64)> = (0..2000).map(|_| (rng.below(9000), 1 + rng.below(400))).collect();
    all.push((0, 9000));
    all.sort_by_key(|(from, len)| from + len);
    let mut facts = vec![Fact::Trace(Box::new(fixture::info()))];
    for (seq, (from, len)) in (0..).zip(&all) {
        facts.push(Fact::Transfer(Box::new(window(seq, *from, from + len))));
    }
    let packets = packets(&facts);
    let mut open = BTreeMap::new();
    for (_, e) in events(&packets) {
        let depth: &mut i32 = open.entry(e.track_uuid).or_default();
        *depth += if e.r#type == Some(BEGIN) { 1 } else { -1 };
        assert!((0..=1).contains(depth));
    }
    assert!(open.values().all(|depth| *depth == 0));
    // As many lanes as were open at once would be ideal.
    let mut ends: Vec<_> = all.iter().flat_map(|(from, len)| [(*from, 1), (from + len, -1)]).collect();
    ends.sort_unstable();
    let most = ends.iter().scan(0, |n, (_, d)| {
        *n += d;
        Some(*n)
    });
    let most: usize = most.max().unwrap().try_into().unwrap();
    assert!(open.len() <= most * 2, "{} lanes for {most}", open.len());
    let lanes: Vec<_> = packets
        .iter()
        .filter_map(|p| p.track_descriptor.as_ref())
        .filter(|d| d.sibling_merge_key.is_some())
        .map(|d| (d.name.clone(), d.sibling_merge_key.clone(), d.parent_uuid))
        .collect();
    assert_eq!(lanes.len(), open.len());
    assert!(lanes.windows(2).all(|w| w.first() == w.last()), "shown as one");
}

#[test]
fn a_flow_leads_to_each_transfer() {
    let (mut a, mut b) = (window(1, 10, 90), window(2, 20, 80));
    let mut m = fixture::mutation();
    // It began before the second, and was still going on then.
    m.at_ns = fixture::START + 15_000;
    m.hits = [a.id, b.id].map(|transfer| Hit { transfer, phase: Phase::InFlight }).to_vec();
    (a.mutations, b.mutations) = (vec![m.id], vec![m.id]);
    let facts = [b.clone(), a.clone()].map(|t| Fact::Transfer(Box::new(t)));
    let packets = packets(&[&facts[..], &[Fact::Mutation(Box::new(m.clone()))]].concat());
    let events = events(&packets);
    let flows = [flow(m.id, a.id), flow(m.id, b.id)];
    let source = events.iter().find(|(_, e)| e.flow_ids == flows).unwrap();
    assert_eq!((source.0, source.1.r#type), (m.at_ns, Some(INSTANT)));
    for (t, at, flow) in [(&a, 15_000, flows[0]), (&b, 20_000, flows[1])] {
        let (ended, end) = events.iter().find(|(_, e)| e.terminating_flow_ids == [flow]).unwrap();
        assert_eq!((Some(*ended), end.r#type), (t.release_ns, Some(END)));
        let (hit, on) = events.iter().find(|(_, e)| e.flow_ids == [flow]).unwrap();
        assert_eq!((*hit, on.track_uuid), (fixture::START + at, end.track_uuid));
    }
    assert_ne!(flows[0], flows[1]);
}

#[test]
fn what_is_held_ends_with_the_trace_and_says_so() {
    let mut held = fixture::held();
    held.return_ns = None;
    let last = window(9, 0, 5_000_000);
    let mut m = fixture::mutation();
    m.hits.iter_mut().for_each(|h| h.transfer = held.id);
    held.mutations = vec![m.id];
    let transfers = [held.clone(), last.clone()].map(|t| Fact::Transfer(Box::new(t)));
    let packets = packets(&[&transfers[..], &[Fact::Mutation(Box::new(m.clone()))]].concat());
    let events = events(&packets);
    let ends: Vec<_> =
        events.iter().filter(|(_, e)| e.r#type == Some(END)).map(|(at, _)| Some(*at)).collect();
    assert_eq!(ends, [last.release_ns, last.release_ns]);
    let hits =
        events.iter().filter(|(_, e)| e.flow_ids == [flow(m.id, held.id)] && e.r#type == Some(INSTANT));
    assert_eq!(hits.count(), 2, "on the writer's line, and on that of the transfer");
    let texts = texts(&packets);
    assert!(texts.iter().any(|t| t == "held: still lent when the trace ended"));
    let mut unknown = fixture::held();
    unknown.outcome = Outcome::Unknown;
    let packets = self::packets(&[Fact::Transfer(Box::new(unknown.clone()))]);
    let end = self::events(&packets).last().unwrap().0;
    assert_eq!(Some(end), unknown.return_ns);
}

fn texts(packets: &[TracePacket]) -> Vec<String> {
    let mut texts = Vec::new();
    for p in packets {
        texts.extend(p.track_descriptor.iter().filter_map(|d| d.name.clone()));
        if let Some(d) = &p.interned_data {
            let all = [
                &d.event_categories,
                &d.event_names,
                &d.debug_annotation_names,
                &d.debug_annotation_string_values,
            ];
            texts.extend(all.into_iter().flatten().filter_map(|i| i.text.clone()));
        }
        let notes = p.track_event.iter().flat_map(|e| &e.debug_annotations);
        texts.extend(notes.filter_map(|n| n.string_value.clone()));
    }
    texts
}

#[test]
fn no_text_acts() {
    let texts = texts(&packets(&facts()));
    assert!(texts.iter().any(|t| t.contains("<script>")));
    assert!(!texts.iter().any(|t| t.chars().any(text::acts)), "{texts:?}");
}

#[test]
fn texts_are_forgotten_and_said_again() {
    let mut facts = vec![Fact::Trace(Box::new(fixture::info()))];
    for seq in 0..3000 {
        let mut t = window(seq, seq * 10, seq * 10 + 5);
        t.cgroup = Some(format!("/{seq}{}", "x".repeat(4000)).into());
        facts.push(Fact::Transfer(Box::new(t)));
    }
    let packets = packets(&facts);
    let mut known = std::collections::BTreeSet::new();
    let mut cleared = 0;
    for p in &packets {
        if p.sequence_flags.unwrap() & proto::sequence::CLEARED != 0 {
            (cleared, known) = (cleared + 1, std::collections::BTreeSet::new());
            assert!(p.trace_packet_defaults.is_some());
        }
        if let Some(d) = &p.interned_data {
            known.extend(d.event_names.iter().chain(&d.debug_annotation_string_values).map(|i| i.iid));
        }
        if let Some(e) = &p.track_event {
            assert!(e.name_iid.is_none() || known.contains(&e.name_iid));
            let values = e.debug_annotations.iter().map(|n| n.string_value_iid);
            assert!(values.into_iter().all(|iid| iid.is_none() || known.contains(&iid)));
        }
    }
    assert!(cleared > 1, "{cleared}");
}
