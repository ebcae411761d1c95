//! Colours and emphasis, by what they mean. Panels name a meaning; only this file names a colour.

use ratatui::style::{Color, Modifier, Style};

/// One style for each meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the meanings
pub struct Theme {
    pub text: Style,
    pub dim: Style,
    pub strong: Style,
    pub heading: Style,
    pub border: Style,
    pub focus: Style,
    pub header: Style,
    pub key: Style,
    pub selected: Style,
    pub good: Style,
    pub bad: Style,
    pub warn: Style,
    pub added: Style,
    pub changed: Style,
    pub removed: Style,
    pub call: Style,
    pub argument: Style,
    pub errno: Style,
    pub shell: Style,
    pub code: Style,
    pub host: Style,
    pub boxed: Style,
    pub mine: Style,
}

/// The handful of colours that a theme is made of.
struct Palette {
    dim: Color,
    accent: Color,
    good: Color,
    bad: Color,
    warn: Color,
    call: Color,
    shell: Color,
    line: Color,
    bar: Color,
    cursor: Color,
}

impl Theme {
    /// The names that [`Theme::named`] knows.
    pub const NAMES: [&'static str; 4] = ["dark", "light", "colour-blind", "mono"];

    /// The theme of this name, where there is one.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "dark" => Some(Self::dark()),
            "light" => Some(Self::light()),
            "colour-blind" | "color-blind" => Some(Self::colour_blind()),
            "mono" => Some(Self::mono()),
            _ => None,
        }
    }

    /// For a dark background.
    pub fn dark() -> Self {
        Self::from_palette(&Palette {
            dim: Color::Indexed(247),
            accent: Color::Indexed(80),
            good: Color::Indexed(114),
            bad: Color::Indexed(203),
            warn: Color::Indexed(221),
            call: Color::Indexed(111),
            shell: Color::Indexed(150),
            line: Color::Indexed(239),
            bar: Color::Indexed(236),
            cursor: Color::Indexed(237),
        })
    }

    /// For a light background.
    pub fn light() -> Self {
        Self::from_palette(&Palette {
            dim: Color::Indexed(243),
            accent: Color::Indexed(24),
            good: Color::Indexed(28),
            bad: Color::Indexed(160),
            warn: Color::Indexed(130),
            call: Color::Indexed(26),
            shell: Color::Indexed(64),
            line: Color::Indexed(250),
            bar: Color::Indexed(254),
            cursor: Color::Indexed(253),
        })
    }

    /// Blue and orange in the place of green and red (Okabe and Ito's colours, on a dark background).
    pub fn colour_blind() -> Self {
        Self::from_palette(&Palette {
            dim: Color::Indexed(247),
            accent: Color::Indexed(117),
            good: Color::Indexed(74),
            bad: Color::Indexed(208),
            warn: Color::Indexed(227),
            call: Color::Indexed(252),
            shell: Color::Indexed(175),
            line: Color::Indexed(239),
            bar: Color::Indexed(236),
            cursor: Color::Indexed(237),
        })
    }

    /// No colour at all (<https://no-color.org>): weight, underline and reverse alone.
    pub fn mono() -> Self {
        let plain = Style::new();
        let (bold, dim) = (plain.add_modifier(Modifier::BOLD), plain.add_modifier(Modifier::DIM));
        let reverse = plain.add_modifier(Modifier::REVERSED);
        Self {
            text: plain,
            dim,
            strong: bold,
            heading: bold,
            border: dim,
            focus: bold,
            header: reverse,
            key: bold,
            selected: reverse,
            good: bold,
            bad: bold,
            warn: bold,
            added: bold,
            changed: bold.add_modifier(Modifier::UNDERLINED),
            removed: dim.add_modifier(Modifier::CROSSED_OUT),
            call: bold,
            argument: plain,
            errno: reverse,
            shell: plain.add_modifier(Modifier::ITALIC),
            code: plain.add_modifier(Modifier::UNDERLINED),
            host: plain.add_modifier(Modifier::UNDERLINED),
            boxed: bold,
            mine: bold,
        }
    }

    fn from_palette(palette: &Palette) -> Self {
        let fg = |colour| Style::new().fg(colour);
        let bold = |colour| Style::new().fg(colour).add_modifier(Modifier::BOLD);
        Self {
            text: Style::new(),
            dim: fg(palette.dim),
            strong: Style::new().add_modifier(Modifier::BOLD),
            heading: bold(palette.accent),
            border: fg(palette.line),
            focus: fg(palette.accent),
            header: Style::new().bg(palette.bar),
            key: bold(palette.accent),
            selected: Style::new().bg(palette.cursor),
            good: fg(palette.good),
            bad: bold(palette.bad),
            warn: fg(palette.warn),
            added: fg(palette.good),
            changed: fg(palette.warn),
            removed: fg(palette.bad),
            call: bold(palette.call),
            argument: Style::new(),
            errno: bold(palette.bad),
            shell: fg(palette.shell),
            code: fg(palette.call),
            host: fg(palette.dim),
            boxed: bold(palette.accent),
            mine: bold(palette.shell),
        }
    }

    /// The style of a name of lessons: `host`, `shell`, or a box.
    pub fn who(&self, name: &str) -> Style {
        match name {
            "host" => self.host,
            "shell" => self.mine,
            _ => self.boxed,
        }
    }
}
