//! Hosts and paths, as far as what they mean can be told from how they are written. What is odd is not read at all.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What an address says of where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// In lower case; with the port, where that is not the scheme's own.
    pub(super) host: String,
    /// Without what follows a question mark, and without escapes.
    pub(super) path: String,
    /// Whether there is a question mark.
    pub(super) query: bool,
}

/// Reads `http://…` and `https://…`. Nothing for anything that two readers might take differently: a user before the
/// host, an address in brackets, a fragment, backslashes and semicolons in the path, `.` and `..`, however each of
/// them is written.
pub(super) fn target(url: &str) -> Option<Target> {
    let (rest, own) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, "443"),
        (_, Some(rest)) => (rest, "80"),
        _ => return None,
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, _)) => (rest, true),
        None => (rest, false),
    };
    // What follows a question mark is let through or not as a whole, but a fragment must not hide in it either.
    if url.contains('#') {
        return None;
    }
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(slash)?;
    let authority = authority.to_ascii_lowercase();
    if !is_host(&authority) {
        return None;
    }
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port == own => String::from(host),
        _ => authority,
    };
    let path = if path.is_empty() { String::from("/") } else { unescaped(path)? };
    normal(&path)?;
    Some(Target { host, path, query })
}

/// A path of an address with its escapes resolved, once (RFC 3986, section 2.1). Nothing where an escape is none, or
/// stands for what would read differently where it is resolved earlier, later or twice: what parts a path or ends it,
/// a percent sign, and what nobody sees.
fn unescaped(path: &str) -> Option<String> {
    let (mut bytes, mut plain) = (path.bytes(), Vec::with_capacity(path.len()));
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(Some(byte).filter(u8::is_ascii_graphic)?);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let byte = u8::try_from(digit()? * 16 + digit()?).ok()?;
        plain.push(Some(byte).filter(|byte| !matches!(byte, b'/' | b'?' | b'#' | b'%'))?);
    }
    let path = String::from_utf8(plain).ok()?;
    let odd = |c: char| c.is_control() || matches!(c, '\\' | ';');
    (!path.contains(odd)).then_some(path)
}

