//! What a command would change, and the reasons why it may not.

use super::{Actor, FileSpace, changes};
use crate::files::version::{Grave, Guard};
use crate::session::say;
use crate::{
    ACL_MAX_RULES, Acl, BESIDE_MAX, ConsistencyMode, Content, Expect, File, FileCommand, FileDenial,
    FileEvent, FilePath, Grantee, PathChange, Quota, Revision, Right, SessionEvent, Snapshot, SnapshotName,
};
use hv_types::Digest;

/// Who is told what a command changes.
pub(crate) trait Told {
    fn changed(&mut self, actor: Actor<'_>, event: impl FnOnce() -> FileEvent);
}

impl Told for Vec<SessionEvent> {
    /// In the place where it is told, so that it is made in the list itself.
    #[inline(always)]
    fn changed(&mut self, Actor { agent, at, .. }: Actor<'_>, event: impl FnOnce() -> FileEvent) {
        say(self, || SessionEvent::File { agent, at, event: event() });
    }
}

/// Whether what is told is what was recorded.
struct Again<'a> {
    event: &'a FileEvent,
    same: bool,
}

impl Told for Again<'_> {
    fn changed(&mut self, _: Actor<'_>, event: impl FnOnce() -> FileEvent) {
        self.same = event() == *self.event;
    }
}

/// Whether somebody has seen what is there.
enum Sight {
    Fresh,
    Stale { seen: Revision, newest: Revision },
}

/// What is at a path, looked up once.
#[derive(Clone, Copy)]
struct Place<'a, 'p> {
    path: &'p FilePath,
    file: Option<&'a File>,
    /// Only where there is no file.
    grave: Option<&'a Grave>,
}

impl FileSpace {
    /// Tells what a command changes. What a write does is made where it is to stay, because it is large, instead of being
    /// given back.
    pub(crate) fn decide(
        &self,
        actor: Actor<'_>,
        command: &FileCommand,
        told: &mut impl Told,
    ) -> Result<(), FileDenial> {
        let event = match command {
            FileCommand::Write { path, content, expect } => {
                return self.write(actor, path, content, *expect, told);
            }
            FileCommand::Delete { path, expect } => self.delete(actor, path, *expect)?,
            FileCommand::Rename { from, to, expect } => self.rename(actor, from, to, *expect)?,
            FileCommand::Restore { path, revision, expect } => {
                self.restore(actor, path, *revision, *expect)?
            }
            FileCommand::SetAcl { path, acl } => self.set_acl(actor, path, acl)?,
            FileCommand::ClearAcl { path } => self.clear_acl(actor, path)?,
            FileCommand::TakeSnapshot { name } => self.take_snapshot(actor, name.as_ref())?,
            FileCommand::RollBack { snapshot } => self.roll_back(actor, self.snapshot_named(snapshot)?)?,
            FileCommand::DropSnapshot { snapshot } => {
                self.drop_snapshot(actor, self.snapshot_named(snapshot)?)?
            }
        };
        told.changed(actor, || event);
        Ok(())
    }

    /// Where an event is checked: whether it is what an honest run would have told in its place.
    pub(super) fn is_decided(&self, actor: Actor<'_>, event: &FileEvent) -> Result<bool, FileDenial> {
        let numbered = |number: u32| self.snapshots.iter().find(|snapshot| snapshot.number == number);
        let write = |path, content, expect| {
            let mut again = Again { event, same: false };
            self.write(actor, path, content, expect, &mut again).map(|()| again.same)
        };
        let again = match event {
            FileEvent::Created { path, content } => return write(path, content, Expect::Absent),
            FileEvent::Updated { path, content, .. } => return write(path, content, Expect::Present),
            FileEvent::Diverged { path, content, seen, .. } => {
                return write(path, content, Expect::Revision(*seen));
            }
            FileEvent::Deleted { path, .. } => self.delete(actor, path, Expect::Present)?,
            FileEvent::Renamed { from, to, .. } => self.rename(actor, from, to, Expect::Present)?,
            FileEvent::Restored { path, revision, .. } => {
                self.restore(actor, path, *revision, Expect::Any)?
            }
            FileEvent::AclSet { path, acl } => self.set_acl(actor, path, acl)?,
            FileEvent::AclCleared { path } => self.clear_acl(actor, path)?,
            FileEvent::SnapshotTaken { name } => self.take_snapshot(actor, name.as_ref())?,
            FileEvent::RolledBack { snapshot } => {
                self.roll_back(actor, numbered(*snapshot).ok_or_else(|| self.no_number(*snapshot))?)?
            }
            FileEvent::SnapshotDropped { snapshot } => {
                self.drop_snapshot(actor, numbered(*snapshot).ok_or_else(|| self.no_number(*snapshot))?)?
            }
        };
        Ok(again == *event)
    }

