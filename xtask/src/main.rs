//! Project chores: `cargo xtask VERB`. One file per verb.

mod atlas;
mod bench;
mod browser;
mod ci;
mod debian;
mod demo;
mod ebpf;
mod fuzz;
mod load;
mod page;
mod readers;
mod sh;
mod shots;
mod test;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "zctrace's chores")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Build zctrace and trace its built-in sender: the main job
    Demo {
        /// Handed to `zctrace demo`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Run every test, the ones that need the kernel included
    Test(test::Args),
    /// Rebuild the committed BPF object, or check that it matches its source
    Ebpf {
        /// Build elsewhere and compare
        #[arg(long)]
        check: bool,
    },
    /// Measure what tracing costs a sender, and write docs/overhead.md; needs root
    Bench(bench::Args),
    /// Run the lab on this kernel, and write docs/atlas.md; needs root
    Atlas(atlas::Args),
    /// Take pictures of the full-screen view under a real load, into docs/img; needs root
    Shots,
    /// Have DuckDB, pyarrow, Perfetto and others read what `zctrace export` writes
    Readers,
    /// Look at the page of `zctrace report --html` in headless Chromium
    Page(page::Args),
    /// A load of its own, for `bench`
    #[command(hide = true)]
    BenchLoad {
        /// Which
        name: String,
        /// For how long
        seconds: f64,
    },
    /// Look for recordings that break what reads them
    Fuzz(fuzz::Args),
    /// Everything CI runs
    Ci,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().verb {
        Verb::Demo { args } => demo::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::Ebpf { check: false } => ebpf::build(),
        Verb::Ebpf { check: true } => ebpf::check(),
        Verb::Bench(args) => bench::run_all(&args),
        Verb::Atlas(args) => atlas::run(&args),
        Verb::Shots => shots::run(),
        Verb::Readers => readers::run(),
        Verb::Page(args) => page::run(&args),
        Verb::BenchLoad { name, seconds } => load::run(&name, seconds),
        Verb::Fuzz(args) => fuzz::run(&args),
        Verb::Ci => ci::run(),
    }
}
