//! Paths in commands that a person is told to give: as a shell takes them.

use std::borrow::Cow;
use std::path::Path;

/// The path as one word of a POSIX shell, and as it is where nothing in it means anything there.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    // A word that begins like an option would be taken for one.
    let path = if path.starts_with('-') { Cow::Owned(format!("./{path}")) } else { path };
    // Only a NUL cannot be quoted, and no path that was opened has one.
    shlex::try_quote(&path).map_or_else(|_| path.to_string(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::quoted;
    use proptest::prelude::*;
    use std::path::Path;
    use std::process::Command;

    /// What a real shell makes of it.
    fn read(words: &str) -> String {
        let script = format!("for word in {words}; do printf '%s|' \"$word\"; done");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn what_needs_no_quotes_has_none() {
        for plain in ["/home/me/.hv/trail", "a_b-c+d.e:f@g"] {
            assert_eq!(quoted(Path::new(plain)), plain);
        }
        assert_eq!(quoted(Path::new("-x")), "./-x");
        assert_ne!(quoted(Path::new("my trail")), "my trail");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_shell_reads_the_path_again(path in "[ -~äß]{1,20}") {
            let given = if path.starts_with('-') { format!("./{path}") } else { path.clone() };
            prop_assert_eq!(read(&quoted(Path::new(&path))), format!("{given}|"));
        }
    }
}
