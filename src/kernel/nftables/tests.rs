use proptest::prelude::*;

use super::expression::Expression;
use super::fold::fold;
use super::*;
use crate::kernel::netlink::NetlinkSerializable;

/// A message as it is sent, without the header of netlink(7).
fn serialized(message: &impl NetlinkSerializable) -> Vec<u8> {
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

fn rule(text: &str) -> Rule {
    text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

/// Rules as nft(8) 1.0.6 lists them, with the family of their table.
const LISTED: &[(Family, &str)] = &[
    (Family::Ip, "ip saddr 10.12.0.0/24 oifname != \"br0\" counter packets 0 bytes 0 masquerade"),
    (Family::Ip, "tcp dport 8080 counter packets 3 bytes 180 dnat to 10.12.0.2:80"),
    (Family::Ip, "fib daddr type local tcp dport 8080 dnat to 10.12.0.2:80"),
    (Family::Ip, "ip saddr 10.0.0.0/8 ip daddr != 10.1.0.0/17 oifname \"v*\" accept"),
    (Family::Ip, "ip saddr 0.0.0.0/0 ip daddr != 10.0.0.1 return"),
    (Family::Ip, "tcp dport 80 tcp sport != 81 accept"),
    (Family::Ip, "meta l4proto tcp accept"),
    (Family::Ip, "meta l4proto tcp counter packets 0 bytes 0 tcp dport 80 accept"),
    (Family::Ip, "ct state established,related accept"),
    (Family::Ip, "ct status dnat accept"),
    (Family::Ip, "ct state != established | related drop"),
    (Family::Ip, "iifname \"br0\" oifname != \"br0\" jump others"),
    (Family::Ip, "udp dport != 53 reject"),
    (Family::Ip, "ip saddr 10.1.2.3 snat to 1.2.3.4"),
    (Family::Ip6, "ip6 saddr fd00::/61 tcp dport 22 reject"),
    (Family::Ip6, "ip6 daddr != fd00::1 drop"),
    (Family::Ip6, "tcp dport 80 snat to [fd00::5]:80"),
    (Family::Inet, "ip saddr 10.0.0.1 tcp dport 80 dnat ip to 10.0.0.2:80"),
    (Family::Inet, "dnat ip6 to fd00::1"),
    (Family::Inet, "meta nfproto ipv4 counter packets 0 bytes 0 ip saddr 1.2.3.4"),
    (Family::Inet, "iifname \"x\" ip saddr 1.2.3.4"),
    (Family::Inet, "ip6 saddr fd00::/64 ip6 saddr fd00::1 tcp dport 80 ip6 daddr fd00::/63"),
    (Family::Inet, "reject with icmp port-unreachable"),
    (Family::Inet, "tcp dport 1 reject"),
];

#[test]
fn a_rule_that_nft_lists_is_read_written_and_read_back() {
    for (family, text) in LISTED {
        let rule = rule(text);
        assert_eq!(rule.to_string(), *text);
        assert_eq!(rule.fault(*family), None, "{text}");
        assert_eq!(rule.canonical(*family).to_string(), *text);
    }
}

#[test]
fn what_may_be_written_otherwise_is_read_back_as_nft_lists_it() {
    let back = |family, text: &str| rule(text).canonical(family).to_string();
    assert_eq!(back(Family::Ip, "  counter\taccept "), "counter packets 0 bytes 0 accept");
    assert_eq!(back(Family::Ip, "ip saddr 10.12.0.7/24 accept"), "ip saddr 10.12.0.0/24 accept");
    assert_eq!(back(Family::Ip, "iifname br0 drop"), "iifname \"br0\" drop");
    assert_eq!(back(Family::Ip, "ct state related , established drop"), "ct state established,related drop");
    assert_eq!(back(Family::Ip, "meta l4proto tcp tcp dport 80"), "tcp dport 80");
    assert_eq!(back(Family::Ip, "dnat ip to 10.0.0.2"), "dnat to 10.0.0.2");
    assert_eq!(
        back(Family::Inet, "meta nfproto ipv4 iifname \"x\" ip saddr 1.2.3.4"),
        "iifname \"x\" ip saddr 1.2.3.4"
    );
    assert_eq!(back(Family::Inet, "meta l4proto tcp ip saddr 1.2.3.4 tcp dport 80"), "ip saddr 1.2.3.4 tcp dport 80");
    assert_eq!(back(Family::Inet, "ip saddr 1.2.3.4 dnat to 10.0.0.2"), "ip saddr 1.2.3.4 dnat ip to 10.0.0.2");
    assert_eq!(back(Family::Inet, "ip saddr 1.2.3.4 reject"), "ip saddr 1.2.3.4 reject with icmp port-unreachable");
}

#[test]
fn what_is_no_rule_is_refused_with_a_reason() {
    for (text, reason) in [
        ("", "nothing"),
        ("ip", "`saddr` or `daddr`"),
        ("ip saddr", "an address"),
        ("ip saddr fd00::1", "`ip`"),
        ("ip saddr 10.0.0.1/33", "10.0.0.1/33"),
        ("ip saddr 10.0.0.1/+8", "10.0.0.1/+8"),
        ("oifname \"br0", "quotation mark"),
        ("oifname \"sixteen-bytes-xx\"", "name of a link"),
        ("oifname \"*\"", "name of a link"),
        ("tcp dport http", "number of a port"),
        ("tcp dport +80", "number of a port"),
        ("tcp dport 65536", "number of a port"),
        ("tcp", "`sport` or `dport`"),
        ("ct state old", "old"),
        ("accept drop", "behind the verdict"),
        ("masquerade counter", "behind the verdict"),
        ("dnat to 10.0.0.2:0", "no address"),
        ("dnat to fd00::1:", "no address"),
        ("limit rate 1/second", "limit"),
        ("\"accept\"", "a statement is expected"),
        ("accept comment \"x\" drop", "behind the end"),
    ] {
        let fault = text.parse::<Rule>().expect_err(text);
        assert!(fault.contains(reason), "{text}: {fault}");
    }
}

#[test]
fn a_rule_has_to_fit_the_family_of_its_table() {
    let fault = |family, text: &str| rule(text).fault(family);
    for (family, text) in [
        (Family::Ip, "ip6 saddr fd00::1 drop"),
        (Family::Ip6, "ip saddr 10.0.0.1 drop"),
        (Family::Inet, "ip saddr 10.0.0.1 ip6 daddr fd00::1 drop"),
        (Family::Ip, "tcp dport 80 udp dport 53 drop"),
        (Family::Ip, "dnat to 10.0.0.2:80"),
        (Family::Ip, "dnat to fd00::1"),
        (Family::Inet, "dnat to 10.0.0.2"),
        (Family::Inet, "dnat ip6 to 10.0.0.2"),
    ] {
        assert!(fault(family, text).is_some(), "{family}: {text}");
    }
    assert_eq!(fault(Family::Inet, "ip saddr 10.0.0.1 tcp dport 80 dnat to 10.0.0.2:80"), None);
}

#[test]
fn a_request_is_told_in_the_kernels_words() {
    let told = |message| {
        let (name, args) = request::words(&message);
        format!("{name}({})", args.join(", "))
    };
    assert_eq!(told(request::new_table(Family::Ip, "lab")), "NFT_MSG_NEWTABLE(NFPROTO_IPV4, NFTA_TABLE_NAME=\"lab\")");
    assert_eq!(
        told(request::delete_table(Family::Inet, "lab")),
        "NFT_MSG_DELTABLE(NFPROTO_INET, NFTA_TABLE_NAME=\"lab\")"
    );
    let (kind, hook, priority, policy) = (ChainType::Nat, Hook::Postrouting, Priority(100), Policy::Accept);
    assert_eq!(
        told(request::new_chain(Family::Ip, "lab", "post", Some(&Base { kind, hook, priority, policy }))),
        "NFT_MSG_NEWCHAIN(NFPROTO_IPV4, NFTA_CHAIN_TABLE=\"lab\", NFTA_CHAIN_NAME=\"post\", \
         NFTA_CHAIN_HOOK={NFTA_HOOK_HOOKNUM=NF_INET_POST_ROUTING, NFTA_HOOK_PRIORITY=100}, \
         NFTA_CHAIN_POLICY=NF_ACCEPT, NFTA_CHAIN_TYPE=\"nat\")"
    );
    let rule = rule("ip saddr 10.12.0.0/24 oifname != \"br0\" counter masquerade comment \"home\"");
    assert_eq!(
        told(request::new_rule(Family::Ip, "lab", "post", &rule)),
        "NFT_MSG_NEWRULE(NFPROTO_IPV4, NFTA_RULE_TABLE=\"lab\", NFTA_RULE_CHAIN=\"post\", \
         NFTA_RULE_EXPRESSIONS={payload(network+12, 3), cmp(EQ 0x0a0c00), meta(OIFNAME), cmp(NEQ \"br0\"), counter, masq}, \
         NFTA_RULE_USERDATA=\"home\")"
    );
    assert_eq!(
        told(request::delete_rule(Family::Ip, "lab", "post", 7)),
        "NFT_MSG_DELRULE(NFPROTO_IPV4, NFTA_RULE_TABLE=\"lab\", NFTA_RULE_CHAIN=\"post\", NFTA_RULE_HANDLE=7)"
    );
}

#[test]
fn a_message_that_is_sent_is_read_as_what_it_was_made_of() {
    for (family, text) in LISTED {
        let wanted = rule(text);
        let message = serialized(&request::new_rule(*family, "lab", "post", &wanted));
        let (of, _, attributes) = answer::message(&message).expect("a message");
        assert_eq!(of, Some(*family));
        let (table, chain, read) = answer::rule(*family, attributes);
        assert_eq!((table.as_str(), chain.as_str(), read), ("lab", "post", wanted));
    }
    let (kind, hook, priority, policy) = (ChainType::Filter, Hook::Forward, Priority(-5), Policy::Drop);
    let base = Base { kind, hook, priority, policy };
    let message = serialized(&request::new_chain(Family::Ip6, "lab", "forward", Some(&base)));
    let (_, chain) = answer::chain(answer::message(&message).expect("a message").2);
    assert_eq!(chain, Chain { name: "forward".to_owned(), base: Some(base), rules: Vec::new() });
}

#[test]
fn what_is_not_known_is_told_by_its_name() {
    let other = |name: &str| Expression::Other(name.to_owned());
    let expressions = [other("limit"), Expression::Meta { key: 3, register: 1 }, other("lookup"), Expression::Masq];
    let rule = Rule { statements: fold(&expressions, Family::Ip), ..Rule::default() };
    assert_eq!(rule.to_string(), "[limit] [meta] [lookup] masquerade");
    // A comparison of another register, a mask that is no prefix, a port of nobody knows which protocol.
    let odd = [
        vec![Expression::Meta { key: 6, register: 1 }, Expression::Cmp { register: 2, not: false, data: vec![0; 16] }],
        vec![
            Expression::Payload { base: 1, offset: 12, len: 4, register: 1 },
            Expression::Mask { source: 1, register: 1, mask: vec![255, 0, 255, 0] },
            Expression::Cmp { register: 1, not: false, data: vec![10, 0, 1, 0] },
        ],
        vec![
            Expression::Payload { base: 2, offset: 2, len: 2, register: 1 },
            Expression::Cmp { register: 1, not: false, data: vec![0, 80] },
        ],
    ];
    for expressions in odd {
        let statements = fold(&expressions, Family::Ip);
        assert!(statements.iter().all(|it| matches!(it, Statement::Other(_))), "{statements:?}");
        assert_eq!(statements.len(), expressions.len());
    }
}

#[test]
fn a_ruleset_is_written_as_nft_lists_it() {
    let (kind, hook, priority, policy) = (ChainType::Nat, Hook::Postrouting, Priority(100), Policy::Accept);
    let chain = |name: &str, base, rules| Chain { name: name.to_owned(), base, rules };
    let base = Base { kind, hook, priority, policy };
    let noted = Rule { comment: Some("a b".to_owned()), ..rule("counter accept") };
    let chains = vec![chain("post", Some(base), vec![noted, rule("jump own")]), chain("own", None, Vec::new())];
    let ruleset = Ruleset { tables: vec![Table { family: Family::Ip, name: "lab".to_owned(), chains }] };
    assert_eq!(
        ruleset.to_string(),
        "table ip lab {\n\tchain post {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\
         \t\tcounter packets 0 bytes 0 accept comment \"a b\"\n\t\tjump own\n\t}\n\n\tchain own {\n\t}\n}\n"
    );
}

/// Statements that a rule can have before its verdict.
fn question() -> impl Strategy<Value = Statement> {
    let end = prop_oneof![Just(End::Source), Just(End::Destination)];
    let way = prop_oneof![Just(Way::In), Just(Way::Out)];
    let transport = prop_oneof![Just(Transport::Tcp), Just(Transport::Udp)];
    let address = prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(ip, prefix)| Network::new(ip.into(), prefix)),
        (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(ip, prefix)| Network::new(ip.into(), prefix)),
    ];
    let bits = prop_oneof![
        (1..8_u32).prop_map(|bits| (CtKey::State, bits)),
        (1..64_u32).prop_map(|bits| (CtKey::Status, bits)),
    ];
    prop_oneof![
        (end.clone(), any::<bool>(), address)
            .prop_map(|(end, not, network)| { Statement::Address { end, not, network: network.expect("a network") } }),
        (way, any::<bool>(), "[a-z0-9.@-]{1,14}\\*?")
            .prop_map(|(way, not, name)| { Statement::LinkName { way, not, name } }),
        (transport.clone(), end.clone(), any::<bool>(), any::<u16>())
            .prop_map(|(transport, end, not, port)| Statement::Port { transport, end, not, port }),
        (end, any::<bool>(), 0..10_u32).prop_map(|(end, not, kind)| Statement::Fib {
            end,
            not,
            kind: AddressKind(kind)
        }),
        (bits, any::<bool>()).prop_map(|((key, bits), not)| Statement::Ct { key, not, bits }),
        transport.prop_map(Statement::L4Proto),
        prop_oneof![Just(Version::Ip), Just(Version::Ip6)].prop_map(Statement::NfProto),
        (any::<u64>(), any::<u64>()).prop_map(|(packets, bytes)| Statement::Counter { packets, bytes }),
    ]
}

