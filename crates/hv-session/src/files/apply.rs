//! How an event changes the files.

use super::version::{Grave, Guard};
use super::{Actor, FileSpace, Origin, changes};
use crate::{Change, Content, File, FileEvent, FilePath, HistoryEntry, Revision, Snapshot, SnapshotName};
use crate::{Stamp, Version};
use hv_types::Illegal;
use std::collections::VecDeque;
use std::sync::Arc;

impl FileSpace {
    /// Takes exactly the events that [`decide`](Self::decide) says: each is decided again first, unless that was just
    /// done.
    pub(crate) fn apply(
        &mut self,
        actor: Actor<'_>,
        event: &FileEvent,
        origin: Origin,
    ) -> Result<(), Illegal> {
        match origin {
            Origin::Decided => debug_assert_eq!(self.is_decided(actor, event), Ok(true)),
            Origin::Recorded => match self.is_decided(actor, event) {
                Ok(true) => {}
                Ok(false) => return Err(Illegal::new("a file event names what was there before it")),
                Err(denial) => return Err(Illegal::new(denial.rule())),
            },
        }
        self.change(actor, event);
        Ok(())
    }

    fn change(&mut self, actor: Actor<'_>, event: &FileEvent) {
        match event {
            FileEvent::Created { path, content } => {
                self.begin(actor, path, *content, Change::Written);
            }
            FileEvent::Updated { path, content, .. } => {
                let version = self.version(actor, *content, Change::Written);
                self.replace(actor, path, Revision(u64::MAX), version);
            }
            FileEvent::Diverged { path, content, seen, .. } => {
                let change = Change::Diverged { seen: *seen };
                if self.files.get(path).is_some() {
                    let version = self.version(actor, *content, change);
                    self.replace(actor, path, *seen, version);
                } else {
                    self.begin(actor, path, *content, change);
                }
            }
            FileEvent::Deleted { path, .. } => drop(self.bury(actor, path, Change::Deleted)),
            FileEvent::Renamed { from, to, .. } => self.rename_to(actor, from, to),
            FileEvent::Restored { path, revision, .. } => self.bring_back(actor, path, *revision),
            FileEvent::AclSet { path, acl } => {
                if let Some(file) = self.files.get_mut(path) {
                    file.guard.acl = Some(Arc::new(acl.clone()));
                }
            }
            FileEvent::AclCleared { path } => self.open(actor, path),
            FileEvent::SnapshotTaken { name } => self.keep(actor, name.as_ref()),
            FileEvent::RolledBack { snapshot } => self.roll_back_to(actor, *snapshot),
            FileEvent::SnapshotDropped { snapshot } => {
                self.snapshots.retain(|kept| kept.number != *snapshot);
            }
        }
    }

    /// The next version of the session.
    fn version(&mut self, actor: Actor<'_>, content: Content, change: Change) -> Version {
        Version { content, stamp: self.stamp(actor, change) }
    }

    fn stamp(&mut self, actor: Actor<'_>, change: Change) -> Stamp {
        self.revision = Revision(self.revision.0.saturating_add(1));
        Stamp { revision: self.revision, agent: actor.agent, at: actor.at, change }
    }

    /// The sum is exact after every event, as its decision kept it within the quota; in the middle of one it may
    /// pass through more than 64 bits hold.
    const fn grow(&mut self, bytes: u64) {
        self.bytes = self.bytes.wrapping_add(bytes);
    }

    const fn shrink(&mut self, bytes: u64) {
        self.bytes = self.bytes.wrapping_sub(bytes);
    }

    /// A file where there is none. It belongs to the agent, unless an ACL still guards a deleted one.
    #[inline(always)]
    fn begin(&mut self, actor: Actor<'_>, path: &FilePath, content: Content, change: Change) {
        let guarded = self.dig_up(path).map(|grave| grave.guard).filter(|guard| guard.acl.is_some());
        let guard = guarded.unwrap_or(Guard { owner: actor.agent, acl: None });
        let main = self.version(actor, content, change);
        self.put(path, File { main, siblings: Vec::new(), guard });
    }

    // Where it is called, so that the file is made in its place in the tree.
    #[inline(always)]
    fn put(&mut self, path: &FilePath, file: File) {
        self.grow(file.bytes());
        self.files.insert(path.clone(), file);
    }

    /// Replaces what can be read up to a revision by a version, which stands beside the rest.
    fn replace(&mut self, actor: Actor<'_>, path: &FilePath, seen: Revision, version: Version) {
        let Some(file) = self.files.get_mut(path) else { return };
        let added = version.content.length;
        let is_seen = |head: &Version| head.stamp.revision <= seen;
        if file.siblings.is_empty() && is_seen(&file.main) {
            let main = core::mem::replace(&mut file.main, version);
            self.grow(added);
            self.shrink(main.content.length);
            return self.remember(actor, path, |versions| versions.push_back(main.entry()));
        }
        let (mut replaced, kept): (Vec<_>, _) =
            core::mem::take(&mut file.siblings).into_iter().partition(is_seen);
        file.siblings = kept;
        if is_seen(&file.main) {
            replaced.insert(0, core::mem::replace(&mut file.main, version));
        } else {
            file.siblings.push(version);
        }
        let freed = replaced.iter().fold(0u64, |sum, head| sum.wrapping_add(head.content.length));
        self.grow(added);
        self.shrink(freed);
        if !replaced.is_empty() {
            self.remember(actor, path, |versions| {
                versions.extend(replaced.into_iter().map(Version::entry));
            });
        }
    }

