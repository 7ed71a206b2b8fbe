//! What a command prints, shown while it prints it: one thread writes, and whoever reads slowly holds up the command alone.

use crate::output::Refused;
use hv_core::saga::exec::{Printed, Relay};
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;

/// From how many bytes on that nobody has read yet the command waits.
const FULL: usize = 1 << 18;
/// How many there are at most; a command that has ended may leave some more than the others.
const MOST: usize = 1 << 22;

/// A thread that shows what it is given.
#[derive(Debug)]
pub(crate) struct Passing {
    shared: Arc<Shared>,
    writer: JoinHandle<io::Result<()>>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

/// What nobody has read yet.
#[derive(Debug, Default)]
struct Waiting {
    pieces: Vec<(Printed, Vec<u8>)>,
    bytes: usize,
    /// Bytes for which there was no room.
    lost: u64,
    /// Whether nothing follows.
    over: bool,
    /// Whether nothing is shown any more.
    closed: bool,
    /// Whether that is so because nobody reads standard output any more.
    unread: bool,
    command: Option<Waker>,
}

impl Passing {
    /// Begins; nothing where there is no thread to be had.
    pub(super) fn begin() -> Option<Self> {
        Self::writing(|printed, bytes| match printed {
            Printed::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Printed::Stderr => {
                // There is nowhere to say that stderr takes nothing.
                let _ = io::stderr().lock().write_all(bytes);
                Ok(())
            }
        })
    }

    fn writing(mut write: impl FnMut(Printed, &[u8]) -> io::Result<()> + Send + 'static) -> Option<Self> {
        let shared = Arc::new(Shared::default());
        let read = Arc::clone(&shared);
        let show = move || {
            while let Some(pieces) = read.next() {
                for (printed, bytes) in pieces {
                    write(printed, &bytes).inspect_err(|error| read.close(error))?;
                }
            }
            Ok(())
        };
        let writer = std::thread::Builder::new().name("hv-output".to_owned()).spawn(show).ok()?;
        Some(Self { shared, writer })
    }

    /// Whom a command's output is passed to.
    pub(super) fn relay(&self) -> Arc<dyn Relay> {
        Arc::clone(&self.shared) as Arc<dyn Relay>
    }

    /// Waits until everything is shown; gives how many bytes were not. Where nobody reads any more, nobody misses them.
    ///
    /// # Errors
    /// [`Refused::Output`] where standard output took no more.
    pub(super) fn finish(self) -> Result<u64, Refused> {
        self.shared.lock().over = true;
        self.shared.more.notify_one();
        let shown = self.writer.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        match shown {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            shown => shown.map(|()| self.shared.lock().lost).map_err(Refused::Output),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came since, once something did; nothing at the end.
    fn next(&self) -> Option<Vec<(Printed, Vec<u8>)>> {
        let idle = |waiting: &mut Waiting| waiting.pieces.is_empty() && !waiting.over;
        let mut waiting = self.more.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        waiting.bytes = 0;
        let (pieces, command) = (std::mem::take(&mut waiting.pieces), waiting.command.take());
        drop(waiting);
        command.into_iter().for_each(Waker::wake);
        (!pieces.is_empty()).then_some(pieces)
    }

    fn close(&self, why: &io::Error) {
        let mut waiting = self.lock();
        (waiting.closed, waiting.unread) = (true, why.kind() == io::ErrorKind::BrokenPipe);
        let command = waiting.command.take();
        drop(waiting);
        command.into_iter().for_each(Waker::wake);
    }
}

impl Relay for Shared {
    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.lock();
        if waiting.bytes < FULL || waiting.closed {
            return Poll::Ready(());
        }
        waiting.command = Some(cx.waker().clone());
        Poll::Pending
    }

    fn pass(&self, printed: Printed, bytes: &[u8]) {
        let mut waiting = self.lock();
        if waiting.closed {
            return;
        }
        if waiting.bytes.saturating_add(bytes.len()) > MOST {
            waiting.lost = waiting.lost.saturating_add(bytes.len() as u64);
            return;
        }
        waiting.bytes = waiting.bytes.saturating_add(bytes.len());
        waiting.pieces.push((printed, bytes.to_vec()));
        drop(waiting);
        self.more.notify_one();
    }

    fn is_closed(&self, printed: Printed) -> bool {
        printed == Printed::Stdout && self.lock().unread
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::task::Wake;

    struct Woken(mpsc::Sender<()>);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }

    #[test]
    fn who_reads_slowly_holds_the_command_up_and_nothing_is_held_without_bound() {
        let (go, gone) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let passing = Passing::writing(move |printed, bytes| {
            gone.recv().unwrap();
            tell.send((printed, bytes.len())).unwrap();
            Ok(())
        })
        .unwrap();
        let (wake, woken) = mpsc::channel();
        let waker = Waker::from(Arc::new(Woken(wake)));
        let relay = passing.relay();
        let ready = || relay.poll_ready(&mut Context::from_waker(&waker)).is_ready();
        // The first is taken by the writer, who waits with it.
        relay.pass(Printed::Stderr, b"x");
        while !passing.shared.lock().pieces.is_empty() {
            std::thread::yield_now();
        }
        relay.pass(Printed::Stdout, &vec![0; FULL - 1]);
        assert!(ready());
        relay.pass(Printed::Stdout, b"y");
        assert!(!ready() && woken.try_recv().is_err());
        relay.pass(Printed::Stdout, &vec![0; MOST]);
        go.send(()).unwrap();
        woken.recv().unwrap();
        assert!(ready());
        (0..2).for_each(|_| go.send(()).unwrap());
        assert_eq!(passing.finish().unwrap(), MOST as u64);
        let expected = [(Printed::Stderr, 1), (Printed::Stdout, FULL - 1), (Printed::Stdout, 1)];
        assert_eq!(told.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn where_nobody_reads_any_more_the_command_is_not_held_up_and_its_pipe_is_closed() {
        for kind in [io::ErrorKind::BrokenPipe, io::ErrorKind::StorageFull] {
            let passing = Passing::writing(move |_, _| Err(kind.into())).unwrap();
            let relay = passing.relay();
            relay.pass(Printed::Stdout, &vec![0; FULL]);
            let mut cx = Context::from_waker(Waker::noop());
            while relay.poll_ready(&mut cx).is_pending() {
                std::thread::yield_now();
            }
            let unread = kind == io::ErrorKind::BrokenPipe;
            let closed = [Printed::Stdout, Printed::Stderr].map(|printed| relay.is_closed(printed));
            assert_eq!(closed, [unread, false], "a full disk closes no pipe");
            assert_eq!(passing.finish().ok(), unread.then_some(0));
        }
    }
}
