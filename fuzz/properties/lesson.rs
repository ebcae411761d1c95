//! Any text is a lesson, or has faults that stand somewhere in it and can be shown on a terminal.

use hardway::lesson::compile::compile;

/// Checks it.
pub fn holds(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let Err(faults) = compile("x", "x.yaml", text) else { return };
    assert!(!faults.is_empty());
    // YAML has more line breaks than Unix.
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 1;
    for fault in faults {
        assert!((1..=lines).contains(&fault.line) && fault.column >= 1, "{fault:?}");
        assert!(!fault.what.is_empty());
        assert!(!fault.snippet.chars().any(|c| c.is_control() && c != '\n'), "{:?}", fault.snippet);
    }
}
