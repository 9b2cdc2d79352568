//! `cargo xtask ebpf`: the committed BPF object, rebuilt or checked. `docs/building.md` says why it
//! is committed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::{debian, sh, test};

const LINKER: &str = "0.13.0";
const LLVM: &str = "/usr/lib/llvm-22";
/// With the sources of core: its lines are part of the object's BTF where they can be read.
const DEBIAN: [&str; 6] =
    ["rustc-web", "libstd-rust-web-dev-bpf", "rust-web-src", "llvm-22-dev", "libpolly-22-dev", "libzstd-dev"];
const TARGET: &str = "bpfel-unknown-none";

/// A compiler that can build for BPF.
struct Toolchain {
    rustc: PathBuf,
    /// No core for BPF comes with it: build that too.
    build_std: bool,
}

impl Toolchain {
    /// Nightly with rust-src where present, else Debian's compiler with its core for BPF.
    fn find() -> anyhow::Result<Self> {
        let nightly =
            sh::output(Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]));
        if let Some(sysroot) = nightly.map(PathBuf::from)
            && sysroot.join("lib/rustlib/src/rust/library/core").is_dir()
        {
            return Ok(Self { rustc: sysroot.join("bin/rustc"), build_std: true });
        }
        debian::need(&DEBIAN)?;
        Ok(Self { rustc: "/usr/bin/rustc".into(), build_std: false })
    }

    /// What the bytes of the object depend on.
    fn versions(&self) -> anyhow::Result<String> {
        let rustc = sh::output(Command::new(&self.rustc).arg("-vV")).context("rustc -vV")?;
        let llvm =
            sh::output(Command::new(format!("{LLVM}/bin/llvm-config")).arg("--version")).unwrap_or_default();
        let keep = |l: &&str| !l.starts_with("host") && !l.starts_with("binary");
        let rustc: Vec<&str> = rustc.lines().filter(keep).collect();
        Ok(format!("{}\nbpf-linker {LINKER}\nlinker LLVM {llvm}\n", rustc.join("\n")))
    }
}

fn linker() -> anyhow::Result<()> {
    let have = sh::output(Command::new("bpf-linker").arg("--version")).unwrap_or_default();
    if have.ends_with(LINKER) {
        return Ok(());
    }
    debian::need(&DEBIAN)?;
    let mut install = sh::cargo();
    install.args(["install", "--quiet", "bpf-linker", "--version", LINKER, "--locked", "--force"]);
    install.args(["--no-default-features", "--features", "llvm-22"]);
    install
        .env("LLVM_PREFIX", LLVM)
        .env("LLVM_SYS_221_PREFIX", LLVM)
        .env_remove("RUSTC")
        .env_remove("CARGO_TARGET_DIR");
    sh::run(&mut install)
}

fn committed() -> (PathBuf, PathBuf) {
    let dir = sh::root().join("zctrace/bpf");
    (dir.join("zctrace.bpf.o"), dir.join("toolchain.txt"))
}

/// Paths that would make the object depend on where it was built.
fn remap() -> String {
    let home = std::env::var("CARGO_HOME").ok().map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|h| h.join(".cargo"))).unwrap_or_default();
    let mut flags = format!("--remap-path-prefix={}=.", sh::root().display());
    if let Ok(indices) = std::fs::read_dir(home.join("registry/src")) {
        for index in indices.flatten() {
            flags.push_str(&format!(" --remap-path-prefix={}=registry", index.path().display()));
        }
    }
    flags
}

/// Builds into `target/ebpf` and answers where the object is.
fn compile(toolchain: &Toolchain) -> anyhow::Result<PathBuf> {
    linker()?;
    // Fetched first, so that the registry's folder exists when its name is needed.
    sh::run(sh::cargo().args(["fetch", "--quiet", "--locked"]))?;
    let out = sh::root().join("target/ebpf");
    let mut cargo = sh::cargo();
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "zctrace-ebpf",
        "--target",
        TARGET,
    ]);
    if toolchain.build_std {
        cargo.args(["-Z", "build-std=core"]);
    }
    let arch = std::env::consts::ARCH;
    cargo
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", &toolchain.rustc)
        .env("CARGO_TARGET_DIR", &out)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", "bpf-linker")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env(
            "RUSTFLAGS",
            format!(
                "-C debuginfo=2 -C target-cpu=v3 -C link-arg=--btf --cfg bpf_target_arch=\"{arch}\" {}",
                remap()
            ),
        );
    sh::run(&mut cargo)?;
    let built = out.join(TARGET).join("release/zctrace-ebpf");
    let object = out.join("zctrace.bpf.o");
    // DWARF has done its work: BTF and line info are made from it.
    sh::run(
        Command::new(format!("{LLVM}/bin/llvm-strip"))
            .arg("--strip-debug")
            .arg("-o")
            .arg(&object)
            .arg(&built),
    )?;
    Ok(object)
}

pub(crate) fn build() -> anyhow::Result<()> {
    let toolchain = Toolchain::find()?;
    let built = compile(&toolchain)?;
    let (object, versions) = committed();
    std::fs::copy(&built, &object).context("copying the object")?;
    std::fs::write(&versions, toolchain.versions()?).context("writing the versions")?;
    println!("{} ({} bytes)", object.display(), std::fs::metadata(&object)?.len());
    Ok(())
}

fn same(a: &Path, b: &Path) -> anyhow::Result<bool> {
    Ok(std::fs::read(a)? == std::fs::read(b)?)
}

pub(crate) fn check() -> anyhow::Result<()> {
    let toolchain = Toolchain::find()?;
    let built = compile(&toolchain)?;
    let (object, versions) = committed();
    if same(&built, &object)? {
        println!("the committed BPF object matches its source, byte for byte");
        return Ok(());
    }
    let (here, there) = (toolchain.versions()?, std::fs::read_to_string(&versions).unwrap_or_default());
    if here == there {
        bail!(
            "the committed BPF object does not match its source: run `cargo xtask ebpf` and commit the result"
        );
    }
    println!(
        "the object was built with another toolchain, so bytes cannot be compared.\n--- recorded\n{there}--- here\n{here}\
         Loading and testing the rebuilt object instead."
    );
    test::run(&test::Args::kernel(built))
}
