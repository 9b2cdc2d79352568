//! Writes a recording of a simulated file server: `cargo run --example recording -- KIND OUT [SEED]`, where KIND is
//! `busy` (mutations, stalled clients), `hostile` (every recorded name is an attack), or `slower` (as `busy`, but its
//! windows are half as long again).

use std::fs::File;

use anyhow::{Context as _, bail};
use zctrace::sim::{Load, server};
use zctrace::trace::Writer;

/// What must stay text: an end of the script, an element that runs one, quotes, escapes of a terminal, a reversal of
/// writing, a line end, and what is no UTF-8. Short: the name of a task has 15 bytes.
const HOSTILE: &[&[u8]] = &[
    b"</script><script>document.title='owned'</script>",
    b"<img src=x onerror=document.title='owned'>\"'><svg onload=document.title='owned'>",
    b"\x1b]0;owned\x07\x1b[2J\xff\xfe\xe2\x80\xae\xe2\x80\xa8\n&lt;<!--<script>'\"`${document.title='owned'}",
];

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kind, out, rest @ ..] = args.as_slice() else {
        bail!("recording KIND OUT [SEED]");
    };
    let seed = rest.first().map_or(Ok(1), |seed| seed.parse()).context("SEED")?;
    let busy = Load { seed, ..Load::default() };
    let load = match kind.as_str() {
        "busy" => busy,
        "slower" => Load { slower: 1_500, ..busy },
        "hostile" => Load { transfers: 600, names: Some(HOSTILE.concat()), ..busy },
        other => match other.strip_prefix("hostile").and_then(|n| HOSTILE.get(n.parse::<usize>().ok()?)) {
            Some(name) => Load { transfers: 600, names: Some(name.to_vec()), ..busy },
            None => bail!("there is no kind {other}"),
        },
    };
    let mut writer = Writer::new(File::create(out).with_context(|| out.clone())?)?;
    for frame in server(&load) {
        writer.push(&frame)?;
    }
    writer.finish()?;
    Ok(())
}
