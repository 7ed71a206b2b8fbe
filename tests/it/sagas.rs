//! The examples of sagas, run as they stand by the real program, each with a trail that verifies.

use crate::scene::signal;
use crate::support::{hv, json, workspace};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// An example with folders of its own; changes to its text are made on a copy.
struct Place {
    folder: tempfile::TempDir,
    file: PathBuf,
}

impl Place {
    fn of(example: &str, change: impl Fn(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(example);
        let text = fs::read_to_string(workspace().join("examples").join(example)).unwrap();
        fs::write(&file, change(text)).unwrap();
        Self { folder, file }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self) -> (Option<i32>, Value) {
        let (data, work) = (self.path("data"), self.path("work"));
        let ran = hv()
            .args(["run", "--json"])
            .arg(&self.file)
            .arg("--data")
            .arg(data)
            .arg("--work")
            .arg(work)
            .output();
        let ran = ran.unwrap();
        (ran.status.code(), json(&ran))
    }

    fn hv(&self, words: &[&str]) -> Output {
        hv().args(words).current_dir(self.folder.path()).output().unwrap()
    }

    fn verify(&self) {
        let verified = self.hv(&["audit", "verify", "--sealed", "--json", "data"]);
        assert_eq!(json(&verified)["verdict"], "complete", "{}", String::from_utf8_lossy(&verified.stderr));
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The service of the travel example, on a port of its own; it ends with the test.
pub(crate) struct Agency {
    child: Child,
    pub(crate) port: u16,
}

impl Agency {
    pub(crate) fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let script = workspace().join("examples/travel_service.py");
        let child =
            Command::new("python3").arg(script).arg(port.to_string()).stderr(Stdio::null()).spawn().unwrap();
        let agency = Self { child, port };
        let until = Instant::now() + Duration::from_secs(20);
        while agency.ask("GET", "/counts").is_none() {
            assert!(Instant::now() < until, "the service does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        agency
    }

    fn ask(&self, method: &str, path: &str) -> Option<String> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        Some(text.split_once("\r\n\r\n")?.1.to_owned())
    }

    pub(crate) fn counts(&self) -> Value {
        serde_json::from_str(&self.ask("GET", "/counts").unwrap()).unwrap()
    }

    /// From here on it answers nobody.
    pub(crate) fn hold(&self) {
        signal(&self.child, "STOP");
    }

    /// It answers again, also who asked meanwhile.
    pub(crate) fn let_go(&self) {
        signal(&self.child, "CONT");
    }
}

impl Drop for Agency {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_trip_that_cannot_be_cancelled_escalates_slashes_and_is_settled_by_a_witness() {
    let agency = Agency::start();
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("human.key");
    let made = hv().args(["id", "new", "--key"]).arg(&key).output().unwrap();
    let human = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let place = Place::of("travel.toml", |text| {
        let key = "did:key:z6MkqUFMKcFZN9wqxrhzeC75FYzSD6KxMhDUdNFg9MzakL2J";
        assert!(text.contains(key) && text.contains("127.0.0.1:8765"));
        text.replace(key, &human).replace("8765", &agency.port.to_string())
    });
    let (code, report) = place.run();
    assert_eq!(code, Some(4), "{report}");
    assert_eq!(
        agency.counts()["booked"],
        serde_json::json!(["flight"]),
        "the hotel is cancelled, the flight not"
    );
    assert_eq!(report["slashes"][0]["agent"], "did:mesh:pilot");
    assert_eq!(
        report["slashes"].as_array().unwrap().len(),
        1,
        "the hotelier could undo, and answers for nothing"
    );
    place.verify();
    let listed = place.hv(&["saga", "list", "data"]);
    assert_eq!(listed.status.code(), Some(4));
    assert!(said(&listed).contains("/flight  waits for a person"), "{}", said(&listed));
    let shown = said(&place.hv(&["saga", "show", "data", "--saga", "work"]));
    assert!(shown.contains("/hotel  compensated") && shown.contains("/flight  compensation_failed"));
    let drawn = said(&place.hv(&["saga", "graph", "data", "--mermaid"]));
    assert!(drawn.starts_with("flowchart TD\n") && drawn.contains("g0s0 --> g0s1"), "{drawn}");
    let watched = place.hv(&["saga", "watch", "data"]);
    assert_eq!(watched.status.code(), Some(0));

    // A witness agrees to one more attempt; the airline is still on strike.
    let word = |verb: &str, name: &str| {
        let call = place.hv(&["saga", verb, "data", "flight", "--by", "did:mesh:operator"]);
        fs::write(place.path("call.json"), &call.stdout).unwrap();
        let signed = hv()
            .args([
                "id",
                "sign",
                "--type",
                "witness",
                "--audience",
                "did:web:node.example",
                "--deadline",
                "1h",
            ])
            .arg("--key")
            .arg(&key)
            .arg(place.path("call.json"))
            .output()
            .unwrap();
        assert!(signed.status.success(), "{}", said(&signed));
        fs::write(place.path(name), &signed.stdout).unwrap();
    };
    word("retry", "first.json");
    let retried = place.hv(&["saga", "retry", "data", "flight", "--witness", "first.json"]);
    assert_eq!(retried.status.code(), Some(4), "{}", said(&retried));
    // The same word opens nothing else, and nothing twice.
    let skipped = place.hv(&["saga", "skip", "data", "flight", "--witness", "first.json"]);
    assert_eq!(skipped.status.code(), Some(5), "{}", said(&skipped));
    let again = place.hv(&["saga", "retry", "data", "flight", "--witness", "first.json"]);
    assert_eq!(again.status.code(), Some(5), "{}", said(&again));
    agency.ask("POST", "/strike-over").unwrap();
    word("retry", "second.json");
    let retried = place.hv(&["saga", "retry", "data", "flight", "--witness", "second.json"]);
    assert_eq!(retried.status.code(), Some(0), "{}", said(&retried));
    assert_eq!(agency.counts()["booked"], serde_json::json!([]));
    assert_eq!(place.hv(&["saga", "list", "data"]).status.code(), Some(0));
    place.verify();
}

#[test]
fn two_good_reviews_of_three_are_enough() {
    let place = Place::of("reviews.toml", |text| text);
    let (code, report) = place.run();
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(fs::read_to_string(place.path("work/published")).unwrap(), "good\ngood\n");
    assert!(!place.path("work/review-3").exists());
    place.verify();
    let listed = said(&place.hv(&["saga", "list", "data"]));
    assert!(listed.contains("reviews/work  completed, 3 of 4 steps stand"), "{listed}");
    // The same file makes sense; one whose finished step does something else does not; a later one may change.
    let against = |change: &dyn Fn(String) -> String| {
        let text = fs::read_to_string(&place.file).unwrap();
        fs::write(place.path("changed.toml"), change(text)).unwrap();
        place.hv(&["saga", "replay-check", "data", "--against", "changed.toml"])
    };
    assert_eq!(against(&|text| text).status.code(), Some(0));
    let longer =
        against(&|text| text.replace("needs = \"majority\"", "needs = \"majority\"\ntimeout = \"10m\""));
    assert_eq!(longer.status.code(), Some(0), "{}", said(&longer));
    assert!(said(&longer).contains("step publish has another timeouts"), "{}", said(&longer));
    let stricter = against(&|text| text.replace("needs = \"majority\"", "needs = \"all\""));
    assert_eq!(stricter.status.code(), Some(1), "{}", said(&stricter));
    let other = against(&|text| text.replace("echo good > review-1", "echo bad > review-1"));
    assert_eq!(other.status.code(), Some(1), "{}", said(&other));
}

/// What a saga did is held against limits that have changed since, each by its name, with what would do.
#[test]
fn a_history_makes_sense_under_other_limits_where_it_keeps_to_them() {
    // One step is repeated once, and both run at the same time for a while.
    let place = Place::of("reviews.toml", |text| {
        let text = text.replace(
            "echo good > review-1",
            "sleep 0.4; if test ! -e ../AGAIN; then touch ../AGAIN; exit 1; fi; echo good > review-1",
        );
        let text = text.replace("echo good > review-2", "sleep 0.4; echo good > review-2");
        let text = text.replacen("after = []\n", "after = []\nretries = 1\nretry_delay = \"1ms\"\n", 1);
        text.replace("parallel = 3", "parallel = 3\nretries = 2\nwithin = \"10m\"")
    });
    let (code, report) = place.run();
    assert_eq!(code, Some(0), "{report}");
    let limits = "parallel = 3\nretries = 2\nwithin = \"10m\"";
    let against = |given: &str, words: &[&str]| {
        let text = fs::read_to_string(&place.file).unwrap();
        assert!(text.contains(limits));
        fs::write(place.path("changed.toml"), text.replace(limits, given)).unwrap();
        let all = [&["saga", "replay-check", "data", "--against", "changed.toml"], words].concat();
        place.hv(&all)
    };
    let same = against(limits, &[]);
    assert_eq!(same.status.code(), Some(0), "{}", said(&same));
    assert!(!said(&same).contains("limit"), "{}", said(&same));

    // What it kept to all the same, and what is allowed now.
    for (given, told) in [
        ("parallel = 3\nretries = 1\nwithin = \"10m\"", "limit retries: 2 is recorded, 1 is in the file"),
        ("parallel = 3\nwithin = \"10m\"", "limit retries: 2 is recorded, none is in the file"),
        (
            "parallel = 3\nretries = 2\nwithin = \"9m\"",
            "limit within: 600 s is recorded, 540 s is in the file",
        ),
        ("parallel = 3\nretries = 2", "limit within: 600 s is recorded, none is in the file"),
        ("parallel = 5\nretries = 2\nwithin = \"10m\"", "limit parallel: 3 is recorded, 5 is in the file"),
    ] {
        let changed = against(given, &[]);
        assert_eq!(changed.status.code(), Some(0), "{given}: {}", said(&changed));
        assert!(said(&changed).contains(told), "{given}: {}", said(&changed));
        assert!(said(&changed).contains("the history makes sense under the limits"), "{}", said(&changed));
    }

    // What it did not keep to.
    for (given, why) in [
        (
            "parallel = 3\nretries = 0\nwithin = \"10m\"",
            "1 repetitions were used (review-1 1), and [limits] retries allows 0",
        ),
        (
            "parallel = 3\nretries = 2\nwithin = \"500ms\"",
            "and [limits] within allows 500 ms; allow more than",
        ),
        ("parallel = 1\nretries = 2\nwithin = \"10m\"", "and [limits] parallel allows 1; allow at least"),
    ] {
        let broken = against(given, &[]);
        assert_eq!(broken.status.code(), Some(1), "{given}: {}", said(&broken));
        assert!(said(&broken).contains("no sense under the limits"), "{}", said(&broken));
        assert!(said(&broken).contains(why), "{given}: {}", said(&broken));
    }
    let all = against("parallel = 1\nretries = 0\nwithin = \"500ms\"", &["--json"]);
    let told = json(&all);
    assert_eq!(told["makes_sense"], false);
    let saga = &told["sagas"][0];
    assert_eq!(saga["recorded"], saga["file"], "its steps are the same");
    let of = |parallel: u32, retries: u32, within: u32| serde_json::json!({ "parallel": parallel, "retries": retries, "within_ms": within });
    assert_eq!(saga["limits"], serde_json::json!({ "recorded": of(3, 2, 600_000), "file": of(1, 0, 500) }));
    assert_eq!(saga["changes"].as_array().unwrap().len(), 3, "{saga}");
    let why = saga["broken"].as_str().unwrap();
    assert!(["parallel", "retries", "within"].iter().all(|part| why.contains(part)), "{why}");
}

/// A step that was given up would have been tried again under more retries, and one that was repeated would not under less.
#[test]
fn a_history_makes_sense_only_with_the_attempts_that_it_had() {
    let keys = "after = []\nretries = 1\nretry_delay = \"1ms\"\n";
    // It is repeated once and fails for good; its good brothers are undone, one of them only when that is tried again.
    let place = Place::of("reviews.toml", |text| {
        let text = text.replacen("after = []\n", keys, 1);
        let text = text.replace("needs = \"majority\"", "needs = \"all\"");
        let text = text.replace(
            "undo = { command = [\"rm\", \"-f\", \"review-2\"] }",
            "undo = { command = [\"sh\", \"-c\", \"if test ! -e ../SEEN; then touch ../SEEN; exit 1; fi; rm review-2\"] }\n\
             undo_retries = 1\nretry_delay = \"1ms\"",
        );
        text.replace("echo good > review-1", "exit 1").replace("echo out of order >&2; exit 1", "true")
    });
    let (code, report) = place.run();
    assert_eq!(code, Some(3), "{report}");
    let against = |given: (&str, &str)| {
        let text = fs::read_to_string(&place.file).unwrap();
        assert!(text.contains(keys) && text.contains(given.0));
        fs::write(place.path("changed.toml"), text.replace(given.0, given.1)).unwrap();
        place.hv(&["saga", "replay-check", "data", "--against", "changed.toml"])
    };
    let same = against((keys, keys));
    assert_eq!(same.status.code(), Some(0), "{}", said(&same));
    let more = against(("undo_retries = 1", "undo_retries = 2"));
    assert_eq!(more.status.code(), Some(0), "it came to its end: {}", said(&more));
    for (old, new, why) in [
        (
            "\nretries = 1",
            "\nretries = 0",
            "step review-1 was tried again, and retries allows 0; allow at least 1",
        ),
        (
            "\nretries = 1",
            "\nretries = 2",
            "step review-1 was given up, and retries allows 2, so it would have been tried again; allow 1",
        ),
        (
            "undo_retries = 1",
            "undo_retries = 0",
            "the undo of step review-2 was tried again, and undo_retries allows 0; allow at least 1",
        ),
    ] {
        let broken = against((old, new));
        assert_eq!(broken.status.code(), Some(1), "{new}: {}", said(&broken));
        assert!(said(&broken).contains(why), "{new}: {}", said(&broken));
    }
}

/// One that turned back because its time was over did so under no other time.
#[test]
fn a_saga_that_ran_out_of_time_makes_no_sense_with_more_of_it() {
    let limit = "parallel = 3\nwithin = \"100ms\"";
    let place = Place::of("reviews.toml", |text| {
        let text = text.replace("echo good > review-1", "sleep 0.5; echo good > review-1");
        text.replace("parallel = 3", limit)
    });
    let (code, report) = place.run();
    assert_eq!(code, Some(3), "{report}");
    for (given, made) in [(limit, 0), ("parallel = 3\nwithin = \"10m\"", 1), ("parallel = 3", 1)] {
        let text = fs::read_to_string(&place.file).unwrap();
        fs::write(place.path("changed.toml"), text.replace(limit, given)).unwrap();
        let checked = place.hv(&["saga", "replay-check", "data", "--against", "changed.toml"]);
        assert_eq!(checked.status.code(), Some(made), "{given}: {}", said(&checked));
        assert_eq!(said(&checked).contains("because its time was over"), made == 1, "{}", said(&checked));
    }
}

#[test]
fn f18_what_a_late_step_left_behind_is_undone() {
    let place = Place::of("late.toml", |text| text);
    let (code, report) = place.run();
    assert_eq!(code, Some(3), "{report}");
    assert_eq!(report["undo_order"], serde_json::json!(["late", "first"]));
    assert_eq!(fs::read_dir(place.path("work")).unwrap().count(), 0);
    place.verify();
}

fn states(report: &Value, key: &str) -> Vec<String> {
    let steps = report[key].as_array().unwrap().iter();
    steps
        .map(|step| format!("{} {}", step["id"].as_str().unwrap(), step["state"].as_str().unwrap()))
        .collect()
}

/// What the file says of the work holds for the work: a rehearsal goes through its steps one after the other.
#[test]
fn the_time_of_the_work_begins_behind_the_rehearsal() {
    let place = Place::of("rehearsal.toml", |text| {
        let slow = text.replace(
            "[\"mkdir\", \"people\"]",
            "[\"sh\", \"-c\", \"mkdir people; test -e ../SEEN || sleep 2; touch ../SEEN\"]",
        );
        slow + "\n[limits]\nwithin = \"1500ms\"\n"
    });
    let (code, report) = place.run();
    assert_eq!(code, Some(0), "{report}");
    place.verify();
}

#[test]
fn what_is_to_be_undone_on_demand_is_rehearsed_before_the_work() {
    let place = Place::of("rehearsal.toml", |text| text);
    let (code, report) = place.run();
    assert_eq!((code, &report["cause"]), (Some(0), &Value::Null), "{report}");
    assert_eq!(states(&report, "rehearsal"), ["people compensated", "people.look committed"]);
    assert_eq!(states(&report, "steps"), ["people committed", "ada committed"]);
    assert_eq!(report["steps"][0]["ring"], 2);
    assert_eq!(fs::read_to_string(place.path("work/people/1")).unwrap(), "Ada\n");
    let shown = said(&place.hv(&["audit", "show", "data"]));
    assert!(shown.contains("saga rehearsal is a rehearsal"), "{shown}");
    assert!(
        said(&place.hv(&["saga", "list", "data"]))
            .contains("1 of 2 steps stands, because a rehearsal undoes what it did")
    );
    place.verify();

    // An undo that only says that it works: found out, and nothing of the work begins.
    let lies = Place::of("rehearsal.toml", |text| text.replace("[\"rmdir\", \"people\"]", "[\"true\"]"));
    let (code, report) = lies.run();
    assert_eq!(code, Some(4), "{report}");
    assert_eq!(states(&report, "steps"), Vec::<String>::new());
    assert_eq!(report["failed_undos"][0]["action"], "table.create");
    let listed = lies.hv(&["saga", "list", "data"]);
    assert!(said(&listed).contains("an undo of table.create failed (people of did:mesh:migrator)"));
    assert!(said(&listed).contains("because the undo of step people did not work"), "{}", said(&listed));
    lies.verify();

    // What does not work at all is undone, and the work does not begin either.
    let fails = Place::of("rehearsal.toml", |text| text.replace("[\"mkdir\", \"people\"]", "[\"false\"]"));
    let (code, report) = fails.run();
    assert_eq!(code, Some(3), "{report}");
    assert_eq!(states(&report, "steps"), Vec::<String>::new());
    assert_eq!(report["cause"], "in the rehearsal step people failed");
    assert!(said(&fails.hv(&["saga", "list", "data"])).contains("because step people failed"));
    fails.verify();

    // Nor does it where nothing is seen of what was done.
    let unseen = Place::of("rehearsal.toml", |text| text.replace("[\"mkdir\", \"people\"]", "[\"true\"]"));
    assert_eq!(unseen.run().0, Some(3));
    let listed = said(&unseen.hv(&["saga", "list", "data"]));
    assert!(listed.contains("because the probe of step people did not see what it did"), "{listed}");
}
