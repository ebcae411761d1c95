//! What makes a directory an image layout (image-spec, image-layout.md, "oci-layout file").

use std::fs;
use std::io::ErrorKind;

use oci_spec::image::OciLayout;

use super::files::{make_directory, read_bounded};
use super::{How, OWN, Store, StoreError};
use crate::error::During;

/// The version of the layout that is read and written here.
const VERSION: &str = "1.0.0";
/// `index.json` of a store without names.
const NO_NAMES: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
/// What a layout that is not finished may have: whoever makes it can be killed before `oci-layout`, which comes last.
const PARTS: [&str; 4] = [OWN, "blobs", "index.json", "oci-layout"];
/// `oci-layout` has some 30 bytes.
const MAX_LAYOUT: u64 = 4096;

impl Store {
    /// Whether there is an `oci-layout`.
    pub(super) fn is_layout(&self) -> Result<bool, StoreError> {
        let path = self.root.join("oci-layout");
        let Some(bytes) = read_bounded(&path, MAX_LAYOUT)? else { return Ok(false) };
        let layout: OciLayout =
            serde_json::from_slice(&bytes).map_err(|error| self.refuse(format!("oci-layout: {error}")))?;
        match layout.image_layout_version().as_str() {
            VERSION => Ok(true),
            other => Err(self.refuse(format!("it has version {other:?}, and only {VERSION} is known here"))),
        }
    }

    /// Refuses a directory that has anything in it but parts of a layout.
    pub(super) fn is_ours_to_make(&self) -> Result<(), StoreError> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.during("list", &self.root)?,
        };
        for entry in entries {
            let name = entry.during("list", &self.root)?.file_name();
            if !PARTS.iter().any(|part| name == *part) {
                return Err(self.refuse(format!("it has no oci-layout, and {name:?} in it")));
            }
        }
        Ok(())
    }

    /// Makes what is missing. `oci-layout`, which says that it is a layout, comes last.
    pub(super) fn make(&self) -> Result<(), StoreError> {
        make_directory(&self.root.join("blobs/sha256"))?;
        let _shared = self.share()?;
        // Of two who begin at once, the second must not empty the index of the first.
        let _index = self.lock("index.lock", How::Exclusive)?;
        if !self.index_path().exists() {
            self.replace(&self.index_path(), NO_NAMES)?;
        }
        if !self.is_layout()? {
            self.replace(&self.root.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        Ok(())
    }

    fn refuse(&self, why: String) -> StoreError {
        StoreError::Layout { path: self.root.clone(), why }
    }
}
