//! stub

use super::conclude::Atlas;

/// stub
#[must_use]
pub fn page(_: &Atlas) -> String {
    String::new()
}
