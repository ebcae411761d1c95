//! What hands have done: a *change* that came true, a line that failed as it should, an answer that the probe agrees with.

use super::Look;
use super::verdicts::{by_hand, failure_verdict};
use super::walker::Walker;
use crate::explain::Explanation;
use crate::lesson::{Kind, Value};
use crate::session::{How, Position};

impl Walker {
    /// Evaluates the current step's check, on what hands made where they made something, else on the box.
    ///
    /// # Errors
    /// Where the live state can not be read.
    pub fn check(&mut self) -> Result<(), Explanation> {
        self.observe()?;
        let Position { step, done } = self.session.position;
        let hands_did = done && self.session.records[step].how == Some(How::Hands);
        let is_by_hand = hands_did || self.sample.names.subject.is_some();
        let names = if is_by_hand { by_hand(&self.sample.names) } else { self.sample.names.clone() };
        self.verdicts = self.evaluate(&names);
        if self.verdicts.iter().all(|verdict| verdict.holds) && self.hands_did() {
            self.pass_by_hand();
        }
        Ok(())
    }

    /// What is left to do where all checks hold and the step is not done; none otherwise.
    pub fn still_to_do(&self) -> Option<&'static str> {
        let holds = !self.session.position.done && self.verdicts.iter().all(|verdict| verdict.holds);
        match self.step().kind {
            _ if !holds => None,
            Kind::Change => None,
            Kind::Fail => Some("that holds; now try what the step says, and see it fail"),
            Kind::Observe => Some("that holds; the question waits for an answer"),
        }
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

    /// The answer to an *observe* step's question: what is to be said of it where the probe agrees. As long as the step's check does not
    /// hold, what the question is about has not been made, and to be right is no answer.
    ///
    /// # Errors
    /// Where the live state can not be read.
    pub fn answer(&mut self, text: &str) -> Result<Option<&'static str>, Explanation> {
        self.observe()?;
        let [calls, hands] = [self.sample.names.clone(), by_hand(&self.sample.names)];
        let by_calls = self.performed > self.session.position.step || self.sample.names.subject.is_none();
        let (names, others) = if by_calls { (calls, hands) } else { (hands, calls) };
        // Calls and hands may both have made a box, and the panels show both.
        let of_others = self.read_value(&others).filter(|read| Value::is_word_of(read, text));
        let Some(read) = of_others.or_else(|| self.read_value(&names)) else { return Ok(None) };
        let right = Value::is_word_of(&read, text);
        let passes = right && !self.session.position.done;
        if passes {
            let verdicts = [&names, &others].map(|names| self.evaluate(names));
            if !verdicts.iter().any(|verdicts| verdicts.iter().all(|verdict| verdict.holds)) {
                [self.verdicts, _] = verdicts;
                return Ok(Some("so it is, but what the question is about has not been made yet"));
            }
        }
        self.answer = Some((text.trim().to_owned(), right, read));
        if passes {
            self.pass_by_hand();
        }
        Ok(right.then_some("right: the probe says the same"))
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
