//! What weir cannot do is said aloud, and what nginx keeps out does not get in.

use weir_import::Imported;

use crate::support::{legal, notes, of, ok};

/// A server with these lines and a location `/` that passes on to one endpoint.
fn server(lines: &str, location: &str) -> String {
    format!("server {{ listen 80; {lines} location / {{ proxy_pass http://10.0.0.1:80; {location} }} }}")
}

/// The status that the route for this path answers by itself.
fn answers(imported: &Imported, path: &str) -> Option<u16> {
    let config = legal(&imported.toml);
    let route = config.routes.iter().find(|route| &*route.path == path).unwrap();
    route.settings.answer.as_ref().map(|answer| answer.status)
}

#[test]
fn a_rule_about_who_may_come_in_closes_the_route_and_shows_what_it_would_be() {
    for rule in [
        "allow 10.0.0.0/8; deny all;",
        "deny 192.0.2.1;",
        "auth_basic \"who?\";",
        "auth_request /auth;",
        "access_by_lua_block { ngx.exit(403) }",
        "rewrite_by_lua_file /x.lua;",
        "if ($arg_token = \"\") { return 401; }",
        "limit_except GET { deny all; }",
    ] {
        let imported = ok(&server("", rule));
        assert_eq!(answers(&imported, "/"), Some(403), "{rule}\n{}", imported.toml);
        assert!(notes(&imported).contains("answer 403 until you have decided"), "{rule}: {}", notes(&imported));
        assert!(imported.toml.contains("\n# service = \"10.0.0.1-80\""), "{}", imported.toml);
    }
    let around = ok(&server("auth_basic on;", ""));
    assert_eq!(answers(&around, "/"), Some(403), "{}", around.toml);
}

#[test]
fn a_rule_that_lets_everybody_in_closes_nothing() {
    for rule in ["allow all;", "auth_basic off;", "if ($arg_x) { rewrite ^ /x redirect; }", "satisfy any;"] {
        let imported = ok(&server("deny all;", &format!("allow all; {rule}")));
        assert_eq!(answers(&imported, "/"), None, "{rule}");
    }
}

#[test]
fn deny_all_is_403_in_both_and_needs_no_note() {
    let imported = ok(&format!("{} ", server("location /x { deny all; proxy_pass http://10.0.0.1:80; }", "")));
    assert_eq!(answers(&imported, "/x"), Some(403));
    assert!(!notes(&imported).contains("deny"), "{}", notes(&imported));
}

#[test]
fn each_of_these_is_named_with_its_line() {
    let text = "\nserver {\nlisten 443 ssl;\nlisten 80;\nlisten unix:/x;\nlisten 81 proxy_protocol;\ngzip on;\n\
                location ~ \\.php$ { }\nlocation / {\nproxy_pass http://10.0.0.1;\nproxy_cache x;\nrewrite ^/a /b;\n\
                nobody_knows this;\n}\nlocation /tls { proxy_pass https://10.0.0.1; }\n\
                location /var { proxy_pass http://$host; }\nlocation /sock { proxy_pass http://unix:/x; } }";
    let imported = ok(text);
    let said = notes(&imported);
    for (line, name) in [
        (3, "listen 443 ssl"),
        (5, "listen unix:/x"),
        (6, "listen 81 proxy_protocol"),
        (7, "gzip on"),
        (8, "location ~ \\.php$"),
        (11, "proxy_cache x"),
        (12, "rewrite ^/a /b"),
        (13, "nobody_knows this"),
        (15, "proxy_pass https://10.0.0.1"),
        (16, "proxy_pass http://$host"),
        (17, "proxy_pass http://unix:/x"),
    ] {
        assert!(said.contains(&format!("nginx.conf:{line}: {name}: ")), "{line} {name}\n{said}");
    }
    for path in ["/tls", "/var", "/sock"] {
        assert_eq!(answers(&imported, path), Some(502), "{path}");
    }
}

#[test]
fn a_field_that_cannot_be_filled_in_is_taken_out_so_that_no_client_can_forge_it() {
    let imported = ok(&server("", "proxy_set_header X-User $remote_user;"));
    let config = legal(&imported.toml);
    let edits = config.routes[0].settings.edits.as_ref().unwrap();
    assert!(edits.request.touches(b"x-user") && edits.request.set.is_empty(), "{edits:?}");
    assert!(notes(&imported).contains("`$remote_user`"), "{}", notes(&imported));
}

#[test]
fn a_server_that_passes_to_itself_does_not_become_a_circle() {
    let imported = ok("server { listen 8080; location / { proxy_pass http://127.0.0.1:8081; }
                        location /in { proxy_pass http://10.0.0.1; } }
                       server { listen 8081; location / { proxy_pass http://10.0.0.1; } }");
    assert!(notes(&imported).contains("this is where weir itself listens"), "{}", notes(&imported));
}

#[test]
fn what_only_the_paid_nginx_knows_is_named_or_taken_over() {
    let imported =
        ok("upstream a { server 10.0.0.1 slow_start=30s max_conns=2; queue 100 timeout=70; sticky cookie x; }
                       server { location / { proxy_pass http://a; } }");
    let said = notes(&imported);
    assert!(said.contains(": sticky cookie x: "), "{said}");
    assert!(imported.toml.contains("queue = { capacity = 65535, max = 100, timeout = \"70s\" }"), "{}", imported.toml);
}

#[test]
fn nothing_to_pass_on_is_an_error_that_keeps_the_notes() {
    let error = of("server { listen 80; location / { fastcgi_pass 127.0.0.1:9000; } }").unwrap_err();
    assert!(error.to_string().starts_with("nginx.conf:1: nothing in it passes requests on"), "{error}");
    assert!(error.notes.iter().any(|note| note.directive.starts_with("fastcgi_pass")), "{:?}", error.notes);
}

#[test]
fn a_condition_in_the_location_that_another_leads_to_closes_it_too() {
    let imported = ok("server { listen 80; location / { try_files $uri @app; }
                       location @app { if ($arg_token = \"\") { return 403; } proxy_pass http://10.0.0.1; } }");
    assert_eq!(answers(&imported, "/"), Some(403), "{}", imported.toml);
}
