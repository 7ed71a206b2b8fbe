//! The file space of a session behind the gate: reading is open to members, changing needs Ring 2.

use crate::early::{Proof, Receipt, Write};
use crate::error::{Error, Reason};
use crate::gate;
use crate::hypervisor::Hypervisor;
use crate::intent;
use crate::node::{Draft, Refusal};
use crate::state::{Slot, State};
use hv_audit::{Lsn, PayloadRef, StreamNo};
use hv_rings::class::Class;
use hv_session::{BadPath, ConsistencyMode, Content, Expect, FileCommand, FilePath};
use hv_types::{ActionId, ActionKind, Did, Digest, Reversibility, SessionId, Timestamp};
use std::sync::LazyLock;

/// What is done to a file, as far as the gate asks.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    Read,
    /// Every version stays, so a change can be undone entirely.
    Change,
}

impl Access {
    pub(crate) fn class(self) -> Class {
        let kind = match self {
            Self::Read => ActionKind::ReadOnly,
            Self::Change => ActionKind::Effect,
        };
        Class { kind, reversibility: Reversibility::Full, risk: Reversibility::Full.default_risk() }
    }

    pub(crate) fn action(self) -> Result<&'static ActionId, hv_types::BadIdent> {
        static NAMES: LazyLock<[Result<ActionId, hv_types::BadIdent>; 2]> =
            LazyLock::new(|| ["hv.files.read", "hv.files.change"].map(ActionId::new));
        let [read, change] = &*NAMES;
        match self {
            Self::Read => read.as_ref().map_err(Clone::clone),
            Self::Change => change.as_ref().map_err(Clone::clone),
        }
    }
}

impl Hypervisor {
    /// Gives a file of the session a new content; makes the file where there is none.
    ///
    /// `path` is relative or below `/sessions/<id>/`. The content is kept outside the records, which hold a
    /// keyed id of it, so that it can be purged and not be guessed afterwards.
    ///
    /// In the strong mode the write is durable when this returns, its content with its record. In the eventual mode both
    /// are soon after: at most [`EARLY_MAX`](crate::EARLY_MAX) writes of a node are answered and not durable yet. Where 8 MiB
    /// of contents wait for the disk, or 256 contents, this waits in either mode.
    ///
    /// # Errors
    /// [`Reason::Gate`] where the agent lacks Ring 2, [`Reason::Path`] where the path is none of the session's,
    /// [`Reason::Session`] where an ACL, a quota or a newer version is in the way; [`Error::Log`],
    /// [`Error::Poisoned`].
    pub async fn write_file(
        &self,
        session: &SessionId,
        agent: &Did,
        path: &str,
        content: Vec<u8>,
        expect: Expect,
    ) -> Result<(), Error> {
        let payload = self.node().put_payload(content).await?;
        let content = Content { id: payload.id(), length: payload.length() };
        self.node().refresh(session, |_| vec![agent.clone()]).await?;
        let write =
            self.give_content((session, agent), path, (content, expect), Some(payload), Proof::NotWanted)?;
        self.node().settle_write(write).await.map(drop)
    }

    /// As [`write_file`](Self::write_file); gives what proves that the write was answered.
    ///
    /// # Errors
    /// Those of [`write_file`](Self::write_file).
    pub async fn write_file_with_receipt(
        &self,
        session: &SessionId,
        agent: &Did,
        path: &str,
        content: Vec<u8>,
        expect: Expect,
    ) -> Result<Receipt, Error> {
        let payload = self.node().put_payload(content).await?;
        let content = Content { id: payload.id(), length: payload.length() };
        self.node().refresh(session, |_| vec![agent.clone()]).await?;
        let write =
            self.give_content((session, agent), path, (content, expect), Some(payload), Proof::Wanted)?;
        let receipt = self.node().settle_write(write).await?;
        receipt.map(|receipt| *receipt).ok_or_else(|| Error::NoSession(session.clone()))
    }

