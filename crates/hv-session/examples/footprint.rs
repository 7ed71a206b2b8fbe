//! How much memory an open session takes and how long the machine takes for a short one.
//!
//! `cargo run --release -p hv-session --example footprint` prints bytes for each of 100 000 open sessions with
//! two members and no file, bytes for each file, and nanoseconds for a session from its creation to its
//! archive. Memory is what the system says that the process holds (Linux only), so the allocator's share counts.

#![allow(clippy::print_stdout)]

use hv_session::{
    Content, Did, Digest, FileCommand, FilePath, Machine, Quotas, Session, SessionCommand, SessionConfig,
    SessionId, Timestamp,
};
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

const SESSIONS: usize = 100_000;
const FILES: usize = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let (alpha, beta) = (Did::new("did:mesh:alpha")?, Did::new("did:mesh:beta")?);
    let before = resident()?;
    let mut open = Vec::with_capacity(SESSIONS);
    for n in 0..SESSIONS {
        let mut session = created(&SessionId::new(&format!("session-{n}"))?, &alpha, Quotas::default())?;
        run(&mut session, &SessionCommand::join(beta.clone()))?;
        run(&mut session, &SessionCommand::Activate)?;
        open.push(session);
    }
    let each = (resident()? - before) / SESSIONS;
    println!("{each} bytes for each open session with two members ({} on the stack)", size_of::<Session>());

    let before = resident()?;
    let quotas = Quotas { files: u32::MAX, ..Quotas::default() };
    let mut large = created(&SessionId::new("large")?, &alpha, quotas)?;
    run(&mut large, &SessionCommand::Activate)?;
    let start = Instant::now();
    for n in 0..FILES {
        let path = large.path(&format!("folder-{}/file-{n}.txt", n % 100))?;
        run(&mut large, &write(&alpha, path))?;
    }
    let nanos = start.elapsed().as_nanos() / FILES as u128;
    let each = (resident()? - before) / FILES;
    println!("{each} bytes and {nanos} ns for each file of {FILES}");

    let id = SessionId::new("short")?;
    let paths =
        ["a", "b", "c"].map(|name| FilePath::parse(&id, name)).into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut best = u128::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        for _ in 0..10_000 {
            let mut session = created(&id, &alpha, Quotas::default())?;
            run(&mut session, &SessionCommand::Activate)?;
            for path in &paths {
                run(&mut session, &write(&alpha, path.clone()))?;
            }
            run(&mut session, &SessionCommand::Terminate)?;
            run(&mut session, &SessionCommand::Archive)?;
            black_box(&session);
        }
        best = best.min(start.elapsed().as_nanos() / 10_000);
    }
    println!("{best} ns for a session with one member and three files, from creation to archive");
    black_box(open);
    Ok(())
}

fn created(id: &SessionId, member: &Did, quotas: Quotas) -> Result<Session, Box<dyn Error>> {
    let mut session = Session::default();
    let config = SessionConfig::default().with_quotas(quotas);
    run(&mut session, &SessionCommand::Create { id: id.clone(), creator: member.clone(), config })?;
    run(&mut session, &SessionCommand::join(member.clone()))?;
    Ok(session)
}

fn write(agent: &Did, path: FilePath) -> SessionCommand {
    SessionCommand::file(
        agent.clone(),
        FileCommand::create(path, Content { id: Digest([7; 32]), length: 10 }),
    )
}

fn run(session: &mut Session, command: &SessionCommand) -> Result<(), Box<dyn Error>> {
    for event in session.decide(command, Timestamp(0))? {
        session.apply(&event)?;
    }
    Ok(())
}

/// Bytes of memory that the process holds.
fn resident() -> Result<usize, Box<dyn Error>> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let resident = pages.split(' ').nth(1).ok_or("statm has two numbers")?;
    Ok(resident.parse::<usize>()? * 4096)
}
