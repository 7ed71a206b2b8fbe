//! The driver, with functions as steps and a clock that runs ahead when nothing else does.

use crate::running::{Slip, attempt, host, plan, run};
use crate::simulation::{declared, step};
use hv_saga::drive::{Control, Heading, Left, SoloHost, drive, drive_left};
use hv_saga::exec::{Closures, Router};
use hv_saga::{
    Attempt, BoxFuture, Class, Executor, Growth, Host, Idempotence, Outcome, Plan, ProbeAnswer, Purpose,
    Reason, Retry, SagaCommand, SagaState, StepDef, StepState, Task, Verdict,
};
use hv_types::{SagaId, SessionId, Timestamp};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep};

type Diary = Arc<Mutex<Vec<String>>>;

fn write(diary: &Diary, line: String) {
    diary.lock().unwrap().push(line);
}

fn read(diary: &Diary) -> Vec<String> {
    diary.lock().unwrap().clone()
}

fn named(n: usize, after: Vec<u32>, function: &str) -> StepDef {
    StepDef { execute: Arc::new(Task::closure(function)), ..step(n, after) }
        .with_undo(Task::closure(function))
}

/// Functions that keep a diary: `good` succeeds, `bad` fails for good, `slow` takes ten seconds, `mad` panics.
fn functions(diary: &Diary) -> Closures {
    let mut closures = Closures::new();
    let behave = |name: &'static str, diary: &Diary| {
        let diary = Arc::clone(diary);
        move |attempt: Attempt| {
            let diary = Arc::clone(&diary);
            async move {
                write(&diary, format!("{} {} {}", attempt.purpose, attempt.step, attempt.number));
                match (name, attempt.purpose) {
                    ("bad", Purpose::Execute) => Outcome::failed(Class::Permanent, Reason::other("no")),
                    ("often", Purpose::Execute) if attempt.number < 4 => {
                        Outcome::failed(Class::Retryable, Reason::other("not yet"))
                    }
                    ("slow", Purpose::Execute) => {
                        sleep(Duration::from_secs(10)).await;
                        write(&diary, format!("end {}", attempt.step));
                        Outcome::done()
                    }
                    ("mad", Purpose::Execute) => panic!("as the test wants it"),
                    _ => Outcome::done(),
                }
            }
        }
    };
    for name in ["good", "bad", "often", "slow", "mad"] {
        closures.add(name, behave(name, diary), behave(name, diary));
    }
    closures
}

#[tokio::test(start_paused = true)]
async fn a_failure_undoes_what_was_done() {
    let diary = Diary::default();
    let steps = [named(0, vec![], "good"), named(1, vec![0], "good"), named(2, vec![1], "bad")];
    let (state, _) = run(plan(steps), &functions(&diary), &Control::new()).await;
    assert_eq!(state, SagaState::Compensated);
    let expected = ["execute step0 1", "execute step1 1", "execute step2 1", "undo step1 1", "undo step0 1"];
    assert_eq!(read(&diary), expected);
}

