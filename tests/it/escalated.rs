//! What cannot be undone is escalated, and somebody answers for it; requests are repeated under one key.

use crate::scene::{
    AGENT, assert_complete, attempts, change, file, look, names, ran, said, scene, sh, step, trail, with,
};
use crate::server::{Answer, Server};
use crate::support::{Run, hv, json as report_of};
use hv_core::TrailEvent;
use hv_core::event::LedgerEvent;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn outcome(run: &Run) -> (i32, Value) {
    let output = ran(&mut run.start());
    (output.status.code().unwrap_or_else(|| panic!("{}", said(&output))), report_of(&output))
}

/// Slashes on the ledger's stream.
fn slashes(run: &Run) -> usize {
    let events = trail(&run.data()).into_iter().flat_map(|record| record.events);
    events.filter(|event| matches!(event, TrailEvent::Ledger(LedgerEvent::Slashed { .. }))).count()
}

/// A program that is not there and a server that is not there did nothing, whoever cannot be asked about it.
#[test]
fn what_never_began_is_not_undone_and_nobody_pays_for_it() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let http = json!({ "http": { "url": format!("http://{nobody}/") } });
    for nowhere in [json!({ "command": ["hv-no-such-program"] }), http] {
        let asked = json!({ "probe": nowhere, "retries": 1, "retry_delay": "1ms" });
        let steps = vec![with(change("gone", nowhere.clone(), nowhere.clone()), asked)];
        let run = scene(&file(0.9, steps));
        let (code, report) = outcome(&run);
        assert_eq!((code, &step(&report, "gone")["state"]), (3, &json!("failed")), "{report:#}");
        assert!(attempts(&report, "gone", "undo").is_empty());
        assert_eq!(slashes(&run), 0);
        // Why is said with the name of the step.
        let listed = hv().args(["saga", "list"]).arg(run.data()).output().unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(listed.contains("because step gone failed"), "{listed}");
    }
}

#[test]
fn f17_an_undo_that_fails_is_escalated_and_paid_for_and_the_other_undos_still_run() {
    let undo = |id: &str| sh(&format!("echo undo {id} >> LOG"));
    let broken = "echo try two >> LOG; exit 9";
    let steps = vec![
        change("one", sh("true"), undo("one")),
        with(change("two", sh("true"), sh(broken)), json!({ "agent": "did:mesh:b", "undo_retries": 1 })),
        change("three", sh("true"), undo("three")),
        look("fails", sh("exit 1")),
    ];
    let agents = json!([
        { "did": AGENT, "sigma": 0.9 },
        { "did": "did:mesh:b", "sigma": 0.7 },
        { "did": "did:mesh:voucher", "sigma": 0.8 },
    ]);
    let vouch = json!([{ "voucher": "did:mesh:voucher", "vouchee": "did:mesh:b", "bond": 0.25 }]);
    let run = scene(&with(file(0.9, steps), json!({ "agent": agents, "vouch": vouch })));
    let (code, report) = outcome(&run);
    assert_eq!(code, 4, "{report:#}");
    assert_eq!((&report["outcome"], &report["exit_code"]), (&json!("escalated"), &json!(4)));
    let log = std::fs::read_to_string(run.work().join("LOG")).unwrap();
    assert_eq!(log, "undo three\ntry two\ntry two\nundo one\n", "S2, and nothing is left undone for it");
    assert_eq!(step(&report, "two")["state"], "compensation_failed");
    assert_eq!(attempts(&report, "two", "undo").len(), 2);
    assert_eq!(attempts(&report, "two", "undo")[1]["exit"], 9);
    assert_eq!(names(&report["undo_order"]), ["three", "one"]);

    // The one whose undo it was, and who answered for it; nobody else.
    let slashed = report["slashes"].as_array().unwrap();
    assert_eq!((slashed.len(), slashes(&run)), (1, 1), "{report:#}");
    assert_eq!((&slashed[0]["agent"], &slashed[0]["fault"]), (&json!("did:mesh:b"), &json!(1.0)));
    let losses = slashed[0]["losses"].as_array().unwrap();
    let lost = |did: &str| {
        losses.iter().find(|loss| loss["agent"] == did).map(|loss| loss["amount"].as_f64().unwrap())
    };
    assert_eq!(lost("did:mesh:b"), Some(0.7), "{losses:?}");
    // A bond of 0.25 · 0.8, and π of what cannot be undone is at least 0.9.
    assert!(lost("did:mesh:voucher").is_some_and(|lost| (0.18..=0.2).contains(&lost)), "L5: {losses:?}");
    assert_eq!(lost(AGENT), None, "L15: a bystander loses nothing");
    assert_complete(&run);
}

