//! Table tests: each row of the contract's tables, as a query string of an account with two domains.

use form_urlencoded::parse;

use super::*;

/// A client that connects over IPv4.
const V4: &str = "198.51.100.7";
/// A client that connects over IPv6.
const V6: &str = "2001:db8:c::7";

/// Reads a query of an account with the domains `d.example`, `sub.d.example` and `e.example`.
fn read(query: &str, basic_user: Option<&str>, client: &str, domains: Domains<'_>) -> Result<Update, DyndnsError> {
    let params: Vec<(String, String)> = parse(query.as_bytes()).into_owned().collect();
    let request = Request { params: &params, basic_user, client: client.parse().unwrap() };
    let owns = |name: &str| ["d.example", "sub.d.example", "e.example"].contains(&name);
    update(&request, &Account { email: "jo@mail.example", domains, owns })
}

/// What becomes of records, in short: `=` keeps, `-` deletes, `~` replaces the network bits.
fn shown(action: &Action) -> String {
    match action {
        Action::Keep => "=".to_owned(),
        Action::Network(network) => format!("~{network}"),
        Action::Set(addresses) if addresses.is_empty() => "-".to_owned(),
        Action::Set(addresses) => addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(","),
    }
}

/// Checks what becomes of A and AAAA of the one host of a request.
fn check_addresses(query: &str, client: &str, expected: &str) {
    let result = read(query, None, client, Domains::One("d.example"));
    let shown = match result {
        Ok(update) => {
            assert_eq!(update.hosts.len(), 1, "{query}");
            format!("{} {}", shown(&update.hosts[0].a), shown(&update.hosts[0].aaaa))
        }
        Err(error) => {
            assert_eq!(error.status(), 400, "{query}");
            error.to_string()
        }
    };
    assert_eq!(shown, expected, "{query} from {client}");
}

/// Checks the domain and subnames of a request, or its error.
fn check_hosts(query: &str, basic_user: Option<&str>, domains: Domains<'_>, expected: &str) {
    let shown = match read(query, basic_user, V4, domains) {
        Ok(update) => {
            let subnames: Vec<String> = update.hosts.into_iter().map(|host| host.subname).collect();
            format!("{}: {}", update.domain, subnames.join(" "))
        }
        Err(error) => format!("{} {error}", error.status()),
    };
    assert_eq!(shown, expected, "{query:?} by {basic_user:?}");
}

#[test]
fn addresses_come_from_the_first_parameter_that_has_some() {
    for (query, expected) in [
        ("myip=192.0.2.1", "192.0.2.1 -"),
        ("myipv4=192.0.2.1", "192.0.2.1 -"),
        ("ip=192.0.2.1", "192.0.2.1 -"),
        ("myip=192.0.2.1&myipv4=192.0.2.2&ip=192.0.2.3", "192.0.2.1 -"),
        ("myipv4=192.0.2.2&ip=192.0.2.3", "192.0.2.2 -"),
        ("myipv6=::1", "198.51.100.7 ::1"),
        ("ipv6=::1", "198.51.100.7 ::1"),
        ("myipv6=::1&ipv6=::2&myip=::3&ip=::4", "- ::1"),
        ("ipv6=::2&myip=::3&ip=::4", "- ::2"),
        ("myip=192.0.2.1&myipv6=2001:DB8:0::1", "192.0.2.1 2001:db8::1"),
        ("myip=192.0.2.1,2001:db8::1", "192.0.2.1 2001:db8::1"),
        ("myip=::3&ip=192.0.2.3", "192.0.2.3 ::3"),
        ("myip=192.0.2.1,192.0.2.2,::1,::2", "192.0.2.1,192.0.2.2 ::1,::2"),
        ("myip= 192.0.2.1 , 192.0.2.1", "192.0.2.1 -"),
        ("myip=192.0.2.1&myip=192.0.2.2", "192.0.2.2 -"),
        ("myip=preserve", "= ="),
        ("myipv4=preserve", "= -"),
        ("myipv6=preserve", "198.51.100.7 ="),
        ("myipv4=preserve&myipv6=::1", "= ::1"),
        ("myip=preserve,preserve", "= ="),
        ("myip=", "- -"),
        ("myipv4=", "- -"),
        ("myipv6=", "198.51.100.7 -"),
        ("myipv4=&myipv6=::1", "- ::1"),
        ("", "198.51.100.7 -"),
    ] {
        check_addresses(query, V4, expected);
    }
}

