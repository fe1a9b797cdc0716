//! CPU time of a process and all its children, and how busy a core was.
//!
//! In: a process id, a core. Out: nanoseconds on a CPU, user and kernel together. Cost: one small file per thread.
//! Source: `/proc/PID/task/TID/schedstat` (nanoseconds, the scheduler's own count), where `/proc/PID/stat` has ticks of
//! 10 ms. What the kernel does for a packet in an interrupt is charged to whoever ran, as everywhere in Linux: on
//! loopback that is the sender, so each side pays for what it sends.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use crate::error::BenchError;

/// CPU time so far of a process and its children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Nanoseconds per thread.
    threads: BTreeMap<u32, u64>,
    /// User and kernel time of all processes in ticks, threads that have ended included.
    ticks: u64,
}

impl Spent {
    /// Reads the time that `pid` and its children have spent so far.
    ///
    /// # Errors
    /// [`BenchError::Proc`] when the process is gone.
    pub(crate) fn of(pid: u32) -> Result<Self, BenchError> {
        let mut spent = Self::default();
        for pid in tree(pid)? {
            for tid in entries(&format!("/proc/{pid}/task"))? {
                // A thread may end between the listing and the look; its time is in the ticks.
                if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")) {
                    let nanos = text.split(' ').next().and_then(|field| field.parse().ok());
                    spent.threads.insert(tid, nanos.unwrap_or_default());
                }
            }
            spent.ticks += ticks(pid)?;
        }
        Ok(spent)
    }

    /// What was spent between `earlier` and this. Should a thread have ended in between, schedstat no longer shows its
    /// time; then the ticks of the process count, when they are more.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let before = |tid| earlier.threads.get(tid).copied().unwrap_or(0);
        let nanos = self.threads.iter().map(|(tid, nanos)| nanos.saturating_sub(before(tid))).sum();
        let lost = earlier.threads.keys().any(|tid| !self.threads.contains_key(tid));
        let coarse = tick() * u32::try_from(self.ticks.saturating_sub(earlier.ticks)).unwrap_or(u32::MAX);
        let fine = Duration::from_nanos(nanos);
        if lost { fine.max(coarse) } else { fine }
    }
}

/// CPU time so far of the thread that this process began with: all of the load and the endpoint, since both run there.
///
/// # Errors
/// [`BenchError::ProcForm`] when the kernel keeps no such count.
pub(crate) fn own() -> Result<Duration, BenchError> {
    let path = "/proc/self/schedstat";
    let nanos = read(path)?.split(' ').next().and_then(|field| field.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| BenchError::ProcForm { path: path.to_owned() })
}

/// `pid` and all its descendants.
///
/// # Errors
/// [`BenchError::Proc`] when the process is gone.
pub(crate) fn tree(pid: u32) -> Result<Vec<u32>, BenchError> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        next += 1;
        for tid in entries(&format!("/proc/{pid}/task"))? {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    Ok(found)
}

/// Resident memory of `pid` and its children, in bytes. Pages that they share count once each.
///
/// # Errors
/// [`BenchError::Proc`] when the process is gone.
pub(crate) fn resident(pid: u32) -> Result<u64, BenchError> {
    let mut bytes = 0;
    for pid in tree(pid)? {
        let path = format!("/proc/{pid}/status");
        let status = read(&path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        bytes += kib.ok_or(BenchError::ProcForm { path })? * 1024;
    }
    Ok(bytes)
}

/// How long core `core` has been doing anything at all since the system began, time stolen by the hypervisor included.
///
/// # Errors
/// [`BenchError::ProcForm`] when there is no such core.
pub(crate) fn busy(core: usize) -> Result<Duration, BenchError> {
    let stat = read("/proc/stat")?;
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name));
    let line = line.ok_or_else(|| BenchError::ProcForm { path: "/proc/stat".to_owned() })?;
    // user nice system IDLE IOWAIT irq softirq steal, then guest times that are part of user.
    let fields = line.split(' ').take(8).enumerate().filter(|(place, _)| !matches!(place, 3 | 4));
    let ticks: u64 = fields.filter_map(|(_, field)| field.parse::<u64>().ok()).sum();
    Ok(tick() * u32::try_from(ticks).unwrap_or(u32::MAX))
}

/// How long all cores together were somebody else's while they had something to do, since the system began: what a hypervisor
/// took. `None` where the kernel keeps no such count.
pub(crate) fn stolen() -> Option<Duration> {
    let text = read("/proc/stat").ok()?;
    // cpu, user, nice, system, idle, iowait, irq, softirq, steal
    let ticks: u32 = text.lines().next()?.split_whitespace().nth(8)?.parse().ok()?;
    Some(tick() * ticks)
}

fn tick() -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_nanos(1_000_000_000 / per_second)
}

/// `utime` and `stime` of one process. The name may hold blanks, so counting starts behind its parenthesis.
fn ticks(pid: u32) -> Result<u64, BenchError> {
    let path = format!("/proc/{pid}/stat");
    let text = read(&path)?;
    let fields = text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
    let sum = fields.and_then(|mut fields| fields.try_fold(0, |sum, field| Some(sum + field.parse::<u64>().ok()?)));
    sum.ok_or(BenchError::ProcForm { path })
}

fn entries(path: &str) -> Result<Vec<u32>, BenchError> {
    let folder = fs::read_dir(path).map_err(|source| BenchError::Proc { path: path.to_owned(), source })?;
    Ok(folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn read(path: &str) -> Result<String, BenchError> {
    fs::read_to_string(path).map_err(|source| BenchError::Proc { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(threads: &[(u32, u64)], ticks: u64) -> Spent {
        Spent { threads: threads.iter().copied().collect(), ticks }
    }

    #[test]
    fn time_is_summed_over_old_and_new_threads() {
        let (before, after) = (spent(&[(1, 1_000)], 5), spent(&[(1, 1_500), (2, 700)], 9));
        assert_eq!(after.since(&before), Duration::from_nanos(1_200));
    }

    #[test]
    fn a_thread_that_has_ended_is_counted_by_the_ticks_of_its_process() {
        let (before, after) = (spent(&[(1, 1_000), (2, 10)], 5), spent(&[(1, 1_500)], 9));
        assert_eq!(after.since(&before), tick() * 4);
    }

    #[test]
    fn this_process_spends_time_and_holds_memory() {
        let pid = std::process::id();
        let before = Spent::of(pid).unwrap();
        let mut sum = 0_u64;
        let after = loop {
            sum = std::hint::black_box((0..100_000_u64).fold(sum, u64::wrapping_add));
            let now = Spent::of(pid).unwrap();
            if now != before {
                break now;
            }
        };
        assert!(after.since(&before) > Duration::ZERO);
        assert!(resident(pid).unwrap() > 0);
        assert!(busy(0).unwrap() > Duration::ZERO);
    }
}
