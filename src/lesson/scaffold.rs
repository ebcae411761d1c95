//! A new lesson for authors: one step of each kind, which passes every test as it is and teaches how to write others.

const LESSON: &str = include_str!("scaffold/lesson.yaml");

/// The name of the schema's file that a new lesson points its editor to.
pub const SCHEMA_FILE: &str = "hardway-lesson.schema.json";

/// The text of a new lesson.
pub fn lesson(id: &str, stage: &str) -> String {
    // One byte more than a host name may have.
    LESSON.replace("@LONG@", &"x".repeat(65)).replace("@ID@", id).replace("@STAGE@", stage)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lesson::compile::compile;
    use crate::stages;

    #[test]
    fn a_new_lesson_of_each_stage_has_no_faults() {
        for stage in stages::ALL {
            let text = lesson("my-own", stage.id);
            let lesson = compile("my-own", "my-own.yaml", &text);
            assert!(lesson.is_ok(), "{}: {lesson:?}", stage.id);
            assert!(text.contains(SCHEMA_FILE) && !text.contains('@'));
        }
    }
}
