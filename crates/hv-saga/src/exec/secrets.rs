//! Reading what is only named, and cutting it out of whatever is shown or kept.

use super::encodings;
use crate::{Reason, Value};
use std::io::Read;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStringExt;
#[cfg(feature = "command")]
use std::sync::Arc;

/// The longest secret that is read, in bytes.
const LONGEST: u64 = 1_048_576;

/// Secrets, and lines of them, of so many bytes are looked for in other encodings too; shorter ones would be found
/// where they are not.
const ENCODED: RangeInclusive<usize> = 6..=4096;

/// So many forms of one secret are looked for in other encodings.
const ENCODED_FORMS: usize = 64;

/// What takes the place of a secret.
const REDACTED: &[u8] = b"[redacted]";

/// The secrets that one attempt has read. Never shown, so there is no `Debug`.
#[derive(Default)]
pub(super) struct Secrets {
    /// The longest first, so that no part of one is left when another is a part of it.
    values: Vec<Vec<u8>>,
}

impl Secrets {
    /// The bytes that a value stands for, read now.
    pub(super) fn resolve(&mut self, value: &Value) -> Result<Vec<u8>, Reason> {
        let bad = || Reason::BadReference { reference: value.to_string().chars().take(200).collect() };
        match value {
            Value::Literal(text) => Ok(text.clone().into_bytes()),
            Value::Env(name) => {
                let usable = !name.is_empty() && !name.contains(['=', '\0']);
                let found = usable.then(|| std::env::var_os(name)).flatten().ok_or_else(bad)?;
                Ok(self.learn(found.into_vec()))
            }
            Value::File(path) => {
                let mut bytes = Vec::new();
                let file = std::fs::File::open(path).map_err(|_| bad())?;
                let read = file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|_| bad())?;
                if read as u64 > LONGEST {
                    return Err(bad());
                }
                // An editor ends a file with a line break that is no part of the secret.
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
                if bytes.last() == Some(&b'\r') {
                    bytes.pop();
                }
                Ok(self.learn(bytes))
            }
        }
    }

    /// Takes note of a secret, as it is and as a program may print it: trimmed, line by line, and encoded.
    fn learn(&mut self, secret: Vec<u8>) -> Vec<u8> {
        let lines =
            secret.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| line.len() >= 8);
        let forms = [secret.as_slice(), secret.trim_ascii()].into_iter().chain(lines);
        let forms: Vec<_> = forms.filter(|form| !form.is_empty()).map(<[u8]>::to_vec).collect();
        let encoded = forms.iter().filter(|form| ENCODED.contains(&form.len())).take(ENCODED_FORMS);
        self.values.extend(encoded.flat_map(|form| encodings::of(form)));
        self.values.extend(forms);
        self.values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.values.dedup();
        secret
    }

    /// How many bytes beyond a limit must be captured so that no secret is cut in two before it is found.
    pub(super) fn longest(&self) -> usize {
        self.values.first().map_or(0, Vec::len)
    }

    /// The bytes without any secret, cut to a limit, and how many bytes the cut took away.
    pub(super) fn redact(&self, captured: &[u8], limit: usize) -> (Vec<u8>, usize) {
        let mut out = Vec::with_capacity(captured.len().min(limit));
        let mut rest = captured;
        // What starts within the limit is kept or redacted as a whole; the limit counts captured bytes.
        while let Some((&first, tail)) = rest.split_first() {
            if captured.len() - rest.len() >= limit {
                break;
            }
            if let Some(secret) = self.values.iter().find(|secret| rest.starts_with(secret)) {
                out.extend_from_slice(REDACTED);
                rest = rest.get(secret.len()..).unwrap_or_default();
            } else {
                out.push(first);
                rest = tail;
            }
        }
        (out, rest.len())
    }
}

/// Cuts secrets out of what comes piece by piece, as [`Secrets::redact`] does out of the whole. What may be the beginning
/// of a secret is held back until more has come.
#[cfg(feature = "command")]
pub(super) struct Cutter {
    secrets: Arc<Secrets>,
    held: Vec<u8>,
}

#[cfg(feature = "command")]
impl Cutter {
    pub(super) const fn new(secrets: Arc<Secrets>) -> Self {
        Self { secrets, held: Vec::new() }
    }

