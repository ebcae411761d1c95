//! Any bytes are a network configuration, or a result, or an error of a plugin, or are refused in words that can be shown. What was understood can
//! be written and is understood again.

use hardway::cni::config::{Added, MAX_PLUGINS, NetworkList};
use hardway::cni::error::ErrorObject;
use hardway::cni::json::Object;
use hardway::cni::result::AddResult;
use hardway::cni::version::Version;

/// Checks all of it; whether it was one.
pub fn holds(bytes: &[u8]) -> bool {
    let (list, result, error) = (is_list(bytes), is_result(bytes), ErrorObject::parse(bytes));
    if let Some(error) = &error {
        can_be_shown(&error.sentence());
    }
    list || result || error.is_some()
}

fn is_list(bytes: &[u8]) -> bool {
    let list = match NetworkList::parse(bytes, "x") {
        Ok(list) => list,
        Err(explanation) => {
            assert!(!explanation.why.is_empty() && !explanation.fix.is_empty(), "{explanation:?}");
            can_be_shown(&explanation.why);
            return false;
        }
    };
    assert!(list.plugins.len() <= MAX_PLUGINS);
    for plugin in &list.plugins {
        let request = Object::parse(list.request(plugin, &Added::default()).as_bytes()).expect("a JSON object");
        assert_eq!(request.get("type"), Ok(Some(plugin.kind.clone())));
        assert_eq!(request.get("name"), Ok(Some(list.name.clone())));
        assert!(request.keys().all(|key| key != "capabilities" && !key.starts_with("cni.dev/")));
    }
    if !list.plugins.is_empty() {
        let again = NetworkList::parse(list.to_text().as_bytes(), "x").expect("it was written so");
        assert_eq!(again.to_text(), list.to_text());
    }
    true
}

fn is_result(bytes: &[u8]) -> bool {
    let Ok(result) = AddResult::parse(bytes, Version::V1_1_0) else { return false };
    for version in Version::ALL {
        let other = result.clone().in_version(version);
        let text = serde_json::to_vec(&other).expect("it can be written");
        assert_eq!(AddResult::parse(&text, version), Ok(other));
    }
    true
}

fn can_be_shown(text: &str) {
    assert!(text.len() < 8000 && !text.chars().any(char::is_control), "{text:?}");
}
