//! L1 to L14 as properties of arbitrary histories, each beside the naive model.

use crate::twin::{Op, Twin, config, ops};
use proptest::prelude::*;

const OPS: usize = 24;

proptest! {
    #![proptest_config(config(OPS as u32 / 2))]

    #[test]
    fn every_figure_is_that_of_the_naive_model(history in ops(OPS)) {
        let mut twin = Twin::new(&[900_000, 800_000, 600_000, 550_000]);
        for op in history {
            let _ = twin.run(op);
            twin.compare();
        }
    }
}
