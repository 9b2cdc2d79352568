//! Making sockets, pipes and inodes known, once each.

use aya_ebpf::helpers::generated::{bpf_loop, bpf_probe_read_kernel_str};
use zctrace_common::{
    counter::{self, gate},
    kernel::{PATH_TEXT, Path, Pipe, Sock, family, full_map, kind, pipe_why, proto},
};

use crate::{
    emit::{self, gate_add},
    globals::off,
    kread,
    maps::{PIPES, PipeEnt, SEEN, SLABS, SOCKS, SeenKey, SockEnt},
    seq::before,
};

/// The id of `sk`, which is tracked from now on; 0 when there is no room.
///
/// A global function, as other large ones are: the verifier goes through it once, and not once more for
/// each way to get here.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_sock(sk: u64, kernel: u32) -> u64 {
    if let Some(ent) = unsafe { SOCKS.get(&sk) } {
        return ent.id;
    }
    let stamp = emit::stamp();
    let family: u16 = kread::get(sk, off!(sk_family));
    let proto: u16 = kread::get(sk, off!(sk_proto));
    let proto = if family == family::UNIX { 0 } else { proto };
    let acked: u32 = if proto == proto::TCP { kread::get(sk, off!(tcp_snd_una)) } else { 0 };
    let id = stamp.id();
    let ent = SockEnt { id, family, proto, acked, memory: 0, kernel };
    if SOCKS.insert(&sk, &ent, 0).is_err() {
        emit::full(stamp, counter::SOCKS_FULL, full_map::SOCKS, 0);
        return 0;
    }
    remember_slab(sk);
    if family == family::UNIX {
        gate_add(gate::UNIX, 1);
    }
    let Some(frame) = emit::reserve::<Sock>(kind::SOCK, stamp) else {
        return id;
    };
    let body = unsafe { &raw mut (*frame).body };
    unsafe {
        (*body).sock = id;
        (*body).cookie = kread::get(sk, off!(sk_cookie));
        (*body).family = family;
        (*body).proto = proto;
        (*body).sock_type = kread::get(sk, off!(sk_type));
        (*body).lport = kread::get(sk, off!(sk_num));
        (*body).rport = u16::from_be(kread::get(sk, off!(sk_dport)));
        (*body).snd_una = acked;
        (*body).name_len = 0;
        (*body).name_is_peer = 0;
        (*body).kernel = kernel;
        (*body).state = u32::from(kread::get::<u8>(sk, off!(sk_state)));
        // Word by word: as a whole it would become a loop over bytes.
        let from = (&raw mut (*body).laddr).cast::<u64>();
        for i in 0..(core::mem::offset_of!(Sock, kernel) - core::mem::offset_of!(Sock, laddr)) / 8 {
            from.add(i).write_volatile(0);
        }
        if family == family::UNIX {
            (*body).lport = 0;
            (*body).rport = 0;
            unix_name(sk, body);
        } else if family == family::INET6 {
            (*body).laddr = kread::opt(sk, off!(sk_saddr6)).unwrap_or_default();
            (*body).raddr = kread::opt(sk, off!(sk_daddr6)).unwrap_or_default();
        } else {
            let local: [u8; 4] = kread::get(sk, off!(sk_saddr));
            let remote: [u8; 4] = kread::get(sk, off!(sk_daddr));
            (&raw mut (*body).laddr).cast::<[u8; 4]>().write(local);
            (&raw mut (*body).raddr).cast::<[u8; 4]>().write(remote);
        }
    }
    emit::submit(frame);
    id
}

#[inline(always)]
pub fn remember_slab(sk: u64) {
    let prot: u64 = kread::get(sk, off!(sk_prot));
    let slab: u64 = kread::get(prot, off!(prot_slab));
    let Some(slabs) = SLABS.get_ptr_mut(0) else {
        return;
    };
    for slot in unsafe { &mut *slabs } {
        if *slot == slab {
            return;
        }
        if *slot == 0 {
            *slot = slab;
            return;
        }
    }
}

/// `sun_path` of the socket, or of its peer.
#[inline(always)]
unsafe fn unix_name(sk: u64, body: *mut Sock) {
    let mut addr: u64 = kread::opt(sk, off!(unix_addr)).unwrap_or_default();
    if addr == 0 {
        let peer: u64 = kread::opt(sk, off!(unix_peer)).unwrap_or_default();
        if peer != 0 {
            addr = kread::opt(peer, off!(unix_addr)).unwrap_or_default();
            unsafe { (*body).name_is_peer = 1 };
        }
    }
    if addr == 0 {
        return;
    }
    let len: u32 = kread::opt(addr, off!(unix_addr_len)).unwrap_or_default();
    // `len` counts sun_family too.
    let len = if len > 110 { 110 } else { len };
    unsafe {
        (*body).name_len = len.saturating_sub(2) as u16;
        let from = addr.wrapping_add(u64::from(off!(unix_addr_name))).wrapping_add(2);
        aya_ebpf::helpers::generated::bpf_probe_read_kernel(
            (&raw mut (*body).name).cast(),
            108,
            from as *const core::ffi::c_void,
        );
    }
}

