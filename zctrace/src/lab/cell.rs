//! What can be tried: the axes, and which of their combinations make sense.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Declares one axis: an enum whose values have the same name in code, JSON and text.
macro_rules! axis {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$value_doc])* #[serde(rename = $text)] $value,)*
        }

        impl $name {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$value),*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

axis! {
    /// How the bytes are sent.
    Api {
        /// `pread` and `send`: what all others are compared with.
        Copy = "copy",
        /// `IORING_OP_READ` and `IORING_OP_SEND`.
        UringCopy = "uring_copy",
        /// `sendfile(2)`
        Sendfile = "sendfile",
        /// `splice(2)`: file to pipe, pipe to socket.
        Splice = "splice",
        /// Two linked `IORING_OP_SPLICE`.
        IoUringSplice = "io_uring_splice",
        /// The same with registered files.
        IoUringSpliceFixed = "io_uring_splice_fixed",
        /// `vmsplice(2)`: memory to pipe, then `splice(2)` to the socket.
        Vmsplice = "vmsplice",
        /// The same with `SPLICE_F_GIFT`.
        VmspliceGift = "vmsplice_gift",
        /// `send(2)` with `MSG_ZEROCOPY`, and the socket's error queue.
        MsgZerocopy = "msg_zerocopy",
        /// `IORING_OP_SEND_ZC`
        IoUringSendZc = "io_uring_send_zc",
        /// The same; the notification shall say whether the kernel copied.
        IoUringSendZcReport = "io_uring_send_zc_report",
        /// The same from a registered buffer.
        IoUringSendZcFixed = "io_uring_send_zc_fixed",
        /// `IORING_OP_SENDMSG_ZC`; the notification shall say whether the kernel copied.
        IoUringSendmsgZc = "io_uring_sendmsg_zc",
        /// [`crate::send`]: splices through io_uring, complete when the trace has seen the release.
        Send = "send",
    }
}

axis! {
    /// Where the bytes are.
    Memory {
        /// In a file, by its descriptor.
        PageCache = "page_cache",
        /// In private memory of the process.
        Anonymous = "anonymous",
        /// In a file that the process maps (`MAP_SHARED`).
        FileMapping = "file_mapping",
        /// In huge pages (`MAP_HUGETLB`).
        Hugetlb = "hugetlb",
    }
}

axis! {
    /// What the bytes go over; on this machine.
    Transport {
        /// TCP over IPv4.
        Tcp4 = "tcp4",
        /// TCP over IPv6.
        Tcp6 = "tcp6",
        /// UDP over IPv4: one datagram.
        Udp4 = "udp4",
        /// UDP over IPv6: one datagram.
        Udp6 = "udp6",
        /// A stream of `AF_UNIX`.
        Unix = "unix",
        /// A pipe whose reader is another program.
        Pipe = "pipe",
    }
}

axis! {
    /// What the receiver does.
    Receiver {
        /// Reads at once, and all has been read before the change.
        Fast = "fast",
        /// Reads nothing until the change has been made, then all.
        Stalled = "stalled",
        /// Every packet is lost until the change has been made; what arrives is sent again.
        Losing = "losing",
        /// Reads nothing, and closes after the change.
        Closing = "closing",
        /// The same, with a reset.
        Resetting = "resetting",
    }
}

axis! {
    /// What changes the bytes once the API has said that it is done.
    Writer {
        /// Nothing.
        None = "none",
        /// `pwrite(2)`; of memory that is no file: a store.
        Write = "write",
        /// A store through a mapping of the file.
        Mmap = "mmap",
        /// `ftruncate(2)`
        Truncate = "truncate",
    }
}

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cell {
    /// How the bytes are sent.
    pub api: Api,
    /// Where they are.
    pub memory: Memory,
    /// What they go over.
    pub transport: Transport,
    /// Who receives them.
    pub receiver: Receiver,
    /// What changes them.
    pub writer: Writer,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api, memory, transport, receiver, writer } = self;
        write!(f, "{api} {memory} {transport} {receiver} {writer}")
    }
}

