//! Any bytes are the challenges of a header, or are refused; what was understood can be written with quotes, and is understood again.

use rootfs_fetch::client::challenge::{Challenge, read};

/// Checks it; whether they were challenges.
pub fn holds(bytes: &[u8]) -> bool {
    let Ok(challenges) = read(bytes) else { return false };
    assert!(challenges.len() <= 16);
    for challenge in &challenges {
        let lower =
            |text: &str| !text.is_empty() && !text.bytes().any(|byte| byte.is_ascii_uppercase() || byte <= b' ');
        assert!(lower(&challenge.scheme), "{challenge:?}");
        for (name, value) in &challenge.parameters {
            assert!(lower(name) && challenge.get(name) == Some(value), "{challenge:?}");
            assert!(!value.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()), "{challenge:?}");
        }
    }
    let text: Vec<String> = challenges.iter().map(written).collect();
    // Quotes may make it too long.
    if text.iter().map(|text| text.len() + 1).sum::<usize>() < 8192 {
        assert_eq!(read(text.join(",").as_bytes()).as_ref(), Ok(&challenges), "{text:?}");
    }
    true
}

fn written(challenge: &Challenge) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
    let parameters = challenge.parameters.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value)));
    format!("{} {}", challenge.scheme, parameters.collect::<Vec<_>>().join(","))
}
