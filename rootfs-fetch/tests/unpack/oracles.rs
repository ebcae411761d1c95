//! What other programs unpack of the same image.

use std::process::Command;

use crate::facts::assert_same;
use crate::lab::{Lab, in_a_user_namespace, linked, nasty, root};

fn there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIPPED {program} as an oracle: it is not installed");
    }
    found
}

#[test]
fn umoci_unpacks_the_same() {
    if !root() || in_a_user_namespace() || !there("umoci") {
        return;
    }
    for layers in [nasty(), linked()] {
        // It knows no zstd.
        let mut lab = Lab::new();
        lab.ways = 2;
        let image = lab.image("nasty", layers);
        lab.flat(&image, "flat").expect("a root file system");
        let output = Command::new("umoci")
            .args(["unpack", "--image", &format!("{}:nasty", lab.store.root().display())])
            .arg(lab.path("bundle"))
            .output()
            .expect("umoci");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_same(&lab.path("flat"), &lab.path("bundle/rootfs"));
    }
}
