//! What the page map of an open transfer calls free again may be changed: the receiver has the old bytes. The
//! receiver is the judge, page by page.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use zctrace::bpf::Options;
use zctrace::model::TransferId;
use zctrace::pipeline::Pipeline;
use zctrace::sim::Rng;
use zctrace::source::{Asked, Live, monotonic_ns};
use zctrace_common::config::{Config, flag};

use crate::load::{self, PAGE};
use crate::tool::dir;

/// A trace of this very process, without another one in between.
struct Own {
    live: Live,
    pipeline: Pipeline,
}

impl Own {
    fn start() -> Self {
        let pid = std::process::id();
        let config = Config { flags: flag::BY_PID, ops: u32::MAX, ..Config::default() };
        let options =
            Options { config, ring_bytes: 4 << 20, pids: vec![pid], files: Vec::new(), trace_self: true };
        let mut pipeline = Pipeline::watched();
        let live = Live::start(&options, Asked::default(), &mut |b: &[u8]| pipeline.frame(b)).unwrap();
        Self { live, pipeline }
    }

    fn look(&mut self) {
        let pipeline = &mut self.pipeline;
        self.live.checkpoint(&mut |b: &[u8]| pipeline.frame(b)).unwrap();
    }

    fn open(&mut self) -> Vec<TransferId> {
        self.look();
        let p = self.pipeline.picture(monotonic_ns(), None).unwrap();
        p.open.iter().filter(|i| i.is_open()).map(|i| i.t.id).collect()
    }

    /// `None`: it is not open any more.
    fn lent(&mut self, id: TransferId) -> Option<Vec<(u64, u64)>> {
        self.look();
        let p = self.pipeline.picture(monotonic_ns(), Some(id)).unwrap();
        p.item(id).filter(|i| i.is_open())?;
        p.focus.and_then(|f| f.lent)
    }
}

/// Reads the rest in random pieces; in between overwrites pages that are called free. Answers how many.
fn judge(
    own: &mut Own,
    file: &File,
    old: &[u8],
    mut from: impl std::io::Read,
    rng: &mut Rng,
) -> (usize, usize) {
    let ids = own.open();
    let [id] = ids.as_slice() else { panic!("one transfer is open, not {ids:?}") };
    let (mut got, mut changed, mut partly) = (Vec::new(), Vec::new(), 0);
    while got.len() < old.len() {
        let mut piece = vec![0; 1 + rng.below(300 << 10) as usize];
        let n = from.read(&mut piece).unwrap();
        assert!(n > 0, "the sender left");
        got.extend_from_slice(&piece[..n]);
        let Some(lent) = own.lent(*id) else { break };
        let free = |page: &usize| {
            let (start, end) = ((page * PAGE) as u64, ((page + 1) * PAGE) as u64);
            !lent.iter().any(|(off, len)| *off < end && off + len > start)
        };
        let free: Vec<usize> = (0..old.len() / PAGE).filter(free).filter(|p| !changed.contains(p)).collect();
        partly += usize::from(!free.is_empty());
        for page in free {
            if rng.below(3) == 0 {
                file.write_all_at(&[0xff; PAGE], (page * PAGE) as u64).unwrap();
                changed.push(page);
            }
        }
    }
    let had = got.len();
    got.resize(old.len(), 0);
    from.read_exact(&mut got[had..]).unwrap();
    for page in &changed {
        let at = page * PAGE..(page + 1) * PAGE;
        assert!(got[at.clone()] == old[at], "page {page} was called free, and its change arrived");
    }
    (changed.len(), partly)
}

#[test]
fn what_is_called_free_is_free() {
    const SIZE: usize = 2 << 20;
    let dir = dir();
    let mut own = Own::start();
    let mut rng = Rng::new(7);
    let (mut pages, mut partly) = (0, 0);
    for round in 0..20 {
        let (path, old) = load::file(dir.path(), &format!("f{round}"), SIZE);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let (n, looks) = if round % 4 == 3 {
            let (sender, receiver) = UnixStream::pair().unwrap();
            set_socket_send_buffer_size(&sender, 4 << 20).unwrap();
            assert_eq!(load::sendfile(&sender, &file, 0, SIZE), 1);
            receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            judge(&mut own, &file, &old, receiver, &mut rng)
        } else {
            let (sender, receiver) = load::tcp(round % 2 == 1);
            set_socket_send_buffer_size(&sender, 4 << 20).unwrap();
            if round % 4 == 2 {
                set_socket_recv_buffer_size(&receiver, 64 << 10).unwrap();
            }
            assert_eq!(load::sendfile(&sender, &file, 0, SIZE), 1);
            receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            judge(&mut own, &file, &old, receiver, &mut rng)
        };
        pages += n;
        partly += looks;
        while !own.open().is_empty() {}
    }
    println!("{pages} pages called free were changed, {partly} looks at a transfer that was partly free");
    assert!(pages > 1000 && partly > 50, "{pages} {partly}");
}
