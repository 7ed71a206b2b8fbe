//! What the tests share: names, times, and a run that checks the machine's own promises after every command.

use hv_session::{
    ConsistencyMode, Did, Illegal, Machine, Session, SessionCommand, SessionConfig, SessionDenial,
    SessionEvent, SessionId, SessionState, Timestamp,
};
use hv_types::Wire;

/// The agent of this number.
pub(crate) fn did(n: u32) -> Did {
    Did::new(&format!("did:mesh:agent-{n}")).unwrap()
}

/// So many seconds after the creation of the session.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp(seconds * 1_000_000_000)
}

/// The command that creates session `s1`.
pub(crate) fn create(config: SessionConfig) -> SessionCommand {
    SessionCommand::Create {
        id: SessionId::new("s1").unwrap(),
        creator: Did::new("did:mesh:admin").unwrap(),
        config,
    }
}

/// A session and everything that happened in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) session: Session,
    pub(crate) log: Vec<SessionEvent>,
}

impl Run {
    /// A session in which the agents 0, 1, … are members.
    pub(crate) fn handshaking(config: SessionConfig, members: u32) -> Self {
        let mut run = Self::default();
        run.ok(&create(config), at(0));
        for n in 0..members {
            run.ok(&SessionCommand::join(did(n)), at(0));
        }
        run
    }

    /// The same, active.
    pub(crate) fn active(config: SessionConfig, members: u32) -> Self {
        let mut run = Self::handshaking(config, members);
        run.ok(&SessionCommand::Activate, at(0));
        run
    }

    /// The same, strong.
    pub(crate) fn strong(members: u32) -> Self {
        Self::active(SessionConfig::default().with_mode(ConsistencyMode::Strong), members)
    }

    /// Runs a command; every event goes through its bytes, and a refusal changes nothing.
    pub(crate) fn run(&mut self, command: &SessionCommand, now: Timestamp) -> Result<(), SessionDenial> {
        for event in self.session.decide(command, now)? {
            let event = SessionEvent::from_bytes(&event.to_bytes()).unwrap();
            self.session.apply(&event).unwrap();
            let nobody = self.session.state() == SessionState::Active && self.session.present() == 0;
            assert!(!nobody, "active with nobody in it");
            self.log.push(event);
        }
        Ok(())
    }

    pub(crate) fn ok(&mut self, command: &SessionCommand, now: Timestamp) {
        self.run(command, now).unwrap_or_else(|denial| panic!("{command:?}: {denial}"));
    }

    pub(crate) fn denied(&mut self, command: &SessionCommand, now: Timestamp) -> SessionDenial {
        let before = self.session.clone();
        let denial = self.run(command, now).expect_err("refused");
        assert_eq!(self.session, before);
        assert!(!denial.to_string().is_empty());
        denial
    }
}

/// The state after these events.
pub(crate) fn replay(events: &[SessionEvent]) -> Result<Session, Illegal> {
    let mut session = Session::default();
    events.iter().try_for_each(|event| session.apply(event))?;
    Ok(session)
}
