//! The session itself: one machine over its lifecycle, its members and its files.

use crate::files::{Actor, Origin};
use crate::roster::Roster;
use crate::{
    BadMove, BadPath, BadPathCause, ConsistencyMode, Eviction, File, FileCommand, FileDenial, FileEvent,
    FilePath, FileSpace, MemberRef, ROSTER_MAX, Right, SessionCommand, SessionConfig, SessionDenial,
    SessionEvent, SessionState, Standing,
};
use hv_types::{Did, Illegal, Machine, SessionId, Timestamp};

/// A session. The default value is one that was not created yet.
///
/// An active session has at least one member: who would be the last to leave may not, and where the last is
/// put out the session begins to terminate first.
///
/// It changes by [`apply`](Machine::apply) alone, which takes nothing but the event, so replaying any prefix of
/// what happened gives the state of then. `INVARIANT (S4)`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    genesis: Option<Genesis>,
    state: SessionState,
    /// Where it is not the mode of the settings.
    forced: Option<ConsistencyMode>,
    config: SessionConfig,
    roster: Roster,
    files: FileSpace,
    resuming: Option<Resuming>,
}

/// What never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Genesis {
    id: SessionId,
    creator: Did,
    at: Timestamp,
}

/// The events of a compacted session are still being applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resuming;

impl Session {
    /// Its name; none before it was created.
    #[must_use]
    pub fn id(&self) -> Option<&SessionId> {
        self.genesis.as_ref().map(|genesis| &genesis.id)
    }

    /// Who created it; no member unless it joined.
    #[must_use]
    pub fn creator(&self) -> Option<&Did> {
        self.genesis.as_ref().map(|genesis| &genesis.creator)
    }

    /// Where it is in its life; [`SessionState::Created`] also before it was created.
    #[must_use]
    pub const fn state(&self) -> SessionState {
        self.state
    }

    /// Its settings, as it was created with them.
    #[must_use]
    pub const fn config(&self) -> &SessionConfig {
        &self.config
    }

    /// The mode that holds now: the one it was created with, unless strong was forced.
    #[must_use]
    pub const fn mode(&self) -> ConsistencyMode {
        match self.forced {
            Some(mode) => mode,
            None => self.config.mode(),
        }
    }

    /// When its time is over; none before it was created.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.genesis.as_ref().map(|genesis| genesis.at.after(self.config.max_duration()))
    }

    /// Whether members may act: it is active and its time is not over.
    #[must_use]
    pub fn live(&self, now: Timestamp) -> bool {
        self.state == SessionState::Active && self.in_time(now).is_ok()
    }

    /// The member of this name; none where the agent is not in the session now. O(log n) of all ever in it.
    #[must_use]
    pub fn member(&self, did: &Did) -> Option<MemberRef<'_>> {
        self.roster.find(did).filter(MemberRef::is_present)
    }

    /// The agent of this name, in the session now or formerly. O(log n) of all ever in it.
    #[must_use]
    pub fn known(&self, did: &Did) -> Option<MemberRef<'_>> {
        self.roster.find(did)
    }

    /// The agent of this ordinal, in the session now or formerly.
    #[must_use]
    pub fn by_ordinal(&self, ordinal: u32) -> Option<MemberRef<'_>> {
        self.roster.by_ordinal(ordinal)
    }

    /// Who is in the session now, in the order of first joins. O(n) of all ever in it.
    pub fn members(&self) -> impl Iterator<Item = MemberRef<'_>> {
        self.roster.iter().filter(MemberRef::is_present)
    }

    /// Who is or was in the session, in the order of first joins.
    pub fn roster(&self) -> impl Iterator<Item = MemberRef<'_>> {
        self.roster.iter()
    }

    /// How many are in the session now.
    #[must_use]
    pub const fn present(&self) -> u32 {
        self.roster.present()
    }

    /// The files.
    #[must_use]
    pub const fn files(&self) -> &FileSpace {
        &self.files
    }

    /// Reads a text as the path of a file of this session.
    ///
    /// # Errors
    /// [`BadPath`] where it names none; every path before the session was created.
    pub fn path(&self, text: &str) -> Result<FilePath, BadPath> {
        match self.id() {
            Some(id) => FilePath::parse(id, text),
            None => Err(BadPath { text: text.chars().take(80).collect(), cause: BadPathCause::Outside }),
        }
    }

    /// The file at a path, for a member; none where there is none.
    ///
    /// # Errors
    /// [`SessionDenial::NotAMember`], and [`FileDenial::Forbidden`] where the path's ACL does not let the member
    /// read it.
    pub fn read(&self, reader: &Did, path: &FilePath) -> Result<Option<&File>, SessionDenial> {
        let member = self.present_member(reader)?;
        if !self.files.rights(member.ordinal, path).has(Right::Read) {
            return Err(FileDenial::Forbidden { path: path.clone(), right: Right::Read }.into());
        }
        Ok(self.files.get(path))
    }

    fn in_time(&self, now: Timestamp) -> Result<(), SessionDenial> {
        match self.deadline() {
            Some(deadline) if now < deadline => Ok(()),
            Some(deadline) => Err(SessionDenial::Expired { deadline }),
            None => Err(SessionDenial::NotCreated),
        }
    }

    fn in_state(&self, command: &'static str, allowed: &[SessionState]) -> Result<(), SessionDenial> {
        if allowed.contains(&self.state) {
            return Ok(());
        }
        Err(SessionDenial::State { command, state: self.state })
    }

    fn present_member(&self, did: &Did) -> Result<MemberRef<'_>, SessionDenial> {
        self.member(did).ok_or_else(|| SessionDenial::NotAMember { did: did.clone() })
    }
}

