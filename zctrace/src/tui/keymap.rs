//! The one table of keys: what they do, when, and in which words. Dispatch, footer, help and the docs read it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::ui::View;
use crate::board::link::{Go, Sight};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Shows that view.
    View(View),
    /// The one after.
    NextView,
    /// The one before.
    PreviousView,
    /// Moves the selection by rows; negative: up.
    Move(i32),
    /// By screens.
    Page(i32),
    /// To the first row.
    Top,
    /// To the last row.
    Bottom,
    /// Selects another column.
    Column(i32),
    /// Sorts by the selected column.
    Sort,
    /// The other way round.
    Invert,
    /// Opens what is selected: details, or the rows behind a number.
    Open,
    /// Transfers like the selected one, as far as the selected column goes.
    Like,
    /// Back to where one came from.
    Back,
    /// Asks for a filter.
    Filter,
    /// Transfers whose bytes could have changed.
    Mutated,
    /// Transfers that are not certain.
    Unknown,
    /// Open windows.
    Lent,
    /// What was lost or is missing.
    Losses,
    /// Stops the picture, never the capture.
    Pause,
    /// Stays with the first row.
    Follow,
    /// Copies the row or the details.
    Copy,
    /// Writes the rows to a file.
    Export,
    /// Starts or stops a recording.
    Record,
    /// Gap or exposure.
    Exposure,
    /// Peers or sockets.
    Group,
    /// Other colours.
    Theme,
    /// The mouse is ours, or the terminal's.
    Mouse,
    /// Help.
    Help,
    /// Draws everything anew.
    Redraw,
    /// Stops like any program on Ctrl-Z.
    Suspend,
    /// Ends.
    Quit,
    /// Elsewhere in the recording.
    Go(Go),
}

/// When a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// Not in a replay.
    Live,
    /// In a replay.
    Replay,
}

