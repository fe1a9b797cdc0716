//! A configuration that is printed says the same as the one that was read.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use weir_config::{EXAMPLE, parse, print, reference};

/// Reads, prints, reads again. The printed text is the same the second time: what it says is all there is.
#[track_caller]
pub(crate) fn survives_printing(file: &str, text: &str) {
    let config = parse(file, text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    let printed = print(&config);
    let again = parse("printed.toml", &printed).unwrap_or_else(|problems| panic!("{problems}\n{printed}"));
    assert_eq!(again, config, "{printed}");
    assert_eq!(print(&again), printed);
}

/// A key with one of these values, or none.
fn key(name: &'static str, values: &'static [&'static str]) -> BoxedStrategy<String> {
    option::of(select(values))
        .prop_map(move |value| value.map_or_else(String::new, |value| format!("{name} = {value}\n")))
        .boxed()
}

/// Several keys, each there or not.
fn keys(all: &'static [(&'static str, &'static [&'static str])]) -> BoxedStrategy<String> {
    all.iter().map(|(name, values)| key(name, values)).collect::<Vec<_>>().prop_map(|keys| keys.concat()).boxed()
}

const TIMES: &[&str] = &["\"1ms\"", "\"999ms\"", "\"1s\"", "\"1m\"", "\"90s\"", "\"24h\""];
const PAUSES: &[&str] = &["\"0s\"", "\"1ms\"", "\"1s\"", "\"24h\""];
const FLAGS: &[&str] = &["true", "false"];

fn process() -> BoxedStrategy<String> {
    let server = keys(&[
        ("threads", &["0", "7", "1024"]),
        ("shutdown_delay", PAUSES),
        ("shutdown_deadline", PAUSES),
        ("trusted_proxies", &["[]", "[\"10.0.0.0/8\", \"::1\", \"2001:db8::/32\"]"]),
        ("body_memory", &["\"1GiB\"", "\"1TiB\"", "\"100MB\""]),
    ]);
    let admin = prop_oneof![
        keys(&[("listen", &["\"127.0.0.1:0\"", "\"[::1]:9091\""]), ("recent", &["0", "7"])]),
        Just("listen = \"0.0.0.0:9090\"\ntoken_file = \"/run/token\"\n".to_owned()),
    ];
    let log = keys(&[
        ("access", &["\"off\"", "\"stdout\"", "\"/var/log/a b.json\"", "'C:\\weir\\\"log\".json'"]),
        ("format", &["\"json\""]),
        ("fields", &["[\"status\"]", "[\"user_agent\", \"time\"]"]),
        ("sample", &["\"0%\"", "\"0.05%\"", "\"12.5%\"", "\"100%\""]),
        ("mode", &["\"0600\"", "\"644\""]),
    ]);
    let discovery = keys(&[("cache_dir", &["\"/var/lib/weir\""]), ("start_wait", &["\"0s\"", "\"5m\""])]);
    let own = keys(&[
        ("id", &["\"a 'b'\"", "'say \"x\"'"]),
        ("tags", &["[\"\\u0007\", \"\\nx\\t\", \"ä\"]", "[]"]),
        ("advertise", &["\"weir.example\"", "\"::1\"", "\"[::1]:80\"", "\"10.0.0.4:8080\""]),
    ]);
    let register = (own, agent()).prop_map(|(own, agent)| format!("[register]\nservice = \"weir\"\n{own}{agent}"));
    (server, admin, log, discovery, option::of(register))
        .prop_map(|(server, admin, log, discovery, register)| {
            let register = register.unwrap_or_default();
            format!("[server]\n{server}[admin]\n{admin}[log]\n{log}[discovery]\n{discovery}{register}")
        })
        .boxed()
}

fn agent() -> BoxedStrategy<String> {
    let reached = select(&[
        "",
        "address = \"http://[::1]:8500/consul\"\n",
        "address = \"https://consul:8501\"\nca_file = \"/ca.pem\"\n",
        "address = \"https://consul:8501\"\ncert_file = \"/c.pem\"\nkey_file = \"/k.pem\"\n",
    ]);
    let token = select(&["", "token_file = \"/run/token\"\n", "token_env = \"TOKEN\"\n"]);
    let namespace = key("namespace", &["\"team\""]);
    (reached, token, namespace).prop_map(|(reached, token, namespace)| format!("{reached}{token}{namespace}")).boxed()
}

