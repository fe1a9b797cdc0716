//! Instances of a service in Consul, as endpoints.
//!
//! In: what is configured, and the files and variables it names. Out: [`News`]. Cost: that of a [`Watch`]: one connection,
//! one query per wait. The token and the TLS material are read at the start, and again whenever Consul denies or the
//! connection is not trusted, so that a rotated secret needs no restart.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use weir_balance::Weight;
use weir_config::{Consul, Status};
use weir_consul::{ConsulError, Event, Include, Instance, Query, Update, Watch};

use super::{Found, Listing, News, Source, SourceError, Stale, Tier, Variables, share};
use crate::agent::{ConsulSetupError, Material};

/// A service in Consul.
pub(crate) struct ConsulSource {
    settings: Consul,
    variables: Variables,
    seed: u64,
    material: Material,
    watch: Watch,
}

impl ConsulSource {
    /// Reads the material; asks nothing yet. Blocks on files. `seed` spreads the pauses of many.
    ///
    /// # Errors
    /// [`ConsulSetupError`].
    pub(crate) fn open(settings: Consul, variables: Variables, seed: u64) -> Result<Self, ConsulSetupError> {
        let material = Material::read(&settings.agent, variables)?;
        let watch = watch(&settings, &material, seed)?;
        Ok(Self { settings, variables, seed, material, watch })
    }

    /// Begins anew if the material is not what it was.
    async fn read_again(&mut self) {
        let (agent, variables) = (self.settings.agent.clone(), self.variables);
        let read = tokio::task::spawn_blocking(move || Material::read(&agent, variables)).await;
        // What cannot be read now is no better than what there is; Consul's answer is the one to tell.
        let Ok(Ok(material)) = read else { return };
        if material != self.material
            && let Ok(watch) = watch(&self.settings, &material, self.seed)
        {
            tracing::info!(source = self.describe(), "the token or the certificates have changed and are used now");
            (self.material, self.watch) = (material, watch);
        }
    }
}

impl Source for ConsulSource {
    async fn next(&mut self) -> News {
        match self.watch.next().await {
            Event::Update(update) => listing(&self.settings, update),
            Event::Unchanged => News::Unchanged,
            Event::Failed(error) => {
                if matches!(error.label(), "denied" | "tls") {
                    self.read_again().await;
                }
                News::Failed(failure(&error))
            }
        }
    }

    fn describe(&self) -> String {
        format!("consul {}", self.settings.service)
    }
}

fn watch(settings: &Consul, material: &Material, seed: u64) -> Result<Watch, ConsulSetupError> {
    let client = material.client(&settings.agent, settings.datacenter.clone())?;
    let include = match settings.status {
        Status::Passing => Include::Passing,
        Status::Warning => Include::Warning,
    };
    let query = Query {
        include,
        tags: settings.tags.clone(),
        filter: settings.filter.clone(),
        wait: settings.wait.duration(),
        ..Query::new(settings.service.clone())
    };
    Ok(Watch::new(&client, query, seed))
}

fn failure(error: &ConsulError) -> SourceError {
    SourceError { reason: error.label(), text: error.explain() }
}

fn listing(settings: &Consul, update: Update) -> News {
    let Update { instances, unusable, filtered_by_token, stale, .. } = update;
    let mut remarks = Vec::new();
    if filtered_by_token {
        let text = format!(
            "the token may not see all of `{}`: give it `service:read` on the service and `node:read` on its nodes",
            settings.service
        );
        if instances.is_empty() {
            return News::Failed(SourceError { reason: "denied", text });
        }
        remarks.push(text);
    }
    if !unusable.is_empty() {
        remarks.push(format!("left out, for want of a port or an address: {}", unusable.join(", ")));
    }
    if instances.is_empty() && unusable.is_empty() {
        remarks.push(nobody(settings));
    }
    let largest = instances.iter().map(Instance::weight).max().unwrap_or_default();
    let mut endpoints = Vec::with_capacity(instances.len());
    for instance in &instances {
        match instance.address.parse::<IpAddr>() {
            Ok(ip) => endpoints.push(found(instance, ip, largest)),
            Err(_) => remarks.push(format!(
                "`{}` is left out, because it registered the name `{}`: register an IP address, \
                 or write the name as `endpoints = [\"{}:{}\"]`",
                instance.id, instance.address, instance.address, instance.port
            )),
        }
    }
    let stale = stale.map(|stale| Stale {
        last_contact: stale.last_contact,
        known_leader: stale.known_leader,
        because: stale.because.explain(),
    });
    News::Endpoints(Listing { endpoints, stale, remarks })
}

fn found(instance: &Instance, ip: IpAddr, largest: u16) -> Found {
    let weight = share(instance.weight(), largest);
    Found {
        address: SocketAddr::new(ip, instance.port),
        weight: weight.unwrap_or(Weight::ONE),
        tier: Tier::PRIMARY,
        capacity: instance.capacity().and_then(|capacity| NonZeroU32::new(capacity.into())),
        drained: weight.is_none(),
    }
}

