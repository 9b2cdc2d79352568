//! How far apart two quantiles, or two counts, may be by chance.
//!
//! A recording is cut into stretches of equal count. How a quantile of it varies is estimated by drawing whole stretches
//! with replacement (block bootstrap, fixed seed): what depends on each other stays together. Where neighbouring
//! stretches still resemble each other, the variance is raised accordingly. The interval of a ratio then follows
//! Student's t with as many degrees of freedom as stretches allow (Welch), because 20 stretches are not many.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "statistics: counts and times become numbers with a few good digits"
)]

use crate::sim::Rng;

/// Stretches of a recording.
pub(super) const STRETCHES: usize = 20;
/// How often stretches are drawn.
const DRAWS: usize = 200;
/// Nanoseconds: shorter times are as good as this one.
const FLOOR: f64 = 100.0;
/// What is less is never called a difference: clocks and calls are no better.
const LEAST: f64 = 0.02;
/// Transfers below which the median, and the last percent, say nothing.
pub(super) const FEW: [(f64, usize); 2] = [(0.5, 100), (0.99, 1_000)];

/// Estimate of a logarithm, with the standard deviation it has by chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    /// Nanoseconds.
    pub(super) ns: u64,
    log: f64,
    deviation: f64,
}

/// An interval of B/A.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    pub(super) ratio: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// Of the values, in the order of time, the `q` quantile; `None`: too few.
pub(super) fn estimate(values: &[u64], q: f64) -> Option<Estimate> {
    let few = FEW.iter().find(|(of, _)| (*of - q).abs() < 1e-9).map_or(100, |(_, few)| *few);
    if values.len() < few.max(STRETCHES) {
        return None;
    }
    // By value, with the stretch each is from.
    let per = values.len().div_ceil(STRETCHES);
    let mut sorted: Vec<(u64, usize)> = values.iter().enumerate().map(|(i, v)| (*v, i / per)).collect();
    sorted.sort_unstable();
    let n = values.len().div_ceil(per);
    let ns = weighted(&sorted, &vec![1; n], q);
    let mut rng = Rng::new(7);
    let drawn: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let mut weights = vec![0u32; n];
            for _ in 0..n {
                if let Some(w) = weights.get_mut(rng.index(n)) {
                    *w += 1;
                }
            }
            log(weighted(&sorted, &weights, q))
        })
        .collect();
    let stretches: Vec<f64> = values
        .chunks(per)
        .map(|part| {
            let mut part: Vec<(u64, usize)> = part.iter().map(|v| (*v, 0)).collect();
            part.sort_unstable();
            log(weighted(&part, &[1], q))
        })
        .collect();
    let n = n as f64;
    let variance = variance(&drawn) * n / (n - 1.0) * together(&stretches);
    Some(Estimate { ns, log: log(ns), deviation: variance.sqrt() })
}

fn log(ns: u64) -> f64 {
    (ns as f64).max(FLOOR).ln()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len().max(1) as f64
}

fn variance(x: &[f64]) -> f64 {
    let mean = mean(x);
    x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (x.len().max(2) - 1) as f64
}

/// What neighbours that resemble each other add to a variance.
fn together(x: &[f64]) -> f64 {
    let (mean, all) = (mean(x), variance(x) * (x.len().max(2) - 1) as f64);
    if all <= 0.0 {
        return 1.0;
    }
    let pairs: f64 = x.iter().zip(x.iter().skip(1)).map(|(a, b)| (a - mean) * (b - mean)).sum();
    let r = (pairs / all).clamp(0.0, 0.8);
    (1.0 + r) / (1.0 - r)
}

/// The quantile where each value counts as often as its stretch was drawn.
fn weighted(sorted: &[(u64, usize)], weights: &[u32], q: f64) -> u64 {
    let weight = |i: usize| u64::from(weights.get(i).copied().unwrap_or(0));
    let total: u64 = sorted.iter().map(|(_, i)| weight(*i)).sum();
    let until = ((total as f64 * q).ceil() as u64).max(1);
    let mut seen = 0;
    for (v, i) in sorted {
        seen += weight(*i);
        if seen >= until {
            return *v;
        }
    }
    sorted.last().map_or(0, |(v, _)| *v)
}

/// B/A, in an interval that leaves out the truth with probability `alpha`.
pub(super) fn ratio(a: Estimate, b: Estimate, alpha: f64) -> Ratio {
    let difference = b.log - a.log;
    let (va, vb) = (a.deviation.powi(2), b.deviation.powi(2));
    let free = (STRETCHES - 1) as f64;
    let welch = if va + vb > 0.0 { (va + vb).powi(2) / ((va.powi(2) + vb.powi(2)) / free) } else { free };
    let half = (student(alpha, welch) * (va + vb).sqrt()).max(LEAST);
    Ratio { ratio: difference.exp(), low: (difference - half).exp(), high: (difference + half).exp() }
}

