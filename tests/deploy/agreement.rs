//! Ports, paths and times that several files have to agree on.

use std::collections::BTreeSet;

use weir_config::Config;
use yaml_rust2::Yaml;

use crate::files::{at, below, ending, get, number, one, text, word, words, yaml};

const FILES: [&str; 3] = ["deploy/compose/weir/weir.toml", "deploy/kubernetes/weir.toml", "deploy/systemd/weir.toml"];

#[track_caller]
fn config(path: &str) -> Config {
    weir_config::parse(path, &text(path)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// From the signal to the last moment that weir takes for its end, in seconds.
fn last_moment(config: &Config) -> u64 {
    let server = &config.server;
    server.shutdown_delay.duration().as_secs() + server.shutdown_deadline.duration().as_secs()
}

/// The document of this kind and name.
#[track_caller]
fn object(path: &str, kind: &str, name: &str) -> Yaml {
    let found = yaml(path).into_iter().find(|it| word(it, "kind") == kind && word(it, "metadata.name") == name);
    found.unwrap_or_else(|| panic!("{path} has no {kind} {name}"))
}

/// `EXPOSE` of a stage of the Dockerfile.
fn exposed(stage: &str) -> BTreeSet<u16> {
    let file = text("deploy/docker/Dockerfile");
    let stage =
        file.split("\nFROM ").find(|part| part.lines().next().unwrap().ends_with(&format!(" AS {stage}"))).unwrap();
    let line = stage.lines().find_map(|line| line.strip_prefix("EXPOSE ")).unwrap();
    line.split_whitespace().map(|port| port.parse().unwrap()).collect()
}

#[test]
fn every_configuration_in_deploy_is_one_of_those_that_are_held_against_the_rest() {
    let files = below("deploy");
    assert_eq!(ending(&files, &[".toml"]), FILES);
}

#[test]
fn weir_listens_where_its_image_its_pod_and_its_composition_say() {
    for file in FILES {
        let config = config(file);
        let ports = BTreeSet::from([config.listeners[0].address.port(), config.admin.listen.port()]);
        assert_eq!(ports, exposed("weir"), "{file}");
    }
    for file in [FILES[0], FILES[1]] {
        let config = config(file);
        assert!(
            config.listeners[0].address.ip().is_unspecified() && config.admin.listen.ip().is_unspecified(),
            "{file}"
        );
    }
    let pod = object("deploy/kubernetes/weir.yaml", "Deployment", "weir");
    let container = get(&pod, "spec.template.spec.containers.0");
    let ports = get(container, "ports").as_vec().unwrap();
    let ports: BTreeSet<u16> = ports.iter().map(|port| u16::try_from(number(port, "containerPort")).unwrap()).collect();
    assert_eq!(ports, exposed("weir"));
    assert_eq!(word(container, "readinessProbe.httpGet.path"), "/readyz");
    assert_eq!(word(container, "livenessProbe.httpGet.path"), "/healthz");
    let admin = config(FILES[1]).admin.listen.port().to_string();
    let annotations = get(&pod, "spec.template.metadata.annotations");
    assert_eq!(annotations["prometheus.io/port"].as_str(), Some(&*admin));

    let compose = one("deploy/compose/compose.yaml");
    assert_eq!(words(&compose, "services.weir.ports"), ["8080:8080", "127.0.0.1:9090:9090"]);
    assert!(text("deploy/docker/Dockerfile").contains("[\"healthcheck\", \"9090\", \"/healthz\"]"));
    for (file, target) in [("prometheus", "127.0.0.1:9090"), ("compose", "weir:9090")] {
        let prometheus = one(&format!("deploy/prometheus/{file}.yml"));
        assert_eq!(word(&prometheus, "scrape_configs.0.static_configs.0.targets.0"), target);
        assert_eq!(word(&prometheus, "scrape_configs.0.job_name"), "weir");
    }
}

#[test]
fn weir_looks_for_optimizers_where_they_listen() {
    assert_eq!(exposed("optimizer"), BTreeSet::from([3001]));
    assert!(text("deploy/docker/Dockerfile").contains("[\"healthcheck\", \"3001\", \"/healthz\"]"));
    let compose = one("deploy/compose/compose.yaml");
    let command = word(&compose, "services.optimizer.command.0");
    for flag in ["--listen 0.0.0.0:3001", "--consul http://consul:8500", "--service optimizer", "$$(hostname -i)"] {
        assert!(command.contains(flag), "{flag}: {command}");
    }
    let wanted = "consul = { address = \"http://consul:8500\", service = \"optimizer\" }";
    assert!(text(FILES[0]).contains(wanted));

    let service = object("deploy/kubernetes/optimizer.yaml", "Service", "optimizer");
    assert_eq!((word(&service, "spec.clusterIP"), number(&service, "spec.ports.0.port")), ("None", 3001));
    let namespace = one("deploy/kubernetes/kustomization.yaml");
    let name = format!("name = \"optimizer.{}.svc.cluster.local.\", port = 3001", word(&namespace, "namespace"));
    assert!(text(FILES[1]).contains(&name), "{name}");
    let pod = object("deploy/kubernetes/optimizer.yaml", "Deployment", "optimizer");
    let flags = words(&pod, "spec.template.spec.containers.0.args").join(" ");
    assert!(flags.contains("--listen 0.0.0.0:3001"), "{flags}");
    let workers = flags.split_once("--workers ").unwrap().1.split(' ').next().unwrap();
    assert!(text(FILES[1]).contains(&format!("capacity = {workers}")), "the queue's capacity is the workers");
    assert_eq!(config(FILES[2]).services[0].endpoints[0].address.port(), 3001);
    assert!(text("deploy/systemd/weir-optimizer.service").contains("--listen 127.0.0.1:3001"));
}

#[test]
fn whoever_stops_weir_or_an_optimizer_waits_until_it_has_drained() {
    let grace = |path: &str, name: &str| {
        number(&object(path, "Deployment", name), "spec.template.spec.terminationGracePeriodSeconds")
    };
    let compose = one("deploy/compose/compose.yaml");
    let seconds = |text: &str| text.trim_end_matches('s').parse::<u64>().unwrap();
    let unit = |file: &str| {
        let unit = text(file);
        seconds(unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap())
    };
    assert!(seconds(word(&compose, "services.weir.stop_grace_period")) > last_moment(&config(FILES[0])));
    assert!(grace("deploy/kubernetes/weir.yaml", "weir") > last_moment(&config(FILES[1])));
    assert!(unit("deploy/systemd/weir.service") > last_moment(&config(FILES[2])));

    let pod = object("deploy/kubernetes/optimizer.yaml", "Deployment", "optimizer");
    let flags = words(&pod, "spec.template.spec.containers.0.args");
    let after = |flag: &str| seconds(flags[flags.iter().position(|word| *word == flag).unwrap() + 1]);
    let needed = after("--shutdown-delay") + after("--shutdown-deadline");
    assert!(grace("deploy/kubernetes/optimizer.yaml", "optimizer") > needed);
    // The default deadline, and two seconds after deregistering.
    assert!(seconds(word(&compose, "services.optimizer.stop_grace_period")) > 32);
    assert!(unit("deploy/systemd/weir-optimizer.service") > 32);
}

#[test]
fn what_a_configuration_names_is_where_it_is_mounted() {
    let compose = one("deploy/compose/compose.yaml");
    let mounts = words(&compose, "services.weir.volumes");
    assert_eq!(mounts, ["./weir:/etc/weir:ro", "token:/run/weir:ro", "cache:/var/lib/weir"]);
    assert!(at("deploy/compose/weir/weir.toml").is_file());
    let of_compose = text(FILES[0]);
    assert!(of_compose.contains("\"/run/weir/token\"") && of_compose.contains("\"/var/lib/weir\""));
    assert!(word(&compose, "services.token.command.0").contains("> /run/weir/token"));
    for mount in words(&compose, "services.grafana.volumes") {
        let from = mount.split(':').next().unwrap();
        assert!(at("deploy/compose").join(from).exists(), "{from}");
    }

    let pod = object("deploy/kubernetes/weir.yaml", "Deployment", "weir");
    let spec = get(&pod, "spec.template.spec");
    let paths: Vec<&str> =
        get(spec, "containers.0.volumeMounts").as_vec().unwrap().iter().map(|it| word(it, "mountPath")).collect();
    assert_eq!(paths, ["/etc/weir", "/etc/weir-admin"]);
    assert!(text(FILES[1]).contains("\"/etc/weir-admin/token\""));
    let started = "/etc/weir/weir.toml";
    assert!(words(spec, "containers.0.args").contains(&started));
    assert!(text("deploy/docker/Dockerfile").contains(&format!("CMD [\"run\", \"{started}\"]")));
    let kustomization = one("deploy/kubernetes/kustomization.yaml");
    assert_eq!(words(&kustomization, "configMapGenerator.0.files"), ["weir.toml"]);
    for resource in words(&kustomization, "resources") {
        assert!(at("deploy/kubernetes").join(resource).is_file(), "{resource}");
    }

    let unit = text("deploy/systemd/weir.service");
    assert!(unit.contains(&format!("weir run {started}")) && unit.contains(&format!("weir check {started}")));
    assert!(unit.contains("LogsDirectory=weir\n") && unit.contains("StateDirectory=weir\n"));
    let of_systemd = text(FILES[2]);
    assert!(of_systemd.contains("\"/var/log/weir/access.log\"") && of_systemd.contains("\"/var/lib/weir\""));
    assert!(text("deploy/logrotate/weir").contains("\n/var/log/weir/access.log {"));
}

#[test]
fn nothing_runs_as_root_or_writes_where_it_need_not() {
    for (file, name) in [("deploy/kubernetes/weir.yaml", "weir"), ("deploy/kubernetes/optimizer.yaml", "optimizer")] {
        let pod = object(file, "Deployment", name);
        let spec = get(&pod, "spec.template.spec");
        assert_eq!(get(spec, "securityContext.runAsNonRoot").as_bool(), Some(true), "{name}");
        assert_eq!(number(spec, "securityContext.runAsUser"), 10001, "{name}");
        let container = get(spec, "containers.0.securityContext");
        assert_eq!(get(container, "readOnlyRootFilesystem").as_bool(), Some(true), "{name}");
        assert_eq!(get(container, "allowPrivilegeEscalation").as_bool(), Some(false), "{name}");
        assert_eq!(words(container, "capabilities.drop"), ["ALL"], "{name}");
        let labels = get(&pod, "spec.template.metadata.labels");
        assert_eq!(get(&pod, "spec.selector.matchLabels"), labels, "{name}");
        for kind in ["Service", "PodDisruptionBudget"] {
            let object = object(file, kind, name);
            let selector = if kind == "Service" { "spec.selector" } else { "spec.selector.matchLabels" };
            assert_eq!(get(&object, selector), labels, "{kind} {name}");
        }
    }
    assert!(text("deploy/docker/Dockerfile").contains("USER 10001:10001"));
}
