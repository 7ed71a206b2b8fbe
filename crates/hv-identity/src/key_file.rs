//! Private keys in files that only their owner can read.
//!
//! The format is PKCS #8 in PEM (RFC 8410, section 7), which other programs read and write too, such as
//! `openssl genpkey -algorithm ed25519`. Unix only, because elsewhere a file's mode says little.

use crate::Signer;
use core::fmt;
use data_encoding::BASE64;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What a private key in DER begins with: version 1, the algorithm Ed25519, and an octet string in an octet
/// string; the 32 bytes of the seed follow.
const HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The longest file that is read, in bytes; a key's has 119.
const FILE_MAX_BYTES: u16 = 4096;

/// Why a key file cannot be used. Nothing of its content is ever in it.
#[derive(Debug)]
pub enum KeyFileError {
    /// There is a file already, and it is left as it is.
    Exists(PathBuf),
    /// Others than the owner have rights to the file.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode: what `ls -l` shows, in octal.
        mode: u32,
    },
    /// The file is no private key of Ed25519.
    NotAKey(PathBuf),
    /// The file cannot be written or read.
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => {
                write!(f, "{}: there is a file already; choose another name", path.display())
            }
            Self::Exposed { path, mode } => write!(
                f,
                "{}: its mode is {mode:04o}, so others may read the private key; make a new key, or \
                 chmod 600 it if nobody has",
                path.display()
            ),
            Self::NotAKey(path) => write!(
                f,
                "{}: not a private key of Ed25519 in PKCS #8 and PEM; `hv id new` makes one",
                path.display()
            ),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for KeyFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Writes a private key to a new file with mode 0600, and returns when it is on the disk.
///
/// # Errors
/// [`KeyFileError::Exists`] where there is a file or a link of that name; [`KeyFileError::Io`], and then there
/// is no file.
pub fn create(path: &Path, signer: &Signer) -> Result<(), KeyFileError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = opened.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => failed(path, error),
    })?;
    let text = pem(signer);
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a key is no key; that it cannot be removed either is not worth hiding why it failed.
        let _ = fs::remove_file(path);
        failed(path, error)
    })
}

