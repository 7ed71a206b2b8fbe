//! The definitions of steps in the order of their ordinals, shared by everybody who holds them.
//!
//! Many sagas have the same steps. What was decoded shortly before is not decoded again but shared, so that a saga
//! that is read back costs what is its own: where it stands.

use crate::definition::{StepDef, check_steps, limits};
use core::cell::RefCell;
use core::fmt;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, Ordering};
use hv_types::wire::{Bytes, Reader, put_varint};
use hv_types::{Undecodable, Wire};
use std::sync::{Arc, OnceLock};

/// Definitions of steps, read as a slice. Clones share them, and what was found out about them: whether a saga may
/// have them, who waits for whom, how they are written. Without any it allocates nothing.
///
/// Whoever begins many sagas of the same steps makes it once, `Steps::from(definitions)`, and hands each of them to
/// [`Plan::of`](crate::Plan::of).
#[derive(Clone, Default)]
pub struct Steps(Option<Arc<Listed>>);

/// The definitions, and what follows from them.
#[derive(Clone, Default)]
struct Listed {
    defs: Vec<Arc<StepDef>>,
    /// Whether these steps may be the first of a saga, as far as somebody has looked.
    legal: bool,
    /// How many of them can be undone for a limited time only.
    windows: u32,
    /// How many wait for nothing.
    free: u32,
    /// How many have a limit over their attempts, or for waiting in line.
    timed: u32,
    /// By ordinal, the head of the list of the steps that wait for it; as far as any does.
    heads: Vec<u32>,
    /// Lists of dependents, linked, so that all of them take one allocation.
    edges: Vec<Edge>,
    written: Written,
}

/// How the definitions are written, kept from the second time on: those of a saga that there is once are not kept.
#[derive(Default)]
struct Written {
    once: AtomicBool,
    bytes: OnceLock<Box<[u8]>>,
}

/// Whoever copies definitions is about to change them.
impl Clone for Written {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[derive(Clone, Copy)]
struct Edge {
    dependent: u32,
    /// The next of the list, counted from 1; 0 is the end.
    next: u32,
}

impl Steps {
    /// Steps that may follow those of a saga, as the caller has checked: its first ones or not.
    pub(crate) fn checked(defs: &[Arc<StepDef>], first: bool) -> Self {
        Self::of(defs.to_vec(), first)
    }

    fn of(defs: Vec<Arc<StepDef>>, legal: bool) -> Self {
        if defs.is_empty() {
            return Self(None);
        }
        let waits = defs.iter().map(|def| def.after.len()).sum();
        let mut listed = Listed { legal, edges: Vec::with_capacity(waits), ..Listed::default() };
        if waits > 0 {
            listed.heads.reserve_exact(defs.len());
        }
        (0u32..).zip(&defs).for_each(|(ordinal, def)| listed.link(ordinal, def));
        listed.defs = defs;
        Self(Some(Arc::new(listed)))
    }

    /// Whether they may be the first of a saga; `false` also where nobody has looked.
    pub(crate) fn are_legal(&self) -> bool {
        self.0.as_ref().is_none_or(|listed| listed.legal)
    }

    /// How many of them can be undone for a limited time only.
    pub(crate) fn windows(&self) -> u32 {
        self.0.as_ref().map_or(0, |listed| listed.windows)
    }

    /// How many wait for nothing.
    pub(crate) fn free(&self) -> u32 {
        self.0.as_ref().map_or(0, |listed| listed.free)
    }

    /// How many have a limit over their attempts, or for waiting in line.
    pub(crate) fn timed(&self) -> u32 {
        self.0.as_ref().map_or(0, |listed| listed.timed)
    }

    /// Puts steps behind these that were checked as such; copied first where somebody shares these.
    pub(crate) fn append(&mut self, steps: &Self) {
        if self.is_empty() {
            *self = steps.clone();
            return;
        }
        let listed = Arc::make_mut(self.0.get_or_insert_default());
        listed.written = Written::default();
        for def in steps.iter() {
            let ordinal = u32::try_from(listed.defs.len()).unwrap_or(u32::MAX);
            listed.link(ordinal, def);
            listed.defs.push(Arc::clone(def));
        }
    }

