//! What a legal file means.

use std::sync::Arc;

use weir_balance::{LoadFactor, Nanos, Policy, VirtualNodes, Weight};
use weir_config::{
    AccessLog, Config, Dns, Family, Records, Source, SourceKind, Status, TokenFrom, defaults, parse, parse_endpoints,
};
use weir_snapshot::{Bytes, KeySource, Millis, ProbeKind, Queueing, WhenAllEjected, WorkFrom};

const LEAST: &str = "[[listener]]\naddress = \"0.0.0.0:8080\"\n[[route]]\nservice = \"a\"\n\
    [[service]]\nname = \"a\"\npolicy = \"round-robin\"\nendpoints = [\"127.0.0.1:3001\"]\n";

fn read(text: &str) -> Config {
    parse("weir.toml", text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A route and a service with these lines, and the least of everything else.
fn with(route: &str, service: &str) -> Config {
    read(&format!(
        "[[listener]]\naddress = \"0.0.0.0:8080\"\n[[route]]\nservice = \"a\"\n{route}\n\
         [[service]]\nname = \"a\"\nendpoints = [\"127.0.0.1:3001\"]\n{service}\n"
    ))
}

#[test]
fn the_admin_address_may_be_any_with_a_token_and_loopback_without() {
    for (listen, token) in
        [("127.0.0.2:1", false), ("[::1]:1", false), ("[::ffff:127.0.0.1]:1", false), ("0.0.0.0:1", true)]
    {
        let token = if token { "token_file = \"token\"\n" } else { "" };
        let config = read(&format!("[admin]\nlisten = \"{listen}\"\n{token}{LEAST}"));
        assert_eq!(config.admin.listen.to_string(), listen);
    }
}

#[test]
fn the_least_file_gets_every_default() {
    let config = read(LEAST);
    assert_eq!(config.server.threads, 0);
    assert_eq!(config.server.body_memory, Bytes::from_mib(512));
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9090");
    assert_eq!((config.admin.token_file, config.admin.recent), (None, 1000));
    assert_eq!(config.log.access, AccessLog::Off);
    let listener = &config.listeners[0];
    assert_eq!((listener.max_connections, listener.max_fields), (10_000, 100));
    assert_eq!((listener.max_head, listener.max_target), (Bytes::from_kib(32), Bytes::from_kib(8)));
    assert_eq!((listener.header_timeout, listener.idle_timeout), (Millis::from_secs(10), Millis::from_secs(75)));
    let route = &config.routes[0];
    assert_eq!((route.host.as_deref(), &*route.path, &*route.service), (None, "/", "a"));
    let settings = &route.settings;
    assert_eq!((settings.max_body, settings.buffer_body), (Bytes::from_mib(1), Bytes::from_mib(1)));
    assert_eq!((settings.timeouts.connect, settings.timeouts.total), (Millis::from_secs(3), Millis::from_secs(300)));
    assert_eq!((settings.retry.on_error, settings.retry.on_timeout, settings.retry.tries), (true, true, 3));
    assert_eq!((settings.retry.budget.percent, settings.retry.budget.floor_per_second), (20, 10));
    assert!(settings.retry.on_statuses.is_empty() && !settings.retry.non_idempotent);
    let service = &config.services[0];
    assert_eq!((service.policy, service.when_all_ejected), (Policy::RoundRobin, WhenAllEjected::TryAll));
    assert_eq!((service.endpoints[0].weight, service.endpoints[0].drain), (Weight::ONE, false));
    assert_eq!(
        (service.health.failures, service.health.window, service.health.successes),
        (3, Millis::from_secs(30), 1)
    );
    assert_eq!((service.health.probe.as_ref(), service.health.statuses.len()), (None, 0));
}

#[test]
fn a_queue_is_ordered_by_size_where_work_is_predicted_and_by_arrival_where_it_is_not() {
    let of = |service: &str| {
        let config = with("", &format!("policy = \"least-connections\"\n{service}"));
        (config.services[0].queue.unwrap(), config.routes[0].settings.queueing)
    };
    let (plain, told) = of("queue = { capacity = 2 }");
    assert_eq!((plain.capacity.get(), plain.extra, plain.timeout), (2, 0, Millis::from_secs(5)));
    assert_eq!((plain.order.max, plain.order.factor, told), (1024, 0, Queueing::default()));
    let (sized, told) = of("queue = { capacity = 2, adaptive = true }\nwork = \"image\"");
    assert_eq!((sized.extra, sized.order.factor, sized.order.small), (1, 15, Nanos::from_millis(100)));
    assert_eq!(told, Queueing { work: WorkFrom::Image, priority: 0, adaptive: true });
    let (in_turn, _) = of("queue = { capacity = 2, order = \"fifo\", extra = 3 }\nwork = \"content-length\"");
    assert_eq!((in_turn.extra, in_turn.order.factor), (3, 0));
    assert_eq!(with("", "policy = \"round-robin\"\nwork = \"none\"").services[0].queue, None);
    let config = with("priority = 3", "policy = \"round-robin\"\nqueue = { capacity = 1 }");
    assert_eq!(config.routes[0].settings.queueing.priority, 3);
}

#[test]
fn a_capacity_may_stand_beside_an_address_and_beside_a_name() {
    let config = read(&LEAST.replace(
        "[\"127.0.0.1:3001\"]",
        "[{ address = \"127.0.0.1:3001\", capacity = 8 }, { address = \"shop.example:80\", capacity = 4 }]\n\
         queue = { capacity = 2 }",
    ));
    let service = &config.services[0];
    let SourceKind::Dns(named) = &service.sources[0].kind else { panic!("{:?}", service.sources) };
    assert_eq!([service.endpoints[0].capacity, named.capacity].map(|it| it.unwrap().get()), [8, 4]);
}

#[test]
fn a_route_gets_the_key_of_its_service() {
    let key = |service: &str| with("", service).routes[0].settings.key.clone();
    assert_eq!(key("policy = \"ip-hash\""), KeySource::ClientIp { v4_prefix: 32, v6_prefix: 64 });
    assert_eq!(
        key("policy = \"ip-hash\"\nip_prefix = { v4 = 24 }"),
        KeySource::ClientIp { v4_prefix: 24, v6_prefix: 64 }
    );
    let hash = |word: &str| key(&format!("policy = \"consistent-hash\"\nhash = {{ key = \"{word}\" }}"));
    assert_eq!(hash("path"), KeySource::Path);
    assert_eq!(hash("body"), KeySource::Body);
    assert_eq!(hash("client-ip"), KeySource::ClientIp { v4_prefix: 32, v6_prefix: 64 });
    assert_eq!(hash("header:X-User"), KeySource::Header(Arc::from("x-user")));
    assert_eq!(hash("cookie:SID"), KeySource::Cookie(Arc::from("SID")));
    assert_eq!(hash("query:photo"), KeySource::Query(Arc::from("photo")));
}

#[test]
fn every_word_of_policy_is_that_policy_with_its_options() {
    let policy = |lines: &str| with("", lines).services[0].policy;
    assert_eq!(policy("policy = \"p2c\""), Policy::P2c);
    assert_eq!(policy("policy = \"random\""), Policy::Random);
    assert_eq!(policy("policy = \"peak-ewma\""), Policy::PeakEwma);
    let hashing = |word: &str, more: &str| policy(&format!("policy = \"{word}\"\nhash = {{ key = \"path\"{more} }}"));
    let factor = LoadFactor::from_hundredths;
    assert_eq!(hashing("maglev", ""), Policy::Maglev { bounded_load: None });
    assert_eq!(hashing("maglev", ", bounded_load = 1.25"), Policy::Maglev { bounded_load: factor(125) });
    assert_eq!(hashing("slots", ", bounded_load = 2"), Policy::Slots { bounded_load: factor(200) });
    let virtual_nodes = VirtualNodes::new(40).unwrap();
    let ring = Policy::ConsistentHash { virtual_nodes, bounded_load: factor(110) };
    assert_eq!(hashing("consistent-hash", ", virtual_nodes = 40, bounded_load = 1.1"), ring);
}

#[test]
fn a_default_gives_way_to_a_lower_limit_that_is_written() {
    let route = |lines: &str| with(lines, "policy = \"weighted\"").routes[0].settings.clone();
    assert_eq!(route("body = { max = \"10KiB\" }").buffer_body, Bytes::from_kib(10));
    assert_eq!(route("timeout = { total = \"1s\" }").timeouts.connect, Millis::from_secs(1));
    let health = with("", "policy = \"weighted\"\nhealth = { kind = \"tcp\", interval = \"200ms\" }");
    assert_eq!(health.services[0].health.probe.as_ref().map(|probe| probe.timeout), Some(Millis::new(200)));
    let memory = read(&format!("server.body_memory = \"4KiB\"\n{LEAST}"));
    assert_eq!(memory.routes[0].settings.buffer_body, Bytes::from_kib(4));
    let head = read(&LEAST.replace("8080\"", "8080\"\nmax_head = \"2KiB\""));
    assert_eq!(head.listeners[0].max_target, Bytes::from_kib(2));
}

#[test]
fn statuses_may_be_numbers_text_or_ranges() {
    let settings =
        with("retry = { on = [\"error\", \"502-504\", 500, \"503\"] }", "policy = \"weighted\"").routes[0].clone();
    assert_eq!(settings.settings.retry.on_statuses, [500, 502, 503, 504]);
    assert!(!settings.settings.retry.on_timeout);
    let health =
        with("", "policy = \"weighted\"\nhealth = { kind = \"http\", statuses = [200, \"300-302\"], blame = [502] }");
    let health = &health.services[0].health;
    let Some(ProbeKind::Http { statuses, path, .. }) = health.probe.as_ref().map(|probe| &probe.kind) else { panic!() };
    assert_eq!((statuses.as_slice(), &**path), (&[(200, 200), (300, 302)][..], "/healthz"));
    assert_eq!(health.statuses, [502]);
}

#[test]
fn endpoints_may_be_text_or_tables_in_place_or_below() {
    let text = LEAST
        .replace("endpoints = [\"127.0.0.1:3001\"]", "[[service.endpoints]]\naddress = \"[::1]:3001\"\ndrain = true");
    let endpoint = read(&text).services[0].endpoints[0];
    assert_eq!((endpoint.address.to_string(), endpoint.drain), ("[::1]:3001".to_owned(), true));
    let mixed =
        LEAST.replace("[\"127.0.0.1:3001\"]", "[\"127.0.0.1:3001\", { address = \"127.0.0.1:3002\", weight = 1 }]");
    assert_eq!(read(&mixed).services[0].endpoints.len(), 2);
}

/// The sources of a service with these lines and no `endpoints`.
fn sources(lines: &str) -> Vec<Source> {
    let service = format!("policy = \"weighted\"\n{lines}");
    read(&LEAST.replace("policy = \"round-robin\"\nendpoints = [\"127.0.0.1:3001\"]", &service)).services[0]
        .sources
        .clone()
}

#[test]
fn a_consul_source_needs_a_service_alone_and_looks_where_consuls_own_tools_do() {
    let all = sources("consul = { service = \"optimizer\" }");
    let [Source { kind: SourceKind::Consul(consul), backup: false }] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((&*consul.agent.address, &*consul.service), ("http://127.0.0.1:8500", "optimizer"));
    assert_eq!(
        (consul.status, &consul.agent.token, consul.wait),
        (Status::Passing, &TokenFrom::Usual, Millis::from_secs(60))
    );
    assert!(consul.tags.is_empty() && consul.filter.is_none() && consul.agent.identity.is_none());
}

#[test]
fn sources_may_be_one_table_or_several_and_of_several_kinds() {
    let all = sources(
        "consul = [{ service = \"a\", datacenter = \"dc1\" }, { service = \"a\", datacenter = \"dc2\", backup = true }]\n\
         dns = { name = \"_a._tcp.example\", type = \"SRV\" }\nfile = { path = \"a.toml\" }\n\
         endpoints = [\"127.0.0.1:1\", { address = \"B.example:80\", weight = 3, backup = true }]",
    );
    let shown: Vec<_> = all
        .iter()
        .map(|source| match &source.kind {
            SourceKind::Consul(consul) => format!("{:?} {}", consul.datacenter.as_deref(), source.backup),
            SourceKind::File(path) => path.display().to_string(),
            SourceKind::Dns(Dns { name, records, weight, .. }) => format!("{name} {records:?} {}", weight.get()),
        })
        .collect();
    let named = Records::Addresses { family: Family::Both, port: 80.try_into().unwrap() };
    assert_eq!(
        shown,
        [
            "Some(\"dc1\") false".to_owned(),
            "Some(\"dc2\") true".to_owned(),
            "a.toml".to_owned(),
            "_a._tcp.example Services 1".to_owned(),
            format!("b.example {named:?} 3"),
        ]
    );
    assert!(all[4].backup);
}

#[test]
fn a_resolver_without_a_port_has_the_port_of_dns() {
    let all = sources("dns = { name = \"a.\", port = 80, resolvers = [\"10.0.0.2\", \"[::1]:5353\"] }");
    let SourceKind::Dns(dns) = &all[0].kind else { panic!() };
    assert_eq!(dns.resolvers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.2:53", "[::1]:5353"]);
}

#[test]
fn a_file_of_endpoints_is_read_as_the_list_of_a_service_is() {
    let list =
        parse_endpoints("a.toml", "endpoints = [\"127.0.0.1:1\", { address = \"[::1]:2\", weight = 5 }]").unwrap();
    assert_eq!(list.iter().map(|it| (it.address.port(), it.weight.get())).collect::<Vec<_>>(), [(1, 1), (2, 5)]);
    assert_eq!(parse_endpoints("a.toml", "endpoints = []"), Ok(Vec::new()));
}

#[test]
fn what_is_wrong_in_a_file_of_endpoints_is_shown_with_its_place_and_its_help() {
    for (text, words) in [
        ("", "add `endpoints = [\"127.0.0.1:3001\"]`"),
        ("endpoint = []", "did you mean `endpoints`?"),
        ("endpoints = [\"a.example:80\"]", "a.toml:1:14"),
        ("endpoints = [{ address = \"127.0.0.1:1\", weight = 0 }]", "write `drain = true`"),
        ("endpoints = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "listed twice"),
        ("endpoints = [\"127.0.0.1", "a.toml:1"),
    ] {
        let problems = parse_endpoints("a.toml", text).unwrap_err().to_string();
        assert!(problems.contains(words), "{text}: {problems}");
    }
}

#[test]
fn a_service_that_no_route_uses_is_legal() {
    let text = format!("{LEAST}[[service]]\nname = \"b\"\npolicy = \"weighted\"\nendpoints = [\"127.0.0.1:3002\"]\n");
    assert_eq!(read(&text).services.len(), 2);
}

#[test]
fn two_listeners_on_port_zero_do_not_collide() {
    let text = LEAST.replace("0.0.0.0:8080\"", "127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\"");
    assert_eq!(read(&text).listeners.len(), 2);
}

#[test]
fn one_path_may_be_routed_once_for_each_host() {
    let text = format!(
        "{LEAST}[[route]]\nhost = \"A.example.org\"\nservice = \"a\"\n[[route]]\nhost = \"*.example.org\"\nservice = \"a\"\n"
    );
    let hosts: Vec<_> = read(&text).routes.iter().map(|route| route.host.clone()).collect();
    assert_eq!(hosts, [None, Some("a.example.org".into()), Some("*.example.org".into())]);
}

#[test]
fn an_access_log_with_a_dot_or_a_slash_is_a_file() {
    let access = |word: &str| read(&format!("log.access = \"{word}\"\n{LEAST}")).log.access;
    assert_eq!(access("stdout"), AccessLog::Stdout);
    assert_eq!(access("/var/log/weir.json"), AccessLog::File("/var/log/weir.json".into()));
    assert_eq!(access("access.log"), AccessLog::File("access.log".into()));
}

#[test]
fn a_bare_address_is_a_trusted_network_of_one() {
    let networks =
        read(&format!("server.trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n{LEAST}")).server.trusted_proxies.0;
    assert_eq!(networks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.0/8", "::1/128"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    assert_eq!(read(&format!("\u{feff}{}", LEAST.replace('\n', "\r\n"))), read(LEAST));
}

#[test]
fn the_defaults_are_what_the_reference_page_lists() {
    let page = weir_config::reference();
    for default in
        [defaults::PROBE_PATH.to_owned(), defaults::BODY_MEMORY.to_string(), defaults::IDLE_TIMEOUT.to_string()]
    {
        assert!(page.contains(&format!("`\"{default}\"`")), "{default}");
    }
}
