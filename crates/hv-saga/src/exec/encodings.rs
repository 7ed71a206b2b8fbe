//! How a text looks when a program has encoded it: in hexadecimal, in base64 at any place of a longer text, in a URL, in
//! JSON.

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXUPPER};

/// What is left of an encoding at the edges of a longer text has at least so many characters, or is not looked for.
const LEAST: usize = 8;

/// The encoded forms of a text.
pub(super) fn of(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    const HEX: [Encoding; 2] = [HEXLOWER, HEXUPPER];
    let hex = HEX.into_iter().map(|digits| digits.encode(text).into_bytes());
    let urls = HEX.into_iter().flat_map(|digits| {
        [&b"%20"[..], b"+"].map(|space| text.iter().flat_map(|byte| in_url(*byte, &digits, space)).collect())
    });
    let base64 = [BASE64_NOPAD, BASE64URL_NOPAD]
        .into_iter()
        .flat_map(|base64| (0..3).map(move |at| (base64.clone(), at)));
    let base64 = base64.map(|(base64, at)| base64_at(text, &base64, at)).filter(|form| form.len() >= LEAST);
    let json = text.iter().flat_map(|byte| in_json(*byte)).collect();
    let all: Vec<Vec<u8>> = hex.chain(urls).chain(base64).chain([json]).collect();
    all.into_iter()
}

/// As RFC 3986 has it; a space is a plus sign where forms are sent.
fn in_url(byte: u8, digits: &Encoding, space: &[u8]) -> Vec<u8> {
    match byte {
        b' ' => space.to_vec(),
        b'-' | b'.' | b'_' | b'~' => vec![byte],
        _ if byte.is_ascii_alphanumeric() => vec![byte],
        _ => format!("%{}", digits.encode(&[byte])).into_bytes(),
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
fn base64_at(text: &[u8], base64: &Encoding, before: usize) -> Vec<u8> {
    let whole = base64.encode(&[&vec![0; before], text].concat());
    let alone = (before * 8).div_ceil(6)..(before + text.len()) * 8 / 6;
    whole.get(alone).unwrap_or_default().as_bytes().to_vec()
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
            let form = base64_at(SECRET, &BASE64_NOPAD, before);
            assert!(form.len() * 6 + 10 >= SECRET.len() * 8, "{before}");
        }
    }
}
