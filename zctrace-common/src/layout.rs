//! Every struct offset the BPF side needs, filled from the running kernel's BTF.
//!
//! Rust BPF has no CO-RE. One list makes the struct, its field names and the loader's work list,
//! so they cannot drift apart.

use bytemuck::{Pod, Zeroable};

/// An offset this kernel does not have.
pub const MISSING: u32 = u32::MAX;

macro_rules! layout {
    ($($(#[$doc:meta])* $field:ident = $($ty:literal . $member:literal)|+ $(, $need:ident)?;)*) => {
        /// Byte offsets of kernel struct members; [`MISSING`] where this kernel has none.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
        pub struct KernelLayout {
            $($(#[$doc])* pub $field: u32,)*
            /// `sizeof(struct page)`
            pub page_size_of: u32,
            /// `sizeof(struct pipe_buffer)`
            pub pipe_buf_size: u32,
            /// `CONFIG_MAX_SKB_FRAGS`
            pub max_frags: u32,
            /// `I_FREEING` of `inode->i_state`
            pub i_freeing: u32,
            /// `I_CLEAR` of `inode->i_state`
            pub i_clear: u32,
            /// `PG_uptodate` of `folio->flags`, a bit number
            pub pg_uptodate: u32,
            /// `SOCK_ZEROCOPY` of `sk->sk_flags`, a bit number
            pub sock_zerocopy: u32,
            /// The byte that has `sk->sk_kern_sock`
            pub sk_kern: u32,
            /// Which bit of that byte it is
            pub sk_kern_bit: u32,
            /// Where kTLS keeps its state.
            pub tls: TlsLayout,
            /// This architecture's `O_DIRECT`.
            pub o_direct: u32,
            /// Offsets of the six arguments in `struct pt_regs`.
            pub arg: [u32; 6],
            /// The same for 32-bit calls.
            pub arg32: [u32; 6],
            /// Offset of the system call number in `struct pt_regs`.
            pub sysnr: u32,
        }

        /// What to look up: field, then candidates `(struct, member path)` in order.
        pub const FIELDS: &[Field] = &[
            $(Field {
                name: stringify!($field),
                at: core::mem::offset_of!(KernelLayout, $field),
                candidates: &[$(($ty, $member)),+],
                optional: layout!(@need $($need)?),
            },)*
        ];
    };
    (@need optional) => { true };
    (@need) => { false };
}

/// Byte offsets in the structs of the module `tls`; all [`MISSING`] where it is not loaded.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct TlsLayout {
    /// The byte of `struct tls_context` that has `tx_conf`
    pub tx_conf: u32,
    /// Which bit of that byte is its lowest
    pub tx_conf_bit: u32,
    /// `tls_context->priv_ctx_tx`
    pub tx: u32,
    /// `tls_sw_context_tx->open_rec`
    pub open: u32,
    /// `tls_sw_context_tx->tx_list`
    pub list: u32,
    /// `tls_rec->list`
    pub rec_list: u32,
    /// `tls_rec->tx_ready`
    pub rec_ready: u32,
    /// `tls_rec->msg_plaintext.sg.size`
    pub rec_size: u32,
}

impl TlsLayout {
    /// Not known.
    pub const MISSING: Self = Self {
        tx_conf: MISSING,
        tx_conf_bit: 0,
        tx: MISSING,
        open: MISSING,
        list: MISSING,
        rec_list: MISSING,
        rec_ready: MISSING,
        rec_size: MISSING,
    };
}

/// One entry of [`FIELDS`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name of the field in [`KernelLayout`].
    pub name: &'static str,
    /// Its offset in [`KernelLayout`].
    pub at: usize,
    /// `(struct, dotted member path)`; the first that exists wins.
    pub candidates: &'static [(&'static str, &'static str)],
    /// Without it tracing still works, with less.
    pub optional: bool,
}

layout! {
    /// `skb->head`
    skb_head = "sk_buff"."head";
    /// `skb->end`: offset from head
    skb_end = "sk_buff"."end";
    /// `skb->data`
    skb_data = "sk_buff"."data";
    /// `skb->len`
    skb_len = "sk_buff"."len";
    /// `skb->data_len`
    skb_data_len = "sk_buff"."data_len";
    /// `skb->sk`
    skb_sk = "sk_buff"."sk";
    /// `skb->dev`
    skb_dev = "sk_buff"."dev";
    /// `skb->prev`
    skb_prev = "sk_buff"."prev";
    /// `skb->next`
    skb_next = "sk_buff"."next";
    /// `skb->alloc_cpu`
    skb_alloc_cpu = "sk_buff"."alloc_cpu", optional;
    /// `skb->cb`
    skb_cb = "sk_buff"."cb";
    /// `skb->transport_header`
    skb_transport = "sk_buff"."transport_header";
    /// `shinfo->nr_frags`
    sh_nr_frags = "skb_shared_info"."nr_frags";
    /// `shinfo->flags`
    sh_flags = "skb_shared_info"."flags";
    /// `shinfo->frags`
    sh_frags = "skb_shared_info"."frags";
    /// `TCP_SKB_CB->seq`
    cb_seq = "tcp_skb_cb"."seq";
    /// `TCP_SKB_CB->end_seq`
    cb_end_seq = "tcp_skb_cb"."end_seq";
    /// `dev->flags`
    dev_flags = "net_device"."flags", optional;
    /// `page->compound_head` or its successor
    page_head = "page"."compound_head" | "page"."compound_info";
    /// `folio->mapping`
    folio_mapping = "folio"."mapping" | "page"."mapping";
    /// `folio->index`
    folio_index = "folio"."index" | "page"."index";
    /// `folio->_refcount`
    folio_refs = "folio"."_refcount" | "page"."_refcount";
    /// `folio->flags`
    folio_flags = "folio"."flags" | "page"."flags";
    /// `mapping->i_pages.xa_head`
    mapping_pages = "address_space"."i_pages.xa_head";
    /// `xa_node->shift`
    xa_shift = "xa_node"."shift";
    /// `xa_node->slots`
    xa_slots = "xa_node"."slots";
    /// `inode->i_rwsem`: bit 0 of its count is set while a writer is inside
    inode_rwsem = "inode"."i_rwsem.count", optional;
    /// `mapping->host`
    mapping_host = "address_space"."host";
    /// `inode->i_mode`
    inode_mode = "inode"."i_mode";
    /// `inode->i_ino`
    inode_ino = "inode"."i_ino";
    /// `inode->i_sb`
    inode_sb = "inode"."i_sb";
    /// `inode->i_rdev`
    inode_rdev = "inode"."i_rdev";
    /// `inode->i_generation`
    inode_generation = "inode"."i_generation";
    /// `inode->i_size`
    inode_size = "inode"."i_size";
    /// `inode->i_state`
    inode_state = "inode"."i_state";
    /// `mapping->i_mmap_writable`: an atomic_t, whose only member is its counter
    mmap_writable = "address_space"."i_mmap_writable";
    /// Low byte of `folio->_flags_1`: the order of a large folio
    folio_order = "folio"."_flags_1" | "folio"."_folio_order", optional;
    /// `sb->s_stack_depth`
    sb_depth = "super_block"."s_stack_depth";
    /// `sb->s_magic`
    sb_magic = "super_block"."s_magic";
    /// `sb->s_blocksize`
    sb_blocksize = "super_block"."s_blocksize";
    /// `sb->s_dev`
    sb_dev = "super_block"."s_dev";
    /// `task->files`
    task_files = "task_struct"."files";
    /// `task->signal`
    task_signal = "task_struct"."signal";
    /// `task->flags`: `PF_KTHREAD`
    task_flags = "task_struct"."flags";
    /// `task->tgid`
    task_tgid = "task_struct"."tgid";
    /// `task->thread_info.status` (x86: TS_COMPAT)
    task_status = "task_struct"."thread_info.status", optional;
    /// `signal->live`
    signal_live = "signal_struct"."live";
    /// `files->fdt`
    files_fdt = "files_struct"."fdt";
    /// `fdt->fd`
    fdt_fd = "fdtable"."fd";
    /// `fdt->max_fds`
    fdt_max = "fdtable"."max_fds";
    /// `file->f_inode`
    file_inode = "file"."f_inode";
    /// `file->f_mapping`
    file_mapping = "file"."f_mapping";
    /// `file->private_data`
    file_private = "file"."private_data";
    /// `file->f_pos`
    file_pos = "file"."f_pos";
    /// `file->f_mode`
    file_mode = "file"."f_mode";
    /// `file->f_flags`
    file_flags = "file"."f_flags";
    /// `file->f_op`
    file_op = "file"."f_op";
    /// `f_op->splice_read`
    fop_splice_read = "file_operations"."splice_read";
    /// `file->f_path.dentry`
    file_dentry = "file"."f_path.dentry" | "file"."__f_path.dentry";
    /// `file->f_path.mnt`
    file_mnt = "file"."f_path.mnt" | "file"."__f_path.mnt";
    /// `req->opcode`
    uring_opcode = "io_kiocb"."opcode", optional;
    /// `req->flags`
    uring_flags = "io_kiocb"."flags", optional;
    /// `req->cqe.fd`, before its completion
    uring_fd = "io_kiocb"."cqe.fd", optional;
    /// `req->cqe.res`, at its completion
    uring_res = "io_kiocb"."cqe.res", optional;
    /// `req->file`
    uring_file = "io_kiocb"."file", optional;
    /// `req->ctx`
    uring_ctx = "io_kiocb"."ctx", optional;
    /// `ctx->file_table.data.nodes`: registered files; `ctx->file_table.files` before 6.13
    uring_nodes = "io_ring_ctx"."file_table.data.nodes" | "io_ring_ctx"."file_table.files", optional;
    /// `ctx->file_table.data.nr`; `ctx->nr_user_files` before 6.13
    uring_nodes_nr = "io_ring_ctx"."file_table.data.nr" | "io_ring_ctx"."nr_user_files", optional;
    /// `node->file_ptr`; before 6.13 a table of files has no nodes
    uring_node_file = "io_rsrc_node"."file_ptr", optional;
    /// `io_splice->off_out`
    uring_splice_off = "io_splice"."off_out", optional;
    /// `io_open->file_slot`
    uring_open_slot = "io_open"."file_slot", optional;
    /// `io_open->how.flags`
    uring_open_flags = "io_open"."how.flags", optional;
    /// `io_rw->kiocb.ki_pos`
    uring_rw_pos = "io_rw"."kiocb.ki_pos", optional;
    /// `io_rw->len`
    uring_rw_len = "io_rw"."len", optional;
    /// `io_sync->off`
    uring_sync_off = "io_sync"."off", optional;
    /// `io_sync->len`
    uring_sync_len = "io_sync"."len", optional;
    /// `io_sync->mode`
    uring_sync_mode = "io_sync"."mode", optional;
    /// `req->cqe.flags`, at its completion
    uring_cqe_flags = "io_kiocb"."cqe.flags", optional;
    /// `req->link`: what starts when it is over
    uring_link = "io_kiocb"."link", optional;
    /// `ctx->submit_state.link.head`: not 0 while a chain is being submitted
    uring_chain = "io_ring_ctx"."submit_state.link.head", optional;
    /// `io_splice->off_in`
    uring_splice_off_in = "io_splice"."off_in", optional;
    /// `io_splice->len`
    uring_splice_len = "io_splice"."len", optional;
    /// `io_splice->splice_fd_in`
    uring_splice_fd = "io_splice"."splice_fd_in", optional;
    /// `io_splice->flags`
    uring_splice_flags = "io_splice"."flags", optional;
    /// `io_sr_msg->buf`, or `umsg`
    uring_send_buf = "io_sr_msg"."buf", optional;
    /// `io_sr_msg->len`
    uring_send_len = "io_sr_msg"."len", optional;
    /// `io_sr_msg->flags`
    uring_send_flags = "io_sr_msg"."flags", optional;
    /// `io_sr_msg->notif`
    uring_send_notif = "io_sr_msg"."notif", optional;
    /// `vma->vm_file`
    vma_file = "vm_area_struct"."vm_file", optional;
    /// `vma->vm_flags`
    vma_flags = "vm_area_struct"."vm_flags", optional;
    /// `vma->vm_end`
    vma_end = "vm_area_struct"."vm_end", optional;
    /// `vma->vm_start`
    vma_start = "vm_area_struct"."vm_start", optional;
    /// `vma->vm_pgoff`
    vma_pgoff = "vm_area_struct"."vm_pgoff", optional;
    /// `sk->sk_error_queue`
    sk_errq = "sock"."sk_error_queue";
    /// `sk->sk_zckey`
    sk_zckey = "sock"."sk_zckey";
    /// `sk->sk_flags`
    sk_flags = "sock"."__sk_common.skc_flags";
    /// `SKB_EXT_ERR(skb)->ee`, in `skb->cb`
    cb_ee = "sock_exterr_skb"."ee";
    /// `dentry->d_parent`
    dentry_parent = "dentry"."d_parent";
    /// `dentry->d_name.hash` and `len`
    dentry_hash = "dentry"."d_name.hash_len";
    /// `dentry->d_name.name`
    dentry_name = "dentry"."d_name.name" | "dentry"."__d_name.name";
    /// `mount->mnt`
    mount_mnt = "mount"."mnt";
    /// `mount->mnt_parent`
    mount_parent = "mount"."mnt_parent";
    /// `mount->mnt_mountpoint`
    mount_point = "mount"."mnt_mountpoint";
    /// `vfsmount->mnt_root`
    vfsmount_root = "vfsmount"."mnt_root";
    /// `socket->sk`
    socket_sk = "socket"."sk";
    /// `sk->sk_family`
    sk_family = "sock"."__sk_common.skc_family";
    /// `sk->sk_state`
    sk_state = "sock"."__sk_common.skc_state";
    /// `sk->skc_num`: local port, host order
    sk_num = "sock"."__sk_common.skc_num";
    /// `sk->skc_dport`: remote port, network order
    sk_dport = "sock"."__sk_common.skc_dport";
    /// `sk->skc_daddr`
    sk_daddr = "sock"."__sk_common.skc_daddr";
    /// `sk->skc_rcv_saddr`
    sk_saddr = "sock"."__sk_common.skc_rcv_saddr";
    /// `sk->skc_v6_daddr`
    sk_daddr6 = "sock"."__sk_common.skc_v6_daddr", optional;
    /// `sk->skc_v6_rcv_saddr`
    sk_saddr6 = "sock"."__sk_common.skc_v6_rcv_saddr", optional;
    /// `sk->skc_cookie`
    sk_cookie = "sock"."__sk_common.skc_cookie";
    /// `sk->sk_protocol`
    sk_proto = "sock"."sk_protocol";
    /// `sk->sk_type`
    sk_type = "sock"."sk_type";
    /// `sk->sk_prot_creator`
    sk_prot = "sock"."sk_prot_creator" | "sock"."__sk_common.skc_prot";
    /// `prot->slab`
    prot_slab = "proto"."slab";
    /// `sk->sk_shutdown`
    sk_shutdown = "sock"."sk_shutdown";
    /// `sk->sk_receive_queue`
    sk_rcvq = "sock"."sk_receive_queue";
    /// `sk->sk_route_caps`
    sk_route_caps = "sock"."sk_route_caps";
    /// `tp->write_seq`
    tcp_write_seq = "tcp_sock"."write_seq";
    /// `tp->snd_una`
    tcp_snd_una = "tcp_sock"."snd_una";
    /// `tp->snd_nxt`
    tcp_snd_nxt = "tcp_sock"."snd_nxt";
    /// `tp->copied_seq`
    tcp_copied_seq = "tcp_sock"."copied_seq";
    /// `tp->rcv_nxt`
    tcp_rcv_nxt = "tcp_sock"."rcv_nxt";
    /// `tp->out_of_order_queue`: an rb_root, whose only member is its node
    tcp_ooo_queue = "tcp_sock"."out_of_order_queue";
    /// `tp->ooo_last_skb`
    tcp_ooo_last = "tcp_sock"."ooo_last_skb";
    /// `icsk->icsk_ulp_ops`
    icsk_ulp = "inet_connection_sock"."icsk_ulp_ops", optional;
    /// `icsk->icsk_ulp_data`
    icsk_ulp_data = "inet_connection_sock"."icsk_ulp_data", optional;
    /// `tcp_ulp_ops->name`
    ulp_name = "tcp_ulp_ops"."name", optional;
    /// `sk->sk_user_data`
    sk_user_data = "sock"."sk_user_data";
    /// `unix_sk(sk)->addr`
    unix_addr = "unix_sock"."addr", optional;
    /// `unix_sk(sk)->peer`
    unix_peer = "unix_sock"."peer", optional;
    /// `unix_address->len`
    unix_addr_len = "unix_address"."len", optional;
    /// `unix_address->name`
    unix_addr_name = "unix_address"."name", optional;
    /// `pipe->head`
    pipe_head = "pipe_inode_info"."head";
    /// `pipe->tail`
    pipe_tail = "pipe_inode_info"."tail";
    /// `pipe->ring_size`
    pipe_ring = "pipe_inode_info"."ring_size";
    /// `pipe->max_usage`
    pipe_max = "pipe_inode_info"."max_usage";
    /// `pipe->bufs`
    pipe_bufs = "pipe_inode_info"."bufs";
    /// `buf->offset`
    buf_offset = "pipe_buffer"."offset";
}
