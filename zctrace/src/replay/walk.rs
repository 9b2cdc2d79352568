//! One way through a recording, as far as it has come: frames -> order -> engine -> board, stopped between any
//! two facts. It goes forwards only, and a clone goes on from the same moment.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use zctrace_common::frame::Header;

use crate::board::link::Sight;
use crate::board::{Board, Item, Picture};
use crate::engine::{Engine, Stage};
use crate::event::{Decoded, Event, decode};
use crate::input::{Moment, from_start, info_of, resume};
use crate::model::{Fact, Transfer, TransferId, Verdict};
use crate::order::Order;
use crate::select::Select;
use crate::trace::{End, Reader, Shared, last_state};

/// Steps between two looks at the clock.
const STEPS: u32 = 128;
/// Transfers that are stated at this moment but come after the cursor, in a picture.
const TO_COME: usize = 2048;

/// How many facts of each sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    facts: u64,
    mutations: u64,
    unknown: u64,
}

impl Counts {
    fn of(fact: &Fact) -> Self {
        let (mutations, unknown) = match fact {
            Fact::Transfer(t) => (t.verdict == Verdict::Mutated, t.verdict == Verdict::Unknown),
            Fact::Mutation(_) => (false, false),
            Fact::Trace(_) | Fact::Loss(_) => return Self::default(),
        };
        Self { facts: 1, mutations: u64::from(mutations), unknown: u64::from(unknown) }
    }

    /// Of this one.
    pub(super) fn get(self, sight: Sight) -> u64 {
        match sight {
            Sight::Anything => self.facts,
            Sight::Mutation => self.mutations,
            Sight::Unknown => self.unknown,
        }
    }

    fn add(&mut self, more: Self) {
        self.facts += more.facts;
        self.mutations += more.mutations;
        self.unknown += more.unknown;
    }
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Past everything up to this time.
    Time(u64),
    /// Past this many of that sight, from the beginning.
    Count(Sight, u64),
    /// To the end.
    End,
}

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    steps: u64,
    until: Option<Instant>,
    unseen: u32,
}

impl Budget {
    /// For so long.
    pub(super) fn time(most: Duration) -> Self {
        Self { steps: u64::MAX, until: Instant::now().checked_add(most), unseen: 0 }
    }

    /// For so many events, facts and blocks.
    #[cfg(test)]
    pub(super) fn steps(most: u64) -> Self {
        Self { steps: most, until: None, unseen: 0 }
    }

    /// Takes a step, of which a block's is a large one.
    fn spend(&mut self, large: bool) -> bool {
        if self.steps == 0 {
            return false;
        }
        self.steps -= 1;
        self.unseen += 1;
        if large || self.unseen > STEPS {
            self.unseen = 0;
            return self.until.is_none_or(|until| Instant::now() < until);
        }
        true
    }
}

/// How far it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Not there yet.
    More,
    /// There.
    There,
    /// Nothing more is to come, there or not.
    Over,
}

/// Who looks on.
pub(super) trait Watch {
    /// A block is over, and all that is known by then has happened.
    fn boundary(&mut self, walk: &Walk);
    /// This came then.
    fn shown(&mut self, at: u64, fact: &Fact);
}

/// Nobody.
impl Watch for () {
    fn boundary(&mut self, _: &Walk) {}
    fn shown(&mut self, _: u64, _: &Fact) {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// There may be more.
    Open,
    /// Every frame has been read.
    Read,
    /// And everything was stated.
    Over,
}

/// What is looked at of a recording.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Which part of a merged one.
    pub part: u16,
    /// Begins at the last saved state before.
    pub from: Option<Moment>,
}

