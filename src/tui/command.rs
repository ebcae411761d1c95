//! The commands: one table from which keys, the help line, the help popup and the command palette come.

use super::app::{Model, Pane, ShellState};
use super::keymap::Chord;
use super::keys::Keys;
use crate::lesson::Kind;

/// What the learner can tell the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the table says what each does
pub enum Command {
    Open,
    Next,
    Back,
    Reset,
    Goto,
    Type,
    Check,
    Hint,
    Shell,
    Explain,
    Diff,
    Unfold,
    Freeze,
    NextPane,
    PreviousPane,
    Zoom,
    Unzoom,
    Presenter,
    Search,
    Palette,
    Help,
    Quit,
    Course,
    Predict,
    Answer,
    Interrupt,
    NewShell,
    Notes,
    Copy,
    Down,
    Up,
    PageDown,
    PageUp,
    Top,
    Bottom,
    Suspend,
    Redraw,
}

/// Where a command makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the list of lessons.
    Course,
    /// In a lesson.
    Lesson,
    /// Everywhere.
    Anywhere,
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// What it is.
    pub command: Command,
    /// Its name in the palette.
    pub name: &'static str,
    /// Its usual keys; the first is shown.
    pub keys: &'static [&'static str],
    /// A word or two for the help line; empty where it does not belong there.
    pub short: &'static str,
    /// A sentence.
    pub help: &'static str,
    /// Where it makes sense.
    pub place: Place,
}

const fn spec(
    command: Command,
    name: &'static str,
    keys: &'static [&'static str],
    short: &'static str,
    help: &'static str,
    place: Place,
) -> Spec {
    Spec { command, name, keys, short, help, place }
}

/// All commands, in the order of the help line: what matters most comes first.
pub const COMMANDS: &[Spec] = {
    use Command as C;
    use Place::{Anywhere, Course, Lesson};
    &[
        spec(C::Open, "open", &["enter"], "open", "Open the chosen lesson where you left it", Course),
        spec(C::Predict, "predict", &["1"], "guess", "Guess what will happen, before it does", Lesson),
        spec(C::Answer, "answer", &["a"], "answer", "Write the answer to the step's question", Lesson),
        spec(C::Next, "next", &["n", "enter"], "next", "Do the step by system calls; when it is done, go on", Lesson),
        spec(C::Back, "back", &["b"], "back", "One step back: the lab host is built anew up to there", Lesson),
        spec(C::NextPane, "next pane", &["tab"], "pane", "The next pane", Lesson),
        spec(C::Type, "type", &["t"], "type", "Type the step's next command into the shell for me", Lesson),
        spec(C::Shell, "shell", &["s"], "shell", "Go to the shell pane; every key then goes to the shell", Lesson),
        spec(C::Check, "check", &["c"], "check", "Check the kernel's state, whoever changed it", Lesson),
        spec(C::Hint, "hint", &["h"], "hint", "One more hint", Lesson),
        spec(C::Explain, "explain", &["e"], "explain", "Explain the chosen row: source, command, meaning", Lesson),
        spec(C::Diff, "diff", &["d"], "diff", "Changes since this step, or since the lesson began", Lesson),
        spec(C::Goto, "go to", &["g"], "go to", "Go to any step; its state is built", Lesson),
        spec(C::Reset, "reset", &["r"], "reset", "Start the lesson again in a new lab host", Lesson),
        spec(C::Freeze, "freeze", &["f"], "freeze", "Stop and start the sampling of live state", Lesson),
        spec(C::Zoom, "zoom in", &["+", "="], "zoom", "Give the focused pane the whole screen", Lesson),
        spec(C::Unzoom, "zoom out", &["-"], "", "Show all panes again", Lesson),
        spec(C::Presenter, "presenter", &["p"], "present", "Bigger and calmer, for a projector", Lesson),
        spec(C::Search, "search", &["/"], "search", "Search steps and rows", Lesson),
        spec(C::Course, "course", &["esc"], "course", "Back: to the step, from there to the list of lessons", Lesson),
        spec(C::Palette, "commands", &[":"], "commands", "All commands, by name", Anywhere),
        spec(C::Help, "help", &["?", "f1"], "help", "This help", Anywhere),
        spec(C::Quit, "quit", &["q", "ctrl-c"], "quit", "Take everything back and leave", Anywhere),
        spec(C::Unfold, "unfold", &["x"], "", "Show or fold values that are the same as on the lab host", Lesson),
        spec(C::PreviousPane, "previous pane", &["shift-tab"], "", "The pane before", Lesson),
        spec(C::Interrupt, "interrupt", &["ctrl-x"], "", "Send ^C to what runs in the shell", Lesson),
        spec(C::NewShell, "new shell", &["ctrl-n"], "", "End the shell, whatever it runs, and start a new one", Lesson),
        spec(C::Notes, "notes", &["N"], "", "The instructor's notes on this step", Lesson),
        spec(C::Copy, "copy", &["y"], "", "Copy the chosen row's value, or the step's commands", Lesson),
        spec(C::Down, "down", &["j", "down"], "", "Down: a row, a line, a lesson", Anywhere),
        spec(C::Up, "up", &["k", "up"], "", "Up", Anywhere),
        spec(C::PageDown, "page down", &["pgdn", "space"], "", "A page down in the focused pane", Anywhere),
        spec(C::PageUp, "page up", &["pgup"], "", "A page up", Anywhere),
        spec(C::Top, "top", &["home"], "", "To the start of the pane", Anywhere),
        spec(C::Bottom, "bottom", &["end"], "", "To the end of the pane", Anywhere),
        spec(C::Suspend, "suspend", &["ctrl-z"], "", "Stop hardway; `fg` comes back", Anywhere),
        spec(C::Redraw, "redraw", &["ctrl-l"], "", "Draw the whole screen again", Anywhere),
    ]
};

