//! `hardway cni`: what a container runtime does with CNI plugins, each exchange for all to see.

mod soak;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use hardway::cni::attachment::Attachment;
use hardway::cni::cache::{Cache, ROOTS_CACHE};
use hardway::cni::config::{NetworkList, ValidAttachment, load};
use hardway::cni::error::Failure;
use hardway::cni::exchange::{Command, Exchange, Plugins};
use hardway::cni::names;
use hardway::cni::plugins;
use hardway::cni::runner::{Asked, Runner, Support, Valid};
use hardway::explain::Explanation;
use hardway::kernel::host::{effective_uid, home_of};
use hardway::session::store;
use serde_json::{Value, json};

use super::say;
use crate::cli::cni::{Attach, CniCommand, Gc, Network};
use crate::report::FAILED;

/// `hardway cni`.
pub fn run(command: &CniCommand) -> Result<ExitCode, Explanation> {
    match command {
        CniCommand::Add(options) => add(options),
        CniCommand::Del(options) => del(options),
        CniCommand::Check(options) => check(options),
        CniCommand::Status(options) => status(options),
        CniCommand::Gc(options) => gc(options),
        CniCommand::Version(options) => version(options),
        CniCommand::Install(options) => install(&options.directory),
        CniCommand::Soak(options) => soak::soak(options),
    }
}

fn add(options: &Attach) -> Result<ExitCode, Explanation> {
    let mut session = Session::of_attachment(options)?;
    let attachment = attachment(options)?;
    let result = session.run(|runner, list, tell| runner.add(list, &attachment, tell));
    session.tell(Command::Add, result, |result| (json!({ "result": result }), format!("{:#}", json!(result)), true))
}

fn del(options: &Attach) -> Result<ExitCode, Explanation> {
    let mut session = Session::of_attachment(options)?;
    let attachment = attachment(options)?;
    let result = session.run(|runner, list, tell| runner.del(list, &attachment, tell));
    let text = format!("{} of container {} is detached from {}", options.ifname, options.id, session.list.name);
    session.tell(Command::Del, result, |()| (json!({}), text, true))
}

fn check(options: &Attach) -> Result<ExitCode, Explanation> {
    let mut session = Session::of_attachment(options)?;
    let attachment = attachment(options)?;
    let result = session.run(|runner, list, tell| runner.check(list, &attachment, tell));
    let text = format!("{} of container {} is as add left it", options.ifname, options.id);
    session.tell(Command::Check, result, |asked| of_asked(&asked, text))
}

fn status(options: &Network) -> Result<ExitCode, Explanation> {
    let mut session = Session::of(options, None)?;
    let result = session.run(|runner, list, tell| runner.status(list, tell));
    let text = format!("the plugins of {} are ready", session.list.name);
    session.tell(Command::Status, result, |asked| of_asked(&asked, text))
}

fn gc(options: &Gc) -> Result<ExitCode, Explanation> {
    let valid = match (options.none_valid, options.valid.as_slice()) {
        (false, []) => Valid::Living,
        (_, given) => Valid::Given(given.iter().map(|text| valid_attachment(text)).collect::<Result<_, _>>()?),
    };
    let mut session = Session::of(&options.network, None)?;
    let result = session.run(|runner, list, tell| runner.gc(list, &valid, tell));
    session.tell(Command::Gc, result, |collected| {
        let (mut object, asked, _) = of_asked(&collected.asked, "the plugins have collected what was stale".to_owned());
        object["stale"] = json!(collected.stale);
        object["valid"] = json!(collected.valid);
        let told =
            collected.stale.iter().map(|one| format!("{} of container {} was stale\n", one.ifname, one.container_id));
        (object, format!("{}{asked}", told.collect::<String>()), true)
    })
}

fn version(options: &Network) -> Result<ExitCode, Explanation> {
    let mut session = Session::of(options, None)?;
    let result = session.run(|runner, list, tell| runner.versions(list, tell));
    let own = session.list.version;
    session.tell(Command::Version, result, |support: Vec<Support>| {
        let line = |one: &Support| {
            let fits = if one.fits { "supports" } else { "does not support" };
            format!("{} {fits} {own}: {}", one.plugin, one.versions.join(", ").escape_debug())
        };
        let text = support.iter().map(line).collect::<Vec<_>>().join("\n");
        (json!({ "plugins": support }), text, support.iter().all(|one| one.fits))
    })
}

fn install(directory: &Path) -> Result<ExitCode, Explanation> {
    let names = plugins::install(directory)?.join(", ");
    say(&format!("{} has links to this program: {names}", directory.display().to_string().escape_debug()));
    Ok(ExitCode::SUCCESS)
}

/// As JSON and in words, where plugins need not have been asked.
fn of_asked(asked: &Asked, yes: String) -> (Value, String, bool) {
    match asked {
        Asked::Yes => (json!({ "asked": true }), yes, true),
        Asked::No(why) => (json!({ "asked": false, "why": why }), format!("the plugins were not asked: {why}"), true),
    }
}

/// A command on one network.
struct Session {
    runner: Runner,
    list: NetworkList,
    json: bool,
    verbose: bool,
    seen: Vec<Exchange>,
}