    /// The steps that wait for this one, in no particular order.
    pub(crate) fn dependents(&self, step: u32) -> impl Iterator<Item = u32> + '_ {
        let listed = self.0.as_deref();
        let head = listed.and_then(|listed| listed.heads.get(step as usize)).map_or(0, |head| *head);
        let at = move |head: u32| listed?.edges.get((head as usize).checked_sub(1)?);
        core::iter::successors(at(head), move |edge| at(edge.next)).map(|edge| edge.dependent)
    }
}

impl Listed {
    /// Takes up what the next step waits for.
    fn link(&mut self, ordinal: u32, def: &StepDef) {
        for after in def.after.iter().filter(|after| **after < ordinal) {
            if self.heads.len() < ordinal as usize {
                self.heads.resize(ordinal as usize, 0);
            }
            if let Some(head) = self.heads.get_mut(*after as usize) {
                self.edges.push(Edge { dependent: ordinal, next: *head });
                *head = u32::try_from(self.edges.len()).unwrap_or(0);
            }
        }
        self.windows += u32::from(def.undo_window.is_some());
        self.free += u32::from(def.needs() == 0);
        self.timed += u32::from(def.within.is_some() || def.start_within.is_some());
    }
}

impl Deref for Steps {
    type Target = [Arc<StepDef>];

    fn deref(&self) -> &[Arc<StepDef>] {
        self.0.as_deref().map_or(&[], |listed| &listed.defs)
    }
}

impl<'a> IntoIterator for &'a Steps {
    type Item = &'a Arc<StepDef>;
    type IntoIter = core::slice::Iter<'a, Arc<StepDef>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Vec<Arc<StepDef>>> for Steps {
    fn from(defs: Vec<Arc<StepDef>>) -> Self {
        let legal = check_steps(&[], &defs).is_ok();
        Self::of(defs, legal)
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Equal definitions; whether they are shared does not matter.
impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) if Arc::ptr_eq(one, other) => true,
            _ => **self == **other,
        }
    }
}

impl Eq for Steps {}

impl Wire for Steps {
    fn put(&self, out: &mut Bytes) {
        let written = self.0.as_deref().map(|listed| &listed.written);
        if let Some(bytes) = written.and_then(|written| written.bytes.get()) {
            out.extend_from_slice(bytes);
            return;
        }
        let start = out.len();
        put_varint(self.len() as u64, out);
        let mut before = None;
        for def in self {
            def.put_behind(before, out);
            before = Some(def);
        }
        let bytes = out.get(start..).unwrap_or_default();
        if let Some(written) = written.filter(|_| bytes.len() <= WRITTEN_BYTES)
            && written.once.swap(true, Ordering::Relaxed)
        {
            written.bytes.get_or_init(|| bytes.into());
        }
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let known = RECENT.try_with(|recent| recent.try_borrow().ok()?.find(reader.rest())).ok().flatten();
        if let Some((length, steps)) = known {
            reader.slice(length)?;
            return Ok(steps);
        }
        let before = reader.rest();
        let steps = Self::from(listed(reader)?);
        let bytes = before.get(..before.len() - reader.rest().len()).unwrap_or_default();
        // Where it cannot be kept, it is decoded again.
        let _ = RECENT.try_with(|recent| {
            if let Ok(mut recent) = recent.try_borrow_mut() {
                recent.keep(bytes, &steps);
            }
        });
        Ok(steps)
    }
}

/// A list of definitions, each read behind the one before.
fn listed(reader: &mut Reader<'_>) -> Result<Vec<Arc<StepDef>>, Undecodable> {
    let count = usize::try_from(reader.varint()?).unwrap_or(usize::MAX);
    // A count that is not true ends where the bytes do.
    let mut defs: Vec<Arc<StepDef>> = Vec::with_capacity(count.min(limits::STEPS));
    for _ in 0..count {
        let def = StepDef::take_behind(defs.last().map(|before| &**before), reader)?;
        defs.push(Arc::new(def));
    }
    Ok(defs)
}

std::thread_local! {
    /// What this thread decoded last.
    static RECENT: RefCell<Recent> = const { RefCell::new(Recent { kept: Vec::new(), bytes: 0, turn: 0 }) };
}

/// Definitions by their bytes, in a table that replaces what it held before.
struct Recent {
    kept: Vec<Option<Kept>>,
    /// How many bytes all of them have.
    bytes: usize,
    /// Which place of a set is replaced next.
    turn: usize,
}

struct Kept {
    bytes: Box<[u8]>,
    steps: Steps,
}

