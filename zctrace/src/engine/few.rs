//! An ordered map of which there are many, each with few entries: what a socket holds, the calls that run.
//!
//! Up to [`FEW`] entries are one sorted piece of memory, which costs much less than a tree to begin and to end.
//! Beyond that it is a tree until it is empty again, so however many there are, nothing takes longer than in a tree.

use std::collections::{BTreeMap, btree_map};
use std::ops::Range;
use std::slice;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Entries that are kept side by side.
const FEW: usize = 32;
/// See above.
#[derive(Clone, Debug)]
pub(super) enum Few<K, V> {
    List(Vec<(K, V)>),
    Tree(BTreeMap<K, V>),
}

impl<K: Ord + Copy + Serialize, V: Serialize> Serialize for Few<K, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.iter())
    }
}

impl<'a, K: Ord + Copy + Deserialize<'a>, V: Deserialize<'a>> Deserialize<'a> for Few<K, V> {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(from).map(Self::from)
    }
}

/// Keys alone, in a saved state.
pub(super) mod keys {
    use super::{BTreeMap, Deserialize, Deserializer, Few, Serializer};

    pub(crate) fn serialize<K, S>(set: &Few<K, ()>, to: S) -> Result<S::Ok, S::Error>
    where
        K: Ord + Copy + serde::Serialize,
        S: Serializer,
    {
        to.collect_seq(set.keys())
    }

    pub(crate) fn deserialize<'a, K, D>(from: D) -> Result<Few<K, ()>, D::Error>
    where
        K: Ord + Copy + Deserialize<'a>,
        D: Deserializer<'a>,
    {
        let all = Vec::deserialize(from)?;
        Ok(all.into_iter().map(|key| (key, ())).collect::<BTreeMap<K, ()>>().into())
    }
}

impl<K: Ord + Copy, V> From<BTreeMap<K, V>> for Few<K, V> {
    fn from(all: BTreeMap<K, V>) -> Self {
        if all.len() <= FEW { Self::List(all.into_iter().collect()) } else { Self::Tree(all) }
    }
}

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

#[inline]
fn find<K: Ord, V>(all: &[(K, V)], key: &K) -> Result<usize, usize> {
    // What comes is mostly later than what there is.
    match all.last() {
        Some((last, _)) if last < key => Err(all.len()),
        _ => all.binary_search_by(|(k, _)| k.cmp(key)),
    }
}

#[inline]
fn within<K: Ord, V>(all: &[(K, V)], range: &Range<K>) -> Range<usize> {
    let from = all.partition_point(|(k, _)| *k < range.start);
    let to = all.partition_point(|(k, _)| *k < range.end);
    from..to.max(from)
}

impl<K: Ord + Copy, V> Few<K, V> {
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(all) => all.len(),
            Self::Tree(all) => all.len(),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As in any other map.
    pub(super) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::List(all) => match find(all, &key) {
                Ok(at) => all.get_mut(at).map(|(_, old)| std::mem::replace(old, value)),
                Err(at) if all.len() < FEW => {
                    all.insert(at, (key, value));
                    None
                }
                Err(_) => {
                    let mut many: BTreeMap<K, V> = std::mem::take(all).into_iter().collect();
                    let old = many.insert(key, value);
                    *self = Self::Tree(many);
                    old
                }
            },
            Self::Tree(all) => all.insert(key, value),
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let value = match self {
            Self::List(all) => find(all, key).ok().map(|at| all.remove(at).1),
            Self::Tree(all) => all.remove(key),
        };
        self.tidy();
        value
    }

    /// Empty, it keeps no memory: there are many of these, and the next one to need some finds it still in the cache.
    #[inline]
    fn tidy(&mut self) {
        match self {
            Self::List(all) if all.is_empty() => *all = Vec::new(),
            Self::Tree(all) if all.is_empty() => *self = Self::default(),
            _ => {}
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::List(all) => all.clear(),
            Self::Tree(all) => all.clear(),
        }
        self.tidy();
    }

    #[inline]
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::List(all) => find(all, key).ok().and_then(|at| all.get(at)).map(|(_, v)| v),
            Self::Tree(all) => all.get(key),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::List(all) => find(all, key).ok().and_then(|at| all.get_mut(at)).map(|(_, v)| v),
            Self::Tree(all) => all.get_mut(key),
        }
    }

    /// The first one.
    #[inline]
    pub(super) fn first(&self) -> Option<(K, &V)> {
        match self {
            Self::List(all) => all.first().map(|(k, v)| (*k, v)),
            Self::Tree(all) => all.first_key_value().map(|(k, v)| (*k, v)),
        }
    }

    /// In order.
    #[inline]
    pub(super) fn iter(&self) -> Iter<'_, K, V> {
        match self {
            Self::List(all) => Iter::List(all.iter()),
            Self::Tree(all) => Iter::Tree(all.iter()),
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = K> {
        self.iter().map(|(k, _)| k)
    }

    /// Those in the range, in order; none, if it ends before it begins.
    #[inline]
    pub(super) fn range(&self, range: Range<K>) -> Iter<'_, K, V> {
        match self {
            Self::List(all) => Iter::List(all.get(within(all, &range)).unwrap_or_default().iter()),
            Self::Tree(all) if range.start <= range.end => Iter::Part(all.range(range)),
            Self::Tree(_) => Iter::List([].iter()),
        }
    }
}

/// Entries in order.
pub(super) enum Iter<'a, K, V> {
    List(slice::Iter<'a, (K, V)>),
    Part(btree_map::Range<'a, K, V>),
    Tree(btree_map::Iter<'a, K, V>),
}

impl<'a, K: Copy, V> Iterator for Iter<'a, K, V> {
    type Item = (K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::List(all) => all.next().map(|(k, v)| (*k, v)),
            Self::Part(all) => all.next().map(|(k, v)| (*k, v)),
            Self::Tree(all) => all.next().map(|(k, v)| (*k, v)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a tree says, whatever is done to both.
    #[test]
    fn it_is_a_map() {
        let mut seed = 1u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let (mut few, mut tree) = (Few::default(), BTreeMap::new());
        let mut most = 0;
        for n in 0..20_000 {
            // It grows beyond what it keeps side by side, and shrinks to nothing.
            let key = random(if n / 2000 % 2 == 0 { 100 } else { 10 });
            match random(5) {
                0 | 1 => assert_eq!(few.insert(key, n), tree.insert(key, n)),
                2 => assert_eq!(few.remove(&key), tree.remove(&key)),
                3 => {
                    for (a, b) in few.get_mut(&key).into_iter().zip(tree.get_mut(&key)) {
                        (*a, *b) = (n, n);
                    }
                }
                _ if random(100) == 0 => {
                    few.clear();
                    tree.clear();
                }
                _ => {}
            }
            most = most.max(tree.len());
            let (from, to) = (random(100), random(100));
            let known: Vec<_> = tree.range(from.min(to)..to).map(|(k, v)| (*k, v)).collect();
            assert_eq!(few.range(from..to).collect::<Vec<_>>(), known);
            assert_eq!((few.get(&key), few.len()), (tree.get(&key), tree.len()));
            assert_eq!(few.first(), tree.first_key_value().map(|(k, v)| (*k, v)));
            assert!(few.keys().eq(tree.keys().copied()));
            assert_eq!(few.is_empty(), tree.is_empty());
        }
        assert!(most > FEW);
    }
}