#[test]
fn the_connection_counts_only_where_no_address_is_named() {
    for (query, client, expected) in [
        ("", V4, "198.51.100.7 -"),
        ("", V6, "- 2001:db8:c::7"),
        ("", "::ffff:198.51.100.7", "198.51.100.7 -"),
        ("myip=::1", V4, "- ::1"),
        ("myip=::1", V6, "- ::1"),
        ("myip=192.0.2.1", V6, "192.0.2.1 -"),
        ("ip=::1", V4, "- ::1"),
        ("myipv4=::1", V4, "- -"),
        ("myip=192.0.2.1&myipv6=192.0.2.1", V6, "192.0.2.1 -"),
        ("myipv4=192.0.2.1", V6, "192.0.2.1 2001:db8:c::7"),
        ("myipv4=", V6, "- 2001:db8:c::7"),
        ("myip=&myipv6=::1", V4, "- ::1"),
    ] {
        check_addresses(query, client, expected);
    }
}

#[test]
fn networks_replace_the_network_bits() {
    for (query, expected) in [
        ("myip=192.0.2.99/24", "~192.0.2.0/24 -"),
        ("myipv6=2001:db8::1/56", "198.51.100.7 ~2001:db8::/56"),
        ("myip=192.0.2.0/24,2001:db8::/56", "~192.0.2.0/24 ~2001:db8::/56"),
        ("myip=192.0.2.0/24,192.0.2.1/24", "~192.0.2.0/24 -"),
        ("myip=192.0.2.0/0&myipv6=preserve", "~0.0.0.0/0 ="),
    ] {
        check_addresses(query, V4, expected);
    }
    let ips = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
    let action = Action::Network("192.0.2.0/24".parse().unwrap());
    assert_eq!(action.apply(&[]), None);
    assert_eq!(action.apply(&ips(&["10.0.0.5", "10.0.1.5", "10.0.0.6"])), Some(ips(&["192.0.2.5", "192.0.2.6"])));
    assert_eq!(Action::Keep.apply(&ips(&["10.0.0.5"])), None);
    assert_eq!(Action::Set(Vec::new()).apply(&ips(&["10.0.0.5"])), Some(Vec::new()));
    assert_eq!(Action::Set(ips(&["::1"])).apply(&[]), Some(ips(&["::1"])));
}

#[test]
fn addresses_that_make_no_sense_are_refused_with_the_parameter() {
    const MIXED: &str =
        "IP parameter \"myip\" cannot have addresses and \"preserve\" or an empty value at the same time.";
    const LIST: &str = "IP parameter \"myip\" cannot use subnet notation with multiple addresses.";
    for (query, expected) in [
        ("myip=192.0.2.1,preserve", MIXED),
        ("myip=preserve,::1", MIXED),
        ("myip=192.0.2.1,", MIXED),
        ("myip=,preserve", MIXED),
        ("myip=192.0.2.0/24,preserve", MIXED),
        ("myip=192.0.2.0/24,192.0.2.1", LIST),
        ("myip=192.0.2.0/24,198.51.100.0/24", LIST),
        ("myip=2001:db8::/56,::1", LIST),
        (
            "myip=192.0.2.0/33",
            "IP parameter \"myip\" is an invalid subnet: '192.0.2.0/33' does not appear to be an IPv4 or IPv6 network",
        ),
        (
            "myipv6=2001:db8::/x",
            "IP parameter \"myipv6\" is an invalid subnet: '2001:db8::/x' does not appear to be an IPv4 or IPv6 network",
        ),
        ("myip=foo", "IP parameter \"myip\" has an invalid address: 'foo'"),
        ("ip=foo", "IP parameter \"ip\" has an invalid address: 'foo'"),
        ("myipv6=foo", "IP parameter \"myipv6\" has an invalid address: 'foo'"),
        ("myip=192.0.2.1,foo", "IP parameter \"myip\" has an invalid address: 'foo'"),
        ("myip=192.0.2.256", "IP parameter \"myip\" has an invalid address: '192.0.2.256'"),
        ("myip=192.0.2", "IP parameter \"myip\" has an invalid address: '192.0.2'"),
        ("myip=192.0.2.01", "IP parameter \"myip\" has an invalid address: '192.0.2.01'"),
        ("myipv6=fe80::1%25eth0", "IP parameter \"myipv6\" has an invalid address: 'fe80::1%eth0'"),
        ("myip=::ffff:192.0.2.1", "IP parameter \"myip\" has an invalid address: '::ffff:192.0.2.1'"),
        ("myip=Preserve", "IP parameter \"myip\" has an invalid address: 'Preserve'"),
        ("myip=a%0d%0ab", "IP parameter \"myip\" has an invalid address: 'a\\r\\nb'"),
        (
            "myipv4:d.example=192.0.2.1,preserve",
            "IP parameter \"myipv4:d.example\" cannot have addresses and \"preserve\" or an empty value at the same time.",
        ),
    ] {
        check_addresses(query, V4, expected);
    }
}

