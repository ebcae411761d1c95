#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::frame::tests::asked;
use super::*;

fn config(dir: &Path, ipam: Value, more: Value) -> String {
    let mut all = json!({ "cniVersion": "1.1.0", "name": "net", "ipam": ipam });
    all["ipam"]["dataDir"] = json!(dir);
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    all.to_string()
}

fn addresses(text: &str) -> Vec<String> {
    let result: AddResult = serde_json::from_str(text).unwrap();
    result.ips.iter().map(|ip| ip.address.to_string()).collect()
}

#[test]
fn leases_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let text = config(
        dir.path(),
        json!({ "ranges": [[{ "subnet": "10.1.0.0/29" }], [{ "subnet": "fd01::/64" }]] }),
        json!({}),
    );
    let first = asked::<HostLocal>("ADD", &text, "").unwrap();
    assert_eq!(addresses(&first), ["10.1.0.2/29", "fd01::2/64"]);
    let net = dir.path().join("net");
    assert_eq!(fs::read_to_string(net.join("10.1.0.2")).unwrap(), "c1\r\neth0");
    assert_eq!(fs::read_to_string(net.join("last_reserved_ip.1")).unwrap(), "fd01::2");
    let again = asked::<HostLocal>("ADD", &text, "").unwrap_err();
    assert_eq!((again.code, again.msg.as_str()), (code::STATE, "duplicate allocation is not allowed"));
    assert_eq!(asked::<HostLocal>("CHECK", &text, ""), Ok(String::new()));
    for _ in 0..2 {
        assert_eq!(asked::<HostLocal>("DEL", &text, ""), Ok(String::new()));
        assert_eq!(asked::<HostLocal>("CHECK", &text, "").unwrap_err().code, code::STATE);
    }
    // One that was given back is the last to be given again.
    for expected in ["3", "4", "5", "6", "2"] {
        let text = config(dir.path(), json!({ "subnet": "10.1.0.0/29" }), json!({}));
        assert_eq!(addresses(&asked::<HostLocal>("ADD", &text, "").unwrap()), [format!("10.1.0.{expected}/29")]);
        fs::write(net.join(format!("10.1.0.{expected}")), format!("d{expected}\neth0\n")).unwrap();
    }
    let full = asked::<HostLocal>("ADD", &text, "").unwrap_err();
    assert!(full.details.contains("10.1.0.1-10.1.0.6; all are taken"), "{full:?}");
    assert!(!net.join("fd01::3").exists(), "where one set has none, nothing is taken");
    assert_eq!(asked::<HostLocal>("STATUS", &text, "").unwrap_err().code, code::NOT_AVAILABLE);
    assert_eq!(
        asked::<HostLocal>("GC", &text, "").unwrap_err().code,
        code::CONFIG,
        "that nothing is said is not that nothing is valid"
    );
    let valid = json!({ "cni.dev/valid-attachments": [{ "containerID": "d4", "ifname": "eth0" }] });
    let text = config(dir.path(), json!({ "subnet": "10.1.0.0/29" }), valid);
    asked::<HostLocal>("GC", &text, "").unwrap();
    let left: HashSet<String> =
        fs::read_dir(&net).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(left, ["10.1.0.4", "last_reserved_ip.0", "last_reserved_ip.1", "lock"].map(str::to_owned).into());
    assert_eq!(asked::<HostLocal>("STATUS", &text, ""), Ok(String::new()));
}

#[test]
fn addresses_and_ranges_are_wished_for() {
    let dir = tempfile::tempdir().unwrap();
    let subnet =
        json!({ "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.12", "gateway": "10.1.0.11" });
    let added = |more: Value, args: &str| {
        let text = config(dir.path(), subnet.clone(), more);
        let answer = asked::<HostLocal>("ADD", &text, args);
        asked::<HostLocal>("DEL", &text, "").unwrap();
        answer.map(|text| addresses(&text))
    };
    assert_eq!(added(json!({}), "").unwrap(), ["10.1.0.10/24"]);
    assert_eq!(added(json!({}), "").unwrap(), ["10.1.0.12/24"], "the gateway is given to nobody");
    assert_eq!(added(json!({}), "IP=10.1.0.12").unwrap(), ["10.1.0.12/24"]);
    assert_eq!(added(json!({ "runtimeConfig": { "ips": ["10.1.0.10/24"] } }), "").unwrap(), ["10.1.0.10/24"]);
    assert_eq!(added(json!({ "args": { "cni": { "ips": ["10.1.0.12"] } } }), "").unwrap(), ["10.1.0.12/24"]);
    let twice = json!({ "runtimeConfig": { "ips": ["10.1.0.10", "10.1.0.10/24"] } });
    assert_eq!(added(twice, "IP=10.1.0.10").unwrap(), ["10.1.0.10/24"]);
    assert!(
        added(json!({ "runtimeConfig": { "ips": ["10.1.0.10", "10.1.0.12"] } }), "").is_err(),
        "there is one range"
    );
    let ranges = json!({ "runtimeConfig": { "ipRanges": [[{ "subnet": "10.9.0.0/16" }]] } });
    assert_eq!(added(ranges, "").unwrap()[0], "10.9.0.2/16");
    for wish in ["10.1.0.11", "10.1.0.13", "10.2.0.1", "x"] {
        assert!(added(json!({}), &format!("IP={wish}")).is_err(), "{wish}");
    }
}

