//! A network configuration carried out (section 3): its plugins one after the other, each with what the one before made.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::attachment::Attachment;
use super::cache::{Cache, Found};
use super::config::{Added, NetworkList, Plugin, ValidAttachment};
use super::error::{ErrorObject, Failure, shown};
use super::exchange::{Command, Exchange, Plugins, garbage};
use super::names;
use super::result::AddResult;
use super::version::Version;
use crate::explain::Explanation;
use crate::kernel::namespace::is_namespace;

/// Runs the plugins of networks, and keeps what they answered.
#[derive(Clone, Debug)]
pub struct Runner {
    /// How plugins are found and run.
    pub plugins: Plugins,
    /// Where attachments are kept.
    pub cache: Cache,
}

/// Whether the plugins were asked at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of them said that it is well.
    Yes,
    /// None of them, and why.
    No(String),
}

/// Which attachments are still valid, for GC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Valid {
    /// These.
    Given(Vec<ValidAttachment>),
    /// Those that are kept and whose network namespace is still there.
    Living,
}

/// What GC came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The attachments that were kept and not valid; DEL was run for each.
    pub stale: Vec<ValidAttachment>,
    /// Those that are.
    pub valid: Vec<ValidAttachment>,
    /// Whether the plugins were asked to collect.
    pub asked: Asked,
}

/// Which versions a plugin supports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Support {
    /// Its type.
    pub plugin: String,
    /// As it says.
    pub versions: Vec<String>,
    /// Whether the list's own is among them.
    pub fits: bool,
}

/// What each exchange is told to, as it happens.
pub type Tell<'a> = &'a mut dyn FnMut(Exchange);

impl Runner {
    /// ADD: attaches a container. The plugins run in order, each with the result of the one before as `prevResult`; the last result is
    /// kept. That ADD was begun is kept before any is run: whatever ends this process, DEL and GC know of the attachment. Where one fails,
    /// DEL is run in reverse order for those that were run, that one included, since it may have done half of its work.
    ///
    /// # Errors
    /// What may not be said to a plugin; that the attachment is there already; the first error of a plugin, and behind it those of taking back.
    pub fn add(&self, list: &NetworkList, attachment: &Attachment, tell: Tell<'_>) -> Result<AddResult, Failure> {
        attachment.check()?;
        if attachment.netns.is_none() {
            return Err(
                Explanation::new("ADD needs a network namespace", "none was named", "name one with --netns").into()
            );
        }
        if list.plugins.is_empty() {
            let why = format!("the network {} has no plugin", list.name);
            return Err(Explanation::new("Nothing can be added", why, "add plugins to its configuration").into());
        }
        // All are found before any is run, so that nothing has to be taken back for one that is not there.
        for plugin in &list.plugins {
            self.plugins.find(&plugin.kind)?;
        }
        let _lock = self.cache.lock_container(&attachment.container_id)?;
        self.is_free(list, attachment)?;
        self.cache.keep(list, attachment, None)?;
        let mut result = None;
        for (at, plugin) in list.plugins.iter().enumerate() {
            match self.add_one(list, plugin, attachment, result.as_ref(), tell) {
                Ok(next) => result = Some(next),
                Err(failure) => return Err(self.taken_back(failure, list, at, attachment, result.as_ref(), tell)),
            }
        }
        let result = result.unwrap_or_default();
        match self.cache.keep(list, attachment, Some(&result)) {
            Ok(()) => Ok(result),
            Err(explanation) => {
                let last = list.plugins.len().saturating_sub(1);
                Err(self.taken_back(explanation.into(), list, last, attachment, Some(&result), tell))
            }
        }
    }

    /// A second ADD would fail in the plugins, and taking back what it did would end the first (section 2, ADD).
    fn is_free(&self, list: &NetworkList, attachment: &Attachment) -> Result<(), Explanation> {
        let (id, ifname) = (&attachment.container_id, &attachment.ifname);
        let why = match self.cache.find(&list.name, attachment)? {
            Found::Nothing => return Ok(()),
            Found::Entry(entry) if entry.result.is_some() => "its result is kept from an ADD without a DEL".to_owned(),
            Found::Entry(_) => "an ADD was begun, and neither ended well nor was all of it taken back".to_owned(),
            Found::Other => {
                "network, container and interface of another attachment become the same name of a file".to_owned()
            }
            Found::Broken(why) => format!("what is kept of it can not be used: {}", shown(&why)),
        };
        Err(Explanation::new(
            format!("{ifname} of container {id} can not be added to the network {}", list.name),
            why,
            format!(
                "hardway cni del --net {} --id {id} --ifname {ifname} takes away what is there; or take another id",
                list.name
            ),
        ))
    }

