//! Names of files that cannot leave their session.

use core::borrow::Borrow;
use core::fmt;
use hv_types::wire::{Bytes, Reader};
use hv_types::{Name, SessionId, Undecodable, Wire};

/// The longest path of a file, in bytes, counted inside its session.
pub const PATH_MAX_BYTES: usize = 1024;

/// The longest name between two slashes, in bytes: what file systems allow.
pub const NAME_MAX_BYTES: usize = 255;

/// The longest text that is read as a path at all, in bytes.
pub const PATH_TEXT_MAX_BYTES: usize = 4096;

/// The path of a file inside its session, in its one normal form: names with single slashes between them.
///
/// `INVARIANT (V1)`: a path holds no `.`, no `..`, no empty name and no leading slash, so appended to
/// `/sessions/<id>/` it names something below that folder, and each session looks it up among its own files.
///
/// A path is given relative to the session (`a/b`) or absolute (`/sessions/<id>/a/b`). Doubled slashes, a
/// slash at the end and `.` are dropped, and `..` takes back the name before it; what is equal then is one
/// file. Letters are compared as they are: upper and lower case differ, and so do different Unicode spellings
/// of what looks the same. Refused are `..` beyond the session's folder, the folder of another session,
/// backslashes (other systems read them as slashes), control characters and line separators, and characters
/// that are invisible or change the direction of the text around them.
///
/// ```
/// use hv_session::{BadPathCause, FilePath};
/// use hv_types::SessionId;
///
/// let session = SessionId::new("a").unwrap();
/// let path = FilePath::parse(&session, "/sessions/a/x//./y/../z").unwrap();
/// assert_eq!(path.as_str(), "x/z");
/// assert_eq!(FilePath::parse(&session, "x/z/"), Ok(path));
/// let other = FilePath::parse(&session, "/sessions/ab/x").unwrap_err();
/// assert_eq!(other.cause, BadPathCause::Outside);
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Name);

/// A text that names no file of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPath {
    /// The text as given, cut after 80 characters.
    pub text: String,
    /// What is wrong.
    pub cause: BadPathCause,
}

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadPathCause {
    /// It names the session's folder itself, or nothing.
    Root,
    /// It is longer than [`PATH_MAX_BYTES`], as a text longer than [`PATH_TEXT_MAX_BYTES`], or one of its names
    /// is longer than [`NAME_MAX_BYTES`].
    TooLong,
    /// It leads out of the session's folder.
    Outside,
    /// It holds a character that no path may hold.
    Character(char),
}

impl FilePath {
    /// Reads a path of the session. O(length), without an allocation besides the result where the text is
    /// normal already.
    ///
    /// # Errors
    /// [`BadPath`] with the first thing that is wrong.
    pub fn parse(session: &SessionId, text: &str) -> Result<Self, BadPath> {
        if is_plain(text) {
            return Ok(Self(Name::new(text)));
        }
        let bad = |cause| BadPath { text: text.chars().take(80).collect(), cause };
        check_text(text).map_err(bad)?;
        if is_normal(text) {
            return check_length(text).map(|()| Self(Name::new(text))).map_err(bad);
        }
        normalise(session, text).map(|path| Self(Name::new(&path))).map_err(bad)
    }

    /// The path inside its session.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The whole path, `/sessions/<id>/…`.
    #[must_use]
    pub fn absolute(&self, session: &SessionId) -> String {
        format!("/sessions/{session}/{self}")
    }

    /// The name after the last slash.
    #[must_use]
    pub fn name(&self) -> &str {
        self.as_str().rsplit('/').next().unwrap_or_default()
    }

    /// The path under which a folder of this name holds its files, with the slash at its end.
    pub(crate) fn as_folder(&self) -> String {
        format!("{self}/")
    }
}

