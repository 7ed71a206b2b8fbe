//! Whether anybody writes to a trail at the moment, asked without getting in the way.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether a process holds the folder of a trail; nothing where that is not known.
///
/// Whoever took the lock to find out would turn away a run that begins just then, so the kernel's list of locks is read
/// (proc_locks(5)).
pub(super) fn is_held(data: &Path) -> Option<bool> {
    let mark = fs::metadata(data.join("mark")).ok()?;
    Some(is_listed(&fs::read_to_string("/proc/locks").ok()?, mark.ino()))
}

/// Whether a file of this number is locked as a whole. The device before it is another one than the file's own on some
/// file systems; a file elsewhere that has the same number only keeps a hint back.
fn is_listed(locks: &str, file: u64) -> bool {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.contains(&"FLOCK")
            && words
                .iter()
                .any(|word| word.rsplit_once(':').is_some_and(|(_, number)| number.parse() == Ok(file)))
    };
    locks.lines().any(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_found_in_the_kernels_list() {
        let locks = "1: FLOCK  ADVISORY  WRITE 712 fe:00:1311 0 EOF\n\
                     2: POSIX  ADVISORY  READ 99 fe:00:1400 128 128\n\
                     3: -> FLOCK  ADVISORY  WRITE 713 00:1a:77 0 EOF\n";
        assert_eq!(
            [1311, 77, 1400, 712, 3].map(|file| is_listed(locks, file)),
            [true, true, false, false, false]
        );
        assert!(!is_listed("", 1311) && !is_listed("nonsense: FLOCK", 0));
    }

    #[test]
    fn what_is_locked_here_is_held_and_what_is_not_there_is_not_known() {
        let folder = std::env::temp_dir().join(format!("hv-held-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        assert_eq!(is_held(&folder), None);
        let mark = fs::File::create(folder.join("mark")).unwrap();
        assert_eq!(is_held(&folder), Some(false));
        mark.lock().unwrap();
        assert_eq!(is_held(&folder), Some(true));
        mark.unlock().unwrap();
        assert_eq!(is_held(&folder), Some(false));
        fs::remove_dir_all(&folder).unwrap();
    }
}
