//! What is searched for, in the words that are shown: terms that all must hold of a transfer, a change or a
//! group. Parsing says what is wrong and where; matching cannot fail.

mod field;
mod parse;
mod pattern;
mod subject;
mod value;
mod words;

use std::ops::Range;

pub use self::field::{FIELDS, Field, Subject};
use self::value::{Matcher, Pattern};
use super::{Item, Picture, Row};
use crate::model::Mutation;

/// Terms that all must hold; the default holds of everything.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    text: String,
    terms: Vec<Term>,
}

/// Patterns are compiled from the text alone.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

/// What cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FilterError {
    /// Where, in bytes of the text.
    pub at: Range<usize>,
    /// Why not, and what to write instead; harmless.
    pub message: String,
}

#[derive(Clone, Debug)]
struct Term {
    not: bool,
    /// `None`: any text of the subject.
    field: Option<&'static Field>,
    any: Vec<Pattern>,
}

impl Term {
    fn holds(
        &self,
        scratch: &mut String,
        texts: impl FnOnce(&mut Matcher<'_>) -> bool,
        values: impl FnOnce(&Field, &mut Matcher<'_>) -> bool,
    ) -> bool {
        let mut matcher = Matcher::new(&self.any, scratch);
        let found = match self.field {
            Some(field) => values(field, &mut matcher),
            None => texts(&mut matcher),
        };
        found != self.not
    }
}

impl Filter {
    /// Reads what was typed.
    ///
    /// # Errors
    /// When a term has no meaning.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self { terms: parse::terms(text)?, text: text.trim().into() })
    }

    /// As it was written, trimmed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// It holds of everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Fields that it asks for and that subjects of this kind do not have.
    pub fn foreign(&self, subject: Subject) -> impl Iterator<Item = &'static Field> {
        self.terms.iter().filter_map(|t| t.field).filter(move |f| !f.on(subject))
    }

    /// Whether it holds of a transfer.
    #[must_use]
    pub fn item(&self, item: &Item, picture: &Picture) -> bool {
        let mut scratch = String::new();
        self.terms.iter().all(|term| {
            term.holds(&mut scratch, |m| subject::item(item, m), |f, m| f.of_item(item, picture, m))
        })
    }

    /// Whether it holds of a change.
    #[must_use]
    pub fn mutation(&self, mutation: &Mutation, picture: &Picture) -> bool {
        let mut scratch = String::new();
        self.terms.iter().all(|term| {
            term.holds(
                &mut scratch,
                |m| subject::mutation(mutation, m),
                |f, m| f.of_mutation(mutation, picture, m),
            )
        })
    }

    /// Whether it holds of a group.
    #[must_use]
    pub fn row(&self, row: &Row, picture: &Picture) -> bool {
        let mut scratch = String::new();
        self.terms
            .iter()
            .all(|term| term.holds(&mut scratch, |m| subject::row(row, m), |f, m| f.of_row(row, picture, m)))
    }
}

#[cfg(test)]
mod tests;
