//! The live host beside nginx and the raw bound: CPU per request, in interleaved rounds.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// Rounds; each server has one second per round and load.
const ROUNDS: usize = 11;

/// A load, its arguments for wrk, and the most it may cost beside the raw bound and nginx.
struct Load {
    name: &'static str,
    arguments: &'static [&'static str],
    raw_max: f64,
    nginx_max: f64,
    /// Each connection has one request.
    ends: bool,
}

const LOADS: [Load; 3] = [
    Load { name: "c=64", arguments: &[], raw_max: 1.05, nginx_max: 0.93, ends: false },
    Load {
        name: "pipelined 16",
        arguments: &["-s", "loadtest/wrk/pipeline.lua"],
        raw_max: 1.25,
        nginx_max: 0.09,
        ends: false,
    },
    Load {
        name: "new connections",
        arguments: &["-H", "Connection: close"],
        raw_max: 1.35,
        nginx_max: 0.90,
        ends: true,
    },
];

/// A server that runs; ended when dropped.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) child: Child,
    pub(super) address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // nginx ends its worker on SIGTERM only, wskhttpd unloads on SIGINT; both do on either.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// Measures and prints; false when a row is not met.
pub(super) fn live(root: &Path, target: &Path) -> Result<bool> {
    for tool in ["wrk", "nginx"] {
        if Command::new(tool).arg("-v").output().is_err() {
            println!("skipped: CPU per request ({tool} is not installed)");
            return Ok(true);
        }
    }
    let build = ["build", "--quiet", "--release", "-p", "wskhttpd-serve", "-p", "loadtest"];
    let status = Command::new("cargo").args(build).current_dir(root).status()?;
    ensure!(status.success(), "the servers cannot be built");
    let folder = target.join("perf-live");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("site"))?;
    fs::write(folder.join("site/hello.txt"), "Hello, world!")?;
    let servers = start(target, &folder)?;
    let raw_that_ends = raw(&target.join("release"), true)?;
    let mut met = true;
    for load in &LOADS {
        let mut costs = vec![Vec::new(); servers.len()];
        for round in 0..ROUNDS {
            for turn in 0..servers.len() {
                let at = (turn + round) % servers.len();
                let server = if load.ends && at == 0 { &raw_that_ends } else { &servers[at] };
                costs[at].push(cost(root, server, load)?);
            }
        }
        met &= report(load, &servers, &costs);
    }
    Ok(met)
}

fn start(target: &Path, folder: &Path) -> Result<Vec<Server>> {
    let release = target.join("release");
    let mut servers =
        vec![raw(&release, false)?, nginx(folder)?, host("host", &release, folder, None)?];
    let image = target.join("x86_64-pc-windows-msvc/release/wskhttpd.sys");
    if image.exists() {
        servers.push(host("host with .sys", &release, folder, Some(&image))?);
    } else {
        println!("skipped: the .sys in the host (cargo xtask image builds it)");
    }
    Ok(servers)
}

/// Pinned to the first processor; the load has the second.
fn pinned(processor: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", processor]).arg(program).stdout(Stdio::piped());
    command
}

fn raw(release: &Path, ends: bool) -> Result<Server> {
    let mut command = pinned("0", release.join("loadtest"));
    command.arg("raw").args(ends.then_some("--close"));
    let mut child = command.spawn().context("starting raw")?;
    let address = address(&mut child)?;
    Ok(Server { name: "raw", child, address })
}

fn host(
    name: &'static str,
    release: &Path,
    folder: &Path,
    image: Option<&PathBuf>,
) -> Result<Server> {
    let mut command = pinned("0", release.join("wskhttpd"));
    command.args(["--listen", "127.0.0.1:0", "--processors", "1", "--site"]);
    command.arg(folder.join("site"));
    if let Some(image) = image {
        command.arg("--image").arg(image);
    }
    let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
    let address = address(&mut child)?;
    Ok(Server { name, child, address })
}

fn nginx(folder: &Path) -> Result<Server> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let place = folder.display();
    let configuration = format!(
        "daemon off; master_process off; worker_processes 1; pid {place}/pid;\n\
         error_log {place}/e;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; \
         client_body_temp_path {place}/b; proxy_temp_path {place}/p; \
         fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
         server {{ listen {address}; location / {{ return 200 'Hello, world!'; }} }} }}\n"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut command = pinned("0", "nginx");
    let child = command.arg("-c").arg(&file).stderr(Stdio::null()).spawn()?;
    std::thread::sleep(Duration::from_millis(500));
    Ok(Server { name: "nginx", child, address })
}

/// The first address that the program prints.
pub(super) fn address(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.as_mut().context("its output")?;
    for line in BufReader::with_capacity(1, stdout).lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let word = words.find_map(|word| {
            word.trim_start_matches("http://")
                .split('/')
                .next()
                .filter(|word| word.starts_with("127.0.0.1:"))
        });
        if let Some(word) = word {
            return Ok(word.to_owned());
        }
    }
    bail!("no address")
}

/// CPU nanoseconds per request of one second of load.
#[allow(clippy::cast_precision_loss)] // billions at most
fn cost(root: &Path, server: &Server, load: &Load) -> Result<f64> {
    let before = nanoseconds(server)?;
    let mut command = pinned("1", "wrk");
    command.args(["-t1", "-c64", "-d1s"]).args(load.arguments).current_dir(root);
    let output = command.arg(format!("http://{}/hello.txt", server.address)).output()?;
    let after = nanoseconds(server)?;
    let text = String::from_utf8(output.stdout)?;
    let requests = text.lines().find_map(|line| line.split_once(" requests in "));
    let requests: f64 = requests.context("wrk's requests")?.0.trim().parse()?;
    ensure!(!text.contains("Non-2xx") && requests > 0.0, "{}: {text}", server.name);
    Ok((after - before) as f64 / requests)
}

/// Time that the server's threads were on a processor.
fn nanoseconds(server: &Server) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{}/task", server.child.id()))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split(' ').next().context("schedstat")?.parse::<u64>()?;
    }
    Ok(sum)
}

/// Prints a load's rows; false when one is not met.
fn report(load: &Load, servers: &[Server], costs: &[Vec<f64>]) -> bool {
    println!("{}: CPU ns per request: median (quartiles), beside raw, beside nginx", load.name);
    let medians: Vec<[f64; 3]> = costs.iter().map(|costs| quartiles(costs)).collect();
    let (raw, nginx) = (medians[0][1], medians[1][1]);
    let mut met = true;
    for (server, [low, median, high]) in servers.iter().zip(&medians) {
        let (to_raw, to_nginx) = (median / raw, median / nginx);
        let is_ours = server.name.starts_with("host");
        let is_met = to_raw <= load.raw_max && to_nginx <= load.nginx_max;
        met &= is_met || !is_ours;
        let verdict = match (is_ours, is_met) {
            (false, _) => String::new(),
            (true, true) => "met".to_owned(),
            (true, false) => format!("not met ({}, {})", load.raw_max, load.nginx_max),
        };
        println!(
            "  {:15} {median:8.0} ({low:.0}-{high:.0})  {to_raw:.3}  {to_nginx:.3}  {verdict}",
            server.name
        );
    }
    met
}

fn quartiles(costs: &[f64]) -> [f64; 3] {
    let mut sorted = costs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    [sorted[last / 4], sorted[last / 2], sorted[last - last / 4]]
}