/// Joins are possible in these states.
const OPEN: [SessionState; 2] = [SessionState::Handshaking, SessionState::Active];

/// Members can be put out and readmitted in these.
const NOT_OVER: [SessionState; 3] =
    [SessionState::Handshaking, SessionState::Active, SessionState::Terminating];

impl Machine for Session {
    type Command = SessionCommand;
    type Event = SessionEvent;
    type Denial = SessionDenial;

    fn decide(&self, command: &SessionCommand, now: Timestamp) -> Result<Vec<SessionEvent>, SessionDenial> {
        let mut events = Vec::new();
        self.decide_into(command, now, &mut events)?;
        Ok(events)
    }

    fn apply(&mut self, event: &SessionEvent) -> Result<(), Illegal> {
        self.take_up(event, Origin::Recorded)
    }

    fn compact(&self) -> Vec<SessionEvent> {
        let Some(Genesis { id, creator, at }) = self.genesis.clone() else { return Vec::new() };
        let (config, state, mode) = (self.config, self.state, self.mode());
        let head = SessionEvent::Resumed { id, creator, config, at, state, mode };
        let seats = self.roster.iter().map(|MemberRef { did, parent, standing, .. }| SessionEvent::Seated {
            did: did.clone(),
            parent,
            standing,
        });
        let complete = self.resuming.is_none().then_some(SessionEvent::Complete);
        let files = self.files.image().into_iter().map(|part| SessionEvent::Files { part });
        core::iter::once(head).chain(seats).chain(files).chain(complete).collect()
    }
}

/// How events change it.
impl Session {
    /// As [`apply`](Machine::apply), for events that [`decide`](Machine::decide) has just given in this very state, in
    /// their order: what was decided about files is not decided a second time.
    ///
    /// # Errors
    /// Those of [`apply`](Machine::apply), but for files.
    pub fn apply_decided(&mut self, event: &SessionEvent) -> Result<(), Illegal> {
        self.take_up(event, Origin::Decided)
    }

