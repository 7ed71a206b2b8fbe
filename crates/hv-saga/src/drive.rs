//! The driver: carries out what a saga starts, reports how it ended, and wakes the saga when it is due.
//!
//! It decides nothing and records nothing; a [`Host`] does. So outcome and next start come out of one commit.

pub(crate) mod control;
mod running;
mod solo;

pub use control::{Control, Stopping};
pub use solo::SoloHost;

use crate::{
    AttemptRef, Begin, BoxFuture, Class, Did, Executor, Halt, Host, Outcome, Progress, Purpose, Reason,
    Report, SagaCommand, SagaDenial, SagaState,
};
use control::{Halted, Signal, Stop};
use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use running::Running;

/// How long after its deadline an attempt that does not end is dropped, where its executor did not see to it.
pub const OVERRUN: Duration = Duration::from_secs(30);

/// Runs a saga from the command `first` until nothing is left to do here: to its end; or, in a saga that may
/// grow or was paused by a command, until it waits for steps or to be resumed; or until it is abandoned. The
/// state tells which.
///
/// `first` creates the saga, advances it, or recovers it. Attempts run at the same time, on the task that
/// polls this; an executor that panics fails its own attempt only.
///
/// A saga has one driver at a time: it is [taken](Host::hold) before `first`, and let go of when this has ended or is
/// dropped, and all that it carried out with it. Whoever comes meanwhile is refused and changes nothing.
///
/// ```
/// use hv_saga::drive::{Control, SoloHost, drive};
/// use hv_saga::exec::Closures;
/// use hv_saga::{Attempt, Outcome, Permit, Plan, SagaCommand, SagaState, Timestamp};
/// use hv_types::{ActionId, Did, SagaId, SessionId, StepId};
///
/// // Nothing governs here: whoever uses this crate alone writes a permit and sees that it permits all.
/// struct Ungoverned;
/// impl Permit for Ungoverned {
///     type Refusal = std::convert::Infallible;
///     fn redeem(self, _: &Attempt, _: Timestamp) -> Result<(), Self::Refusal> {
///         Ok(())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let mut closures = Closures::new();
/// closures.add("book", |_| async { Outcome::done() }, |_| async { Outcome::done() });
/// let (id, action) = (StepId::new("book").unwrap(), ActionId::new("travel.book").unwrap());
/// let step = Closures::step(id, action, Did::new("did:mesh:a").unwrap(), "book");
///
/// let (session, saga) = (SessionId::new("s").unwrap(), SagaId::new("g").unwrap());
/// let host = SoloHost::new(session, saga, |_: &Attempt| Some(Ungoverned));
/// let first = SagaCommand::begin(Plan::new(vec![step.into()]));
/// let end = drive(&host, &closures, &Control::new(), first).await.unwrap();
/// assert_eq!(end, SagaState::Completed);
/// # });
/// ```
///
/// # Errors
/// [`Halt::Gone`] where somebody else drives the saga. What the host answers where it cannot go on. Attempts that run are
/// then stopped; the saga can be recovered.
pub async fn drive<H, E>(
    host: &H,
    executor: &E,
    control: &Control,
    first: SagaCommand,
) -> Result<SagaState, Halt>
where
    H: Host + ?Sized,
    E: Executor<H::Permit> + ?Sized,
{
    // First, so that it is let go of behind all that runs.
    let _holding = Holding::of(host).await?;
    let mut seen = seen_before(control);
    let progress = begin((host, control), first, &mut seen).await?;
    go_on((host, executor, control), seen, Running::default(), progress).await
}

/// A saga that one driver has, until this is dropped.
struct Holding<'a, H: Host + ?Sized>(&'a H);

impl<'a, H: Host + ?Sized> Holding<'a, H> {
    async fn of(host: &'a H) -> Result<Self, Halt> {
        host.hold().await.map(|()| Self(host))
    }
}

impl<H: Host + ?Sized> Drop for Holding<'_, H> {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Wakes from before are answered by the first command, and who was relieved then was relieved of what ran then; everything
/// else that was asked for is not.
fn seen_before(control: &Control) -> Signal {
    let wakes = control.subscribe().borrow().wakes;
    Signal { wakes, relieved: control.answered(), ..Signal::default() }
}

/// The first command; where the saga is to be paused, it is before anything starts.
async fn begin<H: Host + ?Sized>(
    (host, control): (&H, &Control),
    first: SagaCommand,
    seen: &mut Signal,
) -> Result<Progress<H::Permit>, Halt> {
    let asked = *control.subscribe().borrow();
    let forward = matches!(
        first,
        SagaCommand::Create { .. } | SagaCommand::Advance { .. } | SagaCommand::Recover { .. }
    );
    seen.paused = asked.paused && asked.stop == Stop::Go && forward;
    if seen.paused { held_back(host, first).await } else { host.commit(first, None).await }
}

