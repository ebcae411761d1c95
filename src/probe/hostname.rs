//! Host names: one for each UTS namespace (uts_namespaces(7)).

use super::rows::Sheet;
use super::{Panel, Reading};
use crate::kernel::namespace::Namespace;

/// The rows of the host name panel: for each process with a word of its own, and for each UTS namespace without any.
pub(super) fn rows(sheet: &mut Sheet<'_>) {
    let observation = sheet.observation;
    let host = sheet.names.host;
    let hosts = observation.process(host).and_then(|it| it.namespaces.inode(Namespace::Uts));
    for (inode, process) in sheet.viewers(Namespace::Uts, observation.hostnames.keys()) {
        let Some(reading) = observation.hostnames.get(&inode) else { continue };
        let pid = process.pid;
        let meaning = match hosts {
            Some(other) if pid != host && other == inode => {
                "The host's own name: both are in one UTS namespace, and a change by either is seen by both."
            }
            Some(_) if pid != host => "The name in a UTS namespace of its own; changing it does not touch the host.",
            _ => "The name that uname(2) gives to every process of this UTS namespace.",
        };
        let command =
            if pid == host { "hostname".to_owned() } else { format!("nsenter --target {pid} --uts hostname") };
        let source = format!("uname(2) in the uts namespace of pid {pid}");
        sheet.about(Panel::Hostname, process).row("hostname", reading.text(Clone::clone), source, command, meaning);
    }
}

/// The text of `/proc/sys/kernel/hostname`, without its line end.
pub fn parse(text: &[u8]) -> Reading<String> {
    let name = text.strip_suffix(b"\n").unwrap_or(text);
    Reading::Value(String::from_utf8_lossy(name).into_owned())
}
