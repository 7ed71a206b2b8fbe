//! The program is killed at every batch of its trail and at every request of three runs against a real service that
//! keeps a log of what arrives: no effect is lost, none is made twice, and nothing is called undone that is there.

use crate::scene::{AGENT, assert_calm};
use crate::support::{hv, json};
use hv_audit::disk::RealDisk;
use hv_audit::{Verdict, verify_on};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// What is booked, in this order. Of those in doubt after a crash, one half is asked about and the other half repeated
/// under its key.
const BOOKINGS: [(&str, bool); 5] =
    [("hotel", true), ("train", false), ("flight", true), ("tour", false), ("car", true)];

/// How a run ends when nobody disturbs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Completes,
    /// There is no car.
    IsUndone,
    /// There is no car, and the flight is not cancelled.
    Escalates,
}

impl Course {
    const fn exit(self) -> i32 {
        match self {
            Self::Completes => 0,
            Self::IsUndone => 3,
            Self::Escalates => 4,
        }
    }

    /// What is booked in the end.
    const fn left(self) -> &'static [&'static str] {
        match self {
            Self::Completes => &["hotel", "train", "flight", "tour", "car"],
            Self::IsUndone => &[],
            Self::Escalates => &["flight"],
        }
    }

    fn refuses(self, path: &str) -> Option<u16> {
        match path {
            "/car" if self != Self::Completes => Some(409),
            "/flight/cancel" if self == Self::Escalates => Some(422),
            _ => None,
        }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
struct Arrival {
    method: String,
    path: String,
    key: String,
}

#[derive(Debug, Default)]
struct Books {
    arrivals: Vec<Arrival>,
    /// How often each path had its effect, whatever the key.
    effects: BTreeMap<String, u32>,
    booked: BTreeSet<String>,
    /// The answers to requests that changed something, by key.
    answers: BTreeMap<String, u16>,
    /// The request that is kept waiting until its sender is gone.
    holds: Option<usize>,
    gone: bool,
}

/// Books what a path names and cancels it again, once for each key.
struct Service {
    port: u16,
    books: Arc<(Mutex<Books>, Condvar)>,
}

impl Service {
    fn start(course: Course, holds: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let books = Arc::new((Mutex::new(Books { holds, ..Books::default() }), Condvar::new()));
        let shared = Arc::clone(&books);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let books = Arc::clone(&shared);
                std::thread::spawn(move || answer(course, &stream, &books));
            }
        });
        Self { port, books }
    }

    /// Whether the request that is to be held has come.
    fn is_held(&self) -> bool {
        let books = self.books.0.lock().unwrap();
        books.holds.is_some_and(|holds| books.arrivals.len() >= holds)
    }

    /// Goes on with what was held.
    fn let_go(&self) {
        self.books.0.lock().unwrap().gone = true;
        self.books.1.notify_all();
    }
}

fn answer(course: Course, stream: &TcpStream, (books, changed): &(Mutex<Books>, Condvar)) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut key, mut length) = (String::new(), 0usize);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "idempotency-key" => key = value.trim().trim_matches('"').to_owned(),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    let status = {
        let mut books = books.lock().unwrap();
        books.arrivals.push(Arrival { method: method.clone(), path: path.clone(), key: key.clone() });
        let status = done(course, &mut books, &method, &path, key);
        changed.notify_all();
        if books.holds == Some(books.arrivals.len()) {
            drop(changed.wait_while(books, |books| !books.gone).unwrap());
        }
        status
    };
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()
}

fn done(course: Course, books: &mut Books, method: &str, path: &str, key: String) -> u16 {
    let (name, cancels) = match path.trim_matches('/').split_once('/') {
        Some((name, _)) => (name, true),
        None => (path.trim_matches('/'), false),
    };
    if method == "GET" {
        return if books.booked.contains(name) { 200 } else { 404 };
    }
    if let Some(before) = books.answers.get(&key) {
        return *before;
    }
    let status = course.refuses(path).unwrap_or(200);
    books.answers.insert(key, status);
    if status == 200 {
        *books.effects.entry(path.to_owned()).or_default() += 1;
        if cancels {
            books.booked.remove(name)
        } else {
            books.booked.insert(name.to_owned())
        };
    }
    status
}

/// One run in folders of its own.
struct Trip {
    course: Course,
    service: Service,
    folder: tempfile::TempDir,
}

impl Trip {
    fn of(course: Course, holds: Option<usize>) -> Self {
        let trip =
            Self { course, service: Service::start(course, holds), folder: tempfile::tempdir().unwrap() };
        fs::write(trip.folder.path().join("trip.toml"), trip.file()).unwrap();
        trip
    }

