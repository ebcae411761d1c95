//! temp
use super::Session;
use crate::explain::Explanation;
use crate::lesson::Lesson;
/// temp
#[derive(Debug)]
pub struct Store;
impl Store {
    /// temp
    pub fn open(_: &std::path::Path) -> Result<Self, Explanation> {
        Ok(Self)
    }
    /// temp
    pub fn load(&self, _: &Lesson) -> Option<Session> {
        None
    }
    /// temp
    pub fn save(&mut self, _: &Lesson, _: &Session) -> Result<(), Explanation> {
        Ok(())
    }
}
