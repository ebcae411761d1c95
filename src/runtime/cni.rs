//! The Container Network Interface as lessons use it: one plugin, called as the specification says; and a whole network by way of a
//! runner. What a plugin is given and what it answers is the action's output.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::action::{Effect, Home, Mechanism, Misuse, Outcome, Perform};
use super::file::misused_path;
use super::process::{MAX_OUTPUT, RUN_DEADLINE, shell_words};
use crate::cni::attachment::Attachment;
use crate::cni::cache::{Cache, ROOTS_CACHE};
use crate::cni::config::load;
use crate::cni::exchange::{Command, Ending, Exchange, Plugins};
use crate::cni::names;
use crate::cni::runner::{Asked, Runner, Valid};
use crate::kernel::sys;
use crate::kernel::trace::{Answer, Call, CallError, Trace};

/// Where a lab host has this program under its own name.
pub const HARDWAY: &str = "/lab/hardway";

/// And under the names of its plugins: a directory, as `CNI_PATH` has it.
pub const PLUGINS: &str = "/lab/cni";

/// The exit status of a plugin, and of `hardway cni`, that fails.
const FAILED: i32 = 1;

/// Runs one plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CniPlugin {
    /// Who.
    pub r#in: String,
    /// Which plugin: a type of hardway's own.
    pub plugin: String,
    /// What it is to do: `CNI_COMMAND`.
    pub command: PluginCommand,
    /// The file that it reads as its configuration.
    pub config: String,
    /// `CNI_CONTAINERID`.
    pub id: String,
    /// `CNI_NETNS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// `CNI_IFNAME`.
    #[serde(default = "first")]
    pub ifname: String,
    /// The status with which it must end, where that is not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_with: Option<i32>,
}

/// What a plugin is asked by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum PluginCommand {
    /// To attach a container.
    Add,
    /// To detach it.
    Del,
    /// Whether it is as it was attached. Needs the result of ADD as `prevResult`, which a runner keeps.
    Check,
}

/// Carries out a network configuration for a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CniNetwork {
    /// Who.
    pub r#in: String,
    /// What is to be done.
    pub command: NetworkCommand,
    /// The file with the network's list of plugins.
    pub network: String,
    /// Which container; `gc` has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The path of its network namespace, for `add`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// Ports of the host that lead to its own, for `add`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Published>,
    /// The status with which it must end, where that is not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_with: Option<i32>,
}

/// What is asked of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkCommand {
    /// To attach a container.
    Add,
    /// To detach it.
    Del,
    /// Whether it is as it was attached.
    Check,
    /// To collect what containers have left that are gone.
    Gc,
}

/// A port of the host that leads to one of the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The host's.
    pub host: u16,
    /// The container's.
    pub container: u16,
}

fn first() -> String {
    "eth0".to_owned()
}

impl PluginCommand {
    fn command(self) -> Command {
        match self {
            Self::Add => Command::Add,
            Self::Del => Command::Del,
            Self::Check => Command::Check,
        }
    }
}

impl NetworkCommand {
    /// As hardway(1) takes it.
    fn word(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Del => "del",
            Self::Check => "check",
            Self::Gc => "gc",
        }
    }
}

impl CniPlugin {
    fn attachment(&self) -> Attachment {
        let Self { id, netns, ifname, .. } = self.clone();
        Attachment { container_id: id, netns, ifname, ..Attachment::default() }
    }
}

impl Mechanism for CniPlugin {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, plugin, id, .. } = self;
        format!("{in} calls the CNI plugin {plugin}: {} for the container {id}", self.command.command().as_str())
    }

    fn shell(&self) -> Option<String> {
        let mut words = vec![format!("CNI_COMMAND={}", self.command.command().as_str())];
        let mut set = |key: &str, value: &str| words.push(format!("{key}={}", quoted(value)));
        set("CNI_CONTAINERID", &self.id);
        if let Some(netns) = &self.netns {
            set("CNI_NETNS", netns);
        }
        set("CNI_IFNAME", &self.ifname);
        set("CNI_PATH", PLUGINS);
        Some(format!("{} {PLUGINS}/{} < {}", words.join(" "), quoted(&self.plugin), quoted(&self.config)))
    }

    fn is_meant_to_fail(&self) -> bool {
        self.ends_with.is_some_and(|status| status != 0)
    }

    fn ends_with(&self) -> Option<i32> {
        Some(self.ends_with.unwrap_or(0))
    }

    fn effects(&self) -> Vec<Effect> {
        let what = format!("what the plugin {} makes for the container {}", self.plugin, self.id);
        if self.command == PluginCommand::Add { vec![Effect { what, home: Home::Lab }] } else { Vec::new() }
    }

    fn misuses(&self) -> Vec<Misuse> {
        let known = plugin_names();
        let other = !known.contains(&self.plugin.as_str());
        let plugin = other.then(|| Misuse::new("plugin", "hardway has no such plugin", known.join(", ")));
        let id = names::container(&self.id).err().map(|why| Misuse::new("id", why.why, why.fix));
        let ifname = names::interface(&self.ifname).err().map(|why| Misuse::new("ifname", why.why, why.fix));
        misused_path("config", &self.config).into_iter().chain(plugin).chain(id).chain(ifname).collect()
    }
}

