//! Every screen at both sizes, with and without colour; keys as data; keys at random.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

use std::sync::Arc;

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};
use ratatui::style::{Color, Modifier};

use super::fixture;
use super::keymap::{KEYMAP, When, bindings};
use super::theme::Theme;
use super::ui::{Setup, Ui, View};
use super::update::{Effect, update};
use crate::board::Picture;
use crate::board::filter::FIELDS;
use crate::board::link::{Command, Go, Sight};
use crate::model::TransferId;

const SIZES: [(u16, u16); 2] = [(80, 24), (160, 48)];

fn ui(picture: Picture, theme: Theme, size: (u16, u16)) -> Ui {
    let is_replay = picture.cursor.is_some();
    let source = if is_replay { "out.zct" } else { "nginx" };
    let setup = Setup { source: source.into(), is_replay, theme, ..Setup::default() };
    let mut ui = Ui::new(setup, size);
    ui.show(Arc::new(picture));
    ui
}

fn press(ui: &mut Ui, keys: &str) -> Vec<Effect> {
    keys.split_whitespace()
        .map(|name| update(ui, &Event::Key(key(name))))
        .filter(|e| *e != Effect::None)
        .collect()
}

fn key(name: &str) -> KeyEvent {
    let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
    match name {
        "Enter" => plain(KeyCode::Enter),
        "Esc" => plain(KeyCode::Esc),
        "Tab" => plain(KeyCode::Tab),
        "Up" => plain(KeyCode::Up),
        "Down" => plain(KeyCode::Down),
        "Left" => plain(KeyCode::Left),
        "Right" => plain(KeyCode::Right),
        "PgDn" => plain(KeyCode::PageDown),
        "Home" => plain(KeyCode::Home),
        "End" => plain(KeyCode::End),
        "Space" => plain(KeyCode::Char(' ')),
        "Ctrl-C" => KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL),
        one if one.chars().count() == 1 => plain(KeyCode::Char(one.chars().next().unwrap())),
        other => panic!("no key {other}"),
    }
}

fn drawn(ui: &Ui) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(ui.size.0, ui.size.1)).unwrap();
    terminal.draw(|frame| super::draw::draw(ui, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    // The second column of a wide character is empty.
    let line = |row: &[ratatui::buffer::Cell]| {
        row.iter().map(|c| c.symbol()).collect::<String>().trim_end().to_owned()
    };
    buffer.content.chunks(width).map(line).collect::<Vec<_>>().join("\n")
}

/// Which parts of each line look special, and how.
fn looks(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let mut out = String::new();
    for (y, row) in buffer.content.chunks(width).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| (a.fg, a.bg, a.modifier) == (b.fg, b.bg, b.modifier)) {
            let c = &run[0];
            if (c.fg, c.bg, c.modifier) != (Color::Reset, Color::Reset, Modifier::empty()) {
                let text: String = run.iter().map(|c| c.symbol()).collect();
                out += &format!("{y}:{x} {:?} {:?} {:?} {:?}\n", c.fg, c.bg, c.modifier, text.trim_end());
            }
            x += run.len();
        }
    }
    out
}

/// Name of the screen, which picture, and the keys that lead there.
const SCREENS: &[(&str, bool, &str)] = &[
    ("transfers", false, ""),
    ("files", false, "2"),
    ("peers", false, "3"),
    ("sockets", false, "g"),
    ("processes", false, "4"),
    ("mutations", false, "5"),
    ("gap", false, "6"),
    ("findings", false, "7 Down Down"),
    ("open", false, "d"),
    ("mutated", false, "m Down Enter"),
    ("unknown", false, "u Enter"),
    ("help", false, "?"),
    ("filter", false, "/ g a p > x"),
    ("replay", true, ""),
];

#[test]
fn every_screen() {
    for (name, is_replay, keys) in SCREENS {
        for size in SIZES {
            let picture = if *is_replay { fixture::replay() } else { fixture::picture() };
            let mut mono = ui(picture, Theme::Mono, size);
            press(&mut mono, keys);
            let shown = drawn(&mono);
            insta::assert_snapshot!(format!("{name}-{}-mono", size.0), text(&shown));
            mono.theme = Theme::Terminal;
            let coloured = drawn(&mono);
            assert_eq!(text(&coloured), text(&shown), "{name}: colours change no text");
            insta::assert_snapshot!(format!("{name}-{}-colour", size.0), looks(&coloured));
        }
    }
}

