//! Readers of the engine's facts: each formats, none concludes.

mod jsonl;
mod line;
mod report;
mod summary;

pub use jsonl::JsonLines;
pub use line::Lines;
pub use report::report;
pub use summary::{Summary, summary_line};