/// Everything as it is at one moment.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    reader: Reader<Shared>,
    part: u16,
    input: Input,
    problem: Option<Arc<str>>,
    order: Order,
    engine: Engine,
    select: Select,
    board: Board,
    /// In order, and after the cursor.
    events: VecDeque<(Header, Event)>,
    /// Stated by the event at `clock`, and after the cursor.
    facts: VecDeque<Fact>,
    /// The latest time of an event so far; those of a damaged recording may go back.
    clock: u64,
    /// The time of the first event.
    first: Option<u64>,
    /// Where the cursor is: at `clock`, or between it and the next event.
    now: u64,
    counts: Counts,
    /// What came last, and when.
    last: (Counts, u64),
    /// The transfer that it was about.
    landmark: Option<TransferId>,
}

impl Walk {
    /// At the beginning.
    ///
    /// # Errors
    /// When it is not a recording.
    pub(super) fn new(file: Arc<File>, place: Place) -> anyhow::Result<Self> {
        let shared = |at| Shared::at(Arc::clone(&file), at);
        let (mut reader, mut stages) = from_start(|| Ok(shared(0)))?;
        if let Some(from) = place.from {
            let info = info_of(shared(0))?.unwrap_or_default();
            let from = info.monotonic_ns(from.realtime_ns(info.start_realtime_ns));
            if let Some(at) = last_state(&file, from) {
                (reader, stages) = resume(reader, (shared(at), at), &info)?;
            }
        }
        let info = stages.info().cloned();
        let (order, engine, select) = stages.parts();
        let mut board = Board::default();
        if let Some(info) = info {
            board.fact(Fact::Trace(Box::new(info)), engine.now());
        }
        Ok(Self {
            reader,
            part: place.part,
            input: Input::Open,
            problem: None,
            order,
            engine,
            select,
            board,
            events: VecDeque::new(),
            facts: VecDeque::new(),
            clock: 0,
            first: None,
            now: 0,
            counts: Counts::default(),
            last: (Counts::default(), 0),
            landmark: None,
        })
    }

    /// The time of the state that it begins with; 0: it begins with nothing.
    pub(super) fn begins(&self) -> u64 {
        self.engine.now()
    }

    /// Bytes of the file that were read.
    pub(super) fn at(&self) -> u64 {
        self.reader.at()
    }

    /// The moment, CLOCK_MONOTONIC nanoseconds.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// The time of the first event, once there was one.
    pub(super) fn first(&self) -> Option<u64> {
        self.first
    }

    /// The time of the last event.
    pub(super) fn clock(&self) -> u64 {
        self.clock
    }

    /// Nothing more is to come.
    pub(super) fn is_over(&self) -> bool {
        self.input == Input::Over && self.facts.is_empty()
    }

    /// What is wrong with the end of the recording, once that is known.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// What has come so far.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The transfer that what came last was about, if that was at this moment.
    pub(super) fn landmark(&self) -> Option<TransferId> {
        self.landmark.filter(|_| self.last.1 == self.now)
    }

    /// It stands where one of these has just come.
    pub(super) fn is_at(&self, sight: Sight) -> bool {
        let (what, at) = self.last;
        what.get(sight) > 0 && at == self.now
    }

    /// Going on leads there.
    pub(super) fn is_before(&self, until: Until) -> bool {
        match until {
            Until::Time(t) => self.clock <= t,
            Until::Count(sight, n) => self.counts.get(sight) < n,
            Until::End => true,
        }
    }

