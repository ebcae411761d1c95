//! The records of a PAX extended header: `LENGTH KEYWORD=VALUE\n`, where the length is of all of that (POSIX.1-2024, pax, "pax Extended Header").
//!
//! The length is what separates them, and nothing else: a value may hold a newline, and what follows it must not be taken for a record.

use std::str;

use rustix::fs::Timespec;

/// Keyword and value.
pub(super) type Record<'a> = (&'a [u8], &'a [u8]);

/// The records, in their order; of those with the same keyword, the last counts.
pub(super) fn records(mut bytes: &[u8]) -> Option<Vec<Record<'_>>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
        let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
        let (record, rest) = bytes.split_at_checked(length)?;
        let (b'\n', text) = record.get(space + 1..)?.split_last()? else { return None };
        let equals = text.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
        records.push((&text[..equals], &text[equals + 1..]));
        bytes = rest;
    }
    Some(records)
}

/// A number of digits and nothing else, no larger than the kernel's sizes and times.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|number| i64::try_from(*number).is_ok())
}

/// Seconds since 1970, with a fraction or without; before 1970 with a sign.
pub(super) fn time(text: &[u8]) -> Option<Timespec> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // What is finer than a nanosecond is cut off.
    let digits = fraction.iter().map(|digit| i64::from(digit - b'0')).chain(std::iter::repeat(0));
    let nanoseconds = digits.take(9).fold(0, |sum, digit| sum * 10 + digit);
    Some(match (negative, nanoseconds) {
        (false, _) => Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
        (true, 0) => Timespec { tv_sec: -seconds, tv_nsec: 0 },
        // The kernel counts nanoseconds forwards.
        (true, _) => Timespec { tv_sec: -seconds - 1, tv_nsec: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newline_in_a_value_begins_no_record() {
        let found = records(b"21 a=x\n12 size=99999\n8 b=1=2\n").expect("two records");
        assert_eq!(found, [(&b"a"[..], &b"x\n12 size=99999"[..]), (b"b", b"1=2")]);
        assert_eq!(records(b""), Some(vec![]));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in [
            "5 a=b",
            "7 a=b\n",
            "5 ab\n",
            "5 =b\n",
            "+6 a=b\n",
            "0 \n",
            "1 \n",
            "99999999999999999999 a=b\n",
            " 6 a=b\n",
        ] {
            assert_eq!(records(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn times_have_fractions_and_signs() {
        for (text, seconds, nanoseconds) in [
            ("0", 0, 0),
            ("1.5", 1, 500_000_000),
            ("-1.5", -2, 500_000_000),
            ("-1", -1, 0),
            ("4102444800.123456789123", 4_102_444_800, 123_456_789),
        ] {
            let found = time(text.as_bytes()).expect("a time");
            assert_eq!((found.tv_sec, found.tv_nsec), (seconds, nanoseconds), "{text}");
        }
        for text in ["", "-", "1.x", "1e5", "99999999999999999999", "--1"] {
            assert!(time(text.as_bytes()).is_none(), "{text:?}");
        }
    }
}
