//! `cargo xtask atlas`: what the lab finds on this kernel and, from files, on others, as one page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::sh;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What `zctrace lab --json` printed on other kernels
    files: Vec<PathBuf>,
    /// Only from the files; this kernel is not tried
    #[arg(long, requires = "files")]
    no_run: bool,
    /// The files are from an emulator: say so of their times
    #[arg(long, requires = "files")]
    emulated: bool,
    /// Print, but do not write the page
    #[arg(long)]
    dry: bool,
}

/// What the lab said of one kernel.
struct Kernel {
    release: String,
    rows: Vec<Value>,
    summary: Value,
    emulated: bool,
}

impl Kernel {
    fn read(text: &str) -> anyhow::Result<Self> {
        let mut rows = Vec::new();
        let mut summary = None;
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).context("not what `zctrace lab --json` prints")?;
            match line.get("type").and_then(Value::as_str) {
                Some("lab_row") => rows.push(line),
                Some("lab_summary") => summary = Some(line),
                _ => {}
            }
        }
        let summary = summary.context("the run did not come to its end: there is no lab_summary")?;
        Ok(Self { release: word(&summary, "/kernel"), rows, summary, emulated: false })
    }

    /// `6.18.44` is after `6.9`.
    fn order(&self) -> (Vec<u32>, String) {
        let numbers = self.release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse().ok());
        (numbers.collect(), self.release.clone())
    }
}

