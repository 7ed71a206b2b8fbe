//! Whether payloads and keys are what the records say: there, or purged, and nothing else.

use crate::disk::{Access, Disk};
use crate::finding::{Finding, What};
use crate::folder::{found, found_at};
use crate::keys::{KEYS_NAME, Keys, Slot, place};
use crate::log::{LogError, Lsn, PayloadRef};
use crate::payload::{check_length, is_whole_unnamed, payload_path, read_payload};
use crate::reducing::check_reductions;
use crate::snapshot::{Print, read_bytes, snapshot_name};
use crate::survey::{Reference, Survey};
use hv_types::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What an inventory is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Looks at every byte, while a writer may be at work.
    Verify,
    /// Looks at lengths, of a log that was opened at a snapshot and is written to again.
    Rest,
    /// Looks at lengths; contents are checked where they are read. Nobody else is at work.
    Open(Again),
}

impl Purpose {
    /// Whether a writer may be at work meanwhile.
    fn at_work(self, survey: &Survey<'_>) -> bool {
        match self {
            Self::Verify => !survey.says_ended(),
            Self::Rest => true,
            Self::Open(_) => false,
        }
    }
}

/// What is said about something purged that is there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It is a finding.
    Refuse,
    /// It is destroyed once more.
    Destroy,
}

/// What lies beside the records of a log in which nothing of it is wrong.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) keys: Keys,
    /// How many slots count; what follows is what a crash left of keys that no payload has.
    pub(crate) slots: u64,
    /// Payloads that a crash kept from their names, while others got theirs that were put together with them.
    pub(crate) unnamed: Vec<Digest>,
    /// Payloads that no record refers to: a crash came between putting them and referring to them.
    pub(crate) loose: Vec<Digest>,
    /// What was purged and is there again.
    pub(crate) again: Vec<Digest>,
}

/// Compares payloads and keys with what the records say.
pub(crate) fn take_inventory(
    survey: &Survey<'_>,
    disk: &dyn Disk,
    dir: &Path,
    purpose: Purpose,
) -> Result<Inventory, LogError> {
    check_reductions(survey, disk, dir, purpose.at_work(survey))?;
    let nonce = survey.mark.map(|mark| mark.nonce).unwrap_or_default();
    let keys = Keys::read(disk, dir, nonce)?;
    let found = Inventory::default();
    let (live, later) = (BTreeMap::new(), BTreeSet::new());
    let mut taking = Taking { survey, disk, dir, purpose, found, live, later };
    let mut destroyed = BTreeSet::new();
    for (at, slot) in (0..).zip(&keys.slots) {
        match slot {
            Slot::Live { id, .. } => drop(taking.live.insert(*id, at)),
            Slot::Destroyed { id } => drop(destroyed.insert(*id)),
            Slot::Bad { .. } => {}
        }
    }
    for (id, reference) in survey.references.iter().filter(|(id, _)| !survey.purged.contains_key(id)) {
        taking.present(id, reference.length).map_err(|error| located(error, reference))?;
    }
    for id in survey.purged.keys() {
        let checked = taking.purged(id, &destroyed);
        match survey.references.get(id) {
            Some(reference) => checked.map_err(|error| located(error, reference))?,
            None => checked?,
        }
    }
    let known = |id: &Digest| survey.references.contains_key(id) || survey.purged.contains_key(id);
    if survey.is_whole() {
        for id in survey.folder.payloads.iter().filter(|id| !known(id)) {
            taking.unreferenced(id)?;
        }
    }
    if purpose == Purpose::Verify {
        survey.folder.snapshots.iter().try_for_each(|lsn| check_snapshot(survey, disk, dir, *lsn))?;
    }
    taking.slots(&keys)?;
    Ok(Inventory { keys, ..taking.found })
}

/// A snapshot is the one that its record names. One that is gone meanwhile gave way to a later one.
fn check_snapshot(survey: &Survey<'_>, disk: &dyn Disk, dir: &Path, lsn: Lsn) -> Result<(), LogError> {
    let name = snapshot_name(lsn);
    let Some(print) = survey.snapshots.get(&lsn) else {
        return Err(found(Path::new(&name), What::SnapshotUnrecorded));
    };
    match read_bytes(disk, dir, lsn)? {
        Some(bytes) if Print::of(&bytes) != *print => Err(found(Path::new(&name), What::SnapshotDamaged)),
        _ => Ok(()),
    }
}