    /// What may be shown once this has come too; all of it where nothing follows.
    pub(super) fn pass(&mut self, bytes: &[u8], last: bool) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let values = &self.secrets.values;
        let (mut out, mut at) = (Vec::with_capacity(self.held.len()), 0);
        while let Some(rest) = self.held.get(at..).filter(|rest| !rest.is_empty()) {
            // The longest come first.
            let mut longer = values.iter().take_while(|secret| secret.len() > rest.len());
            if !last && longer.any(|secret| secret.starts_with(rest)) {
                break;
            }
            match values.iter().find(|secret| rest.starts_with(secret)) {
                Some(secret) => {
                    out.extend_from_slice(REDACTED);
                    at = at.saturating_add(secret.len());
                }
                None => {
                    out.extend(rest.first());
                    at = at.saturating_add(1);
                }
            }
        }
        self.held.drain(..at);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(feature = "command")]
    use proptest::prelude::*;

    fn knowing(secrets: &[&[u8]]) -> Secrets {
        let mut known = Secrets::default();
        for secret in secrets {
            known.learn(secret.to_vec());
        }
        known
    }

    #[test]
    fn secrets_are_cut_out_whole() {
        for (secrets, text, limit, left) in [
            (&[&b"hunter2"[..]][..], &b"pw=hunter2!"[..], 100, &b"pw=[redacted]!"[..]),
            (&[b"hunter2\n "], b"pw=hunter2!", 100, b"pw=[redacted]!"),
            (&[b"abc", b"abcdef"], b"abcdefabc", 100, b"[redacted][redacted]"),
            (&[b"hunter2"], b"xxxhunter2yyy", 5, b"xxx[redacted]"),
            (&[b"hunter2"], b"xxxhunter2yyy", 3, b"xxx"),
            (&[b"first-line\nsecond-line"], b"got second-line", 100, b"got [redacted]"),
            (&[b""], b"nothing", 100, b"nothing"),
        ] {
            let (out, _) = knowing(secrets).redact(text, limit);
            assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(left));
        }
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_named_and_not_followed() {
        let mut secrets = Secrets::default();
        for value in [
            Value::Env("HV_NO_SUCH_VARIABLE".into()),
            Value::Env(String::new()),
            Value::File("/no/such/file".into()),
            Value::File("/".into()),
            Value::File("/dev/zero".into()),
        ] {
            let reference = value.to_string();
            assert_eq!(secrets.resolve(&value), Err(Reason::BadReference { reference }));
        }
    }

    #[cfg(feature = "command")]
    proptest! {
        /// However it comes, what is shown is what would be kept of the whole, and nothing that is shown is a secret.
        #[test]
        fn piece_by_piece_it_is_cut_as_the_whole_is(
            secrets in prop::collection::vec("[ab\n]{1,9}", 0..4),
            pieces in prop::collection::vec("[ab\n]{0,7}", 0..12),
        ) {
            let secrets: Vec<&[u8]> = secrets.iter().map(String::as_bytes).collect();
            let known = Arc::new(knowing(&secrets));
            let mut cutter = Cutter::new(Arc::clone(&known));
            let mut shown: Vec<u8> = pieces.iter().flat_map(|piece| cutter.pass(piece.as_bytes(), false)).collect();
            shown.extend(cutter.pass(b"", true));
            let whole = pieces.concat();
            prop_assert_eq!(shown, known.redact(whole.as_bytes(), usize::MAX).0);
        }
    }

    #[cfg(feature = "command")]
    #[test]
    fn only_what_may_be_the_beginning_of_a_secret_is_held_back() {
        let mut cutter = Cutter::new(Arc::new(knowing(&[b"hunter2"])));
        for (piece, last, shown) in [
            (&b"pw: "[..], false, &b"pw: "[..]),
            (b"a hu", false, b"a "),
            (b"nter", false, b""),
            (b"2!", false, b"[redacted]!"),
            (b"hun", false, b""),
            (b"dred", false, b"hundred"),
            (b"hunter", false, b""),
            (b"", true, b"hunter"),
        ] {
            assert_eq!(cutter.pass(piece, last), shown, "{piece:?}");
        }
    }
}
