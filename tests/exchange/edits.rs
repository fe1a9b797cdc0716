//! What a route changes in the messages that pass, and what it answers by itself.

use weir_testkit::{Endpoint, Raw, Reply, Weir};

use crate::setup::Setup;

/// A weir whose only route has these lines.
fn weir(endpoint: &Endpoint, route: &str) -> Weir {
    Setup { route, ..Setup::default() }.start(endpoint)
}

fn get(weir: &Weir, target: &str, fields: &str) -> weir_testkit::Response {
    let head = format!("GET {target} HTTP/1.1\r\nHost: Shop.Example:81\r\nConnection: close\r\n{fields}\r\n");
    Raw::ask(weir.address(), head)
}

#[test]
fn fields_are_set_in_place_of_the_clients_with_variables_filled_in() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = weir(
        &endpoint,
        r#"headers = { set = { X-Real-IP = "$client_ip", X-All = "${host}|$http_host|$scheme|$method|$path|$is_args$args|$$|$endpoint", X-Chain = "$forwarded_for", X-Id = "$request_id", X-Copy = "$http_x_from", X-Empty = "$http_x_none" }, remove = ["Cookie", "Forwarded"] }"#,
    );
    get(
        &weir,
        "/a%20b?c=d",
        "X-Real-IP: 9.9.9.9\r\nx-real-ip: 8.8.8.8\r\nCookie: a\r\nX-From: there\r\nX-Empty: 1\r\n",
    );
    get(&weir, "/", "");
    let requests = endpoint.wait_for_requests(2);
    let head = &requests[0].head;
    assert_eq!(head.all("x-real-ip").collect::<Vec<_>>(), ["127.0.0.1"]);
    let address = endpoint.address();
    let all = format!("shop.example|Shop.Example:81|http|GET|/a%20b|?c=d|$|{address}");
    assert_eq!(head.field("x-all"), Some(&*all));
    assert_eq!((head.field("x-chain"), head.field("x-copy")), (Some("127.0.0.1"), Some("there")));
    assert_eq!(head.field("x-id"), head.field("x-request-id"));
    for gone in ["cookie", "forwarded", "x-empty"] {
        assert_eq!(head.field(gone), None, "{gone}");
    }
    assert_eq!(head.field("x-forwarded-proto"), Some("http"), "what is not named stays");
    assert_eq!(
        requests[1].head.field("x-all"),
        Some(&*format!("shop.example|Shop.Example:81|http|GET|/||$|{address}"))
    );
}

#[test]
fn the_host_that_is_set_goes_out_and_the_clients_is_still_told() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = weir(&endpoint, r#"headers = { set = { host = "inner.example" } }"#);
    get(&weir, "/", "");
    let head = endpoint.wait_for_requests(1)[0].head.clone();
    assert_eq!(head.all("host").collect::<Vec<_>>(), ["inner.example"]);
    assert_eq!(head.field("x-forwarded-host"), Some("Shop.Example:81"));
}

#[test]
fn fields_that_weir_adds_itself_can_be_set_and_taken_out() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let route = r#"headers = { set = { X-Forwarded-For = "$client_ip", X-Forwarded-Proto = "https", x-request-id = "7" }, remove = ["X-Forwarded-Host"] }"#;
    get(&weir(&endpoint, route), "/", "X-Forwarded-For: 1.1.1.1\r\n");
    let head = endpoint.wait_for_requests(1)[0].head.clone();
    assert_eq!(head.all("x-forwarded-for").collect::<Vec<_>>(), ["127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-proto").collect::<Vec<_>>(), ["https"]);
    assert_eq!(head.all("x-request-id").collect::<Vec<_>>(), ["7"]);
    assert_eq!(head.field("x-forwarded-host"), None);
}

