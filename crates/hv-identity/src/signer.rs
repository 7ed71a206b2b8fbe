//! Private keys.

use crate::{BadKey, PublicKey};
use core::fmt;
use ed25519_dalek::{Signer as _, SigningKey};
use hv_types::Did;
use zeroize::Zeroizing;

/// A private key, which signs statements and is never shown.
///
/// It signs DSSE envelopes and, with [`sign_note`](Self::sign_note), texts that none of them can be taken for; so
/// nobody can be led to sign with it what another protocol would take for its own. Its memory is wiped when it goes;
/// it has no copy.
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

    /// Signs the text of a note (C2SP signed-note), such as a checkpoint of a log, or the message of a cosignature
    /// (C2SP tlog-cosignature, `cosignature/v1` and a time in front of a checkpoint). `None` for anything else: the
    /// text must end with a line break, and its first line must be a word without spaces and control characters. What
    /// [`pae`](crate::pae) makes begins with a word and a space, so no signature of one kind counts as the other.
    ///
    /// ```
    /// use hv_identity::Signer;
    ///
    /// let signer = Signer::new(&[7; 32])?;
    /// let text = "example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    /// let signature = signer.sign_note(text).expect("it is a note");
    /// assert_eq!(signer.public().verify(text.as_bytes(), &signature), Ok(()));
    /// assert!(signer.sign_note("DSSEv1 4 type 4 body\n").is_none());
    /// # Ok::<(), hv_identity::BadKey>(())
    /// ```
    #[must_use]
    pub fn sign_note(&self, text: &str) -> Option<[u8; 64]> {
        let (first, _) = text.split_once('\n')?;
        let is_word = !first.is_empty() && !first.chars().any(|c| c.is_whitespace() || c.is_control());
        // A witness's message has a time where a checkpoint has its size, so that neither is the other.
        let cosigned = first == "cosignature/v1";
        let is_cosigned = text.lines().nth(1).is_some_and(|line| line.starts_with("time "));
        (is_word && text.ends_with('\n') && cosigned == is_cosigned).then(|| self.sign(text.as_bytes()))
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
    fn a_note_is_signed_and_nothing_else_is() {
        let signer = Signer::new(&[7; 32]).unwrap();
        for good in ["log\n0\nroot\n", "cosignature/v1\ntime 5\nlog\n0\nroot\n", "a\n"] {
            let signature = signer.sign_note(good).unwrap();
            assert_eq!(signer.public().verify(good.as_bytes(), &signature), Ok(()), "{good}");
        }
        let encoded = crate::pae("type\n", b"body\n");
        let encoded = core::str::from_utf8(&encoded).unwrap();
        for bad in [
            encoded,
            "",
            "log",
            "\n0\n",
            "a log\n0\nroot\n",
            "log\n0\nroot",
            "log\ntime 5\nlog\n0\nroot\n",
            "cosignature/v1\n0\nroot\n",
            "a\tb\n",
        ] {
            assert!(signer.sign_note(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_seed_is_kept_as_it_was_and_never_shown() {
        let signer = Signer::new(&[0xa5; 32]).unwrap();
        assert_eq!(*signer.seed(), [0xa5; 32]);
        let shown = format!("{signer:?} {signer:#?}");
        assert!(!shown.contains("a5a5") && !shown.contains("165"), "{shown}");
    }
}
