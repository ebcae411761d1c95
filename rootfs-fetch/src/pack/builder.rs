//! Puts an image together.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::{Map, json};

use super::config::{Config, Execution, History, rfc3339};
use super::format::{Format, put, put_document};
use super::{PackError, PackedLayer};
use crate::image::{Descriptor, Platform};
use crate::store::{Image, MAX_CONFIG, Store, StoreError};

/// When an image was created of which nobody says when: always the same.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// Puts an image together: its layers, and the config that says how they came to be and what is run in a container of it.
///
/// What was put in in the same order is the same bytes.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    store: Store,
    config: Config,
    execution: Execution,
    history: Vec<History>,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
    created: String,
    author: Option<String>,
}

impl ImageBuilder {
    /// Begins with nothing, for this platform.
    pub fn new(store: &Store, platform: &Platform) -> Self {
        let config = Config {
            architecture: platform.architecture().to_string(),
            os: platform.os().to_string(),
            variant: platform.variant().clone(),
            ..Config::default()
        };
        Self {
            store: store.clone(),
            config,
            execution: Execution::default(),
            history: Vec::new(),
            layers: Vec::new(),
            annotations: BTreeMap::new(),
            created: CREATED.into(),
            author: None,
        }
    }

    /// Begins with an image of the store: with its layers, its history and all of its config. The annotations of its manifest, which are
    /// about that image, are left behind.
    ///
    /// # Errors
    /// [`PackError::Store`] where its config can not be read; [`PackError::Image`] where its history tells of other layers.
    pub fn on(store: &Store, image: &Image) -> Result<Self, PackError> {
        let digest = image.manifest.config().digest();
        let bytes = store.small(digest, MAX_CONFIG)?;
        let mut config: Config = serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Config { digest: digest.clone(), why: error.to_string() })?;
        let execution = config.config.take().unwrap_or_default();
        let mut history = config.history.take().unwrap_or_default();
        let (layers, told) = (image.layers.len(), history.iter().filter(|entry| !entry.empty_layer).count());
        if told > layers {
            let why = format!("the history of {digest} tells of {told} layers, and it has {layers}");
            return Err(PackError::Image(why));
        }
        // A history need not be there; where it is, it is of all layers.
        history.extend(std::iter::repeat_n(History::default(), layers - told));
        Ok(Self {
            store: store.clone(),
            author: config.author.clone(),
            config,
            execution,
            history,
            layers: image.layers.iter().map(|layer| layer.descriptor.clone()).collect(),
            annotations: BTreeMap::new(),
            created: CREATED.into(),
        })
    }

    /// When the image is created, and what is added from here on: 1970 otherwise.
    ///
    /// # Errors
    /// [`PackError::Image`] for a time that RFC 3339 has no date for, or before 1970.
    pub fn created(self, time: SystemTime) -> Result<Self, PackError> {
        Ok(Self { created: rfc3339(time)?, ..self })
    }

    /// Who makes the image, and what is added from here on.
    #[must_use]
    pub fn author(self, author: impl Into<String>) -> Self {
        Self { author: Some(author.into()), ..self }
    }

    /// Adds a layer on top, and to the history by what it was made.
    #[must_use]
    pub fn layer(mut self, layer: &PackedLayer, created_by: impl Into<String>) -> Self {
        let kind = layer.compression.media_type();
        self.layers.push(Descriptor::new(kind, layer.size, layer.digest.clone()));
        self.config.rootfs.diff_ids.push(layer.diff_id.to_string());
        self.tell(created_by.into(), false)
    }

    /// Adds to the history what changed the config and no file, such as `ENV A=b`.
    #[must_use]
    pub fn history(self, created_by: impl Into<String>) -> Self {
        self.tell(created_by.into(), true)
    }

    fn tell(mut self, created_by: String, empty_layer: bool) -> Self {
        self.history.push(History {
            created: Some(self.created.clone()),
            author: self.author.clone(),
            created_by: Some(created_by),
            empty_layer,
            other: BTreeMap::new(),
        });
        self
    }

    /// A variable of the environment; in the place of one with the same name.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        let all = self.execution.env.get_or_insert_default();
        let entry = format!("{name}={value}");
        match all.iter_mut().find(|entry| entry.split_once('=').is_some_and(|(found, _)| found == name)) {
            Some(found) => *found = entry,
            None => all.push(entry),
        }
        self
    }

    /// The command, or the arguments of the entrypoint, for who gives no others.
    #[must_use]
    pub fn cmd<S: Into<String>>(mut self, cmd: impl IntoIterator<Item = S>) -> Self {
        self.execution.cmd = Some(cmd.into_iter().map(Into::into).collect());
        self
    }

    /// What is run with the command as its arguments.
    #[must_use]
    pub fn entrypoint<S: Into<String>>(mut self, entrypoint: impl IntoIterator<Item = S>) -> Self {
        self.execution.entrypoint = Some(entrypoint.into_iter().map(Into::into).collect());
        self
    }

    /// The directory in which that begins.
    #[must_use]
    pub fn working_dir(mut self, directory: impl Into<String>) -> Self {
        self.execution.working_dir = Some(directory.into());
        self
    }

    /// Who runs it: a user or uid, and after a colon a group or gid.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.execution.user = Some(user.into());
        self
    }

    /// A port at which it listens: `80/tcp`, `53/udp`, or a number alone for TCP.
    #[must_use]
    pub fn expose(mut self, port: impl Into<String>) -> Self {
        self.execution.exposed_ports.get_or_insert_default().insert(port.into(), Map::new());
        self
    }

    /// A directory whose contents are of the container and not of the image.
    #[must_use]
    pub fn volume(mut self, path: impl Into<String>) -> Self {
        self.execution.volumes.get_or_insert_default().insert(path.into(), Map::new());
        self
    }

    /// The signal that asks it to end, such as `SIGTERM`.
    #[must_use]
    pub fn stop_signal(mut self, signal: impl Into<String>) -> Self {
        self.execution.stop_signal = Some(signal.into());
        self
    }

    /// Something about the image, in the config, where containers have it too.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.execution.labels.get_or_insert_default().insert(name.into(), value.into());
        self
    }

    /// Something about the image, in the manifest, where a registry can show it. Docker's has no place for that.
    #[must_use]
    pub fn annotation(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(name.into(), value.into());
        self
    }

    /// Writes the config and the manifest, and returns the manifest's descriptor, with its platform.
    ///
    /// # Errors
    /// [`PackError::Image`] for what the format can not say: of Docker's, zstd and annotations; [`PackError::Store`], also where it has not
    /// all layers.
    pub fn write(self, format: Format) -> Result<Descriptor, PackError> {
        let mut layers = self.layers;
        for layer in &mut layers {
            layer.set_media_type(format.layer(layer.media_type())?);
        }
        if format == Format::Docker && !self.annotations.is_empty() {
            return Err(PackError::Image("Docker's manifests have no annotations; labels are for that".into()));
        }
        let mut platform = Platform::default();
        platform.set_architecture(self.config.architecture.as_str().into());
        platform.set_os(self.config.os.as_str().into());
        platform.set_variant(self.config.variant.clone());
        let config = Config {
            created: Some(self.created),
            author: self.author,
            config: Some(self.execution),
            history: Some(self.history),
            ..self.config
        };
        let config = put(&self.store, format.config(), &config, MAX_CONFIG)?;
        let kind = format.manifest();
        let mut manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        let mut descriptor = put_document(&self.store, kind, &manifest)?;
        descriptor.set_platform(Some(platform));
        Ok(descriptor)
    }
}

/// Writes an index of these manifests, or Docker's manifest list, and returns its descriptor.
///
/// # Errors
/// [`PackError::Image`] for a manifest list with something other than Docker's manifests, or one without a platform; [`PackError::Store`],
/// also where it has not all of them.
pub fn index(store: &Store, manifests: &[Descriptor], format: Format) -> Result<Descriptor, PackError> {
    if format == Format::Docker {
        for manifest in manifests {
            if *manifest.media_type() != format.manifest() || manifest.platform().is_none() {
                let why = "a manifest list has Docker's manifests, each for a platform, and";
                return Err(PackError::Image(format!("{why} {} is none", manifest.digest())));
            }
        }
    }
    let kind = format.index();
    put_document(store, kind.clone(), &json!({"schemaVersion": 2, "mediaType": kind, "manifests": manifests}))
}
