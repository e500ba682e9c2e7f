//! Processor time of a process and of all below it.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// Time on a processor so far of `pid`, its children and theirs; `None` when it is gone.
///
/// The system counts threads in nanoseconds, but forgets one that has ended; it counts the whole
/// process in hundredths of a second. Both are too low, so the higher one is taken.
pub fn time_used(pid: u32) -> Option<Duration> {
    let ticks_per_s = rustix::param::clock_ticks_per_second();
    let parents = parents();
    let mut family = vec![pid];
    let mut sum = Duration::ZERO;
    let mut index = 0;
    while let Some(&member) = family.get(index) {
        index += 1;
        family.extend(parents.iter().filter(|(_, parent)| **parent == member).map(|(pid, _)| *pid));
        let Some(stat) = Stat::read(member) else {
            if member == pid {
                return None;
            }
            continue;
        };
        let of_ticks =
            |ticks: u64| Duration::from_secs(ticks) / u32::try_from(ticks_per_s).unwrap_or(100);
        sum += of_ticks(stat.ticks).max(threads(member)) + of_ticks(stat.ticks_of_ended_children);
    }
    Some(sum)
}

/// The parent of each process.
fn parents() -> HashMap<u32, u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, Stat::read(pid)?.parent))).collect()
}

/// What the threads of a process have used that have not ended.
fn threads(pid: u32) -> Duration {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let times = entries.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    });
    times.map(Duration::from_nanos).sum()
}

/// Of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stat {
    parent: u32,
    ticks: u64,
    ticks_of_ended_children: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name, in parentheses, may have spaces and parentheses of its own.
        let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            ticks: number(11)? + number(12)?,
            ticks_of_ended_children: number(13)? + number(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_line_of_the_system_is_read() {
        let text = "7 (a) b) S 3 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 6 7";
        let stat = Stat { parent: 3, ticks: 33, ticks_of_ended_children: 77 };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (a"), None);
    }

    #[test]
    fn work_of_a_child_counts_and_a_process_that_is_gone_has_none() {
        // A shell that only waits, and a child of it that works.
        let script = "i=0; while [ $i -lt 100000000 ]; do i=$((i+1)); done";
        let mut shell = Command::new("sh");
        let mut shell = shell.args(["-c", &format!("sh -c '{script}'; true")]).spawn().expect("sh");
        let until = std::time::Instant::now() + Duration::from_secs(20);
        let is_enough = || time_used(shell.id()).is_some_and(|used| used.as_millis() >= 100);
        while !is_enough() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        let is_counted = is_enough();
        let children = parents().into_iter().filter(|(_, parent)| *parent == shell.id());
        for (child, _) in children.collect::<Vec<_>>() {
            let killed = Command::new("kill").args(["-9", &child.to_string()]).status();
            assert!(killed.is_ok());
        }
        let id = shell.id();
        shell.wait().expect("its end");
        assert!(is_counted);
        assert_eq!(time_used(id), None);
    }
}
