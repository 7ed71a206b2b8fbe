//! What a large ledger costs, measured: time and memory of a replay, and calls to count instructions of.
//!
//! `cost replay [AGENTS] [BONDS]` replays a ledger from its events and says how fast and how large. `cost SHAPE [SIZE]` builds
//! a vouch graph of a shape and then makes a thousand calls of `measured_vouch` and of `measured_sigma_eff`;
//! run it under `valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*measured_vouch*'` and divide
//! by the calls. Shapes: `chain`, `chain-backwards`, `chain-shuffled`, `star-out`, `star-in`, `ladder`.
//!
//! `cost sparse [SIZE]` does so for random graphs with as many bonds as agents, where one agent vouches for one other
//! on average, and `cost sparser [SIZE]` for half as many bonds. What a vouch costs there depends on how many bonds
//! an agent has, so graphs of every size are measured at the same number: while the last hundredth of their bonds is
//! made, over as many graphs as it takes for ten thousand calls. Compare sizes at which no hash index grows meanwhile,
//! such as 1000 and 1000000 `sparse` or 1200 and 1200000 `sparser`: that falls on one call in as many as there are
//! rows, and on none or all of those that are measured.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "it prints what it measured, or stops")]

use hv_liability::{AgentNo, BondNo, Command, Denial, Event, Ledger, SessionNo, Source, Stake, VouchOrder};
use hv_types::{Did, Machine, Reversibility, Sigma, Timestamp, Wire};
use std::time::{Duration, Instant};

const CALLS: u32 = 1000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: u32| args.get(at).map_or(default, |text| text.parse().expect("a number"));
    match args.first().map(String::as_str) {
        None | Some("replay") => replay(number(1, 1_000_000), number(2, 1_000_000)),
        Some("sparse") => random_graphs(1, number(1, 100_000)),
        Some("sparser") => random_graphs(2, number(1, 100_000)),
        Some(shape) => calls(shape, number(1, 100_000)),
    }
}

/// The agents' names.
fn names(agents: u32) -> Vec<Did> {
    (0..agents)
        .map(|no| Did::new(&format!("did:mesh:agent-{no:07}")).expect("it follows the grammar"))
        .collect()
}

/// Numbers that look random and are the same on every run (xorshift).
fn random(seed: u64) -> impl FnMut(u32) -> u32 {
    let mut state = seed | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u32::try_from(state % u64::from(below)).expect("it is below a u32")
    }
}

fn open(names: &[Did]) -> (Ledger, Vec<Event>) {
    let (mut ledger, mut events) = (Ledger::default(), Vec::new());
    for agent in names {
        let command = Command::Endow { agent: agent.clone(), sigma: Sigma::ONE, source: Source::Scored };
        events.extend(run(&mut ledger, &command).expect("an unknown agent's account opens"));
    }
    (ledger, events)
}

fn run(ledger: &mut Ledger, command: &Command) -> Result<Vec<Event>, Denial> {
    let events = ledger.decide(command, Timestamp(1))?;
    events.iter().try_for_each(|event| ledger.apply(event)).expect("what was decided applies");
    Ok(events)
}

fn order(names: &[Did], session: u32, voucher: u32, vouchee: u32) -> Command {
    let name = |no: u32| names.get(no as usize).expect("it is one of the agents").clone();
    Command::Vouch(VouchOrder {
        session: SessionNo(session),
        voucher: name(voucher),
        vouchee: name(vouchee),
        stake: Stake::Amount(Sigma::capped(1)),
        expires: Some(Timestamp(1 + u64::from(session + 1) * 1_000_000_000)),
    })
}

fn replay(agents: u32, bonds: u32) {
    let (bytes, ends) = record(agents, bonds);
    let (mut from, before) = (0, resident());
    let mut ledger = Ledger::default();
    let mut seconds = [0.0; 2];
    let (opened, vouched) = ends.split_at(agents as usize);
    for (seconds, ends) in seconds.iter_mut().zip([opened, vouched]) {
        let start = processor_seconds();
        for &end in ends {
            let event =
                Event::from_bytes(bytes.get(from..end).expect("it was recorded")).expect("it decodes");
            ledger.apply(&event).expect("it is legal");
            from = end;
        }
        *seconds = processor_seconds() - start;
    }
    let (size, all) = (resident().saturating_sub(before), seconds.iter().sum::<f64>());
    let million = |count: usize, seconds: f64| count as f64 / seconds / 1e6;
    println!(
        "{} events of {} bytes on average decoded and applied in {all:.3} s of processor time",
        ends.len(),
        bytes.len() / ends.len()
    );
    println!(
        "{:.2} million events a second: {:.2} accounts, {:.2} bonds",
        million(ends.len(), all),
        million(opened.len(), seconds[0]),
        million(vouched.len(), seconds[1])
    );
    println!(
        "{} agents, {} bonds: {} bytes a bond",
        ledger.agent_count(),
        ledger.bond_count(),
        size / bonds as usize
    );
}