    fn write(
        &self,
        actor: Actor<'_>,
        path: &FilePath,
        content: &Content,
        expect: Expect,
        told: &mut impl Told,
    ) -> Result<(), FileDenial> {
        let place = self.place(path);
        place.allow(actor, Right::Write)?;
        let stale = match (self.sight(place, expect)?, actor.mode) {
            (Sight::Fresh, _) => None,
            (Sight::Stale { seen, .. }, ConsistencyMode::Eventual) => Some(seen),
            (Sight::Stale { newest, .. }, ConsistencyMode::Strong) if expect == Expect::Absent => {
                return Err(FileDenial::AlreadyExists { path: path.clone(), newest });
            }
            (Sight::Stale { seen, newest }, ConsistencyMode::Strong) => {
                return Err(FileDenial::Stale { path: path.clone(), seen, newest });
            }
        };
        place.beside(stale)?;
        self.room(actor, place, content, stale)?;
        match (stale, place.file) {
            (None, None) => {
                told.changed(actor, || FileEvent::Created { path: path.clone(), content: *content });
            }
            (None, Some(file)) => told.changed(actor, || FileEvent::Updated {
                path: path.clone(),
                content: *content,
                previous: file.main.content.id,
            }),
            (Some(seen), _) => {
                let previous = self.content_seen(path, seen);
                told.changed(actor, || FileEvent::Diverged {
                    path: path.clone(),
                    content: *content,
                    previous,
                    seen,
                });
            }
        }
        Ok(())
    }

    fn delete(&self, actor: Actor<'_>, path: &FilePath, expect: Expect) -> Result<FileEvent, FileDenial> {
        let place = self.place(path);
        let file = place.present()?;
        place.allow(actor, Right::Delete)?;
        self.fresh(place, expect)?;
        Ok(FileEvent::Deleted { path: path.clone(), previous: file.content().id })
    }

    fn rename(
        &self,
        actor: Actor<'_>,
        from: &FilePath,
        to: &FilePath,
        expect: Expect,
    ) -> Result<FileEvent, FileDenial> {
        let (place, target) = (self.place(from), self.place(to));
        let file = place.present()?;
        place.allow(actor, Right::Delete)?;
        self.fresh(place, expect)?;
        if !file.siblings.is_empty() {
            return Err(FileDenial::Conflicted { path: from.clone(), newest: file.newest() });
        }
        if let Some(there) = target.file {
            return Err(FileDenial::AlreadyExists { path: to.clone(), newest: there.newest() });
        }
        if target.guard().is_some() {
            return Err(FileDenial::Guarded { path: to.clone() });
        }
        // What an ACL guards stays guarded where it was, and counts.
        self.room_for_files(actor, self.held() + usize::from(file.guard.acl.is_some()))?;
        Ok(FileEvent::Renamed { from: from.clone(), to: to.clone(), content: file.content().id })
    }

    fn restore(
        &self,
        actor: Actor<'_>,
        path: &FilePath,
        revision: Revision,
        expect: Expect,
    ) -> Result<FileEvent, FileDenial> {
        let place = self.place(path);
        place.allow(actor, Right::Write)?;
        let content = self.content_of(path, revision);
        let content = content.ok_or_else(|| FileDenial::NoSuchVersion { path: path.clone(), revision })?;
        self.fresh(place, expect)?;
        self.room(actor, place, &content, None)?;
        let previous = place.file.map(|file| file.content().id);
        Ok(FileEvent::Restored { path: path.clone(), revision, content: content.id, previous })
    }

    fn set_acl(&self, actor: Actor<'_>, path: &FilePath, acl: &Acl) -> Result<FileEvent, FileDenial> {
        let guard = &self.place(path).present()?.guard;
        let shares = |old: &Acl| {
            let own = guard.rights(actor.agent);
            own.has(Right::Share) && acl.only_gives(old, own)
        };
        if guard.owner != actor.agent && !guard.acl.as_deref().is_some_and(shares) {
            return Err(FileDenial::NotOwner { path: path.clone() });
        }
        if acl.rules().len() > ACL_MAX_RULES {
            return Err(FileDenial::TooManyRules { count: acl.rules().len() });
        }
        let unknown = acl.rules().iter().find_map(|rule| match rule.who {
            Grantee::Member { ordinal } if ordinal >= actor.ordinals => Some(ordinal),
            Grantee::Member { .. } | Grantee::Everyone => None,
        });
        match unknown {
            Some(ordinal) => Err(FileDenial::UnknownGrantee { ordinal }),
            None => Ok(FileEvent::AclSet { path: path.clone(), acl: acl.clone() }),
        }
    }

