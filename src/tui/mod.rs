//! Temporary.
use crate::explain::Explanation;
use crate::walk::{News, Order};
/// Temp
#[derive(Default)]
#[allow(missing_docs)]
pub struct Setup {
    pub course: Vec<CourseEntry>,
    pub start: Option<(String, Option<String>)>,
    pub mode: String,
    pub notice: Option<Explanation>,
}
/// Temp
#[allow(missing_docs)]
pub struct CourseEntry {
    pub name: String,
    pub id: String,
    pub title: String,
    pub goal: String,
    pub minutes: u32,
    pub steps: usize,
    pub done: usize,
    pub unavailable: Option<String>,
}
/// Temp
pub fn news_channel() -> (tokio::sync::mpsc::UnboundedSender<News>, tokio::sync::mpsc::UnboundedReceiver<News>) {
    tokio::sync::mpsc::unbounded_channel()
}
/// Temp
pub fn run(
    _: Setup,
    _: std::sync::mpsc::Sender<Order>,
    _: tokio::sync::mpsc::UnboundedReceiver<News>,
) -> Result<(), Explanation> {
    Ok(())
}