/// A record of so many accounts and bonds: its bytes, and where each event ends.
///
/// Made without a ledger, so that no memory of one is there when the measuring begins. Who vouches for whom is
/// random, as far as a hidden order allows, so that there is no cycle.
fn record(agents: u32, bonds: u32) -> (Vec<u8>, Vec<usize>) {
    let mut random = random(7);
    let mut hidden: Vec<u32> = (0..agents).collect();
    for at in (1..agents).rev() {
        hidden.swap(at as usize, random(at + 1) as usize);
    }
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    let mut put = |event: &Event| {
        event.put(&mut bytes);
        ends.push(bytes.len());
    };
    for no in 0..agents {
        let did = Did::new(&format!("did:mesh:agent-{no:07}")).expect("it follows the grammar");
        put(&Event::Opened { agent: AgentNo(no), did, sigma: Sigma::ONE, source: Source::Scored });
    }
    for slot in 0..bonds {
        let a = random(agents);
        let b = (a + 1 + random(agents - 1)) % agents;
        let agent = |rank: u32| AgentNo(*hidden.get(rank as usize).expect("it is one of the agents"));
        put(&Event::Vouched {
            bond: BondNo { slot, turn: 0 },
            session: SessionNo(random(1000)),
            voucher: agent(a.min(b)),
            vouchee: agent(a.max(b)),
            amount: Sigma::capped(1),
            at: Timestamp(1),
            expires: Some(Timestamp(u64::from(random(1_000_000)) * 1_000_000_000 + 2)),
        });
    }
    (bytes, ends)
}

/// How long this thread was on a processor, as Linux tells; other programs do not count.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanos: u64 = text.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("it is a number");
    nanos as f64 / 1e9
}

/// Memory of this process that is in use, in bytes; 0 where the system does not tell.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

/// Random graphs of so many bonds, and `sparseness` times as many agents.
fn random_graphs(sparseness: u32, bonds: u32) {
    let (agents, last) = (sparseness * bonds, (bonds / 100).max(1));
    let (names, graphs) = (names(agents), (10 * CALLS).div_ceil(last));
    let (mut made, mut took) = (0, Duration::ZERO);
    for graph in 1..=graphs {
        let mut random = random(u64::from(graph) << 32);
        let (mut ledger, _) = open(&names);
        for no in 0..bonds {
            let order = order(&names, 0, random(agents), random(agents));
            if no < bonds - last {
                let _ = run(&mut ledger, &order);
                continue;
            }
            let start = Instant::now();
            made += u32::from(measured_vouch(&mut ledger, &order));
            took += start.elapsed();
        }
    }
    let calls = graphs * last;
    println!("{bonds} bonds, {agents} agents: {made} of {calls} vouches made, {:?} each", took / calls);
}

fn calls(shape: &str, size: u32) {
    let agents = size + 2 * CALLS;
    let names = names(agents);
    let (mut ledger, _) = open(&names);
    let edges = edges(shape, size + CALLS);
    let (build, last) = edges.split_at(edges.len() - CALLS as usize);
    for &(voucher, vouchee) in build {
        let _ = run(&mut ledger, &order(&names, 0, voucher, vouchee));
    }
    let commands: Vec<Command> = last.iter().map(|&(a, b)| order(&names, 0, a, b)).collect();
    let mut made = 0;
    let start = Instant::now();
    for command in &commands {
        made += u32::from(measured_vouch(&mut ledger, command));
    }
    let vouch = start.elapsed();
    // Closing the cycle of the whole graph, for shapes that have one to close.
    let close = build.first().zip(build.last()).map(|(first, last)| order(&names, 0, last.1, first.0));
    let start = Instant::now();
    let refused = close.map(|command| measured_refusal(&ledger, &command));
    let refusal = start.elapsed();
    let start = Instant::now();
    let mut sum = 0;
    for &(_, vouchee) in last {
        sum += measured_sigma_eff(&ledger, names.get(vouchee as usize).expect("it is one of the agents"));
    }
    let sigma = start.elapsed();
    println!(
        "{shape} of {size}: {made} of {CALLS} vouches made, {:?} each; a refusal ({refused:?}) {refusal:?}; \
         {CALLS} answers (sum {sum}), {:?} each",
        vouch / CALLS,
        sigma / CALLS
    );
}

/// Vouchers and vouchees, in the order of vouching.
fn edges(shape: &str, size: u32) -> Vec<(u32, u32)> {
    let mut random = random(11);
    match shape {
        "chain" => (0..size).map(|no| (no, no + 1)).collect(),
        "chain-backwards" => (0..size).map(|no| (no + 1, no)).collect(),
        "chain-shuffled" => {
            let mut edges: Vec<(u32, u32)> = (0..size).map(|no| (no, no + 1)).collect();
            for at in (1..size).rev() {
                edges.swap(at as usize, random(at + 1) as usize);
            }
            edges
        }
        "star-out" => (1..=size).map(|no| (size / 2, if no == size / 2 { 0 } else { no })).collect(),
        "star-in" => (1..=size).map(|no| (if no == size / 2 { 0 } else { no }, size / 2)).collect(),
        // A chain of triangles against the order in which the agents became known.
        "ladder" => (0..size)
            .map(|no| if no % 2 == 0 { (no / 2 + 1, no / 2) } else { (no / 2 + 2, no / 2) })
            .collect(),
        _ => Vec::new(),
    }
}

#[inline(never)]
fn measured_vouch(ledger: &mut Ledger, command: &Command) -> bool {
    run(ledger, command).is_ok()
}

#[inline(never)]
fn measured_refusal(ledger: &Ledger, command: &Command) -> bool {
    ledger.decide(command, Timestamp(1)).is_err()
}

#[inline(never)]
fn measured_sigma_eff(ledger: &Ledger, did: &Did) -> u64 {
    u64::from(ledger.sigma_eff(did, SessionNo(0), Reversibility::Full, Timestamp(1)).ppm())
}
