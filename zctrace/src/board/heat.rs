//! How durations are distributed over the time of a trace: a picture of fixed size, however long that is.

/// Columns at most; then two become one.
const COLUMNS: usize = 256;
/// Nanoseconds of a column at first.
const FIRST_WIDTH: u64 = 50_000_000;
/// Rows of a power of ten.
pub const PER_DECADE: usize = 4;
/// The first row begins here, nanoseconds, and has everything shorter.
const FLOOR: f64 = 100.0;
/// Rows: the last one has everything longer.
pub const ROWS: usize = 10 * PER_DECADE;

/// One map: columns are time, rows are durations on a logarithmic scale.
#[derive(Clone, Debug)]
pub struct Heat {
    start_ns: u64,
    width_ns: u64,
    columns: Vec<[u32; ROWS]>,
}

/// Where a row begins, nanoseconds.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a scale"
)]
pub fn floor_of(row: usize) -> u64 {
    if row == 0 { 0 } else { (FLOOR * 10f64.powf(row as f64 / PER_DECADE as f64)).round() as u64 }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a scale"
)]
fn row_of(ns: u64) -> usize {
    let row = ((ns.max(1) as f64 / FLOOR).log10() * PER_DECADE as f64).floor();
    (row.max(0.0) as usize).min(ROWS - 1)
}

impl Heat {
    /// Nothing yet; time begins at `start_ns`.
    #[must_use]
    pub fn new(start_ns: u64) -> Self {
        Self { start_ns, width_ns: FIRST_WIDTH, columns: Vec::new() }
    }

    /// Adds a duration that ended at `at`.
    pub fn add(&mut self, at: u64, ns: u64) {
        let since = at.saturating_sub(self.start_ns);
        while since / self.width_ns >= COLUMNS as u64 {
            self.halve();
        }
        let column = usize::try_from(since / self.width_ns).unwrap_or(0);
        if self.columns.len() <= column {
            self.columns.resize(column + 1, [0; ROWS]);
        }
        if let Some(n) = self.columns.get_mut(column).and_then(|c| c.get_mut(row_of(ns))) {
            *n = n.saturating_add(1);
        }
    }

    fn halve(&mut self) {
        self.columns = self
            .columns
            .chunks(2)
            .map(|pair| {
                let mut sum = [0u32; ROWS];
                for column in pair {
                    sum.iter_mut().zip(column).for_each(|(a, b)| *a = a.saturating_add(*b));
                }
                sum
            })
            .collect();
        self.width_ns = self.width_ns.saturating_mul(2);
    }

    /// When the first column begins, and how long each is, nanoseconds.
    #[must_use]
    pub fn time(&self) -> (u64, u64) {
        (self.start_ns, self.width_ns)
    }

    /// Counts, by time and then by duration.
    #[must_use]
    pub fn columns(&self) -> &[[u32; ROWS]] {
        &self.columns
    }

    /// Counts by duration, over all time.
    #[must_use]
    pub fn rows(&self) -> [u64; ROWS] {
        let mut sum = [0u64; ROWS];
        for column in &self.columns {
            sum.iter_mut().zip(column).for_each(|(a, b)| *a += u64::from(*b));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn a_row_holds_what_begins_with_it() {
        for row in 1..ROWS {
            assert_eq!(row_of(floor_of(row) + 1), row);
            assert_eq!(row_of(floor_of(row) - 1), row - 1);
        }
        assert_eq!((row_of(0), row_of(u64::MAX)), (0, ROWS - 1));
    }

    #[test]
    fn its_size_is_bounded_and_nothing_is_lost() {
        let mut heat = Heat::new(1_000);
        for i in 0..100_000u64 {
            heat.add(1_000 + i * 10_000_000, 1_000 + i);
        }
        assert!(heat.columns().len() <= COLUMNS);
        assert_eq!(heat.rows().iter().sum::<u64>(), 100_000);
        // The last column has the longest.
        let last = heat.columns().last().map(|c| c[row_of(100_000)]);
        assert!(last > Some(0));
        // From before the start.
        heat.add(0, 1);
        assert_eq!(heat.columns()[0][0], 1);
    }
}
