//! A machine for tests: the driver in the host, a small site, and a client that counts octets.
//!
//! With WSKHTTPD_IMAGE set to a file, the tests run that driver image instead of the linked driver.
#![allow(dead_code, unreachable_pub)] // every test binary uses its own part

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nthost::{Host, LoadFailure, Options, Value};
use response_cache::build;
use wskhttpd::WskHttpd;
use wskhttpd_abi::{
    COUNTERS_BYTES, Counter, Counters, DEVICE_NAME, IOCTL_LOAD_SITE, IOCTL_QUERY_COUNTERS,
    LoadSite, Loaded, OUTPUT_BYTES_MAX, Record, cut, decode, encode,
};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Octets of `/large`.
pub const LARGE: usize = 3_000_000;

/// There is one machine per process.
static ONE: Mutex<()> = Mutex::new(());

pub struct Machine {
    host: Option<Host>,
    address: SocketAddr,
    _one: MutexGuard<'static, ()>,
}

/// The site's files and what they hold.
pub fn body(name: &str) -> Vec<u8> {
    match name {
        "hello.txt" => b"Hello, world!".to_vec(),
        "medium" => (0..9_000_u32).map(|n| (n % 251) as u8).collect(),
        "large" => (0..u32::try_from(LARGE).unwrap()).map(|n| (n / 7 % 253) as u8).collect(),
        "page.html" => (0..9_000_u32).map(|n| b'0' + (n * n / 97 % 10) as u8).collect(),
        "empty" => Vec::new(),
        other => panic!("no {other}"),
    }
}

fn write_site(folder: &Path) {
    for name in ["hello.txt", "medium", "large", "page.html", "empty"] {
        std::fs::write(folder.join(name), body(name)).unwrap();
    }
    std::fs::write(folder.join("index.html"), "<p>index").unwrap();
    let declared = "[[response]]\npath = \"/health\"\nhealth = \"main\"\n\n\
        [[response]]\npath = \"/old\"\nredirect = \"/hello.txt\"\nstatus = 301\n\n\
        [[response]]\npath = \"/gone\"\nstatus = 410\n\n\
        [[response]]\nhost = \"other.example\"\npath = \"/hello.txt\"\nbody = \"other\"\n";
    std::fs::write(folder.join("site.toml"), declared).unwrap();
}

pub fn image() -> Vec<u8> {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    let build = || {
        let folder = tempfile::tempdir().unwrap();
        write_site(folder.path());
        build::build_folder(folder.path(), &build::Options::default()).unwrap().image
    };
    IMAGE.get_or_init(build).clone()
}

/// The image of a folder with nothing but this `site.toml`.
pub fn declared(manifest: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.toml"), manifest).unwrap();
    build::build_folder(folder.path(), &build::Options::default()).unwrap().image
}

pub fn number(name: &str, value: u32) -> (String, Value) {
    (name.to_owned(), Value::Dword(value))
}

pub fn text(name: &str, value: &str) -> (String, Value) {
    (name.to_owned(), Value::String(value.to_owned()))
}

pub fn list(name: &str, values: &[&str]) -> (String, Value) {
    (name.to_owned(), Value::MultiString(values.iter().map(|&value| value.to_owned()).collect()))
}

/// A host with the site, listening on a free port of 127.0.0.1 unless `set` says otherwise.
fn host(
    set: Vec<(String, Value)>,
    image: Vec<u8>,
    change: impl FnOnce(Options) -> Options,
) -> Host {
    let mut registry = vec![
        text("ListenAddress", "127.0.0.1"),
        number("ListenPort", 0),
        text("SiteImage", "\\??\\site.img"),
    ];
    registry.extend(set);
    let files = vec![("\\??\\site.img".to_owned(), image.into())];
    let options = Options { processors: 2, registry, files, ..Options::default() };
    Host::start(change(if is_irp_only() { irp_only(options) } else { options })).unwrap()
}

/// True in test binaries that run the tests of another one on another machine.
pub fn is_irp_only() -> bool {
    env!("CARGO_CRATE_NAME").ends_with("_by_irp")
}

/// A machine whose provider has no events, and whose kernel lacks what old ones lack.
fn irp_only(options: Options) -> Options {
    let absent = ["ExAllocatePool2", "ExInitializeLookasideListEx", "KeQuerySystemTimePrecise"];
    Options { irp_only: true, absent: absent.map(str::to_owned).to_vec(), ..options }
}

