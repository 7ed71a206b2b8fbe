//! Private keys.

use crate::{BadKey, PublicKey};
use core::fmt;
use ed25519_dalek::{Signer as _, SigningKey};
use hv_types::Did;
use zeroize::Zeroizing;

/// A private key, which signs statements and is never shown.
///
/// It signs nothing but DSSE envelopes, so nobody can be led to sign with it what another protocol would take
/// for its own. Its memory is wiped when it goes; it has no copy.
pub struct Signer {
    secret: SigningKey,
    public: PublicKey,
}

impl Signer {
    /// The key that follows from a seed: 32 bytes from a random source fit for keys, such as the operating
    /// system's. The same seed gives the same key, so whoever has the seed has the key.
    ///
    /// # Errors
    /// [`BadKey`] where the public key would be weak; no seed is known for which it is.
    pub fn new(seed: &[u8; 32]) -> Result<Self, BadKey> {
        let secret = SigningKey::from_bytes(seed);
        let public = PublicKey::from_bytes(secret.verifying_key().as_bytes())?;
        Ok(Self { secret, public })
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The public key's name as a `did:key`.
    #[must_use]
    pub const fn did(&self) -> &Did {
        self.public.did()
    }

    /// Signs what [`pae`](crate::pae) made.
    pub(crate) fn sign(&self, encoded: &[u8]) -> [u8; 64] {
        self.secret.sign(encoded).to_bytes()
    }

    /// The seed, for the file that keeps it.
    #[cfg_attr(not(all(feature = "files", unix)), allow(dead_code))]
    pub(crate) fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }
}

/// Shows the public key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.public).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    /// The published tests of the signature scheme: each key gives its public key and its signature.
    #[test]
    fn rfc_8032_signs_as_published() {
        let mut count = 0;
        for line in
            include_str!("../tests/vectors/rfc8032-ed25519.txt").lines().filter(|l| !l.starts_with('#'))
        {
            let fields: Vec<&str> = line.split(' ').collect();
            let bytes = |n: usize| HEXLOWER.decode(fields[n].trim_matches('-').as_bytes()).unwrap();
            let (seed, public, signature, message) = (bytes(1), bytes(2), bytes(3), bytes(4));
            let signer = Signer::new(&seed.try_into().unwrap()).unwrap();
            assert_eq!(signer.public().as_bytes().as_slice(), public, "{}", fields[0]);
            assert_eq!(signer.sign(&message).as_slice(), signature, "{}", fields[0]);
            assert_eq!(signer.public().verify(&message, &signature), Ok(()), "{}", fields[0]);
            count += 1;
        }
        assert_eq!(count, 5);
    }

    #[test]
    fn a_seed_is_kept_as_it_was_and_never_shown() {
        let signer = Signer::new(&[0xa5; 32]).unwrap();
        assert_eq!(*signer.seed(), [0xa5; 32]);
        let shown = format!("{signer:?} {signer:#?}");
        assert!(!shown.contains("a5a5") && !shown.contains("165"), "{shown}");
    }
}
