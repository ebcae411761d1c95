//! Images in one file: those that others write, those that we write, and those that are made to do harm. Each test has a store of its own, and
//! sees that nothing came to be beside it.

#[path = "../layers/archive.rs"]
#[allow(dead_code)]
mod entries;

mod hostile;
mod load;
mod peers;
mod place;
mod save;
