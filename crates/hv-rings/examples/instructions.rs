//! The hot functions, each behind a name that callgrind can count:
//!
//! ```text
//! cargo build --release -p hv-rings --example instructions
//! setarch -R valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*measured_decide*' \
//!     target/release/examples/instructions
//! ```
//!
//! Each runs 1000 times, so a thousandth of what callgrind collects is one call. An argument names the function
//! to run: `decide` (the ordinary Ring 2 path), `earned`, or `required`.

use hv_rings::{
    ActionDescriptor, ActionId, ActionKind, Call, Denial, Did, Digest, Evidence, Reversibility, Ring,
    SessionId, Sigma, Timestamp, decide, earned, required,
};
use std::hint::black_box;

const TIMES: u32 = 1000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let action = ActionDescriptor::new(ActionId::new("a")?, ActionKind::Effect, Reversibility::Full);
    let call = Call {
        session: SessionId::new("s")?,
        agent: Did::new("did:mesh:alpha")?,
        action: action.id().clone(),
        params: Digest::default(),
        deadline: Timestamp::MAX,
    };
    let evidence = Evidence::none();
    let what = std::env::args().nth(1).unwrap_or_else(|| "decide".into());
    for i in 0..TIMES {
        let sigma = black_box(Sigma::from_ppm(600_001 + i)?);
        match what.as_str() {
            "decide" => drop(black_box(measured_decide(Ring::Standard, sigma, Ring::Root, &call, &evidence))),
            "earned" => drop(black_box(measured_earned(sigma))),
            "required" => drop(black_box(measured_required(&action))),
            other => return Err(format!("`{other}` is none of decide, earned, required").into()),
        }
    }
    Ok(())
}

#[inline(never)]
fn measured_decide(
    need: Ring,
    sigma: Sigma,
    cap: Ring,
    call: &Call,
    evidence: &Evidence,
) -> Result<Ring, Denial> {
    decide(black_box(need), sigma, black_box(cap), call, evidence)
}

#[inline(never)]
fn measured_earned(sigma: Sigma) -> Ring {
    earned(sigma)
}

#[inline(never)]
fn measured_required(action: &ActionDescriptor) -> Ring {
    required(action)
}
