//! The supervisor ends after every single event, and the saga is taken up again.

use crate::simulation::{Run, Turn, replay};
use crate::worlds::random_run;

/// INVARIANT (S1) over a crash at every place, with the effects of what was running there or not there.
#[test]
fn s1_crash_at_every_event() {
    let mut places = 0;
    for seed in 0..if crate::simulation::deep() { 400 } else { 40 } {
        let (mut whole, mut dice) = random_run(seed, 8, None);
        whole.finish(|running| Turn::End(dice.roll(running)));
        // The creation and its steps stand in one record.
        for k in 2..=whole.events.len() {
            let saga = replay(&whole.events[..k]);
            if saga.state().is_terminal() {
                continue;
            }
            for effects in [0, u64::MAX, 0x5555] {
                let mut run = Run {
                    saga: saga.clone(),
                    world: whole.worlds[k].clone(),
                    events: whole.events[..k].to_vec(),
                    worlds: whole.worlds[..=k].to_vec(),
                    ..whole.clone()
                };
                run.crash(effects);
                run.finish(|_| Turn::End(0));
                run.check_end();
                places += 1;
            }
        }
    }
    assert!(places > 1000, "{places}");
}