/// A finding about a payload, with the first record that refers to it.
fn located(error: LogError, reference: &Reference) -> LogError {
    match error {
        LogError::Damaged(finding) => {
            let Reference { stream, seq, lsn, .. } = *reference;
            let (stream, record, lsn) = (Some(stream), Some(seq), Some(lsn));
            LogError::Damaged(Box::new(Finding { stream, record, lsn, ..*finding }))
        }
        error => error,
    }
}

struct Taking<'a, 'd> {
    survey: &'a Survey<'d>,
    disk: &'a dyn Disk,
    dir: &'a Path,
    purpose: Purpose,
    found: Inventory,
    /// Keys that are there, and their slots.
    live: BTreeMap<Digest, u64>,
    /// What a living writer purged since the records were read.
    later: BTreeSet<Digest>,
}

impl Taking<'_, '_> {
    /// Whether a payload that is not as it should be was purged since the records were read: the record comes
    /// before the destruction, so whoever sees the one finds the other.
    fn purged_since(&mut self, id: &Digest) -> bool {
        if self.purpose.at_work(self.survey) && !self.later.contains(id) {
            let mut later = Survey::new(self.disk, self.dir);
            if later.read(&mut |_| Ok(())).is_ok() {
                self.later.extend(later.purged.keys());
            }
        }
        self.later.contains(id)
    }

    /// A payload that must be there.
    fn present(&mut self, id: &Digest, length: u64) -> Result<(), LogError> {
        let checked = check_length(self.disk, self.dir, id, length).and_then(|()| {
            if !self.live.contains_key(id) {
                return Err(found(Path::new(KEYS_NAME), What::KeyMissing { id: *id }));
            }
            self.look(id)
        });
        match checked {
            Err(LogError::Damaged(finding)) => {
                if self.purged_since(id) {
                    Ok(())
                } else {
                    Err(LogError::Damaged(finding))
                }
            }
            checked => checked,
        }
    }

    fn look(&self, id: &Digest) -> Result<(), LogError> {
        match self.purpose {
            Purpose::Open(_) | Purpose::Rest => Ok(()),
            Purpose::Verify => match read_payload(self.disk, self.dir, id)? {
                Some(_) => Ok(()),
                None => Err(found(&payload_path(id), What::PayloadMissing { id: *id })),
            },
        }
    }

    /// A payload that must not be there.
    fn purged(&mut self, id: &Digest, destroyed: &BTreeSet<Digest>) -> Result<(), LogError> {
        if self.survey.is_purging(id) {
            // Opening the log goes on with it.
            return Ok(());
        }
        // It may have been listed before it was removed.
        let listed = self.survey.folder.payloads.contains(id);
        let file = listed && self.disk.open(&self.dir.join(payload_path(id)), Access::Read).is_ok();
        let key = self.live.get(id);
        match (file, key, self.purpose) {
            // One that no record refers to may have been gone when it was purged.
            (false, None, _) if destroyed.contains(id) || !self.survey.references.contains_key(id) => Ok(()),
            (false, None, _) => Err(found(Path::new(KEYS_NAME), What::KeyUnlisted { id: *id })),
            (_, _, Purpose::Open(Again::Destroy)) => {
                self.found.again.push(*id);
                Ok(())
            }
            (true, ..) => Err(found(&payload_path(id), What::PurgedAgain { id: *id })),
            (false, Some(slot), _) => {
                Err(found_at(Path::new(KEYS_NAME), place(*slot), What::PurgedAgain { id: *id }))
            }
        }
    }

    /// A payload that no record refers to.
    fn unreferenced(&mut self, id: &Digest) -> Result<(), LogError> {
        if self.survey.says_ended() {
            return Err(found(&payload_path(id), What::PayloadUnreferenced));
        }
        let checked = if self.live.contains_key(id) {
            self.look(id)
        } else {
            Err(found(Path::new(KEYS_NAME), What::KeyMissing { id: *id }))
        };
        match checked {
            Err(LogError::Damaged(finding)) if !self.purged_since(id) => Err(LogError::Damaged(finding)),
            Err(LogError::Damaged(_)) => Ok(()),
            checked => {
                self.found.loose.push(*id);
                checked
            }
        }
    }