    fn file(&self) -> String {
        let mut text = format!(
            "[session]\nid = \"trip\"\nbase_url = \"http://127.0.0.1:{}\"\n\n[[agent]]\ndid = \"{AGENT}\"\nsigma = 0.85\n\n\
             [[action]]\nid = \"book\"\nreversibility = \"full\"\n",
            self.service.port
        );
        for (name, asked) in BOOKINGS {
            text += &format!(
                "\n[[step]]\nid = \"{name}\"\nagent = \"{AGENT}\"\naction = \"book\"\nretry_delay = \"1ms\"\nsettles = \"0s\"\n\
                 undo_retries = 0\nexecute = {{ http = {{ url = \"/{name}\" }} }}\n\
                 undo = {{ http = {{ url = \"/{name}/cancel\" }} }}\n"
            );
            text += &if asked {
                format!("probe = {{ http = {{ method = \"GET\", url = \"/{name}\" }} }}\n")
            } else {
                "idempotent = true\naccept_unproven_undo = true\n".to_owned()
            };
        }
        text
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self) -> Command {
        let mut command = hv();
        command.args(["run", "--json", "--resume"]).arg(self.folder.path().join("trip.toml"));
        command.arg("--data").arg(self.data()).arg("--work").arg(self.folder.path().join("work"));
        command
    }