/// Counts of something that comes in bursts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    /// Of so many.
    pub(super) all: u64,
    /// So many.
    pub(super) hit: u64,
    /// How much more the counts of stretches differ than if each came by itself.
    burst: f64,
}

impl Count {
    pub(super) fn of(all: u64, hit: u64, stretches: impl Iterator<Item = (u32, u32)>) -> Self {
        let stretches: Vec<(u32, u32)> = stretches.collect();
        let rate = hit as f64 / all.max(1) as f64;
        let (mut sum, mut n) = (0.0, 0.0f64);
        for (all, hit) in &stretches {
            let expected = f64::from(*all) * rate;
            if expected > 0.0 {
                sum += (f64::from(*hit) - expected).powi(2) / expected;
                n += 1.0;
            }
        }
        let burst = if n > 1.0 { (sum / (n - 1.0)).max(1.0) } else { 1.0 };
        Self { all, hit, burst }
    }

    /// The share that it may be of as many as can be; none seen: the rule of three.
    pub(super) fn at_most(self) -> f64 {
        let n = self.all.max(1) as f64;
        if self.hit == 0 {
            return (3.0 / n).min(1.0);
        }
        let root = (self.hit as f64 + 0.375).sqrt() + 0.98 * self.burst.sqrt();
        ((root.powi(2) - 0.375) / n).min(1.0)
    }
}

/// Whether the share of B is larger (`Some(true)`) or smaller than that of A by more than chance: on the scale on
/// which counts have the same deviation (Anscombe), widened by bursts.
pub(super) fn differ(a: Count, b: Count, alpha: f64) -> Option<bool> {
    let scale = b.all as f64 / a.all.max(1) as f64;
    let root = |hit: f64| (hit + 0.375).sqrt();
    let difference = root(b.hit as f64) - root(a.hit as f64 * scale);
    let deviation = 0.5 * (b.burst + a.burst * scale).sqrt();
    let far = difference.abs() > normal(alpha / 2.0) * deviation;
    far.then_some(difference > 0.0)
}

/// The value that a normal variable exceeds with probability `p`, 0 < p < 0.5 (Abramowitz and Stegun 26.2.23, within
/// 4.5e-4).
fn normal(p: f64) -> f64 {
    let t = (-2.0 * p.max(1e-12).ln()).sqrt();
    let above = 2.515_517 + 0.802_853 * t + 0.010_328 * t * t;
    let below = 1.0 + 1.432_788 * t + 0.189_269 * t * t + 0.001_308 * t.powi(3);
    t - above / below
}

/// The value that Student's t exceeds on either side with probability `alpha`, expanded around the normal (Abramowitz
/// and Stegun 26.7.5).
fn student(alpha: f64, free: f64) -> f64 {
    let z = normal(alpha / 2.0);
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    z + (z3 + z) / (4.0 * free)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * free.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * free.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_known_distributions() {
        for (alpha, free, expected) in [
            (0.05, 19.0, 2.093),
            (0.05, 38.0, 2.024),
            (0.01, 19.0, 2.861),
            (0.001, 19.0, 3.883),
            (0.05, 1e9, 1.960),
        ] {
            let t = student(alpha, free);
            assert!((t - expected).abs() < 0.01, "{alpha} {free}: {t}");
        }
    }

    #[test]
    fn a_quantile_is_that_of_all() {
        let values: Vec<u64> = (0..1000u64).map(|i| (i * 7919) % 1000 + 1000).collect();
        let of = |q| estimate(&values, q).map(|e| e.ns);
        assert_eq!((of(0.5), of(0.99)), (Some(1499), Some(1989)));
        assert!(estimate(values.get(..99).unwrap_or_default(), 0.5).is_none());
        assert!(estimate(values.get(..999).unwrap_or_default(), 0.99).is_none());
    }

    #[test]
    fn none_of_many_is_not_never() {
        let none = Count::of(3000, 0, std::iter::empty());
        assert!((none.at_most() - 0.001).abs() < 1e-9);
        let count = |hit| Count::of(3000, hit, (0..30).map(|i| (100, u32::from(i < hit))));
        assert_eq!(differ(count(0), count(2), 0.05), None);
        assert_eq!(differ(count(0), count(25), 0.05), Some(true));
        assert_eq!(differ(count(25), count(0), 0.05), Some(false));
        // The same number in one burst says less.
        let burst = Count::of(3000, 25, (0..30).map(|i| (100, if i == 3 { 25 } else { 0 })));
        assert_eq!(differ(count(0), burst, 0.01), None);
    }
}