/// Keys that do one thing.
#[derive(Debug)]
pub struct Binding {
    /// Any of them.
    pub keys: &'static [(KeyCode, KeyModifiers)],
    /// What.
    pub action: Action,
    /// When.
    pub when: When,
    /// In a word, for the footer; empty: not there.
    pub short: &'static str,
    /// In a sentence.
    pub help: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;

const fn on(
    keys: &'static [(KeyCode, KeyModifiers)],
    action: Action,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding { keys, action, when: When::Always, short, help }
}

const fn live(
    keys: &'static [(KeyCode, KeyModifiers)],
    action: Action,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding { when: When::Live, ..on(keys, action, short, help) }
}

const fn replay(
    keys: &'static [(KeyCode, KeyModifiers)],
    action: Action,
    short: &'static str,
    help: &'static str,
) -> Binding {
    Binding { when: When::Replay, ..on(keys, action, short, help) }
}

const fn c(c: char) -> (KeyCode, KeyModifiers) {
    (KeyCode::Char(c), NONE)
}

/// A titled part of the table.
#[derive(Debug)]
pub struct Section {
    /// Its title.
    pub title: &'static str,
    /// Its keys.
    pub keys: &'static [Binding],
}

/// Every key.
pub static KEYMAP: &[Section] = &[
    Section {
        title: "Views",
        keys: &[
            on(
                &[c('1')],
                Action::View(View::Transfers),
                "",
                "transfers: open windows first, then what has ended",
            ),
            on(&[c('2')], Action::View(View::Files), "", "files: which are lent, to whom, how often changed"),
            on(&[c('3')], Action::View(View::Peers), "", "peers; with g, sockets"),
            on(&[c('4')], Action::View(View::Processes), "", "processes: who sends, and who changes"),
            on(
                &[c('5')],
                Action::View(View::Mutations),
                "",
                "mutations: who changed what, and which transfers that hit",
            ),
            on(&[c('6')], Action::View(View::Gap), "", "gap: how long pages are lent, per API, over time"),
            on(
                &[c('7')],
                Action::View(View::Findings),
                "",
                "findings: losses, missing probes, rules, reasons, causes",
            ),
            on(&[(KeyCode::Tab, NONE)], Action::NextView, "view", "the next view"),
            on(&[(KeyCode::BackTab, KeyModifiers::SHIFT)], Action::PreviousView, "", "the view before"),
        ],
    },
    Section {
        title: "Rows",
        keys: &[
            on(
                &[(KeyCode::Enter, NONE)],
                Action::Open,
                "open",
                "details; in another view, the transfers behind the selected number",
            ),
            on(
                &[(KeyCode::Esc, NONE), (KeyCode::Backspace, NONE)],
                Action::Back,
                "back",
                "back to where you came from; then clears the filter",
            ),
            on(&[c('/')], Action::Filter, "filter", "filter the rows of this view"),
            on(&[(KeyCode::Up, NONE), c('k')], Action::Move(-1), "", "up"),
            on(&[(KeyCode::Down, NONE), c('j')], Action::Move(1), "", "down"),
            on(&[(KeyCode::PageUp, NONE), (KeyCode::Char('b'), CTRL)], Action::Page(-1), "", "a screen up"),
            on(
                &[(KeyCode::PageDown, NONE), (KeyCode::Char('f'), CTRL)],
                Action::Page(1),
                "",
                "a screen down",
            ),
            on(&[(KeyCode::Home, NONE)], Action::Top, "", "the first row"),
            on(&[(KeyCode::End, NONE), c('G')], Action::Bottom, "", "the last row"),
            on(&[(KeyCode::Left, NONE)], Action::Column(-1), "", "the column to the left"),
            on(&[(KeyCode::Right, NONE)], Action::Column(1), "", "the column to the right"),
            on(&[c('s')], Action::Sort, "sort", "sort by the selected column; once more: as at first"),
            on(&[c('i')], Action::Invert, "", "the other way round"),
            on(&[c('a')], Action::Like, "", "only transfers that are alike in the selected column"),
            on(&[c('d')], Action::Open, "", "details of the selected transfer"),
            on(&[c('f')], Action::Follow, "", "stay with the first row, whichever it is; or with this one"),
        ],
    },
    Section {
        title: "Numbers of the header, and the rows behind them",
        keys: &[
            on(&[c('o')], Action::Lent, "", "open windows: what is lent now, the oldest first"),
            on(&[c('m')], Action::Mutated, "mutated", "transfers whose bytes could have changed"),
            on(&[c('u')], Action::Unknown, "", "transfers that are not certain, and why"),
            on(&[c('l')], Action::Losses, "", "what was lost, what is missing, and what follows"),
        ],
    },
    Section {
        title: "Recording",
        keys: &[
            replay(&[c(' ')], Action::Go(Go::PlayPause), "play", "play, or stop"),
            replay(&[c('+'), c('=')], Action::Go(Go::Faster), "", "twice as fast"),
            replay(&[c('-')], Action::Go(Go::Slower), "", "half as fast"),
            replay(
                &[c('.')],
                Action::Go(Go::Next(Sight::Anything)),
                "",
                "one step on: the next transfer that ends, or change",
            ),
            replay(&[c(',')], Action::Go(Go::Previous(Sight::Anything)), "", "one step back"),
            replay(
                &[c('n')],
                Action::Go(Go::Next(Sight::Mutation)),
                "next mutation",
                "the next transfer that was mutated",
            ),
            replay(&[c('N')], Action::Go(Go::Previous(Sight::Mutation)), "", "the one before"),
            replay(&[c('v')], Action::Go(Go::Next(Sight::Unknown)), "", "the next `unknown`"),
            replay(&[c('V')], Action::Go(Go::Previous(Sight::Unknown)), "", "the `unknown` before"),
            replay(&[c(']')], Action::Go(Go::Scrub(0.02)), "", "on by a fiftieth of the recording"),
            replay(&[c('[')], Action::Go(Go::Scrub(-0.02)), "scrub", "back by as much"),
            replay(&[c('{')], Action::Go(Go::To(0.0)), "", "to its beginning"),
            replay(&[c('}')], Action::Go(Go::To(1.0)), "", "to its end"),
            live(&[c(' ')], Action::Pause, "pause", "stop the picture; the capture goes on"),
            live(&[c('r')], Action::Record, "record", "start a recording, or end it"),
        ],
    },
    Section {
        title: "Also",
        keys: &[
            on(&[c('x')], Action::Exposure, "", "gap or exposure, in view 6"),
            on(&[c('g')], Action::Group, "", "peers or sockets, in view 3"),
            on(&[c('y')], Action::Copy, "", "copy the row, or the details, to the clipboard"),
            on(&[c('e')], Action::Export, "", "write the transfers that are listed to a file, as JSON lines"),
            on(&[c('t')], Action::Theme, "", "other colours"),
            on(&[c('M')], Action::Mouse, "", "the mouse: for zctrace, or for the terminal"),
            on(&[(KeyCode::Char('l'), CTRL)], Action::Redraw, "", "draw everything anew"),
            on(&[(KeyCode::Char('z'), CTRL)], Action::Suspend, "", "stop, the capture too; `fg` goes on"),
            on(&[c('?'), (KeyCode::F(1), NONE)], Action::Help, "help", "this help"),
            on(&[c('q'), (KeyCode::Char('c'), CTRL)], Action::Quit, "quit", "end"),
        ],
    },
];

/// Every key that means something, live or in a replay.
pub fn bindings(is_replay: bool) -> impl Iterator<Item = &'static Binding> {
    KEYMAP.iter().flat_map(|s| s.keys).filter(move |b| match b.when {
        When::Always => true,
        When::Live => !is_replay,
        When::Replay => is_replay,
    })
}

/// What that key means.
#[must_use]
pub fn action(key: KeyEvent, is_replay: bool) -> Option<Action> {
    // Shift is part of a character already.
    let shift = if matches!(key.code, KeyCode::Char(_)) { KeyModifiers::SHIFT } else { NONE };
    let pressed = (key.code, key.modifiers - shift);
    bindings(is_replay).find(|b| b.keys.contains(&pressed)).map(|b| b.action)
}

/// A key's name.
#[must_use]
pub fn name((code, modifiers): (KeyCode, KeyModifiers)) -> String {
    match code {
        KeyCode::Char(' ') => "Space".into(),
        KeyCode::Char(c) if modifiers.contains(CTRL) => format!("Ctrl-{}", c.to_ascii_uppercase()),
        KeyCode::Char(c) => c.to_string(),
        KeyCode::BackTab => "Shift-Tab".into(),
        KeyCode::Up => "↑".into(),
        KeyCode::Down => "↓".into(),
        KeyCode::Left => "←".into(),
        KeyCode::Right => "→".into(),
        KeyCode::PageUp => "PgUp".into(),
        KeyCode::PageDown => "PgDn".into(),
        KeyCode::F(n) => format!("F{n}"),
        other => format!("{other:?}"),
    }
}