    fn add_one(
        &self,
        list: &NetworkList,
        plugin: &Plugin,
        attachment: &Attachment,
        previous: Option<&AddResult>,
        tell: Tell<'_>,
    ) -> Result<AddResult, Failure> {
        let stdout = self.run_one(list, plugin, Command::Add, attachment, previous, tell)?;
        match AddResult::parse(&stdout, list.version) {
            // An error object would be a result in which everything is left out.
            Ok(result) if ErrorObject::parse(&stdout).is_none() => Ok(result.in_version(list.version)),
            parsed => Err(garbage(&plugin.kind, Command::Add, &stdout, &parsed.err().unwrap_or_default())),
        }
    }

    fn run_one(
        &self,
        list: &NetworkList,
        plugin: &Plugin,
        command: Command,
        attachment: &Attachment,
        previous: Option<&AddResult>,
        tell: Tell<'_>,
    ) -> Result<Vec<u8>, Failure> {
        let added = Added { capabilities: Some(&attachment.capabilities), prev_result: previous, valid: None };
        self.plugins.run(&plugin.kind, command, Some(attachment), list.request(plugin, &added), tell)
    }

    /// Takes back what was done up to a plugin; the failure, and what failed then. Where that is nothing, nothing is kept.
    fn taken_back(
        &self,
        mut failure: Failure,
        list: &NetworkList,
        upto: usize,
        attachment: &Attachment,
        previous: Option<&AddResult>,
        tell: Tell<'_>,
    ) -> Failure {
        let previous = previous.filter(|_| list.version.has_check());
        for plugin in list.plugins.iter().take(upto + 1).rev() {
            if let Err(other) = self.run_one(list, plugin, Command::Del, attachment, previous, tell) {
                failure.also.push(other.explanation);
            }
        }
        let forgotten = if failure.also.is_empty() {
            self.cache.forget(&list.name, attachment)
        } else {
            let (id, ifname) = (&attachment.container_id, &attachment.ifname);
            let fix = format!("hardway cni del --net {} --id {id} --ifname {ifname} tries again", list.name);
            Err(Explanation::new("Not all of it could be taken back", &fix, &fix))
        };
        failure.also.extend(forgotten.err());
        failure
    }

    /// DEL: detaches a container. The plugins run in reverse order, each with the result that is kept as `prevResult` (from 0.4.0 on). What is
    /// not given (namespace, arguments) is that of ADD. A second DEL does no harm.
    ///
    /// # Errors
    /// The first error of a plugin; those before it in the list are not run then, and what is kept stays, so that DEL can be run again.
    pub fn del(&self, list: &NetworkList, attachment: &Attachment, tell: Tell<'_>) -> Result<(), Failure> {
        attachment.check()?;
        let _lock = self.cache.lock_container(&attachment.container_id)?;
        self.del_locked(list, attachment, tell)
    }

    fn del_locked(&self, list: &NetworkList, attachment: &Attachment, tell: Tell<'_>) -> Result<(), Failure> {
        // What can not be read is as good as nothing: DEL has to work without.
        let (attachment, result) = match self.cache.find(&list.name, attachment)? {
            Found::Entry(entry) => (attachment.clone().or(&entry.attachment), entry.result),
            _ => (attachment.clone(), None),
        };
        let result = result.filter(|_| list.version.has_check()).map(|result| result.in_version(list.version));
        for plugin in list.plugins.iter().rev() {
            self.run_one(list, plugin, Command::Del, &attachment, result.as_ref(), tell)?;
        }
        Ok(self.cache.forget(&list.name, &attachment)?)
    }

    /// CHECK: asks the plugins whether an attachment is as its ADD left it. What is not given is that of ADD.
    ///
    /// # Errors
    /// A list before 0.4.0, which has no CHECK; that the container is not attached; the first error of a plugin.
    pub fn check(&self, list: &NetworkList, attachment: &Attachment, tell: Tell<'_>) -> Result<Asked, Failure> {
        attachment.check()?;
        if !list.version.has_check() {
            return Err(Explanation::new(
                format!("The network {} can not be checked", list.name),
                format!("its cniVersion is {}, and CHECK is there from 0.4.0 on", list.version),
                "raise cniVersion, where the plugins support that",
            )
            .into());
        }
        if list.disable_check {
            return Ok(Asked::No("the configuration has disableCheck".to_owned()));
        }
        let _lock = self.cache.lock_container(&attachment.container_id)?;
        let entry = self.cache.entry(&list.name, attachment)?;
        let Some((result, before)) = entry.and_then(|entry| Some((entry.result?, entry.attachment))) else {
            return Err(Explanation::new(
                format!("{} of container {} can not be checked", attachment.ifname, attachment.container_id),
                format!("no result of an ADD to the network {} is kept", list.name),
                "add it first; or name the directory where it is kept with --cache",
            )
            .into());
        };
        let attachment = attachment.clone().or(&before);
        let result = result.in_version(list.version);
        for plugin in &list.plugins {
            self.run_one(list, plugin, Command::Check, &attachment, Some(&result), tell)?;
        }
        Ok(Asked::Yes)
    }

