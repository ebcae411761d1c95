//! All layers in one directory.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink as link};
use std::sync::Mutex;

use rootfs_fetch::Cancel;
use rootfs_fetch::layer::{LayerError, Limits, Reason};
use rootfs_fetch::store::StoreError;
use rootfs_fetch::unpack::{Progress, Unpack, UnpackError};

use crate::archive::{archive, directory, file};
use crate::facts::facts;
use crate::lab::{Lab, nasty, root};

#[test]
fn an_image_becomes_a_directory_and_nothing_else() {
    let lab = Lab::new();
    let image = lab.image("nasty", nasty());
    let unpacked = lab.flat(&image, "rootfs").expect("a root file system");
    assert!(unpacked.counts.entries > 300);
    assert_eq!(lab.beside(), ["rootfs"]);
    let read = |name: &str| fs::read_to_string(lab.path("rootfs").join(name)).expect("a file");
    assert_eq!((read("gone"), read("opaque/own"), read("bin/by-link")), ("again".into(), "2".into(), "3".into()));
    let root = fs::metadata(lab.path("rootfs")).expect("the root");
    assert_eq!((root.mode() & 0o7777, root.mtime(), root.mtime_nsec()), (0o555, 1_111_111_111, 500_000_000));
}

#[test]
fn an_empty_directory_is_taken_and_anything_else_is_not() {
    let lab = Lab::new();
    let image = lab.image("small", [vec![file("f", "x")]]);
    fs::create_dir(lab.path("empty")).expect("a directory");
    lab.flat(&image, "empty").expect("a root file system");
    fs::create_dir_all(lab.path("full/inside")).expect("directories");
    fs::write(lab.path("file"), "").expect("a file");
    fs::create_dir(lab.path("elsewhere")).expect("a directory");
    link("elsewhere", lab.path("link")).expect("a link");
    for name in ["full", "file", "link", "empty"] {
        let error = lab.flat(&image, name).expect_err("something is there");
        assert!(matches!(error, UnpackError::Target { .. }), "{error}");
    }
    assert_eq!(lab.beside(), ["elsewhere", "empty", "file", "full", "link"]);
    assert!(fs::read_dir(lab.path("elsewhere")).expect("a list").next().is_none());
}

/// Each of these images can not be unpacked, and leaves nothing, neither here nor among snapshots.
#[test]
fn what_goes_wrong_leaves_nothing() {
    let lab = Lab::new();
    let good = archive([directory("d"), file("d/f", vec![1; 100_000])]);
    let bomb = archive((0..2000).map(|number| file(format!("bomb-{number}"), vec![0; 20_000])));
    let mut cut = good.clone();
    cut.truncate(60_000);
    let other = lab.image_of("other", vec![good.clone(), good.clone()], |number, diff_id| {
        if number == 1 {
            *diff_id = format!("sha256:{}", "0".repeat(64));
        }
    });
    let large = lab.image_of("large", vec![good.clone(), bomb], |_, _| {});
    let broken = lab.image_of("broken", vec![good, cut], |_, _| {});
    let small = Unpack::new().limits(Limits { uncompressed: 1 << 20, ..Limits::default() });
    for (image, expected) in
        [(&other, "the image's config says"), (&large, "uncompressed bytes"), (&broken, "it ends in")]
    {
        let flat = small.flat(&lab.store, image, &lab.path("rootfs")).expect_err("it is wrong");
        assert!(matches!(flat, UnpackError::Layer { .. }) && flat.to_string().contains(expected), "{flat}");
        assert!(lab.beside().is_empty());
        let snapshots = lab.snapshots();
        let taken = small.take(&snapshots, &lab.store, image).expect_err("it is wrong");
        assert!(taken.to_string().contains(expected), "{taken}");
        // The first layer may be whole.
        let left = facts(&lab.path("snapshots"));
        let left: Vec<_> = left.keys().filter(|path| path.components().count() == 3).collect();
        assert!(left.iter().all(|path| path.to_string_lossy().contains(image.layers[0].chain_id.digest())), "{left:?}");
        snapshots.gc_except(&Default::default()).expect("they can be removed");
        fs::remove_dir_all(lab.path("snapshots")).expect("they can be removed");
    }
}

#[test]
fn a_layer_that_was_not_pulled_is_missed_before_anything_is_made() {
    let lab = Lab::new();
    let image = lab.image("absent", [vec![file("f", "x")], vec![file("g", "x")]]);
    lab.store.remove(image.layers[1].descriptor.digest()).expect("it can be removed");
    let error = lab.flat(&image, "rootfs").expect_err("a layer is missing");
    assert!(matches!(error, UnpackError::Store(StoreError::NoBlob(_))), "{error}");
    assert!(lab.take(&image).is_err());
}

