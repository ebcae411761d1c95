//! Requests attribute by attribute, for what the builders of rtnetlink lack. Each attribute is told as it is put in: what the trace says of
//! a request is made together with it.

use rtnetlink::packet_core::NetlinkSerializable;

use super::{NLM_F_ACK, NLM_F_REQUEST, Netlink};
use crate::kernel::trace::{CallError, Trace};

/// A request: its kind, the structure with which it begins, and attributes.
pub(super) struct Raw {
    name: &'static str,
    kind: u16,
    body: Vec<u8>,
    words: Vec<String>,
}

/// Attributes one after the other (netlink(7), `struct nlattr`).
#[derive(Default)]
pub(super) struct Attributes {
    body: Vec<u8>,
    words: Vec<String>,
}

impl Attributes {
    /// One of any bytes, told as `shown`.
    pub(super) fn bytes(mut self, kind: u16, name: &str, value: &[u8], shown: &str) -> Self {
        self.words.push(format!("{name}={shown}"));
        self.put(kind, value);
        self
    }

    /// A text, with the NUL that the kernel wants behind it.
    pub(super) fn text(self, kind: u16, name: &str, value: &str) -> Self {
        let bytes: Vec<u8> = value.bytes().chain([0]).collect();
        self.bytes(kind, name, &bytes, &format!("{value:?}"))
    }

    /// A number of 32 bits, in the machine's order.
    pub(super) fn number(self, kind: u16, name: &str, value: u32) -> Self {
        self.bytes(kind, name, &value.to_ne_bytes(), &value.to_string())
    }

    /// The same, where there is one.
    pub(super) fn number_if(self, kind: u16, name: &str, value: Option<u32>) -> Self {
        match value {
            Some(value) => self.number(kind, name, value),
            None => self,
        }
    }

    /// Attributes within one, behind a structure that may be empty.
    pub(super) fn nest(mut self, kind: u16, name: &str, header: &[u8], inner: Self) -> Self {
        self.words.push(format!("{name}={{{}}}", inner.words.join(", ")));
        self.put(kind, &[header, &inner.body].concat());
        self
    }

    fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.body.extend(length.to_ne_bytes());
        self.body.extend(kind.to_ne_bytes());
        self.body.extend(value);
        // The next one begins at a multiple of four (NLA_ALIGN).
        self.body.resize(self.body.len().next_multiple_of(4), 0);
    }
}

impl Raw {
    /// A request of a kind (`RTM_…`), with its structure, what of that is told, and its attributes.
    pub(super) fn new(
        name: &'static str,
        kind: u16,
        header: &[u8],
        told: impl Into<Vec<String>>,
        attributes: Attributes,
    ) -> Self {
        let body = [header, &attributes.body].concat();
        let words = told.into().into_iter().chain(attributes.words).collect();
        Self { name, kind, body, words }
    }
}

impl NetlinkSerializable for Raw {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..self.body.len()].copy_from_slice(&self.body);
    }
}

impl Netlink {
    /// Sends a request that changes something, and waits for the kernel's word on it.
    pub(super) fn change_raw(&mut self, trace: &mut Trace, raw: Raw, flags: u16) -> Result<(), CallError> {
        let (name, words) = (raw.name, raw.words.clone());
        let send = || self.exchange(raw, NLM_F_REQUEST | NLM_F_ACK | flags, |_| {}).map(|()| 0);
        trace.call(name, words, send).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_told() {
        let inner = Attributes::default().text(1, "KIND", "a\n");
        let raw =
            Raw::new("RTM_X", 16, &[9; 4], ["h=1".to_owned()], Attributes::default().nest(2, "IN", &[7; 4], inner));
        assert_eq!(raw.words, ["h=1", "IN={KIND=\"a\\n\"}"]);
        let expected: Vec<u8> = [
            vec![9; 4],
            16_u16.to_ne_bytes().to_vec(),
            2_u16.to_ne_bytes().to_vec(),
            vec![7; 4],
            7_u16.to_ne_bytes().to_vec(),
            1_u16.to_ne_bytes().to_vec(),
            b"a\n\0\0".to_vec(),
        ]
        .concat();
        let mut buffer = vec![0; raw.buffer_len()];
        raw.serialize(&mut buffer);
        assert_eq!(buffer, expected);
    }
}