impl Perform for CniPlugin {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let config = sys::read_file(trace, &self.config)?;
        let mut told = Told::default();
        let result =
            plugins().run(&self.plugin, self.command.command(), Some(&self.attachment()), config, &mut |exchange| {
                told.exchange(trace, &exchange);
            });
        // Its own words are in the exchange; without one there was no plugin.
        Ok(told.outcome(result.err().filter(|failure| failure.error.is_none()).map(|it| it.whole().to_string()), None))
    }
}

impl Mechanism for CniNetwork {
    fn actor(&self) -> &str {
        &self.r#in
    }

    fn sentence(&self) -> String {
        let Self { r#in, network, .. } = self;
        let id = self.id.as_deref().unwrap_or_default();
        match self.command {
            NetworkCommand::Add => format!("{in} attaches the container {id} to the network of {network}"),
            NetworkCommand::Del => format!("{in} detaches the container {id} from the network of {network}"),
            NetworkCommand::Check => format!("{in} asks the plugins of {network} whether {id} is as they left it"),
            NetworkCommand::Gc => {
                format!("{in} collects what containers that are gone have left of the network of {network}")
            }
        }
    }

    fn shell(&self) -> Option<String> {
        let mut words: Vec<String> = vec![HARDWAY.into(), "cni".into(), self.command.word().into()];
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        option("--net", self.network.clone());
        for (name, value) in [("--id", &self.id), ("--netns", &self.netns)] {
            if let Some(value) = value {
                option(name, value.clone());
            }
        }
        if !self.publish.is_empty() {
            option("--capability", format!("portMappings={}", mappings(&self.publish)));
        }
        option("--path", PLUGINS.to_owned());
        Some(shell_words(&words))
    }

    fn is_meant_to_fail(&self) -> bool {
        self.ends_with.is_some_and(|status| status != 0)
    }

    fn ends_with(&self) -> Option<i32> {
        Some(self.ends_with.unwrap_or(0))
    }

    fn effects(&self) -> Vec<Effect> {
        let id = self.id.as_deref().unwrap_or_default();
        let what = format!("what the plugins of {} make for the container {id}", self.network);
        if self.command == NetworkCommand::Add { vec![Effect { what, home: Home::Lab }] } else { Vec::new() }
    }

    fn misuses(&self) -> Vec<Misuse> {
        let wants = self.command != NetworkCommand::Gc;
        let id = match (&self.id, wants) {
            (Some(id), true) => names::container(id).err().map(|why| Misuse::new("id", why.why, why.fix)),
            (None, false) => None,
            (None, true) => Some(Misuse::new("id", "no container is named", "name one: `id: web`")),
            (Some(_), false) => Some(Misuse::new("id", "gc is about all containers", "leave it out")),
        };
        let adds = self.command == NetworkCommand::Add;
        let netns = (self.netns.is_some() != adds)
            .then(|| Misuse::new("netns", "`add` has a network namespace, and nothing else has", "write it for `add`"));
        let publish = (!adds && !self.publish.is_empty())
            .then(|| Misuse::new("publish", "only `add` publishes ports", "leave it out"));
        let file = (!self.network.contains('/'))
            .then(|| Misuse::new("network", "this is no path", "write the path of a file: `/lab/net.conflist`"));
        file.into_iter().chain(id).chain(netns).chain(publish).collect()
    }
}

impl Perform for CniNetwork {
    fn perform(&self, trace: &mut Trace) -> Result<Outcome, CallError> {
        let mut told = Told::default();
        let list = match load::file(Path::new(&self.network)) {
            Ok(list) => list,
            Err(explanation) => return Ok(told.outcome(Some(explanation.to_string()), Some(FAILED))),
        };
        let runner = Runner { plugins: plugins(), cache: Cache::at(ROOTS_CACHE) };
        let capabilities = if self.publish.is_empty() {
            Default::default()
        } else {
            [("portMappings".to_owned(), mappings(&self.publish))].into()
        };
        let id = self.id.clone().unwrap_or_default();
        let attachment =
            Attachment { container_id: id, netns: self.netns.clone(), ifname: first(), args: Vec::new(), capabilities };
        let mut tell = |exchange: Exchange| told.exchange(trace, &exchange);
        let asked = |asked: Asked| match asked {
            Asked::Yes => Ok(()),
            Asked::No(why) => Err(why),
        };
        let result = match self.command {
            NetworkCommand::Add => runner.add(&list, &attachment, &mut tell).map(|_| Ok(())),
            NetworkCommand::Del => runner.del(&list, &attachment, &mut tell).map(Ok),
            NetworkCommand::Check => runner.check(&list, &attachment, &mut tell).map(asked),
            NetworkCommand::Gc => runner.gc(&list, &Valid::Living, &mut tell).map(|collected| asked(collected.asked)),
        };
        let why = match result {
            Ok(Ok(())) => return Ok(told.outcome(None, Some(0))),
            Ok(Err(why)) => why,
            Err(failure) => failure.whole().to_string(),
        };
        Ok(told.outcome(Some(why), Some(FAILED)))
    }
}

/// The plugins that a lab host has, and no others.
fn plugins() -> Plugins {
    Plugins { path: PLUGINS.to_owned(), timeout: RUN_DEADLINE, own: None }
}

/// What the capability `portMappings` is given (the conventions of the specification).
fn mappings(published: &[Published]) -> serde_json::Value {
    published.iter().map(|it| json!({ "hostPort": it.host, "containerPort": it.container })).collect()
}

fn quoted(word: &str) -> String {
    shell_words(&[word.to_owned()])
}

/// The names of the plugins in [`PLUGINS`].
pub fn plugin_names() -> Vec<&'static str> {
    crate::cni::plugins::names().collect()
}

