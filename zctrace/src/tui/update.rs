//! Keys change the state; what has to be done outside of it is answered.

use std::path::PathBuf;

use ratatui::crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind,
};
use tui_input::backend::crossterm::EventHandler as _;
use tui_input::{Input, InputRequest};

use super::draw;
use super::keymap::{self, Action};
use super::listing::{Id, with_table};
use super::ui::{Detail, Prompt, Question, Status, Ui, View};
use crate::board::filter::{FIELDS, Filter, Subject};
use crate::board::link::{Command, Go};
use crate::columns::{Behind, Rows, Tone};
use crate::model::TransferId;

/// What has to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Tell whoever makes the pictures.
    Send(Command),
    /// To the clipboard.
    Copy(String),
    /// Write these transfers to that file.
    Export(PathBuf, Vec<TransferId>),
    /// The mouse is ours, or not.
    Mouse(bool),
    /// Draw everything anew.
    Redraw,
    /// Stop like any program.
    Suspend,
    /// End.
    Quit,
}

/// Something happened at the terminal.
pub fn update(ui: &mut Ui, event: &Event) -> Effect {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_pressed(ui, *key),
        Event::Resize(width, height) => {
            ui.size = (*width, *height);
            ui.refresh();
            Effect::None
        }
        Event::Mouse(mouse) => mouse_used(ui, *mouse),
        Event::Paste(text) => {
            if let Some(prompt) = &mut ui.prompt {
                for c in text.chars().filter(|c| !c.is_control()) {
                    prompt.input.handle(InputRequest::InsertChar(c));
                }
                typed(ui);
            }
            Effect::None
        }
        _ => Effect::None,
    }
}

fn key_pressed(ui: &mut Ui, key: KeyEvent) -> Effect {
    ui.status = None;
    let action = keymap::action(key, ui.setup.is_replay);
    if ui.prompt.is_some() {
        let quits = action == Some(Action::Quit) && matches!(key.code, KeyCode::Char('c'));
        return if quits { Effect::Quit } else { prompt_key(ui, key) };
    }
    let Some(action) = action else {
        return Effect::None;
    };
    if ui.help.is_some() && help_key(ui, action) {
        return Effect::None;
    }
    act(ui, action)
}

fn help_key(ui: &mut Ui, action: Action) -> bool {
    let page = ui.page();
    let Some(scroll) = &mut ui.help else {
        return false;
    };
    match action {
        Action::Move(by) => *scroll = moved(*scroll, i64::from(by)),
        Action::Page(by) => {
            *scroll = moved(*scroll, i64::from(by).saturating_mul(i64::try_from(page).unwrap_or(1)))
        }
        Action::Top => *scroll = 0,
        Action::Bottom => *scroll = usize::MAX / 2,
        Action::Quit if ui.help.is_some() => ui.help = None,
        Action::Help | Action::Back | Action::Open => ui.help = None,
        _ => {
            ui.help = None;
            return false;
        }
    }
    if let Some(scroll) = &mut ui.help {
        *scroll = (*scroll).min(draw::help_lines(ui.setup.is_replay).saturating_sub(1));
    }
    true
}

fn moved(at: usize, by: i64) -> usize {
    let step = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
    if by < 0 { at.saturating_sub(step) } else { at.saturating_add(step) }
}