#[test]
fn f16_every_undo_that_fails_is_charged_once_and_to_its_own_agent() {
    let of = |id: &str, agent: &str| with(change(id, sh("true"), sh("exit 1")), json!({ "agent": agent }));
    let agents = json!([{ "did": "did:mesh:x", "sigma": 0.9 }, { "did": "did:mesh:y", "sigma": 0.8 }]);
    let mut session =
        file(0.9, vec![of("one", "did:mesh:x"), of("two", "did:mesh:y"), of("three", "did:mesh:x")]);
    session["agent"] = agents;
    session["step"]
        .as_array_mut()
        .unwrap()
        .push(with(look("fails", sh("exit 1")), json!({ "agent": "did:mesh:y" })));
    let run = scene(&session);
    let (code, report) = outcome(&run);
    assert_eq!(code, 4, "{report:#}");
    let slashed = report["slashes"].as_array().unwrap();
    let shares: f64 = slashed.iter().map(|slash| slash["fault"].as_f64().unwrap()).sum();
    assert_eq!((slashed.len(), shares), (2, 1.0), "L15: {slashed:?}");
    // The same report again: a resumed run of a finished trail slashes nobody twice.
    let again = ran(&mut run.resume());
    assert_eq!(again.status.code(), Some(4));
    assert_eq!((report_of(&again)["slashes"].clone(), slashes(&run)), (report["slashes"].clone(), 2), "L12");
}

#[test]
fn an_undo_that_succeeds_when_it_is_repeated_is_no_escalation() {
    let undo = sh("test -e TRIED || (touch TRIED; exit 1)");
    let run = scene(&file(
        0.9,
        vec![
            with(change("one", sh("true"), undo), json!({ "undo_retries": 2 })),
            look("fails", sh("exit 1")),
        ],
    ));
    let (code, report) = outcome(&run);
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(attempts(&report, "one", "undo").len(), 2);
    assert_eq!((report["slashes"].as_array().unwrap().len(), slashes(&run)), (0, 0));
}

#[test]
fn an_undo_that_lies_is_found_out_by_the_probe() {
    let lies = with(
        change("one", sh("touch EFFECT"), sh("true")),
        json!({ "probe": sh("test -e EFFECT"), "accept_unproven_undo": false }),
    );
    let run = scene(&file(0.9, vec![lies, look("fails", sh("exit 1"))]));
    let (code, report) = outcome(&run);
    assert_eq!(code, 4, "{report:#}");
    assert_eq!(step(&report, "one")["state"], "compensation_failed");
    assert_eq!(report["slashes"][0]["agent"], AGENT);
}

#[test]
fn work_that_takes_its_own_folder_away_is_escalated_and_not_called_undone() {
    let gone = change("one", sh("rm -rf \"$PWD\""), sh("touch BACK"));
    let run = scene(&file(0.9, vec![gone, look("fails", sh("exit 1"))]));
    let (code, report) = outcome(&run);
    assert_eq!(code, 4, "{report:#}");
    assert!(attempts(&report, "one", "undo")[0]["reason"].as_str().unwrap().contains("working directory"));
    assert_complete(&run);
}

/// A request as a task.
fn post(server: &Server, path: &str) -> Value {
    json!({ "http": { "url": server.url(path), "body": "{{}}" } })
}

/// Repeated soon and often.
fn patiently(step: Value) -> Value {
    with(step, json!({ "retries": 3, "retry_delay": "5ms" }))
}

#[test]
fn a_request_that_is_refused_for_now_is_repeated_under_the_same_key() {
    let server = Server::start(|_, before| match before {
        0 => Answer::new(503, "later"),
        1 => Answer::new(429, "later").with("Retry-After", "0"),
        _ => Answer::new(201, "made"),
    });
    let send = patiently(change("send", post(&server, "/send"), post(&server, "/undo")));
    let run = scene(&with(file(0.9, vec![send]), json!({ "session": { "id": "http" } })));
    let (code, report) = outcome(&run);
    assert_eq!(code, 0, "{report:#}");
    let statuses: Vec<_> =
        attempts(&report, "send", "execute").iter().map(|try_| try_["status"].as_u64()).collect();
    assert_eq!(statuses[..2], [Some(503), Some(429)]);
    let keys: Vec<_> = server
        .asked("/send")
        .iter()
        .map(|r| r.header("idempotency-key").unwrap_or_default().to_owned())
        .collect();
    assert_eq!(keys, vec![["\"http", "work", "send", "execute\""].join("/"); 3]);
    assert!(server.asked("/undo").is_empty());
    assert!(server.requests().iter().all(|request| request.method == "POST" && request.body == "{}"));
}