/// What is told of exchanges: lines for a person, and the status of the last one.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    status: Option<i32>,
}

impl Told {
    /// Keeps one, and its execve with the variables in the trace; the time is that which the plugin took.
    fn exchange(&mut self, trace: &mut Trace, exchange: &Exchange) {
        self.lines.extend(exchange.lines());
        self.status = match exchange.status {
            Some(Ending::Exited(status)) => Some(status),
            _ => Some(FAILED),
        };
        let variables = exchange.variables.iter().map(|(key, value)| format!("{key}={value}"));
        trace.append(vec![Call {
            by: "child".into(),
            name: "execve".into(),
            args: vec![
                format!("{:?}", exchange.plugin),
                format!("[{:?}]", exchange.plugin),
                format!("{:?}", variables.collect::<Vec<_>>()),
            ],
            answer: Answer::Returned(0),
            nanos: exchange.milliseconds * 1_000_000,
        }]);
    }

    /// With what is still to be said, and with another status than that of the last plugin.
    fn outcome(mut self, why: Option<String>, status: Option<i32>) -> Outcome {
        self.lines.extend(why.iter().flat_map(|why| why.lines().map(str::to_owned)));
        let output: String = self.lines.join("\n").chars().take(MAX_OUTPUT / 4).collect();
        Outcome { output, status: status.or(self.status).or(Some(FAILED)) }
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::action::Action;

    fn shell(yaml: &str) -> String {
        let action: Action = serde_json::from_str(yaml).expect("an action");
        assert_eq!(action.mechanism().misuses(), []);
        action.mechanism().shell().expect("a line")
    }

    #[test]
    fn a_plugin_is_called_as_the_specification_says() {
        assert_eq!(
            shell(
                r#"{"cni_plugin":{"in":"host","plugin":"bridge","command":"ADD","config":"/lab/net.conf","id":"web","netns":"/run/netns/web"}}"#
            ),
            "CNI_COMMAND=ADD CNI_CONTAINERID=web CNI_NETNS=/run/netns/web CNI_IFNAME=eth0 CNI_PATH=/lab/cni /lab/cni/bridge < /lab/net.conf"
        );
    }

    #[test]
    fn a_network_is_carried_out_by_the_command() {
        assert_eq!(
            shell(
                r#"{"cni_network":{"in":"host","command":"add","network":"/lab/a.conflist","id":"a","netns":"/run/netns/a","publish":[{"host":8080,"container":80}]}}"#
            ),
            "/lab/hardway cni add --net /lab/a.conflist --id a --netns /run/netns/a \
             --capability 'portMappings=[{\"containerPort\":80,\"hostPort\":8080}]' --path /lab/cni"
        );
        assert_eq!(
            shell(r#"{"cni_network":{"in":"host","command":"gc","network":"/lab/a.conflist"}}"#),
            "/lab/hardway cni gc --net /lab/a.conflist --path /lab/cni"
        );
        let wrong: Action = serde_json::from_str(
            r#"{"cni_network":{"in":"host","command":"gc","network":"a","id":"a","netns":"/run/netns/a"}}"#,
        )
        .expect("an action");
        assert_eq!(wrong.mechanism().misuses().len(), 3);
    }
}