/// Does what a key means.
pub fn act(ui: &mut Ui, action: Action) -> Effect {
    match action {
        Action::View(view) => turn(ui, view),
        Action::NextView => turn(ui, ui.view.further(1)),
        Action::PreviousView => turn(ui, ui.view.further(View::ALL.len() - 1)),
        Action::Move(by) => go(ui, i64::from(by)),
        Action::Page(by) => go(ui, i64::from(by) * i64::try_from(ui.page()).unwrap_or(1)),
        Action::Top => go(ui, i64::MIN),
        Action::Bottom => go(ui, i64::MAX),
        Action::Column(by) => column(ui, by),
        Action::Sort => sort(ui),
        Action::Invert => {
            ui.tab_mut().inverted ^= true;
            ui.refresh();
            Effect::None
        }
        Action::Open => open(ui),
        Action::Back => back(ui),
        Action::Like => like(ui),
        Action::Filter if ui.view == View::Gap => {
            say(ui, Tone::Dim, "there is nothing to filter here: Enter leads to the transfers of an API");
            Effect::None
        }
        Action::Filter => {
            let text = ui.tab().filter.text().to_owned();
            let text = if text.is_empty() { text } else { text + " " };
            ask(ui, Question::Filter, text)
        }
        Action::Mutated => behind(ui, "changed:yes"),
        Action::Unknown => behind(ui, "verdict:unknown"),
        Action::Lent => behind(ui, "state:open"),
        Action::Losses => {
            let effect = turn(ui, View::Findings);
            (ui.tab_mut().selected, ui.tab_mut().sort) = (None, None);
            ui.refresh();
            effect
        }
        Action::Pause => {
            ui.pause();
            Effect::None
        }
        Action::Follow => {
            let follows = ui.tab().selected.is_none();
            if follows {
                ui.select(ui.tab().index);
            } else {
                let tab = ui.tab_mut();
                (tab.selected, tab.index, tab.top) = (None, 0, 0);
            }
            say(ui, Tone::Plain, if follows { "stays with this row" } else { "stays with the first row" });
            Effect::None
        }
        Action::Copy => copy(ui),
        Action::Export => {
            if ui.view != View::Transfers {
                say(ui, Tone::Warn, "transfers can be exported: open a row, then e");
                return Effect::None;
            }
            ask(ui, Question::Export, format!("zctrace-{}.jsonl", stamp(ui)))
        }
        Action::Record => {
            if ui.picture.recording.is_some() {
                return Effect::Send(Command::Record(None));
            }
            if ui.picture.ended.is_some() {
                say(ui, Tone::Warn, "the trace is over: there is nothing to record");
                return Effect::None;
            }
            ask(ui, Question::Record, format!("zctrace-{}.zct", stamp(ui)))
        }
        Action::Exposure => {
            ui.exposures ^= true;
            turn(ui, View::Gap)
        }
        Action::Group => {
            ui.sockets ^= true;
            let effect = turn(ui, View::Peers);
            let tab = ui.tab_mut();
            (tab.selected, tab.sort, tab.column) = (None, None, 0);
            ui.refresh();
            effect
        }
        Action::Theme => {
            ui.theme = ui.theme.next();
            let text = format!("colours: {}", ui.theme.name());
            say(ui, Tone::Plain, &text);
            Effect::None
        }
        Action::Mouse => {
            ui.mouse ^= true;
            say(
                ui,
                Tone::Plain,
                if ui.mouse { "the mouse is zctrace's" } else { "the mouse is the terminal's" },
            );
            Effect::Mouse(ui.mouse)
        }
        Action::Help => {
            ui.help = Some(0);
            Effect::None
        }
        Action::Redraw => Effect::Redraw,
        Action::Suspend => Effect::Suspend,
        Action::Quit => Effect::Quit,
        Action::Go(go) => {
            ui.jumped = matches!(go, Go::Next(_) | Go::Previous(_));
            Effect::Send(Command::Go(go))
        }
    }
}

fn say(ui: &mut Ui, tone: Tone, text: &str) {
    ui.status = Some(Status { text: text.into(), tone });
}

/// For names of files: seconds of the wall clock at the present picture.
fn stamp(ui: &Ui) -> u64 {
    let p = &ui.picture;
    let real = p.info.as_ref().map_or(0, |i| i.start_realtime_ns);
    real.saturating_add(p.now_ns.saturating_sub(p.start_ns())) / 1_000_000_000
}

fn turn(ui: &mut Ui, view: View) -> Effect {
    ui.trail.clear();
    unfocus_then(ui, |ui| ui.turn(view))
}

