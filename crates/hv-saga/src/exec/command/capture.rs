//! Feeding a program and reading what it says, bounded, while it runs.

use super::super::relay::{Printed, Relay};
use super::super::secrets::Cutter;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::process::ExitStatus;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

/// How long outputs may stay open after the program and its group have ended: only a process that left the
/// group holds them then.
const LINGER: Duration = Duration::from_millis(500);

/// The three streams of a program.
pub(super) struct Capture {
    stdin: Option<Feed>,
    stdout: Stream<ChildStdout>,
    stderr: Stream<ChildStderr>,
}

struct Feed {
    pipe: ChildStdin,
    bytes: Vec<u8>,
    written: usize,
}

struct Stream<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
    keep: usize,
    dropped: u64,
    passing: Option<Passing>,
}

/// To whom a stream is passed on.
pub(super) struct Passing {
    relay: Arc<dyn Relay>,
    printed: Printed,
    cutter: Cutter,
    /// Whether the program has ended, so that what is left is read whoever is ready.
    over: bool,
}

impl Passing {
    pub(super) fn to(relay: &Arc<dyn Relay>, printed: Printed, cutter: Cutter) -> Self {
        Self { relay: Arc::clone(relay), printed, cutter, over: false }
    }

    fn pass(&mut self, bytes: &[u8], last: bool) {
        let shown = self.cutter.pass(bytes, last);
        if !shown.is_empty() {
            self.relay.pass(self.printed, &shown);
        }
    }
}

impl Capture {
    /// Takes the streams of a program; keeps so many bytes of each output and counts the rest.
    pub(super) fn of(child: &mut Child, input: Option<Vec<u8>>, keep: usize) -> Self {
        let feed = |(pipe, bytes)| Feed { pipe, bytes, written: 0 };
        Self {
            stdin: child.stdin.take().zip(input).map(feed),
            stdout: Stream::of(child.stdout.take(), keep),
            stderr: Stream::of(child.stderr.take(), keep),
        }
    }

    /// The same that passes both outputs on as they come.
    pub(super) fn passing(mut self, stdout: Passing, stderr: Passing) -> Self {
        self.stdout.passing = Some(stdout);
        self.stderr.passing = Some(stderr);
        self
    }

    /// Feeds and reads until the program itself has ended; nothing where the system does not tell how.
    pub(super) async fn until_exit(&mut self, child: &mut Child) -> Option<ExitStatus> {
        let mut exit = Box::pin(child.wait());
        poll_fn(|cx| {
            let _ = self.poll(cx);
            exit.as_mut().poll(cx).map(Result::ok)
        })
        .await
    }

    /// Reads what is left after the end.
    pub(super) async fn drain(&mut self) {
        self.stdin = None;
        self.passed().for_each(|passing| passing.over = true);
        let _ = timeout(LINGER, poll_fn(|cx| self.poll(cx))).await;
        self.passed().for_each(|passing| passing.pass(b"", true));
    }

    fn passed(&mut self) -> impl Iterator<Item = &mut Passing> {
        [&mut self.stdout.passing, &mut self.stderr.passing].into_iter().flatten()
    }

    pub(super) fn stdout(&self) -> &[u8] {
        &self.stdout.kept
    }

    pub(super) fn stderr(&self) -> &[u8] {
        &self.stderr.kept
    }

    /// Bytes that were read and not kept.
    pub(super) const fn dropped(&self) -> u64 {
        self.stdout.dropped.saturating_add(self.stderr.dropped)
    }

    /// Ready when both outputs are closed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.stdin.as_mut().is_some_and(|feed| feed.poll(cx).is_ready()) {
            // Closing it tells the program that nothing follows.
            self.stdin = None;
        }
        let (stdout, stderr) = (self.stdout.poll(cx), self.stderr.poll(cx));
        if stdout.is_ready() && stderr.is_ready() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Feed {
    /// Ready when everything is written, or the program does not want it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.pipe).poll_write(cx, rest)) {
                Ok(count) if count > 0 => self.written += count,
                _ => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }
}

impl<R: AsyncRead + Unpin> Stream<R> {
    const fn of(pipe: Option<R>, keep: usize) -> Self {
        Self { pipe, kept: Vec::new(), keep, dropped: 0, passing: None }
    }

    /// Ready when the stream is closed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0u8; 8192];
        while let Some(pipe) = &mut self.pipe {
            if let Some(Passing { relay, over: false, .. }) = &self.passing {
                ready!(relay.poll_ready(cx));
            }
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(pipe).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    let room = self.keep.saturating_sub(self.kept.len());
                    let (kept, rest) = buffer.filled().split_at(room.min(buffer.filled().len()));
                    self.kept.extend_from_slice(kept);
                    self.dropped = self.dropped.saturating_add(rest.len() as u64);
                    if let Some(passing) = &mut self.passing {
                        passing.pass(buffer.filled(), false);
                        if !passing.over && passing.relay.is_closed(passing.printed) {
                            self.pipe = None;
                        }
                    }
                }
                _ => self.pipe = None,
            }
        }
        Poll::Ready(())
    }
}