fn listener(port: usize) -> BoxedStrategy<String> {
    let rest = keys(&[
        ("max_connections", &["1", "10000000"]),
        ("header_timeout", TIMES),
        ("idle_timeout", TIMES),
        ("read_timeout", TIMES),
        ("write_timeout", TIMES),
        ("max_fields", &["1", "10_000"]),
        ("field_names", &["\"underscores\"", "\"any\""]),
    ]);
    let heads = select(&["", "max_head = \"1KiB\"\n", "max_head = \"1MiB\"\nmax_target = \"1B\"\n"]);
    (rest, heads)
        .prop_map(move |(rest, heads)| format!("[[listener]]\naddress = \"127.0.0.2:{port}\"\n{rest}{heads}"))
        .boxed()
}

fn route(number: usize, services: usize) -> BoxedStrategy<String> {
    let host = key("host", &["\"Example.org\"", "\"*.example.org\"", "\"[::1]\""]);
    let body =
        select(&["", "max = \"1B\"\n", "max = \"1TiB\"\nbuffer = \"0B\"\n", "max = \"10MB\"\nbuffer = \"10MB\"\n"]);
    let connect = select(&["", "total = \"1ms\"\n", "connect = \"24h\"\ntotal = \"24h\"\n"]);
    let timeouts = keys(&[("read", TIMES), ("write", TIMES), ("idle", TIMES)]);
    let retry = keys(&[
        ("on", &["[]", "[\"timeout\", 503]", "[\"error\", \"400-599\"]", "[\"500-502\", \"504\", \"502-503\", 599]"]),
        ("tries", &["1", "10"]),
        ("non_idempotent", FLAGS),
        ("budget", &["\"0%\"", "\"100%\""]),
        ("budget_floor", &["0", "1_000_000"]),
    ]);
    (host, body, (connect, timeouts), retry, 0..services)
        .prop_map(move |(host, body, (connect, timeouts), retry, service)| {
            format!(
                "[[route]]\n{host}path = \"/{number}\"\nservice = \"s{service}\"\n[route.body]\n{body}\
                 [route.timeout]\n{connect}{timeouts}[route.retry]\n{retry}"
            )
        })
        .boxed()
}

fn endpoints(weights: bool, capacities: bool) -> BoxedStrategy<String> {
    let one = (any::<bool>(), 1..=1000_u16, any::<bool>(), any::<bool>(), option::of(1..=65_535_u32));
    vec(one, 1..6)
        .prop_map(move |all| {
            let mut list = String::new();
            for (at, (named, weight, drain, backup, capacity)) in all.into_iter().enumerate() {
                let host = if named { "Shop.example." } else { "10.0.0.1" };
                // One has to serve always.
                let (weight, backup) = (if weights { weight } else { 1 }, backup && at > 0);
                write!(
                    list,
                    "{{ address = \"{host}:{}\", weight = {weight}, drain = {drain}, backup = {backup}",
                    at + 1
                )
                .unwrap();
                if let Some(capacity) = capacity.filter(|_| capacities) {
                    write!(list, ", capacity = {capacity}").unwrap();
                }
                list.push_str(" }, ");
            }
            format!("endpoints = [{list}]\n")
        })
        .boxed()
}

fn sources() -> BoxedStrategy<String> {
    let consul = (
        keys(&[
            ("tags", &["[]", "[\"a\", \"b\"]"]),
            ("filter", &["'Service.Meta.zone == \"a\"'", "\"a \\\"b\\\" 'c'\""]),
            ("status", &["\"passing\"", "\"warning\""]),
            ("datacenter", &["\"dc2\""]),
            ("wait", &["\"1s\"", "\"10m\""]),
            ("backup", FLAGS),
        ]),
        agent(),
    )
        .prop_map(|(keys, agent)| format!("[[service.consul]]\nservice = \"shop\"\n{keys}{agent}"));
    let records = select(&["port = 1", "type = \"A\"\nport = 65535", "type = \"AAAA\"\nport = 80", "type = \"SRV\""]);
    let dns = (records, keys(&[("resolvers", &["[]", "[\"10.0.0.2\", \"[::1]:5353\"]"]), ("backup", FLAGS)]))
        .prop_map(|(records, keys)| format!("[[service.dns]]\nname = \"Shop.example.\"\n{records}\n{keys}"));
    let file = keys(&[("backup", FLAGS)]).prop_map(|keys| format!("[[service.file]]\npath = \"a.toml\"\n{keys}"));
    vec(prop_oneof![consul, dns, file], 0..4).prop_map(|tables| tables.concat()).boxed()
}

