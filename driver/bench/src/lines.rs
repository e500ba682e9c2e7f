//! Two processors that answer in turn, for a watcher of every store (`cargo xtask perf --lines`).
//!
//! On standard output: `mark P ADDRESS`, the word that is stored to when processor P begins a turn,
//! `rest ADDRESS`, that of a turn's end, and `block ADDRESS OCTETS TAG` for what the driver has
//! allocated. Numbers are decimal.
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};

use crate::kernel;
use crate::next_address;
use crate::provider::{Connection, Octets};
use crate::rows::{LONG_PATH, WRK};

/// Processors, and connections of each: neighbours have slots side by side.
pub const PROCESSORS: u32 = 2;
const CONNECTIONS: u32 = 4;
/// Turns of each connection before those that are watched, and of those.
const WARM_UP: u32 = 6;
const WATCHED: u32 = 20;

static MARKS: [AtomicU64; PROCESSORS as usize] = [const { AtomicU64::new(0) }; _];
static REST: AtomicU64 = AtomicU64::new(0);

/// What each connection sends in a turn: a head that comes whole, one that comes in two, one with
/// content, and one whose answer is too long to be copied.
fn requests() -> Vec<Octets> {
    let (first, second) = WRK.split_at(WRK.len() / 2);
    let content = WRK.replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nok");
    let long = WRK.replace("/hello.txt", LONG_PATH);
    [WRK, first, second, &content, &long].map(|octets| Octets::new(octets.as_bytes())).into()
}

fn ask(connection: &Connection, requests: &mut [Octets]) {
    for octets in requests {
        connection.receive(octets);
    }
}

/// Runs them.
pub fn lines() -> Result<()> {
    let mut connections = Vec::new();
    for number in 0..PROCESSORS * CONNECTIONS {
        let connection = Connection::open(next_address()).context("a connection")?;
        connections.push((number % PROCESSORS, connection));
    }
    let mut requests = requests();
    for _ in 0..WARM_UP {
        for (processor, connection) in &connections {
            kernel::run_on(*processor);
            ask(connection, &mut requests);
        }
    }
    for (processor, mark) in MARKS.iter().enumerate() {
        println!("mark {processor} {}", mark.as_ptr().addr());
    }
    println!("rest {}", REST.as_ptr().addr());
    for (address, size, tag) in kernel::blocks() {
        println!("block {address} {size} {tag}");
    }
    for turn in 0..WATCHED {
        for (processor, connection) in &connections {
            kernel::run_on(*processor);
            MARKS[*processor as usize].store(turn.into(), Ordering::SeqCst);
            ask(connection, &mut requests);
            REST.store(turn.into(), Ordering::SeqCst);
        }
    }
    Ok(())
}
