//! Finding and typing one node of a YAML text by its path, with the exact place of whatever is wrong.
//!
//! serde_yaml tells places only in errors, and only of the first. So each question is one pass over the text that is
//! interested in a single node: to type it ([`typed`]), to list its keys ([`keys`]), or to stumble over it on purpose and
//! learn where it stands ([`place`]). A pass over the longest lesson takes milliseconds, and only faulty ones need many.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::with::singleton_map_recursive;

/// One step on the way from the top of the text to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The value of a key.
    Key(String),
    /// An element of a list.
    Index(usize),
    /// The key itself, in its occurrence of this number (from 0): only last in a path.
    AtKey(String, usize),
}

/// The way to a node.
pub type Path = Vec<Segment>;

/// The path with one more segment.
pub fn join(path: &[Segment], segment: Segment) -> Path {
    let mut longer = path.to_vec();
    longer.push(segment);
    longer
}

/// The node as a `T`; none where the path leads nowhere.
///
/// # Errors
/// What serde_yaml says of the node, with its place.
pub fn typed<T: for<'de> Deserialize<'de>>(text: &str, path: &[Segment]) -> Result<Option<T>, serde_yaml::Error> {
    pick(text, path, Typed(PhantomData))
}

/// The keys of a mapping in their order, repeated ones included; none where the node is something else.
pub fn keys(text: &str, path: &[Segment]) -> Option<Vec<String>> {
    pick(text, path, Keys).ok().flatten().flatten()
}

/// How many elements a list has; none where the node is something else.
pub fn length(text: &str, path: &[Segment]) -> Option<usize> {
    pick(text, path, Length).ok().flatten().flatten()
}

/// Line and column, from 1, of the node; of the nearest one above it where the path leads nowhere.
pub fn place(text: &str, path: &[Segment]) -> (usize, usize) {
    let found = pick(text, path, Stumble).err().and_then(|error| error.location());
    match (found, path.split_last()) {
        (Some(at), _) => (at.line(), at.column()),
        (None, Some((_, above))) => place(text, above),
        (None, None) => (1, 1),
    }
}

fn pick<S: for<'de> DeserializeSeed<'de, Value = V>, V>(
    text: &str,
    path: &[Segment],
    seed: S,
) -> Result<Option<V>, serde_yaml::Error> {
    Pick { path, seed: Some(seed) }.deserialize(serde_yaml::Deserializer::from_str(text))
}

struct Pick<'p, S> {
    path: &'p [Segment],
    seed: Option<S>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Pick<'_, S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<Self::Value, D::Error> {
        match (self.path.is_empty(), self.seed.take()) {
            (true, Some(seed)) => seed.deserialize(deserializer).map(Some),
            (_, seed) => deserializer.deserialize_any(Pick { path: self.path, seed }),
        }
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Pick<'_, S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut seen = 0;
        loop {
            let stumble_at = match self.path.first() {
                Some(Segment::AtKey(name, occurrence)) => Some((name.as_str(), occurrence - seen)),
                _ => None,
            };
            let Some(key) = map.next_key_seed(KeySeed { stumble_at })? else { return Ok(found) };
            match self.path.first() {
                Some(Segment::Key(wanted)) if *wanted == key && self.seed.is_some() => {
                    found = map.next_value_seed(Pick { path: &self.path[1..], seed: self.seed.take() })?;
                }
                Some(Segment::AtKey(wanted, _)) if *wanted == key => {
                    seen += 1;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        for index in 0.. {
            if self.path.first() == Some(&Segment::Index(index)) {
                match list.next_element_seed(Pick { path: &self.path[1..], seed: self.seed.take() })? {
                    Some(value) => found = value,
                    None => break,
                }
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A key; with `stumble_at`, fails at the key of that name once so many others of that name have gone by.
struct KeySeed<'p> {
    stumble_at: Option<(&'p str, usize)>,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<String, E> {
        if self.stumble_at == Some((key, 0)) {
            return Err(E::custom("here"));
        }
        Ok(key.to_owned())
    }
}

struct Typed<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Typed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        singleton_map_recursive::deserialize(deserializer)
    }
}

struct Keys;

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = Option<Vec<String>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys {
    type Value = Option<Vec<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut keys = Vec::new();
        while let Some(key) = map.next_key_seed(KeySeed { stumble_at: None })? {
            keys.push(key);
            map.next_value::<IgnoredAny>()?;
        }
        Ok(Some(keys))
    }
}

struct Length;

impl<'de> DeserializeSeed<'de> for Length {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Length {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut length = 0;
        while list.next_element::<IgnoredAny>()?.is_some() {
            length += 1;
        }
        Ok(Some(length))
    }
}

/// Fails wherever it is applied, so that the error tells the place.
struct Stumble;

impl<'de> DeserializeSeed<'de> for Stumble {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)?;
        Err(D::Error::custom("here"))
    }
}

impl Visitor<'_> for Stumble {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TEXT: &str = "a: 1\nlist:\n  - x: one\n    y: two\n  - x: three\n    x: four\n    é: five\n";

    fn key(name: &str) -> Segment {
        Segment::Key(name.to_owned())
    }

    #[test]
    fn nodes_are_found_with_their_place() {
        let second = [key("list"), Segment::Index(1)];
        assert_eq!(place(TEXT, &[key("a")]), (1, 4));
        assert_eq!(place(TEXT, &second), (5, 5));
        assert_eq!(place(TEXT, &join(&second, Segment::AtKey("x".into(), 1))), (6, 5));
        assert_eq!(place(TEXT, &join(&second, key("é"))), (7, 8));
        assert_eq!(keys(TEXT, &second).unwrap(), ["x", "x", "é"]);
        assert_eq!(length(TEXT, &[key("list")]), Some(2));
        assert_eq!(typed::<u8>(TEXT, &[key("a")]).unwrap(), Some(1));
        assert!(typed::<u8>(TEXT, &join(&second, key("é"))).is_err());
    }

    #[test]
    fn a_path_to_nowhere_gives_the_nearest_node_above() {
        assert_eq!(place(TEXT, &[key("list"), Segment::Index(0), key("z")]), (3, 5));
        assert_eq!(place(TEXT, &[key("nothing")]), (1, 1));
        assert_eq!(typed::<u8>(TEXT, &[key("nothing")]).unwrap(), None);
    }
}
