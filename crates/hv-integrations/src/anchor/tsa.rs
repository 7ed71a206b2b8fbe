//! Time stamps after RFC 3161 from an authority that answers over HTTP.
//!
//! The request has no nonce: an answer from before would be a genuine one that says an earlier time. What is kept is
//! the authority's answer, byte for byte, as `openssl ts -reply` reads it.

use super::{ANSWER_MAX_BYTES, Anchor, AnchorFault, Look, agent};
use hv_types::Digest;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A time-stamping authority.
#[derive(Debug)]
pub struct TsaAnchor {
    url: String,
    authority: Option<PathBuf>,
    agent: ureq::Agent,
}

impl TsaAnchor {
    /// An authority that is asked at this address.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), authority: None, agent: agent() }
    }

    /// The same whose answers `openssl` verifies with these certificates (PEM). Without them an answer is kept as
    /// it is, and never counts as final.
    #[must_use]
    pub fn with_authority(self, certificates: &Path) -> Self {
        Self { authority: Some(certificates.to_owned()), ..self }
    }

    /// Whether `openssl` takes the answer for the authority's word about this digest.
    fn verified(&self, digest: &Digest, reply: &[u8]) -> Result<bool, AnchorFault> {
        let Some(authority) = &self.authority else { return Ok(false) };
        let why = |error: std::io::Error| AnchorFault::Unusable { why: format!("openssl: {error}") };
        // By a pipe: a file that others could put there first would be written to.
        let mut asked = Command::new("openssl")
            .args(["ts", "-verify", "-digest", &digest.to_string(), "-in", "/dev/stdin", "-CAfile"])
            .arg(authority)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(why)?;
        if let Some(mut stdin) = asked.stdin.take() {
            // One that has ended before it read everything has answered.
            let _ = stdin.write_all(reply);
        }
        Ok(asked.wait().map_err(why)?.success())
    }
}

impl Anchor for TsaAnchor {
    fn target(&self) -> String {
        format!("rfc3161:{}", self.url)
    }

    fn prepare(&self, digest: &Digest) -> Result<Vec<u8>, AnchorFault> {
        Ok(request(digest))
    }

    fn send(&self, digest: &Digest, receipt: &[u8]) -> Result<Vec<u8>, AnchorFault> {
        if answers(receipt, digest) {
            return Ok(receipt.to_vec());
        }
        let why = |error: ureq::Error| AnchorFault::Unreachable { why: format!("{}: {error}", self.url) };
        let sent =
            self.agent.post(&self.url).content_type("application/timestamp-query").send(request(digest));
        let mut answer = sent.map_err(why)?;
        let reply = answer.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_vec().map_err(why)?;
        if answers(&reply, digest) {
            Ok(reply)
        } else {
            let status = answer.status();
            Err(AnchorFault::Refused { why: format!("{}: no time stamp (status {status})", self.url) })
        }
    }

    fn look(&self, digest: &Digest, receipt: &[u8]) -> Result<Look, AnchorFault> {
        if !answers(receipt, digest) {
            return Ok(Look::Missing);
        }
        Ok(Look::Included { receipt: receipt.to_vec(), is_final: self.verified(digest, receipt)? })
    }
}

/// `AlgorithmIdentifier` of SHA-256, and the digest behind it: a `MessageImprint`.
fn imprint(digest: &Digest) -> Vec<u8> {
    const SHA256: [u8; 15] =
        [0x30, 13, 0x06, 9, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00];
    let content = [&SHA256[..], &[0x04, 32], &digest.0].concat();
    [&[0x30, 49][..], &content].concat()
}

/// A `TimeStampReq` in DER: version 1, the imprint, and the wish for the certificate.
fn request(digest: &Digest) -> Vec<u8> {
    let imprint = imprint(digest);
    [&[0x30, 57, 0x02, 1, 1][..], &imprint, &[0x01, 1, 0xff]].concat()
}

/// Whether the bytes are a `TimeStampResp` that grants something about this digest. Whose word it is, is not
/// looked at.
fn answers(reply: &[u8], digest: &Digest) -> bool {
    let granted = sequence(reply)
        .and_then(|(content, behind)| behind.is_empty().then_some(content))
        .and_then(sequence)
        .is_some_and(|(status, token)| matches!(status, [0x02, 1, 0 | 1, ..]) && !token.is_empty());
    let said = [&[0x04, 32][..], &digest.0].concat();
    granted && reply.windows(said.len()).any(|window| window == said)
}

/// When an authority says that it saw a digest, as its answer has it (such as `20260131120000Z`, UTC); `None` where
/// the answer is not about this digest or has no time. Whose word it is, is not looked at.
#[must_use]
pub fn time_of(reply: &[u8], digest: &Digest) -> Option<String> {
    if !answers(reply, digest) {
        return None;
    }
    let said = [&[0x04, 32][..], &digest.0].concat();
    let at = reply.windows(said.len()).position(|window| window == said)?;
    let behind = reply.get(at + said.len()..)?;
    // A serial number of at most 20 bytes stands between (RFC 3161, section 2.4.2; RFC 5280, section 4.1.2.2).
    behind.windows(17).take(32).find_map(|window| {
        let (&[0x18, length], digits) = window.split_first_chunk()? else { return None };
        let length = usize::from(length).checked_sub(15)?;
        let time = core::str::from_utf8(digits.get(..14)?).ok()?;
        (length <= 4 && time.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("{time}Z"))
    })
}

/// The content of a DER sequence, and what follows it.
fn sequence(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (tag == 0x30).then(|| rest.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_der_and_only_a_granting_answer_about_the_digest_counts() {
        let digest = Digest([7; 32]);
        let request = request(&digest);
        assert_eq!(request.len(), 59);
        assert_eq!(sequence(&request).unwrap().1, b"");
        assert!(!answers(&request, &digest), "a request grants nothing");
        let token = [&[0x30, 36, 0x04, 32][..], &[7; 32], &[5, 0]].concat();
        let reply = |status: u8| [&[0x30, 43, 0x30, 3, 0x02, 1, status][..], &token].concat();
        assert!(answers(&reply(0), &digest) && answers(&reply(1), &digest));
        assert!(!answers(&reply(2), &digest), "rejected");
        assert!(!answers(&reply(0), &Digest([8; 32])), "another digest");
        assert!(!answers(&reply(0)[..40], &digest), "cut");
        assert_eq!(time_of(&reply(0), &digest), None, "it has none");
        let time = b"\x02\x01\x07\x18\x0f20260131120000Z";
        let told =
            [&[0x30, 62, 0x30, 3, 0x02, 1, 0, 0x30, 55, 0x04, 32][..], &[7; 32], &time[..], &[5]].concat();
        assert_eq!(time_of(&told, &digest).as_deref(), Some("20260131120000Z"));
        assert_eq!(time_of(&told, &Digest([8; 32])), None);
        for length in 0..request.len() {
            assert!(!answers(&request[..length], &digest));
        }
    }
}