/// Loads the driver that is linked in, or the image that the environment names.
fn load(host: &mut Host) -> Result<(), i32> {
    let Some(path) = std::env::var_os("WSKHTTPD_IMAGE") else {
        return host.load("wskhttpd", nt::driver::entry::<WskHttpd>);
    };
    match host.load_image("wskhttpd", &std::fs::read(path).unwrap()) {
        Err(LoadFailure::Entry(status)) => Err(status),
        result => {
            result.unwrap();
            Ok(())
        }
    }
}

/// What the driver said when it refused to start.
pub fn refusal(set: Vec<(String, Value)>, image: Vec<u8>) -> String {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut host = host(set, image, |options| options);
    load(&mut host).expect_err("it started");
    let said = host.log().concat();
    let log = host.event_log();
    let [entry] = &log[..] else { panic!("the event log has {log:?}, and was said {said}") };
    // As much of what was said as fits.
    let (_, why) = entry.split_once(": ").unwrap();
    assert!(why.len() >= 20 && said.contains(why), "{entry}");
    let ledger = host.unload();
    assert!(ledger.is_zero(), "{ledger}");
    said
}

impl Machine {
    pub fn start(set: Vec<(String, Value)>) -> Machine {
        Machine::start_as(set, |options| options)
    }

    /// The same on a host that is otherwise than usual.
    pub fn start_as(set: Vec<(String, Value)>, change: impl FnOnce(Options) -> Options) -> Machine {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut host = host(set, image(), change);
        if let Err(status) = load(&mut host) {
            panic!("status {status:#x}: {:?}", host.log());
        }
        let address = host.listening()[0];
        Machine { host: Some(host), address, _one: one }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connect(&self) -> Client {
        Client::to(self.address)
    }

    /// A client at a loopback address of its own.
    pub fn connect_from(&self, source: Ipv4Addr) -> Client {
        Client::try_from_address(source, self.address).unwrap()
    }

    pub fn host(&self) -> &Host {
        self.host.as_ref().unwrap()
    }

    /// Makes a request of the control device; its output.
    pub fn request(&self, code: u32, input: &impl Record) -> Result<Vec<u8>, i32> {
        let mut buffer = [0; 4_096];
        let octets = encode(input, &mut buffer).unwrap();
        self.host().device_control(DEVICE_NAME, code, &buffer[..octets], OUTPUT_BYTES_MAX)
    }

    /// Asks the control device without input.
    pub fn query(&self, code: u32) -> Vec<u8> {
        self.host().device_query(DEVICE_NAME, code, &[], OUTPUT_BYTES_MAX).unwrap()
    }

    /// Has the driver load an image, and says what it said.
    pub fn load(&self, image: &[u8]) -> Loaded {
        self.host().put_file("\\??\\next.img", image.to_vec());
        let output = self.request(IOCTL_LOAD_SITE, &LoadSite { path: cut("\\??\\next.img") });
        decode(&output.unwrap()).unwrap()
    }

    /// Octets that images take in memory.
    pub fn image_octets(&self) -> usize {
        let images = |ledger: nthost::Ledger| ledger.items.get("pool WhSi").map(|item| item.octets);
        images(self.ledger()).unwrap_or(0)
    }

    /// The transport under the listener goes away.
    pub fn lose_listeners(&self) {
        self.host.as_ref().unwrap().lose_listeners();
    }

    /// One request to the control device.
    pub fn control(&self, code: u32, input: &[u8], output: usize) -> Result<Vec<u8>, i32> {
        self.host.as_ref().unwrap().device_control(DEVICE_NAME, code, input, output)
    }

    pub fn counters(&self) -> Counters {
        let output = self.control(IOCTL_QUERY_COUNTERS, &[], COUNTERS_BYTES);
        Counters::decode(&output.unwrap()).unwrap()
    }

    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters().get(counter)
    }

