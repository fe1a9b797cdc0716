//! What of a head is passed on, and what the endpoint is told about the client.

use weir_testkit::{Endpoint, Head, Plan, Raw, Reply, Weir};

use crate::setup::{Setup, get, weir};

/// The head that reaches the endpoint when this is sent.
fn forwarded(weir: &Weir, endpoint: &Endpoint, request: impl AsRef<[u8]>) -> Head {
    let before = endpoint.requests().len();
    assert_eq!(Raw::ask(weir.address(), request).status, 200);
    endpoint.wait_for_requests(before + 1).pop().unwrap().head
}

fn ok() -> Endpoint {
    Endpoint::replying(Reply::new(200))
}

#[test]
fn fields_of_one_hop_are_not_passed_to_the_endpoint() {
    let endpoint = ok();
    let weir = weir(&endpoint);
    let head = forwarded(
        &weir,
        &endpoint,
        get(
            "/",
            "Connection: keep-alive, X-Private, x-MORE\r\nConnection: X-Third\r\nX-Private: 1\r\nX-More: 2\r\nX-Third: 3\r\n\
             Keep-Alive: timeout=5\r\nTE: trailers\r\nTrailer: Sum\r\nProxy-Connection: keep-alive\r\n\
             Proxy-Authorization: Basic eA==\r\nX-Public: 4\r\nx-public: 5\r\n",
        ),
    );
    for gone in [
        "connection",
        "x-private",
        "x-more",
        "x-third",
        "keep-alive",
        "te",
        "trailer",
        "proxy-connection",
        "proxy-authorization",
        "transfer-encoding",
        "content-length",
    ] {
        assert_eq!(head.field(gone), None, "{gone}");
    }
    assert_eq!(head.all("x-public").collect::<Vec<_>>(), ["4", "5"]);
}