/// Reads a private key from a file to which nobody but its owner has any right.
///
/// # Errors
/// [`KeyFileError::Exposed`], [`KeyFileError::NotAKey`] and [`KeyFileError::Io`].
pub fn read(path: &Path) -> Result<Signer, KeyFileError> {
    // Opening a pipe would wait for somebody to write into it.
    if !fs::metadata(path).map_err(|error| failed(path, error))?.is_file() {
        return Err(KeyFileError::NotAKey(path.to_owned()));
    }
    let file = File::open(path).map_err(|error| failed(path, error))?;
    // Of the file that is open, not of what may have its name by now.
    let metadata = file.metadata().map_err(|error| failed(path, error))?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAKey(path.to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    // With room for all of it, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::from(FILE_MAX_BYTES) + 1));
    file.take(u64::from(FILE_MAX_BYTES) + 1).read_to_end(&mut text).map_err(|error| failed(path, error))?;
    from_pem(&text).ok_or_else(|| KeyFileError::NotAKey(path.to_owned()))
}

fn failed(path: &Path, error: io::Error) -> KeyFileError {
    KeyFileError::Io { path: path.to_owned(), error }
}

fn pem(signer: &Signer) -> Zeroizing<String> {
    let mut der = Zeroizing::new([0; 48]);
    let (head, seed) = der.split_at_mut(HEAD.len());
    head.copy_from_slice(&HEAD);
    seed.copy_from_slice(&*signer.seed());
    // With room for all of it, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str(BEGIN);
    text.push('\n');
    BASE64.encode_append(&*der, &mut text);
    text.push('\n');
    text.push_str(END);
    text.push('\n');
    text
}

/// One private key and nothing else but the white space around its lines, which an editor may have changed.
fn from_pem(text: &[u8]) -> Option<Signer> {
    let base64 = text.trim_ascii().strip_prefix(BEGIN.as_bytes())?.strip_suffix(END.as_bytes())?;
    if !base64.starts_with(b"\n") && !base64.starts_with(b"\r") {
        return None;
    }
    let der = Zeroizing::new(BASE64.decode(base64.trim_ascii()).ok()?);
    let seed: &[u8; 32] = der.strip_prefix(&HEAD)?.try_into().ok()?;
    Signer::new(seed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// RFC 8410, section 10.3.
    const PUBLISHED: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const PUBLISHED_PUBLIC: [u8; 32] = [
        0x19, 0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96, 0xc8,
        0x50, 0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31, 0x66, 0xe1,
    ];

    #[test]
    fn a_published_key_is_read_and_written_alike() {
        let signer = from_pem(PUBLISHED.as_bytes()).unwrap();
        assert_eq!(signer.public().as_bytes(), &PUBLISHED_PUBLIC);
        assert_eq!(*pem(&signer), PUBLISHED);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(from_pem(b"").is_none());
        for (from, to) in [
            ("PRIVATE KEY", "EC PRIVATE KEY"),
            ("MC4C", "MC4D"),
            ("MC4C", "MC4\nC"),
            ("VhC\n", "Vh=\n"),
            ("VhC\n", "VhCAAAA\n"),
            ("KEY-----\nMC", "KEY-----MC"),
            ("KEY-----\nMC", "KEY----- MC"),
            ("-----BEGIN", "a key:\n-----BEGIN"),
        ] {
            let text = PUBLISHED.replace(from, to);
            assert_ne!(text, PUBLISHED);
            assert!(from_pem(text.as_bytes()).is_none(), "{text}");
        }
        assert!(from_pem(PUBLISHED.repeat(2).as_bytes()).is_none());
    }

    /// What an editor or another system makes of the lines takes nothing from the key.
    #[test]
    fn the_ends_of_lines_do_not_matter() {
        for (from, to) in
            [("\n", "\r\n"), ("END PRIVATE KEY-----\n", "END PRIVATE KEY-----"), ("VhC\n", "VhC \n\n")]
        {
            let text = PUBLISHED.replace(from, to);
            assert_ne!(text, PUBLISHED);
            assert_eq!(from_pem(text.as_bytes()).unwrap().public().as_bytes(), &PUBLISHED_PUBLIC, "{text:?}");
        }
    }

    #[test]
    fn created_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alpha.key");
        let signer = Signer::new(&[7; 32]).unwrap();
        create(&path, &signer).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(read(&path).unwrap().public(), signer.public());

        let other = Signer::new(&[8; 32]).unwrap();
        assert!(matches!(create(&path, &other), Err(KeyFileError::Exists(_))));
        assert_eq!(read(&path).unwrap().public(), signer.public(), "the first one stays");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        assert!(matches!(create(&link, &other), Err(KeyFileError::Exists(_))), "a link is not followed");
        let nowhere = folder.path().join("no/such/folder");
        assert!(matches!(create(&nowhere, &other), Err(KeyFileError::Io { .. })));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alpha.key");
        create(&path, &Signer::new(&[7; 32]).unwrap()).unwrap();
        for bit in 0..9 {
            let mode = 0o600 | 1 << bit;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            match read(&path) {
                Ok(_) => assert!(mode & 0o077 == 0, "{mode:o}"),
                Err(KeyFileError::Exposed { mode: found, .. }) => {
                    assert!(mode & 0o077 != 0 && found == mode, "{mode:o}");
                }
                Err(other) => panic!("{mode:o}: {other}"),
            }
        }
        assert!(matches!(read(folder.path()), Err(KeyFileError::NotAKey(_))), "a folder");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(matches!(read(&pipe), Err(KeyFileError::NotAKey(_))), "a pipe, into which nobody writes");
        assert!(matches!(read(&folder.path().join("nowhere")), Err(KeyFileError::Io { .. })));
    }

    #[test]
    fn a_long_file_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        fs::write(&path, "a".repeat(1 << 20)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(read(&path), Err(KeyFileError::NotAKey(_))));
    }

    #[test]
    fn nothing_of_the_key_is_in_a_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, PUBLISHED.replace("VhC", "Vh")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = read(&path).unwrap_err();
        let signer = from_pem(PUBLISHED.as_bytes()).unwrap();
        for said in [error.to_string(), format!("{error:?}"), format!("{signer:?}")] {
            assert!(!said.contains("INTuctv5E1hK") && !said.contains("d4ee72db"), "{said}");
        }
        assert_eq!(format!("{signer:?}"), format!("Signer({})", signer.did()));
    }
}
