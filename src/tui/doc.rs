//! Documents: what a scrolling pane shows, as lines that know what a click or a selection on them means.

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

/// What a line stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A command that can be typed into the shell.
    Type(String),
    /// Rows of the state, as indices into `View::rows`, with the columns at which each begins where that matters.
    Rows(Vec<(u16, usize)>),
    /// Changes: indices into the shown list of them.
    Changes(Vec<usize>),
    /// What stands beside each other in one line, with the column at which each begins.
    Beside(Vec<(u16, Target)>),
    /// What is folded away.
    Unfold,
    /// A choice of the prediction.
    Choice(usize),
    /// The line where the answer is written.
    Answer,
    /// A step.
    Step(usize),
    /// A lesson of the course.
    Lesson(usize),
    /// The words of the glossary.
    Words,
}

/// Lines and what they stand for.
#[derive(Clone, Debug, Default)]
pub struct Doc {
    /// The lines, already wrapped.
    pub lines: Vec<(Line<'static>, Option<Target>)>,
    /// How wide they may be.
    pub width: usize,
}

impl Doc {
    /// An empty document for this many columns.
    pub fn new(width: u16) -> Self {
        Self { lines: Vec::new(), width: usize::from(width).max(8) }
    }

    /// How many lines.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// An empty line, but never two in a row nor one at the start.
    pub fn gap(&mut self) {
        if self.lines.last().is_some_and(|(line, _)| line.width() > 0) {
            self.lines.push((Line::default(), None));
        }
    }

    /// A line, wrapped; continuations are indented by `hang`.
    pub fn wrap(&mut self, line: &Line<'_>, hang: usize, target: Option<Target>) {
        self.lines.extend(wrap(line, self.width, hang).into_iter().zip(std::iter::repeat(target)));
    }

    /// A line, cut at the right where it is too long.
    pub fn cut(&mut self, line: Line<'static>, target: Option<Target>) {
        let width = self.width;
        self.lines.push((truncate(line, width), target));
    }

    /// Plain text of one style, wrapped.
    pub fn text(&mut self, text: &str, style: Style) {
        for line in text.lines() {
            self.wrap(&Line::styled(clean(line), style), 0, None);
        }
    }

    /// A heading with a rule to the right edge.
    pub fn heading(&mut self, title: &str, style: Style, rule: Style) {
        self.heading_with(title, Span::raw(""), style, rule);
    }

    /// A heading with a rule and a word at its end.
    pub fn heading_with(&mut self, title: &str, aside: Span<'static>, style: Style, rule: Style) {
        self.gap();
        let aside = if aside.width() + width(title) + 6 > self.width { Span::raw("") } else { aside };
        let taken = width(title) + 1 + if aside.width() > 0 { aside.width() + 1 } else { 0 };
        let mut spans = vec![
            Span::styled(clean(title), style),
            Span::styled(format!(" {}", "─".repeat(self.width.saturating_sub(taken))), rule),
        ];
        if aside.width() > 0 {
            spans.extend([Span::raw(" "), aside]);
        }
        self.lines.push((Line::from(spans), None));
    }
}

/// Text without characters that would act on the terminal or hide: control characters become their pictures; marks that
/// reverse the direction of writing, and those that have no width and join or separate others, a replacement character. What
/// only asks for a picture in colour goes: terminals do not agree how wide that is.
pub fn clean(text: &str) -> String {
    if plain(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{fe00}'..='\u{fe0f}' => {}
            '\0'..='\x1f' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\x7f' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{feff}' => {
                out.push('\u{fffd}');
            }
            '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' => out.push('\u{fffd}'),
            // Lam and alef would be written as one letter, but drawn as two: they are kept apart.
            '\u{622}' | '\u{623}' | '\u{625}' | '\u{627}' if out.ends_with('\u{644}') => out.extend(['\u{200c}', c]),
            other => out.push(other),
        }
    }
    out
}

/// Whether a text is of characters that take one column and do nothing. Nearly all are, and are quick to lay out.
fn plain(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    if plain(text) {
        return text.len();
    }
    letters(text).map(UnicodeWidthStr::width).sum()
}

/// What a reader takes for one letter each, as the screen draws it: a letter with its accents, a picture with its colour.
fn letters(text: &str) -> impl Iterator<Item = &str> {
    text.graphemes(true)
}

/// A text in exactly this many columns: cut with `…` or filled with spaces.
pub fn fit(text: &str, columns: usize) -> String {
    if text.len() <= columns && plain(text) {
        return format!("{text:<columns$}");
    }
    let mut out = cut(text, columns);
    let have = width(&out);
    out.extend(std::iter::repeat_n(' ', columns.saturating_sub(have)));
    out
}