/// The pipe is tracked; with `make`, from now on.
#[inline(always)]
pub fn pipe(pipe: u64, make: bool) -> bool {
    unsafe { PIPES.get(&pipe) }.is_some() || (make && zct_fn_pipe(pipe) != 0)
}

/// The pipe is tracked from now on; 0: no room.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_pipe(pipe: u64) -> u64 {
    let stamp = emit::stamp();
    let pos = kread::pipe_pos(pipe);
    let ent = PipeEnt { id: stamp.id(), lent: pos.head, busy: 0, active: 0, memory: 0 };
    if PIPES.insert(&pipe, &ent, 0).is_err() {
        emit::full(stamp, counter::PIPES_FULL, full_map::PIPES, 0);
        return 0;
    }
    emit::put(
        kind::PIPE,
        stamp,
        Pipe { pipe: ent.id, head: pos.head, tail: pos.tail, off: pos.off, why: pipe_why::NEW },
    );
    1
}

/// Lent pages are about to enter, or are in, the pipe: reads of it matter from now on.
#[inline(always)]
pub fn pipe_watch(ent: *mut PipeEnt) {
    unsafe {
        if (*ent).active == 0 {
            (*ent).active = 1;
            gate_add(gate::PIPES, 1);
        }
    }
}

/// The pipe stands at `tail`: nothing lent is left once it has passed the last lent slot.
#[inline(always)]
pub fn pipe_drained(ent: *mut PipeEnt, tail: u32) {
    unsafe {
        if (*ent).active != 0 && (*ent).busy == 0 && !before(tail, (*ent).lent) {
            (*ent).active = 0;
            gate_add(gate::PIPES, -1);
        }
    }
}

/// States the path of an open file, once per (inode, dentry).
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn zct_fn_path(file: u64, generation: u32) -> u64 {
    let inode: u64 = kread::get(file, off!(file_inode));
    let dentry: u64 = kread::get(file, off!(file_dentry));
    let (dev, ino) = kread::identity(inode);
    let key = SeenKey { ino, dev, generation, dentry, name: kread::get(dentry, off!(dentry_hash)) };
    if unsafe { SEEN.get(&key) }.is_some() {
        return 0;
    }
    let _ = SEEN.insert(&key, &1, 0);
    let stamp = emit::stamp();
    let Some(frame) = emit::reserve::<Path>(kind::PATH, stamp) else {
        let _ = SEEN.remove(&key);
        return 0;
    };
    let body = unsafe { &raw mut (*frame).body };
    let vfsmount: u64 = kread::get(file, off!(file_mnt));
    let mut walk = Walk {
        text: unsafe { (&raw mut (*body).text).cast::<u8>() },
        dentry,
        mount: vfsmount.wrapping_sub(u64::from(off!(mount_mnt))),
        used: 0,
        whole: 0,
    };
    unsafe { bpf_loop(40, step as *mut core::ffi::c_void, (&raw mut walk).cast(), 0) };
    unsafe {
        (*body).ino = ino;
        (*body).dev = dev;
        (*body).used = walk.used as u32;
        (*body).whole = walk.whole;
        (*body).generation = generation;
    }
    emit::submit(frame);
    0
}

/// From a file up to the root, name by name.
#[repr(C)]
struct Walk {
    text: *mut u8,
    dentry: u64,
    mount: u64,
    used: u64,
    whole: u32,
}

/// The next name.
extern "C" fn step(_: u64, walk: *mut Walk) -> u64 {
    const STOP: u64 = 1;
    let w = unsafe { &mut *walk };
    let root: u64 = kread::get(w.mount.wrapping_add(u64::from(off!(mount_mnt))), off!(vfsmount_root));
    let parent: u64 = kread::get(w.dentry, off!(dentry_parent));
    if w.dentry == root || w.dentry == parent || w.dentry == 0 {
        let up: u64 = kread::get(w.mount, off!(mount_parent));
        if up == w.mount || up == 0 {
            w.whole = 1;
            return STOP;
        }
        w.dentry = kread::get(w.mount, off!(mount_point));
        w.mount = up;
        return 0;
    }
    let used = w.used;
    // One name is at most 255 bytes and its NUL.
    if used > (PATH_TEXT - 256) as u64 {
        return STOP;
    }
    let name: u64 = kread::get(w.dentry, off!(dentry_name));
    let n = unsafe {
        let to = w.text.add(used as usize).cast();
        bpf_probe_read_kernel_str(to, 256, name as *const core::ffi::c_void)
    };
    if n <= 0 || n > 256 {
        return STOP;
    }
    w.used = used + n as u64;
    w.dentry = parent;
    0
}
