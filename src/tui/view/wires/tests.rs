use proptest::prelude::*;

use super::*;

fn frame(title: &str, lines: &[String]) -> Frame {
    let cell = |(at, text): (usize, &String)| Cell {
        spans: vec![Span::raw(format!("  {text}"))],
        target: Some(Target::Rows(vec![(0, at)])),
        style: Style::new(),
    };
    Frame { title: vec![Span::raw(title.to_owned())], lines: lines.iter().enumerate().map(cell).collect() }
}

fn text(drawing: &Drawing) -> Vec<String> {
    drawing.lines.iter().map(|(line, _)| line.to_string()).collect()
}

/// What is drawn in a column of a line.
fn at(line: &str, column: usize) -> char {
    let mut x = 0;
    for c in line.chars() {
        if x == column {
            return c;
        }
        x += width(&c.to_string());
    }
    ' '
}

/// Follows a wire from one end to the other: to its lane, along it, and to the other box.
fn follow(lines: &[String], lane: usize, from: usize, to: usize) -> Result<(), String> {
    let step = |c: char, straight: char| c == straight || c == '┼';
    for row in [from, to] {
        let out = |range: &mut dyn Iterator<Item = usize>, edge: char| {
            range.map(|x| at(&lines[row], x)).take_while(|c| *c != edge).all(|c| step(c, '─'))
        };
        let left = at(&lines[row], lane.wrapping_sub(1));
        let ok = match at(&lines[row], lane) {
            '┐' | '┘' => out(&mut (0..lane).rev(), '├'),
            '┌' | '└' => out(&mut (lane + 1..lane + 400), '┤'),
            '─' if from == to && left != ' ' => true,
            other => return Err(format!("{other:?} where the wire turns, in line {row}, column {lane}")),
        };
        if !ok {
            return Err(format!("line {row} does not lead to the lane {lane}"));
        }
    }
    let (top, bottom) = (from.min(to), from.max(to));
    match (top + 1..bottom).find(|row| !step(at(&lines[*row], lane), '│')) {
        Some(row) => Err(format!("the lane {lane} is cut in line {row}")),
        None => Ok(()),
    }
}

/// The row of the drawing in which a line of a box is.
fn row_of(lines: &[String], name: &str) -> usize {
    lines.iter().position(|line| line.contains(name)).unwrap_or_else(|| panic!("no {name} in {lines:#?}"))
}

fn model() -> impl Strategy<Value = (Vec<Vec<String>>, Vec<[(usize, usize); 2]>)> {
    let line = prop_oneof![3 => Just(String::new()), 1 => "[a-z ]{0,30}", 1 => "(漢|é|\u{202e}|❤\u{fe0f}){0,12}"];
    prop::collection::vec(prop::collection::vec(line, 0..6), 1..6)
        .prop_flat_map(|frames| {
            let ends: Vec<(usize, usize)> = frames
                .iter()
                .enumerate()
                .flat_map(|(at, lines)| (0..lines.len()).map(move |line| (at, line)))
                .collect();
            (Just(frames), Just(ends).prop_shuffle(), 0usize..8)
        })
        .prop_map(|(frames, ends, count)| {
            let wires = ends.chunks_exact(2).take(count).map(|two| [two[0], two[1]]).collect();
            (frames, wires)
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_wire_leads_from_end_to_end_and_nothing_is_too_wide((names, ends) in model(), columns in 0usize..220) {
        // Each line has a name of its own in front, short enough to be whole.
        let named = |(at, lines): (usize, &Vec<String>)| {
            let lines: Vec<String> =
                lines.iter().enumerate().map(|(line, rest)| format!("<{at}.{line}>{}", crate::tui::doc::clean(rest))).collect();
            frame(&format!("box {at}"), &lines)
        };
        let frames: Vec<Frame> = names.iter().enumerate().map(named).collect();
        let wires: Vec<Wire> = ends.iter().map(|ends| Wire { ends: *ends, style: Style::new() }).collect();
        let Some(drawing) = draw(&frames, &wires, columns, Style::new()) else {
            prop_assert!(!wires.is_empty() && columns < NARROWEST + 2 * wires.len() + 1);
            return Ok(());
        };
        let lines = text(&drawing);
        let lanes: std::collections::BTreeSet<usize> = drawing.lanes.iter().copied().collect();
        prop_assert_eq!(lanes.len(), wires.len(), "a lane for each");
        if columns >= 8 {
            prop_assert!(lines.iter().all(|line| width(line) <= columns), "{:#?}", lines);
        }
        if columns < NARROWEST {
            return Ok(());
        }
        for (wire, lane) in wires.iter().zip(&drawing.lanes) {
            let [from, to] = wire.ends.map(|(at, line)| row_of(&lines, &format!("<{at}.{line}>")));
            let followed = follow(&lines, *lane, from, to);
            prop_assert!(followed.is_ok(), "{:?}\n{:#?}", followed, lines);
        }
        // Every line can be chosen, once.
        let targets = drawing.lines.iter().map(|(_, targets)| targets.len()).sum::<usize>();
        prop_assert_eq!(targets, names.iter().map(Vec::len).sum::<usize>());
    }
}

#[test]
fn wires_that_would_meet_change_their_order_or_stand_below_each_other() {
    let lines = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let frames = [frame("a", &lines(&["a0", "a1"])), frame("b", &lines(&["b0", "b1"]))];
    let wire = |ends| Wire { ends, style: Style::new() };
    // In each line one wire comes from the left and the other one from the right.
    let crossed = [wire([(0, 0), (1, 1)]), wire([(0, 1), (1, 0)])];
    let drawn = text(&draw(&frames, &crossed, 60, Style::new()).expect("room"));
    assert_eq!(drawn.len(), 8, "{drawn:#?}");
    let straight = [wire([(0, 0), (1, 0)]), wire([(0, 1), (1, 1)])];
    let drawn = text(&draw(&frames, &straight, 60, Style::new()).expect("room"));
    assert_eq!(drawn.len(), 4, "{drawn:#?}");
    assert!(drawn[1].contains("├─────┤") && drawn[2].contains("├─────┤"), "{drawn:#?}");
}