/// This kernel.
fn here() -> anyhow::Result<Kernel> {
    if !sh::is_root() {
        bail!("tracing needs root (--no-run makes the page from files alone)");
    }
    sh::run(sh::cargo().args(["build", "--release", "--locked", "--package", "zctrace"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| sh::root().join("target"), Into::into);
    let mut lab = Command::new(target.join("release/zctrace"));
    let out = lab.args(["lab", "--json"]).stderr(Stdio::inherit()).output().context("zctrace lab")?;
    let text = String::from_utf8(out.stdout)?;
    let kernel = Kernel::read(&text).with_context(|| format!("zctrace lab ended with {}", out.status))?;
    if !out.status.success() {
        bail!("the trace contradicts the receivers: {}", kernel.summary);
    }
    Ok(kernel)
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut kernels = BTreeMap::new();
    for path in &args.files {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut kernel = Kernel::read(&text).with_context(|| path.display().to_string())?;
        kernel.emulated = args.emulated;
        kernels.insert(kernel.order(), kernel);
    }
    if !args.no_run {
        let kernel = here()?;
        kernels.insert(kernel.order(), kernel);
    }
    let mut page = String::from(HEAD);
    page.push_str(&short(&kernels.values().collect::<Vec<_>>()));
    page.push_str(COLUMNS);
    for kernel in kernels.values().rev() {
        section(&mut page, kernel);
    }
    page.push_str(TAIL);
    if args.dry {
        println!("{page}");
        return Ok(());
    }
    std::fs::write(sh::root().join("docs/atlas.md"), page).context("docs/atlas.md")
}

/// Text of Markdown that is only text.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

/// What is at a JSON pointer; nothing where there is nothing.
fn word(of: &Value, at: &str) -> String {
    plain(of.pointer(at).and_then(Value::as_str).unwrap_or_default())
}

fn words(of: &Value, at: &str) -> Vec<String> {
    let list = of.pointer(at).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(plain).collect()
}

/// What holds for every kernel; what does not is not said.
fn short(kernels: &[&Kernel]) -> String {
    let rows = |done: &'static str| {
        kernels.iter().flat_map(|k| &k.rows).filter(move |r| {
            r.get("skipped").is_none_or(Value::is_null) && r.get("done").and_then(Value::as_str) == Some(done)
        })
    };
    let lent = |r: &&Value| r.get("pages").and_then(Value::as_str) != Some("copied");
    let is_safe = |r: &Value, when: &[&str]| words(r, "/safe").iter().any(|w| when.contains(&w.as_str()));
    let share = |r: &Value| word(r, "/reached_after_done/share");
    let mut found = Vec::new();
    if rows("return").filter(lent).all(|r| !is_safe(r, &["done"]) && share(r) != "some") {
        found.push(
            "With a call that returns and notifies nobody (`sendfile`, `splice`, `vmsplice`, also through io\\_uring), \"done\" means nothing: \
             the bytes are lent until the receiver has read them or is gone.",
        );
    }
    if rows("notify").all(|r| !is_safe(r, &["read", "gone"]) && share(r) == "none") {
        found.push("Where there is a notification, wait for it: then the bytes are yours.");
    }
    let compare = "`copy` (`pread` and `send`) and `uring_copy` are there to compare with.";
    if found.is_empty() { format!("\n{compare}\n") } else { format!("\n**{}** {compare}\n", found.join(" ")) }
}

fn section(page: &mut String, kernel: &Kernel) {
    let _ = writeln!(page, "\n## Linux {}\n", kernel.release);
    let emulated = if kernel.emulated { "Run in an emulator: its times say little. " } else { "" };
    let _ = writeln!(page, "{emulated}{}\n", words(&kernel.summary, "/words").join(" "));
    page.push_str(
        "| API | bytes in | over | done | pages | really safe | exposure | at most | change arrived |\n\
         |---|---|---|---|---|---|--:|--:|---|\n",
    );
    let mut notes: Vec<String> = Vec::new();
    for row in &kernel.rows {
        let mut marks = String::new();
        for note in words(row, "/words/notes") {
            let n = notes.iter().position(|n| *n == note).unwrap_or_else(|| {
                notes.push(note);
                notes.len() - 1
            });
            let _ = write!(marks, " ({})", n + 1);
        }
        let played = row.get("skipped").is_none_or(Value::is_null);
        let at = |pointer: &str| if played { word(row, pointer) } else { "-".to_owned() };
        let arrived = at("/words/reached");
        let arrived = match row.pointer("/reached_after_done/share").and_then(Value::as_str) {
            Some("all" | "some") => format!("**{arrived}**"),
            _ => arrived,
        };
        let after = word(row, "/times/words/0");
        let after = if played { format!(", {after}") } else { String::new() };
        let _ = writeln!(
            page,
            "| **{}** | {} | {} | {}{after} | {} | {} | {} | {} | {arrived}{marks} |",
            word(row, "/api"),
            word(row, "/words/memory"),
            word(row, "/words/transport"),
            word(row, "/done"),
            at("/pages"),
            at("/words/safe"),
            at("/times/words/1"),
            at("/times/words/2"),
        );
    }
    page.push('\n');
    for (n, note) in (1..).zip(&notes) {
        let _ = writeln!(page, "({n}) {note}  ");
    }
}

const HEAD: &str = "\
# Atlas: when may I reuse this?

Written by `cargo xtask atlas`; do not edit.

You gave bytes to the kernel without a copy, and it said that it is done. When may the file or the memory be changed so that
the peer still gets what you sent? The manual pages hardly say. `sudo zctrace lab` tries it on the running kernel: every zero-copy API with every kind of
memory, transport and receiver, and a writer that changes the bytes as soon as the API has said \"done\". zctrace traces that from outside
and says when the bytes were let go of; the receivers say what arrived. The two must agree in every cell, or the command fails.
";

const COLUMNS: &str = "
| column | meaning |
|---|---|
| bytes in | `page_cache`: a file by its descriptor; `file_mapping`: a file that the process maps; `anonymous` and `hugetlb`: memory of the process; `any memory`: it makes no difference |
| over | `tcp` and `udp`: IPv4 and IPv6 alike; `unix`: a stream; `pipe`: a pipe whose reader is another program. Both ends are on one machine |
| done | what tells the program, and the median time from the submission until then |
| pages | whether the kernel lent them or made a copy after all. With MSG\\_ZEROCOPY and its relatives a receiver on the same machine gets a copy, though what may have to be sent again stays lent: what a network card would read is not tried here |
| really safe | since when nothing reads the bytes again, with a receiver that does not read until after the change. The receiver decides how long that is |
| exposure | from \"done\" to really safe: median and largest, same receivers. They read a moment after the change, so this is the least that it can be |
| change arrived | of the cells with a change after \"done\" while nobody had read (a receiver that stalls; over TCP also one whose packets are lost): those in which the peer got the change |

The conclusions are the same in every run; the times are those of one run. The last reference to pages that were read may be parked on another CPU until that handles packets again
(`skb_attempt_defer_free()`): that is part of the exposure, though nobody reads them any more.
";

const TAIL: &str = "
## Other kernels

Run `zctrace lab --json > KERNEL.json` there as root (it takes some seconds), and `cargo xtask atlas KERNEL.json ...` here, which runs the lab on this kernel as
well and writes this page anew. `zctrace lab --html OUT` has every single cell; `zctrace lab -o FILE` keeps the recording, and `zctrace explain FILE ID` tells the story of one transfer.
";