/// An attempt that was begun by whoever drove the saga before and was cut off, and that may still be at work.
pub struct Left<'a> {
    /// Which one.
    pub attempt: AttemptRef,
    /// Who executes it.
    pub agent: Did,
    /// Ends when nothing of it is at work any more. Dropping it stops what is.
    pub end: BoxFuture<'a, Outcome>,
}

impl core::fmt::Debug for Left<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Left").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// Which way a saga goes that is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heading {
    /// As it stands: forward, or back where it has turned already.
    AsItStands,
    /// Back: it was told to turn before, and that is not recorded.
    Back,
}

/// Takes up a saga that stands in `state` after a crash, while attempts of it go on: each that runs, as the saga knows it,
/// is given. Nothing starts before all of them have ended but what is asked for meanwhile, and a probe of what is to be
/// undone. They are stopped, dropped and waited for as those that this driver begins. Where it is
/// heading [back](Heading::Back), that is recorded first.
///
/// # Errors
/// Those of [`drive`].
pub async fn drive_left<H, E>(
    host: &H,
    executor: &E,
    control: &Control,
    (state, heading): (SagaState, Heading),
    left: Vec<Left<'_>>,
) -> Result<SagaState, Halt>
where
    H: Host + ?Sized,
    E: Executor<H::Permit> + ?Sized,
{
    let _holding = Holding::of(host).await?;
    let mut seen = seen_before(control);
    let progress = match (heading, left.is_empty()) {
        (Heading::Back, _) => host.commit(SagaCommand::Cancel, None).await?,
        (Heading::AsItStands, true) => begin((host, control), SagaCommand::recover(), &mut seen).await?,
        (Heading::AsItStands, false) => Progress { starts: Vec::new(), next_wake: None, state },
    };
    go_on((host, executor, control), seen, Running::of(left), progress).await
}

/// Drives on from here.
async fn go_on<'a, H, E>(
    (host, executor, control): (&H, &'a E, &Control),
    mut seen: Signal,
    mut running: Running<'a>,
    mut progress: Progress<H::Permit>,
) -> Result<SagaState, Halt>
where
    H: Host + ?Sized,
    E: Executor<H::Permit> + ?Sized,
    H::Permit: 'a,
{
    let mut signals = control.subscribe();
    let mut patience = None;
    loop {
        take_up(&mut running, &mut progress, executor, host);
        if progress.state.is_terminal() {
            control.answer(signals.borrow().relieved);
            return Ok(progress.state);
        }
        let signal = *signals.borrow_and_update();
        if signal != seen {
            // Several may have been asked for meanwhile: one is carried out, and the rest in the next rounds. What was
            // woken for is answered by each.
            seen.wakes = signal.wakes;
            progress = match signal.stop {
                Stop::Abandon { within } => {
                    return suspend((host, executor, control), running, within, progress.state).await;
                }
                Stop::Cancel { within } if seen.stop == Stop::Go => {
                    seen.stop = signal.stop;
                    patience = Some((Box::pin(tokio::time::sleep(within)), Patience::First));
                    tolerant(host.commit(SagaCommand::Cancel, None).await, host).await?
                }
                // Before work is handed over, which starts it, and after that it goes on.
                Stop::Go if signal.paused && !seen.paused => {
                    seen.paused = true;
                    tolerant(host.commit(SagaCommand::Pause, None).await, host).await?
                }
                Stop::Go | Stop::Cancel { .. } if signal.relieved != seen.relieved => {
                    let mut relieved = None;
                    for agent in control.relieved(seen.relieved) {
                        running.drop_of(&agent);
                        let command = SagaCommand::Relieve { agent, refused: Vec::new() };
                        let next = host.commit(command, None).await?;
                        take_up(&mut running, relieved.insert(next), executor, host);
                    }
                    seen.relieved = signal.relieved;
                    control.answer(signal.relieved);
                    relieved.unwrap_or(progress)
                }
                Stop::Go if seen.paused && !signal.paused => {
                    seen.paused = false;
                    let resume = SagaCommand::Resume { refused: Vec::new() };
                    tolerant(host.commit(resume, None).await, host).await?
                }
                Stop::Go | Stop::Cancel { .. } => {
                    seen = signal;
                    host.commit(SagaCommand::advance(), None).await?
                }
            };
            continue;
        }
        if running.is_empty() && progress.next_wake.is_none() && !seen.paused {
            return Ok(progress.state);
        }
        // Nothing becomes due beside what somebody else began.
        let wake = progress
            .next_wake
            .filter(|_| !running.has_left())
            .map(|at| tokio::time::sleep(at.since(host.now())));
        let mut wake = pin!(wake);
        let mut changed = pin!(signals.changed());
        // Always in this order: requests to stop, ends of attempts, time.
        let next = poll_fn(|cx| {
            if changed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::Signal);
            }
            if let Poll::Ready((attempt, outcome)) = running.poll_next(cx) {
                return Poll::Ready(Next::Ended(attempt, outcome));
            }
            if patience.as_mut().is_some_and(|(patience, _)| patience.as_mut().poll(cx).is_ready()) {
                return Poll::Ready(Next::Impatient);
            }
            match wake.as_mut().as_pin_mut().map(|wake| wake.poll(cx)) {
                Some(Poll::Ready(())) => Poll::Ready(Next::Due),
                _ => Poll::Pending,
            }
        })
        .await;
        progress = match next {
            Next::Signal => progress,
            Next::Due => host.commit(SagaCommand::advance(), None).await?,
            Next::Ended(attempt, Outcome { verdict, output }) => {
                let report = Report::of(attempt, verdict);
                let command = if running.has_left() { SagaCommand::Record { report } } else { report.into() };
                tolerant(host.commit(command, output).await, host).await?
            }
            Next::Impatient if matches!(patience, Some((_, Patience::First))) => {
                control.halt(Halted::Executions);
                patience = Some((Box::pin(tokio::time::sleep(executor.stops_within())), Patience::Last));
                progress
            }
            Next::Impatient => {
                patience = None;
                // Undo and probes are not stopped: only they lead to the end.
                for attempt in running.stop(Purpose::Execute) {
                    let stopped = Outcome::failed(Class::Unknown, Reason::Stopped);
                    let report = Report::of(attempt, stopped.verdict).into();
                    progress = tolerant(host.commit(report, None).await, host).await?;
                    take_up(&mut running, &mut progress, executor, host);
                }
                progress
            }
        };
    }
}

