//! Layers and images are made, and taken apart again: by this crate, by the kernel, and by umoci and skopeo.

mod documents;
mod hostile;
mod lab;
mod peers;
mod reproducible;
mod round_trip;
mod upper;
#[path = "../support/user.rs"]
mod user;
mod writer;

use user::all_again;

/// All of this again as an ordinary user.
#[test]
fn as_an_ordinary_user() {
    if lab::root() {
        all_again("pack", "as_an_ordinary_user", &[]);
    }
}
