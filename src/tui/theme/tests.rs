#![allow(clippy::unwrap_used)]

use super::*;

type Rgb = [f64; 3];
type Roles = Vec<(&'static str, Style)>;

const DEPTHS: [Depth; 3] = [Depth::Sixteen, Depth::Many, Depth::True];
const COLOURED: [&str; 3] = ["dark", "light", "colour-blind"];

/// xterm's own values of the sixteen (XTerm-col.ad): what the sixteen are taken to be.
const XTERM: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

/// Linear light of a colour: the inverse of the sRGB curve, as WCAG 2.2 has it.
fn linear(colour: Color) -> Rgb {
    let bytes = match colour {
        Color::Indexed(index) => match true_colour(index) {
            Color::Rgb(r, g, b) => [r, g, b],
            other => panic!("{other:?}"),
        },
        Color::Rgb(r, g, b) => [r, g, b],
        named => XTERM[ANSI.iter().position(|it| *it == named).unwrap()],
    };
    bytes.map(|byte| {
        let share = f64::from(byte) / 255.0;
        if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    })
}

/// Relative luminance (WCAG 2.2).
fn luminance(colour: Rgb) -> f64 {
    0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
}

fn contrast(one: Color, other: Color) -> f64 {
    let (one, other) = (luminance(linear(one)), luminance(linear(other)));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// The styles that text is written in, those of marks and lines, and the grounds on which both may stand.
fn roles(theme: &Theme) -> (Roles, Roles, Vec<Color>) {
    let text = vec![
        ("text", theme.text),
        ("dim", theme.dim),
        ("strong", theme.strong),
        ("heading", theme.heading),
        ("focus", theme.focus),
        ("key", theme.key),
        ("good", theme.good),
        ("bad", theme.bad),
        ("warn", theme.warn),
        ("added", theme.added),
        ("changed", theme.changed),
        ("removed", theme.removed),
        ("call", theme.call),
        ("argument", theme.argument),
        ("errno", theme.errno),
        ("shell", theme.shell),
        ("code", theme.code),
        ("host", theme.host),
        ("boxed", theme.boxed),
        ("mine", theme.mine),
    ];
    let grounds = [theme.ground, theme.header, theme.selected].into_iter().filter_map(|style| style.bg).collect();
    (text, vec![("border", theme.border)], grounds)
}

#[test]
fn text_and_marks_stand_out_from_every_ground() {
    for (name, depth) in COLOURED.into_iter().flat_map(|name| DEPTHS.map(|depth| (name, depth))) {
        let theme = Theme::named(name, depth).unwrap();
        let (text, marks, grounds) = roles(&theme);
        for (role, style, least) in
            text.into_iter().map(|(role, style)| (role, style, 4.5)).chain(marks.into_iter().map(|(r, s)| (r, s, 3.0)))
        {
            let colour = style.fg.or(theme.ground.fg).unwrap();
            // Lines are drawn on the ground alone.
            for ground in grounds.iter().take(if least < 4.0 { 1 } else { grounds.len() }) {
                let measured = contrast(colour, *ground);
                assert!(measured >= least, "{name} {depth:?}: {role} on {ground:?} has {measured:.2}:1, not {least}:1");
            }
        }
    }
}

/// How colours are seen without one kind of cones (Machado, Oliveira, Fernandes 2009, severity 1.0), in linear light.
const SEEN: [(&str, [Rgb; 3]); 3] = [
    ("protanopia", [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    (
        "deuteranopia",
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ),
    ("tritanopia", [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
];

/// CIE L*a*b* of a linear sRGB colour under D65.
fn lab(colour: Rgb) -> Rgb {
    let c = colour.map(|share| share.clamp(0.0, 1.0));
    let xyz = [
        (0.4124 * c[0] + 0.3576 * c[1] + 0.1805 * c[2]) / 0.9505,
        0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2],
        (0.0193 * c[0] + 0.1192 * c[1] + 0.9505 * c[2]) / 1.089,
    ];
    let [x, y, z] = xyz.map(|t| if t > 0.008856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn distance(one: Rgb, other: Rgb) -> f64 {
    let (one, other) = (lab(one), lab(other));
    one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn changes_differ_for_people_who_see_fewer_colours() {
    for depth in DEPTHS {
        let theme = Theme::named("colour-blind", depth).unwrap();
        let colours = [("added", theme.added), ("changed", theme.changed), ("removed", theme.removed)]
            .map(|(name, style)| (name, linear(style.fg.unwrap())));
        for (sight, matrix) in SEEN {
            let seen = |colour: Rgb| matrix.map(|row| row[0] * colour[0] + row[1] * colour[1] + row[2] * colour[2]);
            for (at, (name, colour)) in colours.iter().enumerate() {
                for (other_name, other) in &colours[at + 1..] {
                    let apart = distance(seen(*colour), seen(*other));
                    // A difference of 2.3 can just be noticed side by side; these must be told apart at a glance.
                    assert!(apart >= 25.0, "{depth:?} {sight}: {name} and {other_name} are {apart:.1} apart");
                }
            }
        }
    }
}

#[test]
fn the_environment_says_how_many_colours_there_are() {
    let of = |term: &str, colours: &str| {
        Depth::of(|name| Some(if name == "TERM" { term.to_owned() } else { colours.to_owned() }))
    };
    assert_eq!(of("xterm-256color", "truecolor"), Depth::True);
    assert_eq!(of("screen-256color", ""), Depth::Many);
    assert_eq!(of("xterm-kitty", ""), Depth::Many);
    assert_eq!(of("linux", ""), Depth::Sixteen);
    assert_eq!(Depth::of(|_| None), Depth::Sixteen);
}

#[test]
fn a_theme_by_its_name_has_that_name() {
    for name in Theme::NAMES {
        assert_eq!(Theme::named(name, Depth::Many).unwrap().name, name);
    }
    assert!(Theme::named("pink", Depth::Many).is_none());
}
