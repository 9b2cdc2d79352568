//! Readers of the engine's facts: each formats, none concludes. Words come from [`crate::text`];
//! nothing that was recorded reaches a terminal but through [`crate::text::harmless`], or in JSON
//! through an escape.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use crate::model::Fact;

mod answer;
mod clocks;
#[cfg(test)]
pub(crate) mod fixture;
mod jsonl;
mod line;
mod page;
mod record;
mod report;
mod sample;
mod story;
mod summary;

pub(crate) use answer::argument;
pub(crate) use clocks::{Clocks, same};
pub use jsonl::JsonLines;
pub use line::Lines;
pub use page::{About, Page};
pub(crate) use report::fold;
pub use report::{Style, report};
pub(crate) use sample::chance;
pub use story::{Story, hit, mutation, rule, rules};
pub use summary::{Count, Files, Group, People, Sender, Summary, Writer, summary_line};

/// A reader of facts, in the order in which they are stated.
pub trait Sink {
    /// Takes one.
    ///
    /// # Errors
    /// When it cannot be written. Whoever read it and has gone away is `ErrorKind::BrokenPipe`.
    fn fact(&mut self, fact: &Fact) -> io::Result<()>;

    /// Makes everything so far visible.
    ///
    /// # Errors
    /// When it cannot be written.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// No more facts will come.
    ///
    /// # Errors
    /// When the rest cannot be written.
    fn finish(&mut self, totals: &Summary) -> io::Result<()>;
}

/// Facts in memory; a clone is the same list.
#[derive(Clone, Debug, Default)]
pub struct Collect(Rc<RefCell<Vec<Fact>>>);

impl Collect {
    /// What has come since it was last taken.
    #[must_use]
    pub fn take(&self) -> Vec<Fact> {
        self.0.take()
    }
}

impl Sink for Collect {
    fn fact(&mut self, fact: &Fact) -> io::Result<()> {
        self.0.borrow_mut().push(fact.clone());
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}
