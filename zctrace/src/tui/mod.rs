//! The full-screen view, live or of a recording. A thread makes pictures of the trace ([`crate::board`]); this one
//! looks at them: keys change [`ui`], [`draw`] shows it.

pub mod draw;
mod export;
#[cfg(test)]
mod fixture;
pub mod keymap;
pub mod listing;
pub mod term;
pub mod theme;
pub mod ui;
pub mod update;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ratatui::crossterm::event;

use self::term::Term;
use self::ui::{Setup, Status, Ui};
use self::update::{Effect, update};
use crate::board::link::{Command, Viewer};
use crate::columns::Tone;

/// Between two pictures.
const PICTURE: Duration = Duration::from_millis(200);
/// How long the terminal is left alone until there is something to show.
const FIRST: Duration = Duration::from_millis(300);
/// What is there is read at once; more than nothing, or it would not be looked for at all.
const MOMENT: Duration = Duration::from_micros(50);
/// How long a signal or the end of the maker may go unnoticed.
const GLANCE: Duration = Duration::from_millis(50);

/// Takes over the terminal until the user or a signal ends it.
///
/// # Errors
/// When the terminal cannot be used, or is gone.
pub fn run(viewer: &Viewer, setup: Setup) -> anyhow::Result<()> {
    // What cannot be traced is told on a terminal that was never touched.
    let Ok(first) = viewer.first(FIRST) else {
        return Ok(());
    };
    let ends = term::on_signals().context("waiting for signals")?;
    let stops = term::on_stop().context("waiting for signals")?;
    let mut term = Term::new(setup.mouse).context("the terminal cannot be used")?;
    let size = term.screen().size().context("the terminal's size")?;
    let mut ui = Ui::new(setup, (size.width, size.height));
    let mut cpu = Cpu::new();
    first.into_iter().for_each(|picture| ui.show(picture));
    let mut asked = Instant::now();
    let mut stale = true;
    loop {
        let Ok(newest) = viewer.newest() else {
            return Ok(());
        };
        if let Some(picture) = newest {
            ui.cpu = if ui.setup.is_replay { None } else { cpu.share() };
            ui.show(picture);
            stale = true;
        }
        // Asked for, not told: a signal that comes between two waits is noticed too.
        let size = term.screen().size().context("the terminal's size")?;
        if ui.size != (size.width, size.height) {
            ui.size = (size.width, size.height);
            ui.refresh();
            stale = true;
        }
        if stale {
            term.screen().draw(|frame| draw::draw(&ui, frame)).context("drawing")?;
            stale = false;
        }
        if asked.elapsed() >= PICTURE {
            viewer.want();
            asked = Instant::now();
        }
        let patience = GLANCE.min(PICTURE.saturating_sub(asked.elapsed()));
        let pressed = term::wait(patience).context("the terminal is gone")?;
        // Everything that is there, then one picture of it.
        while pressed && event::poll(MOMENT).context("reading the terminal")? {
            let event = event::read().context("reading the terminal")?;
            stale = true;
            if perform(update(&mut ui, &event), &mut ui, &mut term, viewer)? {
                viewer.send(Command::Quit);
                return Ok(());
            }
            if ends.load(Ordering::SeqCst) {
                break;
            }
        }
        if ends.load(Ordering::SeqCst) {
            viewer.send(Command::Quit);
            return Ok(());
        }
        if stops.swap(false, Ordering::SeqCst) {
            term.suspend()?;
            stale = true;
        }
    }
}

/// Does what has to be done outside of the state; answers whether that is the end.
fn perform(effect: Effect, ui: &mut Ui, term: &mut Term, viewer: &Viewer) -> anyhow::Result<bool> {
    match effect {
        Effect::None => {}
        Effect::Send(command) => {
            viewer.send(command);
            viewer.want();
        }
        Effect::Copy(text) => term.copy(&text)?,
        Effect::Export(path, ids) => {
            ui.status = Some(match export::export(&ui.picture, &path, &ids) {
                Ok(n) => Status { text: format!("wrote {n} lines to {}", path.display()), tone: Tone::Good },
                Err(e) => Status {
                    text: crate::text::harmless(format!("{e:#}").as_bytes()).into_owned(),
                    tone: Tone::Bad,
                },
            });
        }
        Effect::Mouse(ours) => term.mouse(ours)?,
        Effect::Redraw => term.anew()?,
        Effect::Suspend => term.suspend()?,
        Effect::Quit => return Ok(true),
    }
    Ok(false)
}

/// What this process costs.
struct Cpu {
    at: Instant,
    used: Duration,
    share: Option<f64>,
}

impl Cpu {
    fn new() -> Self {
        Self { at: Instant::now(), used: used(), share: None }
    }

    /// Of one CPU, over the last second or so; `None`: not known yet.
    fn share(&mut self) -> Option<f64> {
        let passed = self.at.elapsed();
        if passed >= Duration::from_secs(1) {
            let now = used();
            self.share = Some(now.saturating_sub(self.used).as_secs_f64() / passed.as_secs_f64());
            (self.at, self.used) = (Instant::now(), now);
        }
        self.share
    }
}

fn used() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests;