    fn start(&self) -> Child {
        self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs until it ends, and holds what it says against what is there.
    fn end(&self, usual: &Usual, when: &str) -> Seen {
        let output = self.command().output().unwrap();
        assert_calm(&output);
        let verified =
            hv().args(["audit", "verify", "--sealed", "--json"]).arg(self.data()).output().unwrap();
        assert!(verified.status.success(), "{when}: {}", String::from_utf8_lossy(&verified.stdout));
        assert_eq!(json(&verified)["verdict"], "complete", "{when}");
        let (course, books) = (self.course, self.service.books.0.lock().unwrap());
        let context = || format!("{course:?}, {when}: {}\n{books:#?}", said(&output));
        assert_eq!(output.status.code(), Some(course.exit()), "{}", context());
        let left: BTreeSet<_> = course.left().iter().map(|&name| name.to_owned()).collect();
        assert_eq!(books.booked, left, "lost, or left behind: {}", context());
        assert!(books.effects.values().all(|&times| times == 1), "made twice: {}", context());
        for (name, _) in BOOKINGS {
            let report = json(&output);
            let step = report["steps"].as_array().unwrap().iter().find(|step| step["id"] == name);
            let state = step.unwrap_or_else(|| panic!("no step {name}: {}", context()))["state"].clone();
            let there = books.booked.contains(name);
            let may = if there { &["committed", "compensation_failed"] } else { &["compensated", "failed"] };
            assert!(
                may.iter().any(|&may| state == may),
                "{name} is {state}, and there: {there}: {}",
                context()
            );
        }
        let more = more_often(&books.arrivals, &usual.arrivals, &context);
        let made = |key: &String| !key.ends_with("/probe") && books.answers.get(key) == Some(&200);
        if more.iter().any(made) {
            Seen::Twice
        } else if more.is_empty() {
            Seen::Nothing
        } else {
            Seen::Asked
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// An undisturbed run.
#[derive(Default)]
struct Usual {
    batches: u64,
    arrivals: Vec<Arrival>,
}

/// What a kill led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// Nothing arrived more often than otherwise.
    Nothing,
    /// A probe did, or something that was refused.
    Asked,
    /// A request that had had its effect.
    Twice,
}

fn by_key(arrivals: &[Arrival]) -> BTreeMap<&str, usize> {
    let mut times = BTreeMap::new();
    arrivals.iter().for_each(|arrival| *times.entry(arrival.key.as_str()).or_default() += 1);
    times
}

/// The keys that arrived more often than in an undisturbed run. All are of one step: of what changes something, one key
/// once more; and its probe once for the doubt, and once for an undo that was repeated and is refused.
fn more_often(arrivals: &[Arrival], usual: &[Arrival], context: &dyn Fn() -> String) -> Vec<String> {
    let (times, usual) = (by_key(arrivals), by_key(usual));
    let missing = usual.keys().find(|key| !key.ends_with("/probe") && !times.contains_key(*key));
    assert_eq!(missing, None, "never arrived: {}", context());
    let more =
        times.iter().map(|(&key, times)| (key, times.saturating_sub(usual.get(key).copied().unwrap_or(0))));
    let more: Vec<_> = more.filter(|(_, more)| *more > 0).collect();
    let changes = more.iter().filter(|(key, _)| !key.ends_with("/probe"));
    assert!(changes.map(|(_, more)| more).sum::<usize>() <= 1, "more than one key, {more:?}: {}", context());
    let steps: BTreeSet<_> = more.iter().filter_map(|(key, _)| Some(key.rsplit_once('/')?.0)).collect();
    assert!(steps.len() <= 1, "more than one step, {more:?}: {}", context());
    let undone = more.iter().any(|(key, _)| key.ends_with("/undo"));
    let asked = more.iter().filter(|(key, _)| key.ends_with("/probe")).map(|(_, more)| more).sum::<usize>();
    assert!(asked <= 1 + usize::from(undone), "asked too often, {more:?}: {}", context());
    more.into_iter().map(|(key, _)| key.to_owned()).collect()
}

/// Reads how many batches a segment has that is written to, as docs/FORMATS.md has it. A look costs a read of 20 bytes.
struct Watch {
    path: PathBuf,
    file: Option<File>,
    end: u64,
    batches: u64,
}

impl Watch {
    fn of(data: &Path) -> Self {
        Self { path: data.join("00000000.seg"), file: None, end: 76, batches: 0 }
    }

    fn look(&mut self) -> u64 {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &self.file else { return 0 };
        let mut header = [0; 20];
        while file.read_exact_at(&mut header, self.end).is_ok() {
            let length = u32::from_le_bytes(header[..4].try_into().unwrap());
            if length == 0 {
                break;
            }
            self.end += 20 + u64::from(length);
            self.batches += 1;
        }
        self.batches
    }
}

/// How many whole batches a trail has, as its own reader tells.
fn batches(data: &Path) -> u64 {
    match verify_on(&RealDisk, data, &mut |_| {}) {
        Ok(report) => {
            assert!(!matches!(report.verdict, Verdict::Tampered(_)), "{report}");
            report.batches
        }
        Err(_) => 0,
    }
}

/// Kills a run as soon as this is so, unless it has ended; says whether it was killed.
fn killed_when(child: &mut Child, mut so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    let mut looks = 0u32;
    while !so() {
        looks += 1;
        if looks.is_multiple_of(64) {
            assert!(Instant::now() < until, "it neither comes that far nor ends");
            if child.try_wait().unwrap().is_some() {
                break;
            }
        }
        std::thread::sleep(Duration::from_micros(10));
    }
    let _ = child.kill();
    child.wait().unwrap().signal() == Some(9)
}

/// So often a run is killed at one batch until it is hit.
const TRIES: u32 = 20;

/// What the kills of one course came to.
#[derive(Debug, Default)]
struct Kills {
    /// How many runs were killed while they worked.
    killed: u32,
    /// After which batches.
    hit: BTreeSet<u64>,
    asked: u32,
    twice: u32,
}

impl Kills {
    fn take(&mut self, killed: bool, seen: Seen) {
        self.killed += u32::from(killed);
        self.asked += u32::from(seen == Seen::Asked);
        self.twice += u32::from(seen == Seen::Twice);
    }
}

fn undisturbed(course: Course) -> Usual {
    let trip = Trip::of(course, None);
    let output = trip.command().output().unwrap();
    assert_eq!(output.status.code(), Some(course.exit()), "{course:?}: {}", said(&output));
    let books = trip.service.books.0.lock().unwrap();
    Usual { batches: batches(&trip.data()), arrivals: books.arrivals.clone() }
}

/// As soon as each batch is there, which is before anything begins that it grants.
fn killed_at_batches(course: Course, usual: &Usual, kills: &mut Kills) {
    for batch in 1..=usual.batches {
        for _ in 0..TRIES {
            if kills.hit.contains(&batch) {
                break;
            }
            let trip = Trip::of(course, None);
            let (mut child, mut watch) = (trip.start(), Watch::of(&trip.data()));
            let killed = killed_when(&mut child, || watch.look() >= batch);
            let hit = batches(&trip.data());
            let seen = trip.end(usual, &format!("killed after batch {hit} of {}", usual.batches));
            kills.take(killed, seen);
            // With the last one the trail is ended, whether the program is still there or not.
            if killed || hit == usual.batches {
                kills.hit.insert(hit);
            }
        }
    }
}

/// When each request has had its effect, before it is answered.
fn killed_at_requests(course: Course, usual: &Usual, kills: &mut Kills) {
    for (n, Arrival { method, path, key }) in (1..).zip(&usual.arrivals) {
        let trip = Trip::of(course, Some(n));
        let mut child = trip.start();
        let killed = killed_when(&mut child, || trip.service.is_held());
        assert!(killed, "{course:?}: it does not end before request {n} is answered");
        trip.service.let_go();
        let when = format!("killed at request {n}, {method} {path}");
        let seen = trip.end(usual, &when);
        kills.take(killed, seen);
        // What is asked about is not repeated, and what is not is, under its key.
        let repeated = BOOKINGS.iter().any(|(name, asked)| !asked && key.contains(&format!("/{name}/")));
        assert_eq!(seen == Seen::Twice, repeated, "{course:?}, {when}: {seen:?}");
    }
}

#[test]
fn c2_s1_killed_at_every_batch_and_every_request_nothing_is_lost_doubled_or_wrongly_called_undone() {
    for course in [Course::Completes, Course::IsUndone, Course::Escalates] {
        let (began, usual, mut kills) = (Instant::now(), undisturbed(course), Kills::default());
        killed_at_batches(course, &usual, &mut kills);
        killed_at_requests(course, &usual, &mut kills);
        let (batches, requests) = (usual.batches, usual.arrivals.len());
        println!(
            "{course:?}: {} runs were killed, after {} of {batches} batches and at {requests} requests: {} repeated \
             what had had its effect, {} asked again; {:?}",
            kills.killed,
            kills.hit.len(),
            kills.twice,
            kills.asked,
            began.elapsed()
        );
        assert!(batches > 12 && (1..=batches).eq(kills.hit.iter().copied()), "{course:?}: {kills:?}");
        assert!(kills.twice > 0, "{course:?}: the window was never seen: {kills:?}");
    }
}
