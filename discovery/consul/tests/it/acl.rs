//! Tokens, against a real agent that denies by default.

use weir_consul::{Client, Registration, Watch};
use weir_testkit::Consul;

use super::support::{call, explained, options, put, query, service, until_failed, until_ids};

const MANAGEMENT: &str = "6e5b7a0c-3a26-4f0e-9f0f-0d2f0f9b1c11";
const WRONG: &str = "00000000-dead-4000-8000-000000000000";
const LIMITED: &str = "7f1d0c52-92d3-47d5-9a30-5a8f5f0f7a22";

fn deny() -> String {
    format!(
        r#"{{"primary_datacenter": "dc1",
            "acl": {{"enabled": true, "default_policy": "deny", "tokens": {{"master": "{MANAGEMENT}"}}}}}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_token_registers_and_sees_a_wrong_one_is_refused_and_none_sees_an_empty_list() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, &deny());
    let client = |token| Client::new(options(consul.api(), token)).unwrap();
    let registration = |token| Registration::new(client(token), service("a", consul.api()));
    let watch = |token| Watch::new(&client(token), query(), 1);

    registration(Some(MANAGEMENT)).register().await.unwrap();
    until_ids(&mut watch(Some(MANAGEMENT)), &["a"]).await;

    let refused = explained(registration(Some(WRONG)).register().await);
    assert!(refused.contains("`ACL not found`") && refused.contains("`service:write` to register"), "{refused}");
    let refused = until_failed(&mut watch(Some(WRONG)), "denied").await;
    assert!(refused.contains("`service:read`") && !refused.contains(WRONG), "{refused}");

    let refused = explained(registration(None).register().await);
    assert!(refused.contains("`Permission denied") && refused.contains("CONSUL_HTTP_TOKEN"), "{refused}");
    until_ids(&mut watch(None), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_told_and_the_watch_goes_on_when_it_is_back() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, &deny());
    let create = || {
        let body = format!(r#"{{"SecretID": "{LIMITED}", "Policies": [{{"Name": "global-management"}}]}}"#);
        let token = put(consul.api(), MANAGEMENT, "/v1/acl/token", &body);
        token.split_once(r#""AccessorID": ""#).unwrap().1.split_once('"').unwrap().0.to_owned()
    };
    let accessor = create();
    let client = Client::new(options(consul.api(), Some(LIMITED))).unwrap();
    Registration::new(client.clone(), service("a", consul.api())).register().await.unwrap();
    let mut watch = Watch::new(&client, query(), 1);
    until_ids(&mut watch, &["a"]).await;

    call(consul.api(), "DELETE", MANAGEMENT, &format!("/v1/acl/token/{accessor}"), "");
    until_failed(&mut watch, "denied").await;
    create();
    until_ids(&mut watch, &["a"]).await;
}
