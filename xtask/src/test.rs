//! `cargo xtask test`: every test there is.

use std::path::PathBuf;

use anyhow::bail;

use crate::{debian, sh};

/// What the kernel tests use beside the tool itself.
const PACKAGES: [&str; 6] = ["nginx-light", "python3", "iproute2", "ethtool", "xfsprogs", "btrfs-progs"];

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Only the tests that need root and a kernel
    #[arg(long)]
    kernel_only: bool,
    /// Only the tests that need neither
    #[arg(long, conflicts_with = "kernel_only")]
    no_kernel: bool,
    /// Test with this BPF object instead of the committed one
    #[arg(long)]
    object: Option<PathBuf>,
    /// Only kernel tests whose name contains this
    filter: Option<String>,
}

impl Args {
    pub(crate) fn kernel(object: PathBuf) -> Self {
        Self { kernel_only: true, object: Some(object), ..Self::default() }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    if !args.kernel_only {
        sh::run(sh::cargo().args(["test", "--locked"]))?;
        // The engine needs no kernel and must build without what does.
        sh::run(sh::cargo().args([
            "test",
            "--locked",
            "--package",
            "zctrace",
            "--no-default-features",
            "--lib",
        ]))?;
    }
    if args.no_kernel {
        return Ok(());
    }
    if !sh::is_root() {
        bail!("the kernel tests were SKIPPED: they need root (cargo xtask test --no-kernel runs the others)");
    }
    debian::need(&PACKAGES)?;
    let mut kernel = sh::cargo();
    kernel.args([
        "test",
        "--locked",
        "--release",
        "--package",
        "zctrace",
        "--features",
        "kernel-tests",
        "--test",
        "kernel",
    ]);
    // What they measured, and at the very end what those that failed said.
    kernel.args(["--", "--test-threads=1", "--show-output"]);
    kernel.args(&args.filter);
    if let Some(object) = &args.object {
        kernel.env("ZCTRACE_BPF_OBJECT", object);
    }
    sh::run(&mut kernel)
}