/// Whether a text is a path as it stands, told by one look at each byte. What is out of the ordinary, as a long
/// text or a name that begins with a dot, is looked at again with more patience.
fn is_plain(text: &str) -> bool {
    let mut before = b'/';
    for byte in text.bytes() {
        let begins_oddly = before == b'/' && matches!(byte, b'/' | b'.');
        if begins_oddly || !matches!(byte, b' '..=b'~') || byte == b'\\' {
            return false;
        }
        before = byte;
    }
    before != b'/' && text.len() <= NAME_MAX_BYTES
}

/// What no text of a path may hold, and its length.
fn check_text(text: &str) -> Result<(), BadPathCause> {
    if text.len() > PATH_TEXT_MAX_BYTES {
        return Err(BadPathCause::TooLong);
    }
    if text.is_ascii() {
        let bad = text.bytes().find(|&b| b < b' ' || b == 0x7f || b == b'\\');
        return bad.map_or(Ok(()), |b| Err(BadPathCause::Character(char::from(b))));
    }
    let bad = text.chars().find(|&c| c.is_control() || c == '\\' || is_invisible(c));
    bad.map_or(Ok(()), |c| Err(BadPathCause::Character(c)))
}

/// Line separators, marks that change the direction of text (Unicode Standard Annex 9), characters without a
/// width that are no joiners, and tags.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    )
}

