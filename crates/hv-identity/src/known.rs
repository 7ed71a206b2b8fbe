//! What was found out about an envelope, so that it is found out once.
//!
//! Whether a signature fits a key, and what a payload says, is settled by the envelope's bytes alone and never
//! changes. So it can be asked ahead, where nobody waits, and is then at hand where somebody would. Which key
//! speaks for whom, and whether a statement is in time, is no part of it: that is asked anew at every opening.

use crate::{PublicKey, Refusal, Statement};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// As many answers as are kept for one envelope; more than one opening can ask for.
const KEPT: usize = 64;

/// Shared by the copies of an envelope.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    statement: OnceLock<Result<Statement, Refusal>>,
    fits: Mutex<Vec<Fit>>,
}

/// Whether one signature, by its place, is by a key.
#[derive(Debug)]
struct Fit {
    key: PublicKey,
    place: usize,
    fits: bool,
}

impl Known {
    /// What the payload says; read where nobody has read it.
    pub(crate) fn statement(
        &self,
        read: impl FnOnce() -> Result<Statement, Refusal>,
    ) -> Result<Statement, Refusal> {
        self.0.statement.get_or_init(read).clone()
    }

    /// Whether the signature at a place is by a key; verified where nobody has verified it.
    pub(crate) fn fits(&self, key: &PublicKey, place: usize, verify: impl FnOnce() -> bool) -> bool {
        let of = |fit: &&Fit| fit.place == place && fit.key == *key;
        if let Some(fit) = self.made().iter().find(of) {
            return fit.fits;
        }
        // Verified without the list, so that copies on other threads do not wait for each other.
        let fits = verify();
        let mut made = self.made();
        if made.len() < KEPT && !made.iter().any(|fit| of(&fit)) {
            made.push(Fit { key: key.clone(), place, fits });
        }
        fits
    }

    /// The keys by which one of the signatures is, as far as that was asked.
    pub(crate) fn signed_by(&self) -> Vec<PublicKey> {
        self.made().iter().filter(|fit| fit.fits).map(|fit| fit.key.clone()).collect()
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Vec<Fit>> {
        self.0.fits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signer;

    #[test]
    fn each_signature_is_verified_once_for_a_key_and_what_is_kept_is_bounded() {
        let known = Known::default();
        let (one, two) = (Signer::new(&[1; 32]).unwrap(), Signer::new(&[2; 32]).unwrap());
        let never = || -> bool { panic!("verified twice") };
        assert!(known.fits(one.public(), 0, || true));
        assert!(known.clone().fits(one.public(), 0, never), "copies share it");
        assert!(!known.fits(one.public(), 1, || false), "another signature");
        assert!(!known.fits(one.public(), 1, never), "a no is kept too");
        assert!(!known.fits(two.public(), 0, || false), "another key");
        assert_eq!(known.signed_by(), [one.public().clone()]);
        for place in 0..10 * KEPT {
            assert!(!known.fits(two.public(), place, || false));
        }
        assert_eq!(known.made().len(), KEPT);
    }
}
