//! The same requests to nginx and to weir.

use std::collections::BTreeSet;

use weir_testkit::{Raw, eventually, require};

use crate::asks::{Ask, get};
use crate::stage::{Proxy, Stage};

/// Asks both all of these and compares; gives what the endpoints' groups, or statuses, were.
#[track_caller]
fn alike(conf: &str, asks: &[Ask<'_>]) -> Vec<String> {
    let Some(program) = require("nginx") else { return Vec::new() };
    let stage = Stage::new(conf);
    let nginx = stage.nginx(&program);
    let weir = stage.weir();
    let mut short = Vec::new();
    for ask in asks {
        let (of_nginx, of_weir) = (ask.of(&nginx), ask.of(&weir));
        let of_weir = without_unasked(&of_nginx, &of_weir);
        let what = format!("{conf}: {} {} for {} on {}", ask.method, ask.target, ask.host, ask.port);
        assert_eq!(of_nginx, of_weir, "nginx left, weir right: {what}");
        short.push(
            of_nginx
                .lines()
                .find_map(|line| line.strip_prefix("group "))
                .or(of_nginx.lines().next())
                .unwrap_or_default()
                .to_owned(),
        );
    }
    short
}

/// Without the forwarding fields that weir sends by itself and nginx was not told to.
fn without_unasked(nginx: &str, weir: &str) -> String {
    let unasked = |line: &&str| {
        line.split(':').next().is_some_and(|name| name.starts_with("x-forwarded-") && !nginx.contains(name))
    };
    weir.lines().filter(|line| !unasked(line)).flat_map(|line| [line, "\n"]).collect()
}

/// The endpoints that answer when this is asked often.
fn answering(proxy: &Proxy, ask: &Ask<'_>) -> BTreeSet<String> {
    (0..12).map(|_| ask.response(proxy).field("x-endpoint").unwrap_or("none").to_owned()).collect()
}

#[test]
fn the_block_of_the_first_design_routes_alike() {
    let groups =
        alike("seed.conf", &[get("a.example", "/optimize"), get("a.example", "/optimize/x?y=1"), get("a", "/else")]);
    assert!(groups.is_empty() || groups == ["1", "1", "404"], "{groups:?}");
}

#[test]
fn debians_layout_with_sites_enabled_routes_alike() {
    let groups = alike(
        "debian/nginx.conf",
        &[
            get("app.example", "/"),
            get("www.app.example", "/a%20b?c=%2F"),
            get("App.Example:8080", "/x"),
            get("other.example", "/"),
            get("other.example", "/index.php"),
        ],
    );
    assert!(groups.is_empty() || groups == ["1", "1", "1", "404", "404"], "{groups:?}");
}

#[test]
fn an_image_service_routes_alike_and_has_the_same_limits() {
    let asks = [
        get("img.example.org", "/healthz"),
        get("img.example.org", "/optimize?w=1").posting(100_000),
        get("img.example.org", "/optimize/deep"),
        get("img.example.org", "/upload/1").posting(100_000),
        get("img.example.org", "/upload/2").posting(3 << 20),
        get("img.example.org", "/"),
        get("another.example", "/page").fields(&["X-Real-IP: 1.2.3.4"]),
    ];
    let asks = asks.map(|ask| ask.port(8080));
    let groups = alike("images.conf", &asks);
    assert!(groups.is_empty() || groups == ["200", "1", "1", "1", "413", "2", "2"], "{groups:?}");
}

#[test]
fn websockets_pass_both() {
    let asks = [get("chat.example", "/chat/x"), get("chat.example", "/chat"), get("chat.example", "/other")];
    alike("websocket.conf", &asks.map(|ask| ask.port(8020)));
    let Some(program) = require("nginx") else { return };
    let stage = Stage::new("websocket.conf");
    for proxy in [stage.nginx(&program), stage.weir()] {
        let mut client = Raw::connect(proxy.address(8020));
        client.write("GET /chat/1 HTTP/1.1\r\nHost: chat.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        assert_eq!(client.response().status, 101);
        client.write("ping");
        assert_eq!(client.bytes(4), b"ping");
    }
}

#[test]
fn a_gateway_with_many_hosts_routes_alike() {
    let asks = [
        get("shop.example", "/a"),
        get("WWW.shop.example:80", "/a"),
        get("tenants.example", "/"),
        get("a.b.tenants.example", "/"),
        get("special.tenants.example", "/only/1"),
        get("special.tenants.example", "/else"),
        get("api.example", "/v1/users?id=%20"),
        get("api.example", "/v2/a%2Fb/./c/../d"),
        get("api.example", "/v1"),
        get("api.example", "/v1?x=1"),
        get("api.example", "/"),
        get("api.example", "/v3/"),
        get("old.example", "/a%20b?c=d"),
    ];
    let groups = alike("gateway.conf", &asks);
    let expected = ["1", "1", "2", "2", "1", "404", "3", "4", "301", "301", "302", "404", "301"];
    assert!(groups.is_empty() || groups == expected, "{groups:?}");
    // nginx closes the connection to say so; weir answers 404.
    let stage = Stage::new("gateway.conf");
    assert_eq!(get("nobody.example", "/").response(&stage.weir()).status, 404);
}

#[test]
fn paths_match_and_are_replaced_alike() {
    let targets = [
        "/",
        "/?a=1",
        "/x",
        "/exact",
        "/exact?q",
        "/exact/more",
        "/static/a.js",
        "/static",
        "/statics",
        "/api/",
        "/api/a/b",
        "/api",
        "/api/v2/",
        "/api/v2",
        "/api/v2x",
        "/api//double",
        "/api/a%20b%3Fc%23d%25e?f=%20",
        "/api/%61",
        "/api/a/../v2/c",
        "/same/a%2Fb",
        "/same//x",
        "/no-slash",
        "/no-slash/y",
        "/no-slashed",
        "/strip/",
        "/strip/a/b?c=1",
        "/strip",
        "/strip-to/a",
        "/outer/a",
        "/outer/inner/a",
        "/outer/inner",
        "/OUTER/a",
        "/api/%C3%A4",
        "/a%20b/c?d=%20",
        "/a%20b",
        "/a%20bc",
        "/caf%C3%A9/x",
        "/caf%c3%a9",
        "/cafe",
        "/100%25",
        "/sl%2Fash",
        "/sl%252Fash",
        "/stars**/",
        "/stars*",
    ];
    let asks = targets.map(|target| get("a.example", target));
    let groups = alike("paths.conf", &asks);
    assert!(groups.is_empty() || groups.iter().collect::<BTreeSet<_>>().len() > 8, "{groups:?}");
}

#[test]
fn fields_are_set_taken_out_and_inherited_alike() {
    let sent = [
        "Cookie: a=b",
        "Accept-Encoding: gzip",
        "X-From: there",
        "X-User: root",
        "X-Only: 9",
        "X-Edge: 9",
        "X-Real-IP: 9.9.9.9",
        "X_Forwarded_For: 9.9.9.9",
        "api_key: 9",
        "x.y: 9",
    ];
    let chain = ["X-Forwarded-For: 203.0.113.9, 127.0.0.9"];
    let asks = [
        get("fields.example", "/").fields(&sent),
        get("Fields.Example:80", "/").fields(&sent),
        get("fields.example", "/none").fields(&sent),
        get("fields.example", "/host").fields(&sent),
        get("fields.example", "/port").fields(&sent),
        get("fields.example", "/gone").fields(&sent),
        get("fields.example", "/known?x=y").fields(&sent),
        get("fields.example", "/answer"),
    ];
    alike("fields.conf", &asks);
    let Some(program) = require("nginx") else { return };
    let stage = Stage::new("fields.conf");
    for proxy in [stage.nginx(&program), stage.weir()] {
        let seen = get("fields.example", "/known").fields(&chain).response(&proxy).text();
        assert!(seen.contains("x-real-ip: 203.0.113.9\n"), "the client is the first that no trusted proxy is: {seen}");
    }
}

#[test]
fn servers_on_different_ports_stay_apart() {
    let asks = [
        get("example.org", "/"),
        get("other.example", "/"),
        get("example.org", "/").port(8081),
        get("other.example", "/").port(8081),
        get("both.example", "/a"),
        get("both.example", "/a").port(8081),
        get("both.example", "/b"),
        get("both.example", "/b").port(8081),
    ];
    let groups = alike("ports.conf", &asks);
    assert!(groups.is_empty() || groups == ["1", "1", "2", "2", "2", "2", "404", "404"], "{groups:?}");
}

#[test]
fn files_are_404_and_what_is_behind_them_is_asked() {
    let asks = [
        get("files.example", "/"),
        get("files.example", "/any/thing?a=b"),
        get("files.example", "/assets/logo.png"),
        get("files.example", "/php/index.php"),
        get("files.example", "/secret/x"),
        get("files.example", "/inside/x"),
    ];
    let groups = alike("files.conf", &asks);
    assert!(groups.is_empty() || groups == ["1", "1", "404", "502", "403", "404"], "{groups:?}");
}

#[test]
fn limits_of_bodies_are_alike() {
    let asks = [
        get("a", "/").posting(4096),
        get("a", "/").posting(4097),
        get("a", "/large").posting(64 << 10),
        get("a", "/large").posting((64 << 10) + 1),
        get("a", "/any").posting(2 << 20),
    ];
    let groups = alike("limits.conf", &asks);
    assert!(groups.is_empty() || groups == ["1", "413", "1", "413", "1"], "{groups:?}");
}

#[test]
fn conditions_close_what_they_may_close_and_leave_the_rest_alike() {
    let asks = [get("a", "/old"), get("a", "/admin/open"), get("a", "/admin/x"), get("a", "/admin")];
    let groups = alike("conditions.conf", &asks);
    assert!(groups.is_empty() || groups == ["2", "2", "403", "301"], "{groups:?}");
    let stage = Stage::new("conditions.conf");
    let weir = stage.weir();
    assert_eq!(get("a", "/").response(&weir).status, 403);
    assert_eq!(get("a", "/read").response(&weir).status, 403);
}

#[test]
fn patterns_are_left_out_and_the_rest_is_alike() {
    let asks = [get("patterns.example", "/"), get("patterns.example", "/page?x"), get("patterns.example", "/v2")];
    let groups = alike("patterns.conf", &asks);
    assert!(groups.is_empty() || groups == ["1", "1", "1"], "{groups:?}");
}

#[test]
fn a_request_gets_the_location_that_nginx_gives_it_patterns_included() {
    let targets = [
        ("/", "1"),
        ("/api/v1/x", "4"),
        ("/api/v1", "301"),
        ("/api", "1"),
        ("/api/static/x", "3"),
        ("/api/v2/x?y=%20", "4"),
        ("/auth", "6"),
        ("/auth/x", "5"),
        ("/authority", "1"),
        ("/login", "5"),
        ("/socket.io/?EIO=4", "5"),
        ("/socketXio/", "1"),
        ("/files/new", "7"),
        ("/files", "301"),
        ("/one", "8"),
        ("/one/more", "9"),
        ("/strip/a%20b?c=d", "8"),
        ("/private/x", "403"),
        ("/private", "1"),
        ("/gone/x", "410"),
        ("/Mixed/x", "9"),
        ("/within/x", "2"),
        ("/within/a/x", "3"),
        ("/within/a", "2"),
        ("/within/c/x", "4"),
        ("/within/c/d/x", "6"),
    ];
    let groups = alike("precedence.conf", &targets.map(|(target, _)| get("a.example", target)));
    assert!(groups.is_empty() || groups == targets.map(|(_, group)| group), "{groups:?}");
}

#[test]
fn hosts_go_to_the_server_that_nginx_gives_them_conditions_on_the_host_included() {
    let asks = [
        ("a.example.org", "1"),
        ("deep.example.org", "1"),
        ("a.b.deep.example.org", "2"),
        ("EXACT.deep.example.org:80", "3"),
        ("example.org", "4"),
        ("nobody.example", "4"),
        ("dotted.example", "5"),
        ("a.b.dotted.example", "5"),
        ("certbot.example", "301"),
        ("www.certbot.example", "301"),
        ("other.certbot.example", "404"),
    ];
    let groups = alike("hosts.conf", &asks.map(|(host, _)| get(host, "/a%20b?c=d")));
    assert!(groups.is_empty() || groups == asks.map(|(_, group)| group), "{groups:?}");
}

#[test]
fn targets_reach_the_endpoint_alike_and_what_cannot_be_done_is_refused() {
    let zips = ["Accept-Encoding: gzip"];
    let asks = [
        get("a", "/"),
        get("a", "/as-sent/a%20b/../c?d=%2F"),
        get("a", "/by-set/x?y"),
        get("a", "/upper/a%20b?c"),
        get("a", "/redirects/a"),
        get("a", "/redirects/other/a"),
        get("a", "/zipped/a").fields(&zips),
        get("a", "/limited"),
        get("a", "/fails"),
    ];
    alike("targets.conf", &asks);
    let weir = Stage::new("targets.conf").weir();
    for (target, status) in
        [("/by-map/x", 502), ("/by-host/x", 502), ("/query", 502), ("/moved/x", 404), ("/guarded", 403)]
    {
        assert_eq!(get("a", target).response(&weir).status, status, "{target}");
    }
}

#[test]
fn fields_with_underscores_come_in_where_nginx_takes_them() {
    let sent = ["api_key: 7", "x.y: 8"];
    alike("names.conf", &[get("a", "/").fields(&sent)]);
    let Some(program) = require("nginx") else { return };
    let stage = Stage::new("names.conf");
    for proxy in [stage.nginx(&program), stage.weir()] {
        let seen = get("a", "/").fields(&sent).response(&proxy).text();
        assert!(seen.contains("x-copy: 7\napi_key: 7\n") && !seen.contains("x.y"), "{seen}");
    }
}

#[test]
fn endpoints_that_have_all_they_may_have_get_no_more() {
    let Some(program) = require("nginx") else { return };
    for (at, status) in [(0, 502), (1, 503)] {
        let stage = Stage::new("full.conf");
        let proxy = if at == 0 { stage.nginx(&program) } else { stage.weir() };
        let held: Vec<Raw> = (0..3)
            .map(|_| {
                let mut client = Raw::connect(proxy.address(80));
                client.write("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
                client
            })
            .collect();
        stage.endpoints["10.0.1.1:80"].wait_for_requests(2);
        stage.endpoints["10.0.1.2:80"].wait_for_requests(1);
        assert_eq!(get("a", "/").response(&proxy).status, status);
        drop(held);
        eventually("there is room again", || get("a", "/").response(&proxy).status == 200);
    }
}

#[test]
fn endpoints_are_chosen_as_the_words_say() {
    let Some(program) = require("nginx") else { return };
    let stage = Stage::new("choices.conf");
    for proxy in [stage.nginx(&program), stage.weir()] {
        let of = |target: &str| get("a", target).response(&proxy).field("x-endpoint").unwrap_or("none").to_owned();
        let all =
            |targets: &mut dyn Iterator<Item = String>| targets.map(|target| of(&target)).collect::<BTreeSet<_>>();
        assert_eq!(all(&mut (0..8).map(|_| "/target/7".to_owned())).len(), 1);
        assert_eq!(all(&mut (0..60).map(|number| format!("/target/{number}"))).len(), 3);
        assert_eq!(all(&mut (0..60).map(|_| "/two".to_owned())).len(), 3);
        assert_eq!(all(&mut (0..12).map(|_| "/load".to_owned())).len(), 2);
        let turns: Vec<String> = (0..16).map(|_| of("/turn")).collect();
        let first = turns.iter().filter(|endpoint| *endpoint == "10.0.4.1:80").count();
        assert_eq!((first, turns.iter().filter(|endpoint| *endpoint == "10.0.4.2:80").count()), (12, 4), "{turns:?}");
    }
}

#[test]
fn one_key_goes_to_one_endpoint_and_all_keys_to_all() {
    let Some(program) = require("nginx") else { return };
    let stage = Stage::new("hashing.conf");
    for proxy in [stage.nginx(&program), stage.weir()] {
        let by_cookie = ["Cookie: session=7"];
        for ask in
            [get("a", "/user?user=7"), get("a", "/path/7"), get("a", "/client"), get("a", "/cookie").fields(&by_cookie)]
        {
            let one = answering(&proxy, &ask.port(8080));
            assert_eq!(one.len(), 1, "{}: {one:?}", ask.target);
        }
        let users: Vec<String> = (0..60).map(|user| format!("/user?user={user}")).collect();
        let of = |user: &String| get("a", user).port(8080).response(&proxy).field("x-endpoint").unwrap().to_owned();
        let all: BTreeSet<String> = users.iter().map(of).collect();
        assert_eq!(all.len(), 3, "{all:?}");
        assert_eq!(answering(&proxy, &get("a", "/chance").port(8080)).len(), 2);
    }
}

#[test]
fn a_backup_waits_until_the_others_are_gone_and_one_that_is_down_gets_nothing() {
    let Some(program) = require("nginx") else { return };
    let mut stage = Stage::new("backups.conf");
    let (nginx, weir) = (stage.nginx(&program), stage.weir());
    for proxy in [&nginx, &weir] {
        let both = BTreeSet::from(["10.0.1.1:80".to_owned(), "10.0.1.2:80".to_owned()]);
        assert_eq!(answering(proxy, &get("a", "/")), both);
    }
    for address in ["10.0.1.1:80", "10.0.1.2:80"] {
        stage.endpoints.get_mut(address).unwrap().stop();
    }
    for proxy in [&nginx, &weir] {
        assert_eq!(answering(proxy, &get("a", "/")), BTreeSet::from(["10.0.9.1:80".to_owned()]));
    }
}
