//! The program is killed at every record of a run against a real service that counts: no effect is lost, none is made
//! twice under its key, and nothing is called undone that is there.

use crate::support::{hv, json, workspace};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the service has booked, and how often each key had its effect.
#[derive(Debug, Default)]
struct Books {
    booked: BTreeSet<String>,
    effects: BTreeMap<String, u32>,
    answers: BTreeMap<String, u16>,
}

/// A service that books what a path names and cancels it again, once for each key. The car is sold out.
struct Service {
    port: u16,
    books: Arc<Mutex<Books>>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let books = Arc::new(Mutex::new(Books::default()));
        let shared = Arc::clone(&books);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let books = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &books));
            }
        });
        Self { port, books }
    }
}

fn answer(stream: TcpStream, books: &Mutex<Books>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
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
            "idempotency-key" => key = value.trim().to_owned(),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (name, cancel) = match path.trim_matches('/').split_once('/') {
        Some((name, _)) => (name.to_owned(), true),
        None => (path.trim_matches('/').to_owned(), false),
    };
    let status = {
        let mut books = books.lock().unwrap();
        match (method.as_str(), books.answers.get(&key).copied()) {
            ("GET", _) => {
                if books.booked.contains(&name) {
                    200
                } else {
                    404
                }
            }
            (_, Some(before)) => before,
            (_, None) if name == "car" => 409,
            (_, None) => {
                if cancel {
                    books.booked.remove(&name)
                } else {
                    books.booked.insert(name)
                };
                *books.effects.entry(key.clone()).or_default() += 1;
                books.answers.insert(key, 200);
                200
            }
        }
    };
    // So that the program can be killed while it waits.
    std::thread::sleep(Duration::from_millis(15));
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()
}

/// Records in a trail that is written to.
fn records(data: &Path) -> u64 {
    let shown = hv().args(["audit", "verify", "--json"]).arg(data).stderr(Stdio::null()).output().unwrap();
    if shown.stdout.is_empty() { 0 } else { json(&shown)["records"].as_u64().unwrap_or(0) }
}

#[test]
fn c2_s1_killed_at_every_record_nothing_is_lost_doubled_or_wrongly_called_undone() {
    let text = fs::read_to_string(workspace().join("examples/travel.toml")).unwrap();
    let began = Instant::now();
    let mut most = 0;
    let mut at = 0;
    let mut killed = 0;
    // An undisturbed run first, then one that is killed as soon as it has one record more than the last.
    loop {
        let service = Service::start();
        let folder = tempfile::tempdir().unwrap();
        let (data, work, file) =
            (folder.path().join("data"), folder.path().join("trip"), folder.path().join("travel.toml"));
        fs::write(&file, text.replace("8765", &service.port.to_string())).unwrap();
        let run = || {
            let mut command = hv();
            command
                .args(["run", "--json", "--resume"])
                .arg(&file)
                .arg("--data")
                .arg(&data)
                .arg("--work")
                .arg(&work);
            command.stdout(Stdio::piped()).stderr(Stdio::null());
            command
        };
        if at > 0 {
            let mut child = run().spawn().unwrap();
            while records(&data) < at && child.try_wait().unwrap().is_none() {}
            killed += u32::from(child.try_wait().unwrap().is_none());
            let _ = child.kill();
            let _ = child.wait();
        }
        let ended = run().output().unwrap();
        assert_eq!(
            ended.status.code(),
            Some(3),
            "killed at record {at}: {}",
            String::from_utf8_lossy(&ended.stdout)
        );
        let books = service.books.lock().unwrap();
        assert!(books.booked.is_empty(), "killed at record {at}: called undone, and there: {books:?}");
        assert!(books.effects.values().all(|&count| count == 1), "killed at record {at}: {books:?}");
        let of = |end: &str| books.effects.keys().filter(|key| key.trim_matches('"').ends_with(end)).count();
        assert_eq!(of("/execute"), of("/undo"), "killed at record {at}: {books:?}");
        if at == 0 {
            most = records(&data);
            assert!(most > 15, "{most}");
        }
        let step = if std::env::var_os("HV_DEEP").is_some() { 1 } else { 4 };
        at += step;
        if at > most {
            break;
        }
    }
    assert!(killed > 2, "{killed} runs were killed in {:?}", began.elapsed());
}
