//! What an update costs off the request path. `cargo bench -p weir-discovery --bench assemble`.

use std::sync::Arc;

use divan::{Bencher, black_box};
use weir_config::Config;
use weir_discovery::{Found, Lives, Overrides, assemble};
use weir_snapshot::Clock;

fn main() {
    divan::main();
}

fn config(policy: &str) -> Config {
    let text = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n[[service]]\nname = \"s\"\n{policy}\n\
         consul = {{ service = \"s\" }}\n"
    );
    weir_config::parse("weir.toml", &text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn found(from: u32, count: u32) -> Arc<[Found]> {
    let address = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        ([10, a, b, c], 3001).into()
    };
    (from..from + count).map(|number| Found::new(address(number))).collect()
}

/// One of so many endpoints leaves and another one comes, over and over.
fn update(bencher: Bencher<'_, '_>, policy: &str, count: u32) {
    let config = config(policy);
    let (mut lives, clock) = (Lives::new(), Clock::start());
    // The snapshot before is held, as the publisher holds it.
    let mut last = assemble(&config, &[found(0, count)], &Overrides::default(), &mut lives, clock);
    let mut from = 0;
    bencher.bench_local(|| {
        from = 1 - from;
        last = assemble(&config, &[found(from, count)], &Overrides::default(), &mut lives, clock);
        black_box(last.is_ok())
    });
}

#[divan::bench(args = [100, 5000])]
fn least_connections(bencher: Bencher<'_, '_>, count: u32) {
    update(bencher, "policy = \"least-connections\"", count);
}

#[divan::bench(args = [100, 5000])]
fn weighted(bencher: Bencher<'_, '_>, count: u32) {
    update(bencher, "policy = \"weighted\"", count);
}

#[divan::bench(args = [100, 5000])]
fn ring(bencher: Bencher<'_, '_>, count: u32) {
    update(bencher, "policy = \"consistent-hash\"\nhash = { key = \"path\" }", count);
}

/// One of so many services changes, over and over: what a reload of it costs beside reading the file.
#[divan::bench(args = [100, 2000])]
fn one_of_many_services(bencher: Bencher<'_, '_>, count: u32) {
    let service = |number: u32| {
        format!(
            "[[route]]\nhost = \"h{number}.example\"\nservice = \"s{number}\"\n[[service]]\nname = \"s{number}\"\n\
             policy = \"least-connections\"\nconsul = {{ service = \"s\" }}\n"
        )
    };
    let text: String = (0..count).map(service).collect();
    let text = format!("[[listener]]\naddress = \"127.0.0.1:0\"\n{text}");
    let config = weir_config::parse("weir.toml", &text).unwrap_or_else(|problems| panic!("{problems}"));
    let (mut lives, clock, none) = (Lives::new(), Clock::start(), Overrides::default());
    let mut all: Vec<_> = (0..count).map(|number| found(number * 10, 10)).collect();
    let mut last = assemble(&config, &all, &none, &mut lives, clock);
    let mut from = 0;
    bencher.bench_local(|| {
        from = 1 - from;
        all[0] = found(from, 10);
        last = assemble(&config, &all, &none, &mut lives, clock);
        black_box(last.is_ok())
    });
}
