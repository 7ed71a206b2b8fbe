//! Requests against a real server on the loopback interface.

use crate::running::{Slip, attempt, execute};
use hv_saga::exec::{HttpExecutor, NotABase};
use hv_saga::{
    Class, Executor, Failure, HttpTask, Outcome, ProbeAnswer, Purpose, Reason, Task, Value, Verdict,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A server that answers each connection with the next of these, and passes on what it was sent. An answer of
/// nothing closes the connection; `wait` never answers.
fn server(answers: Vec<String>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (send, receive) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let request = read(&stream);
            if answer == "wait" {
                std::thread::sleep(Duration::from_secs(2));
            } else {
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
            send.send(request).unwrap();
        }
    });
    (base, receive)
}

fn read(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        request.push_str(&line);
        if line == "\r\n" || line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    request + &String::from_utf8(body).unwrap()
}

fn answer(status: u16, more: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n{body}", body.len())
}

fn task(method: &str, url: &str) -> HttpTask {
    HttpTask { method: method.into(), url: url.into(), ..HttpTask::default() }
}

fn failed(class: Class, reason: Reason) -> Verdict {
    Verdict::Failed(Failure::new(class, reason))
}

async fn ask(status: u16, purpose: Purpose, expect: Vec<u16>) -> Outcome {
    let (base, _requests) = server(vec![answer(status, "", "hi")]);
    let executor = HttpExecutor::new().with_base(&base).unwrap();
    let task = Task::from(HttpTask { expect, ..task("POST", "/a") });
    executor.run(Slip::Good, &attempt(task, purpose, Duration::from_secs(20))).await
}

#[tokio::test]
async fn statuses_and_what_they_mean() {
    use Class::{Permanent, Retryable, Unknown};
    use Purpose::{Execute, Probe, Undo};
    let http = |class, status| failed(class, Reason::Http { status });
    for (status, purpose, expect, verdict) in [
        (200, Execute, vec![], Verdict::Done),
        (299, Execute, vec![], Verdict::Done),
        (200, Execute, vec![201], http(Permanent, 200)),
        (409, Execute, vec![200, 409], Verdict::Done),
        (302, Execute, vec![], http(Permanent, 302)),
        (400, Execute, vec![], http(Permanent, 400)),
        (404, Undo, vec![], http(Permanent, 404)),
        (404, Undo, vec![404], Verdict::Done),
        (408, Execute, vec![], http(Retryable, 408)),
        (425, Execute, vec![], http(Retryable, 425)),
        (429, Undo, vec![], http(Retryable, 429)),
        (500, Execute, vec![], http(Retryable, 500)),
        (599, Execute, vec![], http(Retryable, 599)),
        (200, Probe, vec![], Verdict::Answer(ProbeAnswer::Present)),
        (404, Probe, vec![], Verdict::Answer(ProbeAnswer::Absent)),
        (410, Probe, vec![], Verdict::Answer(ProbeAnswer::Absent)),
        (403, Probe, vec![], http(Unknown, 403)),
        (503, Probe, vec![], http(Unknown, 503)),
    ] {
        let outcome = ask(status, purpose, expect).await;
        assert_eq!(outcome.verdict, verdict, "{status} as {purpose}");
        assert_eq!(outcome.output.unwrap().exit, Some(i32::from(status)));
    }
}

