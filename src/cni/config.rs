//! Network configurations (section 1): a list of plugins under one name, read and checked before anything is run.

pub mod load;

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::shown;
use super::json::Object;
use super::names;
use super::result::AddResult;
use super::version::{self, Version};
use crate::explain::Explanation;

/// The longest file that is read, in bytes.
pub const MAX_FILE: usize = 1 << 20;
/// The most plugins of a network.
pub const MAX_PLUGINS: usize = 64;
/// The most versions that a configuration may list.
const MAX_VERSIONS: usize = 64;

/// Of a network attachment, what all containers have in common.
#[derive(Clone, Debug)]
pub struct NetworkList {
    /// The network's name.
    pub name: String,
    /// The version in which its plugins are spoken to: the highest of `cniVersion` and `cniVersions` that this runner knows.
    pub version: Version,
    /// CHECK must not be run.
    pub disable_check: bool,
    /// GC must not be run.
    pub disable_gc: bool,
    /// Only the plugins of the list itself count, and none from the directory of the network's name.
    pub load_only_inlined_plugins: bool,
    /// In the order of ADD.
    pub plugins: Vec<Plugin>,
}

/// The configuration of one plugin.
#[derive(Clone, Debug)]
pub struct Plugin {
    /// The name of its program.
    pub kind: String,
    /// The capabilities that it declares: what of the runtime's arguments it wants to be given.
    pub capabilities: Vec<String>,
    /// All of it, as it was written.
    object: Object,
}

/// What the runner adds to a plugin's configuration.
#[derive(Debug, Default)]
pub struct Added<'a> {
    /// Arguments of the runtime by capability; a plugin is given those that it declares.
    pub capabilities: Option<&'a BTreeMap<String, Value>>,
    /// The result of the plugin before, or of ADD.
    pub prev_result: Option<&'a AddResult>,
    /// The attachments that are still valid, for GC.
    pub valid: Option<&'a [ValidAttachment]>,
}

/// An attachment as GC names it (section 2, GC).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ValidAttachment {
    /// `CNI_CONTAINERID` of its ADD.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// `CNI_IFNAME` of its ADD.
    pub ifname: String,
}

impl NetworkList {
    /// Reads a list, or the configuration of a single plugin, which becomes a list of one (the form before 1.0.0). `origin` is what errors
    /// name. A list may be without plugins here: they may come from elsewhere ([`load`]).
    ///
    /// # Errors
    /// What is wrong, why, and what would be right.
    pub fn parse(text: &[u8], origin: &str) -> Result<Self, Explanation> {
        let bad = |why: String, fix: &str| {
            // Parts of the text are in it, as long as they are.
            Explanation::new(format!("{} is no network configuration", origin.escape_debug()), shown(&why), fix)
        };
        if text.len() > MAX_FILE {
            return Err(bad(format!("it has more than {MAX_FILE} bytes"), "make it shorter"));
        }
        let object = Object::parse(text).map_err(|error| {
            let why = format!("it is no JSON object: {}", error.to_string().escape_debug());
            bad(why, "a list has cniVersion, name and plugins: [{ \"type\": … }]")
        })?;
        let name: Option<String> = object.get("name").map_err(|why| bad(why, "give the network's name as text"))?;
        let name = name.ok_or_else(|| bad("it has no `name`".into(), "add \"name\": \"…\""))?;
        names::network(&name).map_err(|it| bad(format!("{}: {}", it.what, it.why), &it.fix))?;
        let version = selected(&object).map_err(|why| bad(why, &format!("known are {}", Version::list())))?;
        let flag = |key| flag(&object, key).map_err(|why| bad(why, "write true or false"));
        let load_only_inlined_plugins = flag("loadOnlyInlinedPlugins")?;
        let inlined: Option<Vec<Object>> = object.get("plugins").map_err(|why| {
            let fix = "`plugins` is a list of objects, each with a `type`";
            bad(why, fix)
        })?;
        let objects = match inlined {
            Some(objects) if objects.is_empty() => return Err(bad("`plugins` is empty".into(), "add a plugin")),
            Some(objects) => objects,
            None if object.text("type").is_some() => vec![object.clone()],
            None if load_only_inlined_plugins => {
                let why = "`loadOnlyInlinedPlugins` is true, and there are no `plugins`".to_owned();
                return Err(bad(why, "add plugins, or take loadOnlyInlinedPlugins away"));
            }
            None => Vec::new(),
        };
        let mut list = Self {
            name,
            version,
            disable_check: flag("disableCheck")?,
            disable_gc: flag("disableGC")?,
            load_only_inlined_plugins,
            plugins: Vec::new(),
        };
        let number = |at: usize| move |(why, fix): (String, String)| bad(format!("plugin {}: {why}", at + 1), &fix);
        for (at, object) in objects.into_iter().enumerate() {
            list.push(object).map_err(number(at))?;
        }
        Ok(list)
    }