#[test]
fn without_colour_there_is_none_and_ascii_is_ascii() {
    for (name, is_replay, keys) in SCREENS {
        let picture = if *is_replay { fixture::replay() } else { fixture::picture() };
        let mut ui = ui(picture, Theme::Mono, (120, 40));
        ui.setup.ascii = true;
        press(&mut ui, keys);
        for cell in &drawn(&ui).content {
            assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{name}");
            assert!(cell.symbol().is_ascii(), "{name}: {:?}", cell.symbol());
        }
    }
}

#[test]
fn hostile_names_cannot_draw() {
    for (_, is_replay, keys) in SCREENS {
        for size in SIZES {
            let picture = if *is_replay { fixture::replay() } else { fixture::picture() };
            let mut ui = ui(picture, Theme::Dark, size);
            press(&mut ui, keys);
            for cell in &drawn(&ui).content {
                assert!(!cell.symbol().chars().any(crate::text::acts), "{:?}", cell.symbol());
            }
        }
    }
}

/// The questions that the view is for: which keys, and what is then on the screen.
const QUESTIONS: &[(&str, &str, &[&str])] = &[
    (
        "1 is anything lent now: bytes, age, socket, file, process",
        "",
        &["open 3", "lent now 6.00 MiB", "oldest 42.0 s", "nginx/4242", "video.mp4", "42.0 s"],
    ),
    ("2 gap per API", "6", &["GAP p50", "p99", "max", "sendfile", "msg_zerocopy"]),
    ("2 gap per peer", "3", &["192.0.2.7", "2001:db8::9"]),
    ("2 gap per file", "2", &["video.mp4", "index.html"]),
    ("3 was a page changed", "", &["mutated 1", "CHANGED"]),
    ("3 which", "m", &["MUTATED", "CHANGED"]),
    ("4 who did it", "5", &["deploy.sh/777", "write", "EARLY BY"]),
    ("5 which transfers did one change hit", "5 Enter", &["hit:m1", "MUTATED"]),
    ("6 was it sent again after the change", "m End Enter", &["resent", "3 times", "retransmit-after-write"]),
    ("7 what ended it", "7", &["ended by", "tx_complete", "ack"]),
    ("8 was it zero-copy, and why not", "7", &["copied", "loopback"]),
    ("9 when was the application told", "6", &["EXP. p50"]),
    ("10 by how much was a change too early", "5", &["EARLY BY", "1.00 s"]),
    ("11 what is stuck, and what does it wait for", "d", &["Still lent", "acknowledged", "ss -tnmo"]),
];

#[test]
fn questions_are_answered_by_two_keys_at_most() {
    for (question, keys, answers) in QUESTIONS {
        // End stands for a row that is already visible: the arrow keys or the mouse.
        let pressed = keys.split_whitespace().filter(|k| *k != "End").count();
        assert!(pressed <= 2, "{question}");
        for size in SIZES {
            let mut ui = ui(fixture::picture(), Theme::Mono, size);
            press(&mut ui, keys);
            let screen = text(&drawn(&ui));
            for answer in *answers {
                assert!(screen.contains(answer), "{question}: {answer:?} is missing in\n{screen}");
            }
        }
    }
}

fn state(ui: &Ui) -> String {
    let tab = ui.tab();
    let detail = ui.detail.as_ref().map_or(String::new(), |d| format!(" detail {}", d.id));
    format!("{:?} row {} of {} [{}]{detail}", ui.view, tab.index, ui.order.len(), tab.filter.text())
}