    /// It is nearer to whatever lies before both.
    pub(super) fn is_after(&self, other: &Self) -> bool {
        (self.at(), self.clock, self.counts.facts) > (other.at(), other.clock, other.counts.facts)
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn weight(&self) -> usize {
        let events = (self.order.held() + self.events.len()) * 2 * size_of::<(Header, Event)>();
        let unstated = self.engine.view().unstated().count() * 2 * size_of::<Transfer>();
        // A socket is the largest of those.
        let remembered = self.engine.remembered() * 512;
        events + unstated + remembered + self.board.weight()
    }

    /// Goes on until it is there, or the budget is spent.
    pub(super) fn step(&mut self, until: Until, budget: &mut Budget, watch: &mut dyn Watch) -> Step {
        loop {
            if let Until::Count(sight, n) = until
                && self.counts.get(sight) >= n
            {
                return Step::There;
            }
            let next = self.events.front().map(|(h, _)| h.ts);
            if let (Until::Time(t), Some(ts), true) = (until, next, self.facts.is_empty())
                && ts > t
            {
                self.now = t;
                return Step::There;
            }
            if self.is_over() {
                return Step::Over;
            }
            if !budget.spend(self.facts.is_empty() && next.is_none()) {
                return Step::More;
            }
            if let Some(fact) = self.facts.pop_front() {
                self.show(fact, watch);
            } else if let Some((header, event)) = self.events.pop_front() {
                self.event(&header, &event);
            } else if self.input == Input::Open {
                watch.boundary(self);
                self.block();
            } else {
                self.finish();
            }
        }
    }

    fn event(&mut self, header: &Header, event: &Event) {
        self.clock = self.clock.max(header.ts);
        self.first.get_or_insert(header.ts);
        self.now = self.clock;
        let mut facts = Vec::new();
        self.engine.push(header, event, &mut facts);
        self.state(facts);
    }

    /// What is not shown does not count.
    fn state(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            if let Fact::Trace(info) = &fact {
                self.select = Select::new(&info.shown);
            }
            if self.select.shows(&fact) {
                self.facts.push_back(fact);
            }
        }
    }

    fn show(&mut self, fact: Fact, watch: &mut dyn Watch) {
        self.now = self.clock;
        let what = Counts::of(&fact);
        self.counts.add(what);
        if what.facts > 0 {
            self.last = (what, self.now);
            self.landmark = match &fact {
                Fact::Transfer(t) => Some(t.id),
                Fact::Mutation(m) => m.hits.first().map(|h| h.transfer),
                _ => None,
            };
        }
        watch.shown(self.now, &fact);
        self.board.fact(fact, self.now);
    }

    fn block(&mut self) {
        let problem = match self.reader.block() {
            Ok(Ok(block)) => {
                // None are left, but their memory.
                let mut events = Vec::from(std::mem::take(&mut self.events));
                for (_, bytes) in block.frames().filter(|_| block.stream == self.part) {
                    if let Decoded::Frame(header, event) = decode(bytes) {
                        self.order.push_into(header, event, &mut events);
                    }
                }
                self.events = events.into();
                return;
            }
            Ok(Err(End::Complete)) => None,
            Ok(Err(end)) => {
                if let End::Disordered { .. } = end {
                    self.order.forget();
                }
                Some(end.to_string())
            }
            Err(e) => {
                let good = self.reader.at();
                Some(format!("the recording cannot be read behind its first {good} bytes: {e}"))
            }
        };
        self.problem = problem.map(Into::into);
        let events = &mut self.events;
        self.order.finish(&mut |h, e| events.push_back((*h, e.clone())));
        self.input = Input::Read;
    }

    fn finish(&mut self) {
        let mut facts = Vec::new();
        self.engine.finish(&mut facts);
        self.state(facts);
        self.input = Input::Over;
    }

    /// This moment. Of two walks that came there, however often somebody looked, the same.
    pub(super) fn picture(&self, focus: Option<TransferId>) -> Picture {
        let mut board = self.board.clone();
        let mut picture = board.picture(&self.engine, &self.select, self.now, focus);
        let to_come = self.facts.iter().filter_map(|fact| match fact {
            Fact::Transfer(t) => {
                let not_yet = Transfer { release_ns: None, released_by: None, ..(**t).clone() };
                let t = Arc::new(not_yet);
                Some(Item { t, stage: Some(Stage::Closing), so_far: Arc::default() })
            }
            _ => None,
        });
        picture.open.extend(to_come.take(TO_COME));
        let changes = self.facts.iter().filter_map(|fact| match fact {
            Fact::Mutation(m) => Some(Arc::new((**m).clone())),
            _ => None,
        });
        picture.mutations.splice(0..0, changes.take(TO_COME));
        picture
    }
}
