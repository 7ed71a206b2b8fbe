//! What else there is to do with the files of a session: history, ACLs, snapshots. All of it behind the gate, as a
//! member, and every refusal on the trail.

use crate::error::{Error, Reason};
use crate::files::{Access, enter, pass, touched};
use crate::hypervisor::Hypervisor;
use crate::intent;
use crate::node::{Draft, Refusal};
use crate::state::{Slot, State};
use hv_session::{
    Acl, Content, Expect, FileCommand, FileDenial, FilePath, FileSpace, Grantee, HistoryEntry, Moment,
    Revision, Right, Rights, Rule, SnapshotName,
};
use hv_types::{Did, Digest, SessionId, Timestamp};

/// A file as a member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileView {
    /// Its path inside the session.
    pub path: String,
    /// Its content, the main one where there are several.
    pub content: Content,
    /// The version that has this content.
    pub main: Revision,
    /// Its newest version: who has seen this one has seen all.
    pub revision: Revision,
    /// Whose it is; nothing only for a number that nobody has.
    pub owner: Option<Did>,
    /// Versions that stand beside the main one, because their writers had not seen each other.
    pub siblings: Vec<(Revision, Content)>,
    /// What the member may do with it.
    pub rights: Rights,
}

/// One version of a path, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileVersion {
    /// Who made it; nothing only for a number that nobody has.
    pub agent: Option<Did>,
    /// What it is.
    pub entry: HistoryEntry,
}

/// What an ACL says of one agent, or of everybody. A denial wins over every permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclRule {
    /// Of whom; nothing where of everybody.
    pub who: Option<Did>,
    /// What they may do.
    pub allow: Rights,
    /// What they must not do.
    pub deny: Rights,
}

/// A snapshot of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotView {
    /// Its name.
    pub name: SnapshotName,
    /// Who took it; nothing only for a number that nobody has.
    pub agent: Option<Did>,
    /// When.
    pub at: Timestamp,
    /// How many files were there.
    pub files: usize,
    /// The bytes of their contents.
    pub bytes: u64,
}

/// What differs at a path between two moments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiff {
    /// The path.
    pub path: String,
    /// The content before; nothing where there was no file.
    pub before: Option<Content>,
    /// The content afterwards.
    pub after: Option<Content>,
}

impl Hypervisor {
    /// The files that a member may read, in the order of their paths; below a folder, where one is given.
    ///
    /// # Errors
    /// [`Reason::Gate`], [`Reason::Path`]; [`Error::Log`], [`Error::Poisoned`].
    pub async fn stat_files(
        &self,
        session: &SessionId,
        agent: &Did,
        folder: Option<&str>,
    ) -> Result<Vec<FileView>, Error> {
        self.look(session, agent, |slot, member| {
            let space = slot.session.files();
            let folder = folder.map(|folder| slot.session.path(folder)).transpose();
            let folder = folder.map_err(|bad| refuse(slot, agent, Reason::Path(Box::new(bad))))?;
            let seen = |path: &FilePath| space.rights(member, path).has(Right::Read);
            let view = |(path, file): (&FilePath, &hv_session::File)| FileView {
                path: path.as_str().to_owned(),
                content: file.content(),
                main: file.main().stamp.revision,
                revision: file.newest(),
                owner: name(slot, file.owner()),
                siblings: file.siblings().iter().map(|head| (head.stamp.revision, head.content)).collect(),
                rights: space.rights(member, path),
            };
            Ok(match &folder {
                None => space.list().filter(|(path, _)| seen(path)).map(view).collect(),
                Some(folder) => {
                    let itself = space.get(folder).map(|file| (folder, file));
                    let all = itself.into_iter().chain(space.list_in(folder));
                    all.filter(|(path, _)| seen(path)).map(view).collect()
                }
            })
        })
        .await
    }

