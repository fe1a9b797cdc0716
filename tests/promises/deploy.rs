//! Optimizers that register in Consul, replaced one after another under load.

use weir_testkit::{Consul, PATIENCE, Process, Signal, Weir};

use crate::load::under_load;
use crate::support::{WEIR, assert_metric, consul_toml, registered, wait_until_ready};

#[test]
fn ten_rolling_deploys_of_three_registered_optimizers_lose_no_request() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, "{}");
    let mut fleet: Vec<Process> = (1..=3).map(|at| registered(&consul, &format!("v0-{at}"))).collect();
    // One try each: what is lost here is lost, nothing is asked again elsewhere.
    let weir = Weir::start(WEIR, &consul_toml(&consul, "", "retry = { tries = 1 }"));

    wait_until_ready(&weir);

    let mut leaving = Vec::new();
    let answers = under_load(weir.address(), 2, |seen| {
        for at in 1..=3 {
            seen.wait_for(&format!("v0-{at}"), 1);
        }
        for round in 1..=10 {
            for (at, place) in fleet.iter_mut().enumerate() {
                let id = format!("v{round}-{}.", at + 1);
                let new = registered(&consul, &id);
                seen.wait_for(&id, 1);
                let old = std::mem::replace(place, new);
                old.signal(Signal::TERM);
                leaving.push(old);
            }
        }
        for old in &mut leaving {
            assert_eq!(old.wait(PATIENCE).code(), Some(0), "it left by itself:\n{}", old.output());
        }
        seen.wait_for("v10-", 3);
    });

    assert_eq!(leaving.len(), 30);
    weir.wait_for_metric("weir_requests_total", &[("code", "2xx")], |count| count >= f64::from(answers));
    assert_metric(&weir, "weir_requests_total", &[], answers);
    assert_metric(&weir, "weir_refusals_total", &[], 0);
    assert_metric(&weir, "weir_ejections_total", &[], 0);
    assert_metric(&weir, "weir_endpoint_up", &[], 3);
}
