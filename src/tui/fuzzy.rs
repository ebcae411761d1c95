//! How well a text fits what was typed, letter by letter.

/// What a letter is worth that follows the one before it, or begins a word.
const NEXT: u32 = 8;
const START: u32 = 6;

/// Whether all letters of the query stand in the text in their order, and how well: letters that follow each other, or begin
/// a word, count more. Spaces of the query do not count. No query fits everything alike.
pub fn score(query: &str, text: &str) -> Option<u32> {
    let wanted: Vec<char> = query.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
    let Some(first) = wanted.first() else { return Some(0) };
    let letters: Vec<char> = text.to_lowercase().chars().collect();
    let starts = (0..letters.len()).filter(|at| letters[*at] == *first);
    starts.filter_map(|start| from(start, &wanted, &letters)).max()
}

/// The score where the first letter is this one.
fn from(start: usize, wanted: &[char], letters: &[char]) -> Option<u32> {
    let mut score = 0;
    let mut next = start;
    for (index, letter) in wanted.iter().enumerate() {
        let at = next + letters[next..].iter().position(|it| it == letter)?;
        score += 1;
        if index > 0 && at == next {
            score += NEXT;
        }
        if at == 0 || !letters[at - 1].is_alphanumeric() {
            score += START;
        }
        next = at + 1;
    }
    // Of two that fit alike the shorter one is meant.
    Some(score * 16 + 15_u32.saturating_sub(u32::try_from(letters.len() - wanted.len()).unwrap_or(15)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best<'t>(query: &str, texts: &[&'t str]) -> Option<&'t str> {
        let scored = texts.iter().filter_map(|text| score(query, text).map(|score| (score, *text)));
        scored.max_by_key(|(score, _)| *score).map(|(_, text)| text)
    }

    #[test]
    fn letters_that_belong_together_win() {
        let names = ["next", "next pane", "new shell", "notes", "shell", "presenter", "before and after"];
        assert_eq!(best("next", &names), Some("next"));
        assert_eq!(best("np", &names), Some("next pane"));
        assert_eq!(best("nsh", &names), Some("new shell"));
        assert_eq!(best("SHELL", &names), Some("shell"));
        assert_eq!(best("before", &names), Some("before and after"));
        assert_eq!(best("xyz", &names), None);
        assert_eq!(score("", "anything"), Some(0));
        assert!(score("äö", "ÄÖ").is_some());
    }
}