    fn take_up(&mut self, event: &SessionEvent, origin: Origin) -> Result<(), Illegal> {
        if self.genesis.is_none() {
            return self.created(event);
        }
        if self.resuming.is_some() {
            return self.resume(event);
        }
        match event {
            SessionEvent::Created { .. } => Err(Illegal::new("a session is created once")),
            SessionEvent::Resumed { .. }
            | SessionEvent::Seated { .. }
            | SessionEvent::Files { .. }
            | SessionEvent::Complete => {
                Err(Illegal::new("a session is resumed before anything else happens in it"))
            }
            SessionEvent::Moved { to } => {
                let next = self.state.transition(*to).map_err(|BadMove { .. }| Illegal::new(MOVES))?;
                let nobody = next == SessionState::Active && self.present() == 0;
                rule(!nobody, "an active session has a member")?;
                self.state = next;
                Ok(())
            }
            SessionEvent::Joined { did, parent } => {
                self.room_to_join()?;
                rule(self.roster.find(did).is_none(), "an agent has one ordinal")?;
                rule(self.roster.len() < ROSTER_MAX, "a session sees so many agents and no more")?;
                rule(parent.is_none_or(|p| self.is_present(p)), "a child joins while its parent is there")?;
                self.roster.add(did, *parent, Standing::Present);
                Ok(())
            }
            SessionEvent::Rejoined { member } => {
                self.room_to_join()?;
                let back = self.by_ordinal(*member).filter(|back| back.standing == Standing::Left);
                let back = back.ok_or(Illegal::new("only one that left joins again"))?;
                let parent = back.parent;
                rule(parent.is_none_or(|p| self.is_present(p)), "a child joins while its parent is there")?;
                self.roster.set(*member, Standing::Present);
                Ok(())
            }
            SessionEvent::Left { member } => {
                rule(OPEN.contains(&self.state), "members leave while the session is open")?;
                self.goes(*member, Standing::Left)
            }
            SessionEvent::Evicted { member, reason } => {
                rule(NOT_OVER.contains(&self.state), "nobody is put out of a session that is over")?;
                self.goes(*member, Standing::Evicted { reason: *reason })
            }
            SessionEvent::Readmitted { member } => {
                rule(NOT_OVER.contains(&self.state), "nobody comes back to a session that is over")?;
                let out = self.by_ordinal(*member).map(|out| out.standing);
                let out = matches!(out, Some(Standing::Evicted { .. }));
                rule(out, "only one that was put out is readmitted")?;
                self.roster.set(*member, Standing::Left);
                Ok(())
            }
            SessionEvent::StrongForced => {
                rule(OPEN.contains(&self.state), "the mode changes while the session is open")?;
                rule(self.mode() == ConsistencyMode::Eventual, "the strong mode is forced once")?;
                self.forced = Some(ConsistencyMode::Strong);
                Ok(())
            }
            SessionEvent::File { agent, at, event } => {
                rule(self.is_present(*agent), "only a member changes files")?;
                let undoes = matches!(event, FileEvent::Deleted { .. } | FileEvent::Restored { .. });
                let allowed = match self.state {
                    SessionState::Active => self.in_time(*at).is_ok(),
                    SessionState::Terminating => undoes,
                    SessionState::Created | SessionState::Handshaking | SessionState::Archived => false,
                };
                rule(allowed, "files change while members may act, or to undo")?;
                let ordinals = self.roster.len();
                let mode = self.mode();
                let quotas = self.config.quotas();
                let actor = Actor { agent: *agent, at: *at, mode, quotas, ordinals };
                self.files.apply(actor, event, origin)
            }
        }
    }
}

/// Appends an event, which is made in its place in the list: they are large.
#[inline(always)]
pub(crate) fn say(events: &mut Vec<SessionEvent>, event: impl FnOnce() -> SessionEvent) {
    events.extend(core::iter::once_with(event));
}

/// What each command comes to.
impl Session {
    /// As [`decide`](Machine::decide), appending to events that the caller keeps room for. A refusal appends nothing.
    ///
    /// # Errors
    /// Those of [`decide`](Machine::decide).
    pub fn decide_into(
        &self,
        command: &SessionCommand,
        now: Timestamp,
        events: &mut Vec<SessionEvent>,
    ) -> Result<(), SessionDenial> {
        match (command, &self.genesis) {
            (SessionCommand::Create { id, creator, config }, None) => {
                let (id, creator) = (id.clone(), creator.clone());
                say(events, || SessionEvent::Created { id, creator, config: *config, at: now });
                say(events, || SessionEvent::Moved { to: SessionState::Handshaking });
            }
            (SessionCommand::Create { .. }, Some(genesis)) => {
                return Err(SessionDenial::AlreadyCreated { id: genesis.id.clone() });
            }
            (_, None) => return Err(SessionDenial::NotCreated),
            (_, Some(_)) if self.resuming.is_some() => return Err(SessionDenial::NotCreated),
            (SessionCommand::Join { did, needs }, _) => {
                self.join(did, None, now, events)?;
                self.force_strong(*needs, events);
            }
            (SessionCommand::AddChild { parent, child, needs }, _) => {
                self.join(child, Some(parent), now, events)?;
                self.force_strong(*needs, events);
            }
            (SessionCommand::Activate, _) => self.activate(now, events)?,
            (SessionCommand::Leave { did }, _) => events.extend(self.leave(did, now)?),
            (SessionCommand::Evict { did, reason }, _) => events.extend(self.evict(did, *reason)?),
            (SessionCommand::Readmit { did }, _) => events.push(self.readmit(did)?),
            (SessionCommand::Terminate, _) => self.moves(SessionState::Terminating, events)?,
            (SessionCommand::Archive, _) => self.moves(SessionState::Archived, events)?,
            (SessionCommand::End, _) => {
                if self.state != SessionState::Terminating {
                    self.moves(SessionState::Terminating, events)?;
                }
                say(events, || SessionEvent::Moved { to: SessionState::Archived });
            }
            (SessionCommand::ForceStrong, _) => {
                self.in_state("force the strong mode", &OPEN)?;
                self.in_time(now)?;
                self.force_strong(ConsistencyMode::Strong, events);
            }
            (SessionCommand::File { agent, command }, _) => self.decide_file(agent, command, now, events)?,
        }
        Ok(())
    }

