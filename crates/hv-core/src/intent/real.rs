//! Where paths really are. The file system is asked while nobody is kept waiting, and what it says is held against
//! intents afterwards: whoever can change the folder can still put a link there before the program starts.

use hv_rings::intent::Places;
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// What the file system said.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    asked: BTreeSet<String>,
    real: Places,
}

/// Nobody has looked anywhere.
pub(crate) static NOWHERE: Looked = Looked { asked: BTreeSet::new(), real: Places::new() };

impl Looked {
    /// Where paths really are, as far as that is known.
    pub(crate) const fn real(&self) -> &Places {
        &self.real
    }

    /// Those of the paths after which nobody has looked.
    pub(crate) fn without(&self, paths: BTreeSet<String>) -> BTreeSet<String> {
        paths.into_iter().filter(|path| !self.asked.contains(path)).collect()
    }

    /// Looks where these paths are. A file system that does not answer keeps whoever asks waiting, and nobody else.
    pub(crate) async fn look(&mut self, paths: BTreeSet<String>) {
        let asked = paths.clone();
        let look = move || asked.into_iter().filter_map(|path| Some((really(&path)?, path)));
        let real = match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(|| look().collect::<Vec<_>>()).await.unwrap_or_default(),
            Err(_) => look().collect(),
        };
        self.real.extend(real.into_iter().map(|(real, path)| (path, real)));
        self.asked.extend(paths);
    }
}

/// Where a path really is, every link in it followed: what there is of it, and what is still missing below. Nothing where
/// that cannot be told: a link that leads nowhere yet, a folder that may not be looked into, a name that is no text.
fn really(path: &str) -> Option<String> {
    let path = Path::new(path);
    for there in path.ancestors() {
        match fs::symlink_metadata(there) {
            Ok(_) => {
                let (real, missing) = (fs::canonicalize(there).ok()?, path.strip_prefix(there).ok()?);
                let real = if missing.as_os_str().is_empty() { real } else { real.join(missing) };
                return real.into_os_string().into_string().ok();
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_and_what_cannot_be_told_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(folder.path()).unwrap();
        let at = |path: &str| base.join(path).to_str().unwrap().to_owned();
        for dir in ["in/sub", "out"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        fs::write(at("in/file"), "x").unwrap();
        symlink(at("out"), at("in/link")).unwrap();
        symlink("../out", at("in/relative")).unwrap();
        symlink(at("in/link"), at("in/twice")).unwrap();
        symlink(at("later"), at("in/dangling")).unwrap();
        symlink("loop", at("in/loop")).unwrap();
        for (path, real) in [
            ("in", Some("in")),
            ("in/sub", Some("in/sub")),
            ("in/file", Some("in/file")),
            ("in/link", Some("out")),
            ("in/relative", Some("out")),
            ("in/twice/x/y", Some("out/x/y")),
            ("in/none/x", Some("in/none/x")),
            ("in/dangling", None),
            ("in/dangling/x", None),
            ("in/loop/x", None),
            ("in/file/x", None),
        ] {
            assert_eq!(really(&at(path)), real.map(at), "{path}");
        }
        assert_eq!(really("/"), Some("/".to_owned()));
        assert_eq!(really("nowhere/at/all"), None);
    }

    #[tokio::test]
    async fn nobody_looks_twice() {
        let paths = |paths: &[&str]| -> BTreeSet<String> { paths.iter().map(ToString::to_string).collect() };
        let mut looked = Looked::default();
        assert_eq!(looked.without(paths(&["/", "x"])), paths(&["/", "x"]));
        looked.look(paths(&["/", "x"])).await;
        assert_eq!(looked.without(paths(&["/", "x", "/y"])), paths(&["/y"]));
        assert_eq!(looked.real(), &Places::from([("/".to_owned(), "/".to_owned())]));
    }
}