/// So many places a table has, in sets of so many.
const PLACES: usize = 256;
const WAYS: usize = 4;

/// Definitions that take more bytes than this are written anew each time, so that many sagas hold little of it.
const WRITTEN_BYTES: usize = 512;

/// Definitions that take more bytes than this are not kept, and neither are more than so many bytes together.
const KEPT_BYTES: usize = 16 << 10;
const ALL_BYTES: usize = 1 << 20;

impl Recent {
    /// The definitions that these bytes begin with, and their length. No encoding begins with another one, so whoever
    /// decoded the bytes would find just these.
    fn find(&self, bytes: &[u8]) -> Option<(usize, Steps)> {
        let within = |words| {
            let set = self.kept.get(set_of(bytes, words))?;
            set.iter().flatten().find(|kept| bytes.starts_with(&kept.bytes))
        };
        let kept = MEASURES.iter().find_map(|words| within(*words))?;
        Some((kept.bytes.len(), kept.steps.clone()))
    }

    fn keep(&mut self, bytes: &[u8], steps: &Steps) {
        if bytes.len() > KEPT_BYTES {
            return;
        }
        if self.bytes + bytes.len() > ALL_BYTES {
            (self.kept, self.bytes) = (Vec::new(), 0);
        }
        if self.kept.is_empty() {
            self.kept.resize_with(PLACES, || None);
        }
        self.turn = (self.turn + 1) % WAYS;
        let Some(place) =
            self.kept.get_mut(set_of(bytes, measure(bytes))).and_then(|set| set.get_mut(self.turn))
        else {
            return;
        };
        self.bytes += bytes.len();
        let before = place.replace(Kept { bytes: bytes.into(), steps: steps.clone() });
        self.bytes -= before.map_or(0, |before| before.bytes.len());
    }
}

/// How many words of definitions choose their set, the first of these that they have: whoever looks for them sees what
/// stands behind them too, and does not know where they end.
const MEASURES: [usize; 4] = [8, 4, 2, 0];

fn measure(bytes: &[u8]) -> usize {
    MEASURES.into_iter().find(|words| bytes.len() >= words * 8).unwrap_or(0)
}

