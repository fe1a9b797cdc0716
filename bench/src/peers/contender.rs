//! Who is compared: named configurations, written down as data.
//!
//! In: the table of a proxy (`contenders/`), the endpoints. Out: the text of a configuration. Pure. A new row, for weir or a peer, is
//! an entry in one of those tables and nothing else.
//!
//! Places in a text: `{listen}`, `{host}` and `{port}` of it, `{folder}`, `{threads}`, `{room}` (connections), `{endpoints}`
//! (one `endpoint` line each) and `{row}`. In an endpoint's line: `{number}`, `{address}`, `{host}`, `{port}`,
//! `{weight}`, `{cores}`, `{more}` (half as many again). In a row: `{cores}` of an ordinary endpoint, and what somebody who knows the mix would put in by hand:
//! `{step1}`, `{step2}` (bytes between small and medium, medium and large), `{bytes_per_ms}` of work, and `{small}`, the milliseconds up
//! to which work is small.

use std::net::SocketAddr;

use super::contenders::{ENVOY, HAPROXY, NGINX, WEIR};
use super::endpoint::Plan;
use super::trace::{Class, FASTER, bytes_between, bytes_per_ms};
use crate::rig::proxy::Kind;

/// One configuration of one proxy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    /// Its name in tables and on the command line.
    pub(crate) name: &'static str,
    /// Its proxy.
    pub(crate) kind: Kind,
    /// What is particular about it, for the reader of a report.
    pub(crate) about: &'static str,
    /// The whole configuration.
    pub(crate) text: &'static str,
    /// One endpoint in it.
    pub(crate) endpoint: &'static str,
    /// The lines that make the difference between the configurations of one proxy.
    pub(crate) row: &'static str,
    /// The same where endpoints have weights, if it has to be said differently then.
    pub(crate) weighted: Option<&'static str>,
    /// Whether the promises are about it.
    pub(crate) promised: bool,
}

/// What the configurations of one run have in common.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) endpoints: Vec<(SocketAddr, Plan)>,
    pub(crate) threads: u16,
    pub(crate) lines: Lines,
}

/// What somebody who knows the mix would put in by hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lines {
    /// Bytes between small and medium photos, medium and large ones.
    pub(crate) steps: [f64; 2],
    /// Of work.
    pub(crate) bytes_per_ms: f64,
    /// Milliseconds of work up to which a photo is small.
    pub(crate) small: f64,
}

impl Lines {
    /// Those of the emulated mix.
    pub(crate) fn emulated() -> Self {
        Self {
            steps: [bytes_between(Class::Small, Class::Medium), bytes_between(Class::Medium, Class::Large)],
            bytes_per_ms: bytes_per_ms(),
            // What weir has by default, in the times of the trace.
            small: 100.0 / FASTER,
        }
    }
}

/// Connections that a proxy is to have room for: more than any run needs, for a limit of its own would be a queue. Not more
/// than that: `HAProxy` does not start where the system's limit on open files is less than twice as many.
const ROOM: usize = 8_000;

/// All of them, weir's first.
pub(crate) fn all() -> impl Iterator<Item = &'static Contender> {
    [WEIR, NGINX, HAPROXY, ENVOY].into_iter().flatten()
}

impl Contender {
    /// Its configuration, listening on `listen`, with `folder` to write to.
    pub(crate) fn configuration(&self, setting: &Setting, listen: SocketAddr, folder: &str) -> String {
        let weighted = setting.endpoints.iter().any(|(_, plan)| plan.weight != 1);
        let row = self.weighted.filter(|_| weighted).unwrap_or(self.row);
        let cores = setting.endpoints.iter().map(|(_, plan)| plan.cores).min().unwrap_or(1);
        let lines = &setting.lines;
        let row = row
            .replace("{cores}", &cores.to_string())
            .replace("{step1}", &whole(lines.steps[0]))
            .replace("{step2}", &whole(lines.steps[1]))
            .replace("{bytes_per_ms}", &whole(lines.bytes_per_ms))
            .replace("{small}", &whole(lines.small));
        let line = |(number, (address, plan)): (usize, &(SocketAddr, Plan))| {
            self.endpoint
                .replace("{number}", &number.to_string())
                .replace("{address}", &address.to_string())
                .replace("{host}", &address.ip().to_string())
                .replace("{port}", &address.port().to_string())
                .replace("{weight}", &plan.weight.to_string())
                .replace("{cores}", &plan.cores.to_string())
                .replace("{more}", &(plan.cores + plan.cores.div_ceil(2)).to_string())
        };
        let endpoints: Vec<String> = setting.endpoints.iter().enumerate().map(line).collect();
        self.text
            .replace("{row}", &row)
            .replace("{endpoints}", &endpoints.join("\n"))
            .replace("{listen}", &listen.to_string())
            .replace("{host}", &listen.ip().to_string())
            .replace("{port}", &listen.port().to_string())
            .replace("{folder}", folder)
            .replace("{threads}", &setting.threads.to_string())
            .replace("{room}", &ROOM.to_string())
    }
}

fn whole(number: f64) -> String {
    format!("{number:.0}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::fleet::Scenario;
    use super::*;

    fn setting(scenario: Scenario) -> Setting {
        let plans = scenario.plans(4, 2).into_iter();
        let address = |number: usize| SocketAddr::from(([127, 0, 0, 1], 3001 + u16::try_from(number).unwrap()));
        Setting {
            endpoints: plans.enumerate().map(|(number, plan)| (address(number), plan)).collect(),
            threads: 1,
            lines: Lines::emulated(),
        }
    }

    #[test]
    fn every_contender_has_a_name_of_its_own_and_names_every_endpoint() {
        let names: BTreeSet<_> = all().map(|contender| contender.name).collect();
        assert_eq!(names.len(), all().count());
        for contender in all() {
            for scenario in [Scenario::Steady, Scenario::Weights] {
                let setting = setting(scenario);
                let text = contender.configuration(&setting, SocketAddr::from(([127, 0, 0, 1], 8080)), "/folder");
                for (address, _) in &setting.endpoints {
                    assert!(text.contains(&address.port().to_string()), "{text}");
                }
                let places = ["listen", "host", "port", "folder", "threads", "room", "endpoints", "row", "number"];
                let more = ["address", "weight", "cores", "more", "step1", "step2", "bytes_per_ms", "small"];
                for place in places.iter().chain(&more) {
                    assert!(!text.contains(&format!("{{{place}}}")), "{place} is left in {text}");
                }
            }
        }
    }

    #[test]
    fn a_stronger_endpoint_has_its_weight_and_its_places_in_every_queueing_configuration() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        let text = |name: &str| {
            let contender = all().find(|contender| contender.name == name).unwrap();
            contender.configuration(&setting(Scenario::Weights), listen, "")
        };
        assert!(text("haproxy-class").contains("3001 weight 2 maxconn 4"), "{}", text("haproxy-class"));
        assert!(text("haproxy-roomy").contains("3002 weight 1 maxconn 3"), "{}", text("haproxy-roomy"));
        assert!(text("nginx").contains("3001 weight=2"), "{}", text("nginx"));
        assert!(text("weir-rr").contains("policy = \"weighted\""), "{}", text("weir-rr"));
    }
}
