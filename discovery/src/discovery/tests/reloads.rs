//! What is believed, published and kept when a configuration takes the place of another.

use tempfile::TempDir;

use super::*;
use crate::control::Reload;

/// A reload to `config`; `meanwhile` happens while it waits for its new sources, which say nothing themselves.
async fn reload(discovery: &mut Discovery, config: &str, meanwhile: impl FnOnce(&mut Discovery)) {
    let config = Arc::new(weir_config::parse("weir.toml", config).unwrap());
    let (answer, answered) = oneshot::channel();
    let reload: Reload = (config, answer);
    discovery.prepare(reload);
    let step = discovery.reloading.next(discovery.clock).await;
    discovery.go_on(step);
    meanwhile(discovery);
    let late = discovery.clock.now().after(Duration::from_hours(1));
    let ready = discovery.reloading.take_ready(late).unwrap();
    discovery.take_over(ready).await;
    answered.await.unwrap().unwrap();
}

/// The configuration with another name to ask Consul for.
fn renamed() -> String {
    CONFIG.replace("consul = { service = \"a\" }", "consul = { service = \"b\" }")
}

fn ports(discovery: &Discovery) -> Vec<u16> {
    discovery.reader().load().pools[0].members().iter().map(|member| member.address.port()).collect()
}

/// The name that the first source of `config` is kept under.
fn kept(config: &str, name: &str) -> Arc<str> {
    kept_as(name, &weir_config::parse("weir.toml", config).unwrap().services[0].sources[0])
}

fn endpoints(ports: &[u16]) -> Vec<Found> {
    ports.iter().map(|&at| Found::new(port(at))).collect()
}

fn cache() -> (TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::start(folder.path().to_owned()).unwrap();
    (folder, cache)
}

/// What is kept of the service once all is written that was to be.
async fn written(folder: &TempDir, cache: &Cache) -> Vec<(Arc<str>, Vec<Found>)> {
    // Written in the order of their names.
    let last = folder.path().join("z.endpoints");
    std::fs::remove_file(&last).ok();
    cache.save("z", Vec::new());
    while !last.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    cache.load("s")
}

#[tokio::test]
async fn what_a_replaced_source_tells_while_the_new_one_is_silent_is_not_undone() {
    let (mut discovery, _told, ids) = scripted(CONFIG, None, Arc::default());
    discovery.hear(ids[0], listing([1, 2]));
    assert!(discovery.publish().await);
    reload(&mut discovery, &renamed(), |discovery| discovery.hear(ids[0], listing([1, 3]))).await;
    assert_eq!(ports(&discovery), [1, 3]);
}

#[tokio::test]
async fn a_list_that_a_new_source_has_told_is_not_overwritten_by_the_one_it_replaces() {
    let (mut discovery, _told, ids) = scripted(CONFIG, None, Arc::default());
    discovery.hear(ids[0], listing([1, 2]));
    let mut numbers = discovery.sources.numbers;
    reload(&mut discovery, &renamed(), |discovery| {
        discovery.hear(numbers.next(), listing([7]));
        discovery.hear(ids[0], listing([1, 3]));
    })
    .await;
    assert_eq!(ports(&discovery), [7]);
}

#[tokio::test]
async fn what_the_replaced_source_said_last_counts_more_than_what_is_kept_on_disk() {
    let (folder, cache) = cache();
    cache.save("s", vec![(kept(&renamed(), "consul b"), endpoints(&[9]))]);
    assert_eq!(written(&folder, &cache).await.len(), 1);
    let (mut discovery, _told, ids) = scripted(CONFIG, None, Arc::default());
    discovery.hear(ids[0], listing([1, 2]));
    discovery.cache = Some(cache.clone());
    reload(&mut discovery, &renamed(), |_| {}).await;
    assert_eq!(ports(&discovery), [1, 2]);
}

#[tokio::test]
async fn what_is_kept_on_disk_counts_when_the_replaced_source_said_nothing() {
    let (folder, cache) = cache();
    cache.save("s", vec![(kept(&renamed(), "consul b"), endpoints(&[9]))]);
    assert_eq!(written(&folder, &cache).await.len(), 1);
    let (mut discovery, _told, _ids) = scripted(CONFIG, Some(cache.clone()), Arc::default());
    reload(&mut discovery, &renamed(), |_| {}).await;
    assert_eq!(ports(&discovery), [9]);
}

#[tokio::test]
async fn a_change_that_a_reload_publishes_is_kept_for_the_next_start() {
    let (folder, cache) = cache();
    let (mut discovery, _told, ids) = scripted(CONFIG, Some(cache.clone()), Arc::default());
    discovery.hear(ids[1], listing([5]));
    discovery.hear(ids[0], listing([1]));
    assert!(discovery.publish().await);
    discovery.hear(ids[0], listing([1, 3]));
    reload(&mut discovery, CONFIG, |_| {}).await;
    assert_eq!(ports(&discovery), [1, 3, 5]);
    assert_eq!(written(&folder, &cache).await[0].1, endpoints(&[1, 3]));
}

