//! `zctrace replay FILE`: a recording in the full-screen view.

use std::fs::File;
use std::time::{Duration, Instant};

use super::{Exit, Failure, screen};
use crate::cli::ReplayArgs;
use crate::replay::Place;
use crate::{text, trace};

/// How long to look whether it is merged.
const LOOK: Duration = Duration::from_millis(250);

pub(super) fn run(args: &ReplayArgs) -> anyhow::Result<Exit> {
    if !screen::is_terminal() {
        return Err(Failure::usage("replay needs a terminal; `zctrace report FILE` does not"));
    }
    let name = args.file.display().to_string();
    if args.part.is_none()
        && let Ok(file) = File::open(&args.file)
    {
        let deadline = Instant::now().checked_add(LOOK).unwrap_or_else(Instant::now);
        let parts = trace::streams(&file, deadline);
        if parts > 1 {
            return Err(Failure::usage(format!(
                "{name} is merged of {parts} recordings, and one is shown at a time: --part 0 is the first"
            )));
        }
    }
    let setup = screen::setup(&args.screen, text::harmless(name.as_bytes()).into_owned(), true);
    let (file, place) = (args.file.clone(), Place { part: args.part.unwrap_or(0), from: args.from });
    screen::show(setup, move |maker| crate::replay::run(&file, place, maker))
}