    /// Adds what is remembered of a path; the oldest goes where it is too much.
    fn remember(&mut self, actor: Actor<'_>, path: &FilePath, add: impl FnOnce(&mut VecDeque<HistoryEntry>)) {
        let most = usize::try_from(actor.quotas.versions).unwrap_or(usize::MAX);
        if most == 0 {
            return;
        }
        self.past.alter(path, |past| {
            add(&mut past.versions);
            while past.versions.len() > most {
                past.versions.pop_front();
            }
        });
    }

    /// Deletes the file; what is remembered of it stays.
    fn bury(&mut self, actor: Actor<'_>, path: &FilePath, change: Change) -> Option<File> {
        let file = self.files.remove(path)?;
        self.shrink(file.bytes());
        let stamp = self.stamp(actor, change);
        let revision = stamp.revision;
        let end = HistoryEntry { content: None, stamp };
        self.remember(actor, path, |versions| {
            versions.extend(file.heads().cloned().map(Version::entry));
            versions.push_back(end);
        });
        let grave = Grave { guard: file.guard.clone(), revision };
        self.past.alter(path, |past| past.grave = Some(grave));
        if file.guard.acl.is_some() {
            self.guarded += 1;
        } else {
            self.gone.insert((revision, path.clone()), ());
            self.forget(actor);
        }
        Some(file)
    }

    /// Forgets those that have been gone the longest, beyond as many as the quota of files.
    fn forget(&mut self, actor: Actor<'_>) {
        while self.gone.len() as u64 > u64::from(actor.quotas.files) {
            let Some(((revision, path), ())) = self.gone.pop_first() else { return };
            self.past.remove(&path);
            self.forgotten = self.forgotten.max(revision);
        }
    }

    /// Takes the deleted file away that is remembered at a path, to make room for a file.
    fn dig_up(&mut self, path: &FilePath) -> Option<Grave> {
        let past = self.past.get_mut(path)?;
        let grave = past.grave.take();
        if past.versions.is_empty() {
            self.past.remove(path);
        }
        if let Some(Grave { guard, revision }) = &grave {
            if guard.acl.is_some() {
                self.guarded -= 1;
            } else {
                self.gone.remove(&(*revision, path.clone()));
            }
        }
        grave
    }

    fn rename_to(&mut self, actor: Actor<'_>, from: &FilePath, to: &FilePath) {
        let Some(file) = self.bury(actor, from, Change::MovedTo { path: to.clone() }) else { return };
        self.dig_up(to);
        let change = Change::MovedFrom { path: from.clone() };
        let main = self.version(actor, file.content(), change);
        self.put(to, File { main, ..file });
    }

    fn bring_back(&mut self, actor: Actor<'_>, path: &FilePath, from: Revision) {
        let Some(content) = self.content_of(path, from) else { return };
        let version = self.version(actor, content, Change::Restored { from });
        if self.files.get(path).is_some() {
            return self.replace(actor, path, Revision(u64::MAX), version);
        }
        let guard = self.dig_up(path).map(|grave| grave.guard);
        let guard = guard.unwrap_or(Guard { owner: actor.agent, acl: None });
        self.put(path, File { main: version, siblings: Vec::new(), guard });
    }

    fn open(&mut self, actor: Actor<'_>, path: &FilePath) {
        if let Some(file) = self.files.get_mut(path) {
            file.guard.acl = None;
            return;
        }
        let Some(grave) = self.past.get_mut(path).and_then(|past| past.grave.as_mut()) else { return };
        grave.guard.acl = None;
        self.gone.insert((grave.revision, path.clone()), ());
        self.guarded -= 1;
        self.forget(actor);
    }

    fn keep(&mut self, actor: Actor<'_>, name: Option<&SnapshotName>) {
        self.taken += 1;
        let name = name.cloned().unwrap_or_else(|| self.free_name(self.taken));
        self.snapshots.push(Snapshot {
            number: self.taken,
            name,
            agent: actor.agent,
            at: actor.at,
            revision: self.revision,
            files: self.files.clone(),
            bytes: self.bytes,
        });
    }

    /// The first name for a number that no snapshot has. It ends: there are fewer snapshots than names.
    pub(super) fn free_name(&self, number: u32) -> SnapshotName {
        let first = SnapshotName::numbered(number);
        let more = (2u64..).map(|nth| SnapshotName::numbered_again(number, nth));
        let mut names = core::iter::once(first.clone()).chain(more);
        names.find(|name| self.snapshot(name).is_none()).unwrap_or(first)
    }

    /// `INVARIANT (V2)`: afterwards nothing differs from the snapshot that a reader could tell apart.
    fn roll_back_to(&mut self, actor: Actor<'_>, number: u32) {
        let snapshot = self.snapshots.iter().find(|snapshot| snapshot.number == number);
        let Some(then) = snapshot.map(|snapshot| snapshot.files.clone()) else { return };
        let now = self.files.clone();
        for change in changes(&now, &then) {
            let path = change.path;
            let by = Change::RolledBack { snapshot: number };
            match (change.before, change.after) {
                (Some(now), Some(then)) if now.same_contents(then) => {
                    if let Some(file) = self.files.get_mut(path) {
                        file.guard = then.guard.clone();
                    }
                }
                (now, Some(then)) => {
                    if let Some(now) = now {
                        self.shrink(now.bytes());
                        let heads = now.heads().cloned().map(Version::entry);
                        self.remember(actor, path, |versions| versions.extend(heads));
                    } else {
                        self.dig_up(path);
                    }
                    let main = self.version(actor, then.content(), by.clone());
                    let mut again = |head: &Version| self.version(actor, head.content, by.clone());
                    let siblings = then.siblings.iter().map(&mut again).collect();
                    self.put(path, File { main, siblings, guard: then.guard.clone() });
                }
                (_, None) => drop(self.bury(actor, path, by)),
            }
        }
    }
}
