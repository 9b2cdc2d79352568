//! `zctrace lab` on the running kernel: it agrees with its receivers, and with itself.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tool::{BIN, output, parse, u};

fn lab(args: &[&str]) -> Vec<Value> {
    let began = Instant::now();
    let (code, out, err) = output(Command::new(BIN).args(["lab", "--json"]).args(args));
    let lines = parse(out.as_bytes());
    let wrong: Vec<_> = of(&lines, "lab_cell")
        .into_iter()
        .filter(|c| !c["contradictions"].as_array().unwrap().is_empty())
        .collect();
    assert_eq!(code, 0, "{err}{wrong:#?}");
    assert_eq!(err, "", "no progress where stderr is no terminal");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let s = lines.last().unwrap();
    println!("lab {args:?}: {} cells, {}", s["cells"], s["words"]);
    assert_eq!(s["type"], "lab_summary");
    assert_eq!(s["contradictions"], 0, "{s}");
    assert_eq!(u(&s["agreements"]) + u(&s["skipped"]), u(&s["cells"]), "{s}");
    assert!(u(&s["released"]) as f64 >= u(&s["transfers"]) as f64 * 0.999, "{s}");
    lines
}

fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|l| l["type"] == kind).collect()
}

/// A row without what depends on who was faster.
fn conclusion(row: &Value) -> Value {
    let mut row = row.clone();
    row.as_object_mut().unwrap().remove("times").unwrap();
    row
}

#[test]
fn two_runs_agree_with_their_receivers_and_with_each_other() {
    let (first, second) = (lab(&[]), lab(&["--fingerprint", "full"]));
    let rows = |lines: &[Value]| of(lines, "lab_row").into_iter().map(conclusion).collect::<Vec<_>>();
    assert_eq!(rows(&first), rows(&second));
    for lines in [&first, &second] {
        let cells = of(lines, "lab_cell");
        let copies = || cells.iter().filter(|c| ["copy", "uring_copy"].contains(&c["api"].as_str().unwrap()));
        assert!(copies().count() > 100);
        for c in copies() {
            assert_eq!((u(&c["exposure_ns"]), &c["reached"]), (0, &Value::Bool(false)), "{c}");
            assert_eq!(c["transfers"].as_array().unwrap().len(), 0, "{c}");
        }
        for api in ["sendfile", "splice", "io_uring_splice", "io_uring_splice_fixed"] {
            for transport in ["tcp4", "tcp6"] {
                let stalled: Vec<_> = cells
                    .iter()
                    .filter(|c| c["api"] == api && c["transport"] == transport && c["receiver"] == "stalled")
                    .filter(|c| c["writer"] != "none")
                    .collect();
                assert_eq!(stalled.len(), 3, "{api} {transport}");
                assert!(stalled.iter().all(|c| c["reached"] == true), "{stalled:#?}");
            }
        }
    }
}

#[test]
fn only_some_cells() {
    let lines = lab(&["--api", "sendfile", "--api", "copy", "--transport", "unix", "--receiver", "stalled"]);
    assert_eq!(of(&lines, "lab_cell").len(), 8);
    assert_eq!(of(&lines, "lab_row").len(), 2);
    let (code, out, err) =
        output(Command::new(BIN).args(["lab", "--api", "sendfile", "--transport", "carrier"]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--transport carrier: there is only tcp4, "), "{err}");
    let (code, _, err) = output(Command::new(BIN).args(["lab", "--api", "copy", "--memory", "hugetlb"]));
    assert_eq!(code, 2, "{err}");
}

#[test]
fn table_and_page() {
    let dir = crate::tool::dir();
    let page = dir.path().join("lab.html");
    let cells = ["--api", "sendfile", "--transport", "tcp4", "--html", page.to_str().unwrap()];
    let (code, out, err) = output(Command::new(BIN).arg("lab").args(cells));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("when the receiver read it"), "{out}");
    assert!(out.lines().all(|l| l.chars().count() <= 100) && !out.contains('\x1b'), "{out}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    assert!(!page.contains("http:") && !page.contains("https:"), "the page asks for something");
}

#[test]
fn nothing_stays_behind_when_it_is_interrupted() {
    use crate::tool::{Guard, signal};
    let dir = crate::tool::dir();
    let child = Command::new(BIN).arg("lab").env("TMPDIR", dir.path()).spawn().unwrap();
    let mut child = Guard(child);
    // Until cells are played.
    let began = Instant::now();
    let files = || std::fs::read_dir(dir.path()).unwrap().count();
    while files() == 0 {
        assert!(began.elapsed() < Duration::from_secs(30));
        std::thread::yield_now();
    }
    signal(&child.0, rustix::process::Signal::INT);
    assert_eq!(child.0.wait().unwrap().code(), Some(4));
    assert_eq!(files(), 0);
}
