//! Which system call numbers mean what, here and for 32-bit programs.

use zctrace_common::call::{
    COPY_RANGE, CREAT, FALLOCATE, FCNTL, FTRUNCATE, IO_SUBMIT, IOCTL, MMAP, OPEN, OPENAT, OPENAT2, PWRITE,
    PWRITEV, READ, SENDFILE, SENDMSG, SENDTO, SPLICE, TEE, TRUNCATE, VMSPLICE, WRITE, WRITEV,
};

/// `(number, class)` of this architecture.
pub(super) fn native() -> Vec<(libc::c_long, u8)> {
    let mut calls = vec![
        (libc::SYS_sendfile, SENDFILE),
        (libc::SYS_splice, SPLICE),
        (libc::SYS_tee, TEE),
        (libc::SYS_read, READ),
        (libc::SYS_readv, READ),
        (libc::SYS_fcntl, FCNTL),
        (libc::SYS_write, WRITE),
        (libc::SYS_pwrite64, PWRITE),
        (libc::SYS_writev, WRITEV),
        (libc::SYS_pwritev, PWRITEV),
        (libc::SYS_pwritev2, PWRITEV),
        (libc::SYS_truncate, TRUNCATE),
        (libc::SYS_ftruncate, FTRUNCATE),
        (libc::SYS_fallocate, FALLOCATE),
        (libc::SYS_copy_file_range, COPY_RANGE),
        (libc::SYS_ioctl, IOCTL),
        (libc::SYS_openat, OPENAT),
        // Its flags stand in the same place.
        (libc::SYS_open_by_handle_at, OPENAT),
        (libc::SYS_openat2, OPENAT2),
        (libc::SYS_mmap, MMAP),
        (libc::SYS_io_submit, IO_SUBMIT),
        (libc::SYS_vmsplice, VMSPLICE),
        (libc::SYS_sendto, SENDTO),
        (libc::SYS_sendmsg, SENDMSG),
    ];
    // Later architectures have only the `at` variants.
    #[cfg(target_arch = "x86_64")]
    calls.extend([(libc::SYS_open, OPEN), (libc::SYS_creat, CREAT)]);
    calls
}

/// The same for 32-bit programs (`arch/x86/entry/syscalls/syscall_32.tbl`).
pub(super) fn compat() -> &'static [(u32, u8)] {
    if cfg!(target_arch = "x86_64") {
        &[
            (4, WRITE),
            (5, OPEN),
            (8, CREAT),
            (54, IOCTL),
            (90, MMAP),
            (92, TRUNCATE),
            (93, FTRUNCATE),
            (146, WRITEV),
            (181, PWRITE),
            (187, SENDFILE),
            (192, MMAP),
            (193, TRUNCATE),
            (194, FTRUNCATE),
            (239, SENDFILE),
            (248, IO_SUBMIT),
            (295, OPENAT),
            (313, SPLICE),
            (324, FALLOCATE),
            (342, OPENAT),
            (334, PWRITEV),
            (377, COPY_RANGE),
            (379, PWRITEV),
            (437, OPENAT2),
        ]
    } else {
        &[]
    }
}