#[test]
fn fields_of_one_hop_are_not_passed_to_the_client() {
    let endpoint = Endpoint::replying(
        Reply::new(200)
            .header("Connection", "X-Private, keep-alive")
            .header("X-Private", "1")
            .header("Keep-Alive", "timeout=5")
            .header("Proxy-Authenticate", "Basic")
            .header("Trailer", "Sum")
            .header("Upgrade", "h2c")
            .header("X-Public", "2")
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .body("hello"),
    );
    let weir = weir(&endpoint);
    let response = Raw::connect(weir.address()).write(get("/", "")).response();
    for gone in ["x-private", "keep-alive", "proxy-authenticate", "trailer", "upgrade"] {
        assert_eq!(response.field(gone), None, "{gone}");
    }
    assert_eq!(response.field("x-public"), Some("2"));
    assert_eq!(response.head.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(response.head.all("connection").collect::<Vec<_>>(), ["keep-alive"]);
}

#[test]
fn connection_cannot_take_away_what_weir_itself_says() {
    let endpoint = ok();
    let weir = weir(&endpoint);
    let lines = "Connection: X-Forwarded-For, X-Request-Id, Forwarded, X-Forwarded-Proto\r\n";
    let head = forwarded(&weir, &endpoint, get("/", lines));
    for kept in ["x-forwarded-for", "x-request-id", "forwarded", "x-forwarded-proto"] {
        assert!(head.field(kept).is_some(), "{kept}");
    }
}

#[test]
fn an_answer_names_the_endpoints_server_and_has_one_date() {
    let endpoint = Endpoint::replying(
        Reply::new(200).header("Date", "Sun, 06 Nov 1994 08:49:37 GMT").header("Server", "scripted"),
    );
    let weir = weir(&endpoint);
    let response = Raw::get(weir.address(), "/");
    assert_eq!(response.field("server"), Some("scripted"));
    assert_eq!(response.head.all("date").count(), 1);
}

#[test]
fn an_answers_reason_and_odd_bytes_arrive_as_sent() {
    let endpoint = Endpoint::start(|_| {
        Plan::new().write(&b"HTTP/1.1 299 Quite Odd\r\nX-Latin: caf\xe9\r\nx-lower: 1\r\nContent-Length: 0\r\n\r\n"[..])
    });
    let weir = weir(&endpoint);
    let response = Raw::get(weir.address(), "/");
    assert_eq!(response.head.line, "HTTP/1.1 299 Quite Odd");
    assert_eq!(response.field("x-latin"), Some("caf\u{e9}"));
}

#[test]
fn an_untrusted_clients_word_about_itself_is_replaced() {
    let endpoint = ok();
    let weir = weir(&endpoint);
    let head = forwarded(
        &weir,
        &endpoint,
        get(
            "/",
            "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n\
             Forwarded: for=192.0.2.7;proto=https\r\n",
        ),
    );
    assert_eq!(head.all("x-forwarded-for").collect::<Vec<_>>(), ["127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-proto").collect::<Vec<_>>(), ["http"]);
    assert_eq!(head.all("x-forwarded-host").collect::<Vec<_>>(), ["a.example"]);
    assert_eq!(head.all("forwarded").collect::<Vec<_>>(), ["for=127.0.0.1;host=\"a.example\";proto=http"]);
    assert_eq!(head.all("host").collect::<Vec<_>>(), ["a.example"]);
}

#[test]
fn a_trusted_proxys_word_is_passed_on_with_the_proxy_added() {
    let endpoint = ok();
    let weir = Setup { server: r#"trusted_proxies = ["127.0.0.0/8"]"#, ..Setup::default() }.start(&endpoint);
    let head = forwarded(
        &weir,
        &endpoint,
        get(
            "/",
            "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.8\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: shop.example\r\nForwarded: for=192.0.2.7;proto=https\r\n",
        ),
    );
    assert_eq!(head.all("x-forwarded-for").collect::<Vec<_>>(), ["192.0.2.7, 192.0.2.8, 127.0.0.1"]);
    assert_eq!(head.all("x-forwarded-proto").collect::<Vec<_>>(), ["https"]);
    assert_eq!(head.all("x-forwarded-host").collect::<Vec<_>>(), ["shop.example"]);
    let said = "for=192.0.2.7;proto=https, for=127.0.0.1;host=\"a.example\";proto=http";
    assert_eq!(head.all("forwarded").collect::<Vec<_>>(), [said]);
}

#[test]
fn a_request_without_an_id_gets_one_of_its_own_and_a_sane_one_is_kept() {
    let endpoint = ok();
    let weir = weir(&endpoint);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(forwarded(&weir, &endpoint, get("/", "")).field("x-request-id").unwrap().to_owned());
    }
    assert!(ids.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{ids:?}");
    ids.dedup();
    assert_eq!(ids.len(), 3);
    let kept = forwarded(&weir, &endpoint, get("/", "X-Request-Id: abc-123\r\n"));
    assert_eq!(kept.all("x-request-id").collect::<Vec<_>>(), ["abc-123"]);
    let long = format!("X-Request-Id: {}\r\n", "x".repeat(1000));
    let replaced = forwarded(&weir, &endpoint, get("/", &long));
    assert_eq!(replaced.field("x-request-id").map(str::len), Some(32));
}

#[test]
fn a_refusal_names_the_requests_id() {
    let endpoint = Endpoint::start(|_| Plan::new().reset());
    let weir = weir(&endpoint);
    let response = Raw::ask(weir.address(), get("/", "X-Request-Id: abc-123\r\n"));
    assert_eq!((response.status, response.field("x-request-id")), (502, Some("abc-123")));
}

#[test]
fn target_and_host_and_traceparent_are_passed_on_as_sent() {
    let endpoint = ok();
    let weir = weir(&endpoint);
    for target in ["/a//b/./c/%2e%2E/d?x=%zz&y=[1]|{2}", "/?", "/%00", "/a;b=c,d", "/caf\u{e9}", "/x?http://y/../z"] {
        let head = forwarded(&weir, &endpoint, get(target, "traceparent: 00-1-2-01\r\n"));
        let sent: String = target.bytes().map(char::from).collect();
        assert_eq!(head.line, format!("GET {sent} HTTP/1.1"));
        assert_eq!((head.field("host"), head.field("traceparent")), (Some("a.example"), Some("00-1-2-01")));
    }
    let port = forwarded(&weir, &endpoint, "GET / HTTP/1.1\r\nHost: Shop.Example:8443\r\n\r\n");
    assert_eq!(port.field("host"), Some("Shop.Example:8443"));
}

#[test]
fn an_absolute_target_reaches_the_endpoint_as_its_path() {
    let endpoint = ok();
    let weir = weir(&endpoint);
    let head = forwarded(&weir, &endpoint, "GET http://a.example?q=1 HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(head.line, "GET /?q=1 HTTP/1.1");
}

#[test]
fn a_1_0_request_without_a_host_reaches_the_endpoint_with_one() {
    let endpoint = ok();
    let weir = weir(&endpoint);
    let head = forwarded(&weir, &endpoint, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(head.line, "GET / HTTP/1.1");
    assert_eq!(head.field("host"), Some(&*endpoint.address().to_string()));
}

/// What a client sends to be taken for somebody else by an endpoint that reads `_`, or any other sign, as `-`: CGI and
/// what took over its names do.
const TWINS: &str = "X_Real_IP: 9.9.9.9\r\nX_Forwarded_For: 9.9.9.9\r\nX-Forwarded_Proto: https\r\nX.Forwarded.Host: bank\r\n\
                     x_request_id: forged\r\nProxy_Authorization: Basic eA==\r\nTransfer_Encoding: chunked\r\n\
                     Content_Length: 7\r\nSECRET_KEY: 1\r\napi_key: 7\r\nx.y: 8\r\n";

/// The names of a head with signs other than letters, digits and `-` in them.
fn odd(head: &Head) -> Vec<&str> {
    let is_odd = |name: &&str| name.contains(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    head.fields.iter().map(|(name, _)| name.as_str()).filter(is_odd).collect()
}

#[test]
fn no_other_spelling_of_a_field_gets_past_what_sets_it_or_takes_it_out() {
    let endpoint = ok();
    let route =
        r#"headers = { set = { X-Real-IP = "$client_ip", X-Copy = "$http_api_key" }, remove = ["Secret-Key"] }"#;
    let passing = |listener: &str| {
        let weir = Setup { listener, route, ..Setup::default() }.start(&endpoint);
        forwarded(&weir, &endpoint, get("/", TWINS))
    };
    let plain = passing("");
    assert_eq!(odd(&plain), [""; 0], "as nginx, whose default drops them");
    assert_eq!((plain.field("x-real-ip"), plain.field("x-copy")), (Some("127.0.0.1"), None));
    let underscores = passing("field_names = \"underscores\"");
    assert_eq!(odd(&underscores), ["api_key"], "only what is no twin of a field that the route or weir is about");
    assert_eq!(underscores.field("x-copy"), Some("7"), "`$http_api_key` is either spelling, as in nginx");
    assert_eq!(odd(&passing("field_names = \"any\"")), ["api_key", "x.y"]);
}
