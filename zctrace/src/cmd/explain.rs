//! `zctrace explain`: what is behind one transfer, one change, or one rule.

use std::fs::File;
use std::io::{BufWriter, Write};

use anyhow::{Context as _, bail};

use super::Exit;
use super::report::colours;
use crate::cli::{ExplainArgs, Id};
use crate::explain;
use crate::model::{Fact, MutationId, TransferId};
use crate::sink::{self, Story, Style};
use crate::trace::End;

pub(super) fn run(args: &ExplainArgs) -> anyhow::Result<Exit> {
    let mut out = BufWriter::new(std::io::stdout());
    let style = Style::from(colours());
    if args.rules {
        sink::rules(&mut out)?;
    } else if let Some(rule) = args.rule {
        sink::rule(&mut out, style, rule)?;
    } else if let (Some(path), Some(id)) = (&args.file, args.id) {
        let file = || File::open(path).map_err(anyhow::Error::from);
        let end = file()
            .and_then(|file| match id {
                Id::Transfer(id) => transfer(&file, id, style, &mut out),
                Id::Mutation(id) => mutation(&file, id, style, &mut out),
            })
            .with_context(|| path.display().to_string())?;
        out.flush()?;
        if let Some(problem) = end {
            bail!("{}: {problem}", path.display());
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn transfer(file: &File, id: TransferId, style: Style, out: &mut impl Write) -> anyhow::Result<Option<End>> {
    let (found, end) = explain::transfer(file, id)?;
    let Some(mut behind) = found else {
        return Err(missing("transfer", &id.to_string(), end.as_ref()));
    };
    let mut story = Story::begin(out, style, &behind)?;
    explain::events(file, id.part(), &mut |h, e| Ok(story.event(&mut behind, h, e)?))?;
    story.end(&behind)?;
    Ok(end)
}

fn mutation(file: &File, id: MutationId, style: Style, out: &mut impl Write) -> anyhow::Result<Option<End>> {
    let (mut found, mut start_ns) = (None, 0);
    let part = id.part();
    let end = explain::facts(file, part, &mut |fact| {
        match fact {
            Fact::Trace(info) => start_ns = info.start_ns,
            Fact::Mutation(m) if m.id == id => found = Some(m),
            _ => {}
        }
        Ok(())
    })?;
    let Some(m) = found else {
        return Err(missing("change", &id.to_string(), end.as_ref()));
    };
    sink::mutation(out, style, &m, start_ns)?;
    // The transfers it hit were stated before it was.
    explain::facts(file, part, &mut |fact| match fact {
        Fact::Transfer(t) => Ok(sink::hit(out, &m, &t)?),
        _ => Ok(()),
    })?;
    Ok(end)
}

fn missing(what: &str, id: &str, end: Option<&End>) -> anyhow::Error {
    let end = end.map_or_else(String::new, |problem| format!("; {problem}"));
    anyhow::anyhow!("no {what} {id} is in it: `zctrace report FILE --json` lists the ids{end}")
}
