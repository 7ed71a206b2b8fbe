//! `hv trust score`: histories in, trust points out.

use crate::Exit;
use crate::lines::{self, LinesArgs};
use crate::output::Refused;
use hv_integrations::nexus::{LINE_MAX_BYTES, trust_line};

/// Answers each line with its trust points.
///
/// # Errors
/// As [`lines::answer`].
pub(super) fn run(args: &LinesArgs) -> Result<Exit, Refused> {
    lines::answer(args, LINE_MAX_BYTES, trust_line)
}