    fn clear_acl(&self, actor: Actor<'_>, path: &FilePath) -> Result<FileEvent, FileDenial> {
        let guard = self.guard(path).ok_or_else(|| FileDenial::NotFound { path: path.clone() })?;
        if guard.owner != actor.agent {
            return Err(FileDenial::NotOwner { path: path.clone() });
        }
        if guard.acl.is_none() {
            return Err(FileDenial::NoAcl { path: path.clone() });
        }
        Ok(FileEvent::AclCleared { path: path.clone() })
    }

    fn take_snapshot(&self, actor: Actor<'_>, name: Option<&SnapshotName>) -> Result<FileEvent, FileDenial> {
        let limit = actor.quotas.snapshots;
        if self.snapshots.len() as u64 >= u64::from(limit) || self.taken == u32::MAX {
            return Err(FileDenial::Quota { quota: Quota::Snapshots, limit: u64::from(limit) });
        }
        match name.filter(|name| self.snapshot(name).is_some()) {
            Some(name) => Err(FileDenial::SnapshotExists { name: name.clone() }),
            None => Ok(FileEvent::SnapshotTaken { name: name.cloned() }),
        }
    }

    /// Whoever rolls back must be allowed everything that it comes to, path by path. O(changes · log files).
    fn roll_back(&self, actor: Actor<'_>, snapshot: &Snapshot) -> Result<FileEvent, FileDenial> {
        let mut guarded = self.guarded;
        for PathChange { path, before, after } in changes(&self.files, &snapshot.files) {
            match (before, after) {
                (Some(now), None) => {
                    now.guard.check(actor.agent, Right::Delete, path)?;
                    guarded += usize::from(now.guard.acl.is_some());
                }
                (now, Some(then)) => {
                    let guard = self.guard(path);
                    may_put_back(actor.agent, path, guard, now, then)?;
                    guarded -= usize::from(now.is_none() && guard.is_some());
                }
                (None, None) => {}
            }
        }
        self.room_for_files(actor, snapshot.files.len() + guarded)?;
        room_for_bytes(actor, Some(snapshot.bytes))?;
        Ok(FileEvent::RolledBack { snapshot: snapshot.number })
    }

    fn drop_snapshot(&self, actor: Actor<'_>, snapshot: &Snapshot) -> Result<FileEvent, FileDenial> {
        if snapshot.agent != actor.agent {
            return Err(FileDenial::NotYourSnapshot { name: snapshot.name.clone() });
        }
        Ok(FileEvent::SnapshotDropped { snapshot: snapshot.number })
    }

    /// Whose a path is.
    pub(super) fn guard(&self, path: &FilePath) -> Option<&Guard> {
        self.place(path).guard()
    }

