#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

use super::*;
use crate::model::{Outcome, TraceInfo, Transfer, TransferId};
use crate::pipeline::Pipeline;
use crate::sim::{Load, server};
use crate::sink::fixture;

fn about() -> About {
    About { name: "<b>.zct".into(), argument: "out.zct".into(), problem: None }
}

/// Through the whole line of stages.
fn page_of(load: &Load) -> String {
    let page = Page::default();
    let mut pipeline = Pipeline::new(None, vec![Box::new(page.clone())]);
    for frame in server(load) {
        pipeline.frame(&frame).unwrap();
    }
    let summary = pipeline.finish().unwrap();
    page.html(&summary, &about())
}

fn of_facts(facts: &[Fact]) -> String {
    let (mut page, mut summary) = (Page::default(), Summary::default());
    for fact in facts {
        page.fact(fact).unwrap();
        summary.add(fact);
    }
    page.html(&summary, &about())
}

fn data_of(page: &str) -> serde_json::Value {
    let (_, rest) = page.split_once("id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn the_same_recording_is_the_same_page() {
    let load = Load { transfers: 300, ..Load::default() };
    let page = page_of(&load);
    assert_eq!(page, page_of(&load));
    let data = data_of(&page);
    assert_eq!(data["transfers"].as_array().unwrap().len(), 302);
    assert_eq!(page.matches("<tr id=\"t-").count(), 302);
    assert!(page.contains("Did anything change while it was lent? <strong>YES</strong>"));
}

#[test]
fn names_become_text_whatever_they_are() {
    let plain = page_of(&Load { transfers: 60, ..Load::default() });
    for name in [
        &b"</script><script>alert(1)</script>"[..],
        b"<!--<script>",
        b"\"><img src=x onerror=alert(1)>",
        b"a'\" onload='x",
        b"\x1b[2J\xff\xfe\xe2\x80\xae\xe2\x80\xa8\n\r\t\x7f\xc2\x9b",
        b"&lt;b&gt;&amp;",
        b"]]>-->${1}`\\u003c/script>",
    ] {
        let page = page_of(&Load { transfers: 60, names: Some(name.to_vec()), ..Load::default() });
        let acts = |c: char| text::acts(c) && c != '\n';
        assert!(!page.chars().any(acts), "{name:?}");
        // The same elements as with names that are none; the table of processes has other rows.
        for tag in ["<script", "</script", "<img", "<!--", "<section", "<table", "<h2", "<style"] {
            assert_eq!(page.matches(tag).count(), plain.matches(tag).count(), "{tag} {name:?}");
        }
        assert_eq!(data_of(&page)["transfers"].as_array().unwrap().len(), 62);
    }
}

#[test]
fn a_page_is_bounded_and_says_what_it_leaves_out() {
    let mut facts = vec![Fact::Trace(Box::new(fixture::info()))];
    for seq in 0..20_000u64 {
        let mut t =
            Transfer { verdict: Verdict::Clean, reasons: Vec::new(), ..fixture::transfer(1 + seq % 97) };
        t.id.seq = seq;
        match seq % 10 {
            0 => (t.verdict, t.mutations) = (Verdict::Mutated, vec![fixture::mutation().id; 100]),
            1 => t.verdict = Verdict::Unknown,
            2 => (t.outcome, t.release_ns, t.released_by) = (Outcome::Held, None, None),
            _ => {}
        }
        facts.push(Fact::Transfer(Box::new(t)));
        let mut m = fixture::mutation();
        (m.id.0, m.hits) = (seq, vec![m.hits[0]; 100]);
        facts.push(Fact::Mutation(Box::new(m)));
    }
    let page = of_facts(&facts);
    let n = data_of(&page)["transfers"].as_array().unwrap().len();
    assert!((3_500..=4_000).contains(&n), "{n}");
    assert!(page.contains(&format!("{n} of 20000 are on this page")));
    assert!(page.contains("The first 2000 of 20000 changes"));
    assert!(page.len() < 12_000_000, "{}", page.len());
    assert!(page.contains(" and 68 more"), "of the changes of one transfer");
}

#[test]
fn the_sample_is_fair() {
    let mut keep = Keep::default();
    for seq in 0..30_000u64 {
        let mut t = Transfer { verdict: Verdict::Clean, ..fixture::transfer(1) };
        t.id = TransferId { cpu: u32::from(seq % 2 == 0), seq };
        keep.fact(&Fact::Transfer(Box::new(t)));
    }
    let kept = keep.transfers();
    let early = kept.iter().filter(|k| k.it.id.seq < 15_000).count();
    let share = early * 100 / kept.len();
    assert!((38..=62).contains(&share), "{share} of 100");
}

#[test]
fn nothing_is_a_page_too() {
    let page = of_facts(&[]);
    assert!(page.contains("no header") && page.contains("nothing was lent"));
    assert!(!page.contains("id=\"data\""));
    let info = TraceInfo { probes: Vec::new(), ..fixture::info() };
    let page = of_facts(&[Fact::Trace(Box::new(info)), Fact::Transfer(Box::new(fixture::held()))]);
    assert!(page.contains("\u{2265} ") && page.contains("in a pipe") | page.contains("(pipe)"));
}

#[test]
fn hosts_are_told_where_there_are_several() {
    let mut there = fixture::transfer(3);
    there.id = there.id.of_part(1);
    let one = [Fact::Trace(Box::new(fixture::info())), Fact::Transfer(Box::new(fixture::transfer(2)))];
    assert!(!of_facts(&one).contains(">host</button>"));
    let mut both = one.to_vec();
    both.push(Fact::Trace(Box::new(TraceInfo { part: 1, host: "edge".into(), ..fixture::info() })));
    both.push(Fact::Transfer(Box::new(there)));
    let page = of_facts(&both);
    assert!(
        page.contains(">host</button>") && page.contains("<td>edge</td>") && page.contains("id=\"t-1-3-17\"")
    );
}

#[test]
fn every_field_has_its_label() {
    let mut t = fixture::transfer(2);
    t.notify_ns = t.return_ns;
    t.notify_copied = Some(true);
    let kept = keep::Kept { all: 3, it: Transfer { mutations: vec![fixture::mutation().id], ..t } };
    let clock = Clock { start_ns: fixture::START, ahead_ns: Some(1_700_000_000_000_000_000) };
    let value = words::transfer(&kept, clock, None);
    let said: Vec<(String, String)> = value["words"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| {
            (
                words::LABELS[usize::try_from(w[0].as_u64().unwrap()).unwrap()].into(),
                w[1].as_str().unwrap().into(),
            )
        })
        .collect();
    let of = |label: &str| said.iter().find(|(l, _)| l == label).map_or("", |(_, w)| w.as_str());
    assert_eq!(of("process"), "nginx/4242, thread 4243");
    assert_eq!(of("gap"), "2.00 ms");
    assert_eq!(of("return"), "500 \u{b5}s after submit");
    assert_eq!(of("notify"), "500 \u{b5}s after submit, it said: copied");
    assert_eq!(of("changes"), "m1 and 2 more");
    assert_eq!(of("number of the file"), "ino 12 on 8:1");
    assert_eq!(of("submit"), "1.23 s after the trace began, 2023-11-14 22:13:26.234567 UTC");
    assert_eq!(of("host"), "");
}
