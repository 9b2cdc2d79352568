//! `zctrace [FILTERS]`: the full-screen view on a terminal; one line for each closed transfer, or JSON lines.

use std::io::{BufWriter, Write as _};
use std::time::Duration;

use super::capture::{Limits, capture, live_failure, runtime};
use super::{Exit, filters};
use crate::cli::LiveArgs;
use crate::pipeline::Pipeline;
use crate::sink::{JsonLines, Lines, Sink};
use crate::source::Live;

pub(super) fn run(args: &LiveArgs) -> anyhow::Result<Exit> {
    let resolved = filters::resolve(&args.filters)?;
    #[cfg(feature = "tui")]
    if !args.json && !args.lines && super::screen::is_terminal() {
        return super::watch::run(args, resolved);
    }
    let out = BufWriter::new(std::io::stdout());
    let output: Box<dyn Sink> =
        if args.json { Box::new(JsonLines::new(out)) } else { Box::new(Lines::new(out)) };
    let mut pipeline = Pipeline::new(None, vec![output]);
    let mut live = Live::start(&resolved.options, resolved.asked, &mut |b: &[u8]| pipeline.frame(b))
        .map_err(live_failure)?;
    let limits = Limits {
        duration: args.duration,
        linger: Duration::from_secs(5),
        until_gone: !args.filters.pid.is_empty(),
    };
    runtime()?.block_on(capture(&mut live, &mut pipeline, None, limits, None))?;
    let summary = pipeline.finish()?;
    if !args.json {
        eprintln!("zctrace: {}", crate::sink::summary_line(&summary));
    }
    std::io::stdout().flush()?;
    Ok(Exit::Done)
}
