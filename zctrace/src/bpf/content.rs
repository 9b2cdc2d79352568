//! Where the content of a page is, and whether the kernel half reads it right.
//!
//! `struct page` and the direct map both lie at addresses that are random and exported by nobody. What
//! is between them is one constant; the kernel half looks for it with a file of this process's own,
//! filled with random bytes, and then has to prove that it reads the bytes of other such files.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use aya::Ebpf;
use aya::maps::Array;
use aya::programs::raw_trace_point::RawTracePointLink;
use aya::programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::rand::{GetRandomFlags, getrandom};
use zctrace_common::config::KEYS;

use super::load::{attach_look, words};
use super::programs::{LOOKS, Program};
use crate::model::{Fingerprints, Mode};

const PAGE: usize = 4096;
const PROGRAM: &str = "zct_calibrate";

/// Why content cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The address arithmetic would be another.
    #[error("`struct page` has {0} bytes, not 64")]
    PageSize(u32),
    /// It cannot be run.
    #[error("the program that looks for page contents cannot run: {0}")]
    Program(String),
    /// A file of its own could not be made.
    #[error("making a file to look for: {0}")]
    File(#[from] std::io::Error),
    /// Not found.
    #[error("this kernel's direct map was not found")]
    NotFound,
    /// It reads something else.
    #[error("what was read of a page of known content was something else")]
    Mismatch,
}

/// Secret factors, one for each word of a page.
#[derive(Clone)]
pub struct Keys([u64; KEYS]);

impl Keys {
    /// Random ones.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn draw() -> std::io::Result<Self> {
        let mut keys = [0u64; KEYS];
        random(bytemuck::cast_slice_mut(&mut keys))?;
        // An even factor would lose bits.
        keys.iter_mut().for_each(|k| *k |= 1);
        Ok(Self(keys))
    }

    /// The fingerprint of `bytes`, which lie in one page from `first` on. As `content::sum` in the kernel
    /// half has it.
    #[must_use]
    pub fn sum(&self, first: usize, bytes: &[u8]) -> u64 {
        let mut page = [0u8; PAGE];
        for (to, from) in page.iter_mut().skip(first).zip(bytes) {
            *to = *from;
        }
        let words = page.chunks_exact(8).map(|w| w.try_into().map_or(0, u64::from_le_bytes));
        let terms = words.zip(&self.0).map(|(word, key)| {
            word.wrapping_add((word >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(*key)
        });
        terms.fold(0, u64::wrapping_add)
    }
}

fn random(mut bytes: &mut [u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let n = getrandom(&mut *bytes, GetRandomFlags::empty())?;
        bytes = bytes.get_mut(n..).unwrap_or_default();
    }
    Ok(())
}

fn file(pages: usize) -> std::io::Result<(File, Vec<u8>)> {
    let mut content = vec![0; pages * PAGE];
    random(&mut content)?;
    let file = File::from(memfd_create(c"zctrace", MemfdFlags::CLOEXEC)?);
    file.write_all_at(&content, 0)?;
    Ok((file, content))
}

/// How content is looked at, while programs are attached.
pub(super) struct Looking {
    pub(super) told: Fingerprints,
}

/// Looks at content as asked for, if it can be read here.
pub(super) fn start(ebpf: &mut Ebpf, asked: u32, page_size_of: u32) -> Looking {
    let mut looking = Looking { told: Fingerprints { mode: Mode::of(asked), reason: None } };
    if looking.told.mode != Mode::Off
        && let Err(e) = calibrate(ebpf, page_size_of)
    {
        looking.give_up(ebpf, e.to_string());
    }
    looking
}

impl Looking {
    fn give_up(&mut self, ebpf: &mut Ebpf, reason: String) {
        tell(ebpf, None);
        self.told = Fingerprints { mode: Mode::Off, reason: Some(reason) };
    }

    /// Attaches what looks at content beside this program, before or after it.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        beside: &Program,
        first: bool,
        links: &mut Vec<RawTracePointLink>,
    ) {
        for look in LOOKS.iter().filter(|l| l.by == beside.name && l.first == first) {
            if self.told.mode == Mode::Off {
                return;
            }
            match attach_look(ebpf, look.name, beside.tracepoint) {
                Ok(link) => links.push(link),
                Err(e) => self.give_up(ebpf, format!("{}: {}", beside.probe(), words(&e))),
            }
        }
    }
}

