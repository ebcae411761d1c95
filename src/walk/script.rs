//! The third way through a lesson: its exported script, run in the lab host. The script types into a shell of its own and
//! stops after each step; the checks are evaluated there, on what that shell has made.

use super::hands::Ended;
use super::run::{LINE_DEADLINE, Typed, Walk, no_prompt};
use super::verdicts::by_hand;
use crate::agent::shell::subject;
use crate::explain::Explanation;
use crate::lesson::{Verdict, script};
use crate::probe::Names;
use crate::runtime::action::{Action, HOST};
use crate::runtime::process::Run;

/// Where the script lies in the lab host.
const FILE: &str = "/run/lesson.sh";

/// The shell that the script types into, and the process group in the foreground of its terminal, as the script told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scripted {
    shell: i32,
    foreground: i32,
}

impl Walk {
    /// Has the script do the current step; tells of its last line, which is the one that is judged.
    ///
    /// # Errors
    /// Where the script has ended before its time, or the lab host is lost.
    pub(super) fn script_step(&mut self) -> Result<Typed, Explanation> {
        let step = self.walker.step().clone();
        let patience = LINE_DEADLINE * u32::try_from(step.by_hand.len() + 2).unwrap_or(u32::MAX);
        let Ended { status, output } = if self.scripted.is_none() {
            self.put_script()?;
            self.new_shell()?;
            self.type_and_wait(&format!("bash {FILE} {} {}", script::HERE, script::PAUSE), patience)?
        } else {
            self.type_and_wait("", patience)?
        };
        let Some((said, scripted)) = Scripted::parse(&output) else {
            return Err(Explanation::new(
                format!("The script of {} did not get to the end of the step {}", self.walker.lesson.name, step.id),
                output.trim(),
                "run it by itself: hardway lesson script",
            ));
        };
        self.scripted = Some(scripted);
        let line = step.by_hand.last().cloned().unwrap_or_default();
        let output = said.rfind(&line).map_or(said, |at| &said[at..]).to_owned();
        Ok(Typed { line, status: (status >= 0).then_some(status), output })
    }

    /// After the last step: the script ends, and says by its exit status that all was as the lesson says.
    ///
    /// # Errors
    /// Where the lab host is lost.
    pub(super) fn script_end(&mut self) -> Result<Verdict, Explanation> {
        let Ended { status, output } = self.type_and_wait("", LINE_DEADLINE)?;
        Ok(Verdict {
            claim: "the script ends with status 0".into(),
            holds: status == 0,
            seen: format!("$? is {status}; {}", output.trim()),
        })
    }

    /// Who is who by hand: in the learner's shell, or in the one that the script types into.
    pub(super) fn names(&self) -> Names {
        let sample = self.walker.sample();
        let mut names = sample.names.clone();
        if let Some(Scripted { shell, foreground }) = self.scripted {
            names.subject = subject(&sample.observation.processes, names.host, shell, foreground);
            names.shell = Some(shell);
            names.foreground = Some(foreground);
        }
        by_hand(&names)
    }

    /// Writes the script into the lab host, by way of a program there: the file systems of the ui are others.
    fn put_script(&mut self) -> Result<(), Explanation> {
        let text = script::of(&self.walker.lesson, self.until);
        let argv = ["sh", "-c", "printf %s \"$1\" > \"$2\"", "sh", &text, FILE].map(str::to_owned).to_vec();
        let run = Action::Run(Run { r#in: HOST.to_owned(), argv, root: None, ends_with: None, fails_with: None });
        let performed = self.walker.lab()?.perform(&[run])?;
        match performed.into_iter().next().map(|one| one.result) {
            Some(Ok(outcome)) if outcome.status == Some(0) => Ok(()),
            other => {
                let why = format!("{other:?}");
                Err(Explanation::new("The script could not be written into the lab host", why, "start anew"))
            }
        }
    }

    fn type_and_wait(&mut self, line: &str, at_most: std::time::Duration) -> Result<Ended, Explanation> {
        let hands = self.hands.as_mut().ok_or_else(|| no_prompt(line))?;
        hands.type_line(line)?;
        hands.prompt(at_most).ok_or_else(|| no_prompt("the lesson's script"))
    }
}

impl Scripted {
    /// What the script wrote for a step, and the line after it that tells which shell it types into.
    fn parse(output: &str) -> Option<(&str, Self)> {
        let (said, told) = output.rsplit_once("\nshell ")?;
        let (shell, foreground) = told.trim().split_once(" foreground ")?;
        Some((said, Self { shell: shell.parse().ok()?, foreground: foreground.parse().ok()? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_tells_of_its_shell() {
        let (said, scripted) = Scripted::parse("── a: A\n$ true\n\nshell 12 foreground 34").expect("told");
        assert_eq!((said, scripted), ("── a: A\n$ true\n", Scripted { shell: 12, foreground: 34 }));
        assert_eq!(Scripted::parse("bash: /run/lesson.sh: trouble"), None);
    }
}
