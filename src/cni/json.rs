//! A JSON object of which only a few keys are understood, and the others are passed on as they were written.
//!
//! A plugin's configuration has keys that only the plugin knows, and the specification wants them unchanged (section 3, deriving
//! request configuration). So values are kept as text (`RawValue`): their order, spaces and digits stay. serde_json's
//! `preserve_order` would keep the order alone, and turn it in everything else that hardway writes as JSON.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Keys and the text of their values, in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub struct Object(Vec<(String, Box<RawValue>)>);

impl Object {
    /// Reads one.
    ///
    /// # Errors
    /// What is no JSON or no object; a key that is there twice, since readers differ in which of the two they take.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The text of a value; none where the key is missing.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value.get())
    }

    /// A value; none where the key is missing.
    ///
    /// # Errors
    /// A value of another type, as a sentence with the key.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, String> {
        let Some(text) = self.text(key) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|error| {
            // Line and column would be those within the value.
            let words = error.to_string();
            let words = words.split(" at line ").next().unwrap_or_default();
            format!("`{key}` has a value that does not fit: {}", words.escape_debug())
        })
    }

    /// Puts a value in the place of the one that is there, or at the end. What JSON can not express (an object whose keys are no texts) is
    /// `null`.
    pub fn set(&mut self, key: &str, value: &impl Serialize) {
        let value = serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned());
        match self.0.iter_mut().find(|(own, _)| own == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Takes keys away.
    pub fn remove(&mut self, mut which: impl FnMut(&str) -> bool) {
        self.0.retain(|(key, _)| !which(key));
    }

    /// Puts another one's keys behind its own. The caller sees to it that none is there already.
    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }

    /// As text in one line, but for what values have of their own.
    pub fn to_text(&self) -> String {
        // Strings and texts that were JSON are JSON again.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let (mut pairs, mut seen) = (Vec::new(), HashSet::new());
                while let Some(key) = map.next_key::<String>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format!("the key `{}` is there twice", key.escape_debug())));
                    }
                    pairs.push((key, map.next_value()?));
                }
                Ok(Object(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_not_understood_stays_as_it_was() {
        let text = r#"{"z": 1.10, "type":"x","a":{"y":2,  "b":18446744073709551616000}, "é\n":[ ]}"#;
        let mut object = Object::parse(text.as_bytes()).unwrap();
        assert_eq!(object.keys().collect::<Vec<_>>(), ["z", "type", "a", "é\n"]);
        assert_eq!(object.text("z"), Some("1.10"));
        object.set("type", &"y");
        object.set("new", &[1, 2]);
        object.remove(|key| key.starts_with('é'));
        assert_eq!(object.to_text(), r#"{"z":1.10,"type":"y","a":{"y":2,  "b":18446744073709551616000},"new":[1,2]}"#);
        assert_eq!(object.get::<String>("type"), Ok(Some("y".to_owned())));
        assert_eq!(object.get::<String>("none"), Ok(None));
        let wrong = object.get::<bool>("type").unwrap_err();
        assert!(wrong.starts_with("`type` has a value that does not fit: invalid type: string"), "{wrong}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "3", "{", "{\"a\":}", "{\"a\":1}x", "{\"a\":1,\"\\u0061\":2}"] {
            assert!(Object::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_err());
        // As deep as anybody likes: it is not entered.
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Object::parse(deep.as_bytes()).unwrap().to_text(), deep);
    }
}