#[test]
fn ranges_that_can_not_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for ipam in [
        json!({}),
        json!({ "ranges": [[]] }),
        json!({ "subnet": "10.1.0.1/24" }),
        json!({ "subnet": "10.1.0.0/31" }),
        json!({ "subnet": "10.1.0.0/24", "rangeStart": "10.2.0.1" }),
        json!({ "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.8" }),
        json!({ "subnet": "10.1.0.0/24", "gateway": "fd00::1" }),
        json!({ "ranges": [[{ "subnet": "10.1.0.0/24" }, { "subnet": "fd00::/64" }]] }),
        json!({ "ranges": [[{ "subnet": "10.1.0.0/24" }], [{ "subnet": "10.1.0.0/16" }]] }),
        json!({ "ranges": [[{ "rangeStart": "10.1.0.9" }]] }),
    ] {
        let text = config(dir.path(), ipam.clone(), json!({}));
        assert_eq!(asked::<HostLocal>("ADD", &text, "").unwrap_err().code, code::CONFIG, "{ipam}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn resolv_conf_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resolv.conf");
    fs::write(&path, "# x\nnameserver 1.1.1.1\nnameserver fd00::1\ndomain a.b\nsearch a b\noptions ndots:2 x\n")
        .unwrap();
    let ipam = json!({ "subnet": "10.1.0.0/24", "resolvConf": path });
    let result: AddResult =
        serde_json::from_str(&asked::<HostLocal>("ADD", &config(dir.path(), ipam, json!({})), "").unwrap()).unwrap();
    let Dns { nameservers, domain, search, options } = result.dns;
    assert_eq!((nameservers.len(), domain.as_str(), search.len(), options.len()), (2, "a.b", 2, 2));
}

proptest! {
    #[test]
    fn an_address_is_always_in_its_range_and_free(
        address: u32, prefix in 0..=30_u8, taken in proptest::collection::hash_set(0..64_u32, 0..64), last in proptest::option::of(0..64_u32),
    ) {
        let subnet = Cidr { address: IpAddr::from(address.to_be_bytes()), prefix }.network();
        let config = RangeConfig { subnet: Some(subnet), ..RangeConfig::default() };
        let set = Set::new(&[config]).unwrap();
        let IpAddr::V4(base) = subnet.address else { unreachable!() };
        let ip = |offset: u32| IpAddr::from(base.to_bits().wrapping_add(offset).to_be_bytes());
        let taken: HashSet<IpAddr> = taken.into_iter().map(ip).collect();
        match set.next_free(last.map(ip), &taken) {
            Ok((range, found)) => {
                prop_assert!(subnet.contains(found) && !taken.contains(&found) && found != range.gateway && found != subnet.address);
            }
            Err(_) => {
                let hosts = (1_u64 << (32 - prefix)) - 3;
                prop_assert!(taken.len() as u64 >= hosts);
            }
        }
    }

    #[test]
    fn no_configuration_makes_it_panic(subnet in any::<String>(), start in any::<String>(), args in any::<String>()) {
        let dir = tempfile::tempdir().unwrap();
        let _ = asked::<HostLocal>("ADD", &config(dir.path(), json!({ "subnet": subnet, "rangeStart": start }), json!({})), &args);
    }

    #[test]
    fn the_largest_subnets_have_an_end(prefix in 0..=126_u8) {
        let subnet = Cidr { address: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap(), prefix }.network();
        let set = Set::new(&[RangeConfig { subnet: Some(subnet), ..RangeConfig::default() }]).unwrap();
        let last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
        prop_assert!(set.next_free(Some(last), &HashSet::new()).is_ok());
    }
}