/// A text in at most this many columns, cut with `…`.
pub fn cut(text: &str, columns: usize) -> String {
    let text = clean(text);
    if width(&text) <= columns {
        return text;
    }
    let mut out = String::new();
    let mut used = 0;
    for letter in letters(&text) {
        let w = letter.width();
        if used + w + 1 > columns {
            break;
        }
        used += w;
        out.push_str(letter);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// A line in at most this many columns.
pub fn truncate(line: Line<'static>, columns: usize) -> Line<'static> {
    let size = |span: &Span<'_>| width(&span.content);
    if line.spans.iter().map(size).sum::<usize>() <= columns {
        return line;
    }
    let mut left = columns;
    let mut spans = Vec::new();
    for span in line.spans {
        let w = size(&span);
        if w < left {
            left -= w;
            spans.push(span);
        } else {
            // Something is cut, here or in a later span, and `…` must say so.
            let text = format!("{}{}", span.content, "…");
            spans.push(Span::styled(cut(&text, left), span.style));
            break;
        }
    }
    Line::from(spans).style(line.style)
}

/// Breaks a styled line at spaces into lines of at most `columns`, those after the first indented by `hang`.
pub fn wrap(line: &Line<'_>, columns: usize, hang: usize) -> Vec<Line<'static>> {
    if line.spans.iter().map(|span| width(&span.content)).sum::<usize>() <= columns {
        let own = |span: &Span<'_>| Span::styled(span.content.clone().into_owned(), line.style.patch(span.style));
        return vec![Line::from_iter(line.spans.iter().map(own)).style(line.style)];
    }
    let hang = hang.min(columns / 2);
    let cells: Vec<(&str, Style)> = line
        .spans
        .iter()
        .flat_map(|span| letters(&span.content).map(move |letter| (letter, line.style.patch(span.style))))
        .collect();
    let mut out = Vec::new();
    let mut start = 0;
    loop {
        let room = if out.is_empty() { columns } else { columns - hang };
        let end = break_at(&cells[start..], room) + start;
        let mut spans: Vec<Span<'static>> = Vec::new();
        if !out.is_empty() && hang > 0 {
            spans.push(Span::raw(" ".repeat(hang)));
        }
        spans.extend(gather(&cells[start..end]));
        out.push(Line::from(spans).style(line.style));
        start = end;
        while start < cells.len() && cells[start].0 == " " {
            start += 1;
        }
        if start >= cells.len() {
            return out;
        }
    }
}

/// How many cells fit into `room` columns, ending at a space where there is one.
fn break_at(cells: &[(&str, Style)], room: usize) -> usize {
    let mut used = 0;
    let mut last_space = None;
    for (index, (letter, _)) in cells.iter().enumerate() {
        let w = letter.width();
        if used + w > room {
            let indent = cells.iter().take_while(|(letter, _)| *letter == " ").count();
            return match last_space {
                _ if *letter == " " => index,
                // A very long word begins on this line all the same.
                Some(space) if space > indent && space * 4 > index => space,
                _ => index.max(1),
            };
        }
        if *letter == " " {
            last_space = Some(index);
        }
        used += w;
    }
    cells.len()
}

/// Joins neighbouring cells of one style into spans.
fn gather(cells: &[(&str, Style)]) -> Vec<Span<'static>> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (letter, style) in cells {
        match spans.last_mut() {
            Some(span) if span.style == *style => span.content.to_mut().push_str(letter),
            _ => spans.push(Span::styled((*letter).to_owned(), *style)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_at_spaces_with_a_hanging_indent() {
        let lines = wrap(&Line::from("- one two three four"), 10, 2);
        let texts: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["- one two", "  three", "  four"]);
        let wide: Vec<String> = wrap(&Line::from("漢字漢字"), 5, 0).iter().map(ToString::to_string).collect();
        assert_eq!(wide, ["漢字", "漢字"]);
        assert_eq!(wrap(&Line::default(), 10, 0).len(), 1);
        assert_eq!(wrap(&Line::from("abcdefghijkl"), 5, 0).len(), 3);
    }

    #[test]
    fn letters_of_every_script_keep_their_columns() {
        // Accents of their own, Hebrew, Arabic with a ligature, Hindi, wide signs, pictures, marks that turn around.
        let names = [
            "e\u{301}te\u{301}",
            "שלום",
            "لا إله",
            "हिन्दी",
            "名前です",
            "👩\u{200d}👧",
            "❤\u{fe0f} ok",
            "a\u{202e}b\u{61c}c\u{feff}",
        ];
        for name in names {
            let shown = clean(name);
            for columns in 1..12 {
                let cell = fit(&shown, columns);
                assert_eq!(width(&cell), columns, "{name:?} in {columns}: {cell:?}");
                assert_eq!(drawn_columns(&cell), columns, "{name:?}: {cell:?}");
            }
            for line in wrap(&Line::from(format!("{shown} {shown}")), 6, 0) {
                assert!(line.spans.iter().map(|span| width(&span.content)).sum::<usize>() <= 6, "{line}");
            }
        }
        assert!(!clean("a\u{202e}b\u{200b}").contains(['\u{202e}', '\u{200b}']));
    }

    /// How many columns the screen gives a text: where the mark behind it stands.
    fn drawn_columns(text: &str) -> usize {
        use ratatui::buffer::Buffer;
        use ratatui::layout::Rect;
        use ratatui::widgets::Widget;
        let area = Rect::new(0, 0, 40, 1);
        let mut buffer = Buffer::empty(area);
        Line::from(vec![Span::raw(text), Span::raw("|")]).render(area, &mut buffer);
        (0..area.width).rfind(|x| buffer[(*x, 0)].symbol() == "|").map_or(0, usize::from)
    }

    #[test]
    fn cuts_to_columns_and_shows_control_characters() {
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(fit("ab", 4), "ab  ");
        assert_eq!(cut("漢字漢", 4), "漢…");
        assert_eq!(clean("a\x1b[2J\n\u{202e}"), "a␛[2J␊\u{fffd}");
        let line = truncate(Line::from(vec![Span::raw("abc"), Span::raw("def")]), 5);
        assert_eq!(line.to_string(), "abcd…");
        assert_eq!(truncate(Line::from(vec![Span::raw("abc"), Span::raw("def")]), 3).to_string(), "ab…");
    }
}