/// Keys, and the state they lead to.
const KEYS: &[(&str, &str)] = &[
    ("", "Transfers row 0 of 66 []"),
    ("Down Down Up j", "Transfers row 2 of 66 []"),
    ("End Home Down", "Transfers row 1 of 66 []"),
    ("2", "Files row 0 of 4 []"),
    ("Tab Tab", "Peers row 0 of 2 []"),
    ("o", "Transfers row 0 of 3 [state:open]"),
    ("o Esc", "Transfers row 0 of 66 []"),
    ("m", "Transfers row 0 of 2 [changed:yes]"),
    ("m Enter", "Transfers row 0 of 2 [changed:yes] detail 0-801"),
    ("m Enter Esc Esc", "Transfers row 0 of 66 []"),
    ("u", "Transfers row 0 of 1 [verdict:unknown]"),
    ("5 Enter", "Transfers row 0 of 1 [hit:m1]"),
    ("5 Down Enter", "Transfers row 0 of 1 [changed:yes state:open ino=13 dev:8:1]"),
    ("5 Down Enter Esc", "Mutations row 1 of 2 []"),
    ("2 Right Enter", "Transfers row 0 of 3 [ino=13 dev:8:1 state:open]"),
    ("/ v i d e o Enter", "Transfers row 0 of 44 [video]"),
    ("/ v i d e o Esc", "Transfers row 0 of 66 []"),
    ("/ v i d e o Enter / x Esc", "Transfers row 0 of 44 [video]"),
    ("/ g a p > x Enter", "Transfers row 0 of 66 []"),
    ("? q", "Transfers row 0 of 66 []"),
    ("? 3", "Peers row 0 of 2 []"),
    ("l", "Findings row 0 of 11 []"),
];

#[test]
fn keys_do_what_the_table_says() {
    for (keys, expected) in KEYS {
        let mut ui = ui(fixture::picture(), Theme::Mono, (80, 24));
        press(&mut ui, keys);
        assert_eq!(state(&ui), *expected, "after {keys:?}");
    }
}

/// Keys of both kinds of views, and what they ask for.
#[test]
fn effects_of_keys() {
    let focus = |seq| Effect::Send(Command::Focus(Some(TransferId { cpu: 0, seq })));
    let go = |go| Effect::Send(Command::Go(go));
    let live: &[(&str, Vec<Effect>)] = &[
        ("q", vec![Effect::Quit]),
        ("Ctrl-C", vec![Effect::Quit]),
        ("/ q Ctrl-C", vec![Effect::Quit]),
        ("Enter Esc", vec![focus(801), Effect::Send(Command::Focus(None))]),
        ("Space n v", Vec::new()),
        ("M", vec![Effect::Mouse(true)]),
    ];
    for (keys, expected) in live {
        assert_eq!(press(&mut ui(fixture::picture(), Theme::Mono, (80, 24)), keys), *expected, "{keys}");
    }
    let replay: &[(&str, Vec<Effect>)] = &[
        ("Space", vec![go(Go::PlayPause)]),
        ("+ -", vec![go(Go::Faster), go(Go::Slower)]),
        ("n N", vec![go(Go::Next(Sight::Mutation)), go(Go::Previous(Sight::Mutation))]),
        ("v V", vec![go(Go::Next(Sight::Unknown)), go(Go::Previous(Sight::Unknown))]),
        (". ,", vec![go(Go::Next(Sight::Anything)), go(Go::Previous(Sight::Anything))]),
        ("[ ] { }", vec![go(Go::Scrub(-0.02)), go(Go::Scrub(0.02)), go(Go::To(0.0)), go(Go::To(1.0))]),
        ("r", Vec::new()),
    ];
    for (keys, expected) in replay {
        assert_eq!(press(&mut ui(fixture::replay(), Theme::Mono, (80, 24)), keys), *expected, "{keys}");
    }
}