fn unfocus_then(ui: &mut Ui, then: impl FnOnce(&mut Ui)) -> Effect {
    let had = ui.detail.take().is_some();
    then(ui);
    if had { Effect::Send(Command::Focus(None)) } else { Effect::None }
}

fn go(ui: &mut Ui, by: i64) -> Effect {
    if let Some(detail) = &mut ui.detail {
        detail.scroll = moved(detail.scroll, by);
        let most = draw::detail_overflow(ui);
        if let Some(detail) = &mut ui.detail {
            detail.scroll = detail.scroll.min(most);
        }
        return Effect::None;
    }
    let index = moved(ui.tab().index, by);
    ui.select(index);
    Effect::None
}

fn column(ui: &mut Ui, by: i32) -> Effect {
    let shown = draw::columns_on(ui);
    let now = shown.iter().position(|c| *c == ui.tab().column).unwrap_or(0);
    let next = moved(now, i64::from(by)).min(shown.len().saturating_sub(1));
    if let Some(column) = shown.get(next) {
        ui.tab_mut().column = *column;
        let help = with_table(ui.view, ui.sockets, &ui.picture, |t| t.heads().get(*column).map(|h| h.help));
        say(ui, Tone::Dim, help.unwrap_or_default());
    }
    Effect::None
}

fn sort(ui: &mut Ui) -> Effect {
    let tab = ui.tab_mut();
    tab.sort = if tab.sort == Some(tab.column) { None } else { Some(tab.column) };
    tab.inverted = false;
    ui.refresh();
    Effect::None
}

fn open(ui: &mut Ui) -> Effect {
    if ui.detail.is_some() {
        return Effect::None;
    }
    if ui.view == View::Transfers {
        return details(ui);
    }
    lead(ui, Some(0));
    Effect::None
}

/// Only the transfers that have in common what the selected cell says.
fn like(ui: &mut Ui) -> Effect {
    if ui.detail.is_some() || ui.view != View::Transfers {
        return open(ui);
    }
    lead(ui, None);
    Effect::None
}

/// To the rows behind the selected cell; where there are none, to those behind that column.
fn lead(ui: &mut Ui, otherwise: Option<usize>) {
    let (row, column) = (ui.row(), ui.tab().column);
    let found = row.and_then(|row| {
        with_table(ui.view, ui.sockets, &ui.picture, |t| {
            t.behind(row, column).or_else(|| t.behind(row, otherwise?))
        })
    });
    match found {
        Some(b) => follow(ui, b),
        None => say(ui, Tone::Dim, "there are no rows behind this"),
    }
}

fn follow(ui: &mut Ui, behind: Behind) {
    let view = match behind.rows {
        Rows::Transfers => View::Transfers,
        Rows::Mutations => View::Mutations,
    };
    match Filter::parse(&behind.filter) {
        Ok(filter) => ui.follow(view, filter),
        Err(e) => say(ui, Tone::Bad, &e.message),
    }
}

fn behind(ui: &mut Ui, filter: &str) -> Effect {
    unfocus_then(ui, |ui| follow(ui, Behind { rows: Rows::Transfers, filter: filter.into() }))
}

fn details(ui: &mut Ui) -> Effect {
    let Some(item) = ui.transfer() else {
        say(ui, Tone::Dim, "there is no transfer here");
        return Effect::None;
    };
    let id = item.t.id;
    // It stays selected whatever moves.
    ui.tab_mut().selected = Some(Id::Transfer(id));
    ui.detail = Some(Detail { id, item: Some(item), scroll: 0 });
    Effect::Send(Command::Focus(Some(id)))
}

fn back(ui: &mut Ui) -> Effect {
    if ui.detail.is_some() {
        return unfocus_then(ui, Ui::refresh);
    }
    if !ui.back() && !ui.tab().filter.is_empty() {
        ui.tab_mut().filter = Filter::default();
        ui.refresh();
    }
    Effect::None
}