    /// STATUS: asks the plugins whether they could serve an ADD.
    ///
    /// # Errors
    /// The first error of a plugin; codes 50 and 51 are made for it.
    pub fn status(&self, list: &NetworkList, tell: Tell<'_>) -> Result<Asked, Failure> {
        if !list.version.has_gc() {
            return Ok(too_old(list, Command::Status));
        }
        for plugin in &list.plugins {
            let request = list.request(plugin, &Added::default());
            self.plugins.run(&plugin.kind, Command::Status, None, request, tell)?;
        }
        Ok(Asked::Yes)
    }

    /// GC: runs DEL for attachments that are kept and not valid any more, and then asks the plugins to take away what belongs to none of the
    /// valid ones. All are asked, whatever one says.
    ///
    /// # Errors
    /// The first error, and behind it the others.
    pub fn gc(&self, list: &NetworkList, valid: &Valid, tell: Tell<'_>) -> Result<Collected, Failure> {
        if list.disable_gc {
            let asked = Asked::No("the configuration has disableGC".to_owned());
            return Ok(Collected { stale: Vec::new(), valid: Vec::new(), asked });
        }
        if let Valid::Given(given) = valid {
            for one in given {
                names::container(&one.container_id)?;
                names::interface(&one.ifname)?;
            }
        }
        let _lock = self.cache.lock_all()?;
        self.cache.tidy();
        let kept = self.cache.entries(&list.name)?;
        let valid: Vec<ValidAttachment> = match valid {
            Valid::Given(given) => given.clone(),
            Valid::Living => {
                kept.iter().map(|entry| &entry.attachment).filter(|one| lives(one)).map(Attachment::named).collect()
            }
        };
        let (mut stale, mut failures) = (Vec::new(), Vec::new());
        for entry in &kept {
            let name = entry.attachment.named();
            if valid.contains(&name) {
                continue;
            }
            failures.extend(self.del_locked(list, &entry.attachment, tell).err());
            stale.push(name);
        }
        let asked = if list.version.has_gc() {
            for plugin in &list.plugins {
                let request = list.request(plugin, &Added { valid: Some(&valid), ..Added::default() });
                failures.extend(self.plugins.run(&plugin.kind, Command::Gc, None, request, tell).err());
            }
            Asked::Yes
        } else {
            too_old(list, Command::Gc)
        };
        Failure::of(failures).map_or(Ok(Collected { stale, valid, asked }), Err)
    }

    /// VERSION: asks each plugin of a list which versions it supports.
    ///
    /// # Errors
    /// The first error of a plugin, or an answer that is none.
    pub fn versions(&self, list: &NetworkList, tell: Tell<'_>) -> Result<Vec<Support>, Failure> {
        let mut seen = BTreeSet::new();
        let kinds = list.plugins.iter().map(|plugin| plugin.kind.as_str()).filter(|kind| seen.insert(*kind));
        kinds.map(|kind| self.version(kind, list.version, tell)).collect()
    }

    fn version(&self, kind: &str, version: Version, tell: Tell<'_>) -> Result<Support, Failure> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(rename = "supportedVersions")]
            versions: Vec<String>,
        }
        let request = format!("{{\"cniVersion\":\"{version}\"}}");
        let stdout = self.plugins.run(kind, Command::Version, None, request, tell)?;
        let answer: Answer = serde_json::from_slice(&stdout)
            .map_err(|error| garbage(kind, Command::Version, &stdout, &error.to_string()))?;
        let fits = answer.versions.iter().any(|one| one == version.as_str());
        Ok(Support { plugin: kind.to_owned(), versions: answer.versions, fits })
    }
}

/// Whether the container can still be there: a namespace that nobody knows of is taken for one. A file on which one was mounted once
/// is none (setns(2), nsfs).
fn lives(attachment: &Attachment) -> bool {
    attachment.netns.as_ref().is_none_or(|path| is_namespace(Path::new(path)))
}

fn too_old(list: &NetworkList, command: Command) -> Asked {
    Asked::No(format!("the list's cniVersion is {}, and {} is there from 1.1.0 on", list.version, command.as_str()))
}

#[cfg(test)]
mod tests;
