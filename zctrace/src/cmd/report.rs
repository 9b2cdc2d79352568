//! `zctrace report`: a recording through the same engine as a live trace.

use std::io::{BufWriter, Write};

use anyhow::Context as _;

use super::Exit;
use crate::cli::{FailOn, ReportArgs};
use crate::pipeline::{self, Pipeline};
use crate::sink::{JsonLines, Sink};

pub(super) fn run(args: &ReportArgs) -> anyhow::Result<Exit> {
    let mut out: Box<dyn Write> = Box::new(BufWriter::new(std::io::stdout()));
    let outputs: Vec<Box<dyn Sink>> =
        if args.json { vec![Box::new(JsonLines::new(out))] } else { Vec::new() };
    let mut pipeline = Pipeline::new(None, outputs);
    let end =
        pipeline::replay(&args.file, &mut pipeline).with_context(|| format!("{}", args.file.display()))?;
    let mut summary = pipeline.finish()?;
    summary.cut = end.is_some();
    if !args.json {
        out = Box::new(BufWriter::new(std::io::stdout()));
        crate::sink::report(&mut out, &summary, colours())?;
        out.flush()?;
    }
    if let Some(problem) = end {
        // What could be read has been shown; that it is not all must not go unnoticed.
        anyhow::bail!("{}: {problem}", args.file.display());
    }
    let found = args.fail_on.iter().any(|what| match what {
        FailOn::Mutated => summary.mutated() > 0,
        FailOn::Unknown => summary.unknown() > 0,
        FailOn::Held => summary.held() > 0,
    });
    Ok(if found { Exit::Found } else { Exit::Done })
}

pub(super) fn colours() -> bool {
    use std::io::IsTerminal as _;
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
