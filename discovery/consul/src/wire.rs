//! What `/v1/health/service/:name` answers, read leniently.
//!
//! In: the body. Out: instances. Cost: one pass; strings are copied only into the result.
//! Lenient, because what is absent comes as nothing, `null` or `[]` by version and by field, and because one instance
//! without a port must not hide the others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::instance::{Instance, Status, Weights};

/// The instances in a body, and the ids of those that have no address or no port.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) instances: Vec<Instance>,
    pub(crate) unusable: Vec<Box<str>>,
}

pub(crate) fn listed(body: &[u8]) -> Result<Listed, serde_json::Error> {
    let mut listed = Listed::default();
    for entry in serde_json::from_slice::<Option<Vec<Entry<'_>>>>(body)?.unwrap_or_default() {
        let id = entry.service.id.0.as_ref().into();
        match instance(entry) {
            Some(instance) => listed.instances.push(instance),
            None => listed.unusable.push(id),
        }
    }
    Ok(listed)
}

fn instance(Entry { node, service, checks }: Entry<'_>) -> Option<Instance> {
    let address = [service.address.0, node.address.0].into_iter().find(|address| !address.is_empty())?;
    let port = u16::try_from(service.port?).ok().filter(|port| *port != 0)?;
    Some(Instance {
        id: service.id.0.into(),
        address: address.into(),
        port,
        weights: service.weights.map_or_else(Weights::default, |weights| Weights {
            passing: within(weights.passing),
            warning: within(weights.warning),
        }),
        meta: service.meta.unwrap_or_default().into_iter().map(|(key, value)| (key.0.into(), value.0.into())).collect(),
        tags: service.tags.unwrap_or_default().into_iter().map(|tag| tag.0.into()).collect(),
        node: node.node.0.into(),
        status: checks.iter().flatten().map(status).max().unwrap_or(Status::Passing),
    })
}

fn within(weight: Option<i64>) -> u16 {
    // Consul fills in 1 for what was not registered.
    weight.map_or(1, |weight| u16::try_from(weight.max(0)).unwrap_or(u16::MAX))
}

fn status(check: &Check<'_>) -> Status {
    // Maintenance has no status of its own: it is a critical check with a name that Consul keeps for itself.
    let reserved = ["_service_maintenance:", "_node_maintenance"];
    if reserved.iter().any(|prefix| check.check_id.0.starts_with(prefix)) {
        return Status::Maintenance;
    }
    match &*check.status.0 {
        "passing" => Status::Passing,
        "warning" => Status::Warning,
        // A word that we do not know is no reason to send requests there.
        _ => Status::Critical,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    #[serde(borrow)]
    node: Node<'a>,
    #[serde(borrow)]
    service: Service<'a>,
    #[serde(borrow)]
    checks: Option<Vec<Check<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node<'a> {
    #[serde(borrow, default)]
    node: Text<'a>,
    #[serde(borrow, default)]
    address: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service<'a> {
    #[serde(rename = "ID", borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    address: Text<'a>,
    port: Option<i64>,
    #[serde(borrow)]
    tags: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    meta: Option<BTreeMap<Text<'a>, Text<'a>>>,
    weights: Option<RawWeights>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawWeights {
    passing: Option<i64>,
    warning: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check<'a> {
    #[serde(rename = "CheckID", borrow, default)]
    check_id: Text<'a>,
    #[serde(borrow, default)]
    status: Text<'a>,
}

/// A text out of the body itself where nothing in it is escaped; empty for `null`.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // serde would copy inside an `Option`, and does not borrow a `Cow` in a list or a table at all.
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or null")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E: Error>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        from.deserialize_any(Borrowing)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(service: &str, checks: &str) -> Instance {
        let body = format!(
            r#"[{{"Node": {{"Node": "n1", "Address": "10.0.0.9"}}, "Service": {service}, "Checks": {checks}}}]"#
        );
        listed(body.as_bytes()).unwrap().instances.remove(0)
    }

    #[test]
    fn what_is_null_absent_or_empty_reads_alike_and_the_node_lends_its_address() {
        for service in [
            r#"{"ID": "a", "Port": 80}"#,
            r#"{"ID": "a", "Address": null, "Port": 80, "Tags": null, "Meta": null, "Weights": null}"#,
            r#"{"ID": "a", "Address": "", "Port": 80, "Tags": [], "Meta": {}, "Weights": {}}"#,
        ] {
            let instance = one(service, "null");
            assert_eq!((&*instance.address, &*instance.node, instance.port), ("10.0.0.9", "n1", 80), "{service}");
            assert_eq!((instance.weights, instance.status), (Weights::default(), Status::Passing), "{service}");
            assert!(instance.tags.is_empty() && instance.meta.is_empty(), "{service}");
        }
        assert_eq!(listed(b"null").unwrap(), Listed::default());
    }

    #[test]
    fn an_instance_without_a_port_is_named_and_hides_no_other() {
        let body = r#"[
            {"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "none", "Port": 0}},
            {"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "far", "Port": 70000}},
            {"Node": {}, "Service": {"ID": "nowhere", "Port": 80}},
            {"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "good", "Port": 80}}
        ]"#;
        let listed = listed(body.as_bytes()).unwrap();
        assert_eq!(listed.instances.iter().map(|one| &*one.id).collect::<Vec<_>>(), ["good"]);
        assert_eq!(listed.unusable, ["none", "far", "nowhere"].map(Box::from));
    }

    #[test]
    fn the_worst_check_decides_and_maintenance_is_told_from_critical() {
        let check = |id: &str, status: &str| {
            format!(r#"{{"CheckID": "{id}", "Status": "{status}", "Definition": {{"Interval": "10s"}}}}"#)
        };
        let of = |checks: &[String]| one(r#"{"ID": "a", "Port": 1}"#, &format!("[{}]", checks.join(","))).status;
        let (node, ok) = (check("serfHealth", "passing"), check("service:a", "passing"));
        assert_eq!(of(&[node.clone(), ok.clone()]), Status::Passing);
        assert_eq!(of(&[node.clone(), check("c", "warning"), ok.clone()]), Status::Warning);
        assert_eq!(of(&[check("c", "critical"), check("d", "warning")]), Status::Critical);
        assert_eq!(of(&[ok.clone(), check("_service_maintenance:a", "critical")]), Status::Maintenance);
        assert_eq!(of(&[check("_node_maintenance", "critical"), ok]), Status::Maintenance);
        assert_eq!(of(&[node, check("c", "unheard of")]), Status::Critical);
    }

    #[test]
    fn weights_out_of_range_come_to_the_nearest_end() {
        let weights = |passing: i64, warning: i64| {
            let service =
                format!(r#"{{"ID": "a", "Port": 1, "Weights": {{"Passing": {passing}, "Warning": {warning}}}}}"#);
            let Weights { passing, warning } = one(&service, "[]").weights;
            (passing, warning)
        };
        assert_eq!(weights(10, 0), (10, 0));
        assert_eq!(weights(-3, 65_536), (0, 65_535));
    }

    #[test]
    fn escaped_text_is_read_and_a_page_of_html_is_an_error() {
        assert_eq!(&*one(r#"{"ID": "a\u00e9\n", "Port": 1}"#, "[]").id, "aé\n");
        assert!(listed(b"<html>").is_err());
        assert!(listed(br#"{"errors": []}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_body_causes_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(listed(&body));
        }
    }
}
