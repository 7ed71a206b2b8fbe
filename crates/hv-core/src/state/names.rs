//! The names of a session's sagas by number, in one text, and how those ended that have: one that has holds little more
//! than that.

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use hv_saga::SagaState;
use hv_types::wire::{Reader, put_bytes, put_varint};
use hv_types::{SagaId, Undecodable, Wire};
use std::hash::BuildHasher;

/// Names that are there once each, numbered from 0 in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Names {
    texts: Texts,
    /// The numbers, to be found by name, where there are more than a [few](FEW). Whoever chooses names does not know how
    /// they are spread.
    numbers: HashTable<u32>,
    hasher: RandomState,
}

/// So many names are compared one by one.
const FEW: u32 = 8;

/// The names one behind another.
#[derive(Debug, Default)]
struct Texts {
    text: String,
    each: Vec<Each>,
}

/// What is known of each.
#[derive(Debug, Clone, Copy)]
struct Each {
    /// Where its name ends.
    end: u32,
    /// How the saga ended, where it has.
    ended: Option<SagaState>,
}

impl Texts {
    fn get(&self, number: u32) -> &str {
        let at = number as usize;
        let end = |at: usize| self.each.get(at).map(|each| each.end as usize);
        let start = at.checked_sub(1).and_then(end).unwrap_or(0);
        end(at).and_then(|end| self.text.get(start..end)).unwrap_or_default()
    }

    /// The number of a name, by looking through them.
    fn find(&self, name: &str) -> Option<u32> {
        (0..self.next()).find(|number| self.get(*number) == name)
    }

    /// The number that the next one gets.
    fn next(&self) -> u32 {
        u32::try_from(self.each.len()).unwrap_or(u32::MAX)
    }

    /// Where the next one ends; nothing where it has no room any more.
    fn end(&self, name: &str) -> Option<u32> {
        u32::try_from(self.text.len() + name.len()).ok()
    }

    /// Takes up the next one, which gets this number and ends there.
    fn push(&mut self, number: u32, name: &str, end: u32) -> u32 {
        self.text.push_str(name);
        self.each.push(Each { end, ended: None });
        number
    }
}

impl Names {
    /// The number that the next name gets.
    pub(super) fn next(&self) -> u32 {
        self.texts.next()
    }

    /// Takes up a name, and gives its number; nothing where it is there already, or where there is no room for it: all
    /// names together are at most as long as the largest number.
    pub(super) fn insert(&mut self, name: &SagaId) -> Option<u32> {
        let Self { texts, numbers, hasher } = self;
        let (number, name) = (texts.next(), name.as_str());
        let end = texts.end(name)?;
        if number < FEW {
            return texts.find(name).is_none().then(|| texts.push(number, name, end));
        }
        let hash = |other: &u32| hasher.hash_one(texts.get(*other));
        if number == FEW {
            // From now on they are found by what is made of them.
            for other in 0..number {
                numbers.insert_unique(hash(&other), other, hash);
            }
        }
        let same = |other: &u32| texts.get(*other) == name;
        match numbers.entry(hasher.hash_one(name), same, hash) {
            Entry::Occupied(_) => None,
            Entry::Vacant(place) => {
                place.insert(number);
                Some(texts.push(number, name, end))
            }
        }
    }

    /// The number of a name.
    pub(super) fn number(&self, name: &SagaId) -> Option<u32> {
        let name = name.as_str();
        if self.numbers.is_empty() {
            return self.texts.find(name);
        }
        self.numbers.find(self.hasher.hash_one(name), |number| self.texts.get(*number) == name).copied()
    }

    /// How a saga ended, where it has.
    pub(super) fn ended(&self, number: u32) -> Option<SagaState> {
        self.texts.each.get(number as usize)?.ended
    }

    /// Takes note of how a saga ended.
    pub(super) fn end(&mut self, number: u32, state: SagaState) {
        if let Some(each) = self.texts.each.get_mut(number as usize) {
            each.ended = Some(state);
        }
    }

    /// How each ended that has, in the order of their numbers.
    pub(super) fn ends(&self) -> Vec<Option<SagaState>> {
        self.texts.each.iter().map(|each| each.ended).collect()
    }

    /// The same with how each ended that has; nothing where it is told of more or fewer of them.
    pub(super) fn with_ends(mut self, ends: &[Option<SagaState>]) -> Option<Self> {
        if ends.len() != self.texts.each.len() {
            return None;
        }
        self.texts.each.iter_mut().zip(ends).for_each(|(each, ended)| each.ended = *ended);
        Some(self)
    }

    /// All of them, in the order of their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        (0..self.next()).map(|number| self.texts.get(number))
    }
}

impl Wire for Names {
    fn put(&self, out: &mut Vec<u8>) {
        put_varint(u64::from(self.next()), out);
        self.all().for_each(|name| put_bytes(name.as_bytes(), out));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let mut names = Self::default();
        let count = u32::take(reader)?;
        // No more than there can be: each takes some bytes.
        let room = reader.rest().len().min(count as usize);
        names.texts.each.reserve(room);
        if count > FEW {
            let Self { texts, numbers, hasher } = &mut names;
            numbers.reserve(room, |number| hasher.hash_one(texts.get(*number)));
        }
        for _ in 0..count {
            let name = SagaId::take(reader)?;
            names.insert(&name).ok_or_else(|| reader.invalid("saga name"))?;
        }
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_name_is_taken_once_and_found_again() {
        let (mut names, mut model) = (Names::default(), BTreeMap::new());
        // Names of which one is the beginning of another, and each of them twice.
        for n in (0..2_000u32).chain(500..2_500) {
            let name = SagaId::new(&"ab".repeat(n as usize % 7 + 1)).unwrap();
            let name = if n % 3 == 0 { name } else { SagaId::new(&format!("{name}{n}")).unwrap() };
            let next = names.next();
            let fresh = !model.contains_key(&name);
            assert_eq!(names.insert(&name), fresh.then_some(next), "{name}");
            model.entry(name).or_insert(next);
        }
        assert_eq!(names.next() as usize, model.len());
        for (name, number) in &model {
            assert_eq!((names.number(name), names.texts.get(*number)), (Some(*number), name.as_str()));
        }
        assert_eq!(names.number(&SagaId::new("b").unwrap()), None);
        let mut numbered: Vec<_> = model.iter().map(|(name, number)| (*number, name.as_str())).collect();
        numbered.sort_unstable();
        assert!(names.all().eq(numbered.into_iter().map(|(_, name)| name)));
        assert!(Names::from_bytes(&names.to_bytes()).unwrap().all().eq(names.all()));
    }

    #[test]
    fn how_each_ended_is_known_and_kept_apart() {
        let mut names = Names::default();
        for name in ["a", "b", "c"] {
            names.insert(&SagaId::new(name).unwrap()).unwrap();
        }
        names.end(1, SagaState::Escalated);
        names.end(3, SagaState::Completed);
        let ends = [None, Some(SagaState::Escalated), None];
        assert_eq!((names.ends(), names.ended(1), names.ended(3)), (ends.to_vec(), ends[1], None));
        let again = || Names::from_bytes(&names.to_bytes()).unwrap();
        assert_eq!(again().ends(), [None; 3]);
        assert_eq!(again().with_ends(&ends).unwrap().ends(), ends);
        assert!(again().with_ends(&ends[1..]).is_none() && again().with_ends(&[None; 4]).is_none());
    }
}
