//! The two threads of the full-screen view: one makes pictures, the other one shows them.

use std::io::IsTerminal as _;

use anyhow::{Context as _, anyhow};

use super::Exit;
use crate::board::link::{Maker, link};
use crate::cli::ScreenArgs;
use crate::tui::theme::Theme;
use crate::tui::ui::Setup;

/// Whether there is a terminal that a full screen can be drawn on.
pub(super) fn is_terminal() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|t| t.is_empty() || t == "dumb");
    std::io::stdout().is_terminal() && std::io::stdin().is_terminal() && !dumb
}

/// What was asked for, where it was asked for.
pub(super) fn setup(args: &ScreenArgs, source: String, is_replay: bool) -> Setup {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let theme = args.theme.unwrap_or(if no_color { Theme::Mono } else { Theme::default() });
    Setup { source, is_replay, theme, ascii: args.ascii || !is_utf8(), mouse: args.mouse }
}

/// What the locale says; nothing said is no reason to do without.
fn is_utf8() -> bool {
    let said =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(|v| std::env::var(v).ok()).find(|v| !v.is_empty());
    said.is_none_or(|v| {
        let v = v.to_lowercase();
        v.contains("utf-8") || v.contains("utf8")
    })
}

/// Shows what `make` makes until one of both ends.
pub(super) fn show(
    setup: Setup,
    make: impl FnOnce(&Maker) -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<Exit> {
    let (viewer, maker) = link();
    let thread =
        std::thread::Builder::new().name("trace".into()).spawn(move || make(&maker)).context("a thread")?;
    let shown = crate::tui::run(&viewer, setup);
    // It hears that nobody looks any more.
    drop(viewer);
    thread.join().map_err(|_| anyhow!("the tracing thread ended by a bug"))??;
    shown?;
    Ok(Exit::Done)
}