#[test]
fn hosts_come_from_the_first_source_that_names_some() {
    let several = Domains::Several;
    for (query, basic_user, domains, expected) in [
        ("hostname=d.example", None, several, "d.example: "),
        ("hostname=www.D.Example", None, several, "d.example: www"),
        ("hostname=*.d.example", None, several, "d.example: *"),
        ("hostname=*.x.d.example", None, several, "d.example: *.x"),
        ("hostname=_x.y.sub.d.example", None, several, "sub.d.example: _x.y"),
        ("hostname=a.d.example, B.d.example ,a.d.example", None, several, "d.example: a b"),
        ("hostname=a.d.example&host_id=b.d.example&username=c.d.example", Some("x.d.example"), several, "d.example: a"),
        ("hostname=&host_id=b.d.example", Some("x.d.example"), several, "d.example: b"),
        ("hostname=YES&host_id=b.d.example", None, several, "d.example: b"),
        ("hostname=YES&host_id=", Some("x.d.example"), several, "d.example: x"),
        ("username=c.d.example", Some("x.d.example"), several, "d.example: x"),
        ("username=c.d.example", Some("jo@mail.example"), several, "d.example: c"),
        ("username=c.d.example", Some(""), several, "d.example: c"),
        ("username=jo@mail.example", Some("jo@mail.example"), Domains::One("e.example"), "e.example: "),
        ("", None, Domains::One("e.example"), "e.example: "),
        ("", None, several, "400 Request does not properly specify domain for update."),
        ("hostname=YES", Some("jo@mail.example"), several, "400 Request does not properly specify domain for update."),
        ("", None, Domains::None, "404 nohost"),
        ("hostname=a.other.example", None, several, "404 nohost"),
        ("hostname=d.example.", None, several, "404 nohost"),
        ("hostname=a..d.example", None, several, "404 nohost"),
        ("hostname=a b.d.example", None, several, "404 nohost"),
        ("hostname=a.d.example,", None, several, "404 nohost"),
        ("hostname=xd.example", None, several, "404 nohost"),
        ("hostname=example", None, several, "404 nohost"),
        ("hostname=a.d.example,a.other.example", None, several, "404 nohost"),
        ("hostname=a.d.example,e.example", None, several, "400 Cannot update subdomains from more than one domain."),
        ("hostname=d.example,sub.d.example", None, several, "400 Cannot update subdomains from more than one domain."),
    ] {
        check_hosts(query, basic_user, domains, expected);
    }
}

