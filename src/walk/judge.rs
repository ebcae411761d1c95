//! What hands have done: a *change* that came true, a line that failed as it should, an answer that the probe agrees with.

use super::Look;
use super::verdicts::{by_hand, failure_verdict};
use super::walker::Walker;
use crate::explain::Explanation;
use crate::lesson::{Kind, Value};
use crate::session::How;

impl Walker {
    /// Evaluates the current step's check, on what hands made where they made something, else on the box.
    ///
    /// # Errors
    /// Where the live state can not be read.
    pub fn check(&mut self) -> Result<(), Explanation> {
        self.observe()?;
        let by_hand = by_hand(&self.sample.names);
        let names = if self.sample.names.subject.is_some() { by_hand } else { self.sample.names.clone() };
        self.verdicts = self.evaluate(&names);
        if self.verdicts.iter().all(|verdict| verdict.holds) && self.hands_did() {
            self.pass_by_hand();
        }
        Ok(())
    }

    /// Takes a sample, and notices when hands have done a *change* step.
    ///
    /// # Errors
    /// Where the live state can not be read.
    pub fn look(&mut self) -> Result<Look, Explanation> {
        let differs = self.observe()?;
        if self.hands_did() {
            self.pass_by_hand();
            return Ok(Look::Passed);
        }
        Ok(if differs { Look::Different } else { Look::Same })
    }

    /// Whether hands have just made the check of a *change* step true.
    fn hands_did(&mut self) -> bool {
        if self.session.position.done || self.step().kind != Kind::Change || self.sample.names.shell.is_none() {
            return false;
        }
        let verdicts = self.evaluate(&by_hand(&self.sample.names));
        let holds = verdicts.iter().all(|verdict| verdict.holds);
        if !holds {
            self.hands_can_pass = true;
        }
        let passed = holds && self.hands_can_pass;
        if passed {
            self.verdicts = verdicts;
        }
        passed
    }

    /// A *fail* step by hand: the last command ended as the lesson says. True when that counts.
    pub fn command_ended(&mut self, status: i32, output: &str) -> bool {
        let Some(expected) = self.step().by_hand_fails.clone().filter(|_| !self.session.position.done) else {
            return false;
        };
        let passed = status == expected.status && output.contains(&expected.says);
        if passed {
            self.verdicts = vec![failure_verdict(&expected, status, output)];
            self.pass_by_hand();
        }
        passed
    }

    /// The answer to an *observe* step's question. True when the probe agrees.
    ///
    /// # Errors
    /// Where the live state can not be read.
    pub fn answer(&mut self, text: &str) -> Result<bool, Explanation> {
        self.observe()?;
        let names = if self.performed > self.session.position.step || self.sample.names.subject.is_none() {
            self.sample.names.clone()
        } else {
            by_hand(&self.sample.names)
        };
        let Some(read) = self.read_value(&names) else { return Ok(false) };
        let right = Value::is_word_of(&read, text);
        self.answer = Some((text.trim().to_owned(), right, read));
        if right && !self.session.position.done {
            self.pass_by_hand();
        }
        Ok(right)
    }

    fn pass_by_hand(&mut self) {
        self.session.did(How::Hands);
        self.reveal();
    }

    /// After the effect the question's answer is shown.
    pub(super) fn reveal(&mut self) {
        let names = self.sample.names.clone();
        let names = if self.performed > self.session.position.step { names } else { by_hand(&names) };
        if let (None, Some(read)) = (&self.answer, self.read_value(&names)) {
            self.answer = Some((String::new(), false, read));
        }
    }
}