#[tokio::test(start_paused = true)]
async fn retries_wait_for_their_time() {
    let diary = Diary::default();
    let retry = Retry { max: 3, base: Duration::from_secs(100), cap: Duration::from_secs(1000) };
    let began = Instant::now();
    let plan = Plan { seed: 5, ..plan([StepDef { retry, ..named(0, vec![], "often") }]) };
    let (state, saga) = run(plan, &functions(&diary), &Control::new()).await;
    assert_eq!((state, saga.step(0).unwrap().1.executes), (SagaState::Completed, 4));
    assert!(began.elapsed() > Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(701), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn independent_steps_run_at_the_same_time() {
    let diary = Diary::default();
    let began = Instant::now();
    let (state, _) =
        run(plan((0..8).map(|n| named(n, vec![], "slow"))), &functions(&diary), &Control::new()).await;
    assert_eq!(state, SagaState::Completed);
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
}

/// A step whose function does not come back in time is in doubt, and so undone.
#[tokio::test(start_paused = true)]
async fn a_function_that_is_late_is_dropped() {
    let diary = Diary::default();
    let def = StepDef { timeout: Duration::from_secs(9), ..named(0, vec![], "slow") };
    let (state, saga) = run(plan([def]), &functions(&diary), &Control::new()).await;
    assert_eq!((state, saga.step(0).unwrap().1.state), (SagaState::Compensated, StepState::Compensated));
    assert_eq!(read(&diary), ["execute step0 1", "undo step0 1"]);
}

/// An executor that does not keep to the deadline is not waited for for ever.
#[tokio::test(start_paused = true)]
async fn an_executor_that_never_answers_is_given_up() {
    struct Deaf;
    impl Executor<Slip> for Deaf {
        fn run<'a>(&'a self, _: Slip, attempt: &'a Attempt) -> BoxFuture<'a, Outcome> {
            let execute = attempt.purpose == Purpose::Execute;
            Box::pin(async move { if execute { std::future::pending().await } else { Outcome::done() } })
        }

        fn stops_within(&self) -> Duration {
            Duration::ZERO
        }
    }
    let began = Instant::now();
    let (state, _) = run(plan([step(0, vec![])]), &Deaf, &Control::new()).await;
    assert_eq!(state, SagaState::Compensated);
    assert_eq!(began.elapsed().as_secs(), 330);
}

/// A panic fails its own attempt; the steps beside it go on.
#[tokio::test(start_paused = true)]
async fn a_panic_is_an_unknown_outcome() {
    let diary = Diary::default();
    let steps = [named(0, vec![], "mad"), named(1, vec![], "slow")];
    let (state, saga) = run(plan(steps), &functions(&diary), &Control::new()).await;
    assert_eq!(state, SagaState::Compensated);
    assert!(saga.runs().all(|run| run.state == StepState::Compensated));
    assert!(read(&diary).contains(&String::from("end step1")));
}

#[tokio::test(start_paused = true)]
async fn cancelling_lets_executions_end_within_the_time_given() {
    for (within, ended) in [(20, true), (3, false)] {
        let diary = Diary::default();
        let control = Control::new();
        let stop = async {
            sleep(Duration::from_secs(1)).await;
            control.cancel(Duration::from_secs(within));
            control.cancel(Duration::ZERO);
        };
        let steps = [named(0, vec![], "good"), named(1, vec![0], "slow"), named(2, vec![1], "good")];
        let functions = functions(&diary);
        let ((state, _), ()) = both(run(plan(steps), &functions, &control), stop).await;
        assert_eq!(state, SagaState::Compensated);
        let mut expected = vec!["execute step0 1", "execute step1 1"];
        if ended {
            expected.push("end step1");
        }
        expected.extend(["undo step1 1", "undo step0 1"]);
        assert_eq!(read(&diary), expected);
    }
}

/// Abandoned in the middle, the saga is as it was recorded, and is taken up again.
#[tokio::test(start_paused = true)]
async fn an_abandoned_saga_is_recovered() {
    let diary = Diary::default();
    let control = Control::new();
    let stop = async {
        sleep(Duration::from_secs(1)).await;
        control.abandon();
    };
    let mut functions = functions(&diary);
    functions.add_probe("slow", |_| async { Outcome::answer(ProbeAnswer::Absent) });
    let slow = named(1, vec![0], "slow").with_probe(Task::closure("slow"));
    let steps = [named(0, vec![], "good"), slow];
    let ((state, saga), ()) = both(run(plan(steps), &functions, &control), stop).await;
    assert_eq!((state, saga.step(1).unwrap().1.state), (SagaState::Running, StepState::Executing));
    let host =
        SoloHost::resume(SessionId::new("s").unwrap(), SagaId::new("g").unwrap(), saga, |_: &Attempt| {
            Some(Slip::Good)
        });
    let state = drive(&host, &functions, &Control::new(), SagaCommand::recover()).await.unwrap();
    assert_eq!(state, SagaState::Completed);
    let expected = ["execute step0 1", "execute step1 1", "execute step1 2", "end step1"];
    assert_eq!(read(&diary), expected);
}

/// An agent that plans as it goes: the driver is idle when there is nothing to do, and finds what was appended
/// while it worked.
#[tokio::test(start_paused = true)]
async fn steps_are_appended_while_it_runs() {
    let diary = Diary::default();
    let (functions, control, host) = (functions(&diary), Control::new(), host());
    let first = SagaCommand::begin(Plan::open());
    assert_eq!(drive(&host, &functions, &control, first).await.unwrap(), SagaState::Running);
    let append =
        |n, name, growth| SagaCommand::Append { steps: vec![Arc::new(named(n, vec![], name))], growth };
    let commit = |command| Host::commit(&host, command, None);
    commit(append(0, "slow", Growth::Open)).await.unwrap();
    let planner = async {
        sleep(Duration::from_secs(5)).await;
        commit(append(1, "good", Growth::Sealed)).await.unwrap();
        control.wake();
    };
    let (state, ()) = both(drive(&host, &functions, &control, SagaCommand::advance()), planner).await;
    assert_eq!(state.unwrap(), SagaState::Completed);
    assert_eq!(read(&diary), ["execute step0 1", "execute step1 1", "end step0"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_step_is_never_executed() {
    let diary = Diary::default();
    let functions = functions(&diary);
    let gate = |attempt: &Attempt| {
        let refused = attempt.purpose == Purpose::Execute && attempt.ordinal == 1;
        (!refused).then_some(Slip::Good)
    };
    let host = SoloHost::new(SessionId::new("s").unwrap(), SagaId::new("g").unwrap(), gate);
    let steps = [named(0, vec![], "good"), named(1, vec![0], "good")];
    let first = SagaCommand::begin(plan(steps));
    let state = drive(&host, &functions, &Control::new(), first).await.unwrap();
    assert_eq!((state, host.saga().step(1).unwrap().1.state), (SagaState::Compensated, StepState::Denied));
    assert_eq!(read(&diary), ["execute step0 1", "undo step0 1"]);
}

/// C1 at this floor: a permit that does not fit, and a task that nothing executes, leave no mark.
#[tokio::test(start_paused = true)]
async fn c1_nothing_happens_without_a_permit_that_fits() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = |calls: &Arc<AtomicUsize>| {
        let calls = Arc::clone(calls);
        move |_: Attempt| {
            calls.fetch_add(1, Ordering::SeqCst);
            async { Outcome::done() }
        }
    };
    let mut closures = Closures::new();
    closures.add("f", count(&calls), count(&calls));
    closures.add_read_only("g", count(&calls));
    let router = Router::<Slip>::new().with_closures(closures);
    let call = |name: &str, purpose| attempt(Task::closure(name), purpose, Duration::from_secs(1));
    let failed = |reason| Verdict::Failed(hv_saga::Failure::new(Class::Permanent, reason));
    for (slip, attempt, verdict, counted) in [
        (Slip::Bad, call("f", Purpose::Execute), failed(Reason::NotPermitted), 0),
        (Slip::Good, call("h", Purpose::Execute), failed(Reason::NoExecutor), 0),
        (Slip::Good, call("g", Purpose::Undo), failed(Reason::NoExecutor), 0),
        (Slip::Good, call("f", Purpose::Probe), failed(Reason::NoExecutor), 0),
        (
            Slip::Good,
            attempt(Task::command(["true"]), Purpose::Execute, Duration::ZERO),
            failed(Reason::NoExecutor),
            0,
        ),
        (Slip::Good, call("f", Purpose::Execute), Verdict::Done, 1),
    ] {
        assert_eq!(router.run(slip, &attempt).await.verdict, verdict, "{attempt:?}");
        assert_eq!(calls.load(Ordering::SeqCst), counted);
    }
}

/// A host that stops answering stops the driver, and no attempt goes on behind its back.
#[tokio::test(start_paused = true)]
async fn a_host_that_halts_stops_everything() {
    struct Broken(SoloHost<fn(&Attempt) -> Option<Slip>>);
    impl Host for Broken {
        type Permit = Slip;
        fn hold(&self) -> BoxFuture<'_, Result<(), hv_saga::Halt>> {
            self.0.hold()
        }
        fn release(&self) {
            self.0.release();
        }
        fn commit(
            &self,
            command: SagaCommand,
            output: Option<hv_saga::Output>,
        ) -> BoxFuture<'_, Result<hv_saga::Progress<Slip>, hv_saga::Halt>> {
            match command {
                SagaCommand::Report { .. } => Box::pin(async { Err(hv_saga::Halt::Gone) }),
                command => self.0.commit(command, output),
            }
        }
        fn now(&self) -> Timestamp {
            self.0.now()
        }
    }
    let diary = Diary::default();
    let functions = functions(&diary);
    let steps = [declared(named(0, vec![], "slow"), 0), named(1, vec![], "good")];
    let first = SagaCommand::begin(plan(steps));
    let end = drive(&Broken(host()), &functions, &Control::new(), first).await;
    assert!(matches!(end, Err(hv_saga::Halt::Gone)));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(read(&diary), ["execute step0 1", "execute step1 1"]);
}

/// Both futures on this task.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    tokio::join!(a, b)
}

/// A pause holds what would start, the driver waits, and a resumption goes on.
#[tokio::test(start_paused = true)]
async fn a_driver_waits_while_its_saga_is_paused() {
    let diary = Diary::default();
    let control = Control::new();
    let other = control.clone();
    let began = Instant::now();
    let pausing = tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        other.pause();
        sleep(Duration::from_secs(100)).await;
        other.resume();
    });
    let steps = [named(0, vec![], "slow"), named(1, vec![0], "good")];
    let (state, _) = run(plan(steps), &functions(&diary), &control).await;
    pausing.await.unwrap();
    assert_eq!(state, SagaState::Completed);
    assert_eq!(began.elapsed().as_secs(), 101);
}