    /// What is remembered of a path, the oldest first.
    ///
    /// # Errors
    /// [`Reason::Gate`], [`Reason::Path`], and [`Reason::Session`] where the path's ACL does not let the member
    /// read it; [`Error::Log`], [`Error::Poisoned`].
    pub async fn file_history(
        &self,
        session: &SessionId,
        agent: &Did,
        path: &str,
    ) -> Result<Vec<FileVersion>, Error> {
        self.node()
            .commit(|state, now| {
                let (slot, path) = enter(state, now, session, agent, path)?;
                readable(slot, agent, &path)?;
                let history = slot.session.files().history(&path).into_iter();
                let versions =
                    history.map(|entry| FileVersion { agent: name(slot, entry.stamp.agent), entry });
                Ok((Draft::showing(&slot.session), versions.collect()))
            })
            .await
    }

    /// The content that a path had at a version, or in a snapshot; nothing where it is not remembered there.
    ///
    /// # Errors
    /// Those of [`file_history`](Self::file_history); [`Reason::Session`] where there is no such snapshot.
    pub async fn read_version(
        &self,
        session: &SessionId,
        agent: &Did,
        path: &str,
        at: &FileMoment,
    ) -> Result<Option<Vec<u8>>, Error> {
        let look = |state: &State, now| -> Result<(Draft, Option<Digest>), Box<Refusal>> {
            let (slot, path) = enter(state, now, session, agent, path)?;
            readable(slot, agent, &path)?;
            let space = slot.session.files();
            let id = match at {
                FileMoment::Version(revision) => {
                    let mut history = space.history(&path).into_iter();
                    let version = history.find(|entry| entry.stamp.revision == *revision);
                    version.and_then(|entry| entry.content).map(|content| content.id)
                }
                FileMoment::Snapshot(name) => {
                    let snapshot = snapshot(slot, space, agent, name)?;
                    snapshot.get(&path).map(|file| file.content().id)
                }
            };
            Ok((Draft::showing(&slot.session), id))
        };
        let id = self.node().commit(look).await?;
        match id {
            Some(id) => Ok(self.log().payload(&id)?),
            None => Ok(None),
        }
    }

    /// Gives a file another path.
    ///
    /// # Errors
    /// Those of [`write_file`](Self::write_file); [`Reason::Session`] too where there is no such file, or one at
    /// the new path.
    pub async fn rename_file(
        &self,
        session: &SessionId,
        agent: &Did,
        from: &str,
        to: &str,
        expect: Expect,
    ) -> Result<(), Error> {
        self.change(session, agent, |slot| {
            let path = |text| {
                slot.session.path(text).map_err(|bad| refuse(slot, agent, Reason::Path(Box::new(bad))))
            };
            Ok(FileCommand::Rename { from: path(from)?, to: path(to)?, expect })
        })
        .await
    }

    /// Makes an earlier version of a path the newest one, also where the file was deleted since.
    ///
    /// # Errors
    /// Those of [`write_file`](Self::write_file); [`Reason::Session`] too where the version is not remembered.
    pub async fn restore_file(
        &self,
        session: &SessionId,
        agent: &Did,
        path: &str,
        revision: Revision,
        expect: Expect,
    ) -> Result<(), Error> {
        self.change(session, agent, |slot| {
            let path = slot.session.path(path);
            let path = path.map_err(|bad| refuse(slot, agent, Reason::Path(Box::new(bad))))?;
            Ok(FileCommand::Restore { path, revision, expect })
        })
        .await
    }

    /// Says who but its owner may do what with a file; nothing opens it to all members again.
    ///
    /// # Errors
    /// [`Reason::Session`] where the agent is not the owner, or speaks of one that the session does not know;
    /// otherwise those of [`write_file`](Self::write_file).
    pub async fn set_acl(
        &self,
        session: &SessionId,
        agent: &Did,
        path: &str,
        rules: Option<&[AclRule]>,
    ) -> Result<(), Error> {
        self.change(session, agent, |slot| {
            let path = slot.session.path(path);
            let path = path.map_err(|bad| refuse(slot, agent, Reason::Path(Box::new(bad))))?;
            let Some(rules) = rules else { return Ok(FileCommand::ClearAcl { path }) };
            let mut acl = Acl::closed();
            for AclRule { who, allow, deny } in rules {
                let who = match who {
                    None => Grantee::Everyone,
                    Some(did) => Grantee::Member { ordinal: ordinal(slot, agent, did)? },
                };
                acl = acl.allow(who, *allow).deny(who, *deny);
            }
            Ok(FileCommand::SetAcl { path, acl })
        })
        .await
    }