    fn place<'p>(&self, path: &'p FilePath) -> Place<'_, 'p> {
        let file = self.files.get(path);
        let grave = || self.past.get(path)?.grave.as_ref();
        Place { path, file, grave: if file.is_none() { grave() } else { None } }
    }

    fn sight(&self, place: Place<'_, '_>, expect: Expect) -> Result<Sight, FileDenial> {
        let newest = || match (place.file, place.grave) {
            (Some(file), _) => file.newest(),
            (None, Some(grave)) => grave.revision,
            // Perhaps a file was deleted there and is forgotten.
            (None, None) => self.forgotten,
        };
        match (expect, place.file) {
            (Expect::Any, _) | (Expect::Absent, None) | (Expect::Present, Some(_)) => Ok(Sight::Fresh),
            (Expect::Present, None) => Err(FileDenial::NotFound { path: place.path.clone() }),
            (Expect::Absent, Some(file)) => {
                Ok(Sight::Stale { seen: Revision::default(), newest: file.newest() })
            }
            (Expect::Revision(seen), _) if seen > self.revision => {
                Err(FileDenial::UnknownRevision { revision: seen, newest: self.revision })
            }
            (Expect::Revision(seen), _) => Ok(match newest() {
                newest if seen < newest => Sight::Stale { seen, newest },
                _ => Sight::Fresh,
            }),
        }
    }

    /// As for what is refused in both modes where it is stale.
    fn fresh(&self, place: Place<'_, '_>, expect: Expect) -> Result<(), FileDenial> {
        let path = || place.path.clone();
        match self.sight(place, expect)? {
            Sight::Fresh => Ok(()),
            Sight::Stale { newest, .. } if expect == Expect::Absent => {
                Err(FileDenial::AlreadyExists { path: path(), newest })
            }
            Sight::Stale { seen, newest } => Err(FileDenial::Stale { path: path(), seen, newest }),
        }
    }

    /// The content that this version of a path had, where it is remembered.
    pub(super) fn content_of(&self, path: &FilePath, revision: Revision) -> Option<Content> {
        let mut heads = self.files.get(path).into_iter().flat_map(File::heads);
        let head = heads.find(|head| head.stamp.revision == revision).map(|head| head.content);
        head.or_else(|| {
            let mut versions = self.past.get(path)?.versions.iter();
            versions.find(|version| version.stamp.revision == revision)?.content
        })
    }

    /// The id of the newest content of a path that somebody has seen who saw up to this revision.
    fn content_seen(&self, path: &FilePath, seen: Revision) -> Option<Digest> {
        let history = self.history(path);
        let newest = history.iter().rev().find(|version| version.stamp.revision <= seen)?;
        newest.content.map(|content| content.id)
    }

    /// Checks the quotas for a content that replaces all that can be read at the path, or, where it is stale,
    /// what its writer had seen.
    fn room(
        &self,
        actor: Actor<'_>,
        place: Place<'_, '_>,
        content: &Content,
        stale: Option<Revision>,
    ) -> Result<(), FileDenial> {
        let seen = |head: &&crate::Version| stale.is_none_or(|seen| head.stamp.revision <= seen);
        let replaced = place.file.into_iter().flat_map(File::heads).filter(seen);
        let kept = replaced.fold(self.bytes, |sum, head| sum.saturating_sub(head.content.length));
        room_for_bytes(actor, kept.checked_add(content.length))?;
        // A deleted file that an ACL guards is counted already.
        match (place.file, place.guard()) {
            (None, None) => self.room_for_files(actor, self.held() + 1),
            _ => Ok(()),
        }
    }

    fn room_for_files(&self, actor: Actor<'_>, count: usize) -> Result<(), FileDenial> {
        let limit = u64::from(actor.quotas.files);
        if count as u64 <= limit {
            return Ok(());
        }
        Err(FileDenial::Quota { quota: Quota::Files, limit })
    }

    /// What the quota of files counts.
    fn held(&self) -> usize {
        self.files.len() + self.guarded
    }

    fn no_number(&self, number: u32) -> FileDenial {
        FileDenial::NoSuchSnapshot { name: SnapshotName::numbered(number) }
    }
}

impl<'a> Place<'a, '_> {
    /// Whose the path is: its file's, or its deleted file's as long as an ACL guards it.
    fn guard(self) -> Option<&'a Guard> {
        let kept = || self.grave.map(|grave| &grave.guard).filter(|guard| guard.acl.is_some());
        self.file.map(|file| &file.guard).or_else(kept)
    }

    fn allow(self, actor: Actor<'_>, right: Right) -> Result<(), FileDenial> {
        self.guard().map_or(Ok(()), |guard| guard.check(actor.agent, right, self.path))
    }

    /// Whether one more version may stand beside what a writer has not seen.
    fn beside(self, stale: Option<Revision>) -> Result<(), FileDenial> {
        let Some((seen, file)) = stale.zip(self.file) else { return Ok(()) };
        let unseen = file.heads().filter(|head| head.stamp.revision > seen).count();
        if unseen < BESIDE_MAX {
            return Ok(());
        }
        Err(FileDenial::Conflicted { path: self.path.clone(), newest: file.newest() })
    }

    fn present(self) -> Result<&'a File, FileDenial> {
        self.file.ok_or_else(|| FileDenial::NotFound { path: self.path.clone() })
    }
}

/// Whether an agent may make a file what it was: it needs the right to write both to what is there now and to
/// what was there then, and where an ACL changes it must own what is there now.
fn may_put_back(
    agent: u32,
    path: &FilePath,
    guard: Option<&Guard>,
    now: Option<&File>,
    then: &File,
) -> Result<(), FileDenial> {
    if !now.is_some_and(|now| now.same_contents(then)) {
        guard.map_or(Ok(()), |guard| guard.check(agent, Right::Write, path))?;
        then.guard.check(agent, Right::Write, path)?;
    }
    let listed = |guard: &Guard| guard.acl.is_some();
    let loses = guard.is_some_and(|now| *now != then.guard && (listed(now) || listed(&then.guard)));
    if loses && guard.is_some_and(|now| now.owner != agent) {
        return Err(FileDenial::NotOwner { path: path.clone() });
    }
    Ok(())
}

fn room_for_bytes(actor: Actor<'_>, bytes: Option<u64>) -> Result<(), FileDenial> {
    let limit = actor.quotas.bytes;
    if bytes.is_some_and(|bytes| bytes <= limit) {
        Ok(())
    } else {
        Err(FileDenial::Quota { quota: Quota::Bytes, limit })
    }
}