/// Who suspends a saga waits for what runs, records how it ends, and starts nothing.
#[tokio::test(start_paused = true)]
async fn a_suspended_saga_keeps_what_ended_in_time() {
    for (within, expected) in [(20, StepState::Committed), (5, StepState::Executing)] {
        let diary = Diary::default();
        let control = Control::new();
        let other = control.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(1)).await;
            other.suspend(Duration::from_secs(within));
        });
        let steps = [named(0, vec![], "slow"), named(1, vec![0], "good")];
        let (state, saga) = run(plan(steps), &functions(&diary), &control).await;
        assert_eq!(state, SagaState::Running);
        assert_eq!(saga.step(0).unwrap().1.state, expected);
        assert_eq!(saga.step(1).unwrap().1.state, StepState::Pending);
    }
}

/// What a relieved agent executes is dropped, and its substitute is in the next attempt.
#[tokio::test(start_paused = true)]
async fn the_work_of_a_relieved_agent_is_handed_over() {
    let diary = Diary::default();
    let mut functions = functions(&diary);
    let told = Arc::clone(&diary);
    let first = move |attempt: Attempt| {
        let told = Arc::clone(&told);
        async move {
            write(&told, format!("{} {}", attempt.purpose, attempt.agent));
            if attempt.number == 1 {
                sleep(Duration::from_secs(1000)).await;
            }
            Outcome::done()
        }
    };
    functions.add("first", first, |_| async { Outcome::done() });
    let control = Control::new();
    let other = control.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        other.relieve(hv_types::Did::new("did:mesh:a").unwrap());
    });
    let deputy = hv_types::Did::new("did:mesh:b").unwrap();
    let began = Instant::now();
    let def = StepDef { timeout: Duration::from_secs(2000), ..named(0, vec![], "first") };
    let def = declared(def, 2).with_substitute(deputy);
    let (state, _) = run(plan([def]), &functions, &control).await;
    assert_eq!(state, SagaState::Completed);
    assert_eq!(read(&diary), ["execute did:mesh:a", "execute did:mesh:b"]);
    assert!(began.elapsed() < Duration::from_secs(70), "{:?}", began.elapsed());
}

