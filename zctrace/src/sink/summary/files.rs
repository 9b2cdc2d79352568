//! Transfers and bytes per file, for as many files as are told apart.

use super::Count;
use crate::hash::HashMap;
use crate::model::FileRef;

/// Part of a merged recording, and file; `None`: memory.
type Key = (u16, Option<FileRef>);

/// Numbers of files.
#[derive(Clone, Debug, Default)]
pub struct Files {
    places: HashMap<Key, usize>,
    all: Vec<(Key, Count)>,
    /// Which one came last: often it is the next one, too.
    last: usize,
}

impl Files {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// None yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Each file with its numbers, in the order of parts and files.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Count)> {
        let mut all: Vec<_> = self.all.iter().map(|(key, n)| (key, n)).collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        all.into_iter()
    }

    /// Numbers of that file; `None`: it would be one more than `most`.
    pub(super) fn count(&mut self, part: u16, file: &Option<FileRef>, most: usize) -> Option<&mut Count> {
        let is_last = self.all.get(self.last).is_some_and(|((p, f), _)| *p == part && f == file);
        if !is_last {
            let key = (part, file.clone());
            self.last = match self.places.get(&key) {
                Some(place) => *place,
                None if self.all.len() < most => {
                    self.places.insert(key.clone(), self.all.len());
                    self.all.push((key, Count::default()));
                    self.all.len() - 1
                }
                None => return None,
            };
        }
        self.all.get_mut(self.last).map(|(_, count)| count)
    }
}
