//! `zctrace export`: a recording for other tools.

use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::Path;

use anyhow::Context as _;

use super::report::{asked, complain};
use super::{Exit, Failure};
use crate::cli::{ExportArgs, Format};
use crate::export::{Csv, Existing, Files, Perfetto, Tables, Whole};
use crate::pipeline::{self, Pipeline};
use crate::sink::{JsonLines, Sink, summary_line};

pub(super) fn run(args: &ExportArgs) -> anyhow::Result<Exit> {
    if args.partition && args.to != Format::Parquet {
        return Err(Failure::usage("--partition is for --to parquet"));
    }
    let mut pipeline = Pipeline::new(None, vec![sink(args)?]);
    let end = pipeline::read(&asked(&args.source), &mut pipeline, &mut |_| Ok(()))?;
    let mut summary = pipeline.finish().with_context(|| format!("writing {}", args.output.display()))?;
    summary.cut = end.is_some();
    if args.output != Path::new("-") {
        eprintln!("zctrace: {}: {}", args.output.display(), summary_line(&summary));
    }
    complain(&args.source, end)?;
    Ok(Exit::Done)
}

fn sink(args: &ExportArgs) -> anyhow::Result<Box<dyn Sink>> {
    let existing = if args.force { Existing::Replace } else { Existing::Keep };
    let out = args.output.as_path();
    match args.to {
        Format::Jsonl => file(out, existing, false, |to| Box::new(JsonLines::new(to))),
        Format::Perfetto => file(out, existing, true, |to| Box::new(Perfetto::new(to))),
        Format::Csv => Ok(Box::new(Tables::new(Csv::new(dir(out)?, existing)?))),
        Format::Parquet => parquet(dir(out)?, args.partition, existing),
    }
}

fn dir(out: &Path) -> anyhow::Result<&Path> {
    if out == Path::new("-") {
        return Err(Failure::usage("several tables do not fit on stdout: -o DIRECTORY"));
    }
    Ok(out)
}

fn file(
    out: &Path,
    existing: Existing,
    is_binary: bool,
    sink: impl FnOnce(Box<dyn Write>) -> Box<dyn Sink>,
) -> anyhow::Result<Box<dyn Sink>> {
    if out == Path::new("-") {
        let to = std::io::stdout();
        if is_binary && to.is_terminal() {
            return Err(Failure::usage("this format is not for a terminal: -o FILE"));
        }
        return Ok(sink(Box::new(BufWriter::new(to))));
    }
    let mut files = Files::new(existing);
    let to = files.create(out)?;
    Ok(Box::new(Whole::new(sink(Box::new(to)), files)))
}

#[cfg(feature = "parquet")]
fn parquet(dir: &Path, partition: bool, existing: Existing) -> anyhow::Result<Box<dyn Sink>> {
    use crate::export::{Layout, Parquet};
    let layout = if partition { Layout::Partitioned } else { Layout::Flat };
    Ok(Box::new(Tables::new(Parquet::new(dir, layout, existing)?)))
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: &Path, _: bool, _: Existing) -> anyhow::Result<Box<dyn Sink>> {
    Err(Failure::cannot("this zctrace was built without Parquet (cargo feature `parquet`)"))
}
