//! Recordings that were made by each version of the format say today what they said then. They are real, and never
//! made anew: what cannot be read any more is a promise broken. `ZCTRACE_GOLDEN=new` writes down what a new one says.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use zctrace::input::Asked;
use zctrace::model::Fact;
use zctrace::pipeline::{self, Pipeline};
use zctrace::sink::Collect;
use zctrace::{text, trace};

/// What must not change: who, what, when, and what was concluded.
fn said(files: &[PathBuf]) -> String {
    let facts = Collect::default();
    let mut pipeline = Pipeline::new(None, vec![Box::new(facts.clone())]);
    let asked = Asked { files: files.into(), ..Asked::default() };
    let end = pipeline::read(&asked, &mut pipeline, &mut |_| Ok(())).unwrap();
    pipeline.finish().unwrap();
    let mut out = String::new();
    let ns = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), |ns| ns.to_string());
    for fact in facts.take() {
        let row: Vec<String> = match fact {
            Fact::Trace(t) => vec!["trace".into(), t.start_ns.to_string(), t.start_realtime_ns.to_string()],
            Fact::Loss(l) => vec!["loss".into(), text::loss(l.what).into(), l.records.to_string()],
            Fact::Transfer(t) => vec![
                t.id.to_string(),
                text::api(t.api).into(),
                format!("{}/{}", text::harmless(&t.comm), t.pid),
                text::source(&t).into_owned(),
                format!("{}+{}", t.offset, t.bytes),
                t.submit_ns.to_string(),
                ns(t.return_ns),
                ns(t.first_xmit_ns),
                ns(t.ack_ns),
                ns(t.release_ns),
                t.released_by.map_or("-", text::released_by).into(),
                text::outcome(t.outcome).into(),
                text::verdict(t.verdict).into(),
                t.mutations.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            ],
            Fact::Mutation(m) => vec![
                m.id.to_string(),
                text::mutation(m.kind).into(),
                text::writer(&m),
                format!("{}+{}", m.offset, ns(m.len)),
                m.at_ns.to_string(),
                m.hits.len().to_string(),
            ],
        };
        writeln!(out, "{}", row.join("\t")).unwrap();
    }
    let end = match end {
        None => "complete",
        Some(trace::End::Next) => "goes on",
        Some(_) => "broken",
    };
    writeln!(out, "{end}").unwrap();
    out
}

fn check(files: &[PathBuf], name: &str) {
    let expected =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("tsv");
    let now = said(files);
    if !expected.exists() && std::env::var_os("ZCTRACE_GOLDEN").is_some() {
        std::fs::write(&expected, &now).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&expected).unwrap(), now, "{name}");
}

#[test]
fn every_version_says_what_it_said() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut all: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    all.retain(|p| p.extension().is_some_and(|e| e == "zct"));
    all.sort();
    let mut segments = Vec::new();
    for file in all {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        check(std::slice::from_ref(&file), &format!("{name}.tsv"));
        if name.starts_with("v2-segments.") {
            segments.push(file);
        }
    }
    assert!(segments.len() > 2);
    check(&segments, "v2-all-segments.tsv");
}
