//! Readers of the engine's facts: each formats, none concludes. Words come from [`crate::text`];
//! nothing that was recorded reaches a terminal but through [`crate::text::harmless`], or in JSON
//! through an escape.

#[cfg(test)]
pub(crate) mod fixture;
mod jsonl;
mod line;
mod record;
mod report;
mod story;
mod summary;

pub use jsonl::JsonLines;
pub use line::Lines;
pub use report::{Style, report};
pub use story::{Story, hit, mutation, rule, rules};
pub use summary::{Group, Summary, summary_line};
