//! A service that goes on with a request after hv has given it up: nothing is called undone that it still books.

use crate::scene::{
    assert_complete, attempts, change, ended, file, look, ran, said, scene, sh, spawn, step, wait_for, with,
};
use crate::server::{Answer, Server};
use crate::support::{Run, hv, json as report_of};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long the service works at a booking, and how long hv waits for its answer and for what it gave up.
const BOOKS: Duration = Duration::from_millis(1000);
const GIVES_UP: &str = "300ms";
const SETTLES: &str = "2s";

/// What the service has booked and cancelled so far.
#[derive(Clone, Default)]
struct Books {
    made: Arc<AtomicU32>,
    standing: Arc<AtomicU32>,
}

/// A service that books a second after it was asked, whether somebody still waits or not.
fn service(books: &Books) -> Server {
    let books = books.clone();
    Server::start(move |request, _| match (request.method.as_str(), request.path.as_str()) {
        ("GET", _) if books.standing.load(Ordering::SeqCst) > 0 => Answer::new(200, ""),
        ("GET", _) => Answer::new(404, ""),
        (_, "/cancel") => {
            books.standing.store(0, Ordering::SeqCst);
            Answer::new(200, "")
        }
        _ => {
            std::thread::sleep(BOOKS);
            books.made.fetch_add(1, Ordering::SeqCst);
            books.standing.fetch_add(1, Ordering::SeqCst);
            Answer::new(201, "")
        }
    })
}

/// Books a trip; asks whether it is booked, where there is a probe.
fn book(server: &Server, probed: bool) -> Value {
    let post = |path: &str| json!({ "http": { "url": server.url(path) } });
    let step = with(
        change("book", post("/book"), post("/cancel")),
        json!({ "timeout": GIVES_UP, "settles": SETTLES }),
    );
    let asks = json!({ "probe": { "http": { "method": "GET", "url": server.url("/book") } } });
    if probed { with(step, asks) } else { step }
}

/// The report, and whether a booking stands once the service has come to an end with all it was asked.
fn settled(output: &std::process::Output, books: &Books) -> (Value, bool) {
    wait_for("the booking", || books.made.load(Ordering::SeqCst) > 0);
    let report = report_of(output);
    let stands = books.standing.load(Ordering::SeqCst) > 0;
    assert!(
        report["outcome"] != "rolled_back" || !stands,
        "S1: it was called undone and is booked: {report:#}"
    );
    (report, stands)
}

#[test]
fn s1_a_booking_that_comes_after_the_timeout_is_found_or_cancelled() {
    for probed in [true, false] {
        let books = Books::default();
        let server = service(&books);
        let run = scene(&file(0.9, vec![book(&server, probed)]));
        let began = Instant::now();
        let output = ran(&mut run.start());
        let (report, stands) = settled(&output, &books);
        assert!(began.elapsed() > Duration::from_secs(2), "it waited for what it had begun");
        let ends = if probed { (Some(0), true) } else { (Some(3), false) };
        assert_eq!((output.status.code(), stands), ends, "{report:#}");
        assert_eq!(attempts(&report, "book", "probe").len(), usize::from(probed));
        assert_eq!(server.asked("/cancel").len(), usize::from(!probed));
        assert_complete(&run);
    }
}

#[test]
fn s1_a_booking_that_comes_after_the_timeout_is_cancelled_where_a_later_step_fails() {
    let books = Books::default();
    let server = service(&books);
    let run = scene(&file(0.9, vec![book(&server, true), look("fails", sh("exit 1"))]));
    let output =
        ran(hv().arg("run").arg(&run.file).arg("--data").arg(run.data()).arg("--work").arg(run.work()));
    let said = said(&output);
    wait_for("the booking", || books.made.load(Ordering::SeqCst) > 0);
    assert_eq!((output.status.code(), books.standing.load(Ordering::SeqCst)), (Some(3), 0), "{said}");
    assert!(said.contains("book: waits 2.000s for what it began to end"), "{said}");
    assert!(said.contains("book: undone"), "{said}");
    assert_complete(&run);
}

/// Kills hv as soon as the service works at a booking.
fn killed(run: &Run, server: &Server) {
    let mut child = spawn(&mut run.start());
    wait_for("the request", || !server.asked("/book").is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn s1_a_booking_that_comes_after_a_kill_is_found_or_cancelled() {
    for probed in [true, false] {
        let books = Books::default();
        let server = service(&books);
        let run = scene(&file(0.9, vec![with(book(&server, probed), json!({ "timeout": "1m" }))]));
        killed(&run, &server);
        let output = ran(&mut run.resume());
        let (report, stands) = settled(&output, &books);
        let ends = if probed { (Some(0), true) } else { (Some(3), false) };
        assert_eq!((output.status.code(), stands), ends, "{report:#}");
        assert_eq!(books.made.load(Ordering::SeqCst), 1, "it is booked once");
        assert_complete(&run);
    }
}

/// Ctrl-C lets the request end, up to its timeout; what it has begun is waited for like any other.
#[test]
fn s1_a_booking_that_comes_after_ctrl_c_is_cancelled() {
    let books = Books::default();
    let server = service(&books);
    let run = scene(&file(0.9, vec![book(&server, true)]));
    let child = spawn(&mut run.start());
    wait_for("the request", || !server.asked("/book").is_empty());
    crate::scene::signal(&child, "INT");
    let output = ended(child);
    let (report, stands) = settled(&output, &books);
    assert_eq!((output.status.code(), stands), (Some(3), false), "{report:#}");
    assert_eq!(step(&report, "book")["state"], "compensated");
    assert_complete(&run);
}

/// What may be repeated is: the service knows the request by its key, and hv does not wait for what it began.
#[test]
fn a_booking_that_may_be_repeated_is_repeated_at_once() {
    let repeated = json!({ "idempotent": true, "retry_delay": "1ms", "settles": "1h" });
    let server = Server::start(|_, before| match before {
        0 => Answer::new(201, "").after(Duration::from_secs(5)),
        _ => Answer::new(201, ""),
    });
    let run = scene(&file(0.9, vec![with(book(&server, false), repeated)]));
    let output = ran(&mut run.start());
    assert_eq!(output.status.code(), Some(0), "{:#}", report_of(&output));
    assert_eq!(server.asked("/book").len(), 2);
}
