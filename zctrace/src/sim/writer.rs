//! Tasks that change the files which are lent: they begin, and later return. A file is watched from
//! its first transfer on; what began before is told when it returns.

use zctrace_common::kernel::{
    ChangeEnter, ChangeExit, Dirtied, Mapped, Removed, change, change_flag, kind, watch,
};
use zctrace_common::user::RunningChange;

use super::truth::Changed;
use super::world::{DEV, PAGE, World};

/// Number of the first file that is lent.
pub(super) const FIRST: u64 = 10;
/// How many there are.
pub(super) const FILES: usize = 3;
/// Tasks that change them.
pub(super) const WRITERS: usize = 3;
const ALL: u64 = u64::MAX;
const COMM: [u8; 16] = *b"simwriter\0\0\0\0\0\0\0";

/// A file's present inode.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FileObject {
    pub(super) generation: u32,
    watched: bool,
    mapped: bool,
    idle: bool,
}

/// A task inside a call that changes a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writing {
    /// What the tracer calls it; 0: it does not know of it.
    id: u64,
    file: usize,
    generation: u32,
    what: u8,
    flags: u8,
    off: u64,
    len: u64,
    succeeds: bool,
    begin: u64,
}

impl Writing {
    /// As the list of running calls has it, if it has it, and from when until when.
    pub(super) fn listed(&self, until: u64) -> Option<(RunningChange, u64, u64)> {
        let by_path = self.flags & change_flag::BY_PATH != 0;
        let (ino, dev, generation) =
            if by_path { (0, 0, 0) } else { (FIRST + self.file as u64, DEV, self.generation) };
        (self.id != 0).then_some((RunningChange { change: self.id, ino, dev, generation }, self.begin, until))
    }
}

fn task_id(writer: usize) -> u64 {
    900 << 32 | (9000 + writer as u64)
}

impl World {
    /// What the kernel half says of a file that is lent now: its generation, and `watch::*`.
    pub(super) fn watch(&mut self, ino: u64) -> (u32, u32) {
        let which = usize::try_from(ino - FIRST).unwrap_or(0);
        let file = self.files[which];
        let locked = self.writers.iter().flatten().any(|w| {
            w.file == which && w.generation == file.generation && w.flags & change_flag::BY_PATH == 0
        });
        let idle = file.idle || !locked;
        self.files[which] = FileObject { watched: true, idle, ..file };
        let flags = if file.mapped { watch::MAPPED } else { 0 } | if idle { 0 } else { watch::BUSY };
        (file.generation, flags)
    }

    pub(super) fn writer_step(&mut self) {
        let which = self.rng.index(FILES);
        match self.rng.below(100) {
            0..70 => {
                let writer = self.rng.index(WRITERS);
                match self.writers[writer].take() {
                    None => self.writers[writer] = Some(self.begin_change(writer, which)),
                    Some(w) => self.end_change(writer, w),
                }
            }
            70..84 => self.folio(which),
            84..88 => self.map(which),
            88..92 => self.files[which].mapped = false,
            // Removed, and its number given to another.
            _ => {
                let next = self.files[which].generation + 1;
                self.files[which] = FileObject { generation: next, ..FileObject::default() };
            }
        }
    }

    fn begin_change(&mut self, writer: usize, which: usize) -> Writing {
        let file = self.files[which];
        let off = self.rng.below(40_000);
        let len = self.rng.within(1, 12_000);
        let (what, flags, len) = match self.rng.below(10) {
            0..4 => (change::WRITE, 0, len),
            4 => (change::WRITE, change_flag::DIRECT, len),
            5 => (change::WRITE, change_flag::URING, len),
            6 => (change::PUNCH, change_flag::URING, len),
            7 => (change::PUNCH, 0, len),
            8 => (change::TRUNCATE, 0, ALL),
            _ => (change::TRUNCATE, change_flag::BY_PATH, ALL),
        };
        let succeeds = self.rng.chance(80);
        let at = self.stamp();
        let by_path = flags & change_flag::BY_PATH != 0;
        let known = file.watched || by_path;
        let w = Writing {
            id: if known { at.id() } else { 0 },
            file: which,
            generation: file.generation,
            what,
            flags,
            off,
            len,
            succeeds,
            begin: at.ts,
        };
        if known {
            self.say_begin(at, writer, &w);
        } else {
            // Nothing is said: another frame of no meaning takes the place.
            self.wire.put(at, kind::MAPPED, task_id(writer), &Mapped::default());
        }
        w
    }