/// A report about an attempt that somebody else has taken from the driver does not stop it.
#[tokio::test(start_paused = true)]
async fn a_late_report_does_no_harm() {
    let diary = Diary::default();
    let host = host();
    let control = Control::new();
    let functions = functions(&diary);
    let def =
        declared(named(0, vec![], "slow"), 2).with_substitute(hv_types::Did::new("did:mesh:b").unwrap());
    let running = drive(&host, &functions, &control, SagaCommand::begin(plan([def])));
    let relieving = async {
        sleep(Duration::from_secs(1)).await;
        let agent = hv_types::Did::new("did:mesh:a").unwrap();
        let relieve = SagaCommand::Relieve { agent, refused: vec![] };
        // Through another handle of the host: the driver does not know.
        let progress = Host::commit(&host, relieve, None).await.unwrap();
        drop(progress);
    };
    let (state, ()) = tokio::join!(running, relieving);
    // The step is in doubt when its report comes; the driver takes up what follows from that.
    assert_eq!(state.unwrap(), SagaState::Completed);
    assert_eq!(read(&diary).iter().filter(|line| line.starts_with("execute")).count(), 2);
}

/// What is asked for at the same moment is all carried out: a pause and a resumption beside a relief.
#[tokio::test(start_paused = true)]
async fn nothing_that_is_asked_for_at_the_same_moment_is_lost() {
    let diary = Diary::default();
    let control = Control::new();
    let host = host();
    let nobody = |name: &str| hv_types::Did::new(name).unwrap();
    let other = control.clone();
    let asking = async {
        sleep(Duration::from_secs(1)).await;
        other.pause();
        other.relieve(nobody("did:mesh:x"));
        sleep(Duration::from_secs(100)).await;
        assert!(host.saga().is_paused());
        assert_eq!(read(&diary), ["execute step0 1", "end step0"]);
        other.resume();
        other.relieve(nobody("did:mesh:y"));
        sleep(Duration::from_secs(1)).await;
        assert!(!host.saga().is_paused());
    };
    let steps = [named(0, vec![], "slow"), named(1, vec![0], "good")];
    let functions = functions(&diary);
    let driving = drive(&host, &functions, &control, SagaCommand::begin(plan(steps)));
    let (state, ()) = both(driving, asking).await;
    assert_eq!(state.unwrap(), SagaState::Completed);
}

