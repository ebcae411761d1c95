//! Any bytes are a manifest or an index, or are refused in words that can be shown. What was understood can be written and is understood again.

use rootfs_fetch::image::{Descriptor, Document, digest_of};

/// Checks it; whether it was one.
pub fn holds(bytes: &[u8]) -> bool {
    let document = match Document::read(bytes, None) {
        Ok(document) => document,
        Err(error) => {
            let text = error.to_string();
            assert!(text.len() < 8000 && !text.chars().any(char::is_control), "{text:?}");
            return false;
        }
    };
    assert!(document.needs().len() <= 1025);
    let kind = document.media_type();
    // The type under which it is sent, read with it, is the same; another is not.
    assert_eq!(Document::read(bytes, Some(kind.as_ref())).as_ref(), Ok(&document));
    assert!(Document::read(bytes, Some("text/plain")).is_err());
    let own = Descriptor::new(kind.clone(), bytes.len() as u64, digest_of(bytes));
    assert_eq!(document.referrer(&own).digest(), own.digest());
    let text = match &document {
        Document::Manifest(manifest) => serde_json::to_vec(manifest),
        Document::Index(index) => serde_json::to_vec(index),
    };
    let again = Document::read(&text.expect("it can be written"), Some(kind.as_ref()));
    assert_eq!(again, Ok(document));
    true
}
