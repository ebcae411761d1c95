//! Just enough of Rust's syntax to find the paths in a source file: tokens without comments and literals, `use` trees, and
//! the items that only tests see.

/// A file as the rules see it.
#[derive(Debug, Default)]
pub struct Source {
    /// Every path that the file names outside of tests, as written, with its line: `["crate", "kernel", "errno"]`.
    pub paths: Vec<(usize, Vec<String>)>,
    /// Modules that are declared for tests only: `#[cfg(test)] mod tests;` is in another file.
    pub test_modules: Vec<String>,
    /// Lines that are not inside a test-only item.
    pub lines: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// An identifier or number.
    Word(String),
    /// `::`
    Path,
    /// Any other character that is no space.
    Sign(char),
}

impl Source {
    /// Reads a file. Never fails: what is no Rust gives no paths.
    pub fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let mut source = Self { lines: text.lines().count(), ..Self::default() };
        let mut at = 0;
        while at < tokens.len() {
            if is_test_file(&tokens[at..]) {
                return Self::default();
            }
            if let Some(length) = test_item(&tokens[at..]) {
                let item = &tokens[at..at + length];
                source.lines -= item.last().map_or(0, |last| last.0) - item[0].0 + 1;
                source.test_modules.extend(module_elsewhere(item));
                at += length;
                continue;
            }
            let (line, token) = &tokens[at];
            let before = at.checked_sub(1).map(|before| &tokens[before].1);
            let begins = !matches!(before, Some(Token::Path | Token::Sign('.')));
            let end = match token {
                Token::Word(word) if word == "use" => tree(&tokens, at + 1, *line, &[], &mut source.paths),
                Token::Word(_) if begins && tokens.get(at + 1).is_some_and(|next| next.1 == Token::Path) => {
                    tree(&tokens, at, *line, &[], &mut source.paths)
                }
                _ => at + 1,
            };
            at = end.max(at + 1);
        }
        source
    }
}

/// Reads a `use` tree, or a plain path, which is the simplest tree; returns where it ends.
fn tree(
    tokens: &[(usize, Token)],
    mut at: usize,
    line: usize,
    prefix: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at).map(|token| &token.1) {
            // `use ::name` is the crate of that name.
            Some(Token::Path) => at += 1,
            Some(Token::Word(word)) => {
                path.push(word.clone());
                at += 1;
                if tokens.get(at).map(|token| &token.1) != Some(&Token::Path) {
                    break;
                }
            }
            Some(Token::Sign('{')) => {
                at += 1;
                while !matches!(tokens.get(at).map(|token| &token.1), None | Some(Token::Sign('}'))) {
                    let line = tokens[at].0;
                    let end = tree(tokens, at, line, &path, found);
                    at = end.max(at + 1);
                    // Up to the next branch: over commas and `as name`.
                    while !matches!(tokens.get(at).map(|token| &token.1), None | Some(Token::Sign('}' | ','))) {
                        at += 1;
                    }
                    if tokens.get(at).map(|token| &token.1) == Some(&Token::Sign(',')) {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some(Token::Sign(_)) | None => break,
        }
    }
    if path.len() > prefix.len() || !prefix.is_empty() {
        found.push((line, path));
    }
    at
}

/// `#![cfg(test)]`: the whole file is for tests.
fn is_test_file(tokens: &[(usize, Token)]) -> bool {
    starts_with(tokens, &["#", "!", "[", "cfg", "(", "test", ")", "]"])
}

/// The number of tokens of the item that begins here, when it stands under `#[cfg(test)]`.
fn test_item(tokens: &[(usize, Token)]) -> Option<usize> {
    if !starts_with(tokens, &["#", "[", "cfg", "(", "test", ")", "]"]) {
        return None;
    }
    let mut depth = 0_usize;
    // Behind the attribute: to the `;` or the closing brace of the item. Further attributes only nest.
    for (length, (_, token)) in tokens.iter().enumerate().skip(7) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign('}') if depth <= 1 => return Some(length + 1),
            Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Token::Sign(';') if depth == 0 => return Some(length + 1),
            _ => {}
        }
    }
    Some(tokens.len())
}

/// The name in `mod name;`.
fn module_elsewhere(item: &[(usize, Token)]) -> Option<String> {
    match item {
        [.., (_, Token::Word(keyword)), (_, Token::Word(name)), (_, Token::Sign(';'))] if keyword == "mod" => {
            Some(name.clone())
        }
        _ => None,
    }
}

fn starts_with(tokens: &[(usize, Token)], words: &[&str]) -> bool {
    tokens.len() >= words.len()
        && words.iter().zip(tokens).all(|(word, (_, token))| match token {
            Token::Word(text) => text == word,
            Token::Sign(sign) => word.chars().eq([*sign]),
            Token::Path => false,
        })
}

/// The tokens of a text with their lines, from 1; comments, strings, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = text.chars().collect();
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let start = at;
        match chars[at] {
            '/' if get(at + 1) == '/' => at = until(&chars, at, |it| it == '\n'),
            '/' if get(at + 1) == '*' => at = block_comment(&chars, at),
            '"' => at = string(&chars, at),
            // A character, or else a lifetime: only its name is left over, which begins no path.
            '\'' if get(at + 1) == '\\' => at = until(&chars, at + 3, |it| it == '\'') + 1,
            '\'' if get(at + 2) == '\'' => at += 3,
            ':' if get(at + 1) == ':' => {
                tokens.push((line, Token::Path));
                at += 2;
            }
            it if it.is_alphanumeric() || it == '_' => {
                at = until(&chars, at, |it| !it.is_alphanumeric() && it != '_');
                let word: String = chars[start..at].iter().collect();
                let hashes = chars[at..].iter().take_while(|it| **it == '#').count();
                if ["r", "br", "cr"].contains(&word.as_str()) && get(at + hashes) == '"' {
                    at = raw_string(&chars, at + hashes + 1, hashes);
                } else {
                    tokens.push((line, Token::Word(word)));
                }
            }
            it => {
                if !it.is_whitespace() {
                    tokens.push((line, Token::Sign(it)));
                }
                at += 1;
            }
        }
        at = at.min(chars.len());
        line += chars[start..at].iter().filter(|it| **it == '\n').count();
    }
    tokens
}

fn until(chars: &[char], from: usize, end: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|at| end(chars[*at])).unwrap_or(chars.len())
}

fn string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_string(chars: &[char], from: usize, hashes: usize) -> usize {
    let ends = |at: usize| chars[at] == '"' && chars[at + 1..].iter().take_while(|it| **it == '#').count() >= hashes;
    (from..chars.len()).find(|at| ends(*at)).map_or(chars.len(), |at| at + 1 + hashes)
}

fn block_comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    while at < chars.len() {
        match chars.get(at..at + 2) {
            Some(['/', '*']) => (depth, at) = (depth + 1, at + 2),
            Some(['*', '/']) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}
