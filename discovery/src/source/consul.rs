//! Instances of a service in Consul, as endpoints.
//!
//! In: what is configured, and the files and variables it names. Out: [`News`]. Cost: that of a [`Watch`]: one connection,
//! one query per wait. The token and the TLS material are read at the start, and again whenever Consul denies, the
//! connection is not trusted, or the list is empty or not all of it (a token without rights is answered `[]`, not 403), so
//! that a rotated secret needs no restart. While a list is empty the queries wait for less than the membership doubts it:
//! only what is said again is believed.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use weir_balance::Weight;
use weir_config::{Consul, Status};
use weir_consul::{ConsulError, Event, Include, Instance, Query, Update, Watch};

use super::{Found, Listing, News, Source, SourceError, Stale, Tier, Variables, share};
use crate::agent::{ConsulSetupError, Material};

/// The shortest wait while a list is doubted.
const LEAST_WAIT: Duration = Duration::from_secs(1);

/// How many instances a remark names.
const NAMED: usize = 5;

/// A service in Consul.
pub(crate) struct ConsulSource {
    settings: Consul,
    variables: Variables,
    seed: u64,
    material: Material,
    watch: Watch,
    /// How long the membership doubts an empty list.
    empty_after: Duration,
    /// What its last list came to, if that was a failure: it holds while the list does.
    verdict: Option<SourceError>,
    /// Whether its last list may be what a token without rights sees.
    suspect: bool,
}