impl Api {
    /// Whether it copies and lends nothing: what all others are compared with.
    #[must_use]
    pub fn is_copy(self) -> bool {
        matches!(self, Self::Copy | Self::UringCopy)
    }

    /// Whether it takes memory of the process; others take a file.
    #[must_use]
    pub fn takes_memory(self) -> bool {
        self == Self::Vmsplice || self == Self::VmspliceGift || (self.notifies() && self != Self::Send)
    }

    /// Whether the program is told later that the bytes are free.
    #[must_use]
    pub fn notifies(self) -> bool {
        use Api::{
            IoUringSendZc, IoUringSendZcFixed, IoUringSendZcReport, IoUringSendmsgZc, MsgZerocopy, Send,
        };
        matches!(
            self,
            MsgZerocopy | IoUringSendZc | IoUringSendZcReport | IoUringSendZcFixed | IoUringSendmsgZc | Send
        )
    }
}

impl Memory {
    /// Whether a file has these bytes.
    #[must_use]
    pub fn is_file(self) -> bool {
        matches!(self, Self::PageCache | Self::FileMapping)
    }
}

impl Receiver {
    /// Whether it reads all, after the change.
    #[must_use]
    pub fn reads_later(self) -> bool {
        matches!(self, Self::Stalled | Self::Losing)
    }

    /// Whether it reads at all.
    #[must_use]
    pub fn reads(self) -> bool {
        self == Self::Fast || self.reads_later()
    }
}

impl Transport {
    /// Whether it retransmits, and can be reset.
    #[must_use]
    pub fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp4 | Self::Tcp6)
    }

    /// Whether each send is a datagram.
    #[must_use]
    pub fn is_udp(self) -> bool {
        matches!(self, Self::Udp4 | Self::Udp6)
    }

    /// Bytes sent in one cell. It must fit, although nobody reads, and into one datagram.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Tcp4 | Self::Tcp6 | Self::Unix => 64 * 1024,
            Self::Udp4 | Self::Udp6 => 16 * 1024,
            Self::Pipe => 32 * 1024,
        }
    }
}

impl Cell {
    /// Whether a change comes while nobody has read.
    #[must_use]
    pub fn changes_unread(&self) -> bool {
        self.receiver.reads_later() && self.writer != Writer::None
    }

    fn makes_sense(&self) -> bool {
        let Self { api, memory, transport, receiver, writer } = *self;
        let memory_fits = api.takes_memory() == (memory != Memory::PageCache)
            // Only anonymous pages could be moved.
            && (api != Api::VmspliceGift || memory == Memory::Anonymous);
        // AF_UNIX and pipes have no notifications: the calls fail.
        let transport_fits = match api {
            Api::Send => transport != Transport::Pipe,
            _ => !api.notifies() || transport.is_tcp() || transport.is_udp(),
        };
        let receiver_fits = transport.is_tcp() || !matches!(receiver, Receiver::Losing | Receiver::Resetting);
        let writer_fits = memory.is_file() || matches!(writer, Writer::None | Writer::Write);
        // Nobody reads: how it was changed makes no difference.
        let worth_it = !matches!(receiver, Receiver::Closing | Receiver::Resetting)
            || matches!(writer, Writer::None | Writer::Write);
        memory_fits && transport_fits && receiver_fits && writer_fits && worth_it
    }
}

/// Every combination that makes sense, always in the same order.
#[must_use]
pub fn cells() -> Vec<Cell> {
    let mut all = Vec::new();
    for &api in Api::ALL {
        for &memory in Memory::ALL {
            for &transport in Transport::ALL {
                for &receiver in Receiver::ALL {
                    for &writer in Writer::ALL {
                        all.push(Cell { api, memory, transport, receiver, writer });
                    }
                }
            }
        }
    }
    all.retain(Cell::makes_sense);
    all
}
