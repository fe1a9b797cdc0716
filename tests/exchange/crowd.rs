//! Many clients at once: everyone gets the answer to their own request.

use std::sync::Arc;

use weir_testkit::{Endpoint, Plan, Raw, Reply, hash, pattern};

use crate::setup::{Setup, get, post, post_chunked, wait_until_leases_are_back};

#[test]
fn nobody_gets_the_answer_of_another_whoever_leaves_meanwhile() {
    let endpoint = Endpoint::start(|call| {
        let target = call.target().to_owned();
        Plan::new().read_body().then(move |got| {
            let said = format!("{target} {} {:x}", got.body.length, got.body.hash);
            Plan::new().reply(if got.body.length % 2 == 0 {
                Reply::new(200).body(said)
            } else {
                Reply::new(200).body(said).chunked()
            })
        })
    });
    let route = r#"body = { max = "1MiB", buffer = "20KiB" }"#;
    let weir = Arc::new(Setup { server: "threads = 4", route, ..Setup::default() }.start(&endpoint));
    let clients: Vec<_> = (0..24_usize)
        .map(|me| {
            let weir = weir.clone();
            std::thread::spawn(move || {
                let mut client = Raw::connect_within(weir.address(), std::time::Duration::from_secs(30));
                for n in 0..40_usize {
                    let size = (me * 7919 + n * 104_729) % 60_000;
                    let body = pattern((me * 1000 + n) as u64, size);
                    match (me + n) % 5 {
                        0 => {
                            client.write(get(&format!("/{me}/{n}"), ""));
                            assert_eq!(client.response().text(), format!("/{me}/{n} 0 {:x}", hash(b"")));
                        }
                        1 => {
                            client.write(post_chunked("").replace("POST / ", &format!("POST /{me}/{n} ")));
                            for chunk in body.chunks(777) {
                                client.write([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
                            }
                            client.write("0\r\n\r\n");
                            assert_eq!(client.response().text(), format!("/{me}/{n} {size} {:x}", hash(&body)));
                        }
                        2 => {
                            // Leaves in the middle, and comes back on a connection of its own.
                            client.write(post(70_000, "")).write(&body);
                            client = Raw::connect_within(weir.address(), std::time::Duration::from_secs(30));
                        }
                        _ => {
                            client.write(post(size as u64, "").replace("POST / ", &format!("POST /{me}/{n} ")));
                            client.write(&body);
                            assert_eq!(client.response().text(), format!("/{me}/{n} {size} {:x}", hash(&body)));
                        }
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    wait_until_leases_are_back(&weir);
    weir.wait_for_metric("weir_connections", &[], |open| open == 0.0);
    weir.wait_for_metric("weir_body_memory_bytes", &[], |held| held == 0.0);
    assert_eq!(weir.metric("weir_refusals_total", &[]), 0.0);
    assert_eq!(weir.metric("weir_endpoint_up", &[]), 1.0);
    assert!(endpoint.seen().stray.is_empty());
}