impl ConsulSource {
    /// Reads the material; asks nothing yet. Blocks on files. `seed` spreads the pauses of many; `empty_after` is how long
    /// an empty list will be doubted.
    ///
    /// # Errors
    /// [`ConsulSetupError`].
    pub(crate) fn open(
        settings: Consul,
        variables: Variables,
        seed: u64,
        empty_after: Duration,
    ) -> Result<Self, ConsulSetupError> {
        let material = Material::read(&settings.agent, variables)?;
        let watch = watch(&settings, &material, seed)?;
        let (verdict, suspect) = (None, false);
        Ok(Self { settings, variables, seed, material, watch, empty_after, verdict, suspect })
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

    /// How long a query waits: while the list is doubted half as long as that lasts, since it is believed only when it is
    /// said again afterwards.
    fn wait(&self) -> Duration {
        let wait = self.settings.wait.duration();
        if self.suspect { wait.min((self.empty_after / 2).max(LEAST_WAIT)) } else { wait }
    }

    fn news(&mut self, event: Event) -> News {
        match event {
            Event::Update(update) => {
                self.suspect = update.instances.is_empty() || update.filtered_by_token;
                let news = listing(&self.settings, update);
                self.verdict = if let News::Failed(error) = &news { Some(error.clone()) } else { None };
                news
            }
            Event::Unchanged => self.verdict.clone().map_or(News::Unchanged, News::Failed),
            Event::Failed(error) => News::Failed(failure(&error)),
        }
    }
}

impl Source for ConsulSource {
    async fn next(&mut self) -> News {
        let event = self.watch.next().await;
        let news = self.news(event);
        if self.suspect || matches!(&news, News::Failed(SourceError { reason: "denied" | "tls", .. })) {
            self.read_again().await;
        }
        self.watch.wait(self.wait());
        news
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
        let (some, more) = unusable.split_at(unusable.len().min(NAMED));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        remarks.push(format!("left out, for want of a port or an address: {}{more}", some.join(", ")));
    }
    if instances.is_empty() && unusable.is_empty() {
        remarks.push(nobody(settings));
    }
    let largest = instances.iter().map(Instance::weight).max().unwrap_or_default();
    let mut endpoints = Vec::with_capacity(instances.len());
    for instance in &instances {
        match instance.address.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255; 4]) => {
                remarks.push(format!(
                    "`{}` is left out: nothing listens at an address such as `{ip}`, register that of its machine",
                    instance.id
                ));
            }
            Ok(ip) => endpoints.push(found(instance, ip, largest)),
            Err(_) if instance.address.split('%').next().is_some_and(|ip| ip.parse::<IpAddr>().is_ok()) => {
                remarks.push(format!(
                    "`{}` is left out: `{}` is known on its own link alone, register an address that others reach",
                    instance.id, instance.address
                ));
            }
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
    fn an_instance_that_nobody_can_reach_is_left_out_and_told_of() {
        let odd = ["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "fe80::1%eth0", "127.0.0.1", "::ffff:10.0.0.1"];
        let told = told(odd.map(|address| instance(address, 1, "")).into());
        assert_eq!((told.endpoints.len(), told.remarks.len()), (2, 5), "{:?}", told.remarks);
        assert!(told.remarks[4].contains("on its own link alone"), "{:?}", told.remarks);
    }

    #[test]
    fn of_thousands_without_a_port_a_few_are_named() {
        let unusable = (0..5000).map(|number| format!("optimizer-{number}").into()).collect();
        let update = Update { instances: Vec::new(), unusable, index: 1, filtered_by_token: false, stale: None };
        let News::Endpoints(told) = listing(&settings(), update) else { panic!("a list") };
        assert!(told.remarks[0].ends_with("optimizer-4 and 4995 more"), "{:?}", told.remarks);
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

    fn source() -> ConsulSource {
        ConsulSource::open(settings(), |_| None, 1, Duration::from_secs(30)).unwrap()
    }

    fn update(instances: Vec<Instance>, filtered_by_token: bool) -> Event {
        Event::Update(Update { instances, unusable: Vec::new(), index: 1, filtered_by_token, stale: None })
    }

    #[test]
    fn a_list_that_the_token_hides_is_a_failure_for_as_long_as_it_is_the_same() {
        let mut source = source();
        let first = source.news(update(Vec::new(), true));
        assert!(matches!(&first, News::Failed(error) if error.reason == "denied"));
        assert_eq!(source.news(Event::Unchanged), first);
        assert!(matches!(source.news(update(vec![instance("10.0.0.1", 1, "")], false)), News::Endpoints(_)));
        assert_eq!(source.news(Event::Unchanged), News::Unchanged);
    }

    #[test]
    fn while_a_list_is_empty_a_query_waits_for_less_than_the_doubt_lasts() {
        let mut source = source();
        assert_eq!(source.wait(), Duration::from_mins(1));
        source.news(update(Vec::new(), false));
        assert_eq!(source.wait(), Duration::from_secs(15));
        source.news(Event::Unchanged);
        assert_eq!(source.wait(), Duration::from_secs(15));
        source.news(update(vec![instance("10.0.0.1", 1, "")], false));
        assert_eq!(source.wait(), Duration::from_mins(1));
    }

    /// The list is empty, and the file then holds another token: the next question is asked with it.
    #[tokio::test]
    async fn a_token_that_was_replaced_while_the_list_is_empty_is_used_without_a_restart() {
        use std::io::{BufRead as _, BufReader, Write as _};

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tokens, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let agent = std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for line in lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                    if let Some((name, token)) = line.split_once(": ")
                        && name.eq_ignore_ascii_case("x-consul-token")
                    {
                        tokens.send(token.to_owned()).unwrap();
                    }
                }
                let head = "HTTP/1.1 200 OK\r\nX-Consul-Index: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(b"[]").unwrap();
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "old").unwrap();
        let mut settings = settings();
        settings.agent.address = format!("http://{address}").into();
        settings.agent.token = TokenFrom::File(path.clone());
        let mut source = ConsulSource::open(settings, |_| None, 1, Duration::from_secs(30)).unwrap();
        std::fs::write(&path, "new").unwrap();
        for expected in ["old", "new"] {
            assert!(matches!(source.next().await, News::Endpoints(_)));
            assert_eq!(seen.recv().await.as_deref(), Some(expected));
        }
        agent.join().unwrap();
    }

    #[test]
    fn a_variable_that_is_configured_must_be_set_and_the_usual_one_need_not() {
        let mut named = settings();
        named.agent.token = TokenFrom::Variable("WEIR_TOKEN".into());
        let open = |settings, variables| ConsulSource::open(settings, variables, 1, Duration::from_secs(30));
        let error = open(named.clone(), |_| None).err().unwrap();
        assert!(error.to_string().contains("`WEIR_TOKEN` is not set"), "{error}");
        assert!(open(named, |_| Some("secret".to_owned())).is_ok());
        assert!(open(settings(), |_| None).is_ok());
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