/// What to check when Consul lists nothing: a name that it does not know and a fleet that is down look the same to it.
fn nobody(settings: &Consul) -> String {
    let Consul { service, tags, filter, .. } = settings;
    let mut check = vec![format!("is `{service}` its name (`consul catalog services` lists them)")];
    if !tags.is_empty() {
        check.push(format!("has it all the tags {}", tags.join(", ")));
    }
    if let Some(filter) = filter {
        check.push(format!("does `{filter}` hold for any instance"));
    }
    if settings.status == Status::Passing {
        check.push("do its checks pass".to_owned());
    }
    check.push("may the token, if one is needed, read it".to_owned());
    format!("Consul lists no instance of `{service}`: {}?", check.join(", "))
}

#[cfg(test)]
mod tests {
    use weir_config::{Agent, TokenFrom};
    use weir_consul::{Address, Weights};
    use weir_snapshot::Millis;

    use super::*;

    fn settings() -> Consul {
        Consul {
            agent: Agent {
                address: "http://127.0.0.1:8500".into(),
                namespace: None,
                token: TokenFrom::Usual,
                ca_file: None,
                identity: None,
            },
            service: "optimizer".into(),
            tags: vec!["blue".into()],
            filter: None,
            datacenter: None,
            status: Status::Passing,
            wait: Millis::from_secs(60),
        }
    }

    fn instance(address: &str, weight: u16, capacity: &str) -> Instance {
        Instance {
            id: address.into(),
            address: address.into(),
            port: 3001,
            weights: Weights { passing: weight, warning: 1 },
            meta: [("capacity".into(), capacity.into())].into(),
            tags: Vec::new(),
            node: "n".into(),
            status: weir_consul::Status::Passing,
        }
    }

    fn told(instances: Vec<Instance>) -> Listing {
        let update = Update { instances, unusable: Vec::new(), index: 1, filtered_by_token: false, stale: None };
        let News::Endpoints(listing) = listing(&settings(), update) else { panic!("a list") };
        listing
    }

    #[test]
    fn an_instance_brings_its_weight_and_capacity_and_zero_drains_it() {
        let endpoints = told(vec![instance("10.0.0.1", 2, "8"), instance("::1", 0, "")]).endpoints;
        let seen: Vec<_> = endpoints
            .iter()
            .map(|found| {
                (found.address.to_string(), found.weight.get(), found.capacity.map(NonZeroU32::get), found.drained)
            })
            .collect();
        assert_eq!(seen, [("10.0.0.1:3001".to_owned(), 2, Some(8), false), ("[::1]:3001".to_owned(), 1, None, true)]);
    }

    #[test]
    fn an_instance_with_a_name_for_an_address_is_left_out_and_the_remark_says_what_to_write() {
        let told = told(vec![instance("optimizer.example", 1, ""), instance("10.0.0.1", 1, "")]);
        assert_eq!(told.endpoints.len(), 1);
        assert!(told.remarks[0].contains("endpoints = [\"optimizer.example:3001\"]"), "{:?}", told.remarks);
    }

    #[test]
    fn a_service_that_consul_does_not_list_is_remarked_on_with_what_to_check() {
        let remarks = told(Vec::new()).remarks;
        assert!(remarks[0].contains("`optimizer`") && remarks[0].contains("blue"), "{remarks:?}");
    }

    #[test]
    fn a_token_that_hides_all_instances_is_a_failure_not_an_empty_list() {
        let update =
            Update { instances: Vec::new(), unusable: Vec::new(), index: 1, filtered_by_token: true, stale: None };
        let News::Failed(error) = listing(&settings(), update) else { panic!("no list") };
        assert_eq!(error.reason, "denied");
    }

    #[test]
    fn a_variable_that_is_configured_must_be_set_and_the_usual_one_need_not() {
        let mut named = settings();
        named.agent.token = TokenFrom::Variable("WEIR_TOKEN".into());
        let error = ConsulSource::open(named.clone(), |_| None, 1).err().unwrap();
        assert!(error.to_string().contains("`WEIR_TOKEN` is not set"), "{error}");
        assert!(ConsulSource::open(named, |_| Some("secret".to_owned()), 1).is_ok());
        assert!(ConsulSource::open(settings(), |_| None, 1).is_ok());
    }

    #[test]
    fn every_address_that_a_configuration_may_have_is_one_for_the_client() {
        for address in
            ["http://127.0.0.1:8500", "https://consul.example", "http://[::1]:8500", "https://g:8443/consul/"]
        {
            let text = format!(
                "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"a\"\n[[service]]\nname = \"a\"\n\
                 policy = \"weighted\"\nconsul = {{ service = \"a\", address = \"{address}\" }}\n"
            );
            weir_config::parse("weir.toml", &text).unwrap();
            address.parse::<Address>().unwrap();
        }
    }
}
