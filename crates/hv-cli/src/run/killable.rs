//! A run is killed from elsewhere while a saga of it is driven: the request comes in beside the folder, the run records it
//! and answers.

use super::RunFailure;
use crate::session::request;
use crate::session::steer::Cancels;
use hv_core::saga::drive::Control;
use hv_core::saga::{Halt, SagaState};
use hv_core::types::{SagaId, SessionId};
use hv_core::{Error, Hypervisor};
use std::path::{Path, PathBuf};

/// Drives a saga, and carries out what is killed meanwhile; says what of that could not be done as it was asked.
pub(super) async fn killable(
    (hv, data): (&Hypervisor, &Path),
    (session, saga): (&SessionId, &SagaId),
    (control, cancels): (&Control, Cancels),
    work: impl Future<Output = Result<SagaState, Halt>>,
) -> Result<(Result<SagaState, Halt>, Option<String>), RunFailure> {
    let (finished, over) = tokio::sync::watch::channel(false);
    let scene = request::Scene {
        data: data.to_owned(),
        session: session.clone(),
        saga: saga.clone(),
        machine: hv.saga_machine(session, saga)?,
        control: control.clone(),
        cancels,
        over,
    };
    let watcher = tokio::spawn(request::watch(hv.clone(), scene));
    let state = work.await;
    let _ = finished.send(true);
    // A kill that was begun is recorded to its end.
    let warning = match watcher.await {
        Ok(Err(failure)) => Some(format!("a kill was not carried out as asked: {failure}")),
        _ => None,
    };
    Ok((state, warning))
}

/// Why a saga was not driven on, as a run tells it.
pub(super) fn halted(halt: Halt) -> RunFailure {
    let io = |error| RunFailure::Io { path: PathBuf::from("the saga"), doing: "drive", error };
    match halt {
        Halt::Host(error) => match error.downcast::<Error>() {
            Ok(error) => RunFailure::Node(error),
            Err(error) => io(std::io::Error::other(error)),
        },
        halt => io(std::io::Error::other(halt.to_string())),
    }
}
