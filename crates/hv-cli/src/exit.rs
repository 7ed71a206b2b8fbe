//! How the program ends.

use std::process::{ExitCode, Termination};

/// The exit code of a command. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or the run completed.
    Done = 0,
    /// hv itself failed; for `hv audit verify`: the trail is not what it should be.
    Failed = 1,
    /// The input cannot be used; nothing was run.
    BadInput = 2,
    /// The run was undone, and everything is as it was, or a person has seen to what is not.
    RolledBack = 3,
    /// Something could not be undone and waits for a person.
    Escalated = 4,
    /// The gate refused before anything was done.
    Denied = 5,
    /// Interrupted twice; the run can be resumed.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// The exit codes as `--help` tells them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done, or the run completed
    1  hv itself failed; audit verify: the trail was tampered with;
       id verify: it does not count
    2  bad input; nothing was run
    3  run, session exec: failed, and everything was undone; run --resume:
       or what could not be undone is settled since (hv saga resolve, skip, retry)
    4  run, session: something could not be undone and waits for a person
    5  run, session, kill: denied; of a run, before anything was done
  130  run: interrupted twice; resume it with --resume";
