//! Texts that others sign: notes, checkpoints, cosignatures, and who must have signed.

pub(crate) mod checkpoint;
pub(crate) mod history_note;
pub(crate) mod key;
pub(crate) mod note;
pub(crate) mod policy;
pub(crate) mod rotation;
pub(crate) mod tlog_proof;
pub(crate) mod witness;

/// A number as notes write it: decimal digits without a leading zero.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { text.parse().ok() } else { None }
}

/// A hash as notes write it: base64 of its 32 bytes, in its one form.
pub(crate) fn hash(text: &str) -> Option<hv_types::Digest> {
    unbase64(text)?.try_into().ok().map(hv_types::Digest)
}

/// The same the other way.
pub(crate) fn base64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

/// Bytes from the one base64 that they have. The library also takes several padded texts behind each other.
pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    let bytes = data_encoding::BASE64.decode(text.as_bytes()).ok()?;
    (base64(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_base64() {
        assert_eq!(unbase64("AQI="), Some(vec![1, 2]));
        for other in ["AQJ=", "AQI", "AQ==Ag==", "AQI=\n", " AQI="] {
            assert_eq!(unbase64(other), None, "{other}");
        }
    }
}
