//! Load the driver into the host, wait for a signal, unload it.
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nthost::{Host, LoadFailure, Options, Value};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use wskhttpd::WskHttpd;
use wskhttpd_abi::SERVICE_NAME;

use crate::arguments::{self, Serve};
use crate::report;
use crate::site::{self, LoadedSite};

/// NT path by which the driver opens the site image.
const IMAGE_PATH: &str = "\\??\\site.img";

/// What an unload may take beyond what the parameters allow.
const STOP_SLACK: Duration = Duration::from_secs(10);

/// Serves; true when the driver left nothing behind.
pub(crate) fn run(serve: &Serve) -> Result<bool> {
    let mut registry = arguments::registry(serve)?;
    let LoadedSite { image, name, entries } = site::load(serve.site.as_deref())?;
    let octets = image.len();
    let image_file = serve
        .image
        .as_deref()
        .map(|path| std::fs::read(path).with_context(|| path.display().to_string()));
    let image_file = image_file.transpose()?;
    registry.push(("SiteImage".to_owned(), Value::String(IMAGE_PATH.to_owned())));
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGUSR1]).context("signals cannot be handled")?;
    let options = Options {
        processors: usize::try_from(serve.processors).unwrap_or(1),
        registry,
        files: vec![(IMAGE_PATH.to_owned(), image.into())],
        own_files: true,
        log: serve.verbose,
        trace: serve.trace_events,
        wait_max: Duration::from_millis(setting(serve, "StopMs") + setting(serve, "LingerMs"))
            + STOP_SLACK,
        ..Options::default()
    };
    let (mut host, control) = start(serve.control.as_deref(), &options)?;
    if let Err(status) = load(&mut host, serve.image.as_deref().zip(image_file.as_deref()))? {
        let said = host.log();
        let reason = said.last().map_or("", String::as_str).trim();
        let reason = reason.strip_prefix("wskhttpd: ").unwrap_or(reason).to_owned();
        host.unload();
        match reason.as_str() {
            "" => bail!("the driver did not start: status {status:#010x}"),
            reason => bail!("{reason}"),
        }
    }
    let address = host.listening().first().copied().unwrap_or(serve.listen);
    println!("serving {name} ({entries} paths, {} KiB pinned) at", octets.div_ceil(1024));
    greet(serve, address);
    if let Some(control) = control {
        println!("control: {}", control.display());
    }
    for signal in &mut signals {
        match signal {
            SIGUSR1 => report::print(&host),
            _ => break,
        }
    }
    if serve.report {
        report::print(&host);
    }
    println!("unloading");
    let ledger = host.unload();
    println!("{ledger}");
    Ok(ledger.is_zero())
}

/// Starts the machine, and the socket of its control device. One that nobody asked for is missed by
/// nobody: where it cannot be made, that is said, and all.
fn start(control: Option<&Path>, options: &Options) -> Result<(Host, Option<PathBuf>)> {
    let with = |path: &Path| {
        Host::start(Options { control_socket: Some(path.to_owned()), ..options.clone() })
    };
    let without = || Host::start(options.clone()).context("the host cannot start");
    match control {
        Some(path) if path == "none" => Ok((without()?, None)),
        Some(path) => {
            let host = with(path).with_context(|| format!("--control {}", path.display()))?;
            Ok((host, Some(path.to_owned())))
        }
        None => {
            let path = usual_socket();
            match with(&path) {
                Ok(host) => Ok((host, Some(path))),
                Err(error) => {
                    eprintln!("wskhttpd: warning: no control socket: {}: {error}", path.display());
                    Ok((without()?, None))
                }
            }
        }
    }
}

/// Where tools look for the sockets of running servers.
fn usual_socket() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folder = match runtime.filter(|runtime| runtime.is_absolute() && runtime.is_dir()) {
        Some(runtime) => runtime.join("wskhttpd"),
        None => {
            std::env::temp_dir().join(format!("wskhttpd-{}", rustix::process::getuid().as_raw()))
        }
    };
    folder.join(format!("{}.sock", std::process::id()))
}

/// Loads the driver that is linked in, or the image; the status of an entry that failed.
fn load(host: &mut Host, image: Option<(&Path, &[u8])>) -> Result<std::result::Result<(), i32>> {
    let Some((path, image)) = image else {
        return Ok(host.load(SERVICE_NAME, nt::driver::entry::<WskHttpd>));
    };
    match host.load_image(SERVICE_NAME, image) {
        Ok(()) => Ok(Ok(())),
        Err(LoadFailure::Entry(status)) => Ok(Err(status)),
        Err(LoadFailure::Image(error)) => Err(error).with_context(|| path.display().to_string()),
        Err(LoadFailure::Memory(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// A number as given by `--set`, or its default. Only for values that the driver has accepted or
/// will refuse by itself.
fn setting(serve: &Serve, name: &str) -> u64 {
    let given = serve.set.iter().rev().filter_map(|set| set.split_once('='));
    let value = given.into_iter().find(|(given, _)| *given == name).map(|(_, value)| value);
    let default = wskhttpd::parameters::NUMBERS.iter().find(|number| number.name == name);
    let default = default.map_or(0, |number| u64::from(number.default));
    value.and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Where it is, what the limits are, what to try.
fn greet(serve: &Serve, address: SocketAddr) {
    let url = format!("http://{}/", reachable(address));
    let set = |name| setting(serve, name);
    println!("    {url}");
    println!(
        "limits: {} connections, {} per address, idle {} ms ({} processors; --help lists all)",
        set("MaxConnections"),
        set("MaxConnectionsPerAddress"),
        set("IdleTimeoutMs"),
        serve.processors,
    );
    println!("try:");
    println!("    curl -v {url}");
    println!("    curl -I {url}health");
    println!("    wrk -t2 -c64 -d5s {url}hello.txt");
    println!("Ctrl-C unloads the driver and prints its ledger");
}

/// An address that a client on this machine can use.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