#[test]
fn a_request_that_is_refused_for_good_is_not_repeated_and_what_was_done_is_undone() {
    let server = Server::start(|request, _| Answer::new(if request.path == "/bad" { 400 } else { 200 }, ""));
    let first = patiently(change("first", post(&server, "/first"), post(&server, "/undo-first")));
    let bad = patiently(change("bad", post(&server, "/bad"), post(&server, "/undo-bad")));
    let run = scene(&file(0.9, vec![first, bad]));
    let (code, report) = outcome(&run);
    assert_eq!(code, 3, "{report:#}");
    let asked: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/first", "/bad", "/undo-first"], "what was refused has done nothing");
    assert_eq!(attempts(&report, "bad", "execute")[0]["status"], 400);
    let undo = server.asked("/undo-first");
    assert!(undo[0].header("idempotency-key").unwrap().ends_with("/first/undo\""));
    assert_complete(&run);
}

#[test]
fn a_redirect_is_not_followed_and_the_secret_behind_it_not_asked_for() {
    let elsewhere = Server::start(|_, _| Answer::new(200, ""));
    let target = elsewhere.url("/stolen");
    let server = Server::start(move |_, _| Answer::new(302, "").with("Location", &target));
    let run =
        scene(&file(0.9, vec![patiently(change("send", post(&server, "/send"), post(&server, "/undo")))]));
    assert_eq!(outcome(&run).0, 3);
    assert!(elsewhere.requests().is_empty());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn f18_a_request_without_an_answer_is_asked_about_and_undone_if_it_had_its_effect() {
    // It takes effect and is answered too late.
    let server = Server::start(|request, _| match request.path.as_str() {
        "/send" => Answer::new(200, "").after(Duration::from_secs(3)),
        "/probe" => Answer::new(200, ""),
        _ => Answer::new(200, ""),
    });
    let probe = json!({ "http": { "method": "GET", "url": server.url("/probe") } });
    let send = with(
        change("send", post(&server, "/send"), post(&server, "/undo")),
        json!({ "timeout": "400ms", "probe": probe }),
    );
    let run = scene(&file(0.9, vec![send.clone()]));
    let (code, report) = outcome(&run);
    assert_eq!(code, 0, "the probe finds it: {report:#}");
    assert_eq!(attempts(&report, "send", "execute")[0]["outcome"], "unknown");
    assert_eq!(attempts(&report, "send", "probe")[0]["outcome"], "present");
    assert_eq!(server.asked("/send").len(), 1, "it is not sent again");

    // Without a probe it counts as done, and is undone.
    let mut blind = send;
    blind.as_object_mut().unwrap().remove("probe");
    let run = scene(&file(0.9, vec![blind]));
    let (code, report) = outcome(&run);
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(server.asked("/undo").len(), 1);
}

#[test]
fn a_server_that_is_not_there_was_not_asked_and_nothing_is_undone() {
    // A port that was free a moment ago and that nobody listens to.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let task = || json!({ "http": { "url": format!("http://127.0.0.1:{port}/") } });
    let run = scene(&file(0.9, vec![patiently(change("send", task(), task()))]));
    let (code, report) = outcome(&run);
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(attempts(&report, "send", "execute").len(), 4);
    assert!(attempts(&report, "send", "undo").is_empty());
}

#[test]
fn a_second_interrupt_does_not_wait_for_an_answer() {
    let server = Server::start(|_, _| Answer::new(200, "").after(Duration::from_secs(120)));
    let run = scene(&file(0.9, vec![change("send", post(&server, "/send"), post(&server, "/undo"))]));
    let child = crate::scene::spawn(&mut run.start());
    crate::scene::wait_for("the request", || !server.requests().is_empty());
    let before = Instant::now();
    crate::scene::signal(&child, "TERM");
    let output = crate::scene::ended(child);
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
}

#[test]
fn a_step_is_repeated_as_often_as_the_file_says_and_no_more() {
    let fails =
        with(look("fails", sh("echo try >> LOG; exit 1")), json!({ "retries": 4, "retry_delay": "1ms" }));
    let run = scene(&file(0.9, vec![fails]));
    let (code, report) = outcome(&run);
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(attempts(&report, "fails", "execute").len(), 5);
    assert_eq!(std::fs::read_to_string(run.work().join("LOG")).unwrap(), "try\n".repeat(5));
}
