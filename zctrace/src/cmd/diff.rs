//! `zctrace diff`: two recordings, each through the engine once.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;

use super::Exit;
use super::report::colours;
use crate::cli::DiffArgs;
use crate::diff::{self, Side};
use crate::pipeline::{self, Pipeline};
use crate::sink::Style;
use crate::text;

pub(super) fn run(args: &DiffArgs) -> anyhow::Result<Exit> {
    let (a, end_a) = read(&args.a)?;
    let (b, end_b) = read(&args.b)?;
    // What could be read is compared; that it is not all is the first thing said.
    let d = diff::compare(&a, &b, [end_a, end_b]);
    let names = [&args.a, &args.b].map(|p| text::harmless(p.display().to_string().as_bytes()).into_owned());
    let mut out = BufWriter::new(std::io::stdout());
    if args.json {
        writeln!(out, "{}", diff::json(&d, &names))?;
    } else {
        diff::print(&mut out, &d, &names, Style::from(colours()))?;
    }
    out.flush()?;
    Ok(if args.fail_on.is_some() && d.is_worse() { Exit::Found } else { Exit::Done })
}

fn read(path: &Path) -> anyhow::Result<(Side, Option<String>)> {
    let side = Side::default();
    let mut pipeline = Pipeline::new(None, vec![Box::new(side.clone())]);
    let end = pipeline::replay(path, &mut pipeline).with_context(|| path.display().to_string())?;
    pipeline.finish()?;
    Ok((side, end.map(|end| end.to_string())))
}
