#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const FULL: &str = r#"{"cniVersion":"1.1.0",
    "interfaces":[{"name":"cni0","mac":"00:11:22:33:44:55","mtu":1500},
        {"name":"eth0","mac":"99:88:77:66:55:44","mtu":1400,"sandbox":"/run/netns/blue","socketPath":"/s","pciID":"0000:00:1f.6"}],
    "ips":[{"address":"10.1.0.5/16","gateway":"10.1.0.1","interface":1},{"address":"fd00::5/64","gateway":""}],
    "routes":[{"dst":"0.0.0.0/0","gw":"10.1.0.1","mtu":1400,"advmss":1360,"priority":7,"table":254,"scope":0},{"dst":"fd01::/64"}],
    "dns":{"nameservers":["10.1.0.1"],"domain":"local","search":["a","b"],"options":["ndots:1"]}}"#;

fn full() -> AddResult {
    AddResult::parse(FULL.as_bytes(), Version::V1_0_0).unwrap()
}

fn text(result: &AddResult) -> String {
    serde_json::to_string(result).unwrap()
}

#[test]
fn a_full_result_is_read_and_written_again() {
    let result = full();
    assert_eq!(result.cni_version, Some(Version::V1_1_0), "what it says itself goes first");
    assert_eq!(result.interfaces[1].pci_id.as_deref(), Some("0000:00:1f.6"));
    assert_eq!((result.ips[0].interface, result.ips[1].gateway), (Some(1), None));
    assert_eq!(result.routes[0].scope, Some(0), "0 is a scope, and not none");
    let again = AddResult::parse(text(&result).as_bytes(), Version::V1_1_0).unwrap();
    assert_eq!(again, result);
}

#[test]
fn before_1_0_0_an_address_says_its_family() {
    let old = full().in_version(Version::V0_4_0);
    assert_eq!(old.ips.iter().map(|ip| ip.version.as_deref().unwrap()).collect::<Vec<_>>(), ["4", "6"]);
    assert!(
        text(&old).starts_with(r#"{"cniVersion":"0.4.0","interfaces":[{"name":"cni0","mac":"00:11:22:33:44:55"},"#)
    );
    for gone in ["mtu", "advmss", "priority", "table", "scope", "socketPath", "pciID"] {
        assert!(!text(&old).contains(gone), "{gone}");
    }
    let new = old.in_version(Version::V1_0_0);
    assert!(new.ips.iter().all(|ip| ip.version.is_none()));
    assert_eq!(new.cni_version, Some(Version::V1_0_0));
}

#[test]
fn in_its_own_version_it_stays_as_it_is() {
    let odd = r#"{"cniVersion":"1.0.0","interfaces":[{"name":"a","socketPath":"/s"}]}"#;
    let result = AddResult::parse(odd.as_bytes(), Version::V1_0_0).unwrap();
    assert_eq!(text(&result.in_version(Version::V1_0_0)), odd);
}

#[test]
fn what_programs_in_go_write_for_nothing_is_nothing() {
    let nothing = r#"{"cniVersion":"","interfaces":null,"ips":null,"routes":null,"dns":null}"#;
    let result = AddResult::parse(nothing.as_bytes(), Version::V0_3_1).unwrap();
    assert_eq!(text(&result), r#"{"cniVersion":"0.3.1"}"#);
    let ipam = r#"{"ips":[{"version":"4","address":"10.1.0.5/16","gateway":null}],"dns":{"nameservers":null}}"#;
    let result = AddResult::parse(ipam.as_bytes(), Version::V0_4_0).unwrap();
    assert_eq!(text(&result), r#"{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.0.5/16"}]}"#);
}

#[test]
fn what_is_no_result_says_why() {
    for (output, why) in [
        ("", "EOF"),
        ("hello", "expected value"),
        ("[]extra", "trailing"),
        (r#"{"cniVersion":"2.0.0"}"#, "none of 0.3.0"),
        (r#"{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.1/8"}}"#, "none of 0.3.0"),
        (r#"{"ips":[{"address":"10.1.0.5"}]}"#, "`10.1.0.5` is no address with"),
        (r#"{"ips":[{"address":"10.1.0.5/33"}]}"#, "is no address with"),
        (r#"{"ips":[{"address":"10.1.0.5/+8"}]}"#, "is no address with"),
        (r#"{"ips":[{"address":"::/129"}]}"#, "is no address with"),
        (r#"{"ips":[{}]}"#, "missing field `address`"),
        (r#"{"ips":[{"address":"::/0","interface":-1}]}"#, "invalid value"),
        (r#"{"ips":[{"address":"::/0","gateway":"x"}]}"#, "`x` is no address"),
        (r#"{"interfaces":[{"mac":"x"}]}"#, "missing field `name`"),
    ] {
        let told = AddResult::parse(output.as_bytes(), Version::V1_1_0).unwrap_err();
        assert!(told.contains(why), "{output}: {told}");
    }
}

fn cidr() -> impl Strategy<Value = Cidr> {
    prop_oneof![
        (any::<std::net::Ipv4Addr>(), 0..=32_u8).prop_map(|(ip, prefix)| Cidr { address: ip.into(), prefix }),
        (any::<std::net::Ipv6Addr>(), 0..=128_u8).prop_map(|(ip, prefix)| Cidr { address: ip.into(), prefix }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_result_or_is_refused(text in ".{0,80}", at in 0..FULL.len(), byte in any::<u8>()) {
        let _ = AddResult::parse(text.as_bytes(), Version::V1_1_0);
        let mut bytes = FULL.as_bytes().to_vec();
        bytes[at] = byte;
        let _ = AddResult::parse(&bytes, Version::V1_1_0);
    }

    #[test]
    fn a_cidr_is_read_as_it_is_written(cidr in cidr()) {
        prop_assert_eq!(cidr.to_string().parse(), Ok(cidr));
    }

    #[test]
    fn every_version_is_written_so_that_it_can_be_read(from in 0..5_usize, to in 0..5_usize, cidrs in prop::collection::vec(cidr(), 0..4)) {
        let mut result = full();
        result.ips = cidrs.into_iter().map(|address| Ip { version: None, interface: None, address, gateway: None }).collect();
        let result = result.in_version(Version::ALL[from]).in_version(Version::ALL[to]);
        let again = AddResult::parse(text(&result).as_bytes(), Version::V0_3_0).unwrap();
        prop_assert_eq!(&again, &result);
        prop_assert!(result.ips.iter().all(|ip| ip.version.is_some() == Version::ALL[to].tells_family()));
    }
}
