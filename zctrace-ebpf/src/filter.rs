//! Who is traced. Senders are filtered; what happens to their pages afterwards never is.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, generated::bpf_get_current_cgroup_id,
};
use zctrace_common::config::flag;

use crate::{
    globals::{cfg_get, off},
    kread,
    maps::{FILES, FileKey, PIDS},
};

/// The current task passes the process filters.
#[inline(always)]
pub fn task() -> bool {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let flags = cfg_get!(flags);
    if tgid == cfg_get!(self_tgid) {
        return false;
    }
    if flags & flag::BY_PID != 0 && unsafe { PIDS.get(&tgid) }.is_none() {
        return false;
    }
    if flags & flag::BY_CGROUP != 0 && unsafe { bpf_get_current_cgroup_id() } != cfg_get!(cgroup) {
        return false;
    }
    if flags & flag::BY_COMM != 0 {
        let comm = bpf_get_current_comm().unwrap_or_default();
        let want = cfg_get!(comm);
        let mut same = true;
        for i in 0..16 {
            if comm[i] != want[i] {
                same = false;
                break;
            }
            if comm[i] == 0 {
                break;
            }
        }
        if !same {
            return false;
        }
    }
    true
}

/// The file of this inode passes the file filter; without one (0) only where there is none.
#[inline(always)]
pub fn file_at(inode: u64) -> bool {
    if cfg_get!(flags) & flag::BY_FILE == 0 {
        return true;
    }
    let (dev, ino) = kread::identity(inode);
    let key = FileKey { ino, dev: u64::from(dev) };
    inode != 0 && unsafe { FILES.get(&key) }.is_some()
}

/// The socket passes the port filter.
#[inline(always)]
pub fn sock(sk: u64) -> bool {
    if cfg_get!(flags) & flag::BY_PORT == 0 {
        return true;
    }
    let port = cfg_get!(port);
    let local: u16 = kread::get(sk, off!(sk_num));
    let remote: u16 = kread::get(sk, off!(sk_dport));
    local == port || u16::from_be(remote) == port
}