    /// As [`write_file`](Self::write_file), for a content that the embedding program keeps itself: of it, only
    /// the id that the program gives it and its length are known here, so it cannot be read through the node.
    ///
    /// # Errors
    /// Those of [`write_file`](Self::write_file).
    pub async fn record_file(
        &self,
        session: &SessionId,
        agent: &Did,
        path: &str,
        content: Content,
        expect: Expect,
    ) -> Result<(), Error> {
        self.node().refresh(session, |_| vec![agent.clone()]).await?;
        let write = self.give_content((session, agent), path, (content, expect), None, Proof::NotWanted)?;
        self.node().settle_write(write).await.map(drop)
    }

    /// Deletes a file of the session; its versions stay.
    ///
    /// # Errors
    /// Those of [`write_file`](Self::write_file); [`Reason::Session`] too where there is no such file.
    pub async fn delete_file(
        &self,
        session: &SessionId,
        agent: &Did,
        path: &str,
        expect: Expect,
    ) -> Result<(), Error> {
        self.node().refresh(session, |_| vec![agent.clone()]).await?;
        let command = FilePath::parse(session, path).map(|path| FileCommand::Delete { path, expect });
        let write = self.change_file((session, agent), &command, None, Proof::NotWanted)?;
        self.node().settle_write(write).await.map(drop)
    }

    /// Reads a file of the session; `None` where there is none. In the strong mode what is read is durable when this
    /// returns, whoever wrote it; in the eventual mode it may be what was answered before it was.
    ///
    /// # Errors
    /// [`Reason::Gate`] where the agent is no member that may act, [`Reason::Path`], and [`Reason::Session`]
    /// where an ACL is in the way; [`Error::Log`], [`Error::Poisoned`].
    pub async fn read_file(
        &self,
        session: &SessionId,
        agent: &Did,
        path: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let look = |state: &State, now| -> Result<(Draft, Option<Digest>), Box<Refusal>> {
            let (slot, path) = enter(state, now, session, agent, path)?;
            let file = slot.session.read(agent, &path);
            let file = file.map_err(|denial| slot.refuse_session("read_file", Some(agent), denial))?;
            Ok((Draft::showing(&slot.session), file.map(|file| file.content().id)))
        };
        self.node().refresh(session, |_| vec![agent.clone()]).await?;
        // Reading changes nothing, so only a refusal is recorded.
        let id = self.node().commit(look).await?;
        match id {
            Some(id) => Ok(self.log().payload(&id)?),
            None => Ok(None),
        }
    }

    /// The files of a session that are there now, relative and in order. It waits for nothing, so what it shows may not be
    /// durable yet; [`stat_files`](Self::stat_files) shows what is, in the strong mode.
    ///
    /// # Errors
    /// [`Error::NoSession`], [`Error::Poisoned`].
    pub fn list_files(&self, session: &SessionId) -> Result<Vec<String>, Error> {
        self.node().read(|state, _| {
            let slot = state.slot(session).ok_or_else(|| Error::NoSession(session.clone()))?;
            Ok(slot.session.files().list().map(|(path, _)| path.as_str().to_owned()).collect())
        })?
    }

    /// Gives a file a new content. The command is gone before what it comes to is waited for.
    fn give_content(
        &self,
        (session, agent): (&SessionId, &Did),
        path: &str,
        (content, expect): (Content, Expect),
        attached: Option<PayloadRef>,
        proof: Proof,
    ) -> Result<Write, Error> {
        let path = FilePath::parse(session, path);
        let command = path.map(|path| FileCommand::Write { path, content, expect });
        self.change_file((session, agent), &command, attached, proof)
    }