    fn join(
        &self,
        did: &Did,
        parent: Option<&Did>,
        now: Timestamp,
        events: &mut Vec<SessionEvent>,
    ) -> Result<(), SessionDenial> {
        self.in_state("join", &OPEN)?;
        self.in_time(now)?;
        let parent = parent.map(|parent| self.present_member(parent)).transpose()?;
        let known = self.known(did);
        match known {
            Some(known) => self.may_rejoin(known, parent)?,
            None if self.roster.len() >= ROSTER_MAX => return Err(SessionDenial::RosterFull),
            None => {}
        }
        if self.present() >= self.config.max_participants() {
            return Err(SessionDenial::Full { limit: self.config.max_participants() });
        }
        match known {
            Some(known) => say(events, || SessionEvent::Rejoined { member: known.ordinal }),
            None => {
                let parent = parent.map(|parent| parent.ordinal);
                say(events, || SessionEvent::Joined { did: did.clone(), parent });
            }
        }
        Ok(())
    }

    fn may_rejoin(&self, known: MemberRef<'_>, parent: Option<MemberRef<'_>>) -> Result<(), SessionDenial> {
        let did = || known.did.clone();
        match known.standing {
            Standing::Present => return Err(SessionDenial::AlreadyMember { did: did() }),
            Standing::Evicted { reason } => return Err(SessionDenial::Evicted { did: did(), reason }),
            Standing::Left => {}
        }
        if parent.is_some_and(|parent| Some(parent.ordinal) != known.parent) {
            return Err(SessionDenial::ParentIsFixed { did: did() });
        }
        let absent = known.parent.and_then(|p| self.by_ordinal(p)).filter(|parent| !parent.is_present());
        match absent {
            Some(parent) => Err(SessionDenial::ParentAbsent { did: did(), parent: parent.did.clone() }),
            None => Ok(()),
        }
    }

    fn activate(&self, now: Timestamp, events: &mut Vec<SessionEvent>) -> Result<(), SessionDenial> {
        let to = self.state.transition(SessionState::Active)?;
        self.in_time(now)?;
        if self.present() == 0 {
            return Err(SessionDenial::Nobody);
        }
        say(events, || SessionEvent::Moved { to });
        Ok(())
    }

    fn leave(&self, did: &Did, now: Timestamp) -> Result<Vec<SessionEvent>, SessionDenial> {
        self.in_state("leave", &OPEN)?;
        self.in_time(now)?;
        let line = self.roster.with_descendants(self.present_member(did)?.ordinal);
        if self.empties(&line) {
            return Err(SessionDenial::LastMember { did: did.clone() });
        }
        Ok(line.into_iter().map(|member| SessionEvent::Left { member }).collect())
    }

    fn evict(&self, did: &Did, reason: Eviction) -> Result<Vec<SessionEvent>, SessionDenial> {
        self.in_state("evict", &NOT_OVER)?;
        let first = self.present_member(did)?.ordinal;
        let line = self.roster.with_descendants(first);
        let end = self.empties(&line).then_some(SessionEvent::Moved { to: SessionState::Terminating });
        let out = line.into_iter().map(|member| {
            let reason = if member == first { reason } else { Eviction::ParentEvicted };
            SessionEvent::Evicted { member, reason }
        });
        Ok(end.into_iter().chain(out).collect())
    }

    fn readmit(&self, did: &Did) -> Result<SessionEvent, SessionDenial> {
        self.in_state("readmit", &NOT_OVER)?;
        let known = self.known(did).ok_or_else(|| SessionDenial::NotAMember { did: did.clone() })?;
        match known.standing {
            Standing::Evicted { .. } => Ok(SessionEvent::Readmitted { member: known.ordinal }),
            Standing::Present | Standing::Left => Err(SessionDenial::NotEvicted { did: did.clone() }),
        }
    }

