//! Any definition, any failure, any bytes.

use hv_saga::strategies::{failure, plan, task};
use hv_saga::{Attempt, Begin, Micros, Move, Saga, SagaCommand, SagaEvent};
use hv_types::{Machine, SagaId, SessionId, Timestamp, Wire};
use proptest::prelude::*;

proptest! {
    /// A4: one value, one encoding.
    #[test]
    fn a4_a_definition_goes_there_and_back(plan in plan()) {
        prop_assert_eq!(plan.check(), Ok(()));
        let events = Saga::default().decide(&SagaCommand::begin(plan), Timestamp(5)).unwrap();
        let mut saga = Saga::default();
        for event in &events {
            let bytes = event.to_bytes();
            prop_assert_eq!(&SagaEvent::from_bytes(&bytes).unwrap(), event);
            saga.apply(event).unwrap();
        }
        let (session, id) = (SessionId::new("s").unwrap(), SagaId::new("g").unwrap());
        for attempt in Saga::default().starts(&session, &id, &events) {
            prop_assert_eq!(Attempt::from_bytes(&attempt.to_bytes()).unwrap(), attempt);
        }
    }

    #[test]
    fn a4_a_failure_goes_there_and_back(failure in failure(), step: u32, wait: u64) {
        let to = Move::Retry { wait: Micros(wait), failure };
        let event = SagaEvent::Moved { step, to, at: Micros(wait) };
        prop_assert_eq!(SagaEvent::from_bytes(&event.to_bytes()), Ok(event));
    }

    /// Different tasks have different bytes, so that a permit for one never fits the other.
    #[test]
    fn a4_distinct_tasks_have_distinct_bytes(one in task(), other in task()) {
        prop_assert_eq!(one == other, one.to_bytes() == other.to_bytes());
    }

    /// Damaged bytes are refused or are the encoding of something else; nothing panics, and what is decoded
    /// and applied is taken or refused.
    #[test]
    fn damaged_bytes_do_no_harm(plan in plan(), at: prop::sample::Index, bit in 0u8..8) {
        let command = SagaCommand::Create { plan, begin: Begin::Later, refused: vec![] };
        let events = Saga::default().decide(&command, Timestamp(5)).unwrap();
        let mut saga = Saga::default();
        for event in &events {
            let mut bytes = event.to_bytes();
            let place = at.index(bytes.len());
            bytes[place] ^= 1 << bit;
            if let Ok(other) = SagaEvent::from_bytes(&bytes) {
                prop_assert_eq!(other.to_bytes(), bytes);
                let _ = saga.clone().apply(&other);
            }
            saga.apply(event).unwrap();
        }
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(event) = SagaEvent::from_bytes(&bytes) {
            prop_assert_eq!(event.to_bytes(), bytes);
            let _ = Saga::default().apply(&event);
        }
    }
}
