//! `zctrace replay FILE`: a recording in the full-screen view.

use super::{Exit, Failure, screen};
use crate::cli::ReplayArgs;
use crate::text;

pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<Exit> {
    if !screen::is_terminal() {
        return Err(Failure::usage("replay needs a terminal; `zctrace report FILE` does not"));
    }
    let name = args.file.display().to_string();
    let setup = screen::setup(&args.screen, text::harmless(name.as_bytes()).into_owned(), true);
    let file = args.file.clone();
    screen::show(setup, move |maker| crate::replay::run(&file, maker))
}