fn is_normal(text: &str) -> bool {
    text.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

/// `INVARIANT (V1)`: what is pushed is a name, and nothing is taken back beyond the first.
fn normalise(session: &SessionId, text: &str) -> Result<String, BadPathCause> {
    let mut names = text.split('/').filter(|name| !matches!(*name, "" | "."));
    if text.starts_with('/') && (names.next() != Some("sessions") || names.next() != Some(session.as_str())) {
        return Err(BadPathCause::Outside);
    }
    let mut path: Vec<&str> = Vec::new();
    for name in names {
        if name == ".." {
            path.pop().ok_or(BadPathCause::Outside)?;
        } else {
            path.push(name);
        }
    }
    let path = path.join("/");
    check_length(&path)?;
    Ok(path)
}

fn check_length(path: &str) -> Result<(), BadPathCause> {
    match path.len() {
        0 => Err(BadPathCause::Root),
        1..=PATH_MAX_BYTES if path.split('/').all(|name| name.len() <= NAME_MAX_BYTES) => Ok(()),
        _ => Err(BadPathCause::TooLong),
    }
}

impl Wire for FilePath {
    fn put(&self, out: &mut Bytes) {
        self.0.put(out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Undecodable> {
        let text = reader.text()?;
        let normal = || check_text(text).is_ok() && is_normal(text) && check_length(text).is_ok();
        if is_plain(text) || normal() { Ok(Self(Name::new(text))) } else { Err(reader.invalid("FilePath")) }
    }
}

impl Borrow<str> for FilePath {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.escape_debug();
        match self.cause {
            BadPathCause::Root => write!(f, "`{text}` names no file; give a name such as notes/plan.md"),
            BadPathCause::TooLong => write!(
                f,
                "`{text}…` is too long; a path has {PATH_MAX_BYTES} bytes at most and each name {NAME_MAX_BYTES}"
            ),
            BadPathCause::Outside => {
                write!(f, "`{text}` leads out of the session; give a path relative to its folder")
            }
            BadPathCause::Character(c) => write!(f, "a path may not hold {c:?}, as `{text}` does"),
        }
    }
}

impl core::error::Error for BadPath {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, BadPathCause> {
        let session = SessionId::new("a").unwrap();
        FilePath::parse(&session, text).map(|path| path.as_str().to_owned()).map_err(|bad| bad.cause)
    }

    #[test]
    fn what_looks_plain_is_what_the_patient_rules_let_pass() {
        let letters = ["", "a", ".", "/", "\\", " ", "~", "\x7f", "\x1f", "é"];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer = |text: &String| letters.map(|letter| format!("{text}{letter}"));
            texts = texts.iter().flat_map(longer).collect();
        }
        texts.extend([255, 256].map(|n| "x".repeat(n)));
        let patient = |text: &str| check_text(text).is_ok() && is_normal(text) && check_length(text).is_ok();
        assert!(texts.iter().any(|text| is_plain(text)));
        assert!(texts.iter().filter(|text| is_plain(text)).all(|text| patient(text)));
    }

    #[test]
    fn equal_after_normalisation_is_one_path() {
        for text in
            ["x/y", "./x/y", "x//y", "x/y/", "x/./y", "x/z/../y", "/sessions/a/x/y", "//sessions//a/./x/y"]
        {
            assert_eq!(parse(text).as_deref(), Ok("x/y"), "{text}");
        }
        for plain in ["...", "a b", "~", "sessions/b/x", "-", "C:x", "é", "e\u{301}", "a\u{200d}b", "%2e%2e"]
        {
            assert_eq!(parse(plain).as_deref(), Ok(plain));
        }
        assert_ne!(parse("é"), parse("e\u{301}"), "spellings are not merged");
    }

    /// Failure 14: `/sessions/ab` inside `/sessions/a`, and `..` kept.
    #[test]
    fn v1_what_leads_out_is_refused() {
        for text in [
            "..",
            "../x",
            "x/../../y",
            "/x",
            "/sessions",
            "/sessions/ab/x",
            "/sessions/ab",
            "/sessions/A/x",
            "/sessions/b/../a/x",
            "/sessions/a/../b/x",
            "/../sessions/a/x",
            "/sessions/./../a",
            "/sessionsa/x",
        ] {
            assert_eq!(parse(text), Err(BadPathCause::Outside), "{text}");
        }
        for text in ["", ".", "/sessions/a", "/sessions/a/", "x/..", "./", "/sessions/a/x/.."] {
            assert_eq!(parse(text), Err(BadPathCause::Root), "{text}");
        }
    }

    #[test]
    fn characters_that_deceive_are_refused() {
        for c in
            ['\0', '\n', '\u{7f}', '\u{85}', '\\', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}', '\u{2028}']
        {
            assert_eq!(parse(&format!("a{c}b")), Err(BadPathCause::Character(c)), "{c:?}");
            assert_eq!(parse(&format!("é{c}b")), Err(BadPathCause::Character(c)), "{c:?}");
        }
    }

    #[test]
    fn lengths_at_their_boundaries() {
        let name = |n: usize| "x".repeat(n);
        let path = |n: usize| {
            let mut path = [name(255), name(255), name(255), name(255)].join("/");
            path.truncate(n);
            path + &"/".repeat(usize::from(n > 1023)) + &name(n.saturating_sub(1024))
        };
        assert!(parse(&name(255)).is_ok());
        assert_eq!(parse(&name(256)), Err(BadPathCause::TooLong));
        assert_eq!(path(1023).len(), 1023);
        assert!(parse(&path(1023)).is_ok());
        assert!(parse(&(path(1022) + "/x")).is_ok(), "1024 bytes");
        assert_eq!(parse(&(path(1023) + "/x")), Err(BadPathCause::TooLong));
        assert!(parse(&("./".repeat(2047) + "xy")).is_ok(), "4096 bytes of text");
        assert_eq!(parse(&("./".repeat(2047) + "xyz")), Err(BadPathCause::TooLong));
    }

    #[test]
    fn only_the_normal_form_decodes() {
        let encode = |text: &str| text.to_owned().to_bytes();
        assert_eq!(FilePath::from_bytes(&encode("x/y")).map(|p| p.as_str().to_owned()).as_deref(), Ok("x/y"));
        for text in ["", "/", "x/", "/x", "x//y", ".", "..", "x/..", "x/./y", "a\\b", "a\0", "\u{202e}"] {
            assert!(FilePath::from_bytes(&encode(text)).is_err(), "{text:?}");
        }
        assert!(FilePath::from_bytes(&encode(&"x".repeat(256))).is_err());
    }
}
