//! How a text looks when a program has encoded it: in hexadecimal, in base64 at any place of a longer text, in a URL, in
//! JSON.

/// The alphabets of base64: of RFC 4648, sections 4 and 5.
const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOR_URLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What is left of an encoding at the edges of a longer text has at least so many characters, or is not looked for.
const LEAST: usize = 8;

/// The encoded forms of a text.
pub(super) fn of(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let hex =
        [&HEX_LOWER, &HEX_UPPER].map(|digits| text.iter().flat_map(|byte| pair(*byte, digits)).collect());
    let urls = [&HEX_LOWER, &HEX_UPPER].into_iter().flat_map(|digits| {
        [&b"%20"[..], b"+"].map(|space| text.iter().flat_map(|byte| in_url(*byte, digits, space)).collect())
    });
    let base64 = [STANDARD, FOR_URLS].into_iter().flat_map(|alphabet| (0..3).map(move |at| (alphabet, at)));
    let base64 =
        base64.map(|(alphabet, at)| base64_at(text, alphabet, at)).filter(|form| form.len() >= LEAST);
    let json = text.iter().flat_map(|byte| in_json(*byte)).collect();
    let all: Vec<Vec<u8>> = hex.into_iter().chain(urls).chain(base64).chain([json]).collect();
    all.into_iter()
}

const HEX_LOWER: [u8; 16] = *b"0123456789abcdef";
const HEX_UPPER: [u8; 16] = *b"0123456789ABCDEF";

fn pair(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    let digit = |n: u8| digits.get(usize::from(n)).copied().unwrap_or(b'0');
    [digit(byte >> 4), digit(byte & 15)]
}

/// As RFC 3986 has it; a space is a plus sign where forms are sent.
fn in_url(byte: u8, digits: &[u8; 16], space: &[u8]) -> Vec<u8> {
    match byte {
        b' ' => space.to_vec(),
        b'-' | b'.' | b'_' | b'~' => vec![byte],
        _ if byte.is_ascii_alphanumeric() => vec![byte],
        _ => {
            let [high, low] = pair(byte, digits);
            vec![b'%', high, low]
        }
    }
}

/// As most programs write it in a JSON string.
fn in_json(byte: u8) -> Vec<u8> {
    match byte {
        b'"' | b'\\' => vec![b'\\', byte],
        b'\n' => b"\\n".to_vec(),
        b'\r' => b"\\r".to_vec(),
        b'\t' => b"\\t".to_vec(),
        _ => vec![byte],
    }
}

/// The characters of base64 that a text decides alone where so many bytes stand before it, counted modulo 3.
fn base64_at(text: &[u8], alphabet: &[u8; 64], before: usize) -> Vec<u8> {
    let bits = |at: usize| at.checked_sub(before).and_then(|at| text.get(at)).copied().unwrap_or(0);
    let (first, last) = ((before * 8).div_ceil(6), (before + text.len()) * 8 / 6);
    let character = |n: usize| {
        let (byte, shift) = (n * 6 / 8, n * 6 % 8);
        let two = u16::from_be_bytes([bits(byte), bits(byte + 1)]);
        let six = usize::from(two >> (10 - shift) & 63);
        alphabet.get(six).copied().unwrap_or(b'A')
    };
    (first..last).map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = "pa+ss/wörd \"9\"!".as_bytes();

    /// As Python 3 encodes the secret, alone and behind texts of two and three bytes.
    #[test]
    fn a_text_is_found_however_it_is_encoded() {
        let forms: Vec<Vec<u8>> = of(SECRET).collect();
        for encoded in [
            r#"cGErc3Mvd8O2cmQgIjkiIUBob3N0"#,
            r#"cGErc3Mvd8O2cmQgIjkiIQ=="#,
            r#"dTpwYStzcy93w7ZyZCAiOSIhQGhvc3Q="#,
            r#"dTpwYStzcy93w7ZyZCAiOSIh"#,
            r#"bWU6cGErc3Mvd8O2cmQgIjkiIUBob3N0"#,
            r#"bWU6cGErc3Mvd8O2cmQgIjkiIQ=="#,
            r#"pa%2Bss%2Fw%C3%B6rd%20%229%22%21"#,
            r#"pa%2Bss%2Fw%C3%B6rd+%229%22%21"#,
            r#"pa%2bss%2fw%c3%b6rd%20%229%22%21"#,
            r#"70612b73732f77c3b672642022392221"#,
            r#"70612B73732F77C3B672642022392221"#,
            r#""pa+ss/wörd \"9\"!""#,
        ] {
            let found =
                forms.iter().any(|form| encoded.as_bytes().windows(form.len()).any(|part| part == form));
            assert!(found, "{encoded}");
        }
        // What it does not hold is not found.
        let other = "cGEtc3Mvd8O2cmQgIjkiIQ== pa-ss/w%C3%B6rd 70612d73732f";
        assert!(!forms.iter().any(|form| other.as_bytes().windows(form.len()).any(|part| part == form)));
    }

    /// What is left beside what is cut out tells less than a character of the secret at each end.
    #[test]
    fn nothing_but_the_edges_is_left_of_base64() {
        for before in 0..3 {
            let form = base64_at(SECRET, STANDARD, before);
            assert!(form.len() * 6 + 10 >= SECRET.len() * 8, "{before}");
        }
    }
}
