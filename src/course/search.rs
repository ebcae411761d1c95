//! A search through the whole course: titles, texts and words.

use std::sync::Arc;

use super::glossary::{self, Term};
use super::history::{Entry, TIMELINE};
use crate::lesson::{Lesson, Step};

/// How many characters of a text stand around what was found in it.
const AROUND: usize = 28;

/// Where something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A lesson, by its index.
    Lesson(usize),
    /// A step: the indices of lesson and step.
    Step(usize, usize),
    /// A word of the glossary.
    Term(&'static Term),
    /// An entry of the timeline.
    History(&'static Entry),
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Where.
    pub place: Place,
    /// What it is called.
    pub title: String,
    /// Whether it was found by its title.
    pub in_title: bool,
    /// The text around what was found, in one line; of something that was found by its title the beginning of its text.
    pub excerpt: String,
}

/// All texts of a course.
#[derive(Debug, Default)]
pub struct Index {
    entries: Vec<Text>,
}

#[derive(Debug)]
struct Text {
    place: Place,
    title: String,
    /// Title and short names in small letters.
    head: String,
    /// Everything else, in one line.
    body: String,
    /// The same in small letters.
    small: String,
}

impl Index {
    /// Gathers the texts of these lessons, of the glossary and of the timeline.
    pub fn of<'l>(lessons: impl IntoIterator<Item = &'l Arc<Lesson>>) -> Self {
        let mut entries = Vec::new();
        for (at, lesson) in lessons.into_iter().enumerate() {
            let head = format!("{} {} {}", lesson.name, lesson.id, lesson.title);
            entries.push(Text::new(Place::Lesson(at), lesson.title.clone(), &head, &lesson.goal));
            for (number, step) in lesson.steps.iter().enumerate() {
                let head = format!("{} {}", step.id, step.title);
                entries.push(Text::new(Place::Step(at, number), step.title.clone(), &head, &body(step)));
            }
        }
        for term in glossary::all() {
            let head = format!("{} {}", term.name, term.also.join(" "));
            let body = format!("{} {}", term.says, term.see.join(" "));
            entries.push(Text::new(Place::Term(term), term.name.to_owned(), &head, &body));
        }
        for entry in TIMELINE {
            let head = format!("{} {}", entry.when, entry.what);
            entries.push(Text::new(Place::History(entry), head.clone(), &head, entry.brought));
        }
        Self { entries }
    }

    /// Everything that has all words of the query: first what has them in its title, and of that first what is in the lesson
    /// `here`; then what has them in its text.
    pub fn search(&self, query: &str, here: Option<usize>) -> Vec<Hit> {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        let mut hits: Vec<(bool, bool, &Text)> = Vec::new();
        for text in &self.entries {
            let in_head = words.iter().all(|word| text.head.contains(word));
            if in_head || words.iter().all(|word| text.head.contains(word) || text.small.contains(word)) {
                hits.push((!in_head, !text.place.is_in(here), text));
            }
        }
        hits.sort_by_key(|(text, elsewhere, _)| (*text, *elsewhere));
        let hit = |(in_text, _, text): (bool, bool, &Text)| Hit {
            place: text.place,
            title: text.title.clone(),
            in_title: !in_text,
            excerpt: text.excerpt(&words),
        };
        hits.into_iter().map(hit).collect()
    }
}

impl Place {
    fn is_in(&self, lesson: Option<usize>) -> bool {
        matches!(self, Self::Lesson(at) | Self::Step(at, _) if Some(*at) == lesson)
    }
}

impl Text {
    fn new(place: Place, title: String, head: &str, body: &str) -> Self {
        let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { place, title, head: head.to_lowercase(), small: body.to_lowercase(), body }
    }

    fn excerpt(&self, words: &[String]) -> String {
        let at = words.iter().find_map(|word| self.small.find(word.as_str())).unwrap_or(0);
        // By characters: a letter may be longer in small.
        let at = self.small[..at].chars().count();
        let from = at.saturating_sub(AROUND);
        let text: String = self.body.chars().skip(from).take(AROUND * 4).collect();
        if from > 0 { format!("…{text}") } else { text }
    }
}

/// What a step says, but for what it asks to be guessed or answered: the answer is not to be found before it is sought.
fn body(step: &Step) -> String {
    let asks = step.predict.iter().map(|predict| predict.ask.as_str());
    let questions = step.question.iter().map(|question| question.ask.as_str());
    let texts = [step.explain.as_str()].into_iter().chain(asks).chain(questions);
    let lines = step.by_hand.iter().map(String::as_str);
    texts.chain(lines).chain([step.debrief.as_str()]).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::lesson::builtin;

    fn index() -> (Vec<Arc<Lesson>>, Index) {
        let lessons: Vec<Arc<Lesson>> = builtin::all().into_iter().map(Arc::new).collect();
        let index = Index::of(&lessons);
        (lessons, index)
    }

    #[test]
    fn titles_come_before_texts_and_the_open_lesson_before_others() {
        let (lessons, index) = index();
        let pid = lessons.iter().position(|lesson| lesson.id == "pid").unwrap();
        let hits = index.search("zombie", Some(pid));
        assert!(hits.iter().any(|hit| matches!(hit.place, Place::Term(term) if term.name == "zombie")));
        assert!(hits.iter().any(|hit| hit.excerpt.to_lowercase().contains("zombie")));
        let hits = index.search("unshare", Some(pid));
        let first_text = hits.iter().position(|hit| !hit.title.to_lowercase().contains("unshare")).unwrap();
        assert!(first_text > 0 || hits.len() > 1, "{hits:?}");
    }

    #[test]
    fn texts_are_found_by_all_words_in_any_order_and_letters() {
        let (lessons, index) = index();
        let uts = lessons.iter().position(|lesson| lesson.id == "uts").unwrap();
        let hits = index.search("LAYERS nothing-like-this", None);
        assert_eq!(hits, []);
        let hits = index.search("prompt hostname", None);
        assert!(hits.iter().any(|hit| matches!(hit.place, Place::Step(at, _) if at == uts)), "{hits:?}");
        assert!(index.search("jails", None).iter().any(|hit| matches!(hit.place, Place::History(_))));
        assert!(index.search("", None).len() > glossary::all().len());
    }

    #[test]
    fn an_excerpt_is_around_what_was_found() {
        let body = format!("{} İ needle {}", "a ".repeat(50), "b ".repeat(100));
        let text = Text::new(Place::Lesson(0), String::new(), "", &body);
        let excerpt = text.excerpt(&["needle".to_owned()]);
        assert!(excerpt.starts_with('…') && excerpt.contains("needle") && excerpt.chars().count() < 120, "{excerpt}");
    }
}
