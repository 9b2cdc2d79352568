//! Upper-layer protocols (`icsk->icsk_ulp_ops`): what they do with pages before TCP gets them.

use zctrace_common::{
    kernel::{op_exit, op_flag},
    layout::MISSING,
};

use crate::{globals::off, kread};

/// What `write()` and its like do on a socket.
enum Upper {
    /// Pages go to TCP as they are: no such protocol, or kTLS without a key to send with (`TLS_BASE`).
    Plain,
    /// `TLS_SW`
    Tls,
    /// Who knows.
    Other,
}

/// Values of `tls_context->tx_conf` (include/net/tls.h).
const TLS_BASE: u8 = 0;
const TLS_SW: u8 = 1;
const TX_CONF_BITS: u8 = 7;

/// `op_flag::*`
#[inline(always)]
pub fn at_enter(sk: u64) -> u8 {
    match of(sk).0 {
        Upper::Plain => 0,
        Upper::Tls => op_flag::TLS,
        Upper::Other => op_flag::ULP,
    }
}

/// `op_exit::*`
#[inline(always)]
pub fn at_exit(sk: u64) -> u32 {
    zct_fn_upper(sk) as u32
}

/// A function of its own: its callers have little stack left.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn zct_fn_upper(sk: u64) -> u64 {
    let says = match of(sk) {
        (Upper::Plain, _) => 0,
        (Upper::Tls, context) if is_encrypted(context) => op_exit::ULP | op_exit::ENCRYPTED,
        _ => op_exit::ULP,
    };
    u64::from(says)
}

/// And its `struct tls_context *`.
#[inline(always)]
fn of(sk: u64) -> (Upper, u64) {
    let ops: u64 = kread::opt(sk, off!(icsk_ulp)).unwrap_or_default();
    if ops == 0 {
        return (Upper::Plain, 0);
    }
    let name: u32 = kread::opt(ops, off!(ulp_name)).unwrap_or_default();
    let context: u64 = kread::opt(sk, off!(icsk_ulp_data)).unwrap_or_default();
    let tls = off!(tls);
    // A program of BPF's sockmap (`sk_psock`) may send records to another socket as they are.
    let redirects = kread::get::<u64>(sk, off!(sk_user_data)) != 0;
    if name != u32::from_ne_bytes(*b"tls\0") || context == 0 || tls.tx_conf == MISSING || redirects {
        return (Upper::Other, 0);
    }
    let conf: u8 = kread::get(context, tls.tx_conf);
    match conf >> (tls.tx_conf_bit & 7) & TX_CONF_BITS {
        TLS_BASE => (Upper::Plain, 0),
        TLS_SW => (Upper::Tls, context),
        _ => (Upper::Other, 0),
    }
}

/// Whether `tls_do_encryption()` is done with every page that it was given: a record is open until it is
/// full or its writer says that nothing follows, and `tx_ready` once it is encrypted.
#[inline(always)]
fn is_encrypted(context: u64) -> bool {
    /// Records that wait for room in the socket are few: more are not looked at, and not taken for done.
    const WAITING: u32 = 8;
    let tls = off!(tls);
    let tx: u64 = kread::get(context, tls.tx);
    let open: u64 = kread::get(tx, tls.open);
    if tx == 0 || (open != 0 && kread::get::<u32>(open, tls.rec_size) != 0) {
        return false;
    }
    let list = tx.wrapping_add(u64::from(tls.list));
    let mut node: u64 = kread::at(list);
    for _ in 0..WAITING {
        if node == list {
            return true;
        }
        let rec = node.wrapping_sub(u64::from(tls.rec_list));
        if kread::get::<u32>(rec, tls.rec_ready) == 0 {
            return false;
        }
        node = kread::at(node);
    }
    node == list
}