    /// Who but its owner may do what with a path; nothing where it is open to all members.
    ///
    /// # Errors
    /// Those of [`file_history`](Self::file_history).
    pub async fn file_acl(
        &self,
        session: &SessionId,
        agent: &Did,
        path: &str,
    ) -> Result<Option<Vec<AclRule>>, Error> {
        self.node()
            .commit(|state, now| {
                let (slot, path) = enter(state, now, session, agent, path)?;
                readable(slot, agent, &path)?;
                let rule = |&Rule { who, allow, deny }: &Rule| match who {
                    Grantee::Everyone => Some(AclRule { who: None, allow, deny }),
                    Grantee::Member { ordinal } => {
                        Some(AclRule { who: Some(name(slot, ordinal)?), allow, deny })
                    }
                };
                let acl = slot.session.files().acl(&path);
                let rules = acl.map(|acl| acl.rules().iter().filter_map(rule).collect());
                Ok((Draft::showing(&slot.session), rules))
            })
            .await
    }

    /// Keeps the files and their ACLs as they are now, under a name; gives the name. O(1), and copies nothing.
    ///
    /// # Errors
    /// [`Reason::Session`] where the name is taken or there are as many snapshots as there may be; otherwise those
    /// of [`write_file`](Self::write_file).
    pub async fn take_snapshot(
        &self,
        session: &SessionId,
        agent: &Did,
        snapshot: Option<&SnapshotName>,
    ) -> Result<SnapshotName, Error> {
        let command = |_: &Slot| Ok(FileCommand::TakeSnapshot { name: snapshot.cloned() });
        self.change_giving(session, agent, command, |slot| {
            // The one that is about to be taken: whoever else takes one gets another name.
            snapshot.cloned().unwrap_or_else(|| slot.session.files().next_name())
        })
        .await
    }

    /// Makes the files and their ACLs what they were at a snapshot. The agent must be allowed everything that this
    /// comes to, path by path. O(changes).
    ///
    /// # Errors
    /// Those of [`write_file`](Self::write_file); [`Reason::Session`] too where there is no such snapshot.
    pub async fn roll_back(
        &self,
        session: &SessionId,
        agent: &Did,
        snapshot: &SnapshotName,
    ) -> Result<(), Error> {
        self.change(session, agent, |_| Ok(FileCommand::RollBack { snapshot: snapshot.clone() })).await
    }

    /// Forgets a snapshot; only who took it may.
    ///
    /// # Errors
    /// Those of [`roll_back`](Self::roll_back).
    pub async fn drop_snapshot(
        &self,
        session: &SessionId,
        agent: &Did,
        snapshot: &SnapshotName,
    ) -> Result<(), Error> {
        self.change(session, agent, |_| Ok(FileCommand::DropSnapshot { snapshot: snapshot.clone() })).await
    }

    /// The snapshots in the order in which they were taken.
    ///
    /// # Errors
    /// [`Reason::Gate`]; [`Error::Log`], [`Error::Poisoned`].
    pub async fn snapshots(&self, session: &SessionId, agent: &Did) -> Result<Vec<SnapshotView>, Error> {
        self.look(session, agent, |slot, _| {
            let view = |snapshot: &hv_session::Snapshot| SnapshotView {
                name: snapshot.name().clone(),
                agent: name(slot, snapshot.agent()),
                at: snapshot.at(),
                files: snapshot.len(),
                bytes: snapshot.bytes(),
            };
            Ok(slot.session.files().snapshots().iter().map(view).collect())
        })
        .await
    }

