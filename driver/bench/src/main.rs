//! The driver over a provider in memory: no sockets, no system calls, no other thread.
//!
//! Under `valgrind --tool=callgrind` each row is dumped by its name; the command line says which
//! functions are counted (`cargo xtask perf` does that). On standard output: name, requests, calls
//! into NT and WSK, allocations, sends; each for all requests of the row.
#![allow(non_snake_case)] // exports have their C names
#![allow(unreachable_pub)] // they are public by their symbol
#![allow(clippy::cast_possible_truncation)] // 64-bit machines only

mod callgrind;
mod kernel;
mod lines;
mod provider;
mod rows;

use std::ffi::CString;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use nt_sys::io::DRIVER_OBJECT;
use nt_sys::ntdef::UNICODE_STRING;
use response_cache::build;
use wskhttpd::WskHttpd;

use kernel::Setting;
use provider::{Connection, Octets};
use rows::{Row, Shape};

/// Operations of a row that are counted, and those before them that are not.
const COUNTED: u32 = 256;
const WARM_UP: u32 = 64;
/// Connections that one address may have.
const PER_ADDRESS: u32 = 4;
/// The address that has them.
const CROWDED: u32 = 0x0A00_0001;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word] = &arguments[..]
        && word == "exports"
    {
        println!("{}", kernel::EXPORTS.join(" "));
        return Ok(());
    }
    if let [word, file, rest @ ..] = &arguments[..]
        && word == "pack"
    {
        let paths = rest.first().map_or(Ok(10), |paths| paths.parse())?;
        return Ok(std::fs::write(file, image(paths)?)?);
    }
    let value = |name: &str| {
        arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
    };
    let given = |name: &str| value(name).and_then(|value| value.parse::<u32>().ok());
    let watched = arguments.iter().any(|argument| argument == "lines");
    let processors = if watched { lines::PROCESSORS } else { given("processors").unwrap_or(1) };
    kernel::set_up(Setting {
        numbers: vec![
            ("MaxConnectionsPerAddress", PER_ADDRESS),
            ("ListenPort", 80),
            ("HashSeed", 1),
            // A watcher of every store is slow.
            ("MaxConnections", if watched { 1_024 } else { 262_144 }),
            ("MemoHeads", given("memo").unwrap_or(16)),
        ],
        image: match value("site") {
            Some(file) => std::fs::read(file)?,
            None => image(1_000)?,
        },
        processors,
    });
    start()?;
    if watched {
        return lines::lines();
    }
    for _ in 0..given("connections").unwrap_or(0) {
        Connection::open(next_address()).context("another connection")?;
    }
    let crowd = (0..PER_ADDRESS).map(|_| Connection::open(CROWDED));
    let crowd: Option<Vec<Connection>> = crowd.collect();
    ensure!(crowd.is_some(), "the first connections of an address are accepted");
    kernel::run_on(processors - 1);
    let only = value("only");
    for row in rows::all().iter().filter(|row| only.is_none_or(|only| only == row.name)) {
        measure(row)?;
    }
    Ok(())
}

/// A site of so many paths, one of them a file.
fn image(paths: u32) -> Result<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("wskhttpd-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let image = write_site(&folder, paths);
    std::fs::remove_dir_all(&folder)?;
    image
}

fn write_site(folder: &Path, paths: u32) -> Result<Vec<u8>> {
    std::fs::write(folder.join("hello.txt"), "Hello, world!")?;
    std::fs::write(folder.join(rows::LONG_PATH.trim_start_matches('/')), vec![b'.'; 65_536])?;
    for number in 1..paths {
        // No folder has more than a file system is quick with.
        let part = folder.join((number / 10_000).to_string());
        if number == 1 || number % 10_000 == 0 {
            std::fs::create_dir_all(&part)?;
        }
        std::fs::write(part.join(number.to_string()), number.to_string())?;
    }
    let options = build::Options { modified: Some(784_111_777), ..build::Options::default() };
    Ok(build::build_folder(folder, &options)?.image)
}

/// Calls the driver's entry.
fn start() -> Result<()> {
    let mut path: Vec<u16> = "\\Registry\\bench".encode_utf16().collect();
    let octets = u16::try_from(path.len() * 2)?;
    let mut name =
        UNICODE_STRING { Length: octets, MaximumLength: octets, Buffer: path.as_mut_ptr() };
    let mut object = MaybeUninit::<DRIVER_OBJECT>::zeroed();
    // SAFETY: the object and the name are valid for the call; there is one thread.
    let status = unsafe { nt::driver::entry::<WskHttpd>(object.as_mut_ptr(), &raw mut name) };
    ensure!(status == 0, "the driver's entry returned {status:#x}");
    Ok(())
}

/// Addresses that nobody else has.
fn next_address() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0x0B00_0000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn measure(row: &Row) -> Result<()> {
    let connection = Connection::open(next_address()).context("a connection")?;
    let requests = if let Shape::Indication(requests) = row.shape { requests } else { 1 };
    let half = row.octets.len() / 2;
    let mut parts = match row.shape {
        Shape::Split => vec![Octets::new(&row.octets[..half]), Octets::new(&row.octets[half..])],
        _ => vec![Octets::new(&row.octets)],
    };
    let mut operate = || operation(row, &connection, &mut parts);
    for _ in 0..WARM_UP {
        operate();
    }
    provider::sent();
    let (calls, (_, allocations)) = (kernel::calls(), kernel::pool());
    callgrind::zero();
    for _ in 0..COUNTED {
        operate();
    }
    callgrind::dump(&CString::new(row.name)?);
    let (octets, sends) = provider::sent();
    let status = octets.get(9..12).map_or(0, |code| {
        std::str::from_utf8(code).ok().and_then(|code| code.parse().ok()).unwrap_or(0)
    });
    ensure!(status == row.status, "{}: status {status}, not {}", row.name, row.status);
    let (calls, allocations) = (kernel::calls() - calls, kernel::pool().1 - allocations);
    println!("{} {} {calls} {allocations} {sends}", row.name, COUNTED * requests);
    connection.end();
    Ok(())
}

fn operation(row: &Row, connection: &Connection, parts: &mut [Octets]) {
    match row.shape {
        Shape::Indication(_) | Shape::Split => receive(connection, parts),
        Shape::Life => {
            let connection = Connection::open(0x0A00_0002).expect("accepted");
            receive(&connection, parts);
            connection.end();
        }
        Shape::Refused => assert!(Connection::open(CROWDED).is_none()),
        Shape::Httparse => parse(&row.octets),
    }
}

fn receive(connection: &Connection, parts: &mut [Octets]) {
    for part in parts {
        connection.receive(part);
    }
}

/// httparse alone: what nobody who uses it can be below.
#[inline(never)]
fn parse(octets: &[u8]) {
    let mut storage = [const { MaybeUninit::uninit() }; 64];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(black_box(octets), &mut storage);
    assert!(black_box(parsed).is_ok());
}
