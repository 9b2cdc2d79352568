//! A process of its own that changes files, in every way there is, at the time it is told.
#![expect(unsafe_code, reason = "mappings, AIO and io_uring take raw pointers")]

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, IoSlice, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use io_uring::{IoUring, opcode, squeue, types};
use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::pipe::{SpliceFlags, pipe, splice};

use crate::load::PAGE;
use crate::tool::{Guard, now, spin_until};

/// What every changed byte becomes, where the kind allows a choice.
pub(crate) const MARK: u8 = 0xee;

/// How to change a file: its name here, and what zctrace calls it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    /// `None`: no mutation.
    pub(crate) kind: Option<&'static str>,
    /// Range and position must be multiples of the page size.
    pub(crate) aligned: bool,
    /// Everything from there on changes.
    pub(crate) to_the_end: bool,
}

const fn way(name: &'static str, kind: &'static str) -> Way {
    Way { name, kind: Some(kind), aligned: false, to_the_end: false }
}

const fn harmless(name: &'static str) -> Way {
    Way { name, kind: None, aligned: false, to_the_end: false }
}

const fn aligned(way: Way) -> Way {
    Way { aligned: true, ..way }
}

const fn to_the_end(way: Way) -> Way {
    Way { to_the_end: true, ..way }
}

pub(crate) const WAYS: &[Way] = &[
    way("write", "write"),
    way("pwrite", "write"),
    way("writev", "write"),
    way("pwritev", "write"),
    way("aio", "write"),
    way("uring", "io_uring_write"),
    way("uring_fixed", "io_uring_write"),
    way("uring_worker", "io_uring_write"),
    way("uring_punch", "punch"),
    way("copy", "copy_range"),
    aligned(way("reflink", "copy_range")),
    way("sendfile", "splice_write"),
    way("splice", "splice_write"),
    way("uring_splice", "splice_write"),
    aligned(way("direct", "direct_write")),
    aligned(way("uring_direct", "direct_write")),
    way("punch", "punch"),
    way("zero", "zero_range"),
    aligned(to_the_end(way("collapse", "collapse"))),
    aligned(to_the_end(way("insert", "insert"))),
    to_the_end(way("truncate", "truncate")),
    to_the_end(way("ftruncate", "truncate")),
    to_the_end(way("open_trunc", "truncate")),
    to_the_end(way("uring_open_trunc", "truncate")),
    way("append", "write"),
    way("mmap", "mmap_store"),
    way("mmap_dirty", "mmap_store"),
    harmless("none"),
    harmless("failing"),
    harmless("rename"),
    harmless("unlink"),
    harmless("reuse"),
    harmless("dontneed"),
];

/// A prepared change.
type Change = Box<dyn FnOnce() -> io::Result<u64>>;

fn options(path: &Path, flags: i32) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

/// A file of marks beside it.
fn marks(path: &Path, len: usize) -> io::Result<File> {
    let source = path.with_extension("marks");
    std::fs::write(&source, vec![MARK; len])?;
    File::open(source)
}

/// Page-aligned memory.
struct Memory(*mut u8, usize);

impl Memory {
    fn new(len: usize) -> Self {
        let flags = MapFlags::PRIVATE;
        let at = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags)
        };
        let at = at.unwrap().cast::<u8>();
        unsafe { at.write_bytes(MARK, len) };
        Self(at, len)
    }

    fn slice(&self) -> &[u8] {
        unsafe { std::slice::from_raw_parts(self.0, self.1) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = unsafe { munmap(self.0.cast(), self.1) };
    }
}

