//! The report as text: calm, aligned, and the sum at the end.

use super::lessons::LessonState;
use super::{Report, State, Topic};

/// No line is longer, where words allow it.
const WIDTH: usize = 110;

/// Where values begin.
const INDENT: usize = 18;

/// The whole text, line by line.
pub(super) fn text(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut topic = None;
    for finding in &report.findings {
        if topic != Some(finding.topic) {
            if topic.is_some() {
                lines.push(String::new());
            }
            lines.push(heading(finding.topic).to_owned());
            topic = Some(finding.topic);
        }
        entry(&mut lines, mark(finding.state), &finding.name, &finding.value);
        // What is as it should be needs no advice.
        if let (Some(fix), State::Limited | State::Missing) = (&finding.fix, finding.state) {
            entry(&mut lines, ' ', "", &format!("→ {fix}"));
        }
    }
    lines.extend([String::new(), "Lessons".to_owned()]);
    for lesson in &report.lessons {
        lesson_lines(&mut lines, lesson);
    }
    lines.extend([String::new(), summary(report)]);
    lines
}

fn heading(topic: Topic) -> &'static str {
    match topic {
        Topic::Machine => "Machine",
        Topic::Namespaces => "Namespaces",
        Topic::Security => "Security",
        Topic::Cgroups => "Cgroups",
        Topic::Ids => "Ids",
        Topic::Programs => "Programs that lessons use",
        Topic::Surroundings => "Surroundings",
    }
}

fn mark(state: State) -> char {
    match state {
        State::Good => '✓',
        State::Limited => '–',
        State::Missing => '✗',
        State::Note => ' ',
    }
}

fn lesson_lines(lines: &mut Vec<String>, lesson: &LessonState) {
    match &lesson.unavailable {
        Some(reason) => {
            entry(lines, '✗', &lesson.name, &lesson.title);
            entry(lines, ' ', "", &format!("not here: {reason}"));
        }
        None => entry(lines, if lesson.works() { '✓' } else { '–' }, &lesson.name, &lesson.title),
    }
    for step in &lesson.without {
        if let Some(reason) = &step.unavailable {
            entry(lines, ' ', "", &format!("without the step {}: {reason}", step.step));
        }
        if !step.lacks.is_empty() {
            entry(lines, ' ', "", &format!("{}: not by hand, without {}", step.step, step.lacks.join(", ")));
        }
    }
}

/// The last line.
fn summary(report: &Report) -> String {
    let (all, steps) = (report.lessons.len(), report.lessons.iter().map(|lesson| lesson.steps).sum::<usize>());
    if report.works {
        return format!("Everything works here: {all} lessons, {steps} steps.");
    }
    let gone = report.lessons.iter().filter(|lesson| lesson.unavailable.is_some()).count();
    let without = report.lessons.iter().flat_map(|lesson| &lesson.without).filter(|step| !step.twin).count();
    match (gone, without) {
        (gone, _) if gone == all => "No lesson works here. The lines that begin with → say what to do.".into(),
        (0, without) => format!("{all} lessons work here, {without} of their {steps} steps not or only in part."),
        (gone, without) => {
            format!("{} of {all} lessons work here, {without} of their steps not or only in part.", all - gone)
        }
    }
}

/// A sign, a name and a value, which goes on below itself where it is long.
fn entry(lines: &mut Vec<String>, mark: char, name: &str, value: &str) {
    let mut line = format!("  {mark} {name:<width$}", width = INDENT - 5);
    let mut room_taken = line.chars().count();
    let mut begun = false;
    for word in value.split_whitespace() {
        let length = word.chars().count() + 1;
        if begun && room_taken + length > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(INDENT - 1)));
            room_taken = INDENT - 1;
        }
        line.push(' ');
        line.push_str(word);
        room_taken += length;
        begun = true;
    }
    lines.push(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_go_on_below_themselves() {
        let mut lines = Vec::new();
        entry(&mut lines, '✓', "name", &"word ".repeat(40));
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("  ✓ name          word"), "{}", lines[0]);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines[1].starts_with(&format!("{}word", " ".repeat(INDENT))));
    }
}
