//! What a system call is to zctrace: the loader fills the `CALLS` map, number to class.

/// Entries for each of the two number spaces: this architecture's, then that of 32-bit programs.
pub const NUMBERS: u32 = 512;

/// Not of interest.
pub const NONE: u8 = 0;
/// `sendfile`
pub const SENDFILE: u8 = 1;
/// `splice`
pub const SPLICE: u8 = 2;
/// `tee`
pub const TEE: u8 = 3;
/// `read`, `readv`
pub const READ: u8 = 4;
/// `fcntl`
pub const FCNTL: u8 = 5;
/// `write`: `(fd, buf, count)`
pub const WRITE: u8 = 6;
/// `pwrite64`: `(fd, buf, count, pos)`
pub const PWRITE: u8 = 7;
/// `writev`: `(fd, vec, n)`
pub const WRITEV: u8 = 8;
/// `pwritev`, `pwritev2`: `(fd, vec, n, pos, 0, flags)`
pub const PWRITEV: u8 = 9;
/// `truncate`: `(path, length)`
pub const TRUNCATE: u8 = 10;
/// `ftruncate`: `(fd, length)`
pub const FTRUNCATE: u8 = 11;
/// `fallocate`: `(fd, mode, off, len)`
pub const FALLOCATE: u8 = 12;
/// `copy_file_range`: `(in, off, out, off, len, flags)`
pub const COPY_RANGE: u8 = 13;
/// `ioctl`: `(fd, cmd, arg)`
pub const IOCTL: u8 = 14;
/// `open`: `(path, flags)`
pub const OPEN: u8 = 15;
/// `openat`: `(dir, path, flags)`
pub const OPENAT: u8 = 16;
/// `openat2`: `(dir, path, how)`
pub const OPENAT2: u8 = 17;
/// `creat`: `(path, mode)`
pub const CREAT: u8 = 18;
/// `mmap`: `(addr, len, prot, flags, fd, off)`
pub const MMAP: u8 = 19;
/// `io_submit`: `(ctx, n, iocbs)`
pub const IO_SUBMIT: u8 = 20;
/// `vmsplice`: `(fd, vec, n, flags)`
pub const VMSPLICE: u8 = 21;
/// `sendto`: `(fd, buf, len, flags)`
pub const SENDTO: u8 = 22;
/// `sendmsg`: `(fd, msg, flags)`
pub const SENDMSG: u8 = 23;