    /// What differs between two moments, as far as the agent may read it, in the order of paths; now, where no
    /// snapshot is named. O(changes).
    ///
    /// # Errors
    /// [`Reason::Gate`], and [`Reason::Session`] where there is no such snapshot; [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn diff_files(
        &self,
        session: &SessionId,
        agent: &Did,
        from: Option<&SnapshotName>,
        to: Option<&SnapshotName>,
    ) -> Result<Vec<FileDiff>, Error> {
        self.look(session, agent, |slot, member| {
            let space = slot.session.files();
            let moment = |name: Option<_>| name.map_or(Moment::Now, Moment::Snapshot);
            let changes = space.diff(moment(from), moment(to));
            let changes = changes.map_err(|denial| refuse_file(slot, agent, denial))?;
            let seen =
                changes.into_iter().filter(|change| space.rights(member, change.path).has(Right::Read));
            let diff = |change: hv_session::PathChange<'_>| FileDiff {
                path: change.path.as_str().to_owned(),
                before: change.before.map(hv_session::File::content),
                after: change.after.map(hv_session::File::content),
            };
            Ok(seen.map(diff).collect())
        })
        .await
    }

    /// Looks at the files as a member; only a refusal is recorded.
    async fn look<T>(
        &self,
        session: &SessionId,
        agent: &Did,
        look: impl FnOnce(&Slot, u32) -> Result<T, Box<Refusal>>,
    ) -> Result<T, Error> {
        self.node()
            .commit(|state, now| {
                let slot = pass(state, now, session, agent, Access::Read)?;
                intent::files((slot, now), agent, Access::Read, Vec::new)?;
                let member = slot.session.member(agent).map(|member| member.ordinal).unwrap_or(u32::MAX);
                Ok((Draft::showing(&slot.session), look(slot, member)?))
            })
            .await
    }

    async fn change(
        &self,
        session: &SessionId,
        agent: &Did,
        command: impl FnOnce(&Slot) -> Result<FileCommand, Box<Refusal>>,
    ) -> Result<(), Error> {
        self.change_giving(session, agent, command, |_| ()).await
    }

    /// The same; gives what is asked of the session as it is before.
    async fn change_giving<T>(
        &self,
        session: &SessionId,
        agent: &Did,
        command: impl FnOnce(&Slot) -> Result<FileCommand, Box<Refusal>>,
        ask: impl FnOnce(&Slot) -> T,
    ) -> Result<T, Error> {
        self.node()
            .commit(|state, now| {
                let slot = pass(state, now, session, agent, Access::Change)?;
                let command = command(slot)?;
                let used = intent::files((slot, now), agent, Access::Change, || touched(&command))?;
                let mut draft = Draft::begin().of(slot.stream).and(used);
                let decided = draft.decide_file(&slot.session, agent, &command, now);
                decided.map_err(|denial| slot.refuse_session("change_file", Some(agent), denial))?;
                Ok((draft, ask(slot)))
            })
            .await
    }
}

/// A version of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileMoment {
    /// By its number.
    Version(Revision),
    /// As it was in a snapshot.
    Snapshot(SnapshotName),
}

fn readable(slot: &Slot, agent: &Did, path: &FilePath) -> Result<(), Box<Refusal>> {
    let read = slot.session.read(agent, path);
    read.map(|_| ()).map_err(|denial| slot.refuse_session("read_file", Some(agent), denial))
}

fn snapshot<'a>(
    slot: &Slot,
    space: &'a FileSpace,
    agent: &Did,
    name: &SnapshotName,
) -> Result<&'a hv_session::Snapshot, Box<Refusal>> {
    let missing = || refuse_file(slot, agent, FileDenial::NoSuchSnapshot { name: name.clone() });
    space.snapshot(name).ok_or_else(missing)
}

fn ordinal(slot: &Slot, agent: &Did, did: &Did) -> Result<u32, Box<Refusal>> {
    let known = slot.session.known(did).map(|member| member.ordinal);
    let unknown = || hv_session::SessionDenial::NotAMember { did: did.clone() };
    known.ok_or_else(|| slot.refuse_session("set_acl", Some(agent), unknown()))
}

fn refuse(slot: &Slot, agent: &Did, reason: Reason) -> Box<Refusal> {
    slot.refuse("file", Some(agent), None, reason)
}

fn refuse_file(slot: &Slot, agent: &Did, denial: FileDenial) -> Box<Refusal> {
    slot.refuse_session("file", Some(agent), denial.into())
}

/// Who has an ordinal.
fn name(slot: &Slot, ordinal: u32) -> Option<Did> {
    slot.session.by_ordinal(ordinal).map(|member| member.did.clone())
}
