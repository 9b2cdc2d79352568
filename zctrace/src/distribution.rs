//! How durations are distributed.

use hdrhistogram::Histogram;

/// Powers of ten in a `u64`.
const DECADES: usize = 20;

/// A distribution of nanoseconds: quantiles to three digits unless said otherwise, the largest exactly.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
    // The histogram knows its largest only to three digits, and its buckets straddle decades.
    max: u64,
    decades: [u64; DECADES],
}

impl Default for Distribution {
    fn default() -> Self {
        Self::of_digits(3)
    }
}

impl Distribution {
    #[expect(clippy::unwrap_used, reason = "one to five digits are always accepted")]
    fn of_digits(digits: u8) -> Self {
        Self { histogram: Histogram::new(digits).unwrap(), max: 0, decades: [0; DECADES] }
    }

    /// For many at once: quantiles to one digit, the largest exactly; a few KiB at most.
    #[must_use]
    pub fn coarse() -> Self {
        Self::of_digits(1)
    }

    /// Bytes of memory that it takes, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.histogram.distinct_values() * size_of::<u64>()
    }

    /// Adds one.
    pub fn add(&mut self, ns: u64) {
        // Auto-resizing: every u64 fits.
        let _ = self.histogram.record(ns);
        self.max = self.max.max(ns);
        if let Some(n) = self.decades.get_mut(ns.max(1).ilog10() as usize) {
            *n += 1;
        }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The value below which `q` (0 to 1) of them lie; `None` when empty.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<u64> {
        (self.count() > 0).then(|| self.histogram.value_at_quantile(q).min(self.max))
    }

    /// The largest; `None` when empty.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        (self.count() > 0).then_some(self.max)
    }

    /// How many lie below the first of these edges, between each and the next, and from the last on: to the
    /// digits of this distribution, each counted once.
    #[must_use]
    pub fn bins(&self, edges: &[u64]) -> Vec<u64> {
        let mut bins = vec![0u64; edges.len() + 1];
        for step in self.histogram.iter_recorded() {
            let value = step.value_iterated_to().min(self.max);
            let bin = edges.partition_point(|edge| *edge <= value);
            if let Some(n) = bins.get_mut(bin) {
                *n = n.saturating_add(step.count_at_value());
            }
        }
        bins
    }

    /// From the first decade that has any to the last: where it begins, and how many lie in it.
    /// The first decade begins at 0.
    #[must_use]
    pub fn decades(&self) -> Vec<(u64, u64)> {
        let all: Vec<(u64, u64)> =
            (0u32..).zip(self.decades).map(|(e, n)| (if e == 0 { 0 } else { 10u64.pow(e) }, n)).collect();
        let first = all.iter().position(|(_, n)| *n > 0).unwrap_or(all.len());
        let last = all.iter().rposition(|(_, n)| *n > 0).map_or(0, |last| last + 1);
        all.get(first..last).unwrap_or_default().to_vec()
    }
}
