//! What all plugins have in common: variables and standard input are read and looked at, the command is carried out, and a result or
//! an error object is written (sections 2 and 5).

use std::io::{Read, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;

use crate::cni::config::{MAX_FILE, ValidAttachment};
use crate::cni::error::ErrorObject;
use crate::cni::exchange::Command;
use crate::cni::names;
use crate::cni::result::AddResult;
use crate::cni::version::Version;
use crate::explain::Explanation;
use crate::kernel::trace::CallError;

/// Why a plugin failed, as it says it.
pub(super) type Fault = ErrorObject;

/// The codes of the specification that plugins here use (section 5, error).
pub(super) mod code {
    /// The version of the configuration, or a command that it does not have.
    pub const VERSION: u32 = 1;
    /// A field that is there for something that can not be done here.
    pub const UNSUPPORTED: u32 = 2;
    /// A variable that is missing or can not be used.
    pub const VARIABLE: u32 = 4;
    /// The kernel or the disk refused.
    pub const IO: u32 = 5;
    /// What is no JSON.
    pub const DECODE: u32 = 6;
    /// A configuration that makes no sense.
    pub const CONFIG: u32 = 7;
    /// No ADD would work (STATUS).
    pub const NOT_AVAILABLE: u32 = 50;
    /// Our own: the state is not what the command needs. The reference has this number for everything of its own.
    pub const STATE: u32 = 999;
}

/// A fault of a code, in a few words and in more.
pub(super) fn fault(code: u32, msg: impl Into<String>, details: impl Into<String>) -> Fault {
    Fault { cni_version: None, code, msg: msg.into(), details: details.into() }
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        fault(code::IO, "the kernel refused a request", error.to_string())
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        fault(code::IO, "reading or writing failed", error.to_string())
    }
}

/// A plugin. The type is its configuration: what it does not name is for somebody else.
pub(super) trait Plugin: DeserializeOwned {
    /// ADD: a result.
    fn add(&self, call: &Call) -> Result<AddResult, Fault>;
    /// DEL: may be asked of what is half there, or not there at all, and then has nothing to say against it.
    fn del(&self, call: &Call) -> Result<(), Fault>;
    /// CHECK, with the result of ADD as `prevResult`.
    fn check(&self, call: &Call) -> Result<(), Fault>;
    /// STATUS: whether an ADD could work.
    fn status(&self, _call: &Call) -> Result<(), Fault> {
        Ok(())
    }
    /// GC: takes away what belongs to none of the attachments that are valid.
    fn gc(&self, _call: &Call) -> Result<(), Fault> {
        Ok(())
    }
}

/// What a plugin is asked, read and looked at.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The container; empty for STATUS and GC.
    pub id: String,
    /// Its network namespace.
    pub netns: Option<String>,
    /// The name of the interface there; empty for STATUS and GC.
    pub ifname: String,
    /// `CNI_ARGS`.
    pub args: Vec<(String, String)>,
    /// The network's name.
    pub network: String,
    /// The version that is spoken.
    pub version: Version,
    /// What the plugin before said, or ADD.
    pub prev: Option<AddResult>,
    /// For GC.
    valid: Option<Vec<ValidAttachment>>,
    /// The configuration as it was given.
    pub stdin: String,
}

impl Call {
    /// `prevResult`, which CHECK and plugins that are chained need.
    pub fn prev(&self) -> Result<&AddResult, Fault> {
        self.prev
            .as_ref()
            .ok_or_else(|| fault(code::CONFIG, "prevResult is missing", "this plugin works on what another made"))
    }

    /// The attachments that are valid. That none were named is no reason to take all away.
    pub fn valid(&self) -> Result<&[ValidAttachment], Fault> {
        self.valid.as_deref().ok_or_else(|| fault(code::CONFIG, "cni.dev/valid-attachments is missing", ""))
    }