fn policy() -> impl Strategy<Value = (bool, String)> {
    let plain = select(&["weighted", "least-connections", "p2c", "random", "peak-ewma"])
        .prop_map(|word| (true, format!("policy = \"{word}\"\n")));
    let prefix = select(&["", "ip_prefix = { v4 = 24 }\n", "ip_prefix = { v6 = 128 }\n"]);
    let address = prefix.clone().prop_map(|prefix| (true, format!("policy = \"ip-hash\"\n{prefix}")));
    let hash = select(&["consistent-hash", "maglev", "slots"]);
    let what = select(&["path", "body", "header:X-User", "cookie:SID", "query:%22"]);
    let bound = select(&["", ", bounded_load = 1", ", bounded_load = 1.25", ", bounded_load = 100.0"]);
    let keyed = (hash, what, bound)
        .prop_map(|(word, what, bound)| (true, format!("policy = \"{word}\"\nhash = {{ key = \"{what}\"{bound} }}\n")));
    let nodes = select(&["", ", virtual_nodes = 1", ", virtual_nodes = 1000"]);
    let ring = (nodes, prefix).prop_map(|(nodes, prefix)| {
        (true, format!("policy = \"consistent-hash\"\nhash = {{ key = \"client-ip\"{nodes} }}\n{prefix}"))
    });
    prop_oneof![Just((false, "policy = \"round-robin\"\n".to_owned())), plain, address, keyed, ring]
}

fn health() -> BoxedStrategy<String> {
    let counts = keys(&[("successes", &["1", "100"]), ("blame", &["[]", "[502, \"504\", \"500-501\", 503]"])]);
    let failures = select(&["", "failures = 1\n", "failures = 100\nwindow = \"24h\"\n"]);
    let times = select(&["", "interval = \"10ms\"\n", "interval = \"10s\"\ntimeout = \"10s\"\n"]);
    let asked = keys(&[
        ("path", &["\"/\"", "\"/a?b=c\""]),
        ("host", &["\"img.example.org:80\""]),
        ("statuses", &["[]", "[200]", "[\"300-302\", \"200-299\"]"]),
        ("body", &["\"ok\"", "'\"status\": \"up\"'", "\"\\r\\n\""]),
    ]);
    let http = (times.clone(), asked).prop_map(|(times, asked)| format!("kind = \"http\"\n{times}{asked}"));
    let tcp = times.prop_map(|times| format!("kind = \"tcp\"\n{times}"));
    (counts, failures, prop_oneof![Just(String::new()), http, tcp])
        .prop_map(|(counts, failures, kind)| format!("[service.health]\n{kind}{counts}{failures}"))
        .boxed()
}

fn queue() -> impl Strategy<Value = (bool, String)> {
    let always = || {
        keys(&[
            ("max", &["0", "1_000_000"]),
            ("timeout", TIMES),
            ("priority_step", PAUSES),
            ("slack", PAUSES),
            ("adaptive", FLAGS),
        ])
    };
    let sized = || keys(&[("believed", TIMES), ("extra", &["0", "1", "1000"]), ("small", PAUSES)]);
    let head = "[service.queue]\ncapacity = 65_535\n";
    let unsized_ =
        always().prop_map(move |always| (true, format!("work = \"none\"\n{head}order = \"fifo\"\n{always}")));
    let work = || select(&["image", "content-length"]);
    let fifo = (work(), always(), sized()).prop_map(move |(work, always, sized)| {
        (true, format!("work = \"{work}\"\n{head}order = \"fifo\"\n{always}{sized}"))
    });
    let smallest =
        (work(), always(), sized(), key("ageing", &["1", "1000"])).prop_map(move |(work, always, sized, ageing)| {
            (true, format!("work = \"{work}\"\n{head}{always}{sized}{ageing}"))
        });
    prop_oneof![Just((false, String::new())), unsized_, fifo, smallest]
}

fn service(number: usize) -> BoxedStrategy<String> {
    let keys = keys(&[("empty_after", PAUSES), ("all_ejected", &["\"try-all\"", "\"refuse\""])]);
    (policy(), queue())
        .prop_flat_map(|((weights, policy), (has_queue, queue))| (Just((policy, queue)), endpoints(weights, has_queue)))
        .prop_flat_map(move |rest| (Just(rest), keys.clone(), sources(), health()))
        .prop_map(move |(((policy, queue), endpoints), keys, sources, health)| {
            format!("[[service]]\nname = \"s{number}\"\n{policy}{endpoints}{keys}{queue}{sources}{health}")
        })
        .boxed()
}