#[test]
fn a_host_may_have_addresses_of_its_own() {
    let query = "hostname=a.d.example,b.d.example&myipv4=192.0.2.1&myipv6=preserve\
                 &myipv4:B.d.example=192.0.2.2&myipv6:b.d.example=&myipv6:c.d.example=::3";
    let update = read(query, None, V4, Domains::Several).unwrap();
    let hosts: Vec<String> =
        update.hosts.iter().map(|host| format!("{} {} {}", host.subname, shown(&host.a), shown(&host.aaaa))).collect();
    assert_eq!(hosts, ["a 192.0.2.1 =", "b 192.0.2.2 -", "c 192.0.2.1 ::3"]);
    // Names of parameters are names: the only domain is not meant then.
    check_hosts("myipv4:w.d.example=192.0.2.1", None, Domains::Several, "d.example: w");
    check_hosts("myipv4:w.d.example=192.0.2.1", None, Domains::One("d.example"), "d.example: w");
    check_hosts("myipv4:w.other.example=192.0.2.1", None, Domains::One("d.example"), "404 nohost");
    check_hosts(
        "hostname=d.example&myipv6:e.example=::1",
        None,
        Domains::Several,
        "400 Cannot update subdomains from more than one domain.",
    );
}

#[test]
fn the_user_is_nobody_the_account_or_one_of_its_names() {
    let account =
        Account { email: "Jo@mail.example", domains: Domains::Several, owns: |name: &str| name == "d.example" };
    for (user, expected) in [
        ("", true),
        ("jo@mail.example", true),
        ("d.example", true),
        ("www.D.example", true),
        ("*.d.example", true),
        ("e.example", false),
        ("al@mail.example", false),
        ("d.example.", false),
        ("jo", false),
    ] {
        let result = check_user(user, &account);
        assert_eq!(result.is_ok(), expected, "{user:?}");
        assert!(result.err().is_none_or(|error| error.status() == 401 && error.to_string() == "badauth"), "{user:?}");
    }
}

#[test]
fn drafts_have_their_own_ttl_and_an_empty_one_deletes() {
    let shown = |query: &str, limits| {
        let update = read(query, None, V4, Domains::One("d.example")).unwrap();
        let existing = |family| match family {
            Family::V4 => vec!["10.0.0.5".parse().unwrap(), "10.0.0.4".parse().unwrap()],
            Family::V6 => Vec::new(),
        };
        let drafts = update.hosts[0].drafts(&update.domain, limits, existing).map_err(|error| error.to_string())?;
        let line = |draft: Draft| {
            let texts: Vec<String> = draft.records.into_iter().flatten().map(|content| content.text).collect();
            format!("{} {} {}", draft.rtype, draft.ttl.unwrap(), texts.join(","))
        };
        Ok::<_, String>(drafts.into_iter().map(line).collect::<Vec<_>>().join("; "))
    };
    for (query, expected) in [
        ("myip=192.0.2.2,192.0.2.1", "A 60 192.0.2.1,192.0.2.2; AAAA 60 "),
        ("myip=preserve", ""),
        ("myipv4=preserve&myipv6=2001:DB8:0::1", "AAAA 60 2001:db8::1"),
        ("myip=192.0.2.0/24,2001:db8::/64", "A 60 192.0.2.4,192.0.2.5"),
    ] {
        assert_eq!(shown(query, Limits::HOSTING).as_deref(), Ok(expected), "{query}");
    }
    let one = Limits { record_count_max: 1, ..Limits::HOSTING };
    let error = "d.example/A: Ensure this RRset has no more than 1 records.".to_owned();
    assert_eq!(shown("myip=192.0.2.2,192.0.2.1", one), Err(error));
}

#[test]
fn credentials_in_the_query_are_both_needed() {
    for (query, expected) in [
        ("username=a&password=b", Ok(("a".to_owned(), "b".to_owned()))),
        ("username=&password=b", Ok((String::new(), "b".to_owned()))),
        ("password=b", Err((401, "No username URL parameter provided.".to_owned()))),
        ("username=a", Err((401, "No password URL parameter provided.".to_owned()))),
    ] {
        let params: Vec<(String, String)> = parse(query.as_bytes()).into_owned().collect();
        let request = Request { params: &params, basic_user: None, client: V6.parse().unwrap() };
        let found = query_credentials(&request).map(|(user, password)| (user.to_owned(), password.to_owned()));
        assert_eq!(found.map_err(|error| (error.status(), error.to_string())), expected, "{query}");
    }
}
