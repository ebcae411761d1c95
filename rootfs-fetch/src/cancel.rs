//! How long work is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops a transfer, or the unpacking of an image, from another thread. Clones stop the same.
///
/// As long as bytes flow, it ends with the next of them; and where it waits for another that is at the same, soon. Where none flow from a
/// registry, it ends when the client takes that for [stalled](crate::client::Timeouts::stall); where a registry asks to be left alone for a
/// while, after [that](crate::client::Retry).
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks it to end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// What is set then.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// Whether that was asked.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
