//! Whatever was recorded as a name, no output does what it says. A new output is a line of [`OUTPUTS`].
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[cfg(feature = "tui")]
#[path = "../screen/pty.rs"]
mod pty;
mod recording;
#[path = "../page/mod.rs"]
mod written;

use std::process::Command;

use serde_json::Value;
use zctrace::sink::{self, JsonLines, Lines, Sink, Story, Style};
use zctrace::{explain, text};

use self::recording::Recording;
use self::written::Page;

const ZCTRACE: &str = env!("CARGO_BIN_EXE_zctrace");

/// Names that draw, end, hide, run, or are no text at all.
const HOSTILE: [&[u8]; 25] = [
    b"\x1b[2J\x1b[1;31mred",
    b"\x1b]52;c;aGk=\x07",
    b"\x1b]0;title\x07\x1b\\",
    b"\x1bP$q\x1b\\",
    b"\xc2\x9b31mred",
    b"\x9b31mred",
    b"one\ntwo\r\nthree",
    b"a\tb",
    b"\x07\x08\x7f\x00end",
    "\u{202e}gpj.exe".as_bytes(),
    "\u{2066}in\u{2069}\u{200f}".as_bytes(),
    "a\u{200b}b\u{feff}c\u{ad}".as_bytes(),
    "a\u{2028}b\u{2029}c\u{85}d".as_bytes(),
    "\u{e0041}tag".as_bytes(),
    b"\xff\xfe\x80\xc3",
    b"<script>alert(1)</script>",
    b"<img src=x onerror=alert(1)>",
    b"\"quo'te\" & \\back\\ </style>",
    b"=cmd|' /C calc'!A0",
    b"+1;-2 @SUM(A1)",
    b"@SUM(A1)",
    b"../../../../etc/passwd",
    b"%s%n{}{0}$(id)`id`",
    "日本語 e\u{301} 👩‍👩".as_bytes(),
    b"",
];

/// Every output: how it is made, and what must hold of it.
type Output = (&'static str, fn(&Recording) -> Vec<u8>, fn(&[u8]));
const OUTPUTS: [Output; 10] = [
    ("report", |r| report(r, Style::Plain), is_text),
    ("report in colours", |r| report(r, Style::Colours), is_coloured),
    ("report --json", |r| sunk(r, |to| Box::new(JsonLines::new(to))), is_json_lines),
    ("lines", |r| sunk(r, |to| Box::new(Lines::new(to))), is_text),
    ("explain a transfer", stories, is_coloured),
    ("explain a change", changes, is_coloured),
    ("export --to csv", |r| exported(r, "csv"), is_csv),
    ("export --to jsonl", |r| exported(r, "jsonl"), is_json_lines),
    ("report --html", page, is_page),
    ("diff", compared, is_text),
];

fn report(r: &Recording, style: Style) -> Vec<u8> {
    let mut out = Vec::new();
    sink::report(&mut out, &r.summary, style, "recording.zct").unwrap();
    out
}

fn sunk(r: &Recording, make: fn(Page) -> Box<dyn Sink>) -> Vec<u8> {
    let page = Page::default();
    let mut sink = make(page.clone());
    for fact in &r.facts {
        sink.fact(fact).unwrap();
    }
    sink.finish(&r.summary).unwrap();
    page.take()
}

fn stories(r: &Recording) -> Vec<u8> {
    let (mut out, file) = (Vec::new(), r.file.as_file());
    for t in r.transfers().take(8) {
        let mut behind = explain::transfer(file, t.id).unwrap().0.unwrap();
        let mut story = Story::begin(&mut out, Style::Colours, &behind).unwrap();
        explain::events(file, 0, &mut |h, e| Ok(story.event(&mut behind, h, e)?)).unwrap();
        story.end(&behind).unwrap();
    }
    out
}

fn changes(r: &Recording) -> Vec<u8> {
    let mut out = Vec::new();
    for m in r.mutations() {
        sink::mutation(&mut out, Style::Colours, m, 0).unwrap();
        for t in r.transfers().filter(|t| t.mutations.contains(&m.id)) {
            sink::hit(&mut out, m, t).unwrap();
        }
    }
    out
}

/// All files of it, one after another.
fn exported(r: &Recording, to: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut command = Command::new(ZCTRACE);
    let done = command.arg("export").arg(r.file.path()).args(["--to", to, "-o"]).arg(&out).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    if out.is_file() {
        return std::fs::read(out).unwrap();
    }
    let files = std::fs::read_dir(out).unwrap();
    files.flat_map(|f| std::fs::read(f.unwrap().path()).unwrap()).collect()
}

fn page(r: &Recording) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.html");
    let done =
        Command::new(ZCTRACE).arg("report").arg(r.file.path()).arg("--html").arg(&out).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(out).unwrap()
}

