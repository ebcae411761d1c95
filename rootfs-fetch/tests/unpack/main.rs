//! Images of a store become root file systems: in one directory and as layers for overlayfs, as other programs unpack them, and
//! whole or not at all.

#[path = "../layers/archive.rs"]
#[allow(dead_code)]
mod archive;
mod facts;
mod flat;
mod killed;
mod lab;
mod oracles;
mod snapshots;
#[path = "../support/user.rs"]
mod user;

use lab::root;
use user::{ROOT_OF_A_NAMESPACE, all_again};

/// All of this again as an ordinary user, and as root of a user namespace.
#[test]
fn as_an_ordinary_user() {
    if root() && !lab::in_a_user_namespace() {
        all_again("unpack", "as_an_ordinary_user", &[ROOT_OF_A_NAMESPACE]);
    }
}