#[test]
fn a_recording_is_started_and_ended() {
    let mut ui = ui(fixture::picture(), Theme::Mono, (80, 24));
    let effects = press(&mut ui, "r Enter");
    let [Effect::Send(Command::Record(Some(path)))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(path.to_str(), Some("zctrace-1700000065.zct"));
    ui.show(Arc::new(Picture { recording: Some("x".into()), ..fixture::picture() }));
    let screen = text(&drawn(&ui));
    assert!(screen.contains("● REC") && screen.contains("recording x"), "{screen}");
    assert_eq!(press(&mut ui, "r"), [Effect::Send(Command::Record(None))]);
}

#[test]
fn what_is_listed_is_exported() {
    let mut ui = ui(fixture::picture(), Theme::Mono, (80, 24));
    let effects = press(&mut ui, "m e Enter");
    let [Effect::Export(_, ids)] = effects.as_slice() else { panic!("{effects:?}") };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.jsonl");
    super::export::export(&ui.picture, &path, ids).unwrap();
    let lines = std::fs::read_to_string(&path).unwrap();
    let kinds: Vec<&str> = lines.lines().filter_map(|l| l.split('"').nth(3)).collect();
    assert_eq!(kinds, ["trace", "loss", "transfer", "mutation", "summary"]);
    assert!(super::export::export(&ui.picture, &path, ids).is_err(), "a file that exists is left alone");
}

#[test]
fn a_transfer_is_copied_in_words() {
    let mut ui = ui(fixture::picture(), Theme::Mono, (80, 24));
    let effects = press(&mut ui, "m Down y Enter y");
    let copies: Vec<&String> =
        effects.iter().filter_map(|e| if let Effect::Copy(t) = e { Some(t) } else { None }).collect();
    assert!(copies[0].contains("verdict: MUTATED\nprocess: nginx/4242"), "{}", copies[0]);
    assert!(copies[1].contains("write-in-window"), "{}", copies[1]);
}

#[test]
fn the_selection_stays_with_its_transfer() {
    let mut ui = ui(fixture::picture(), Theme::Mono, (80, 24));
    press(&mut ui, "Down Down Down Down");
    let chosen = ui.transfer().unwrap().t.id;
    let mut p = fixture::picture();
    p.open.clear();
    ui.show(Arc::new(p));
    assert_eq!(ui.transfer().unwrap().t.id, chosen);
    assert_eq!(ui.tab().index, 1);
    // It is looked at, and then forgotten.
    press(&mut ui, "Enter");
    let p = fixture::picture();
    ui.show(Arc::new(Picture { open: Vec::new(), closed: Vec::new(), ..p }));
    assert_eq!(ui.transfer().unwrap().t.id, chosen);
}

#[test]
fn a_stopped_picture_stays_and_then_catches_up() {
    let mut ui = ui(fixture::picture(), Theme::Mono, (80, 24));
    press(&mut ui, "Space");
    ui.show(Arc::new(Picture { now_ns: fixture::NOW + 1, ..fixture::picture() }));
    assert_eq!(ui.picture.now_ns, fixture::NOW);
    assert!(text(&drawn(&ui)).contains("PAUSED"));
    press(&mut ui, "Space");
    assert_eq!(ui.picture.now_ns, fixture::NOW + 1);
}

#[test]
fn the_mouse_selects_and_opens() {
    let mut ui = ui(fixture::picture(), Theme::Mono, (80, 24));
    let click = |ui: &mut Ui, column, row| {
        let kind = MouseEventKind::Down(MouseButton::Left);
        update(ui, &Event::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }))
    };
    click(&mut ui, 3, 8);
    assert_eq!(ui.tab().index, 2);
    click(&mut ui, 3, 8);
    assert!(ui.detail.is_some());
    click(&mut ui, 16, 4);
    assert_eq!(ui.view, View::Files);
    click(&mut ui, 3, 5);
    assert_eq!(ui.tab().sort, Some(0));
}

#[test]
fn columns_sort_both_ways_and_back() {
    let mut ui = ui(fixture::picture(), Theme::Mono, (160, 48));
    let gaps = |ui: &Ui| -> Vec<Option<u64>> {
        let items: Vec<_> = ui.picture.items().collect();
        ui.order.iter().map(|row| items[*row].age_ns(ui.picture.now_ns)).collect()
    };
    let natural = gaps(&ui);
    // GAP is the ninth column.
    press(&mut ui, "Right Right Right Right Right Right Right Right s");
    let sorted = gaps(&ui);
    assert!(sorted.is_sorted_by(|a, b| a >= b), "the longest first: {sorted:?}");
    assert!(text(&drawn(&ui)).contains("▼GAP"));
    press(&mut ui, "i");
    assert!(gaps(&ui).is_sorted(), "and the other way round");
    press(&mut ui, "s");
    assert_eq!(gaps(&ui), natural);
}

#[test]
fn a_field_that_no_row_has_is_told() {
    let mut ui = ui(fixture::picture(), Theme::Mono, (80, 24));
    press(&mut ui, "2 / p h a s e : i n _ f l i g h t");
    assert!(text(&drawn(&ui)).contains("no row of this view has a `phase`"));
}

