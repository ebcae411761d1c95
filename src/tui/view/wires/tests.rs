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

/// A drawing as characters by row and column.
fn grid(lines: &[String]) -> Vec<Vec<char>> {
    let cells = |line: &String| {
        let wide =
            |c: char| std::iter::once(c).chain(std::iter::repeat_n('\0', width(&c.to_string()).saturating_sub(1)));
        // Marks without a width stand on the letter before them.
        line.chars().filter(|c| width(&c.to_string()) > 0).flat_map(wide).collect()
    };
    lines.iter().map(cells).collect()
}

/// The lane to which a wire leads from the line in which there is this name, and its row; straight ones have none.
fn lane_of(cells: &[Vec<char>], name: &str) -> Result<(usize, Option<usize>), String> {
    let text: Vec<char> = name.chars().collect();
    let found = |row: &Vec<char>| row.windows(text.len()).position(|part| part == text);
    let (row, x) =
        cells.iter().enumerate().find_map(|(at, row)| Some((at, found(row)?))).ok_or(format!("no {name}"))?;
    let line = &cells[row];
    let edge = |c: &char| ['│', '├', '┤'].contains(c);
    let right = (x..line.len()).find(|x| edge(&line[*x])).ok_or("no edge")?;
    let left = (0..x).rfind(|x| edge(&line[*x])).ok_or("no edge")?;
    let mut way: Box<dyn Iterator<Item = usize>> = match (line[left], line[right]) {
        ('│', '├') => Box::new(right + 1..line.len()),
        ('┤', '│') => Box::new((0..left).rev()),
        other => return Err(format!("the edges of {name} are {other:?}")),
    };
    let end = way.find(|x| !['─', '┼'].contains(&line[*x])).ok_or("the wire has no end")?;
    match line[end] {
        '┐' | '┘' if end > right => Ok((row, Some(end))),
        '┌' | '└' if end < left => Ok((row, Some(end))),
        '┤' | '├' => Ok((row, None)),
        other => Err(format!("from {name} the wire leads to {other:?}")),
    }
}

/// Follows a wire from one end to the other: to its lane, along it, and to the other box. Its lane.
fn follow(cells: &[Vec<char>], names: [&str; 2]) -> Result<Option<usize>, String> {
    let ((from, lane), (to, other)) = (lane_of(cells, names[0])?, lane_of(cells, names[1])?);
    if lane != other || (lane.is_none() && from != to) {
        return Err(format!("{names:?} are in different lanes: {lane:?}, {other:?}"));
    }
    let Some(x) = lane else { return Ok(None) };
    let cut = (from.min(to) + 1..from.max(to)).find(|row| !['│', '┼'].contains(&cells[*row][x]));
    cut.map_or(Ok(lane), |row| Err(format!("the wire of {names:?} is cut in line {row}")))
}

/// Lines of boxes, and ends of wires.
type Model = (Vec<Vec<String>>, Vec<[(usize, usize); 2]>);

fn model() -> impl Strategy<Value = Model> {
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
        if columns >= 8 {
            prop_assert!(lines.iter().all(|line| width(line) <= columns), "{:#?}", lines);
        }
        if columns < NARROWEST {
            return Ok(());
        }
        let cells = grid(&lines);
        let mut lanes = std::collections::BTreeSet::new();
        for wire in &wires {
            let [one, other] = wire.ends.map(|(at, line)| format!("<{at}.{line}>"));
            match follow(&cells, [&one, &other]) {
                Ok(Some(lane)) => prop_assert!(lanes.insert(lane), "two wires in one lane\n{:#?}", lines),
                Ok(None) => {}
                Err(told) => prop_assert!(false, "{}\n{:#?}", told, lines),
            }
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