    fn say_begin(&mut self, at: super::wire::Stamp, writer: usize, w: &Writing) {
        let by_path = w.flags & change_flag::BY_PATH != 0;
        let body = ChangeEnter {
            change: w.id,
            ino: if by_path { 0 } else { FIRST + w.file as u64 },
            off: w.off,
            // Of a vector, the length is not known before.
            len: if self.rng.chance(20) { ALL } else { w.len },
            dev: if by_path { 0 } else { DEV },
            what: w.what,
            flags: w.flags,
            generation: if by_path { 0 } else { w.generation },
            comm: COMM,
            ..ChangeEnter::default()
        };
        self.wire.put(at, kind::CHANGE_ENTER, task_id(writer), &body);
    }

    fn end_change(&mut self, writer: usize, mut w: Writing) {
        let file = self.files[w.file];
        let by_path = w.flags & change_flag::BY_PATH != 0;
        // By path, it may have been another file.
        let this = !by_path || (file.watched && w.generation == file.generation);
        let hits = w.succeeds && this;
        if w.id == 0 {
            if !file.watched || file.generation != w.generation {
                return;
            }
            let at = self.stamp();
            w.id = at.id();
            w.flags |= change_flag::LATE;
            self.say_begin(at, writer, &w);
        }
        let mut body = ChangeExit { change: w.id, ..ChangeExit::default() };
        if hits || !by_path {
            (body.ino, body.dev, body.generation) = (FIRST + w.file as u64, DEV, w.generation);
            (body.off, body.len) = (w.off, if hits { w.len } else { 0 });
        }
        let until = self.wire.now();
        self.called.extend(w.listed(until).filter(|_| w.flags & change_flag::LATE == 0));
        let end = self.exit(writer, &ChangeExit { more: u16::from(by_path && hits), ..body });
        if by_path && hits {
            self.exit(writer, &ChangeExit { change: w.id, ..ChangeExit::default() });
        }
        if hits {
            self.book.changed(Changed {
                ino: FIRST + w.file as u64,
                generation: w.generation,
                off: w.off,
                len: w.len,
                begin: w.begin,
                end,
            });
        }
    }

    fn exit(&mut self, writer: usize, body: &ChangeExit) -> u64 {
        let at = self.stamp();
        self.wire.put(at, kind::CHANGE_EXIT, task_id(writer), body);
        at.ts
    }

    /// Something happens to a folio: as a part of a request that runs, or by itself.
    fn folio(&mut self, which: usize) {
        let file = self.files[which];
        if !file.watched {
            return;
        }
        let ino = FIRST + which as u64;
        let request = self.writers.iter().flatten().copied().find(|w| {
            w.file == which
                && w.generation == file.generation
                && w.id != 0
                && w.succeeds
                && w.flags & change_flag::URING != 0
        });
        let off = request.map_or_else(|| self.rng.below(10) * PAGE, |w| w.off / PAGE * PAGE);
        let (generation, len) = (file.generation, PAGE);
        let at = self.stamp();
        // An io_uring worker, or anybody.
        let task = task_id(WRITERS);
        if self.rng.chance(50) {
            let body = Removed { ino, off, len, dev: DEV, generation, comm: COMM };
            self.wire.put(at, kind::REMOVED, task, &body);
        } else {
            let mapped = u32::from(file.mapped);
            let body = Dirtied { ino, off, len, dev: DEV, generation, mapped, pad: 0, comm: COMM };
            self.wire.put(at, kind::DIRTIED, task, &body);
        }
        if request.is_none() {
            self.book.changed(Changed { ino, generation, off, len, begin: at.ts, end: at.ts });
        }
    }

    fn map(&mut self, which: usize) {
        let file = &mut self.files[which];
        file.mapped = true;
        let file = *file;
        if file.watched {
            let ino = FIRST + which as u64;
            let at = self.say(kind::MAPPED, &Mapped { ino, dev: DEV, generation: file.generation });
            self.book.mapped(ino, file.generation, at);
        }
    }

    pub(super) fn writers_wind_up(&mut self) {
        for writer in 0..WRITERS {
            if let Some(w) = self.writers[writer].take() {
                self.end_change(writer, w);
            }
        }
    }
}
