//! Signatures are verified before the node's lock is taken, and what they are worth is decided behind it.

use crate::evidence::{Court, did, key, node, step};
use hv_core::identity::{Content, DidKey, Envelope, open};
use hv_core::saga::SagaState;
use hv_core::{Accepted, Clock, Error, Reason};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_key_that_is_revoked_after_its_signature_was_verified_has_no_say() {
    let court = Court::new().await;
    let call = court.call("one", &step("final", "a"));
    let votes: Vec<Envelope> = ["b", "c", "d"].map(|by| court.vote(by, &call)).to_vec();
    let released = court.signed("d", Content::Join { session: court.session.clone() });
    // The signatures are verified, as the node does it before it takes its lock; what comes of it is known to the
    // envelopes and their copies.
    for envelope in votes.iter().chain([&released]) {
        assert!(open(envelope, &DidKey, &node(), court.clock.now()).is_ok());
    }
    let revoked = court.hv.accept(&court.signed("d", Content::Revoke)).await.unwrap();
    assert_eq!(revoked, Accepted::KeyChanged);
    assert_eq!(court.run("one", step("final", "a"), votes).await, (SagaState::Compensated, 0));
    assert_eq!(court.reasons_since(0), ["key_revoked"]);
    let Err(Error::Denied(denied)) = court.hv.accept(&released).await else { panic!("it counted") };
    let Reason::Evidence(rejected) = denied.reason else { panic!("{}", denied.reason) };
    assert_eq!(rejected.rejection.name(), "key_revoked");
}

/// Many signatures of one caller, none of which count, and how long somebody else waits for the node meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_signatures_of_one_caller_keep_nobody_else_waiting() {
    let court = Court::new().await;
    let mut best = f64::MAX;
    for round in 0..5 {
        let saga = format!("round-{round}");
        let call = court.call(&saga, &step("final", "a"));
        let vote = court.vote("b", &call);
        // Signed by somebody who has no say: each is verified, and once more to tell why it does not count.
        let forged = |n: u8| {
            let mut payload = vote.statement().unwrap();
            payload.nonce[15] = n;
            let text = payload.to_payload();
            Envelope::sign(vote.payload_type(), text.as_bytes(), &key("stranger")).unwrap()
        };
        let votes: Vec<Envelope> = (0..=255).map(forged).collect();
        let over = AtomicBool::new(false);
        let (all, longest) = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut longest = Duration::ZERO;
                while !over.load(Ordering::Relaxed) {
                    let before = Instant::now();
                    court.hv.standing(&court.session, &did("c")).unwrap();
                    longest = longest.max(before.elapsed());
                    std::thread::sleep(Duration::from_micros(200));
                }
                longest
            });
            let before = Instant::now();
            let (hv, all) = (&court, votes.clone());
            let end = tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(hv.run(&saga, step("final", "a"), all))
            });
            let all = before.elapsed();
            over.store(true, Ordering::Relaxed);
            assert_eq!(end, (SagaState::Compensated, 0));
            (all, other.join().unwrap())
        });
        assert_eq!(court.reasons_since(256 * round), ["signer_mismatch"; 256]);
        best = best.min(longest.as_secs_f64() / all.as_secs_f64());
    }
    // Behind the lock it was nine tenths of the time.
    assert!(best < 0.5, "another waited for {best:.2} of the time that the caller took");
}
