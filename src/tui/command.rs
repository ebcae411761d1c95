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
    Steps,
    Return,
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
    Beside,
    EarlierCalls,
    LaterCalls,
    Unfold,
    Freeze,
    NextPane,
    PreviousPane,
    Zoom,
    Unzoom,
    Presenter,
    Search,
    Words,
    History,
    Theme,
    Map,
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
        spec(C::Steps, "steps", &["tab"], "steps", "Choose a step of the lesson, to open it there; and back", Course),
        spec(C::Return, "return", &["esc"], "return", "Back to what was before: the lessons, the open lesson", Course),
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
        spec(C::Search, "search", &["/"], "search", "Search the whole course, its words, and the rows here", Anywhere),
        spec(C::Words, "glossary", &["w"], "words", "What the words mean, those of this step first", Anywhere),
        spec(C::Map, "course map", &["m"], "map", "The course with its steps, without leaving the lesson", Lesson),
        spec(C::Course, "course", &["esc"], "course", "Back: to the step, from there to the list of lessons", Lesson),
        spec(C::Palette, "commands", &[":"], "commands", "All commands, by name", Anywhere),
        spec(C::Help, "help", &["?", "f1"], "help", "This help", Anywhere),
        spec(C::Quit, "quit", &["q", "ctrl-c"], "quit", "Take everything back and leave", Anywhere),
        spec(C::History, "history", &["H"], "", "How containers came about: a timeline", Anywhere),
        spec(C::Theme, "theme", &["ctrl-t"], "", "Choose the colours, for good", Anywhere),
        spec(C::Beside, "before and after", &["D"], "", "Changes side by side, before and after, or as a list", Lesson),
        spec(
            C::EarlierCalls,
            "earlier calls",
            &["["],
            "",
            "The calls of the step before the one that is shown",
            Lesson,
        ),
        spec(C::LaterCalls, "later calls", &["]"], "", "The calls of the step after it", Lesson),
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

    /// Why it makes no sense now; none where it does.
    pub fn why_not(&self, model: &Model) -> Option<&'static str> {
        match self.place {
            Place::Course if !model.on_course() => return Some("that belongs to the list of lessons"),
            Place::Lesson if model.on_course() => return Some("that belongs to a lesson: open one first"),
            _ => {}
        }
        let unless = |holds: bool, why: &'static str| (!holds).then_some(why);
        if self.command == Command::Return {
            return unless(model.step_at.is_some() || model.map, "there is nothing to go back to");
        }
        let (Some(view), Some(step)) = (&model.view, model.step()) else { return None };
        match self.command {
            Command::Predict if view.position.done => Some("the step is done: a guess now would be none"),
            Command::Predict => unless(step.predict.is_some(), "nothing is to be guessed in this step"),
            Command::Answer => unless(step.question.is_some(), "this step asks nothing"),
            Command::Type => unless(!step.by_hand.is_empty(), "nothing is to be typed in this step"),
            Command::Hint => unless(!step.hints.is_empty(), "there is no hint for this step"),
            Command::Check => unless(!step.check.is_empty(), "this step has nothing to check"),
            Command::Explain => {
                let rows = matches!(model.focus, Pane::State | Pane::Diff) || !view.rows.is_empty();
                unless(rows, "there is no row to explain")
            }
            Command::Unzoom => unless(model.zoom, "all panes are shown"),
            Command::Zoom => unless(!model.zoom, "the pane has the whole screen"),
            Command::Interrupt => unless(model.shell.state == ShellState::Open, "no shell is open"),
            Command::Notes => unless(!step.notes.is_empty(), "there are no notes on this step"),
            Command::Next => {
                let more = view.position.step + 1 < view.lesson.steps.len()
                    || !view.position.done
                    || (step.kind == Kind::Observe && view.answer.is_none());
                unless(more, "that was the last step of this lesson")
            }
            Command::Back => unless(view.position.step > 0 || view.position.done, "this is the beginning"),
            _ => None,
        }
    }

    /// Whether it makes sense now.
    pub fn valid(&self, model: &Model) -> bool {
        self.why_not(model).is_none()
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