fn verdict() -> impl Strategy<Value = Statement> {
    let end = prop_oneof![Just(End::Source), Just(End::Destination)];
    let to = prop_oneof![
        any::<[u8; 4]>().prop_map(std::net::IpAddr::from),
        any::<[u8; 16]>().prop_map(std::net::IpAddr::from)
    ];
    prop_oneof![
        Just(Statement::Accept),
        Just(Statement::Drop),
        Just(Statement::Return),
        Just(Statement::Masquerade),
        Just(Statement::Reject { version: None }),
        Just(Statement::Reject { version: Some(Version::Ip6) }),
        "[a-z][a-z0-9_]{0,9}".prop_map(Statement::Jump),
        (end, any::<bool>(), to, proptest::option::of(1..=u16::MAX)).prop_map(|(end, told, to, port)| {
            Statement::Nat { end, version: told.then_some(Version::of(to)), to, port }
        }),
    ]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let comment = proptest::option::of("[ -!#-~]{0,9}");
    (proptest::collection::vec(question(), 0..5), verdict(), comment).prop_map(|(mut statements, last, comment)| {
        statements.push(last);
        Rule { handle: 0, statements, comment }
    })
}

fn any_family() -> impl Strategy<Value = Family> {
    (0..Family::ALL.len()).prop_map(|at| Family::ALL[at])
}