fn compared(r: &Recording) -> Vec<u8> {
    let done = Command::new(ZCTRACE).arg("diff").args([r.file.path(), r.file.path()]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// Nothing in it does anything but end a line.
fn is_text(bytes: &[u8]) {
    let said = std::str::from_utf8(bytes).unwrap();
    let bad = said.chars().find(|c| *c != '\n' && text::acts(*c));
    assert!(bad.is_none(), "{bad:?} in {said:?}");
}

/// The same, but for our own colours.
fn is_coloured(bytes: &[u8]) {
    let mut said = String::from_utf8(bytes.into()).unwrap();
    for code in ["0", "1", "32", "1;31"] {
        said = said.replace(&format!("\x1b[{code}m"), "");
    }
    is_text(said.as_bytes());
}

/// No element that was recorded.
fn is_page(bytes: &[u8]) {
    is_text(bytes);
    let said = std::str::from_utf8(bytes).unwrap();
    for element in ["<script>alert", "<img src=x", "\\ </style>"] {
        assert!(!said.contains(element), "{element}");
    }
}

/// Text that no spreadsheet calculates.
fn is_csv(bytes: &[u8]) {
    let said = String::from_utf8(bytes.into()).unwrap().replace("\r\n", "\n");
    is_text(said.as_bytes());
    for before in [",", ",\"", "\n", "\n\""] {
        for first in ["=", "@", "+"] {
            assert!(!said.contains(&format!("{before}{first}")), "{said}");
        }
    }
}

fn is_json_lines(bytes: &[u8]) {
    is_text(bytes);
    for line in std::str::from_utf8(bytes).unwrap().lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        assert!(object["type"].is_string(), "{line}");
    }
}

#[test]
fn no_output_does_what_a_name_says() {
    for hostile in HOSTILE {
        let recording = Recording::new(hostile);
        assert!(recording.transfers().count() > 20 && recording.mutations().count() > 3);
        for (output, make, holds) in OUTPUTS {
            let bytes = make(&recording);
            assert!(!bytes.is_empty());
            if std::panic::catch_unwind(|| holds(&bytes)).is_err() {
                panic!("{output}: {:?}", String::from_utf8_lossy(hostile));
            }
        }
    }
}

/// The names are in there: what is no text is escaped visibly, what is text is what it was.
#[test]
fn a_program_gets_the_names_as_they_were() {
    for hostile in HOSTILE {
        let recording = Recording::new(hostile);
        let json = sunk(&recording, |to| Box::new(JsonLines::new(to)));
        let objects: Vec<Value> =
            json.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
        let named = |bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => text::harmless(bytes).into_owned(),
        };
        let whole: Vec<u8> = hostile.iter().copied().filter(|b| *b != 0).collect();
        let comm = named(&whole[..whole.len().min(16)]);
        let any = |of: &dyn Fn(&Value) -> bool| objects.iter().any(of);
        assert!(any(&|o| o["comm"] == comm), "{comm:?}");
        assert!(any(&|o| o["cgroup"] == *String::from_utf8_lossy(hostile)), "{hostile:?}");
        assert!(any(&|o| o["kernel"] == *String::from_utf8_lossy(hostile)), "{hostile:?}");
        let file: Vec<u8> = whole.iter().copied().filter(|b| *b != b'/').collect();
        let path = named(&[b"/", file.as_slice(), b"/", &file].concat());
        assert!(whole.is_empty() || any(&|o| o["file"]["path"] == path), "{path:?}");
        let sun_path = text::harmless(&whole).into_owned();
        assert!(
            whole.is_empty()
                || any(&|o| o["socket"]["remote"] == sun_path || o["socket"]["local"] == sun_path)
        );
    }
}

/// Names of files that are not even there.
#[test]
fn messages_are_harmless() {
    let dir = tempfile::tempdir().unwrap();
    for hostile in HOSTILE.iter().filter(|h| !h.is_empty() && !h.contains(&0) && !h.contains(&b'/')) {
        use std::os::unix::ffi::OsStrExt as _;
        let path = dir.path().join(std::ffi::OsStr::from_bytes(hostile));
        for there in [false, true] {
            if there {
                std::fs::write(&path, b"no recording").unwrap();
            }
            for verb in [&["report"][..], &["explain"]] {
                let mut command = Command::new(ZCTRACE);
                command.args(verb).arg(&path);
                if verb == ["explain"] {
                    command.arg("0-1");
                }
                let done = command.output().unwrap();
                assert_eq!(done.status.code(), Some(4), "{verb:?} {hostile:?}");
                is_text(&done.stderr);
                is_text(&done.stdout);
            }
        }
    }
}

/// The view on a terminal: it may draw, and nothing else.
#[cfg(feature = "tui")]
#[test]
fn the_view_only_draws() {
    use std::path::Path;

    for hostile in HOSTILE {
        let recording = Recording::new(hostile);
        let file = recording.file.path().to_str().unwrap();
        let mut pty = pty::run(Path::new(ZCTRACE), &["replay", file], &[], (160, 45));
        pty.shows("REPLAY");
        // Every view, the page of one transfer, and a search.
        for keys in ["2", "3", "4", "5", "6", "1", "\r", "\x1b", "?", "\x1b", "/a\r"] {
            pty.keys(keys);
            std::thread::sleep(std::time::Duration::from_millis(30));
        }
        pty.keys("q");
        assert_eq!(pty.ends().code(), Some(0));
        let raw = pty.raw();
        let mut heard = Heard::default();
        vt100::Parser::new_with_callbacks(45, 160, 0, &mut heard).process(&raw);
        assert!(heard.0.is_empty(), "{hostile:?}: {:?}", heard.0);
        // Beside what its own escapes are made of.
        let drawn = String::from_utf8_lossy(&raw);
        let bad = drawn.chars().find(|c| !c.is_ascii() && text::acts(*c));
        assert!(bad.is_none(), "{hostile:?}: {bad:?}");
    }
}

/// What a terminal is told beside what to draw.
#[cfg(feature = "tui")]
#[derive(Default)]
struct Heard(Vec<String>);

#[cfg(feature = "tui")]
impl vt100::Callbacks for &mut Heard {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.0.push("bell".into());
    }

    fn set_window_icon_name(&mut self, _: &mut vt100::Screen, name: &[u8]) {
        self.0.push(format!("icon {name:?}"));
    }

    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.0.push(format!("title {title:?}"));
    }

    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], text: &[u8]) {
        self.0.push(format!("clipboard {text:?}"));
    }

    fn unhandled_osc(&mut self, _: &mut vt100::Screen, what: &[&[u8]]) {
        self.0.push(format!("osc {what:?}"));
    }
}
