//! `cargo xtask ci`: what must hold before a change lands.

use crate::{ebpf, fuzz, page, readers, sh, test};

pub(crate) fn run() -> anyhow::Result<()> {
    sh::run(sh::cargo().args(["fmt", "--all", "--check"]))?;
    sh::run(sh::cargo().args([
        "clippy",
        "--locked",
        "--all-targets",
        "--features",
        "zctrace/kernel-tests",
        "--",
        "--deny",
        "warnings",
    ]))?;
    sh::run(sh::cargo().args([
        "clippy",
        "--locked",
        "--package",
        "zctrace",
        "--no-default-features",
        "--",
        "--deny",
        "warnings",
    ]))?;
    ebpf::check()?;
    readers::run()?;
    page::run(&page::Args::default())?;
    fuzz::run(&fuzz::Args::ci())?;
    test::run(&test::Args::default())
}