/// The first command of a saga that is to be paused before it starts anything.
async fn held_back<H: Host + ?Sized>(host: &H, mut first: SagaCommand) -> Result<Progress<H::Permit>, Halt> {
    if let SagaCommand::Create { begin, .. } = &mut first {
        *begin = Begin::Later;
        host.commit(first, None).await?;
        first = SagaCommand::advance();
    }
    // Nothing starts by it, so nothing of what it gives has to be taken up.
    match host.commit(SagaCommand::Pause, None).await {
        Ok(_) | Err(Halt::Denied(SagaDenial::TurnedBack | SagaDenial::Over { .. })) => {}
        Err(halt) => return Err(halt),
    }
    host.commit(first, None).await
}

/// How far patience with executions has gone after a cancellation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// They may end by themselves.
    First,
    /// They were asked to stop.
    Last,
}

/// A report that comes late, because somebody else has moved the saga on meanwhile, changes nothing; nor does
/// a pause that comes late. What the saga then needs is asked for.
async fn tolerant<H: Host + ?Sized>(
    committed: Result<Progress<H::Permit>, Halt>,
    host: &H,
) -> Result<Progress<H::Permit>, Halt> {
    match committed {
        Err(Halt::Denied(SagaDenial::Stale { .. } | SagaDenial::TurnedBack | SagaDenial::Over { .. })) => {
            host.commit(SagaCommand::advance(), None).await
        }
        committed => committed,
    }
}

/// Lets what runs end, records how, and starts nothing.
async fn suspend<H, E>(
    (host, executor, control): (&H, &E, &Control),
    mut running: Running<'_>,
    within: Duration,
    mut state: SagaState,
) -> Result<SagaState, Halt>
where
    H: Host + ?Sized,
    E: Executor<H::Permit> + ?Sized,
{
    for (time, then) in [(within, Halted::All), (executor.stops_within(), Halted::All)] {
        let mut over = pin!(tokio::time::sleep(time));
        while !running.is_empty() && !time.is_zero() {
            let ended = poll_fn(|cx| match running.poll_next(cx) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending => over.as_mut().poll(cx).map(|()| None),
            });
            let Some((attempt, Outcome { verdict, output })) = ended.await else { break };
            let report = SagaCommand::Record { report: Report::of(attempt, verdict) };
            match host.commit(report, output).await {
                Ok(progress) => state = progress.state,
                Err(Halt::Denied(SagaDenial::Stale { .. })) => {}
                Err(halt) => return Err(halt),
            }
        }
        control.halt(then);
    }
    Ok(state)
}

/// What the driver waits for.
enum Next {
    Signal,
    Ended(AttemptRef, Outcome),
    Impatient,
    Due,
}

fn take_up<'a, H, E>(running: &mut Running<'a>, progress: &mut Progress<H::Permit>, executor: &'a E, host: &H)
where
    H: Host + ?Sized,
    E: Executor<H::Permit> + ?Sized,
    H::Permit: 'a,
{
    for (attempt, permit) in progress.starts.drain(..) {
        let (at, agent) = (attempt.at(), attempt.agent.clone());
        let left = attempt.deadline.since(host.now()).saturating_add(OVERRUN);
        running.push(at, agent, Box::pin(async move { attend(executor, attempt, permit, left).await }));
    }
}

async fn attend<P, E: Executor<P> + ?Sized>(
    executor: &E,
    attempt: crate::Attempt,
    permit: P,
    left: Duration,
) -> Outcome {
    let outcome = tokio::time::timeout(left, executor.run(permit, &attempt)).await;
    outcome.unwrap_or_else(|_| Outcome::failed(Class::Unknown, Reason::TimedOut))
}
