//! Layers that real images have, and layers that are made to get out of the directory to which they are applied. Each test looks at a
//! directory beside it, in which nothing may change.

use rootfs_fetch::layer::Xattrs;

mod any_bytes;
mod archive;
mod format;
mod lab;
mod links;
mod metadata;
mod mounts;
mod names;
mod overlay;
mod types;
#[path = "../support/user.rs"]
mod user;
mod whiteouts;

use user::{ROOT_OF_A_NAMESPACE, all_again};

/// All of this again as an ordinary user, and as root of a user namespace.
#[test]
fn as_an_ordinary_user() {
    if lab::root() && lab::xattrs() != Xattrs::User {
        all_again("layers", "as_an_ordinary_user", &[ROOT_OF_A_NAMESPACE]);
    }
}