/// docs/view.md has the keys, the fields and the questions as they are. `ZCTRACE_UPDATE_DOCS=1` writes them there.
#[test]
fn the_docs_are_made_of_the_tables() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/view.md");
    let mut docs = std::fs::read_to_string(&path).unwrap();
    let mut keys = String::from("| key | |\n|---|---|\n");
    for section in KEYMAP {
        keys += &format!("| **{}** | |\n", section.title);
        for b in section.keys {
            let names: Vec<String> =
                b.keys.iter().map(|k| format!("`{}`", super::keymap::name(*k))).collect();
            let when = match b.when {
                When::Always => "",
                When::Live => "live: ",
                When::Replay => "replay: ",
            };
            keys += &format!("| {} | {when}{} |\n", names.join(" "), b.help);
        }
    }
    let mut fields = String::from("| term | meaning |\n|---|---|\n");
    for f in FIELDS {
        fields += &format!("| `{}` | {} |\n", f.example, f.meaning);
    }
    let mut questions = String::from("| question | keys |\n|---|---|\n");
    for (question, keys, _) in QUESTIONS {
        let name = |k: &str| if k == "End" { "(the row)".into() } else { format!("`{k}`") };
        let keys: Vec<String> = keys.split_whitespace().map(name).collect();
        let keys = if keys.is_empty() { "none: it is there".into() } else { keys.join(" ") };
        questions += &format!("| {question} | {keys} |\n");
    }
    let before = docs.clone();
    for (name, table) in [("keys", keys), ("fields", fields), ("questions", questions)] {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let from = docs.find(&begin).unwrap() + begin.len();
        let to = docs.find(&end).unwrap();
        docs.replace_range(from..to, &table);
    }
    if std::env::var_os("ZCTRACE_UPDATE_DOCS").is_some() {
        std::fs::write(&path, &docs).unwrap();
    }
    assert!(before == docs, "ZCTRACE_UPDATE_DOCS=1 cargo test -p zctrace --lib the_docs writes it");
}

#[test]
fn no_key_means_two_things() {
    for is_replay in [false, true] {
        let mut seen = std::collections::BTreeMap::new();
        for b in bindings(is_replay) {
            for k in b.keys {
                let name = super::keymap::name(*k);
                assert_eq!(seen.insert(name.clone(), b.help), None, "{name}");
            }
        }
    }
    assert!(KEYMAP.iter().flat_map(|s| s.keys).any(|b| b.when == When::Replay));
}

fn any_event() -> impl Strategy<Value = Event> {
    let known: Vec<(KeyCode, KeyModifiers)> =
        KEYMAP.iter().flat_map(|s| s.keys).flat_map(|b| b.keys).copied().collect();
    prop_oneof![
        8 => proptest::sample::select(known).prop_map(|(code, modifiers)| Event::Key(KeyEvent::new(code, modifiers))),
        2 => any::<char>().prop_map(|c| Event::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE))),
        1 => Just(Event::Key(KeyEvent::new(KeyCode::Delete, KeyModifiers::NONE))),
        1 => (0u16..200, 0u16..60).prop_map(|(w, h)| Event::Resize(w, h)),
        1 => "\\PC{0,12}".prop_map(Event::Paste),
        1 => (0u16..200, 0u16..60, any::<bool>()).prop_map(|(column, row, left)| Event::Mouse(MouseEvent {
            kind: if left { MouseEventKind::Down(MouseButton::Left) } else { MouseEventKind::ScrollDown },
            column,
            row,
            modifiers: KeyModifiers::NONE,
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_keys_make_it_panic(events in proptest::collection::vec(any_event(), 1..120), is_replay: bool) {
        let pictures = [fixture::picture(), fixture::replay(), Picture::empty()].map(Arc::new);
        let mut ui = ui(if is_replay { fixture::replay() } else { fixture::picture() }, Theme::Light, (80, 24));
        for (i, event) in events.iter().enumerate() {
            let _ = update(&mut ui, event);
            if i % 7 == 0 {
                ui.show(Arc::clone(&pictures[i % 3]));
            }
            if i % 3 == 0 {
                drawn(&ui);
            }
        }
    }
}