impl Session {
    fn of_attachment(options: &Attach) -> Result<Self, Explanation> {
        let named =
            Attachment { container_id: options.id.clone(), ifname: options.ifname.clone(), ..Attachment::default() };
        Self::of(&options.network, Some(&named))
    }

    fn of(options: &Network, attachment: Option<&Attachment>) -> Result<Self, Explanation> {
        let cache = Cache::at(cache_directory(options.cache.clone())?);
        let plugins = Plugins {
            path: options.path.clone(),
            timeout: Duration::from_secs(options.timeout),
            own: Some(plugins::OWN_PROGRAM.into()),
        };
        let list = network(options, &cache, attachment)?;
        let runner = Runner { plugins, cache };
        Ok(Self { runner, list, json: options.json, verbose: options.verbose, seen: Vec::new() })
    }

    fn run<T>(&mut self, deed: impl FnOnce(&Runner, &NetworkList, &mut dyn FnMut(Exchange)) -> T) -> T {
        let (keep, verbose, seen) = (self.json, self.verbose, &mut self.seen);
        deed(&self.runner, &self.list, &mut |exchange| {
            if verbose {
                exchange.lines().iter().for_each(|line| eprintln!("{line}"));
            }
            // What nobody asks for is not kept: gc may run a plugin for each of many attachments.
            if keep {
                seen.push(exchange);
            }
        })
    }

    /// Tells what came of it: `shown` gives fields for JSON, text, and whether all is well.
    fn tell<T>(
        self,
        command: Command,
        result: Result<T, Failure>,
        shown: impl FnOnce(T) -> (Value, String, bool),
    ) -> Result<ExitCode, Explanation> {
        let (mut object, text, well, failure) = match result {
            Ok(value) => {
                let (object, text, well) = shown(value);
                (object, text, well, None)
            }
            // The plugin's own words; ours go to standard error.
            Err(failure) => (json!({ "error": failure.error }), String::new(), false, Some(failure)),
        };
        if self.json {
            object["format"] = json!(1);
            object["command"] = json!(command);
            object["network"] = json!(self.list.name);
            object["well"] = json!(well);
            object["exchanges"] = json!(self.seen);
            say(&format!("{object:#}"));
        } else if failure.is_none() {
            say(&text);
        }
        match failure {
            Some(failure) => Err(failure.whole()),
            None => Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }),
        }
    }
}

/// The network. One whose file is gone is still known from its attachments.
fn network(options: &Network, cache: &Cache, attachment: Option<&Attachment>) -> Result<NetworkList, Explanation> {
    named(&options.net, &options.conf_dir).or_else(|missing| {
        if names::network(&options.net).is_err() {
            return Err(missing);
        }
        let kept = match attachment {
            Some(attachment) => cache.entry(&options.net, attachment)?.and_then(|entry| entry.list),
            None => cache.entries(&options.net)?.into_iter().find_map(|entry| entry.list),
        };
        kept.ok_or(missing)
    })
}

/// The network of a file, or of a name in a directory.
fn named(net: &str, directory: &Path) -> Result<NetworkList, Explanation> {
    let path = Path::new(net);
    let is_file = path.extension().is_some_and(|it| ["conflist", "conf", "json"].iter().any(|known| it == *known));
    if net.contains('/') || (is_file && path.is_file()) {
        return load::file(path);
    }
    names::network(net)?;
    load::find(directory, net)
}

fn cache_directory(wished: Option<PathBuf>) -> Result<PathBuf, Explanation> {
    if let Some(directory) = wished {
        return Ok(directory);
    }
    if effective_uid() == 0 {
        return Ok(ROOTS_CACHE.into());
    }
    let own = store::directory(|name| std::env::var_os(name), home_of).map(|directory| directory.join("cni"));
    own.ok_or_else(|| {
        let why = "neither XDG_STATE_HOME nor HOME is set";
        Explanation::new("There is no place to keep attachments in", why, "name a directory with --cache")
    })
}

fn attachment(options: &Attach) -> Result<Attachment, Explanation> {
    let capability = |text: &String| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let value = serde_json::from_str(value).map_err(|error| {
            Explanation::new(
                format!("`{}` is no capability with its argument", text.escape_debug()),
                format!("behind the first `=` there is no JSON: {error}"),
                "write it as mac='\"00:11:22:33:44:55\"'",
            )
        })?;
        Ok((name.to_owned(), value))
    };
    Ok(Attachment {
        container_id: options.id.clone(),
        netns: options.netns.clone(),
        ifname: options.ifname.clone(),
        args: names::args(options.args.as_deref().unwrap_or_default())?,
        capabilities: options.capability.iter().map(capability).collect::<Result<BTreeMap<_, _>, Explanation>>()?,
    })
}

fn valid_attachment(text: &str) -> Result<ValidAttachment, Explanation> {
    let (container_id, ifname) = text.split_once(':').unwrap_or((text, "eth0"));
    names::container(container_id)?;
    names::interface(ifname)?;
    Ok(ValidAttachment { container_id: container_id.to_owned(), ifname: ifname.to_owned() })
}
