//! A server: the driver in the host, a small site, and the host's socket in a runtime folder.
//!
//! With WSKHTTPD_IMAGE set to a file, the tests run that driver image instead of the linked driver.
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nthost::{Host, Options, Value};
use response_cache::build;
use serde_json::Value as Json;
use wskhttpd::WskHttpd;

use crate::program::{self, Run};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// There is one machine per process.
static ONE: Mutex<()> = Mutex::new(());

pub(crate) struct Server {
    host: Option<Host>,
    address: SocketAddr,
    pub(crate) runtime: tempfile::TempDir,
    _one: MutexGuard<'static, ()>,
}

/// Writes a site whose `/hello.txt` says `hello`.
pub(crate) fn write_site(folder: &Path, hello: &str) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("hello.txt"), hello).unwrap();
    let manifest = "[[response]]\npath = \"/health\"\nhealth = \"main\"\n\n\
        [[response]]\npath = \"/ready\"\nhealth = \"other\"\n";
    std::fs::write(folder.join("site.toml"), manifest).unwrap();
}

/// The driver with the site of the runtime folder, loaded.
fn host(runtime: &Path, set: &[(&str, u32)]) -> Host {
    let image = build::build_folder(&runtime.join("site"), &build::Options::default());
    let text = |name: &str, value: &str| (name.to_owned(), Value::String(value.to_owned()));
    let mut registry = vec![
        text("ListenAddress", "127.0.0.1"),
        ("ListenPort".to_owned(), Value::Dword(0)),
        text("SiteImage", "\\??\\site.img"),
    ];
    registry.extend(set.iter().map(|(name, value)| ((*name).to_owned(), Value::Dword(*value))));
    let mut host = Host::start(Options {
        processors: 2,
        registry,
        files: vec![("\\??\\site.img".to_owned(), image.unwrap().image.into())],
        own_files: true,
        control_socket: Some(runtime.join("wskhttpd/1.sock")),
        ..Options::default()
    })
    .unwrap();
    match std::env::var_os("WSKHTTPD_IMAGE") {
        None => host.load("wskhttpd", nt::driver::entry::<WskHttpd>).unwrap(),
        Some(path) => host.load_image("wskhttpd", &std::fs::read(path).unwrap()).unwrap(),
    }
    host
}

impl Server {
    pub(crate) fn start(set: &[(&str, u32)]) -> Server {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = tempfile::tempdir().unwrap();
        // As the host wants it: nobody else's.
        let folder = runtime.path().join("wskhttpd");
        std::fs::DirBuilder::new().mode(0o700).create(folder).unwrap();
        write_site(&runtime.path().join("site"), "hello");
        let host = host(runtime.path(), set);
        let address = host.listening()[0];
        Server { host: Some(host), address, runtime, _one: one }
    }

    /// It goes; the sockets' folder stays.
    pub(crate) fn stop(&mut self) {
        let ledger = self.host.take().unwrap().unload();
        assert!(ledger.is_zero(), "{ledger}");
    }

    /// It comes back, at another port.
    pub(crate) fn start_again(&mut self) {
        let host = host(self.runtime.path(), &[]);
        self.address = host.listening()[0];
        self.host = Some(host);
    }

    /// Runs a command, which finds this server by itself.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> Run {
        program::run_in(self.runtime.path(), arguments)
    }

    /// The one value that a command prints with `--json`.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Json {
        self.ctl(&[&["--json"], arguments].concat()).json()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Status and content of a path, on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let answer =
            self.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        let (head, content) = answer.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).unwrap().parse().unwrap(), content.to_owned())
    }

    /// All that comes back for these octets.
    pub(crate) fn send(&self, octets: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(octets.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// A path of the runtime folder, as a text.
    pub(crate) fn path(&self, name: &str) -> String {
        self.runtime.path().join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(host) = self.host.take() {
            let ledger = host.unload();
            assert!(ledger.is_zero() || std::thread::panicking(), "{ledger}");
        }
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
