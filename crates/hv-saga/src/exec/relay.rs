//! Passing on what a program prints, while it prints it.

use core::task::{Context, Poll};

/// Where something was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Printed {
    /// On standard output.
    Stdout,
    /// On standard error.
    Stderr,
}

/// Whoever wants to have what a program prints as it comes, every secret cut out of it as out of what is kept.
///
/// It holds the program up where it is not ready, and nothing else: the program's time goes on, and it can be stopped.
pub trait Relay: Send + Sync {
    /// Whether it can take more; where it cannot yet, the task is woken when it can.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Takes the next bytes of a stream. Never waits. When the program has ended, what it left in its pipes comes also
    /// where this is not ready.
    fn pass(&self, printed: Printed, bytes: &[u8]);

    /// Whether nobody reads what comes on a stream any more. What a program prints there then meets a closed pipe, as it
    /// would without anybody in between.
    fn is_closed(&self, _: Printed) -> bool {
        false
    }
}