    /// Waits until a counter has a value.
    pub fn wait_for(&self, counter: Counter, value: u64) {
        let start = Instant::now();
        while self.counter(counter) != value {
            let now = self.counter(counter);
            assert!(start.elapsed() < PATIENCE, "{} is {now}, not {value}", counter.name());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the driver holds now.
    pub fn ledger(&self) -> nthost::Ledger {
        self.host.as_ref().unwrap().ledger()
    }

    pub fn log(&self) -> String {
        self.host.as_ref().unwrap().log().concat()
    }

    /// What the driver traced.
    #[allow(clippy::unused_self)] // this one's: there is one machine at a time
    pub fn events(&self) -> String {
        nthost::events().concat()
    }

    /// Unloads; the ledger must be zero. What the driver has traced until then.
    pub fn stop_and_trace(mut self) -> String {
        let ledger = self.host.take().unwrap().unload();
        assert!(ledger.is_zero(), "{ledger}");
        // Before the next machine starts.
        self.events()
    }

    /// Unloads; the ledger must be zero. How long it took.
    pub fn stop(mut self) -> Duration {
        let start = Instant::now();
        let ledger = self.host.take().unwrap().unload();
        assert!(ledger.is_zero(), "{ledger}");
        start.elapsed()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(host) = self.host.take() {
            let ledger = host.unload();
            assert!(ledger.is_zero() || std::thread::panicking(), "{ledger}");
        }
    }
}

/// A response as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// A client that knows nothing but octets and Content-Length.
pub struct Client {
    pub stream: TcpStream,
    pending: Vec<u8>,
}

impl Client {
    pub fn to(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).unwrap())
    }

    /// `None` when the connection is reset at once.
    pub fn try_from_address(source: Ipv4Addr, server: SocketAddr) -> Option<Client> {
        use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::TCP)).unwrap();
        bind(&socket, &SocketAddr::from((source, 0))).unwrap();
        connect(&socket, &server).ok()?;
        Some(Client::over(socket.into()))
    }

    /// Resets the connection.
    pub fn reset(self) {
        use rustix::net::sockopt::set_socket_linger;
        set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
    }

    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, pending: Vec::new() }
    }

    pub fn send(&mut self, octets: impl AsRef<[u8]>) -> &mut Client {
        self.stream.write_all(octets.as_ref()).unwrap();
        self
    }

    /// The response to a request with these field lines, each without its CRLF.
    pub fn ask(&mut self, method: &str, path: &str, fields: &[&str]) -> Response {
        let lines = fields.iter().map(|line| format!("{line}\r\n")).collect::<Vec<_>>().concat();
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
        self.response(method != "HEAD")
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.response(true)
    }

    /// `None` when the server has ended the connection.
    pub fn try_get(&mut self, path: &str) -> Option<Response> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        self.stream.write_all(request.as_bytes()).ok()?;
        self.more().then(|| self.response(true))
    }

    fn more(&mut self) -> bool {
        let mut buffer = vec![0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(octets) => {
                self.pending.extend(&buffer[..octets]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("reading: {error}, have {:?}", self.pending.escape_ascii()),
        }
    }

    /// The next response; `content` false for one to HEAD.
    pub fn response(&mut self, content: bool) -> Response {
        let end = loop {
            if let Some(at) = self.pending.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.more(), "ended inside a head: {}", self.pending.escape_ascii());
        };
        let head = String::from_utf8(self.pending.drain(..end).collect()).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut response = Response { status, head, body: Vec::new() };
        let length = response.field("content-length").map_or(0, |n| n.parse().unwrap());
        let length = if content && status != 304 { length } else { 0 };
        while self.pending.len() < length {
            assert!(self.more(), "{} of {length} octets of content", self.pending.len());
        }
        response.body = self.pending.drain(..length).collect();
        response
    }

    /// So many octets, whatever they mean.
    pub fn read(&mut self, octets: usize) -> Vec<u8> {
        while self.pending.len() < octets {
            assert!(self.more(), "{} of {octets} octets", self.pending.len());
        }
        self.pending.drain(..octets).collect()
    }

    /// Nothing more than what was read comes, and the server ends the connection.
    pub fn expect_end(mut self) {
        while self.more() {}
        assert_eq!(self.pending.escape_ascii().to_string(), "");
    }

    /// Everything until the server ends.
    pub fn rest(mut self) -> Vec<u8> {
        while self.more() {}
        self.pending
    }

    pub fn end_sending(&mut self) -> &mut Client {
        // The server may have closed already.
        let _ = self.stream.shutdown(Shutdown::Write);
        self
    }
}
