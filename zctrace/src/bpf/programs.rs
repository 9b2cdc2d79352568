//! The one table of BPF programs: where each attaches, what it gives, what is lost without it.
//! `doctor`, the recording's header and the loader all read it.

use zctrace_common::counter::turn;

/// What a skipped run (`recursion_misses`) or a missing program means for the claims made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Without it, or when it is skipped, a release could be claimed too early.
    Learns,
    /// Without it, or when it is skipped, a window may seem open for too long.
    Frees,
    /// Without it, or when it is skipped, a change could be missed.
    Watches,
    /// It adds a time or a name, and nothing hangs on it.
    Adds,
}

/// One program of the object.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in the object.
    pub name: &'static str,
    /// Category of the tracepoint.
    pub category: &'static str,
    /// Name of the tracepoint.
    pub tracepoint: &'static str,
    /// How much hangs on it.
    pub role: Role,
    /// Nothing can be traced without it.
    pub required: bool,
    /// What it gives.
    pub gives: &'static str,
    /// What is worse without it.
    pub without: &'static str,
}

impl Program {
    /// `category:name`
    #[must_use]
    pub fn probe(&self) -> String {
        format!("{}:{}", self.category, self.tracepoint)
    }
}

macro_rules! programs {
    ($($name:literal $category:literal $tp:literal $role:ident $required:literal $gives:literal / $without:literal;)*) => {
        /// Every program, in the order in which they are attached: frees before what makes them
        /// matter, submits last.
        pub const PROGRAMS: &[Program] = &[$(Program {
            name: $name, category: $category, tracepoint: $tp, role: Role::$role, required: $required, gives: $gives, without: $without,
        }),*];
    };
}

/// What older kernels call a tracepoint.
#[must_use]
pub fn earlier_name(tracepoint: &str) -> Option<&'static str> {
    match tracepoint {
        // Before Linux 6.4.
        "io_uring_submit_req" => Some("io_uring_submit_sqe"),
        _ => None,
    }
}

/// A program on the tracepoint of another, right after it: it runs what the kernel skipped of that.
#[derive(Clone, Copy, Debug)]
pub struct Second {
    /// The name of the first.
    pub first: &'static str,
    /// Its name in the object.
    pub name: &'static str,
    /// `counter::turn::*`
    pub turn: u32,
}

/// Every second program. Those that learn or see frees and can be interrupted by themselves have one.
pub const SECONDS: &[Second] = &[
    Second { first: "zct_kfree", name: "zct_kfree2", turn: turn::KFREE },
    Second { first: "zct_cache_free", name: "zct_cache_free2", turn: turn::CACHE_FREE },
    Second { first: "zct_tcp_probe", name: "zct_tcp_probe2", turn: turn::TCP_PROBE },
    Second { first: "zct_data_ready", name: "zct_data_ready2", turn: turn::DATA_READY },
];

/// A program that looks at content, on the tracepoint of another.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The name of the other.
    pub by: &'static str,
    /// Its name in the object.
    pub name: &'static str,
    /// It runs before the other, not after.
    pub first: bool,
}

/// Every program that looks at content. Without one of them, none is attached.
pub const LOOKS: &[Look] = &[
    Look { by: "zct_start_xmit", name: "zct_content_xmit", first: false },
    Look { by: "zct_sys_exit", name: "zct_content_exit", first: true },
    Look { by: "zct_sys_enter", name: "zct_content_enter", first: false },
    Look { by: "zct_uring_submit", name: "zct_content_uring", first: false },
];

programs! {
    "zct_kfree" "kmem" "kfree" Frees true "release: skb heads, pipes" / "nothing can be traced";
    "zct_cache_free" "kmem" "kmem_cache_free" Frees true "release: small skb heads, sockets" / "releases are missed";
    "zct_consume_skb" "skb" "consume_skb" Frees false "release on AF_UNIX sockets" / "AF_UNIX transfers stay open";
    "zct_kfree_skb" "skb" "kfree_skb" Frees false "drops; AF_UNIX sockets closed with data" / "drops look like other releases";
    "zct_tcp_probe" "tcp" "tcp_probe" Learns false "acknowledgements; merges on a local receiver" / "a release on loopback could be claimed too early; no ack times";
    "zct_rcv_space" "tcp" "tcp_rcv_space_adjust" Adds false "reads by a local receiver whose skbs are freed later" / "a release by a local read may be seen late";
    "zct_data_ready" "sock" "sk_data_ready" Learns false "local receivers outside TCP ESTABLISHED" / "local readers are not told from other releases";
    "zct_reset" "tcp" "tcp_receive_reset" Adds false "resets by the peer" / "a reset shows as a close";
    "zct_set_state" "sock" "inet_sock_set_state" Frees false "end of TCP connections" / "unsent data of a closed connection stays open";
    "zct_retransmit" "tcp" "tcp_retransmit_skb" Adds false "retransmissions" / "retransmissions are not counted";
    "zct_send_length" "sock" "sock_send_length" Adds false "sends by threads of the kernel" / "what the kernel itself sends may be missed";
    "zct_start_xmit" "net" "net_dev_start_xmit" Learns false "software GSO segments" / "a release on devices without GSO could be claimed too early";
    "zct_net_dev_queue" "net" "net_dev_queue" Learns true "first transmit; which skb heads hold lent pages" / "nothing can be traced";
    "zct_dirty" "writeback" "writeback_dirty_folio" Watches false "stores through mappings that make a clean page dirty" / "a store through a mapping may be unattributed";
    "zct_removed" "filemap" "mm_filemap_delete_from_page_cache" Watches false "pages that leave the page cache while lent" / "stale data that goes out is not called out";
    "zct_uring_complete" "io_uring" "io_uring_complete" Watches false "what io_uring lent, wrote and notified" / "what io_uring lends and writes may be missed";
    "zct_uring_submit" "io_uring" "io_uring_submit_req" Watches false "when io_uring begins to lend or write" / "what io_uring lends and writes may be missed";
    "zct_uring_async" "io_uring" "io_uring_queue_async_work" Adds false "when a splice through io_uring starts" / "a splice through io_uring is unknown";
    "zct_sk_error" "sock" "inet_sk_error_report" Adds false "notifications of MSG_ZEROCOPY" / "no notification times";
    "zct_fork" "sched" "sched_process_fork" Adds false "--follow" / "children are not followed";
    "zct_exit" "sched" "sched_process_exit" Adds false "a pid that was reused is not traced" / "a reused pid is traced too";
    "zct_sys_exit" "raw_syscalls" "sys_exit" Learns true "return; what left a pipe" / "nothing can be traced";
    "zct_sys_enter" "raw_syscalls" "sys_enter" Learns true "submit" / "nothing can be traced";
}
