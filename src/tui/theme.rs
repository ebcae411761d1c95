//! Colours and emphasis, by what they mean. Panels name a meaning; only this file names a colour.
//!
//! A theme has a ground of its own, so that what its tests measure is what is seen, whatever the terminal's colours are.

use ratatui::style::{Color, Modifier, Style};

/// One style for each meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the meanings
pub struct Theme {
    pub name: &'static str,
    pub ground: Style,
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

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The sixteen of ANSI, taken to be as xterm's are: terminals let people choose them.
    Sixteen,
    /// The 256 of xterm, of which hardway takes those from 16 on: a cube and a ramp of grey that are the same everywhere.
    Many,
    /// Any; hardway takes the same as of 256, by value.
    True,
}

/// A colour: its number among the 256, and the one that stands for it among the sixteen.
#[derive(Clone, Copy)]
struct Hue(u8, u8);

/// The handful of colours that a theme is made of.
struct Palette {
    ground: Hue,
    text: Hue,
    dim: Hue,
    accent: Hue,
    good: Hue,
    bad: Hue,
    warn: Hue,
    call: Hue,
    shell: Hue,
    line: Hue,
    /// Behind the first and the last line; none of the sixteen leaves all text on it readable.
    bar: u8,
    /// Behind what is chosen; likewise.
    cursor: u8,
}

const DARK: Palette = Palette {
    ground: Hue(234, 0),
    text: Hue(253, 15),
    dim: Hue(250, 7),
    accent: Hue(80, 14),
    good: Hue(114, 10),
    bad: Hue(210, 9),
    warn: Hue(221, 11),
    call: Hue(111, 14),
    shell: Hue(150, 10),
    line: Hue(243, 8),
    bar: 236,
    cursor: 237,
};

const LIGHT: Palette = Palette {
    ground: Hue(231, 15),
    text: Hue(235, 0),
    dim: Hue(240, 0),
    accent: Hue(24, 4),
    good: Hue(22, 4),
    bad: Hue(124, 1),
    warn: Hue(58, 5),
    call: Hue(19, 4),
    shell: Hue(54, 5),
    line: Hue(245, 8),
    bar: 254,
    cursor: 253,
};

/// Sky blue, yellow and vermilion in the place of green, yellow and red, after Okabe and Ito; they differ in lightness too.
const COLOUR_BLIND: Palette = Palette {
    good: Hue(75, 14),
    bad: Hue(208, 13),
    warn: Hue(229, 11),
    call: Hue(117, 14),
    shell: Hue(182, 15),
    ..DARK
};

impl Theme {
    /// The names that [`Theme::named`] knows.
    pub const NAMES: [&'static str; 4] = ["dark", "light", "colour-blind", "mono"];

    /// The theme of this name, where there is one.
    pub fn named(name: &str, depth: Depth) -> Option<Self> {
        match name {
            "dark" => Some(Self::from_palette("dark", &DARK, depth)),
            "light" => Some(Self::from_palette("light", &LIGHT, depth)),
            "colour-blind" | "color-blind" => Some(Self::from_palette("colour-blind", &COLOUR_BLIND, depth)),
            "mono" => Some(Self::mono()),
            _ => None,
        }
    }

    /// The usual one.
    pub fn dark(depth: Depth) -> Self {
        Self::from_palette("dark", &DARK, depth)
    }

    /// No colour at all (<https://no-color.org>): weight, underline and reverse alone.
    pub fn mono() -> Self {
        let plain = Style::new();
        let (bold, dim) = (plain.add_modifier(Modifier::BOLD), plain.add_modifier(Modifier::DIM));
        let reverse = plain.add_modifier(Modifier::REVERSED);
        Self {
            name: "mono",
            ground: plain,
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

    fn from_palette(name: &'static str, palette: &Palette, depth: Depth) -> Self {
        let colour = |Hue(many, few)| match depth {
            Depth::Sixteen => ANSI[usize::from(few) % ANSI.len()],
            Depth::Many => Color::Indexed(many),
            Depth::True => true_colour(many),
        };
        let fg = |hue| Style::new().fg(colour(hue));
        let bold = |hue| fg(hue).add_modifier(Modifier::BOLD);
        // Of sixteen colours, what is chosen is underlined.
        let behind = |index| match depth {
            Depth::Sixteen => Style::new(),
            _ => Style::new().bg(colour(Hue(index, 0))),
        };
        let chosen = if depth == Depth::Sixteen { Modifier::UNDERLINED } else { Modifier::empty() };
        Self {
            name,
            ground: fg(palette.text).bg(colour(palette.ground)),
            text: Style::new(),
            dim: fg(palette.dim),
            strong: Style::new().add_modifier(Modifier::BOLD),
            heading: bold(palette.accent),
            border: fg(palette.line),
            focus: fg(palette.accent),
            header: behind(palette.bar),
            key: bold(palette.accent),
            selected: behind(palette.cursor).add_modifier(chosen),
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

/// The sixteen colours of ANSI, by number.
const ANSI: [Color; 16] = [
    Color::Black,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Gray,
    Color::DarkGray,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::White,
];

/// A colour of the 256 by its value (xterm's 256colres.h): from 16 on a cube of six steps each, from 232 on grey.
fn true_colour(index: u8) -> Color {
    let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
    match index {
        232.. => {
            let grey = 8 + 10 * (index - 232);
            Color::Rgb(grey, grey, grey)
        }
        16.. => Color::Rgb(step((index - 16) / 36), step((index - 16) / 6 % 6), step((index - 16) % 6)),
        _ => Color::Indexed(index),
    }
}

/// Terminals that have more than sixteen colours without saying so in their names; sudo and ssh may take COLORTERM away.
const KNOWN: [&str; 6] = ["alacritty", "foot", "ghostty", "kitty", "rxvt-unicode", "wezterm"];

impl Depth {
    /// What the environment says of the terminal.
    pub fn of(var: impl Fn(&str) -> Option<String>) -> Self {
        let (term, colours) = (var("TERM").unwrap_or_default(), var("COLORTERM").unwrap_or_default());
        if matches!(colours.as_str(), "truecolor" | "24bit") || term.ends_with("-direct") {
            Self::True
        } else if term.contains("256color") || !colours.is_empty() || KNOWN.iter().any(|name| term.contains(name)) {
            Self::Many
        } else {
            Self::Sixteen
        }
    }
}

#[cfg(test)]
mod tests;
