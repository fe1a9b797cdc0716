//! TLS with a private CA and client certificates, against a real agent.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use weir_consul::{Client, Identity, Options, Registration, Tls, TlsError, Watch};
use weir_testkit::Consul;

use super::support::{query, service, until_failed, until_ids};

/// Makes a CA, a server certificate and a client certificate in `folder`, with Consul's own tool.
fn certificates(program: &Path, folder: &Path) {
    let tool = |arguments: &[&str]| {
        let made = Command::new(program.canonicalize().unwrap()).args(arguments).current_dir(folder).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    tool(&["tls", "ca", "create"]);
    tool(&["tls", "cert", "create", "-server", "-additional-ipaddress", "127.0.0.1"]);
    tool(&["tls", "cert", "create", "-client"]);
}

fn client(scheme: &str, api: SocketAddr, tls: Tls) -> Client {
    let mut options = Options::new(format!("{scheme}://{api}").parse().unwrap());
    options.tls = tls;
    Client::new(options).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_ca_and_a_client_certificate_get_through_and_each_other_way_says_what_to_give() {
    let Some(program) = Consul::program() else { return };
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(&program, folder.path());
    certificates(&program, other.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let config = format!(
        r#"{{"ports": {{"http": -1, "https": {{api}}}}, "verify_incoming": true, "ca_file": "{}",
            "cert_file": "{}", "key_file": "{}"}}"#,
        file("consul-agent-ca.pem"),
        file("dc1-server-consul-0.pem"),
        file("dc1-server-consul-0-key.pem"),
    );
    let consul = Consul::start(&program, &config);
    let read = |folder: &Path, name: &str| fs::read(folder.join(name)).unwrap();
    let trusting = |folder: &Path| Some(read(folder, "consul-agent-ca.pem"));
    let identity = |folder: &Path| {
        let certificates = read(folder, "dc1-client-consul-0.pem");
        Some(Identity { certificates, key: read(folder, "dc1-client-consul-0-key.pem") })
    };
    let (ours, theirs) = (folder.path(), other.path());

    let good = client("https", consul.api(), Tls { authorities: trusting(ours), identity: identity(ours) });
    let mut watch = Watch::new(&good, query(), 1);
    until_ids(&mut watch, &[]).await;
    Registration::new(good, service("a", consul.api())).register().await.unwrap();
    until_ids(&mut watch, &["a"]).await;

    for (scheme, tls, label, words) in [
        ("https", Tls { authorities: trusting(ours), identity: None }, "tls", "give a client certificate"),
        ("https", Tls { authorities: trusting(ours), identity: identity(theirs) }, "tls", "give a client certificate"),
        ("https", Tls { authorities: trusting(theirs), identity: identity(ours) }, "tls", "give the CA file"),
        ("http", Tls::default(), "not_consul", "`https://HOST:8501`"),
    ] {
        let client = client(scheme, consul.api(), tls);
        let story = until_failed(&mut Watch::new(&client, query(), 1), label).await;
        assert!(story.contains(words), "{story}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn https_to_an_agent_that_speaks_http_says_so_and_a_ca_for_http_is_refused_at_once() {
    let Some(program) = Consul::program() else { return };
    let folder = tempfile::tempdir().unwrap();
    certificates(&program, folder.path());
    let tls =
        || Tls { authorities: Some(fs::read(folder.path().join("consul-agent-ca.pem")).unwrap()), identity: None };
    let consul = Consul::start(&program, "{}");
    let https = client("https", consul.api(), tls());
    let story = until_failed(&mut Watch::new(&https, query(), 1), "not_consul").await;
    assert!(story.contains("it does not speak TLS"), "{story}");

    let mut options = Options::new(format!("http://{}", consul.api()).parse().unwrap());
    options.tls = tls();
    assert!(matches!(Client::new(options), Err(TlsError::NotHttps)));
}
