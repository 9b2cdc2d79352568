//! A story whose every recorded string is the same hostile one.

use std::io::Write as _;

use tempfile::NamedTempFile;
use zctrace::event::{Decoded, Event, decode, encode, user_frame};
use zctrace::model::{Fact, Mutation, ProbeState, ProbeStatus, Transfer};
use zctrace::pipeline::{self, Pipeline};
use zctrace::sim::{Delivery, Knobs, story};
use zctrace::sink::{Collect, Summary};
use zctrace::trace::Writer;
use zctrace_common::kernel::{PATH_TEXT, family};
use zctrace_common::user::{Cgroup, kind};

/// Of every call.
const CGROUP: u64 = 7;

/// A recording, and what it says.
pub struct Recording {
    pub file: NamedTempFile,
    pub facts: Vec<Fact>,
    pub summary: Summary,
}

fn fill(to: &mut [u8], with: &[u8]) {
    to.fill(0);
    let n = to.len().min(with.len());
    to[..n].copy_from_slice(&with[..n]);
}

/// A name of a task, a file or a socket ends with a NUL.
fn name(hostile: &[u8]) -> Vec<u8> {
    hostile.iter().copied().filter(|b| *b != 0).collect()
}

fn poison(event: &mut Event, hostile: &[u8]) {
    let comm = name(hostile);
    match event {
        Event::OpEnter(e) => {
            fill(&mut e.comm, &comm);
            e.cgroup = CGROUP;
        }
        Event::ChangeEnter(c) => fill(&mut c.comm, &comm),
        Event::Removed(r) => fill(&mut r.comm, &comm),
        Event::Dirtied(d) => fill(&mut d.comm, &comm),
        Event::Path(p) => {
            let mut file = comm.clone();
            file.retain(|b| *b != b'/');
            let names = [file.as_slice(), b"\0", &file, b"\0"].concat();
            p.used = u32::try_from(names.len().min(PATH_TEXT)).unwrap();
            fill(&mut p.text, &names);
        }
        Event::Sock(s) if s.family == family::UNIX => {
            s.name_len = u16::try_from(comm.len().min(s.name.len())).unwrap();
            fill(&mut s.name, &comm);
        }
        Event::Start(info) => {
            let text = String::from_utf8_lossy(hostile).into_owned();
            info.tool.clone_from(&text);
            info.host.clone_from(&text);
            info.kernel.clone_from(&text);
            info.filters = vec![text.clone(), text.clone()];
            let (name, reason) = (text.clone(), Some(text.clone()));
            info.probes.push(ProbeStatus { name, state: ProbeState::Missing, reason });
            info.fingerprint.reason = Some(text);
        }
        _ => {}
    }
}

impl Recording {
    pub fn new(hostile: &[u8]) -> Self {
        let told = story(11, Knobs { steps: 500, races: false, wind_up: false });
        let how = Delivery { seed: 1, between: 40, shuffle: false, lose: 3 };
        let mut writer = Writer::new(Vec::new()).unwrap();
        for bytes in &told.deliver(&how).frames {
            let Decoded::Frame(header, mut event) = decode(bytes) else { panic!("no frame") };
            poison(&mut event, hostile);
            writer.push(&encode(&header, &event)).unwrap();
            if matches!(event, Event::Start(_)) {
                writer
                    .push(&user_frame(kind::CGROUP, 0, header.ts, &Cgroup { id: CGROUP }, hostile))
                    .unwrap();
            }
        }
        let bytes = writer.finish().unwrap();
        let facts = Collect::default();
        let mut pipeline = Pipeline::new(None, vec![Box::new(facts.clone())]);
        assert_eq!(pipeline::replay_from(bytes.as_slice(), &mut pipeline).unwrap(), None);
        let summary = pipeline.finish().unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        Self { file, facts: facts.take(), summary }
    }

    pub fn transfers(&self) -> impl Iterator<Item = &Transfer> {
        self.facts.iter().filter_map(|f| if let Fact::Transfer(t) = f { Some(&**t) } else { None })
    }

    pub fn mutations(&self) -> impl Iterator<Item = &Mutation> {
        self.facts.iter().filter_map(|f| if let Fact::Mutation(m) = f { Some(&**m) } else { None })
    }
}
