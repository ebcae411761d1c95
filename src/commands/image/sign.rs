//! Signatures of images, and the keys for them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hardway::explain::Explanation;
use rootfs_fetch::image::Digest;
use rootfs_fetch::sign::{self, PublicKey, SecretKey};

use super::{What, find, open};
use crate::cli::image::{Place, Sign};
use crate::commands::say;

/// `hardway image keygen`.
pub fn keygen(file: &Path) -> Result<ExitCode, Explanation> {
    let what = "The keys can not be made";
    let key = SecretKey::generate().what(what)?;
    let public = with_ending(file, ".pub");
    // No key that is in use is lost by a slip, and nobody but the owner reads a new one, not for a moment.
    for (path, mode, text) in [(with_ending(file, ".key"), 0o600, key.to_pem()), (public, 0o644, key.public().to_pem())]
    {
        let mut written = fs::OpenOptions::new();
        let written = written.write(true).create_new(true).mode(mode).open(&path);
        written
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| Explanation::new(what, format!("{}: {error}", path.display()), "name other files"))?;
        say(&path.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// `hardway image sign`.
pub fn sign(options: &Sign) -> Result<ExitCode, Explanation> {
    let what = format!("{} can not be signed", options.name);
    let store = open(&options.place)?;
    let image = find(&store, &options.name)?;
    let key = SecretKey::from_pem(&read(&options.key, &what)?).what(&what)?;
    let name = name_of_signatures(&options.name, image.digest());
    let others = store.resolve(&name).what(&what)?;
    let reference = options.reference.as_deref().unwrap_or(&options.name);
    let signed = sign::sign(&store, (&image, reference), others.as_ref(), &key).what(&what)?;
    store.tag(&name, &signed).what(&what)?;
    say(&format!("{name}: {}", signed.digest()));
    Ok(ExitCode::SUCCESS)
}

/// `hardway image verify NAME --key FILE`.
pub fn verify(name: &str, key: &Path, place: &Place) -> Result<ExitCode, Explanation> {
    let what = format!("{name} can not be trusted");
    let store = open(place)?;
    let image = find(&store, name)?;
    let key = PublicKey::from_pem(&read(key, &what)?).what(&what)?;
    let signatures = name_of_signatures(name, image.digest());
    let signed = store.resolve(&signatures).what(&what)?.ok_or_else(|| {
        let fix = format!("pull them, if its registry has any: hardway image pull {signatures}");
        Explanation::new(&what, "the store has no signatures of it", fix)
    })?;
    // A signature is of a digest, and what that leads to is read with it computed anew.
    store.document(image.digest()).what(&what)?;
    for payload in sign::verify(&store, image.digest(), &signed, &key).what(&what)? {
        say(&format!("{} is signed as {}", image.digest(), payload.reference()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the signatures of an image are kept: in its repository, by the tag that cosign gives them.
fn name_of_signatures(name: &str, image: &Digest) -> String {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    // A colon before a slash is a port's.
    let repository = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    format!("{repository}:{}", sign::tag(image))
}

fn read(file: &Path, what: &str) -> Result<Vec<u8>, Explanation> {
    fs::read(file)
        .map_err(|error| Explanation::new(what, format!("{}: {error}", file.display()), "name the key's file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_in_the_repository_of_the_image() {
        let digest = rootfs_fetch::image::digest_of(b"");
        let tag = sign::tag(&digest);
        for (name, repository) in [
            ("web", "web"),
            ("web:1", "web"),
            ("localhost:5000/web", "localhost:5000/web"),
            ("localhost:5000/a/web:1", "localhost:5000/a/web"),
            ("localhost:5000/web@sha256:00", "localhost:5000/web"),
        ] {
            assert_eq!(name_of_signatures(name, &digest), format!("{repository}:{tag}"), "{name}");
        }
    }
}
