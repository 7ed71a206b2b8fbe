//! What could not be undone, and what a person made of it.

use super::super::told::{Told, json};
use hv_core::event::NodeEvent;
use hv_core::{Retried, Settlement};

/// Sessions that are over have no names any more; they are told by the number of their stream.
pub(super) fn told(event: &NodeEvent) -> Told {
    let place = |stream: u32, saga: u32, step: u32| format!("step {step} of saga {saga} in stream {stream}");
    match event {
        NodeEvent::ItemSettled { stream, saga, step, how, by, at } => {
            let (name, words) = match how {
                Settlement::Resolved {} => ("resolved", "was taken back by other means"),
                Settlement::Skipped {} => ("skipped", "stays as it is"),
                Settlement::Retried {} => ("retried", "is tried once more"),
            };
            Told::new("node.item_settled", format!("{} {words}, says {by}", place(*stream, *saga, *step)))
                .with("stream", stream)
                .with("saga", saga)
                .with("step", step)
                .with("how", name)
                .with("by", by)
                .with("at", at)
        }
        NodeEvent::UndoGranted { stream, saga, step, number, params, deadline, by } => {
            let words = format!(
                "the undo of {} is tried once more, attempt {number}, as {by} asks",
                place(*stream, *saga, *step)
            );
            Told::new("node.undo_granted", words)
                .with("stream", stream)
                .with("saga", saga)
                .with("step", step)
                .with("attempt", number)
                .with("params", params)
                .with("deadline", deadline)
                .with("by", by)
        }
        NodeEvent::UndoEnded { stream, saga, step, number, result } => {
            let (done, words, why) = match result {
                Retried::Undone {} => (true, "is undone".to_owned(), None),
                Retried::Failed { failure } => {
                    (false, format!("is still there: {failure}"), Some(failure.to_string()))
                }
            };
            Told::new("node.undo_ended", format!("{} {words}", place(*stream, *saga, *step)))
                .with("stream", stream)
                .with("saga", saga)
                .with("step", step)
                .with("attempt", number)
                .with("undone", done)
                .with("why", json(why))
        }
        // Never asked: what is told here is what the caller picks.
        _ => Told::new("node.other", "another event of the node".to_owned()),
    }
}