fn copy(ui: &mut Ui) -> Effect {
    let text = draw::as_text(ui);
    say(ui, Tone::Good, "sent to the clipboard of the terminal (OSC 52), if it takes that");
    Effect::Copy(text)
}

fn ask(ui: &mut Ui, question: Question, text: String) -> Effect {
    ui.prompt =
        Some(Prompt { question, input: Input::new(text), error: None, before: ui.tab().filter.clone() });
    Effect::None
}

fn prompt_key(ui: &mut Ui, key: KeyEvent) -> Effect {
    match key.code {
        KeyCode::Esc => {
            let was = ui.prompt.take();
            // What was tried out is taken back.
            if let Some(was) = was.filter(|p| p.question == Question::Filter) {
                ui.tab_mut().filter = was.before;
                ui.refresh();
            }
            Effect::None
        }
        KeyCode::Enter => answered(ui),
        _ => {
            if let Some(prompt) = &mut ui.prompt {
                prompt.input.handle_event(&Event::Key(key));
            }
            typed(ui);
            Effect::None
        }
    }
}

/// A filter applies while it is typed, but for a last word that may become the name of a field.
fn typed(ui: &mut Ui) {
    let Some(prompt) = &mut ui.prompt else {
        return;
    };
    if prompt.question != Question::Filter {
        return;
    }
    let subject = match ui.view {
        View::Mutations => Subject::Change,
        View::Transfers => Subject::Transfer,
        _ => Subject::Group,
    };
    let text = prompt.input.value();
    let (before, last) = text.rsplit_once(' ').unwrap_or(("", text));
    let name = last.trim_start_matches(['!', '-']);
    let whole = Filter::parse(text);
    let foreign = whole.as_ref().ok().and_then(|f| f.foreign(subject).next());
    let nowhere = foreign.map(|field| format!("no row of this view has a `{}`", field.name));
    prompt.error = whole.as_ref().err().map(|e| e.message.clone()).or(nowhere);
    let unfinished = FIELDS.iter().any(|f| f.name.starts_with(name));
    let filter = if unfinished || whole.is_err() { Filter::parse(before) } else { whole };
    if let Ok(filter) = filter {
        ui.tab_mut().filter = filter;
        ui.refresh();
    }
}

fn answered(ui: &mut Ui) -> Effect {
    let Some(prompt) = &ui.prompt else {
        return Effect::None;
    };
    let (question, text) = (prompt.question, prompt.input.value().to_owned());
    if question == Question::Filter {
        if let Ok(filter) = Filter::parse(&text) {
            ui.tab_mut().filter = filter;
            ui.prompt = None;
            ui.refresh();
        }
        return Effect::None;
    }
    ui.prompt = None;
    if text.is_empty() {
        return Effect::None;
    }
    match question {
        Question::Record => Effect::Send(Command::Record(Some(text.into()))),
        _ => {
            let ids = with_table(View::Transfers, false, &ui.picture, |t| {
                let ids = ui.order.iter().filter_map(|row| t.id(*row));
                ids.filter_map(|id| if let Id::Transfer(id) = id { Some(id) } else { None }).collect()
            });
            Effect::Export(text.into(), ids)
        }
    }
}

fn mouse_used(ui: &mut Ui, mouse: MouseEvent) -> Effect {
    match mouse.kind {
        MouseEventKind::ScrollUp => go(ui, -3),
        MouseEventKind::ScrollDown => go(ui, 3),
        MouseEventKind::Down(MouseButton::Left) => match draw::under(ui, mouse.column, mouse.row) {
            Some(draw::Spot::View(view)) => turn(ui, view),
            Some(draw::Spot::Row(index)) if ui.tab().index == index => open(ui),
            Some(draw::Spot::Row(index)) => {
                ui.select(index);
                Effect::None
            }
            Some(draw::Spot::Column(column)) => {
                ui.tab_mut().column = column;
                sort(ui)
            }
            None => Effect::None,
        },
        MouseEventKind::Down(MouseButton::Right) => back(ui),
        _ => Effect::None,
    }
}
