//! A node on a folder, with randomness from the operating system.

use crate::clock::{Clock, SystemClock};
use crate::error::Error;
use crate::hypervisor::Hypervisor;
use crate::open_trail::OpenTrail;
use hv_audit::{Entropy, FileOptions, LogError};
use std::path::Path;
use std::sync::Arc;

impl Hypervisor {
    /// A node whose trail is in a folder; the folder is made where there is none. Costs time in proportion to
    /// the trail.
    ///
    /// # Errors
    /// [`Error::Log`] where the folder holds something else, cannot be used, or is used by another process, and
    /// where the operating system has no random numbers.
    pub fn in_folder(dir: &Path) -> Result<Self, Error> {
        let now = SystemClock.now();
        let trail = match OpenTrail::open(dir, now, FileOptions::new(entropy()?)) {
            Err(LogError::NoLog { .. }) => OpenTrail::create(dir, now, FileOptions::new(entropy()?))?,
            opened => opened?,
        };
        Self::open(trail, Arc::new(SystemClock))
    }
}

/// Randomness for a log on disk. Should the operating system run out of random numbers later on, salts are
/// derived from the first, which nobody knows.
///
/// # Errors
/// [`Error::NoRandomness`] where it has none now.
pub fn entropy() -> Result<Entropy, Error> {
    let mut seed = [0; 32];
    if getrandom::fill(&mut seed).is_err() {
        return Err(Error::NoRandomness);
    }
    Ok(Box::new(move || {
        let mut fresh = [0; 32];
        if getrandom::fill(&mut fresh).is_err() {
            fresh = blake3::derive_key("hv 2026 salt from salt v1", &seed);
        }
        seed = blake3::derive_key("hv 2026 next seed v1", &[seed, fresh].concat());
        fresh
    }))
}