    /// Every slot belongs to a payload or to a purge; in a log that goes on, only the last ones may be what a crash
    /// left or what was put since the folder was listed, and those before one that counts whose payloads are whole
    /// and have no names yet.
    fn slots(&mut self, keys: &Keys) -> Result<(), LogError> {
        let Survey { folder, purged, .. } = self.survey;
        let file = Path::new(KEYS_NAME);
        let ended = self.survey.says_ended() && self.purpose != Purpose::Rest;
        if folder.keys && !keys.begun && ended {
            return Err(found(file, What::KeysHeader));
        }
        let count = keys.slots.len() as u64;
        let mut leftover: Vec<Leftover> = Vec::new();
        for (at, slot) in (0..).zip(&keys.slots) {
            let there = |id: &Digest| folder.payloads.contains(id) || purged.contains_key(id);
            let own = |id: &Digest| self.live.get(id) == Some(&at);
            match slot {
                Slot::Live { id, .. } if own(id) && there(id) => {}
                Slot::Live { id, .. } => {
                    let id = own(id).then_some(*id);
                    leftover.push(Leftover { at, what: What::KeyUnreferenced, id });
                    continue;
                }
                Slot::Destroyed { id } if purged.contains_key(id) => {}
                // Put and purged since the records were read.
                Slot::Destroyed { id } if self.purged_since(id) => continue,
                Slot::Destroyed { .. } => return Err(found_at(file, place(at), What::KeyDestroyed)),
                Slot::Bad { id } if self.survey.is_purging(id) => {}
                Slot::Bad { .. } => {
                    leftover.push(Leftover { at, what: What::KeyDamaged, id: None });
                    continue;
                }
            }
            // What counts lies behind them, so they are no leftovers.
            for before in leftover.drain(..) {
                self.unnamed(before, ended)?;
            }
            self.found.slots = at + 1;
        }
        match leftover.into_iter().next() {
            Some(Leftover { at, what, .. }) if ended => return Err(found_at(file, place(at), what)),
            _ => {}
        }
        if keys.odd > 0 && ended {
            return Err(found_at(file, place(count), What::Trailing));
        }
        if ended && folder.keys && count == 0 {
            return Err(found(file, What::Stranger));
        }
        Ok(())
    }

    /// A key without a payload of its name, before one that counts. Both were put together: the payload is there as a
    /// whole, and a crash came before it had its name, or a living writer is about to give it.
    fn unnamed(&mut self, Leftover { at, what, id }: Leftover, ended: bool) -> Result<(), LogError> {
        let refused = found_at(Path::new(KEYS_NAME), place(at), what);
        let Some(id) = id.filter(|_| !ended) else { return Err(refused) };
        if is_whole_unnamed(self.disk, self.dir, &id)? {
            self.found.unnamed.push(id);
            return Ok(());
        }
        // It may have got its name since the folder was listed, or be purged by now.
        let at_work = self.purpose.at_work(self.survey);
        let named = at_work && read_payload(self.disk, self.dir, &id).is_ok_and(|read| read.is_some());
        if named || self.purged_since(&id) { Ok(()) } else { Err(refused) }
    }
}

/// A slot that belongs neither to a payload of its name nor to a purge.
struct Leftover {
    at: u64,
    /// What it is where something follows that counts.
    what: What,
    /// The payload that is missing, where that is all.
    id: Option<Digest>,
}

impl Inventory {
    /// What no record refers to, as the next one will: with the length that it has.
    pub(crate) fn loose_payloads(&self, disk: &dyn Disk, dir: &Path) -> Result<Vec<PayloadRef>, LogError> {
        let read = |id: &Digest| {
            let content = read_payload(disk, dir, id)?.unwrap_or_default();
            Ok(PayloadRef { id: *id, length: content.len() as u64 })
        };
        self.loose.iter().map(read).collect()
    }
}
