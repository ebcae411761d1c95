//! Any bytes are a mountinfo file, or are refused; of a file there are as many mounts as lines, each with its summary.

use hardway::probe::mounts::parse_mountinfo;

/// Checks it.
pub fn holds(text: &[u8]) {
    match parse_mountinfo(text) {
        Ok(mounts) => {
            let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
            assert_eq!(mounts.len(), lines);
            assert!(mounts.iter().all(|mount| mount.summary().starts_with(&mount.fstype)));
        }
        // At most 200 bytes are shown, each of which may become U+FFFD.
        Err(line) => assert!(line.len() <= 600),
    }
}