/// The set in which definitions are looked for that begin with these words (FNV-1a, by words).
fn set_of(bytes: &[u8], words: usize) -> core::ops::Range<usize> {
    let words = bytes.chunks_exact(8).take(words).filter_map(|word| word.first_chunk().copied());
    let hash = words.fold(0xcbf2_9ce4_8422_2325_u64, |hash, word| {
        (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let set = usize::try_from(hash >> 32).unwrap_or(0) % (PLACES / WAYS) * WAYS;
    set..set + WAYS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::{ActionId, Did, StepId};

    fn steps(names: &[&str]) -> Steps {
        let step = |name: &&str| {
            let (id, action) = (StepId::new(name).unwrap(), ActionId::new("act").unwrap());
            Arc::new(StepDef::new(id, action, Did::new("did:mesh:a").unwrap(), Task::closure("f")))
        };
        Steps::from(names.iter().map(step).collect::<Vec<_>>())
    }

    #[test]
    fn what_was_decoded_shortly_before_is_shared() {
        let bytes = steps(&["a", "b"]).to_bytes();
        let (one, other) = (Steps::from_bytes(&bytes).unwrap(), Steps::from_bytes(&bytes).unwrap());
        assert!(Arc::ptr_eq(&one[0], &other[0]));
        // Behind them stands something else, each time another, and they are found all the same, however short they are.
        let long = "x".repeat(80);
        for list in [&["a"][..], &["a", "b"], &["a", "b", "c", "d"], &[&long[..], "b"]] {
            let bytes = steps(list).to_bytes();
            let one = Steps::from_bytes(&bytes).unwrap();
            for behind in [&[7; 1][..], &[8; 9], &[9; 100]] {
                let more = [&bytes[..], behind].concat();
                let mut reader = Reader::new(&more);
                let again = Steps::take(&mut reader).unwrap();
                assert!(Arc::ptr_eq(&again[0], &one[0]), "{list:?} before {} bytes", behind.len());
                assert_eq!(reader.rest(), behind);
            }
        }
    }

    #[test]
    fn what_begins_alike_is_told_apart_and_what_is_cut_is_refused() {
        // Fewer bytes than a set is chosen by, and more of them that are the same.
        let long = "x".repeat(80);
        for lists in [[&["a"][..], &["a", "b"]], [&[&long[..], "a"][..], &[&long, "b"]]] {
            for _ in 0..3 {
                for list in lists {
                    let bytes = steps(list).to_bytes();
                    assert_eq!(Steps::from_bytes(&bytes), Ok(steps(list)));
                    assert!(Steps::from_bytes(&bytes[..bytes.len() - 1]).is_err());
                }
            }
        }
    }

    #[test]
    fn no_more_is_kept_than_is_said() {
        let mut recent = Recent { kept: Vec::new(), bytes: 0, turn: 0 };
        for n in 0u32..10_000 {
            let bytes = [n.to_le_bytes().repeat(2), vec![0; 2_000]].concat();
            recent.keep(&bytes, &steps(&["a"]));
            let kept: usize = recent.kept.iter().flatten().map(|kept| kept.bytes.len()).sum();
            assert_eq!(kept, recent.bytes);
            assert!(kept <= ALL_BYTES && recent.find(&bytes).is_some());
        }
        recent.keep(&[1; KEPT_BYTES + 1], &steps(&["a"]));
        assert!(recent.find(&[1; KEPT_BYTES + 1]).is_none());
    }

    #[test]
    fn those_who_wait_are_known_by_whom_they_wait_for_whoever_comes_later() {
        let waiting = |after: &[u32]| {
            let mut defs: Vec<_> = steps(&["a", "b", "c", "d"]).iter().map(|def| (**def).clone()).collect();
            defs[2].after = after.to_vec();
            Steps::from(defs.into_iter().map(Arc::new).collect::<Vec<_>>())
        };
        let of =
            |steps: &Steps| (0..5).map(|step| steps.dependents(step).collect()).collect::<Vec<Vec<u32>>>();
        assert_eq!(of(&waiting(&[])), [const { Vec::new() }; 5]);
        let (one, both) = (waiting(&[1]), waiting(&[0, 1]));
        assert_eq!(of(&one), [vec![], vec![2], vec![], vec![], vec![]]);
        assert_eq!(of(&both), [vec![2], vec![2], vec![], vec![], vec![]]);
        // What no saga may begin with: nobody waits for a step that is not before it.
        assert_eq!(of(&waiting(&[2, 3, u32::MAX])), [const { Vec::new() }; 5]);
        let mut grown = waiting(&[]);
        let mut last = (*both[2]).clone();
        last.after = vec![3];
        grown.append(&Steps::checked(&[Arc::new(last)], false));
        assert_eq!(of(&grown), [vec![], vec![], vec![], vec![4], vec![]]);
    }

    #[test]
    fn what_is_written_again_is_written_the_same_also_when_it_has_grown() {
        let of = steps;
        let mut steps = of(&["a", "b"]);
        let first = steps.to_bytes();
        let shared = steps.clone();
        assert_eq!([steps.to_bytes(), steps.to_bytes(), shared.to_bytes()], [(); 3].map(|()| first.clone()));
        let is_kept = |steps: &Steps| steps.0.as_ref().unwrap().written.bytes.get().is_some();
        assert!(is_kept(&shared));
        steps.append(&of(&["c"]));
        let grown = Steps::from_bytes(&steps.to_bytes()).unwrap();
        assert_eq!((grown.len(), &grown), (3, &steps));
        assert!(!is_kept(&steps), "what is written once is not kept");
        // Nor is what is long.
        let names: Vec<String> = (10..30).map(|n| "x".repeat(40) + &n.to_string()).collect();
        let long = of(&names.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(
            long.to_bytes().len() > WRITTEN_BYTES && long.to_bytes() == long.to_bytes() && !is_kept(&long)
        );
        // One that nobody shares grows where it is.
        assert_eq!(steps.to_bytes(), steps.to_bytes());
        steps.append(&of(&["d"]));
        assert_eq!(Steps::from_bytes(&steps.to_bytes()).as_deref().map(<[_]>::len), Ok(4));
        assert_eq!(shared.to_bytes(), first);
    }

    #[test]
    fn steps_that_no_saga_may_begin_with_are_known_as_such() {
        assert!(steps(&["a", "b"]).are_legal() && Steps::default().are_legal());
        assert!(!steps(&["a", "a"]).are_legal());
        assert!(!Steps::from_bytes(&steps(&["a", "a"]).to_bytes()).unwrap().are_legal());
    }
}