#[tokio::test]
async fn a_request_carries_its_key_and_its_secrets_and_shows_neither() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "canary-8812\n").unwrap();
    let (base, requests) = server(vec![answer(500, "", "you sent canary-8812")]);
    let executor = HttpExecutor::new().with_base(&base).unwrap();
    let reference = Value::File(file.to_str().unwrap().into());
    let task = HttpTask {
        headers: vec![
            ("X-Token".into(), reference.clone()),
            ("Content-Type".into(), Value::Literal("text/plain".into())),
        ],
        body: Some(reference),
        ..task("PUT", "/things/1?a=b")
    };
    let outcome = execute(&executor, Task::from(task)).await;
    let request = requests.recv().unwrap();
    assert!(request.starts_with("PUT /things/1?a=b HTTP/1.1\r\n"), "{request}");
    let lower = request.to_ascii_lowercase();
    for line in ["idempotency-key: \"s/g/step/execute\"", "x-token: canary-8812", "content-type: text/plain"]
    {
        assert!(lower.lines().any(|sent| sent == line), "{line} in {request}");
    }
    assert!(request.ends_with("\r\n\r\ncanary-8812"));
    let output = outcome.output.clone().unwrap();
    assert_eq!(output.stdout, b"you sent [redacted]");
    assert!(!format!("{outcome:?}").contains("canary"));
}

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn retry_after_is_read_in_every_form() {
    let (base, _requests) = server(vec![
        answer(503, "Retry-After: 7\r\n", ""),
        answer(429, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", ""),
        answer(429, "Retry-After: Sunday, 06-Nov-94 08:49:37 GMT\r\n", ""),
        answer(429, "Retry-After: Sun Nov  6 08:49:37 1994\r\n", ""),
        answer(429, "Retry-After: Monday, 06-Nov-95 08:49:37 GMT\r\n", ""),
        answer(429, "Retry-After: Sunday, 06-Nov-50 08:49:37 GMT\r\n", ""),
        answer(429, "Retry-After: Sun Nov  6 08:49:37 1994 GMT\r\n", ""),
        answer(429, "Retry-After: soon\r\n", ""),
        answer(429, "Retry-After: 99999999999999999999999\r\n", ""),
        answer(429, "Retry-After: -1\r\n", ""),
        answer(429, "Retry-After:\r\n", ""),
    ]);
    let at = hv_types::Timestamp(784_111_777 * 1_000_000_000 - 2_500_000_000);
    let clock = std::sync::Arc::new(move || at);
    let executor = HttpExecutor::new().with_base(&base).unwrap().with_clock(clock);
    for (class, status, after) in [
        (Class::Retryable, 503, Some(Duration::from_secs(7))),
        (Class::Retryable, 429, Some(Duration::from_millis(2500))),
        (Class::Retryable, 429, Some(Duration::from_millis(2500))),
        (Class::Retryable, 429, Some(Duration::from_millis(2500))),
        (Class::Retryable, 429, Some(Duration::from_millis(2500) + 365 * DAY)),
        // More than fifty years ahead is in the past, here before any time that can be told.
        (Class::Retryable, 429, None),
        (Class::Retryable, 429, None),
        (Class::Retryable, 429, None),
        (Class::Retryable, 429, Some(Duration::MAX)),
        (Class::Retryable, 429, None),
        (Class::Retryable, 429, None),
    ] {
        let mut failure = Failure::new(class, Reason::Http { status });
        failure.retry_after = after;
        let outcome = execute(&executor, Task::from(task("GET", "/"))).await;
        assert_eq!(outcome.verdict, Verdict::Failed(failure));
    }
}

#[tokio::test]
async fn a_body_is_kept_up_to_the_limit() {
    let (base, _requests) = server(vec![answer(200, "", &"x".repeat(100_000))]);
    let executor = HttpExecutor::new().with_base(&base).unwrap().with_output_bytes(1000);
    let output = execute(&executor, Task::from(task("GET", "/"))).await.output.unwrap();
    assert_eq!((output.stdout.len(), output.dropped), (1000, 99_000));
}

/// Where the length is not said, what is longer than is kept, and what breaks off, is told from what is all there.
#[tokio::test]
async fn a_body_that_is_not_all_there_is_told_as_such() {
    let chunked = |rest: &str| {
        format!(
            "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n4\r\none\n\r\n{rest}"
        )
    };
    let answers = ["0\r\n\r\n", "4\r\ntwo\n\r\n0\r\n\r\n", "", "4\r\ntw"].map(chunked);
    let (base, _requests) = server(answers.into());
    let executor = HttpExecutor::new().with_base(&base).unwrap().with_output_bytes(4);
    for all_there in [true, false, false, false] {
        let outcome = execute(&executor, Task::from(task("GET", "/"))).await;
        let output = outcome.output.unwrap();
        assert_eq!((outcome.verdict, output.stdout), (Verdict::Done, b"one\n".to_vec()));
        assert_eq!(output.dropped == 0, all_there, "{}", output.dropped);
    }
}

/// Nothing sent: may be tried again. Sent and not answered: nobody knows.
#[tokio::test]
async fn no_answer_is_told_from_no_connection() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Task::from(task("POST", &format!("http://{closed}/")));
    let outcome = execute(&HttpExecutor::new(), nobody).await;
    assert_eq!(outcome.verdict, failed(Class::Retryable, Reason::NotConnected));
    // RFC 6761, section 6.4: no name below `invalid` leads anywhere.
    let nowhere = Task::from(task("POST", "http://nowhere.invalid/"));
    let outcome = execute(&HttpExecutor::new(), nowhere).await;
    assert_eq!(outcome.verdict, failed(Class::Retryable, Reason::NotConnected));

    let (base, requests) = server(vec![String::new(), "wait".into()]);
    let executor = HttpExecutor::new().with_base(&base).unwrap();
    let outcome = execute(&executor, Task::from(task("POST", "/"))).await;
    assert_eq!(outcome.verdict, failed(Class::Unknown, Reason::Disconnected));
    let attempt = attempt(Task::from(task("POST", "/")), Purpose::Execute, Duration::from_millis(500));
    let outcome = executor.run(Slip::Good, &attempt).await;
    assert_eq!(outcome.verdict, failed(Class::Unknown, Reason::TimedOut));
    assert_eq!((requests.recv().is_ok(), requests.recv().is_ok()), (true, true));
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let bad =
        |reference: &str| failed(Class::Permanent, Reason::BadReference { reference: reference.into() });
    let executor = HttpExecutor::new();
    assert_eq!(execute(&executor, Task::from(task("GET", "/path"))).await.verdict, bad("/path"));
    let header =
        |value| HttpTask { headers: vec![("X".into(), value)], ..task("GET", "http://127.0.0.1:1/") };
    let missing = Value::Env("HV_NO_SUCH_VARIABLE".into());
    let outcome = execute(&executor, Task::from(header(missing))).await;
    assert_eq!(outcome.verdict, bad("env:HV_NO_SUCH_VARIABLE"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two-lines");
    std::fs::write(&file, "a\nX-Injected: b").unwrap();
    let reference = format!("file:{}", file.display());
    let outcome = execute(&executor, Task::from(header(Value::parse(&reference)))).await;
    assert_eq!(outcome.verdict, bad(&reference));
    for base in ["", "ftp://a", "a.example", "http://"] {
        assert_eq!(HttpExecutor::new().with_base(base).unwrap_err(), NotABase(base.into()));
    }
    // C1 at this floor: without a permit that fits nothing is sent.
    let (base, requests) = server(vec![answer(200, "", "")]);
    let executor = HttpExecutor::new().with_base(&base).unwrap();
    let attempt = attempt(Task::from(task("GET", "/")), Purpose::Execute, Duration::from_secs(20));
    let outcome = executor.run(Slip::Bad, &attempt).await;
    assert_eq!(outcome.verdict, failed(Class::Permanent, Reason::NotPermitted));
    assert!(requests.try_recv().is_err());
}

/// Whatever keeps the two from agreeing on TLS, nothing of the request was sent: an answer that is none of TLS, an end
/// in the middle, no answer at all.
#[tokio::test]
async fn without_tls_nothing_was_sent() {
    for (says, keeps) in [(&b"HTTP/1.1 400 X\r\n\r\n"[..], false), (b"", false), (b"", true)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 1024];
            let _ = stream.read(&mut hello).unwrap();
            stream.write_all(says).unwrap();
            std::thread::sleep(Duration::from_secs(if keeps { 5 } else { 0 }));
        });
        let attempt = attempt(
            Task::from(task("POST", &format!("https://{place}/"))),
            Purpose::Execute,
            Duration::from_secs(1),
        );
        let outcome = HttpExecutor::new().run(Slip::Good, &attempt).await;
        assert_eq!(outcome.verdict, failed(Class::Retryable, Reason::NotConnected), "{says:?} {keeps}");
    }
}

/// A request that waits for a thread is not sent behind the back of who has given it up, nor after its time.
#[test]
fn s1_what_nobody_waits_for_is_not_sent() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().unwrap();
    let (base, requests) = server(vec![answer(200, "", "")]);
    runtime.block_on(async {
        let busy = tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(400)));
        let executor = HttpExecutor::new().with_base(&base).unwrap();
        let within = |ms| attempt(Task::from(task("POST", "/")), Purpose::Execute, Duration::from_millis(ms));
        let given_up = within(20_000);
        let run = executor.run(Slip::Good, &given_up);
        assert!(tokio::time::timeout(Duration::from_millis(50), run).await.is_err());
        let outcome = executor.run(Slip::Good, &within(200)).await;
        assert_eq!(outcome.verdict, failed(Class::Retryable, Reason::NotConnected));
        busy.await.unwrap();
        assert_eq!(execute(&executor, Task::from(task("PUT", "/"))).await.verdict, Verdict::Done);
    });
    assert!(requests.recv().unwrap().starts_with("PUT"));
    assert!(requests.recv().is_err());
}