    /// What a member's [`SessionCommand::File`] comes to, appended as by [`decide_into`](Self::decide_into), without a
    /// command around it.
    ///
    /// # Errors
    /// Those of [`decide`](Machine::decide).
    pub fn decide_file(
        &self,
        agent: &Did,
        command: &FileCommand,
        now: Timestamp,
        events: &mut Vec<SessionEvent>,
    ) -> Result<(), SessionDenial> {
        if self.genesis.is_none() || self.resuming.is_some() {
            return Err(SessionDenial::NotCreated);
        }
        match command {
            FileCommand::Delete { .. } | FileCommand::Restore { .. } => {
                self.in_state("change files", &[SessionState::Active, SessionState::Terminating])?;
            }
            _ => self.in_state("change files", &[SessionState::Active])?,
        }
        if self.state == SessionState::Active {
            self.in_time(now)?;
        }
        let agent = self.present_member(agent)?.ordinal;
        let (mode, quotas, ordinals) = (self.mode(), self.config.quotas(), self.roster.len());
        let actor = Actor { agent, at: now, mode, quotas, ordinals };
        Ok(self.files.decide(actor, command, events)?)
    }

    fn moves(&self, to: SessionState, events: &mut Vec<SessionEvent>) -> Result<(), SessionDenial> {
        let to = self.state.transition(to)?;
        say(events, || SessionEvent::Moved { to });
        Ok(())
    }

    fn force_strong(&self, needs: ConsistencyMode, events: &mut Vec<SessionEvent>) {
        if needs == ConsistencyMode::Strong && self.mode() == ConsistencyMode::Eventual {
            say(events, || SessionEvent::StrongForced);
        }
    }

    /// Whether an active session would have nobody left.
    fn empties(&self, line: &[u32]) -> bool {
        self.state == SessionState::Active && line.len() >= usize::try_from(self.present()).unwrap_or(0)
    }
}

/// The rules by which events are checked.
impl Session {
    fn created(&mut self, event: &SessionEvent) -> Result<(), Illegal> {
        match event {
            SessionEvent::Created { id, creator, config, at } => {
                self.genesis = Some(Genesis { id: id.clone(), creator: creator.clone(), at: *at });
                self.config = *config;
                Ok(())
            }
            SessionEvent::Resumed { id, creator, config, at, state, mode } => {
                let forced = (*mode != config.mode()).then_some(*mode);
                rule(forced != Some(ConsistencyMode::Eventual), "a strong session stays strong")?;
                self.genesis = Some(Genesis { id: id.clone(), creator: creator.clone(), at: *at });
                (self.config, self.state, self.forced) = (*config, *state, forced);
                self.resuming = Some(Resuming);
                Ok(())
            }
            _ => Err(Illegal::new("a session begins with its creation")),
        }
    }

    fn resume(&mut self, event: &SessionEvent) -> Result<(), Illegal> {
        match event {
            SessionEvent::Seated { did, parent, standing } => {
                rule(self.files == FileSpace::default(), "agents are seated before the files are resumed")?;
                rule(self.roster.find(did).is_none(), "an agent has one ordinal")?;
                rule(self.roster.len() < ROSTER_MAX, "a session sees so many agents and no more")?;
                let known = |&ordinal: &u32| ordinal < self.roster.len();
                rule(parent.as_ref().is_none_or(known), "a parent comes before its children")?;
                self.roster.add(did, *parent, *standing);
                Ok(())
            }
            SessionEvent::Files { part } => self.files.resume(part, self.roster.len()),
            SessionEvent::Complete => {
                let (present, most) = (self.present(), self.config.max_participants());
                rule(present <= most, "a session has so many members and no more")?;
                let nobody = self.state == SessionState::Active && present == 0;
                rule(!nobody, "an active session has a member")?;
                self.files.resumed(self.config.quotas())?;
                self.resuming = None;
                Ok(())
            }
            _ => Err(Illegal::new("a session is resumed before anything else happens in it")),
        }
    }

    fn room_to_join(&self) -> Result<(), Illegal> {
        rule(OPEN.contains(&self.state), "agents join while the session is open")?;
        rule(self.present() < self.config.max_participants(), "a session has so many members and no more")
    }

    fn goes(&mut self, member: u32, standing: Standing) -> Result<(), Illegal> {
        rule(self.is_present(member), "only a member goes")?;
        let last = self.state == SessionState::Active && self.present() == 1;
        rule(!last, "an active session has a member")?;
        self.roster.set(member, standing);
        Ok(())
    }

    fn is_present(&self, ordinal: u32) -> bool {
        self.by_ordinal(ordinal).is_some_and(|member| member.is_present())
    }
}

const MOVES: &str = "a session moves from each state to the next";

const fn rule(holds: bool, rule: &'static str) -> Result<(), Illegal> {
    if holds { Ok(()) } else { Err(Illegal::new(rule)) }
}
