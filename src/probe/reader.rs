//! Temporary reader until the probes land.
use super::*;
use crate::kernel::namespace::Namespace;
use std::fs;
/// What to read.
pub struct Wanted {
    without: Option<i32>,
    only: Option<i32>,
}
impl Wanted {
    /// All.
    pub fn panels(_: &[Panel]) -> Self {
        Self { without: None, only: None }
    }
    /// Leave out.
    pub fn without(self, pid: i32) -> Self {
        Self { without: Some(pid), ..self }
    }
    /// Only.
    pub fn only(self, pid: i32) -> Self {
        Self { only: Some(pid), ..self }
    }
}
/// Reader.
pub struct Reader(String);
impl Reader {
    /// New.
    pub fn new(proc: &str) -> Self {
        Self(proc.into())
    }
    /// Read.
    pub fn observe(&self, w: &Wanted) -> Observation {
        let mut o = Observation::default();
        let mut pids: Vec<i32> =
            fs::read_dir(&self.0).unwrap().filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect();
        pids.sort();
        for pid in pids {
            if w.without == Some(pid) || w.only.is_some_and(|p| p != pid) {
                continue;
            }
            if let Some(p) = self.one(pid) {
                o.processes.push(p)
            }
        }
        for p in &o.processes {
            if let Some(m) = p.namespaces.inode(Namespace::Mnt) {
                o.visible_pids.entry(m).or_insert_with(|| {
                    fs::read_dir(format!("{}/{}/root/proc", self.0, p.pid))
                        .map(|d| {
                            let mut v: Vec<i32> = d
                                .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
                                .filter(|x| Some(*x) != w.without)
                                .collect();
                            v.sort();
                            v
                        })
                        .into()
                });
            }
        }
        let own = fs::read_link(format!("{}/self/ns/uts", self.0)).ok();
        let mut list: Vec<(i32, u64)> =
            o.processes.iter().filter_map(|p| Some((p.pid, p.namespaces.inode(Namespace::Uts)?))).collect();
        list.sort_by_key(|(pid, _)| fs::read_link(format!("{}/{pid}/ns/uts", self.0)).ok() != own);
        for (pid, uts) in list {
            if o.hostnames.contains_key(&uts) {
                continue;
            }
            let f = fs::File::open(format!("{}/{pid}/ns/uts", self.0));
            let r = f.and_then(|f| {
                if fs::read_link(format!("{}/{pid}/ns/uts", self.0)).ok() != own {
                    crate::kernel::sys::enter(&f)?;
                }
                fs::read_to_string("/proc/sys/kernel/hostname")
            });
            o.hostnames.insert(uts, Reading::from(r).map(|s: String| s.trim().to_owned()));
        }
        o
    }
    fn one(&self, pid: i32) -> Option<Process> {
        let d = format!("{}/{pid}", self.0);
        let stat = String::from_utf8_lossy(&fs::read(format!("{d}/stat")).ok()?).into_owned();
        let (a, b) = stat.rsplit_once(") ")?;
        let comm = a.split_once('(')?.1.to_owned();
        let f: Vec<&str> = b.split(' ').collect();
        let status = fs::read_to_string(format!("{d}/status")).ok()?;
        let field =
            |k: &str| status.lines().find_map(|l| l.strip_prefix(k)?.strip_prefix(':')).unwrap_or("").trim().to_owned();
        let nums = |k: &str| -> Vec<u32> { field(k).split_whitespace().filter_map(|x| x.parse().ok()).collect() };
        let four = |k: &str| -> [u32; 4] { nums(k).try_into().unwrap_or([0; 4]) };
        let hex = |k: &str| u64::from_str_radix(&field(k), 16).unwrap_or(0);
        let map = |k: &str| {
            Reading::from(fs::read_to_string(format!("{d}/{k}"))).map(|t: String| {
                t.lines()
                    .filter_map(|l| {
                        let v: Vec<u32> = l.split_whitespace().filter_map(|x| x.parse().ok()).collect();
                        Some(IdMap { inside: *v.first()?, outside: *v.get(1)?, count: *v.get(2)? })
                    })
                    .collect()
            })
        };
        let link = |k: &str| Reading::from(fs::read_link(format!("{d}/{k}"))).map(|p| p.to_string_lossy().into_owned());
        Some(Process {
            pid,
            ppid: f.get(1)?.parse().ok()?,
            pgrp: f.get(2)?.parse().ok()?,
            comm,
            state: f[0].chars().next()?,
            start_time: f.get(19)?.parse().ok()?,
            cmdline: fs::read(format!("{d}/cmdline"))
                .unwrap_or_default()
                .split(|b| *b == 0)
                .filter(|x| !x.is_empty())
                .map(|x| String::from_utf8_lossy(x).into_owned())
                .collect(),
            nspid: field("NSpid").split_whitespace().filter_map(|x| x.parse().ok()).collect(),
            namespaces: Namespaces(
                Namespace::ALL
                    .into_iter()
                    .map(|n| {
                        (
                            n,
                            Reading::from(fs::read_link(format!("{d}/ns/{}", n.link())))
                                .parse(|p| p.to_str()?.split_once('[')?.1.trim_end_matches(']').parse().ok()),
                        )
                    })
                    .collect(),
            ),
            credentials: Credentials {
                uid: four("Uid"),
                gid: four("Gid"),
                groups: nums("Groups"),
                caps: [hex("CapInh"), hex("CapPrm"), hex("CapEff"), hex("CapBnd"), hex("CapAmb")],
                no_new_privs: field("NoNewPrivs") == "1",
                seccomp: field("Seccomp").parse().unwrap_or(0),
                uid_map: map("uid_map"),
                gid_map: map("gid_map"),
                setgroups: Reading::from(fs::read_to_string(format!("{d}/setgroups"))).map(|s| s.trim().to_owned()),
            },
            root: link("root"),
            cwd: link("cwd"),
            exe: link("exe"),
        })
    }
}
