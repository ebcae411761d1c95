//! The next page of a list, which a `Link` header names (RFC 8288, section 3).

/// The longest header that is read, in bytes.
const MAX_LENGTH: usize = 8192;

/// The target with `rel=next`: `<URL>; rel="next"`, alone or among others.
pub(super) fn next(header: &str) -> Option<&str> {
    let mut rest = header.get(..header.len().min(MAX_LENGTH))?;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, after) = after.split_once('>')?;
        // A comma within a quoted parameter only ends the search for it too early.
        let (parameters, others) = after.split_once(',').unwrap_or((after, ""));
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim().trim_matches('"');
            (name.trim().eq_ignore_ascii_case("rel") && value.split(' ').any(|word| word.eq_ignore_ascii_case("next")))
                .then_some(())
        };
        if parameters.split(';').any(|parameter| is_next(parameter).is_some()) {
            return Some(target);
        }
        rest = others;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(next(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#), Some("/v2/a/tags/list?last=b&n=2"));
        assert_eq!(next("<x>; title=a; REL=Next"), Some("x"));
        assert_eq!(next(r#"<a,b>; rel="prev", <c>; rel="last next""#), Some("c"));
        for none in ["", "<x>", "<x", r#"<x>; rel="prev""#, "x; rel=next"] {
            assert_eq!(next(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(header in r#"(<|>|,|;|rel=|next|"|é|.){0,40}"#) {
            let _ = next(&header);
        }
    }
}
