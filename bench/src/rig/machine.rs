//! The machine that a measurement was made on, and what else runs there.

use std::fs;

use serde::Serialize;

/// What a reader of the numbers needs to know about the machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    /// Cores that the system sees.
    pub(crate) cores: usize,
    /// The processor's name, as far as the system tells.
    pub(crate) processor: String,
    /// Kernel version.
    pub(crate) kernel: String,
    /// How TCP paces itself; `bbr` sets timers even on loopback, which costs every proxy a fifth of a large transfer.
    pub(crate) congestion: String,
    /// Load average of the last minute before the run; each busy process of somebody else adds one.
    pub(crate) load: f64,
}

impl Machine {
    /// This machine, now.
    pub(crate) fn here() -> Self {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field =
            |line: &str| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned());
        let word = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            cores: cpus.lines().filter(|line| line.starts_with("processor")).count(),
            processor: cpus.lines().find_map(field).unwrap_or_default(),
            kernel: word("/proc/sys/kernel/osrelease").trim().to_owned(),
            congestion: word("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned(),
            load: word("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
        }
    }
}

/// Proxies and benchmarks that run already, as `name (process id)`: perhaps left over from a run that was killed. They
/// are not touched, for they may be somebody's.
pub(crate) fn left_over() -> Vec<String> {
    let Ok(all) = fs::read_dir("/proc") else { return Vec::new() };
    let ours = std::process::id();
    let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let others = pids.filter(|pid| *pid != ours);
    let named = others.filter_map(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        let name = name.trim();
        ["weir", "nginx", "haproxy", "envoy", "weir-bench"].contains(&name).then(|| format!("{name} ({pid})"))
    });
    named.collect()
}
