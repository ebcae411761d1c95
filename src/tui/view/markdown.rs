//! Markdown of lessons as lines of the theme.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use tui_markdown::{AlertKind, Options, StyleSheet};

use crate::tui::doc::{Doc, Target, clean};
use crate::tui::theme::Theme;

#[derive(Clone, Debug)]
struct Sheet(Theme);

impl StyleSheet for Sheet {
    fn heading(&self, _: u8) -> Style {
        self.0.heading
    }
    fn heading_marker(&self, _: u8) -> &str {
        ""
    }
    fn code(&self) -> Style {
        self.0.code
    }
    fn code_block_fence(&self) -> &str {
        "```"
    }
    fn link(&self) -> Style {
        self.0.focus
    }
    fn blockquote(&self) -> Style {
        self.0.dim
    }
    fn list_marker(&self) -> Style {
        self.0.focus
    }
    fn table_header(&self) -> Style {
        self.0.strong
    }
    fn table_border(&self) -> Style {
        self.0.border
    }
    fn alert(&self, _: AlertKind) -> Style {
        self.0.warn
    }
    fn alert_icon(&self, _: AlertKind) -> &str {
        ""
    }
}

/// Adds a text to a document. Code blocks are indented and keep their lines; list items hang.
pub(super) fn add(doc: &mut Doc, text: &str, theme: &Theme) {
    // Line by line, because a line's end is the one control character that Markdown needs.
    let text = text.lines().map(|line| addresses(&clean(line))).collect::<Vec<_>>().join("\n");
    let width = u16::try_from(doc.width).unwrap_or(u16::MAX);
    let options = Options::new(Sheet(*theme)).table_width(width);
    let mut in_code = false;
    for line in tui_markdown::from_str_with_options(&text, &options).lines {
        let plain: String = line.spans.iter().map(|span| span.content.as_ref()).collect();
        if plain.starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            // What stands behind a prompt is a command, and a click types it.
            let command = plain.strip_prefix("$ ").map(|line| Target::Type(line.to_owned()));
            let style = if command.is_some() { theme.shell } else { theme.code };
            doc.wrap(&Line::from(vec![Span::raw("  "), Span::styled(plain, style)]), 4, command);
        } else if plain == "---" {
            doc.lines.push((Line::styled("─".repeat(doc.width), theme.border), None));
        } else if plain.starts_with(['┌', '├', '│', '└']) {
            // A table was laid out for this width; one with too many columns for it is cut and not torn.
            doc.cut(owned(&line), None);
        } else {
            doc.wrap(&line, hang(&plain), None);
        }
    }
}

/// The line with text of its own.
fn owned(line: &Line<'_>) -> Line<'static> {
    let spans = line.spans.iter().map(|span| Span::styled(span.content.to_string(), span.style));
    Line::from(spans.collect::<Vec<_>>()).style(line.style)
}

/// Addresses in angle brackets as they are: as links they would be shown twice, as text and as target.
fn addresses(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("<http") {
        let Some((address, behind)) = after.split_once('>').filter(|(address, _)| !address.contains(' ')) else {
            break;
        };
        out.push_str(&format!("{before}http{address}"));
        rest = behind;
    }
    out + rest
}

/// One sentence with `code` and **weight** in it, on a ground of one style.
pub(super) fn inline(text: &str, ground: Style, theme: &Theme) -> Vec<Span<'static>> {
    let text = text.split_whitespace().map(clean).collect::<Vec<_>>().join(" ");
    let mut spans = Vec::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            spans.push(Span::styled(part.to_owned(), ground.patch(theme.code)));
            continue;
        }
        for (index, part) in part.split("**").enumerate().filter(|(_, part)| !part.is_empty()) {
            let style = if index % 2 == 1 { ground.patch(theme.strong) } else { ground };
            spans.push(Span::styled(part.to_owned(), style));
        }
    }
    spans
}

/// How far the continuation of a list item is indented.
fn hang(line: &str) -> usize {
    let indent = line.len() - line.trim_start().len();
    let rest = line.trim_start();
    let marker = rest.split(' ').next().unwrap_or_default();
    let digits = marker.trim_end_matches(['.', ')']);
    let ordered = digits.len() < marker.len() && !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    if matches!(marker, "-" | "*" | "+" | "•") || ordered { indent + marker.chars().count() + 1 } else { indent }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Some *slant*, **weight**, `code`, [a page](https://example.org/x) and <https://example.org/y>.

| left | right | centre | 広い |
|:--|--:|:-:|--|
| a | 1 | `x` | 漢字の名前 |
| a long cell that has to be broken into some lines | 22 | **b** | e\u{301} |

1. one
2. two, with more words than fit into a line of so few columns
   - nested

> said

```sh
$ ls -l
```

---
";

    fn lines(text: &str, columns: u16) -> Vec<String> {
        let mut doc = Doc::new(columns);
        add(&mut doc, text, &Theme::mono());
        assert!(doc.lines.iter().all(|(line, _)| line.width() <= usize::from(columns)), "too wide for {columns}");
        doc.lines.iter().map(|(line, _)| line.to_string()).collect()
    }

    #[test]
    fn everything_fits_and_keeps_its_shape() {
        insta::assert_snapshot!("markdown_76", lines(TEXT, 76).join("\n"));
        insta::assert_snapshot!("markdown_40", lines(TEXT, 40).join("\n"));
    }

    #[test]
    fn a_table_with_too_many_columns_is_cut() {
        let row = "| aaaa ".repeat(30) + "|";
        let table = format!("{row}\n{}|\n{row}", "|--".repeat(30));
        for columns in [20, 40, 78] {
            lines(&table, columns);
        }
    }
}
