//! Measurements. Wall time is compared, never gated on; instructions are gated on, because they are the same
//! run after run.

pub(crate) mod adapters;
pub(crate) mod gate;
pub(crate) mod log;
pub(crate) mod peer;
pub(crate) mod saga;
pub(crate) mod scale;

use crate::command::{cargo, stream};
use crate::workspace::Workspace;

/// Builds one of the programs of `benches/` the way it is measured.
fn build(workspace: &Workspace, program: &str) -> Result<(), String> {
    let arguments = ["build", "--release", "--locked", "--package", "hv-benches", "--bin", program];
    stream(cargo(&workspace.root).args(arguments))
}
