//! A report with what a verification of the trail says.

use super::RunFailure;
use crate::audit::anchored::OwnAnchors;
use crate::report::{Outcome, Report, VerifyReport};
use hv_core::audit::disk::RealDisk;
use hv_core::audit::{Verdict, verify_on};
use std::path::Path;

/// The report with what a verification of the folder says.
pub(super) fn verified(report: Report, data: &Path) -> Result<Report, RunFailure> {
    let mut own = OwnAnchors::default();
    let found = verify_on(&RealDisk, data, &mut |entry| own.take(&entry));
    let found = found.map_err(|error| RunFailure::Io { path: data.to_owned(), doing: "verify", error })?;
    let (verdict, outcome) = match found.verdict {
        Verdict::Complete => ("complete", report.outcome),
        Verdict::Open(_) => ("open", report.outcome),
        // However the work ended, a trail that somebody else has written to proves nothing of it.
        Verdict::Tampered(_) => ("tampered", Outcome::Failed),
    };
    let level = own.beside(&found.level);
    let verify = VerifyReport { verdict: verdict.to_owned(), level, records: found.records };
    Ok(Report { outcome, exit_code: outcome.exit().code(), verify: Some(verify), ..report })
}
