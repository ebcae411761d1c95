//! Which manifest of an index is for which platform (image-spec, image-index.md).

use oci_spec::image::{Arch, Descriptor, ImageIndex, Os, Platform, PlatformBuilder};

/// The platform of this machine, in the words of Go, as images have them.
///
/// # Panics
/// Never: both fields that a platform must have are set.
pub fn here() -> Platform {
    let mut builder = PlatformBuilder::default().os(Os::Linux).architecture(match std::env::consts::ARCH {
        "x86_64" => Arch::Amd64,
        "aarch64" => Arch::ARM64,
        "arm" => Arch::ARM,
        "powerpc64" => Arch::PowerPC64le,
        other => Arch::from(other),
    });
    if std::env::consts::ARCH == "arm" {
        builder = builder.variant("v7");
    }
    builder.build().expect("an operating system and an architecture")
}

/// `os/architecture`, with `/variant` where there is one: what `--platform` takes.
pub fn platform_words(platform: &Platform) -> String {
    let mut words = format!("{}/{}", platform.os(), platform.architecture());
    if let Some(variant) = platform.variant() {
        words.push('/');
        words.push_str(variant);
    }
    words
}

/// The first manifest of an index that is for this platform; one that says the variant before one that does not. An entry without a
/// platform is for any, where no other fits.
pub fn choose<'a>(index: &'a ImageIndex, platform: &Platform) -> Option<&'a Descriptor> {
    let rated = index.manifests().iter().filter_map(|entry| Some((rank(entry, platform)?, entry)));
    rated.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry)
}

/// How well an entry fits, 0 best; none where it does not.
fn rank(entry: &Descriptor, wanted: &Platform) -> Option<u8> {
    let Some(offered) = entry.platform() else { return Some(3) };
    if offered.os() != wanted.os() || offered.architecture() != wanted.architecture() {
        return None;
    }
    // For arm64, v8 is what no variant means.
    let plain = |platform: &Platform| {
        platform.variant().clone().filter(|variant| !(*platform.architecture() == Arch::ARM64 && variant == "v8"))
    };
    match (plain(offered), plain(wanted)) {
        (offered, wanted) if offered == wanted => Some(0),
        (None, Some(_)) => Some(1),
        // Whoever asks for no variant takes any.
        (Some(_), None) => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[&str]) -> ImageIndex {
        let entries: Vec<String> = platforms
            .iter()
            .enumerate()
            .map(|(number, platform)| {
                let mut parts = platform.split('/');
                let mut next = || parts.next().filter(|part| !part.is_empty());
                let platform = next().map_or(String::new(), |os| {
                    let architecture = next().unwrap_or_default();
                    let variant = next().map_or(String::new(), |variant| format!(r#","variant":"{variant}""#));
                    format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"{variant}}}"#)
                });
                let kind = "application/vnd.oci.image.manifest.v1+json";
                format!(r#"{{"mediaType":"{kind}","size":{number},"digest":"sha256:{number:064x}"{platform}}}"#)
            })
            .collect();
        let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
        serde_json::from_str(&text).expect("an index")
    }

    fn platform(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let mut builder = PlatformBuilder::default().os(Os::from(os)).architecture(Arch::from(architecture));
        if let Some(variant) = variant {
            builder = builder.variant(variant);
        }
        builder.build().expect("a platform")
    }

    fn chosen(offered: &[&str], wanted: &Platform) -> Option<u64> {
        choose(&index(offered), wanted).map(Descriptor::size)
    }

    #[test]
    fn os_and_architecture_must_be_the_same() {
        let amd64 = platform("linux", "amd64", None);
        assert_eq!(chosen(&["windows/amd64", "linux/arm64", "linux/amd64"], &amd64), Some(2));
        assert_eq!(chosen(&["windows/amd64", "linux/arm64"], &amd64), None);
        assert_eq!(chosen(&[], &amd64), None);
    }

    #[test]
    fn the_same_variant_comes_before_none_and_none_before_an_entry_for_all() {
        let v7 = platform("linux", "arm", Some("v7"));
        assert_eq!(chosen(&["", "linux/arm", "linux/arm/v6", "linux/arm/v7"], &v7), Some(3));
        assert_eq!(chosen(&["", "linux/arm", "linux/arm/v6"], &v7), Some(1));
        assert_eq!(chosen(&["", "linux/arm/v6"], &v7), Some(0));
        assert_eq!(chosen(&["linux/arm64/v8"], &platform("linux", "arm64", None)), Some(0));
    }
}
