//! Words of the command line -> cells.

use crate::cli::LabSelect;
use crate::cmd::Failure;
use crate::lab::{Api, Cell, Memory, Receiver, Transport, Writer, cells};

/// What was asked for on one axis; nothing asks for everything.
fn axis<T: Copy>(
    option: &str,
    words: &[String],
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> anyhow::Result<Vec<T>> {
    if words.is_empty() {
        return Ok(all.to_vec());
    }
    words
        .iter()
        .map(|word| {
            all.iter().copied().find(|v| name(*v) == word).ok_or_else(|| {
                let names: Vec<_> = all.iter().map(|v| name(*v)).collect();
                Failure::usage(format!("--{option} {word}: there is only {}", names.join(", ")))
            })
        })
        .collect()
}

/// The cells that were asked for, in the order of the table.
pub(super) fn select(s: &LabSelect) -> anyhow::Result<Vec<Cell>> {
    let apis = axis("api", &s.api, Api::ALL, Api::name)?;
    let memories = axis("memory", &s.memory, Memory::ALL, Memory::name)?;
    let transports = axis("transport", &s.transport, Transport::ALL, Transport::name)?;
    let receivers = axis("receiver", &s.receiver, Receiver::ALL, Receiver::name)?;
    let writers = axis("writer", &s.writer, Writer::ALL, Writer::name)?;
    let mut found = cells();
    found.retain(|c| {
        apis.contains(&c.api)
            && memories.contains(&c.memory)
            && transports.contains(&c.transport)
            && receivers.contains(&c.receiver)
            && writers.contains(&c.writer)
    });
    if found.is_empty() {
        return Err(Failure::usage("no cell is all of this: some combinations make no sense"));
    }
    Ok(found)
}

/// The same words for the actors.
pub(super) fn words(s: &LabSelect) -> Vec<String> {
    let axes = [
        ("--api", &s.api),
        ("--memory", &s.memory),
        ("--transport", &s.transport),
        ("--receiver", &s.receiver),
        ("--writer", &s.writer),
    ];
    axes.into_iter()
        .flat_map(|(option, words)| words.iter().flat_map(move |w| [option.into(), w.clone()]))
        .collect()
}