    /// Appends a plugin.
    fn push(&mut self, object: Object) -> Result<(), (String, String)> {
        if self.plugins.len() >= MAX_PLUGINS {
            return Err((format!("there are more than {MAX_PLUGINS} of them"), "take some away".into()));
        }
        self.plugins.push(Plugin::new(object)?);
        Ok(())
    }

    /// All of it as one list, with the plugins that came from elsewhere, as it is kept for DEL.
    pub fn to_text(&self) -> String {
        let plugins: Vec<&Object> = self.plugins.iter().map(|plugin| &plugin.object).collect();
        let flags = [("disableCheck", self.disable_check), ("disableGC", self.disable_gc)];
        let mut object = Object::default();
        let texts = [("cniVersion", self.version.as_str()), ("name", &self.name)];
        texts.iter().for_each(|(key, value)| object.set(key, value));
        flags.iter().filter(|(_, is)| *is).for_each(|(key, is)| object.set(key, is));
        object.set("loadOnlyInlinedPlugins", &true);
        object.set("plugins", &plugins);
        object.to_text()
    }

    /// The configuration that a plugin is given (section 3, deriving request configuration): its own, with the network's name and version
    /// first, and with what belongs to the request.
    pub fn request(&self, plugin: &Plugin, added: &Added<'_>) -> String {
        let mut object = Object::default();
        object.set("cniVersion", &self.version);
        object.set("name", &self.name);
        let ours = |key: &str| {
            ["cniVersion", "name", "capabilities", "runtimeConfig", "prevResult"].contains(&key)
                || key.starts_with("cni.dev/")
        };
        let mut own = plugin.object.clone();
        own.remove(ours);
        object.append(own);
        let wanted: BTreeMap<&str, &Value> =
            plugin.capabilities.iter().filter_map(|key| Some((key.as_str(), added.capabilities?.get(key)?))).collect();
        if !wanted.is_empty() {
            object.set("runtimeConfig", &wanted);
        }
        if let Some(result) = added.prev_result {
            object.set("prevResult", result);
        }
        if let Some(valid) = added.valid {
            object.set("cni.dev/valid-attachments", &valid);
            // The first release of libcni with GC wrote this name, and plugins built with it read no other: they would take every
            // address that is in use for a stale one.
            object.set("cni.dev/attachments", &valid);
        }
        object.to_text()
    }
}

impl Plugin {
    /// What is wrong with it, and what would be right, as two sentences.
    fn new(object: Object) -> Result<Self, (String, String)> {
        let fix = |fix: &'static str| move |why: String| (why, fix.to_owned());
        let kind: Option<String> = object.get("type").map_err(fix("give the name of the plugin's program as text"))?;
        let kind =
            kind.ok_or_else(|| fix("add \"type\": \"…\", the name of its program")("it has no `type`".into()))?;
        names::plugin(&kind).map_err(|it| (format!("{}: {}", it.what, it.why), it.fix))?;
        let declared: Option<BTreeMap<String, bool>> =
            object.get("capabilities").map_err(fix("write it as {\"portMappings\": true}"))?;
        let capabilities =
            declared.unwrap_or_default().into_iter().filter(|(_, has)| *has).map(|(key, _)| key).collect();
        Ok(Self { kind, capabilities, object })
    }
}

/// The highest version that both the configuration and this runner know (section 1, version considerations).
fn selected(object: &Object) -> Result<Version, String> {
    let one: Option<String> = object.get("cniVersion")?;
    let several: Option<Vec<String>> = object.get("cniVersions")?;
    if several.as_ref().is_some_and(|several| several.len() > MAX_VERSIONS) {
        return Err(format!("`cniVersions` lists more than {MAX_VERSIONS} versions"));
    }
    let all: Vec<String> = one.into_iter().chain(several.into_iter().flatten()).collect();
    if all.is_empty() {
        return Err("it has no `cniVersion`".to_owned());
    }
    if let Some(bad) = all.iter().find(|text| !version::is_semantic(text)) {
        return Err(format!("`{}` is no version, as `1.0.0` is one", bad.escape_debug()));
    }
    let known = all.iter().filter_map(|text| text.parse().ok()).max();
    known.ok_or_else(|| format!("of its versions, {}, none is known here", all.join(", ")))
}

/// A boolean; `"true"` as text is one too, as libcni has it.
fn flag(object: &Object, key: &str) -> Result<bool, String> {
    match object.get::<Value>(key)? {
        None => Ok(false),
        Some(Value::Bool(is)) => Ok(is),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(format!("`{key}` is neither true nor false")),
    }
}

#[cfg(test)]
mod tests;
