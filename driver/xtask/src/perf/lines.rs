//! Which cache lines of the driver's memory each processor writes when it answers, by watching
//! every store (valgrind's lackey): no line may be written by two.
//!
//! Looked at is what the driver has allocated from pool, in which it keeps all that it changes:
//! not stacks, and not the memory of the provider that stands in for NT and WSK.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::build;

/// Octets of a cache line.
const LINE: usize = 64;

/// Runs, prints, and returns false where two processors write one line.
pub(super) fn lines(root: &Path, target: &Path) -> Result<bool> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: cache lines (valgrind is not installed)");
        return Ok(true);
    }
    let program = build(root, target)?;
    let folder = target.join("perf-lines");
    fs::create_dir_all(&folder)?;
    let site = folder.join("site.img");
    let status = Command::new(&program).arg("pack").arg(&site).status()?;
    ensure!(status.success(), "the site cannot be packed");
    let mut is_apart = true;
    for memo in ["memo=0", "memo=16"] {
        let mut child = Command::new("valgrind")
            .args(["--tool=lackey", "--trace-mem=yes"])
            .arg(&program)
            .args([format!("site={}", site.display()), memo.to_owned(), "lines".to_owned()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stores = stores(BufReader::new(child.stderr.take().context("its errors")?))?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "wskhttpd-bench has failed under valgrind");
        let turns = Turns::of(&String::from_utf8(output.stdout)?)?;
        is_apart &= report(memo, &turns, &turns.written(&stores));
    }
    Ok(is_apart)
}

/// Prints what was written; false where two processors write one line.
fn report(memo: &str, turns: &Turns, written: &Written) -> bool {
    let own = |processor: usize| written.values().filter(|by| by.contains(&processor)).count();
    let counts: Vec<String> = (0..turns.marks.len()).map(|at| own(at).to_string()).collect();
    let shared: Vec<_> = written.iter().filter(|(_, by)| by.len() > 1).collect();
    println!("{memo}: lines written by each processor: {}", counts.join(", "));
    for ((line, block), by) in &shared {
        let (from, octets, tag) = &turns.blocks[*block];
        let at = line.saturating_sub(*from);
        println!("{memo}: {by:?} write octets {at}... of the {octets} of a block {tag}");
    }
    // Each has its own at least: the counters, the desk, a connection, a send.
    let has_own = (0..turns.marks.len()).all(|processor| own(processor) >= 4);
    if !has_own {
        println!("{memo}: the stores were not seen");
    }
    shared.is_empty() && has_own
}

/// Address and octets of every store, in order.
fn stores(trace: impl std::io::BufRead) -> Result<Vec<(usize, usize)>> {
    let mut stores = Vec::new();
    for line in trace.lines() {
        stores.extend(store(&line?));
    }
    Ok(stores)
}

/// A line of lackey's: ` S ADDRESS,OCTETS`, or M for what is read and written.
fn store(line: &str) -> Option<(usize, usize)> {
    let rest = line.strip_prefix(" S ").or_else(|| line.strip_prefix(" M "))?;
    let (address, octets) = rest.split_once(',')?;
    Some((usize::from_str_radix(address, 16).ok()?, octets.parse().ok()?))
}

/// Lines by their first octet, each with the block it is written in, and who writes it.
type Written = BTreeMap<(usize, usize), BTreeSet<usize>>;

/// What the program says of itself.
#[derive(Debug, Default)]
struct Turns {
    /// Words that are stored to when a processor begins a turn.
    marks: Vec<usize>,
    /// The word of a turn's end.
    rest: usize,
    /// Address, octets and tag, by address.
    blocks: Vec<(usize, usize, String)>,
}

impl Turns {
    fn of(text: &str) -> Result<Turns> {
        let mut turns = Turns::default();
        for line in text.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["mark", _, address] => turns.marks.push(address.parse()?),
                ["rest", address] => turns.rest = address.parse()?,
                ["block", address, octets, ref tag @ ..] => {
                    turns.blocks.push((address.parse()?, octets.parse()?, tag.join(" ")));
                }
                _ => {}
            }
        }
        ensure!(turns.marks.len() > 1 && turns.rest != 0, "no marks are told");
        turns.blocks.sort();
        Ok(turns)
    }

    fn block_of(&self, address: usize) -> Option<usize> {
        let at = self.blocks.partition_point(|(from, ..)| *from <= address).checked_sub(1)?;
        let (from, octets, _) = self.blocks.get(at)?;
        (address < from + octets).then_some(at)
    }

    /// Of the stores in turns, those into blocks.
    fn written(&self, stores: &[(usize, usize)]) -> Written {
        let mut written = Written::new();
        let mut running = None;
        for (address, octets) in stores {
            if let Some(processor) = self.marks.iter().position(|mark| mark == address) {
                running = Some(processor);
            } else if *address == self.rest {
                running = None;
            }
            let (Some(processor), Some(block)) = (running, self.block_of(*address)) else {
                continue;
            };
            for line in address / LINE..=(address + octets - 1) / LINE {
                written.entry((line * LINE, block)).or_default().insert(processor);
            }
        }
        // A line may be of two blocks, and is one line nevertheless.
        let mut lines: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for ((line, _), by) in &written {
            lines.entry(*line).or_default().extend(by);
        }
        for ((line, _), by) in &mut written {
            by.clone_from(&lines[line]);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "wskhttpd: a line of the log\nmark 0 1000\nmark 1 1008\nrest 1016\n\
        block 4096 128 WhCn\nblock 8192 64 list\n";

    fn written(trace: &str) -> (Turns, Written) {
        let turns = Turns::of(TOLD).unwrap();
        let stores = stores(trace.as_bytes()).unwrap();
        let written = turns.written(&stores);
        (turns, written)
    }

    #[test]
    fn a_line_that_two_write_is_seen_and_what_is_outside_of_turns_is_not() {
        // 1000 is 3e8, 1008 is 3f0, 1016 is 3f8; 4096 is 1000, 8192 is 2000.
        let apart = "I  04001000,3\n S 1000,8\n S 03e8,8\n S 1000,8\n L 1040,8\n S 7f00,8\n\
            \x20S 03f8,8\n M 1040,8\n S 03f0,8\n S 1040,1\n S 2000,8\n S 03f8,8\n";
        let (_, seen) = written(apart);
        assert_eq!(seen.len(), 3);
        assert!(seen.values().all(|by| by.len() == 1), "{seen:?}");
        let shared = apart.replace("S 1040,1", "S 1038,16");
        let (turns, seen) = written(&shared);
        assert_eq!(seen[&(4096, 0)], BTreeSet::from([0, 1]));
        assert!(!report("", &turns, &seen));
    }

    #[test]
    fn what_lackey_writes_is_understood() {
        assert_eq!(store(" S 1ffeffe7c0,8"), Some((0x1f_feff_e7c0, 8)));
        assert_eq!(store(" M 0421c7cc,4"), Some((0x0421_c7cc, 4)));
        for other in ["I  04016a30,3", " L 1ffeffe7c0,8", "==12== Lackey", " S x,8", ""] {
            assert_eq!(store(other), None, "{other}");
        }
    }
}