#[test]
fn a_replaced_path_keeps_what_follows_normalised_and_the_query_as_it_was() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = weir(&endpoint, "path = \"/api/\"\nreplace = \"/v1/\"");
    let sent = ["/api/", "/api/a/../b%3F%25?x=%20", "/api//c%61", "http://Shop.Example:81/api/d"];
    for target in sent {
        assert_eq!(get(&weir, target, "").status, 200, "{target}");
    }
    let targets: Vec<String> =
        endpoint.wait_for_requests(4).iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/v1/", "/v1/b%3F%25?x=%20", "/v1/ca", "/v1/d"]);
}

#[test]
fn fields_of_the_answer_are_set_and_taken_out() {
    let endpoint = Endpoint::replying(Reply::new(404).header("Server", "inner").header("X-A", "1").header("X-A", "2"));
    let weir =
        weir(&endpoint, r#"answer_headers = { set = { X-A = "$host", X-None = "$http_none" }, remove = ["Server"] }"#);
    let answer = get(&weir, "/", "");
    assert_eq!(answer.head.all("x-a").collect::<Vec<_>>(), ["shop.example"]);
    assert_eq!((answer.field("server"), answer.field("x-none")), (None, None));
}

#[test]
fn a_route_that_answers_by_itself_asks_nobody_and_keeps_the_connection() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let toml = Setup::default().toml(&[&endpoint]).replace(
        "[[service]]",
        "[[route]]\npath = \"/old/\"\nanswer = { status = 301, location = \"https://$host$request_uri\" }\n\
         [[route]]\npath = \"/ok\"\nmatch = \"exact\"\nanswer = { status = 200, body = \"well\", type = \"text/x\" }\n\
         answer_headers = { set = { Cache-Control = \"no-store\" } }\n\
         [[route]]\npath = \"/none\"\nanswer = { status = 204 }\n[[service]]",
    );
    let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &toml);
    let mut client = Raw::connect(weir.address());
    let mut ask = |method: &str, target: &str| {
        client.write(format!("{method} {target} HTTP/1.1\r\nHost: Shop.Example:81\r\n\r\n"));
        client.response_to(method)
    };
    let moved = ask("GET", "/old/a?b=c");
    assert_eq!((moved.status, moved.field("location")), (301, Some("https://shop.example/old/a?b=c")));
    let well = ask("GET", "/ok");
    assert_eq!((well.status, &*well.text(), well.field("content-type")), (200, "well", Some("text/x")));
    assert_eq!(well.field("cache-control"), Some("no-store"));
    let head = ask("HEAD", "/ok");
    assert_eq!((head.status, head.field("content-length")), (200, Some("4")));
    assert_eq!((ask("GET", "/none").status, endpoint.requests().len()), (204, 0));
    assert_eq!(ask("GET", "/ok/more").status, 200);
    assert_eq!(endpoint.wait_for_requests(1)[0].target(), "/ok/more", "exact is the path alone");
    let metrics = weir.metrics();
    let counted = metrics.sum("weir_requests_total", &[("route", "=/ok"), ("code", "2xx")]);
    assert!(counted > 1.0, "{:?}", metrics.matching("weir_requests_total", &[]));
}

#[test]
fn a_route_for_one_listener_is_none_of_the_others() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let port = weir_testkit::free_port();
    let toml = Setup::default().toml(&[&endpoint]).replace(
        "[[service]]",
        &format!(
            "[[listener]]\naddress = \"127.0.0.1:{port}\"\n\
             [[route]]\npath = \"/\"\nlisteners = [\"127.0.0.1:{port}\"]\nanswer = {{ status = 404 }}\n[[service]]"
        ),
    );
    let weir = Weir::start(env!("CARGO_BIN_EXE_weir"), &toml);
    let [first, second] = weir.listeners() else { panic!("{:?}", weir.listeners()) };
    let statuses = [first, second].map(|listener| (listener.port() == port, Raw::get(*listener, "/").status));
    assert!(statuses.contains(&(true, 404)) && statuses.contains(&(false, 200)), "{statuses:?}");
}