/// Whether this is a host in lower case, with or without a port.
pub(super) fn is_host(text: &str) -> bool {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let label = |label: &str| !label.is_empty() && label.bytes().all(letter);
    let is_port = |port: &str| {
        !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    host.len() <= 253 && host.split('.').all(label) && port.is_none_or(is_port)
}

/// Whether this bounds hosts: one host, or with a point in front all below it.
pub(super) fn is_host_bound(text: &str) -> bool {
    is_host(text.strip_prefix('.').unwrap_or(text))
}

/// Whether a host is, or a bound of hosts is no wider than, what a bound of hosts names.
pub(super) fn host_within(host: &str, bound: &str) -> bool {
    host == bound || (bound.starts_with('.') && host.ends_with(bound))
}

/// An absolute path without the slash at its end, so nothing for the root; none where it is not absolute, or has an
/// empty part, `.` or `..` in it, or a NUL.
pub(super) fn normal(path: &str) -> Option<&str> {
    if path == "/" {
        return Some("");
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    let inner = path.strip_prefix('/')?;
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    inner.split('/').all(plain).then_some(path)
}

/// A path in full, from a folder where it does not begin with a slash; none where one of the two is odd.
pub(super) fn full(path: &str, folder: Option<&str>) -> Option<String> {
    let full =
        if path.starts_with('/') { String::from(path) } else { format!("{}/{path}", normal(folder?)?) };
    normal(&full).map(|full| if full.is_empty() { String::from("/") } else { String::from(full) })
}

/// Whether a path is a folder or file, or below it. Neither where one of the two is odd.
pub(super) fn path_within(path: &str, bound: &str) -> bool {
    let (Some(path), Some(bound)) = (normal(path), normal(bound)) else { return false };
    path.strip_prefix(bound).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is given, as far as a reason can hold it: in one line, and no longer than 80 characters.
pub(super) fn told(text: &str) -> String {
    let mut told: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        told.push('…');
    }
    told
}

/// Several of them, as far as a reason can hold them.
pub(super) fn listed<'a>(items: impl IntoIterator<Item = &'a String>) -> String {
    let mut listed = String::new();
    for item in items {
        let item = told(item);
        if listed.len() + item.len() > 240 {
            listed.push_str(", …");
            break;
        }
        listed = if listed.is_empty() { item } else { format!("{listed}, {item}") };
    }
    if listed.is_empty() { String::from("none") } else { listed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::cases;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::vec;

    #[test]
    fn where_a_request_goes() {
        for (url, host, path, query) in [
            ("https://api.example.com", "api.example.com", "/", false),
            ("https://API.example.com:443/v1", "api.example.com", "/v1", false),
            ("http://api.example.com:443/v1/", "api.example.com:443", "/v1/", false),
            ("http://api.example.com:80/", "api.example.com", "/", false),
            ("https://a:8080/x?y=/../z", "a:8080", "/x", true),
            ("https://a?", "a", "/", true),
            ("http://127.0.0.1:65535/-._~!$&'()*+,=:@", "127.0.0.1:65535", "/-._~!$&'()*+,=:@", false),
            // However it is written, it is one path.
            ("https://a/%76%31/%7E%7e/x", "a", "/v1/~~/x", false),
            ("https://a/a%20b/%C3%A4%2B+?%2f", "a", "/a b/ä++", true),
            ("https://a/%2e%2E.", "a", "/...", false),
        ] {
            let expected = Target { host: host.to_string(), path: path.to_string(), query };
            assert_eq!(target(url), Some(expected), "{url}");
        }
        for url in [
            "",
            "/v1",
            "api.example.com",
            "ftp://a/",
            "HTTPS://a/",
            "https://",
            "https:///v1",
            "https://u@a/",
            "https://a@b",
            "https://[::1]/",
            "https://a:/",
            "https://a:0/",
            "https://a:01/",
            "https://a:65536/",
            "https://a:8a/",
            "https://a:1:2/",
            "https://.a/",
            "https://a./",
            "https://a..b/",
            "https://a_b/",
            "https://a%2eb/",
            "https://a\\b/",
            "https://a/#f",
            "https://a/?q#f",
            "https://a#b",
            "https://a/../b",
            "https://a/./b",
            "https://a//b",
            "https://a/%2e%2e/b",
            "https://a/%2E./b",
            "https://a/b/%2e",
            "https://a/b%2Fc",
            "https://a/b%5c..",
            "https://a/b%3bc",
            "https://a/b%3Fc",
            "https://a/b%23c",
            "https://a/%252e%252e/b",
            "https://a/b%25",
            "https://a/b%00",
            "https://a/b%0a",
            "https://a/b%7F",
            "https://a/%C2%85",
            "https://a/%C3",
            "https://a/%ff",
            "https://a/%C0%AE",
            "https://a/b%",
            "https://a/b%4",
            "https://a/b%4g",
            "https://a/b%g4",
            "https://a/b%+4",
            "https://%61/",
            "https://a/b\\..\\c",
            "https://a/b;/..",
            "https://a/b;x",
            "https://a/..",
            "https://ä/",
            "https://a/ä",
            "https://a/b c",
            "https://a/\u{7f}",
            "https:/a",
            "https://a:+1/",
        ] {
            assert_eq!(target(url), None, "{url}");
        }
        let longest = "a".repeat(253);
        assert!(is_host(&longest) && !is_host(&(longest + "a")));
    }

    #[test]
    fn hosts_within_bounds() {
        for (host, bound, within) in [
            ("a.example.com", "a.example.com", true),
            ("a.example.com", "b.example.com", false),
            ("a.example.com", "example.com", false),
            ("a.example.com", ".example.com", true),
            ("b.a.example.com", ".example.com", true),
            ("example.com", ".example.com", false),
            ("badexample.com", ".example.com", false),
            ("a.example.com.evil.org", ".example.com", false),
            ("a.example.com:8080", ".example.com", false),
            ("a.example.com:8080", ".example.com:8080", true),
            // A bound within a bound.
            (".a.example.com", ".example.com", true),
            (".example.com", ".example.com", true),
            (".example.com", ".a.example.com", false),
        ] {
            assert_eq!(host_within(host, bound), within, "{host} {bound}");
        }
        for (text, good) in
            [(".example.com", true), ("a:1", true), ("..a", false), (".", false), ("", false), ("A", false)]
        {
            assert_eq!(is_host_bound(text), good, "{text}");
        }
    }

    #[test]
    fn paths_within_bounds() {
        for (path, bound, within) in [
            ("/v1", "/v1", true),
            ("/v1/", "/v1", true),
            ("/v1", "/v1/", true),
            ("/v1/x", "/v1", true),
            ("/v1x", "/v1", false),
            ("/v", "/v1", false),
            ("/v1/../v2", "/v1", false),
            ("/v1/..", "/v1", false),
            ("/v1/.", "/v1", false),
            ("/v1//x", "/v1", false),
            ("/v1/\0", "/v1", false),
            ("//v1", "/v1", false),
            ("//", "/", false),
            ("", "/", false),
            ("v1", "/", false),
            ("/", "/", true),
            ("/anything", "/", true),
            ("/", "/v1", false),
            ("/...", "/", true),
            ("/x", "/x/..", false),
        ] {
            assert_eq!(path_within(path, bound), within, "{path} {bound}");
        }
    }

    #[test]
    fn what_is_told_stays_short_and_in_one_line() {
        assert_eq!(told("a\nb\u{1b}"), "a\\nb\\u{1b}");
        assert_eq!(told(&"x".repeat(80)), "x".repeat(80));
        assert_eq!(told(&"x".repeat(81)), "x".repeat(80) + "…");
        assert_eq!(listed(&vec![]), "none");
        assert_eq!(listed(&vec!["a".to_string(), "b".to_string()]), "a, b");
        let (long, fits) = ("x".repeat(80), "y".repeat(78));
        // 80, two for the comma, 80: 162; the third may make it 240, and no more.
        assert_eq!(
            listed(&vec![long.clone(), long.clone(), fits.clone()]),
            format!("{long}, {long}, {fits}")
        );
        assert_eq!(listed(&vec![long.clone(), long.clone(), fits + "y"]), format!("{long}, {long}, …"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(cases(2_000)))]

        /// However a path is put together: what is within a folder begins with it, part by part, and climbs nowhere.
        #[test]
        fn nothing_escapes(parts in prop::collection::vec(prop::sample::select(vec!["a", "b", "..", ".", "", "a b", "..a"]), 0..6)) {
            let path = format!("/{}", parts.join("/"));
            if path_within(&path, "/a") {
                prop_assert_eq!(parts.first(), Some(&"a"));
                prop_assert!(!parts.contains(&"..") && !parts.contains(&"."));
            }
        }

        /// Where a request is let through, `host` is what stands between the slashes.
        #[test]
        fn a_host_is_what_is_written(url in "https://[a-c.@:/\\\\?#%0-9]{1,12}") {
            if let Some(Target { host, .. }) = target(&url) {
                let written = url.trim_start_matches("https://");
                let end = written.find(['/', '?', '#']).unwrap_or(written.len());
                let written = &written[..end];
                prop_assert_eq!(written.strip_suffix(":443").unwrap_or(written), host);
            }
        }
    }
}