proptest! {
    #[test]
    fn what_is_written_is_read(rule in any_rule()) {
        prop_assert_eq!(rule.to_string().parse::<Rule>(), Ok(rule));
    }

    #[test]
    fn what_is_read_back_stays_as_it_is(rule in any_rule(), family in any_family()) {
        prop_assume!(rule.fault(family).is_none());
        let once = rule.canonical(family);
        prop_assert!(!once.statements.iter().any(|it| matches!(it, Statement::Other(_))), "{once}");
        prop_assert_eq!(once.fault(family), None, "{}", once);
        prop_assert_eq!(once.canonical(family), once.clone());
        prop_assert_eq!(once.to_string().parse::<Rule>(), Ok(once));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(ip|ip6|saddr|dport|tcp|fib|ct|state|!=|,|\\||\"|counter|dnat|to| |[0-9:./*]|\\PC){0,12}") {
        let _ = text.parse::<Rule>();
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), family in any_family()) {
        let _ = answer::message(&bytes);
        let _ = (answer::table(family, &bytes), answer::chain(&bytes), answer::rule(family, &bytes).2.to_string());
        let _ = fold(&answer::expressions(&bytes), family);
    }

    /// Messages that are nearly right: any byte of one is another one.
    #[test]
    fn no_change_of_a_message_makes_it_panic(which in 0..LISTED.len(), at in 0usize..400, byte: u8) {
        let (family, text) = LISTED[which];
        let mut message = serialized(&request::new_rule(family, "lab", "post", &rule(text)));
        let length = message.len();
        message[at % length] = byte;
        if let Some((_, _, attributes)) = answer::message(&message) {
            let read = answer::rule(family, attributes).2;
            let _ = (read.to_string(), read.canonical(family), read.bare().packets());
        }
    }
}