/// Submits one request and waits for it.
fn ring(entry: squeue::Entry, ring: &mut IoUring) -> io::Result<u64> {
    unsafe { ring.submission().push(&entry).unwrap() };
    ring.submit_and_wait(1)?;
    let result = ring.completion().next().unwrap().result();
    u64::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

fn aio(file: &File, buf: Vec<u8>, off: u64) -> Change {
    // struct iocb
    #[repr(C)]
    #[derive(Default)]
    struct Iocb {
        data: u64,
        key: u32,
        rw_flags: i32,
        opcode: u16,
        prio: i16,
        fd: u32,
        buf: u64,
        len: u64,
        off: i64,
        rest: [u64; 2],
    }
    // One for all: to destroy it takes longer than a transfer.
    static CONTEXT: OnceLock<libc::c_ulong> = OnceLock::new();
    let context = *CONTEXT.get_or_init(|| {
        let mut context = 0;
        let made = unsafe { libc::syscall(libc::SYS_io_setup, 8, &raw mut context) };
        assert_eq!(made, 0, "{}", io::Error::last_os_error());
        context
    });
    let file = file.try_clone().unwrap();
    Box::new(move || {
        let iocb = Iocb {
            opcode: 1,
            fd: file.as_raw_fd().cast_unsigned(),
            buf: buf.as_ptr() as u64,
            len: buf.len() as u64,
            off: off as i64,
            ..Iocb::default()
        };
        let list = [&raw const iocb];
        let n = unsafe { libc::syscall(libc::SYS_io_submit, context, 1, list.as_ptr()) };
        let mut events = [[0u64; 4]; 1];
        if n == 1 {
            let none = std::ptr::null_mut::<libc::timespec>();
            unsafe { libc::syscall(libc::SYS_io_getevents, context, 1, 1, events.as_mut_ptr(), none) };
        }
        if n == 1 { Ok(events[0][2]) } else { Err(io::Error::last_os_error()) }
    })
}

/// Everything but the change itself.
fn prepare(way: &str, path: &Path, off: u64, len: usize) -> io::Result<Change> {
    let buf = vec![MARK; len];
    let path = path.to_owned();
    let file = options(&path, 0)?;
    let range = move |flags| -> Change {
        Box::new(move || {
            fallocate(&file, flags, off, len as u64)?;
            Ok(0)
        })
    };
    let file = options(&path, 0)?;
    let mut uring = IoUring::new(4)?;
    let fd = types::Fd(file.as_raw_fd());
    Ok(match way {
        "write" | "writev" => {
            let mut file = file;
            file.seek(SeekFrom::Start(off))?;
            let vector = way == "writev";
            Box::new(move || {
                let (a, b) = buf.split_at(buf.len() / 2);
                Ok(if vector {
                    file.write_vectored(&[IoSlice::new(a), IoSlice::new(b)])?
                } else {
                    file.write(&buf)?
                } as u64)
            })
        }
        "pwrite" => Box::new(move || Ok(file.write_at(&buf, off)? as u64)),
        "pwritev" => Box::new(move || {
            let (a, b) = buf.split_at(buf.len() / 2);
            Ok(rustix::io::pwritev(&file, &[IoSlice::new(a), IoSlice::new(b)], off)? as u64)
        }),
        "aio" => aio(&file, buf, off),
        "uring" | "uring_worker" => {
            let worker = way == "uring_worker";
            Box::new(move || {
                let entry = opcode::Write::new(fd, buf.as_ptr(), buf.len() as u32).offset(off).build();
                let flags = if worker { squeue::Flags::ASYNC } else { squeue::Flags::empty() };
                let n = ring(entry.flags(flags), &mut uring);
                drop(file);
                n
            })
        }
        "uring_fixed" => {
            uring.submitter().register_files(&[file.as_raw_fd()])?;
            Box::new(move || {
                let fixed = types::Fixed(0);
                let entry = opcode::Write::new(fixed, buf.as_ptr(), buf.len() as u32).offset(off).build();
                let n = ring(entry, &mut uring);
                drop(file);
                n
            })
        }
        "uring_punch" => Box::new(move || {
            const PUNCH_HOLE_KEEP_SIZE: i32 = 3;
            let entry = opcode::Fallocate::new(fd, len as u64).offset(off).mode(PUNCH_HOLE_KEEP_SIZE).build();
            let n = ring(entry, &mut uring);
            drop(file);
            n
        }),
        "uring_splice" => {
            let (read, mut write) = pipe().map(|(r, w)| (r, File::from(w)))?;
            let n = len.min(PAGE * 8);
            write.write_all(&buf[..n])?;
            Box::new(move || {
                let from = types::Fd(read.as_raw_fd());
                let entry = opcode::Splice::new(from, -1, fd, off as i64, n as u32).build();
                let moved = ring(entry, &mut uring);
                drop(file);
                moved
            })
        }
        "uring_open_trunc" => {
            let name = std::ffi::CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
            Box::new(move || {
                let flags = libc::O_WRONLY | libc::O_TRUNC;
                let entry =
                    opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr()).flags(flags).build();
                ring(entry, &mut uring)
            })
        }
        "copy" => {
            let source = marks(&path, len)?;
            Box::new(move || {
                let (mut from, mut to) = (0, off);
                Ok(rustix::fs::copy_file_range(source, Some(&mut from), file, Some(&mut to), len)? as u64)
            })
        }
        "reflink" => {
            // struct file_clone_range
            let source = marks(&path, len)?;
            let range = [source.as_raw_fd().unsigned_abs().into(), 0, len as u64, off];
            Box::new(move || {
                let fd = file.as_raw_fd();
                let done = unsafe { libc::ioctl(fd, libc::FICLONERANGE, range.as_ptr()) };
                drop(source);
                if done == 0 { Ok(len as u64) } else { Err(io::Error::last_os_error()) }
            })
        }
        "sendfile" => {
            let source = marks(&path, len)?;
            (&file).seek(SeekFrom::Start(off))?;
            Box::new(move || Ok(rustix::fs::sendfile(file, source, None, len)? as u64))
        }
        "splice" => {
            let (read, mut write) = pipe().map(|(r, w)| (r, File::from(w)))?;
            let n = len.min(PAGE * 8);
            write.write_all(&buf[..n])?;
            Box::new(move || {
                let mut to = off;
                Ok(splice(read, None, file, Some(&mut to), n, SpliceFlags::empty())? as u64)
            })
        }
        "direct" | "uring_direct" => {
            let file = options(&path, libc::O_DIRECT)?;
            let memory = Memory::new(len);
            let through_ring = way == "uring_direct";
            Box::new(move || {
                if !through_ring {
                    return Ok(file.write_at(memory.slice(), off)? as u64);
                }
                let fd = types::Fd(file.as_raw_fd());
                let entry = opcode::Write::new(fd, memory.0, len as u32).offset(off).build();
                ring(entry, &mut uring)
            })
        }
        "punch" => range(FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE),
        "zero" => range(FallocateFlags::ZERO_RANGE),
        "collapse" => range(FallocateFlags::COLLAPSE_RANGE),
        "insert" => range(FallocateFlags::INSERT_RANGE),
        "truncate" => {
            let name = std::ffi::CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
            Box::new(move || match unsafe { libc::truncate(name.as_ptr(), off as i64) } {
                0 => Ok(0),
                _ => Err(io::Error::last_os_error()),
            })
        }
        "ftruncate" => Box::new(move || file.set_len(off).map(|()| 0)),
        "open_trunc" => Box::new(move || File::create(path).map(|_| 0)),
        "mmap" | "mmap_dirty" => {
            let whole = file.metadata()?.len() as usize;
            let prot = ProtFlags::READ | ProtFlags::WRITE;
            let at = unsafe { mmap(std::ptr::null_mut(), whole, prot, MapFlags::SHARED, &file, 0)? };
            let at = at.cast::<u8>() as usize;
            if way == "mmap_dirty" {
                // As it was: but now the pages are dirty and writable.
                for i in (off as usize..off as usize + len).step_by(PAGE).chain([off as usize + len - 1]) {
                    let byte = (at + i) as *mut u8;
                    unsafe { byte.write_volatile(byte.read_volatile()) };
                }
            }
            Box::new(move || {
                for i in 0..len {
                    unsafe { ((at + off as usize + i) as *mut u8).write_volatile(MARK) };
                }
                unsafe { munmap(at as *mut _, whole)? };
                Ok(len as u64)
            })
        }
        "none" => Box::new(|| Ok(0)),
        "append" => {
            let mut file = options(&path, libc::O_APPEND)?;
            Box::new(move || Ok(file.write(&buf)? as u64))
        }
        "failing" => {
            let file = File::open(&path)?;
            Box::new(move || Ok(file.write_at(&buf, off)? as u64))
        }
        "rename" => {
            let new = path.with_extension("new");
            std::fs::write(&new, vec![MARK; file.metadata()?.len() as usize])?;
            Box::new(move || std::fs::rename(new, path).map(|()| 0))
        }
        "unlink" => Box::new(move || std::fs::remove_file(path).map(|()| 0)),
        // The number of the old file may be given to one of the new ones.
        "reuse" => Box::new(move || {
            std::fs::remove_file(&path)?;
            drop(file);
            for n in 0..8 {
                std::fs::write(path.with_extension(n.to_string()), vec![MARK; len + off as usize])?;
            }
            Ok(0)
        }),
        "dontneed" => Box::new(move || {
            file.sync_all()?;
            fadvise(file.as_fd(), 0, None, Advice::DontNeed)?;
            Ok(0)
        }),
        _ => panic!("what is {way}?"),
    })
}