#[test]
fn it_is_told_how_far_it_is() {
    let lab = Lab::new();
    // Not to be compressed.
    let mut noise = vec![0; 5 << 20];
    let mut state = 1_u64;
    noise.iter_mut().for_each(|byte| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *byte = (state >> 56) as u8;
    });
    let image = lab.image("large", [vec![file("f", noise)], vec![file("g", "x")]]);
    let seen = Mutex::new(Vec::new());
    let see = |progress: Progress| seen.lock().expect("no panic").push(progress);
    let unpack = Unpack::new().progress(see);
    unpack.flat(&lab.store, &image, &lab.path("rootfs")).expect("a root file system");
    let flat = std::mem::take(&mut *seen.lock().expect("no panic"));
    let snapshots = lab.snapshots();
    unpack.take(&snapshots, &lab.store, &image).expect("layers");
    let taken = std::mem::take(&mut *seen.lock().expect("no panic"));
    for told in [flat, taken] {
        for (number, layer) in image.layers.iter().enumerate() {
            let of_layer: Vec<_> = told.iter().filter(|progress| progress.layer == number).collect();
            assert!(of_layer.is_sorted_by_key(|progress| (progress.read, progress.done)));
            let last = of_layer.last().expect("it was told");
            assert!(last.done && last.read == layer.descriptor.size() && last.size == last.read, "{last:?}");
        }
        assert!((4..10).contains(&told.iter().filter(|progress| progress.layer == 0).count()), "{told:?}");
    }
    unpack.take(&snapshots, &lab.store, &image).expect("layers");
    let again = seen.lock().expect("no panic");
    assert!(again.len() == 2 && again.iter().all(|progress| progress.done), "{again:?}");
}

#[test]
fn cancelled_it_leaves_nothing() {
    let lab = Lab::new();
    let large = || vec![file("f", (0..4_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>())];
    let image = lab.image("large", [large(), large(), large()]);
    // At the first thing that is told.
    let unpack = || {
        let cancel = Cancel::default();
        Unpack::new().cancel(cancel.clone()).progress(move |_| cancel.cancel())
    };
    let error = unpack().flat(&lab.store, &image, &lab.path("rootfs")).expect_err("it was cancelled");
    assert!(matches!(error, UnpackError::Cancelled), "{error}");
    assert!(lab.beside().is_empty());
    let error = unpack().take(&lab.snapshots(), &lab.store, &image).expect_err("it was cancelled");
    assert!(matches!(error, UnpackError::Cancelled), "{error}");
    let taken = lab.take(&image).expect("layers");
    assert_eq!(taken.directories().len(), 3);
}

#[test]
fn what_may_not_be_set_is_told() {
    let lab = Lab::new();
    let image = lab.image("owned", [vec![file("f", "x").owner(77, 88)], vec![file("g", "x").owner(77, 88)]]);
    let unpacked = lab.flat(&image, "rootfs").expect("a root file system");
    let expected = if root() && !crate::lab::in_a_user_namespace() { None } else { Some(&2) };
    assert_eq!(unpacked.counts.not_applied.get(&Reason::Owner), expected);
    assert_eq!(lab.take(&image).expect("layers").counts().not_applied.get(&Reason::Owner), expected);
}

/// Deeper than there are descriptors, and deeper than a path may be: what is refused can still be removed.
#[test]
fn however_deep_it_is_it_can_be_removed() {
    let lab = Lab::new();
    let deep = "d/".repeat(1500);
    let image = lab.image("deep", [vec![directory(&deep), file("f", "")]]);
    lab.flat(&image, "rootfs").expect("a root file system");
    let layers = vec![
        vec![directory(&deep)],
        vec![directory(format!("{}{}/{}", "d/".repeat(1900), "e".repeat(255), "f".repeat(30)))],
    ];
    let image = lab.image("deeper", layers);
    let error = lab.flat(&image, "deeper").expect_err("no path is so long");
    assert!(matches!(error, UnpackError::Layer { why: LayerError::Io { .. }, .. }), "{error}");
    assert_eq!(lab.beside(), ["rootfs"]);
    let gone = lab.image("gone", [vec![directory(&deep)], vec![crate::archive::whiteout(".wh.d")]]);
    lab.flat(&gone, "gone").expect("a root file system");
    assert!(crate::lab::names(&lab.path("gone")).is_empty());
    fs::set_permissions(lab.path("rootfs"), fs::Permissions::from_mode(0o755)).expect("a mode");
}
