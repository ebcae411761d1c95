//! Progress on disk.