/// Finds where content is, and proves it.
fn calibrate(ebpf: &mut Ebpf, page_size_of: u32) -> Result<(), ContentError> {
    if page_size_of != 64 {
        return Err(ContentError::PageSize(page_size_of));
    }
    let keys = Keys::draw()?;
    tell(ebpf, Some(&keys));
    let program = |e: &(dyn std::error::Error + 'static)| ContentError::Program(words(e));
    let missing = || ContentError::Program(format!("the object has no {PROGRAM}"));
    let raw: &mut RawTracePoint =
        ebpf.program_mut(PROGRAM).ok_or_else(missing)?.try_into().map_err(|e| program(&e))?;
    raw.load().map_err(|e| program(&e))?;
    let raw: &RawTracePoint =
        ebpf.program(PROGRAM).ok_or_else(missing)?.try_into().map_err(|e| program(&e))?;
    let run = |args: [u64; 4]| {
        let mut options = RawTracePointRunOptions::new();
        for (slot, arg) in options.args.iter_mut().zip(args) {
            *slot = arg;
        }
        raw.test_run(options).map(|r| r.return_value == 0).map_err(|e| program(&e))
    };
    let fd = |file: &File| u64::from(file.as_raw_fd().unsigned_abs());

    let (one, content) = file(1)?;
    let word = content.first_chunk().map_or(0, |w| u64::from_le_bytes(*w));
    if !run([0, fd(&one), word, 0])? {
        return Err(ContentError::NotFound);
    }
    // Deep enough for nodes below the root, whole pages and parts, words and parts of words.
    let (many, content) = file(70)?;
    for (index, first, len) in [(0, 0, PAGE), (69, 0, PAGE), (64, 3, 4000), (1, 4095, 1), (33, 250, 7)] {
        let at = index * PAGE + first;
        if !run([1, fd(&many), at as u64, len as u64])? {
            return Err(ContentError::Mismatch);
        }
        let answer = ebpf.map("ANSWER").and_then(|m| Array::<_, u64>::try_from(m).ok());
        let answer = answer.and_then(|m| m.get(&0, 0).ok());
        let bytes = content.get(at..at + len).unwrap_or_default();
        if answer != Some(keys.sum(first, bytes)) {
            return Err(ContentError::Mismatch);
        }
    }
    Ok(())
}

/// Tells the kernel half the factors, and that it does not know yet where content is; `None`: that it is
/// not to look.
fn tell(ebpf: &mut Ebpf, keys: Option<&Keys>) {
    let mut content = [0u64; 1 + KEYS];
    for (slot, key) in content.iter_mut().skip(1).zip(keys.iter().flat_map(|k| &k.0)) {
        *slot = *key;
    }
    if let Some(map) = ebpf.map_mut("CONTENT")
        && let Ok(mut map) = Array::<_, [u64; 1 + KEYS]>::try_from(map)
    {
        let _ = map.set(0, content, 0);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn pieces_add_up_to_the_whole() {
        let keys = Keys::draw().unwrap();
        let mut page = [0u8; PAGE];
        random(&mut page).unwrap();
        let whole = keys.sum(0, &page);
        for cut in [0, 1, 7, 8, 9, 1448, 2896, 4095, 4096] {
            let (a, b) = page.split_at(cut);
            assert_eq!(keys.sum(0, a).wrapping_add(keys.sum(cut, b)), whole, "cut at {cut}");
        }
    }

    #[test]
    fn any_bit_matters() {
        let keys = Keys::draw().unwrap();
        let page = [0u8; PAGE];
        let before = keys.sum(0, &page);
        for bit in (0..PAGE * 8).step_by(37) {
            let mut other = page;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(keys.sum(0, &other), before, "bit {bit}");
        }
        // The same change at the top of every word, which multiplication alone would nearly lose.
        let mut other = page;
        other.iter_mut().skip(7).step_by(8).for_each(|b| *b = 0x80);
        assert_ne!(keys.sum(0, &other), before);
    }
}