    /// Decides and records; what it gives is settled by whoever waits for it.
    fn change_file(
        &self,
        (session, agent): (&SessionId, &Did),
        command: &Result<FileCommand, BadPath>,
        attached: Option<PayloadRef>,
        proof: Proof,
    ) -> Result<Write, Error> {
        let mut mode = ConsistencyMode::Strong;
        let recorded = self.node().run(
            |state, now| {
                let slot = found(state, session, agent)?;
                let command = command.as_ref().map_err(|bad| refuse_path(slot, agent, bad.clone()))?;
                pass_in((state, slot, now), agent, Access::Change)?;
                let used = intent::files((slot, now), agent, Access::Change, || touched(command))?;
                let mut draft = Draft::begin().of(slot.stream).and(used);
                let decided = draft.decide_file(&slot.session, agent, command, now);
                decided.map_err(|denial| slot.refuse_session("change_file", Some(agent), denial))?;
                if let Some(payload) = attached {
                    draft = draft.attaching(payload);
                }
                mode = slot.session.mode();
                Ok((draft, slot.stream))
            },
            |_, stream| self.receipt(session, stream, proof),
        )?;
        if recorded.revealed().is_none() {
            // What is denied is not kept.
            attached.iter().try_for_each(|payload| self.log().forget_payload(payload))?;
        }
        self.node().written(recorded, mode)
    }

    /// What proves the record that was appended last to a stream; the node's lock is held.
    fn receipt(&self, session: &SessionId, stream: StreamNo, proof: Proof) -> Option<Box<Receipt>> {
        let head = if proof == Proof::Wanted { self.log().head(stream)? } else { return None };
        let (session, lsn) = (session.clone(), Lsn(0));
        Some(Box::new(Receipt { session, stream, seq: head.length.saturating_sub(1), lsn, hash: head.tip }))
    }
}

/// The paths that a command changes; none where it is about all of them.
pub(crate) fn touched(command: &FileCommand) -> Vec<&FilePath> {
    match command {
        FileCommand::Write { path, .. }
        | FileCommand::Delete { path, .. }
        | FileCommand::Restore { path, .. }
        | FileCommand::SetAcl { path, .. }
        | FileCommand::ClearAcl { path, .. } => vec![path],
        FileCommand::Rename { from, to, .. } => vec![from, to],
        FileCommand::TakeSnapshot { .. }
        | FileCommand::RollBack { .. }
        | FileCommand::DropSnapshot { .. } => Vec::new(),
    }
}

fn found<'a>(state: &'a State, session: &SessionId, agent: &Did) -> Result<&'a Slot, Box<Refusal>> {
    state.slot(session).ok_or_else(|| Refusal::no_session("file", Some(agent), session))
}

#[cold]
fn refuse_path(slot: &Slot, agent: &Did, bad: BadPath) -> Box<Refusal> {
    slot.refuse("file", Some(agent), None, Reason::Path(Box::new(bad)))
}

/// Through the gate, to a path of the session that is to be read.
pub(crate) fn enter<'a>(
    state: &'a State,
    now: Timestamp,
    session: &SessionId,
    agent: &Did,
    path: &str,
) -> Result<(&'a Slot, FilePath), Box<Refusal>> {
    let slot = found(state, session, agent)?;
    let path = slot.session.path(path).map_err(|bad| refuse_path(slot, agent, bad))?;
    pass_in((state, slot, now), agent, Access::Read)?;
    intent::files((slot, now), agent, Access::Read, || vec![&path])?;
    Ok((slot, path))
}

/// Through the gate, to the files of the session.
pub(crate) fn pass<'a>(
    state: &'a State,
    now: Timestamp,
    session: &SessionId,
    agent: &Did,
    access: Access,
) -> Result<&'a Slot, Box<Refusal>> {
    let slot = found(state, session, agent)?;
    pass_in((state, slot, now), agent, access)?;
    Ok(slot)
}

fn pass_in(
    (state, slot, now): (&State, &Slot, Timestamp),
    agent: &Did,
    access: Access,
) -> Result<(), Box<Refusal>> {
    let refuse = |action: Option<&ActionId>, reason| slot.refuse("file", Some(agent), action, reason);
    let action = access.action().map_err(|bad| refuse(None, Reason::Ident(bad)))?;
    if let Some(killed) = state.kills.hit(&slot.id, agent, Some(action)) {
        return Err(refuse(Some(action), killed));
    }
    match gate::check_call((state, slot, now), agent, action, access.class()) {
        Ok(_) => Ok(()),
        Err((denial, trip)) => {
            let reason = gate::reason(state, agent, denial, now);
            let trips = trip.map(|trip| *trip).into_iter().collect();
            Err(refuse(Some(action), reason).leading_to(trips))
        }
    }
}
