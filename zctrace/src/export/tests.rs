#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::fmt::Write as _;
use std::path::Path;

use super::cell::{Head, Kind, MAX_NS, Null};
use super::*;
use crate::model::{LossWhat, TraceInfo, Transfer, TransferId};
use crate::sink::fixture;

/// What must not act in anybody's hands.
pub(super) const HOSTILE: [&[u8]; 12] = [
    b"=cmd()",
    b"+1",
    b"-1",
    b"@x",
    b"\t=1",
    b"\r=1",
    b"a\nb",
    b"e\x1b[2J\xff",
    b"<script>alert(1)</script>",
    b"\"q\",x",
    b"a;=1",
    "\u{202e}\u{9b}31m".as_bytes(),
];

/// Rows, as text.
#[derive(Default)]
struct Rows(Vec<(Which, Vec<Cell<'static>>)>);

impl Store for Rows {
    fn row(&mut self, table: Which, _: &Origin, _: u64, row: &[Cell<'_>]) -> io::Result<()> {
        self.0.push((table, row.iter().map(owned).collect()));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn owned(cell: &Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Null => Cell::Null,
        Cell::Bool(flag) => Cell::Bool(*flag),
        Cell::Number(n) => Cell::Number(*n),
        Cell::Time(ns) => Cell::Time(*ns),
        Cell::Text(text) => Cell::Text(text.clone().into_owned().into()),
        Cell::List(texts) => Cell::List(texts.iter().map(|t| t.clone().into_owned().into()).collect()),
    }
}

/// All kinds of facts, with hostile strings wherever strings come from outside.
pub(super) fn facts() -> Vec<Fact> {
    let mut facts = vec![Fact::Trace(Box::new(fixture::info()))];
    for (n, text) in (0..).zip(HOSTILE) {
        let id = TransferId { cpu: 1, seq: n };
        let mut t = Transfer { id, comm: text.into(), ..fixture::transfer(n) };
        t.cgroup = Some(String::from_utf8_lossy(text).into());
        if let Some(file) = &mut t.file {
            file.path = Some(text.into());
        }
        facts.push(Fact::Transfer(Box::new(t)));
        let mut m = fixture::mutation();
        m.comm = text.into();
        m.hits.iter_mut().for_each(|h| h.transfer = id);
        facts.push(Fact::Mutation(Box::new(m)));
    }
    facts.push(Fact::Transfer(Box::new(fixture::held())));
    let mut nobody = fixture::mutation();
    (nobody.pid, nobody.tid, nobody.file, nobody.len, nobody.end_ns) = (None, None, None, None, None);
    facts.push(Fact::Mutation(Box::new(nobody)));
    facts.push(fixture::loss(LossWhat::Ring, 3));
    facts
}

fn feed(sink: &mut impl Sink) {
    for fact in facts() {
        sink.fact(&fact).unwrap();
    }
    sink.finish(&Summary::default()).unwrap();
}

fn rows() -> Vec<(Which, Vec<Cell<'static>>)> {
    let mut tables = Tables::new(Rows::default());
    feed(&mut tables);
    tables.store.0
}

fn is_a(cell: &Cell<'_>, head: &Head) -> bool {
    match (cell, head.kind) {
        (Cell::Null, _) => head.null == Null::Unknown,
        (Cell::Bool(_), Kind::Bool)
        | (Cell::Number(_), Kind::U64)
        | (Cell::Time(_), Kind::Time)
        | (Cell::Text(_), Kind::Text)
        | (Cell::List(_), Kind::List) => true,
        (Cell::Number(n), Kind::U32) => u32::try_from(*n).is_ok(),
        (Cell::Number(n), Kind::Ns) => *n <= MAX_NS,
        _ => false,
    }
}

#[test]
fn cells_are_what_their_columns_say() {
    let rows = rows();
    for table in Which::ALL {
        let heads = table.heads();
        assert!(rows.iter().any(|(of, _)| *of == table), "{table:?}");
        for (_, row) in rows.iter().filter(|(of, _)| *of == table) {
            assert_eq!(row.len(), heads.len());
            for (cell, head) in row.iter().zip(&heads) {
                assert!(is_a(cell, head), "{table:?} {head:?} {cell:?}");
            }
        }
        let mut names: Vec<_> = heads.iter().map(|h| h.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), heads.len(), "a name twice");
    }
}

#[test]
fn no_text_acts() {
    for (table, row) in rows() {
        for cell in row {
            let texts = match cell {
                Cell::Text(text) => vec![text],
                Cell::List(texts) => texts,
                _ => continue,
            };
            assert!(!texts.iter().any(|t| t.chars().any(crate::text::acts)), "{table:?} {texts:?}");
        }
    }
}

#[test]
fn what_json_says_under_the_same_names() {
    let t = fixture::transfer(2);
    let mut lines = crate::sink::JsonLines::new(Vec::new());
    lines.fact(&Fact::Transfer(Box::new(t.clone()))).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&lines.into_inner()).unwrap();
    let origin = Origin::new(&fixture::info());
    for (head, cell) in TRANSFERS.heads().iter().zip(TRANSFERS.row(&origin, &t)) {
        if matches!(head.name, "trace" | "host" | "submit_time") {
            continue;
        }
        let inner = |prefix| Some(&json[prefix][head.name.strip_prefix(prefix)?.strip_prefix('_')?]);
        let said = ["file", "memory", "socket"].iter().find_map(|p| inner(*p)).unwrap_or(&json[head.name]);
        let same = match &cell {
            Cell::Null => said.is_null(),
            Cell::Bool(flag) => said == flag,
            // JSON has the number of a socket as text: JavaScript would round it.
            Cell::Number(n) => said == n || said.as_str() == Some(&n.to_string()),
            Cell::Time(_) => false,
            Cell::Text(text) => said == text.as_ref(),
            Cell::List(texts) => *said == serde_json::json!(texts),
        };
        assert!(same, "{} is {cell:?}, in JSON {said}", head.name);
    }
}

#[test]
fn the_clock_on_the_wall() {
    let origin = Origin::new(&fixture::info());
    assert_eq!(origin.wall(fixture::START + 1), Some(1_700_000_000_000_000_001));
    assert_eq!(origin.wall(0), Some(1_699_999_995_000_000_000));
    assert_eq!(origin.wall(u64::MAX), None);
    assert_eq!(Origin::default().wall(1), None);
    let other =
        TraceInfo { start_ns: 7, start_realtime_ns: 1_700_000_001_000_000_000, ..TraceInfo::default() };
    assert_eq!(Origin::new(&other).on(&origin, 8), fixture::START + 1_000_000_001);
}

#[test]
fn facts_of_a_merged_recording_are_of_their_hosts() {
    let mut tables = Tables::new(Rows::default());
    for part in [1, 2] {
        let host = format!("host-{part}");
        tables.fact(&Fact::Trace(Box::new(TraceInfo { part, host, ..fixture::info() }))).unwrap();
    }
    for part in [2, 1] {
        let mut t = fixture::transfer(1);
        t.id = t.id.of_part(part);
        tables.fact(&Fact::Transfer(Box::new(t))).unwrap();
        let mut m = fixture::mutation();
        m.id = m.id.of_part(part);
        tables.fact(&Fact::Mutation(Box::new(m))).unwrap();
    }
    let hosts: Vec<_> = tables.store.0.iter().map(|(of, row)| (*of, row.get(1).cloned().unwrap())).collect();
    let host = |n: u16| Cell::Text(format!("host-{n}").into());
    assert_eq!(
        hosts,
        [
            (Which::Traces, host(1)),
            (Which::Traces, host(2)),
            (Which::Transfers, host(2)),
            (Which::Mutations, host(2)),
            (Which::Hits, host(2)),
            (Which::Transfers, host(1)),
            (Which::Mutations, host(1)),
            (Which::Hits, host(1)),
        ]
    );
}

#[test]
fn files_are_there_when_they_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("a/b");
    let names = |dir: &Path| {
        let all = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    };
    drop(Csv::new(&out, Existing::Keep).unwrap());
    assert_eq!(names(&out), [""; 0], "what was not finished leaves nothing");
    let mut csv = Tables::new(Csv::new(&out, Existing::Keep).unwrap());
    let text = Csv::new(&out, Existing::Keep).err().unwrap().to_string();
    assert!(text.ends_with("traces.csv.part exists: --force replaces it"), "{text}");
    feed(&mut csv);
    assert_eq!(names(&out), ["hits.csv", "losses.csv", "mutations.csv", "traces.csv", "transfers.csv"]);
    let before = std::fs::read(out.join("transfers.csv")).unwrap();
    assert!(Csv::new(&out, Existing::Keep).is_err());
    let mut csv = Tables::new(Csv::new(&out, Existing::Replace).unwrap());
    assert_eq!(std::fs::read(out.join("transfers.csv")).unwrap(), before, "until the other is whole");
    feed(&mut csv);
    assert_eq!(std::fs::read(out.join("transfers.csv")).unwrap(), before, "same input, same bytes");
    let mut lines = ::csv::Reader::from_reader(before.as_slice());
    for record in lines.records() {
        for field in &record.unwrap() {
            assert!(!field.starts_with(['=', '+', '-', '@', '\t', '\r']), "{field}");
            assert!(!field.chars().any(crate::text::acts) && !field.contains(';'), "{field}");
        }
    }
}

#[cfg(feature = "parquet")]
#[test]
fn a_tree_by_host_and_day() {
    use std::collections::BTreeSet;

    use ::parquet::file::reader::{FileReader as _, SerializedFileReader};

    let dir = tempfile::tempdir().unwrap();
    let export = |host: &str, existing| -> anyhow::Result<()> {
        let mut parquet = Tables::new(Parquet::new(dir.path(), Layout::Partitioned, existing)?);
        let host = host.to_owned();
        parquet.fact(&Fact::Trace(Box::new(TraceInfo { host, ..fixture::info() })))?;
        // More days than files may be open, there and back again.
        for day in (0..20).chain((0..20).rev()) {
            let mut t = fixture::transfer(1);
            t.submit_ns = fixture::START + day * 86_400_000_000_000;
            parquet.fact(&Fact::Transfer(Box::new(t)))?;
        }
        parquet.finish(&Summary::default())?;
        Ok(())
    };
    export("web-1", Existing::Keep).unwrap();
    export("../../x", Existing::Keep).unwrap();
    assert!(export("web-1", Existing::Keep).is_err(), "the same again");
    export("web-1", Existing::Replace).unwrap();
    let mut rows = std::collections::BTreeMap::<_, i64>::new();
    let mut days = BTreeSet::new();
    for table in std::fs::read_dir(dir.path()).unwrap() {
        let table = table.unwrap();
        for host in std::fs::read_dir(table.path()).unwrap() {
            let host = host.unwrap();
            for day in std::fs::read_dir(host.path()).unwrap() {
                let day = day.unwrap();
                days.insert(day.file_name().into_string().unwrap());
                for file in std::fs::read_dir(day.path()).unwrap() {
                    let file = std::fs::File::open(file.unwrap().path()).unwrap();
                    let n = SerializedFileReader::new(file).unwrap().metadata().file_metadata().num_rows();
                    let key =
                        (table.file_name().into_string().unwrap(), host.file_name().into_string().unwrap());
                    *rows.entry(key).or_default() += n;
                }
            }
        }
    }
    let mut expected = std::collections::BTreeMap::new();
    for host in ["host=web-1", "host=..%2F..%2Fx"] {
        for (table, n) in [("traces", 1), ("transfers", 40), ("mutations", 0), ("hits", 0), ("losses", 0)] {
            expected.insert((table.to_owned(), host.to_owned()), n);
        }
    }
    assert_eq!(rows, expected);
    assert_eq!(days.len(), 20);
    assert_eq!(days.first().unwrap(), "day=2023-11-14");
}

/// `ZCTRACE_UPDATE_DOCS=1 cargo test -p zctrace --lib the_docs` writes the tables of `docs/export.md`.
#[test]
fn the_docs_have_the_tables() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/export.md");
    let docs = std::fs::read_to_string(&path).unwrap();
    let mut tables = String::new();
    for table in Which::ALL {
        write!(tables, "\n### `{}`\n\n{}\n\n", table.name(), capital(table.meaning())).unwrap();
        tables += "| column | type | null | |\n|---|---|---|---|\n";
        for h in table.heads() {
            let kind = match h.kind {
                Kind::Bool => "BOOLEAN",
                Kind::U32 => "UINT32",
                Kind::U64 => "UINT64",
                Kind::Ns => "INT64, ns",
                Kind::Time => "TIMESTAMP(NANOS, UTC)",
                Kind::Text => "STRING",
                Kind::List => "LIST<STRING>",
            };
            let null = if h.null == Null::Unknown { "yes" } else { "" };
            writeln!(tables, "| `{}` | {kind} | {null} | {} |", h.name, h.meaning).unwrap();
        }
    }
    tables.push('\n');
    let (begin, end) = ("<!-- tables -->\n", "<!-- end of tables -->");
    let from = docs.find(begin).unwrap_or_else(|| panic!("{begin} is missing")) + begin.len();
    let to = docs.find(end).unwrap();
    let mut new = docs.clone();
    new.replace_range(from..to, &tables);
    if std::env::var_os("ZCTRACE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &new).unwrap();
        return;
    }
    assert!(docs == new, "ZCTRACE_UPDATE_DOCS=1 cargo test -p zctrace --lib the_docs writes it");
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