/// Carries out what it reads; the tests start it as a process of its own.
#[test]
#[ignore = "a helper process of other tests"]
fn process() {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.splitn(5, ' ');
        let mut next = || words.next().unwrap();
        let (way, at, off, len) =
            (next(), next().parse().unwrap(), next().parse().unwrap(), next().parse().unwrap());
        let path = PathBuf::from(next());
        let change = prepare(way, &path, off, len);
        spin_until(at);
        let begin = now();
        let result = change.and_then(|change| change());
        let end = now();
        match result {
            Ok(n) => println!("\n> {begin} {end} {n}"),
            Err(e) => println!("\n> {begin} {end} -{}", e.raw_os_error().unwrap_or(1)),
        }
    }
}

/// What a writer says it did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Did {
    pub(crate) way: Way,
    pub(crate) off: u64,
    pub(crate) len: u64,
    /// Just before, and just after.
    pub(crate) begin: u64,
    pub(crate) end: u64,
    /// Result, or minus errno.
    pub(crate) ret: i64,
}

impl Did {
    /// Bytes changed: first, and the first that did not.
    pub(crate) fn range(&self) -> (u64, u64) {
        let len = if self.ret > 0 { self.ret.cast_unsigned() } else { self.len };
        (self.off, if self.way.to_the_end { u64::MAX } else { self.off + len })
    }
}

/// A running writer.
pub(crate) struct Writer {
    child: Guard,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Writer {
    pub(crate) fn start() -> Self {
        let mut child: Child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "writer::process", "--nocapture", "--test-threads=1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child: Guard(child), to, from }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    /// Tells it what to do next; [`Self::did`] awaits it.
    pub(crate) fn tell(&mut self, way: Way, at: u64, off: u64, len: u64, path: &Path) {
        writeln!(self.to, "{} {at} {off} {len} {}", way.name, path.display()).unwrap();
    }

    pub(crate) fn did(&mut self, way: Way, off: u64, len: u64) -> Did {
        loop {
            let mut line = String::new();
            assert!(self.from.read_line(&mut line).unwrap() > 0, "the writer died");
            if let Some(said) = line.strip_prefix("> ") {
                let n: Vec<i64> = said.split_whitespace().map(|n| n.parse().unwrap()).collect();
                return Did {
                    way,
                    off,
                    len,
                    begin: n[0].cast_unsigned(),
                    end: n[1].cast_unsigned(),
                    ret: n[2],
                };
            }
        }
    }
}
