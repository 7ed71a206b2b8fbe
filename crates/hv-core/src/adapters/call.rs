//! A call to something that may never answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Calls of one port that may wait for an answer at once. What hangs beyond its deadline counts until it ends.
const CALLS_MAX: usize = 16;

/// Makes calls that end in time, whatever becomes of whoever is called.
#[derive(Debug, Default)]
pub(crate) struct Caller {
    waiting: Arc<AtomicUsize>,
}

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// None came in time.
    Late(Duration),
    /// Too many earlier calls hang.
    Busy,
    /// The call broke off.
    Broken,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(deadline) => write!(f, "no answer within {} ms", deadline.as_millis()),
            Self::Busy => write!(f, "{CALLS_MAX} earlier calls still wait for an answer"),
            Self::Broken => f.write_str("the call broke off without an answer"),
        }
    }
}

/// One call less, when it ends.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Caller {
    /// Does the work on a thread of its own and waits for it no longer than this.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        deadline: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        if self.waiting.fetch_add(1, Ordering::AcqRel) >= CALLS_MAX {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(NoAnswer::Busy);
        }
        let waiting = Waiting(Arc::clone(&self.waiting));
        let (answer, answered) = sync_channel(1);
        let worker = std::thread::Builder::new().name("hv-port".into()).spawn(move || {
            let _waiting = waiting;
            // Nobody may be waiting any more.
            let _ = answer.send(work());
        });
        if worker.is_err() {
            return Err(NoAnswer::Busy);
        }
        let wait = move || answered.recv_timeout(deadline);
        let got = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(wait).await.map_err(|_| NoAnswer::Broken)?,
            Err(_) => wait(),
        };
        got.map_err(|error| match error {
            std::sync::mpsc::RecvTimeoutError::Timeout => NoAnswer::Late(deadline),
            std::sync::mpsc::RecvTimeoutError::Disconnected => NoAnswer::Broken,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Instant;

    #[tokio::test]
    async fn what_hangs_costs_its_deadline_and_no_more_threads_than_the_limit() {
        let caller = Caller::default();
        assert_eq!(caller.call(Duration::from_secs(5), || 7).await, Ok(7));
        let mut held = Vec::new();
        let (deadline, began) = (Duration::from_millis(20), Instant::now());
        for _ in 0..CALLS_MAX {
            let (hold, held_by) = channel::<()>();
            held.push(hold);
            let hangs = caller.call(deadline, move || {
                let _ = held_by.recv();
            });
            assert_eq!(hangs.await, Err(NoAnswer::Late(deadline)));
        }
        assert_eq!(caller.call(Duration::from_secs(5), || 7).await, Err(NoAnswer::Busy));
        assert!(began.elapsed() < Duration::from_secs(5));
        drop(held);
        while caller.waiting.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
        assert_eq!(caller.call(Duration::from_secs(5), || 7).await, Ok(7));
    }

    #[test]
    fn a_call_that_breaks_off_is_no_answer() {
        let caller = Caller::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let broken = runtime.block_on(caller.call(Duration::from_secs(5), || panic!("the port breaks")));
        assert_eq!(broken, Err::<(), _>(NoAnswer::Broken));
    }
}