    /// An argument of `CNI_ARGS`.
    pub fn arg(&self, key: &str) -> Option<&str> {
        self.args.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    /// The attachment, as GC names it.
    pub fn attachment(&self) -> ValidAttachment {
        ValidAttachment { container_id: self.id.clone(), ifname: self.ifname.clone() }
    }
}

/// What every configuration has.
#[derive(Deserialize)]
struct Common {
    #[serde(rename = "cniVersion", default)]
    version: String,
    #[serde(default)]
    name: String,
    #[serde(rename = "prevResult")]
    prev: Option<Box<RawValue>>,
    #[serde(rename = "cni.dev/valid-attachments")]
    valid: Option<Vec<ValidAttachment>>,
}

/// What came of a run, to be written: standard output, and whether it is well.
pub(super) struct Outcome {
    text: String,
    well: bool,
}

impl Outcome {
    /// Writes it, for the exit status.
    pub fn print(self) -> ExitCode {
        let written = std::io::stdout().write_all(self.text.as_bytes());
        if self.well && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Does what this process's variables and standard input say.
pub(super) fn run<P: Plugin>() -> Outcome {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    run_on::<P>(&variable, &mut std::io::stdin().lock())
}

/// [`run`] on variables and input of any origin.
pub(super) fn run_on<P: Plugin>(variable: &dyn Fn(&str) -> Option<String>, input: &mut dyn Read) -> Outcome {
    let mut version = Version::V1_1_0;
    match carried_out::<P>(variable, input, &mut version) {
        Ok(text) => Outcome { text, well: true },
        Err(fault) => {
            let fault = Fault { cni_version: Some(version.to_string()), ..fault };
            Outcome { text: format!("{:#}\n", json!(fault)), well: false }
        }
    }
}

fn carried_out<P: Plugin>(
    variable: &dyn Fn(&str) -> Option<String>,
    input: &mut dyn Read,
    version: &mut Version,
) -> Result<String, Fault> {
    let word = variable("CNI_COMMAND").unwrap_or_default();
    let all = [Command::Add, Command::Del, Command::Check, Command::Status, Command::Gc, Command::Version];
    let command = all.into_iter().find(|it| it.as_str() == word);
    let command = command.ok_or_else(|| {
        fault(
            code::VARIABLE,
            "CNI_COMMAND is none",
            format!("`{}` is not ADD, DEL, CHECK, STATUS, GC or VERSION", word.escape_debug()),
        )
    })?;
    let mut call = variables(command, variable)?;
    let mut bytes = Vec::new();
    input.take(MAX_FILE as u64 * 4 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_FILE * 4 {
        return Err(fault(code::DECODE, "the configuration is too long", format!("more than {} bytes", MAX_FILE * 4)));
    }
    call.stdin = String::from_utf8(bytes)
        .map_err(|error| fault(code::DECODE, "the configuration is no text", error.to_string()))?;
    let common: Common = decoded(&call.stdin)?;
    let known = common.version.parse::<Version>();
    if command == Command::Version {
        *version = known.unwrap_or(*version);
        let answer = json!({ "cniVersion": *version, "supportedVersions": Version::ALL });
        return Ok(format!("{answer}\n"));
    }
    call.version = known.map_err(|why| fault(code::VERSION, "incompatible CNI versions", why))?;
    *version = call.version;
    let has = match command {
        Command::Check => version.has_check(),
        Command::Status | Command::Gc => version.has_gc(),
        _ => true,
    };
    if !has {
        return Err(fault(code::VERSION, format!("cniVersion {version} has no {word}"), ""));
    }
    names::network(&common.name).map_err(|why| explained(code::CONFIG, &why))?;
    call.network = common.name;
    let config = |why: String| fault(code::CONFIG, "prevResult can not be read", why);
    call.prev =
        common.prev.map(|text| AddResult::parse(text.get().as_bytes(), call.version)).transpose().map_err(config)?;
    call.valid = common.valid;
    let plugin: P = decoded(&call.stdin)?;
    match command {
        Command::Add => {
            let mut result = plugin.add(&call)?;
            // What a plugin makes has no version yet; what it passes on has one, and becomes this one.
            if result.cni_version == Some(call.version) {
                result.cni_version = None;
            }
            return Ok(format!("{:#}\n", json!(result.in_version(call.version))));
        }
        Command::Del => plugin.del(&call)?,
        Command::Check => plugin.check(&call)?,
        Command::Status => plugin.status(&call)?,
        Command::Gc => plugin.gc(&call)?,
        Command::Version => {}
    }
    Ok(String::new())
}

/// The variables that the command has (section 2, parameters).
fn variables(command: Command, variable: &dyn Fn(&str) -> Option<String>) -> Result<Call, Fault> {
    let attaches = matches!(command, Command::Add | Command::Del | Command::Check);
    let needed = |name: &str| {
        variable(name).ok_or_else(|| {
            fault(code::VARIABLE, format!("{name} is missing"), format!("{} needs it", command.as_str()))
        })
    };
    let bad = |why: Explanation| explained(code::VARIABLE, &why);
    let mut call = Call {
        id: String::new(),
        netns: None,
        ifname: String::new(),
        args: names::args(&variable("CNI_ARGS").unwrap_or_default()).map_err(bad)?,
        network: String::new(),
        version: Version::V1_1_0,
        prev: None,
        valid: None,
        stdin: String::new(),
    };
    if attaches {
        call.id = needed("CNI_CONTAINERID")?;
        call.ifname = needed("CNI_IFNAME")?;
        // That of DEL may be gone already.
        call.netns = if command == Command::Del { variable("CNI_NETNS") } else { Some(needed("CNI_NETNS")?) };
        names::container(&call.id).map_err(bad)?;
        names::interface(&call.ifname).map_err(bad)?;
    }
    Ok(call)
}

fn explained(code: u32, why: &Explanation) -> Fault {
    fault(code, why.what.clone(), format!("{}; {}", why.why, why.fix))
}

/// A configuration read; what is no JSON at all and what does not fit are different faults.
pub(super) fn decoded<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => fault(code::CONFIG, "the configuration does not fit", error.to_string()),
        _ => fault(code::DECODE, "the configuration is no JSON", error.to_string()),
    })
}

/// Looks for a hardware address where a runtime may say one: the capability, `args.cni`, and `CNI_ARGS`, in the specification's order.
pub(super) fn mac(texts: [Option<&str>; 3]) -> Result<Option<[u8; 6]>, Fault> {
    texts.into_iter().flatten().find(|text| !text.is_empty()).map(parse_mac).transpose()
}

/// `02:00:00:00:00:01`, of one interface alone.
fn parse_mac(text: &str) -> Result<[u8; 6], Fault> {
    let mut mac = [0; 6];
    let mut parts = text.split([':', '-']);
    let is_digits = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let read = mac.iter_mut().all(|byte| {
        parts
            .next()
            .filter(is_digits)
            .and_then(|part| u8::from_str_radix(part, 16).ok())
            .map(|value| *byte = value)
            .is_some()
    });
    let is_one = read && parts.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6];
    is_one.then_some(mac).ok_or_else(|| {
        fault(
            code::CONFIG,
            "a hardware address can not be used",
            format!("`{}` is none of one interface", text.escape_debug()),
        )
    })
}

/// As results have it.
pub(super) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Whether two addresses are of the same family.
pub(super) fn same_family(one: IpAddr, other: IpAddr) -> bool {
    one.is_ipv4() == other.is_ipv4()
}

#[cfg(test)]
pub(super) mod tests;