#[tokio::test]
async fn what_a_new_source_has_not_said_itself_is_kept_once_it_says_so() {
    let (folder, cache) = cache();
    let (mut discovery, _told, ids) = scripted(CONFIG, None, Arc::default());
    discovery.hear(ids[0], listing([1, 2]));
    discovery.hear(ids[1], listing([5]));
    assert!(discovery.publish().await);
    discovery.cache = Some(cache.clone());
    let mut numbers = discovery.sources.numbers;
    reload(&mut discovery, &renamed(), |_| {}).await;
    assert_eq!(ports(&discovery), [1, 2, 5]);
    let names: Vec<_> = written(&folder, &cache).await.into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().all(|name| name.starts_with("file ")), "{names:?}");
    discovery.hear(numbers.next(), listing([1, 2]));
    let expected = (kept(&renamed(), "consul b"), endpoints(&[1, 2]));
    assert_eq!(written(&folder, &cache).await.first(), Some(&expected));
}

#[tokio::test]
async fn what_is_kept_stays_while_no_source_of_the_service_says_anything() {
    let (folder, cache) = cache();
    let before = vec![("consul z".into(), endpoints(&[9]))];
    cache.save("s", before.clone());
    assert_eq!(written(&folder, &cache).await, before);
    let (mut discovery, _told, _ids) = scripted(CONFIG, Some(cache.clone()), Arc::default());
    reload(&mut discovery, &renamed(), |_| {}).await;
    assert_eq!(written(&folder, &cache).await, before);
}

/// The configuration with another `empty_after`, for which its sources are opened anew.
fn doubting() -> String {
    CONFIG.replace("30s", "60s")
}

#[tokio::test]
async fn what_was_told_is_kept_though_the_source_is_opened_anew_and_silent() {
    let (folder, cache) = cache();
    let (mut discovery, _told, ids) = scripted(CONFIG, Some(cache.clone()), Arc::default());
    discovery.hear(ids[0], listing([1, 2]));
    discovery.hear(ids[1], listing([5]));
    assert!(discovery.publish().await);
    let mut numbers = discovery.sources.numbers;
    // Of the two new ones the second answers before the reload is over.
    reload(&mut discovery, &doubting(), |discovery| {
        numbers.next();
        discovery.hear(numbers.next(), listing([6]));
    })
    .await;
    assert_eq!(ports(&discovery), [1, 2, 6]);
    let expected = (kept(CONFIG, "consul a"), endpoints(&[1, 2]));
    assert_eq!(written(&folder, &cache).await.first(), Some(&expected));
}

#[tokio::test]
async fn what_is_kept_on_disk_stays_though_the_source_is_opened_anew_and_silent() {
    let (folder, cache) = cache();
    cache.save("s", vec![(kept(CONFIG, "consul a"), endpoints(&[9]))]);
    assert_eq!(written(&folder, &cache).await.len(), 1);
    let (mut discovery, _told, _ids) = scripted(CONFIG, Some(cache.clone()), Arc::default());
    reload(&mut discovery, &renamed(), |_| {}).await;
    reload(&mut discovery, CONFIG, |_| {}).await;
    let mut numbers = discovery.sources.numbers;
    reload(&mut discovery, &doubting(), |discovery| {
        numbers.next();
        discovery.hear(numbers.next(), listing([6]));
    })
    .await;
    let expected = (kept(CONFIG, "consul a"), endpoints(&[9]));
    assert_eq!(written(&folder, &cache).await.first(), Some(&expected));
}

#[tokio::test]
async fn sources_that_change_places_keep_what_each_of_them_said() {
    let (first, second) = ("{ service = \"a\" }", "{ service = \"b\", backup = true }");
    let with = |list: String, doubt: &str| {
        let config = CONFIG.replace("consul = { service = \"a\" }", &format!("consul = [{list}]"));
        config.replace("file = { path = \"/nowhere/endpoints.toml\" }\n", "").replace("30s", doubt)
    };
    let config = with(format!("{first}, {second}"), "30s");
    let (mut discovery, _told, ids) = scripted(&config, None, Arc::default());
    discovery.hear(ids[0], listing([1]));
    discovery.hear(ids[1], listing([2]));
    assert!(discovery.publish().await);
    reload(&mut discovery, &with(format!("{second}, {first}"), "60s"), |_| {}).await;
    let snapshot = discovery.reader().load();
    let tiers: Vec<_> = snapshot.pools[0].members().iter().map(|it| (it.address.port(), it.tier)).collect();
    assert_eq!(tiers, [(1, crate::Tier::PRIMARY), (2, crate::Tier::BACKUP)]);
}

#[tokio::test(start_paused = true)]
async fn a_source_whose_files_hang_rejects_its_reload_and_holds_up_no_other() {
    // To open a pipe waits for whoever writes to it, as a disk that hangs waits.
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("token");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let token =
        format!("consul = {{ service = \"a\", ca_file = \"{}\", address = \"https://127.0.0.1:1\" }}", pipe.display());
    let hanging = CONFIG.replace("consul = { service = \"a\" }", &token);
    let discovery = Scripted::start();
    let parse = |text: &str| Arc::new(weir_config::parse("weir.toml", text).unwrap());
    let (control, config) = (discovery.control.clone(), parse(&hanging));
    let reloading = tokio::spawn(async move { control.reload(config).await });
    // Time passes only while no thread is busy, and one is.
    while !reloading.is_finished() {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(matches!(reloading.await.unwrap(), Err(crate::ReloadError::TooSlow { .. })));
    let other = CONFIG.replace("least-connections", "weighted");
    discovery.control.reload(parse(&other)).await.unwrap();
    // Lets the thread go.
    drop(std::fs::OpenOptions::new().write(true).open(&pipe).unwrap());
    discovery.stop().await;
}
