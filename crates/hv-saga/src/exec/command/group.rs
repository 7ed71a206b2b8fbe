//! The process group of one program.

use crate::exec::survivors::any_alive;
use core::time::Duration;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;
use tokio::time::sleep;

/// How often a group is looked at that was asked to end.
const INTERVAL: Duration = Duration::from_millis(5);

/// The group that a program leads. Dropping it kills what is left of the group.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    /// The group of a program that was just started as the leader of its own.
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// Asks the group to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends when nobody is left in the group: what its leader started may still be cleaning up when the leader has
    /// ended.
    pub(super) async fn emptied(&self) {
        while self.0.is_some_and(any_alive) {
            sleep(INTERVAL).await;
        }
    }

    /// Ends the group.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Ends what is left after the leader has ended, and forgets the group: its number may soon be another's.
    pub(super) fn finish(mut self) {
        self.kill();
        self.0 = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0 {
            // The only failure that can occur is that the group has ended.
            let _ = kill_process_group(leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
