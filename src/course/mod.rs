//! The course around its lessons: its parts, the history of what it teaches, its words, and a search through all of it.
//! Data and pure functions, for the screen and for plain lines alike.

pub mod glossary;
pub mod history;
pub mod search;

use std::ops::RangeInclusive;

/// A part of the course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, as people write it.
    pub number: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// The numbers of its lessons: those that the names of their files begin with.
    pub lessons: RangeInclusive<u32>,
}

const fn part(number: &'static str, title: &'static str, first: u32, last: u32) -> Part {
    Part { number, title, lessons: first..=last }
}

/// All parts, in order. A part whose lessons are not there is not shown.
pub const PARTS: &[Part] = &[
    part("I", "A process and its root", 0, 1),
    part("II", "Namespaces: the OS lies", 2, 9),
    part("III", "Control groups", 10, 16),
    part("IV", "Networking: five problems", 17, 21),
    part("V", "File systems and images", 22, 27),
    part("VI", "The whole container", 28, 32),
];

/// The part that a lesson belongs to, by the name of its file; none for a lesson whose name has no number of the course.
pub fn part_of(lesson: &str) -> Option<&'static Part> {
    let number = lesson.split('-').next()?.parse().ok()?;
    PARTS.iter().find(|part| part.lessons.contains(&number))
}

/// The heading of the lessons that [`part_of`] knows: `II  Namespaces: the OS lies`.
pub fn heading(part: Option<&Part>) -> String {
    part.map_or_else(|| "Other lessons".to_owned(), |part| format!("{}  {}", part.number, part.title))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_number_belongs_to_one_part() {
        for number in 0..=32 {
            assert_eq!(PARTS.iter().filter(|part| part.lessons.contains(&number)).count(), 1, "{number}");
        }
        assert_eq!(part_of("00-process").unwrap().number, "I");
        assert_eq!(part_of("09-time").unwrap().number, "II");
        assert_eq!(part_of("mine"), None);
        assert_eq!(part_of("99-mine"), None);
        assert_eq!(heading(part_of("05-pid")), "II  Namespaces: the OS lies");
    }
}