/// A whole legal file; some services are of no route.
fn file() -> impl Strategy<Value = String> {
    (1..4_usize, 1..4_usize, 1..3_usize).prop_flat_map(|(services, routes, listeners)| {
        (
            process(),
            (0..listeners).map(|number| listener(8080 + number)).collect::<Vec<_>>(),
            (0..routes).map(|number| route(number, services)).collect::<Vec<_>>(),
            (0..services).map(service).collect::<Vec<_>>(),
        )
            .prop_map(|(process, listeners, routes, services)| {
                format!("{process}{}{}{}", listeners.concat(), routes.concat(), services.concat())
            })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn a_configuration_that_was_printed_reads_as_itself(text in file()) {
        survives_printing("weir.toml", &text);
    }
}

#[test]
fn the_example_printed_reads_as_itself_and_says_every_key() {
    survives_printing("example.toml", EXAMPLE);
    // Another type than this one is not an endpoint that has a name.
    let example = EXAMPLE.replace("type = \"A+AAAA\"", "type = \"A\"");
    let printed = print(&parse("example.toml", &example).unwrap());
    let mut table = String::new();
    for line in reference().lines() {
        if let Some(header) = line.strip_prefix("## ") {
            table = header.trim_matches(['`', '[', ']']).to_owned();
        }
        let Some(key) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) else { continue };
        assert!(says(&printed, &table, key), "`{key}` of {table} is not printed:\n{printed}");
    }
}

/// Whether some table of this name has the key, sets a table of that name, or says what its absence means.
fn says(printed: &str, table: &str, key: &str) -> bool {
    let mut current = "The file";
    printed.lines().any(|line| {
        if line.starts_with('[') {
            current = line.trim_matches(['[', ']']);
        }
        let below = if table == "The file" { current == key } else { current == format!("{table}.{key}") };
        let begins = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', ':']));
        let here = current == table && (begins(line) || line.strip_prefix("# ").is_some_and(begins));
        let in_place = table == "service.endpoints" && line.starts_with("  { ") && line.contains(&format!(" {key} = "));
        below || here || in_place
    })
}

#[test]
fn the_printed_form_says_what_is_a_default_and_what_is_not_set() {
    let text = "[[listener]]\naddress = \"0.0.0.0:8080\"\nmax_fields = 50\n[[route]]\nservice = \"a\"\n\
        [[service]]\nname = \"a\"\npolicy = \"weighted\"\nendpoints = [\"127.0.0.1:3001\", \"shop.example:80\"]\n";
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../printed");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("least", print(&parse("weir.toml", text).unwrap())));
}

#[test]
fn a_service_that_no_route_uses_keeps_what_it_hashes_and_what_orders_its_queue() {
    let text = "[[listener]]\naddress = \"0.0.0.0:8080\"\n[[route]]\nservice = \"a\"\n\
        [[service]]\nname = \"a\"\npolicy = \"weighted\"\nendpoints = [\"127.0.0.1:3001\"]\n\
        [[service]]\nname = \"b\"\npolicy = \"maglev\"\nhash = { key = \"cookie:SID\" }\nwork = \"image\"\n\
        queue = { capacity = 2, adaptive = true }\nendpoints = [\"127.0.0.1:3001\"]\n";
    let printed = print(&parse("weir.toml", text).unwrap());
    for line in ["key = \"cookie:SID\"", "work = \"image\"", "adaptive = true"] {
        assert!(printed.lines().any(|printed| printed == line), "{line}: {printed}");
    }
    survives_printing("weir.toml", text);
}

#[test]
fn names_that_are_written_twice_stay_twice() {
    let service = |lines: &str| {
        format!(
            "[[listener]]\naddress = \"0.0.0.0:8080\"\n[[route]]\nservice = \"a\"\n\
             [[service]]\nname = \"a\"\npolicy = \"weighted\"\n{lines}\n"
        )
    };
    let table = "{ name = \"shop.example\", port = 80 }";
    survives_printing("twins.toml", &service(&format!("dns = [{table}, {table}]")));
    survives_printing("both.toml", &service(&format!("dns = {table}\nendpoints = [\"shop.example:80\"]")));
    let weighty = "endpoints = [{ address = \"shop.example:80\", weight = 3 }, \"shop.example:81\"]";
    survives_printing("weighty.toml", &service(&format!("dns = {table}\n{weighty}")));
}