/// Who cancels while an agent is relieved does not wait for what that one executes.
#[tokio::test(start_paused = true)]
async fn a_relief_beside_a_cancellation_stops_the_agent() {
    let diary = Diary::default();
    let control = Control::new();
    let other = control.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        other.cancel(Duration::from_secs(1000));
        other.relieve(hv_types::Did::new("did:mesh:a").unwrap());
    });
    let steps = [declared(named(0, vec![], "slow"), 0)];
    let (state, _) = run(plan(steps), &functions(&diary), &control).await;
    assert_eq!(state, SagaState::Compensated);
    assert_eq!(read(&diary), ["execute step0 1", "undo step0 1"]);
}

/// Two steps that somebody else began end one after the other; the third waits for no step.
async fn taken_up(control: &Control, heading: Heading) -> (SagaState, Vec<String>, Duration) {
    let diary = Diary::default();
    let idempotent = |def: StepDef| StepDef { idempotent: Idempotence::Both, ..def };
    let steps = [
        idempotent(named(0, vec![], "good")),
        idempotent(named(1, vec![], "good")),
        named(2, vec![], "good"),
    ];
    let mut plan = plan(steps);
    plan.limits.concurrency = 2;
    let host = host();
    let begun = host.commit(SagaCommand::begin(plan), None).await.unwrap();
    let ends = [4, 7].map(Duration::from_secs);
    let left = begun.starts.into_iter().zip(ends).map(|((attempt, _), after)| {
        let (diary, step) = (Arc::clone(&diary), attempt.step.clone());
        let end = Box::pin(async move {
            sleep(after).await;
            write(&diary, format!("left {step}"));
            Outcome::failed(Class::Unknown, Reason::Crashed)
        });
        Left { attempt: attempt.at(), agent: attempt.agent.clone(), end }
    });
    let (began, left) = (Instant::now(), left.collect());
    let state = drive_left(&host, &functions(&diary), control, (begun.state, heading), left).await.unwrap();
    (state, read(&diary), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_before_all_that_somebody_else_began_has_ended() {
    let (state, diary, took) = taken_up(&Control::new(), Heading::AsItStands).await;
    assert_eq!(state, SagaState::Completed);
    assert_eq!(diary[..2], ["left step0", "left step1"]);
    assert_eq!(diary.len(), 5, "both are repeated, and the third is done: {diary:?}");
    assert!(took >= Duration::from_secs(7), "{took:?}");
}

/// What does not end in time is dropped and undone, as what the driver itself began; what was told before is not forgotten.
#[tokio::test(start_paused = true)]
async fn what_somebody_else_began_is_cancelled_like_anything_else() {
    let control = Control::new();
    control.cancel(Duration::from_secs(5));
    let (state, diary, took) = taken_up(&control, Heading::AsItStands).await;
    assert_eq!(state, SagaState::Compensated);
    assert_eq!(diary[0], "left step0", "it had five seconds");
    assert!(!diary.iter().any(|line| line.starts_with("execute") || line == "left step1"), "{diary:?}");
    assert!(took < Duration::from_secs(7), "{took:?}");

    let (state, diary, _) = taken_up(&Control::new(), Heading::Back).await;
    assert_eq!(state, SagaState::Compensated);
    assert!(!diary.iter().any(|line| line.starts_with("execute")), "{diary:?}");
}
