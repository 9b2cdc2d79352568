//! Transfers and bytes per file, for as many files as are told apart.

use crate::hash::HashMap;
use crate::model::FileRef;

/// Numbers of files; `None`: memory.
#[derive(Clone, Debug, Default)]
pub struct Files {
    places: HashMap<Option<FileRef>, usize>,
    all: Vec<(Option<FileRef>, (u64, u64))>,
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

    /// Each file with its transfers and bytes, in the order of files.
    pub fn iter(&self) -> impl Iterator<Item = (&Option<FileRef>, &(u64, u64))> {
        let mut all: Vec<_> = self.all.iter().map(|(file, n)| (file, n)).collect();
        all.sort_unstable_by_key(|(file, _)| *file);
        all.into_iter()
    }

    /// Transfers and bytes of that file; `None`: it would be one more than `most`.
    pub(super) fn numbers(&mut self, file: &Option<FileRef>, most: usize) -> Option<&mut (u64, u64)> {
        if self.all.get(self.last).is_none_or(|(known, _)| known != file) {
            self.last = match self.places.get(file) {
                Some(place) => *place,
                None if self.all.len() < most => {
                    self.places.insert(file.clone(), self.all.len());
                    self.all.push((file.clone(), (0, 0)));
                    self.all.len() - 1
                }
                None => return None,
            };
        }
        self.all.get_mut(self.last).map(|(_, numbers)| numbers)
    }
}