impl Spec {
    /// Its first key, as people write it; the guess has one for each choice.
    pub fn key(&self, model: &Model) -> String {
        if self.command == Command::Predict {
            let choices =
                model.step().and_then(|step| step.predict.as_ref()).map_or(9, |predict| predict.choices.len());
            return format!("1-{}", choices.min(9));
        }
        model.keys.shown(self.command)
    }

    /// All its keys, as people write them.
    pub fn all_keys(&self, keys: &Keys) -> String {
        if self.command == Command::Predict {
            return "1-9".to_owned();
        }
        keys.of(self.command).iter().map(Chord::name).collect::<Vec<_>>().join(" ")
    }

    /// Whether it makes sense now.
    pub fn valid(&self, model: &Model) -> bool {
        let in_lesson = model.view.is_some();
        match self.place {
            Place::Course if in_lesson => return false,
            Place::Lesson if !in_lesson => return false,
            _ => {}
        }
        let (Some(view), Some(step)) = (&model.view, model.step()) else { return true };
        match self.command {
            Command::Predict => step.predict.is_some() && !view.position.done,
            Command::Answer => step.question.is_some(),
            Command::Type => !step.by_hand.is_empty(),
            Command::Hint => !step.hints.is_empty(),
            Command::Check => !step.check.is_empty(),
            Command::Explain => matches!(model.focus, Pane::State | Pane::Diff) || !view.rows.is_empty(),
            Command::Unzoom => model.zoom,
            Command::Zoom => !model.zoom,
            Command::Interrupt => model.shell.state == ShellState::Open,
            Command::Notes => !step.notes.is_empty(),
            Command::Next => {
                view.position.step + 1 < view.lesson.steps.len()
                    || !view.position.done
                    || (step.kind == Kind::Observe && view.answer.is_none())
            }
            Command::Back => view.position.step > 0 || view.position.done,
            _ => true,
        }
    }
}

/// The command of a key, among those that make sense now.
pub fn of_key(chord: Chord, model: &Model) -> Option<Command> {
    COMMANDS
        .iter()
        .find(|spec| model.keys.of(spec.command).contains(&chord) && spec.valid(model))
        .map(|spec| spec.command)
}

#[cfg(test)]
mod tests {
    use super::super::keys::apart;
    use super::*;

    #[test]
    fn every_key_can_be_read_and_means_one_thing_in_one_place() {
        for (index, one) in COMMANDS.iter().enumerate() {
            assert!(!one.help.is_empty());
            for key in one.keys {
                assert!(Chord::parse(key).is_some(), "{key}");
                let again = COMMANDS[index + 1..].iter().find(|other| other.keys.contains(key));
                assert!(again.is_none_or(|other| apart(one.place, other.place)), "{key} means two things");
            }
        }
    }
}
