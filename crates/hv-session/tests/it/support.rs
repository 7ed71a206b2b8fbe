//! What the tests share: names, times, and a run that checks the machine's own promises after every command.

use hv_session::{
    ConsistencyMode, Content, Did, Digest, Expect, FileCommand, FileDenial, FileEvent, FilePath, Illegal,
    Machine, Revision, Session, SessionCommand, SessionConfig, SessionDenial, SessionEvent, SessionId,
    SessionState, Timestamp,
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

/// A member does something with the files, five seconds after the creation.
pub(crate) fn does(n: u32, command: FileCommand) -> SessionCommand {
    SessionCommand::file(did(n), command)
}

/// The path of this name in session `s1`.
pub(crate) fn path(text: &str) -> FilePath {
    FilePath::parse(&SessionId::new("s1").unwrap(), text).unwrap()
}

/// A content of this length; contents of different numbers have different ids.
pub(crate) fn content(n: u64, length: u64) -> Content {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    Content { id: Digest(id), length }
}

pub(crate) fn write(name: &str, n: u64, expect: Expect) -> FileCommand {
    FileCommand::Write { path: path(name), content: content(n, 10), expect }
}

impl Run {
    /// A member does something with the files.
    pub(crate) fn does(&mut self, n: u32, command: FileCommand) -> &mut Self {
        self.ok(&does(n, command), at(5));
        self
    }

    /// A member is refused something with the files.
    pub(crate) fn refused(&mut self, n: u32, command: FileCommand) -> FileDenial {
        match self.denied(&does(n, command), at(5)) {
            SessionDenial::File(denial) => denial,
            other => panic!("{other}"),
        }
    }

    /// The main content of a file, by its number.
    pub(crate) fn read(&self, name: &str) -> Option<Content> {
        self.session.files().get(&path(name)).map(|file| file.content())
    }

    /// The newest version of a file that is there.
    pub(crate) fn newest(&self, name: &str) -> Revision {
        self.session.files().get(&path(name)).unwrap().newest()
    }

    /// What happened last to the files.
    pub(crate) fn last(&self) -> &FileEvent {
        match self.log.last() {
            Some(SessionEvent::File { event, .. }) => event,
            other => panic!("{other:?}"),
        }
    }
}

/// How often a test repeats what it does: every day, or where `HV_DEEP` is set.
pub(crate) fn rounds(daily: usize, deep: usize) -> usize {
    if std::env::var_os("HV_DEEP").is_some() { deep } else { daily }
}

/// Numbers that look random and are the same in every run (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}
