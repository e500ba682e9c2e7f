//! The driver's image in the host behaves as the linked driver does: `--image FILE.sys`.
//!
//! `WSKHTTPD_IMAGE` names the image (`cargo xtask image` builds it), by an absolute path or from
//! the
//! top of the repository. Without it the tests of what an image serves say so and pass.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// The image to test; `None`, and a line that says so, when none is named.
fn image() -> Option<PathBuf> {
    let Some(named) = std::env::var_os("WSKHTTPD_IMAGE") else {
        println!("skipped: no image at WSKHTTPD_IMAGE (not set)");
        return None;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(named);
    assert!(path.is_file(), "WSKHTTPD_IMAGE: no file at {}", path.display());
    Some(path)
}

fn run(image: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wskhttpd"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--image"]).arg(image).args(arguments);
    command.output().unwrap()
}

/// Exit code 2 and one line on stderr that names the file and says `why`.
fn is_refused(image: &Path, why: &str) {
    let output = run(image, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(why) && said.contains(&image.display().to_string()), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

struct Server {
    child: Child,
    address: SocketAddr,
    stdout: JoinHandle<String>,
}

fn start(image: &Path, arguments: &[&str]) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wskhttpd"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--image"]).arg(image).args(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.find_map(|line| {
        let line = line.unwrap();
        line.split_once("http://").map(|(_, rest)| rest.trim_end_matches('/').to_owned())
    });
    let Some(url) = url else {
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("it does not serve: {:?} {said}", child.wait());
    };
    // Keep reading, so that the server never waits for us.
    let rest =
        move || lines.map_while(Result::ok).fold(String::new(), |all, line| all + &line + "\n");
    Server { child, address: url.parse().unwrap(), stdout: std::thread::spawn(rest) }
}

impl Server {
    /// What is answered to these octets until the server closes.
    fn answers(&self, requests: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(requests.as_bytes()).unwrap();
        let mut answers = Vec::new();
        stream.read_to_end(&mut answers).unwrap();
        String::from_utf8(answers).unwrap()
    }

    /// Interrupts the server: exit code, and what it said on stdout and stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        let interrupt = format!("kill -INT {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if start.elapsed() > PATIENCE {
                self.child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), self.stdout.join().unwrap(), said)
    }
}

fn request(method: &str, path: &str, fields: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

const CLOSE: &str = "Connection: close\r\n";

/// A field's value in the first head of `answers`.
fn field<'a>(answers: &'a str, name: &str) -> &'a str {
    let head = answers.split("\r\n\r\n").next().unwrap_or_default();
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).expect(name).1
}

#[test]
fn files_that_are_no_images_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no.sys");
    is_refused(&path, "No such file");
    std::fs::write(&path, "").unwrap();
    is_refused(&path, "not a valid image");
    std::fs::write(&path, [b'M'; 4096]).unwrap();
    is_refused(&path, "not a valid image");
    is_refused(Path::new(env!("CARGO_BIN_EXE_wskhttpd")), "not a valid image");
}

#[test]
fn the_image_serves_as_the_linked_driver_does() {
    let Some(image) = image() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.txt"), "one\n").unwrap();
    std::fs::write(folder.path().join("large.txt"), "0123456789abcde\n".repeat(20_000)).unwrap();
    let site = folder.path().to_str().unwrap();
    let server = start(&image, &["--processors", "2", "--site", site, "--report"]);

    let got = server.answers(&request("GET", "/one.txt", CLOSE));
    assert!(got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("\r\n\r\none\n"), "{got}");
    let head = server.answers(&request("HEAD", "/one.txt", CLOSE));
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(field(&head, "Content-Length"), "4");
    let known = format!("If-None-Match: {}\r\n{CLOSE}", field(&got, "ETag"));
    let unchanged = server.answers(&request("GET", "/one.txt", &known));
    assert!(unchanged.starts_with("HTTP/1.1 304 ") && unchanged.ends_with("\r\n\r\n"));
    let nothing = server.answers(&request("GET", "/two.txt", CLOSE));
    assert!(nothing.starts_with("HTTP/1.1 404 "), "{nothing}");
    let large = server.answers(&request("GET", "/large.txt", CLOSE));
    assert_eq!(large.split_once("\r\n\r\n").unwrap().1.len(), 320_000);

    let pipelined = request("GET", "/one.txt", "").repeat(9) + &request("GET", "/one.txt", CLOSE);
    let answers = server.answers(&pipelined);
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 10);
    assert_eq!(answers.matches("\r\n\r\none\n").count(), 10);

    let (code, out, said) = server.end();
    assert_eq!((code, said.as_str()), (Some(0), ""), "{out}");
    assert!(out.lines().any(|line| line == "ledger: all zero"), "{out}");
    assert!(out.contains("memory per idle connection"), "the device answers: {out}");
}

#[test]
fn the_image_obeys_and_refuses_parameters() {
    let Some(image) = image() else { return };
    let output = run(&image, &["--set", "MaxConnections=0"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("MaxConnections: 0 is not in 1..="), "{said}");

    let server = start(&image, &["--set", "MaxConnections=1", "--set", "AcceptMode=event"]);
    let held = TcpStream::connect(server.address).unwrap();
    (&held).write_all(request("GET", "/health", "").as_bytes()).unwrap();
    held.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_ne!((&held).read(&mut [0; 1024]).unwrap(), 0);
    // One connection more than there may be: closed without an answer.
    let mut refused = TcpStream::connect(server.address).unwrap();
    refused.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = refused.write_all(request("GET", "/health", "").as_bytes());
    assert!(matches!(refused.read(&mut [0]), Ok(0) | Err(_)));
    drop((held, refused));
    let (code, out, said) = server.end();
    assert_eq!((code, said.as_str()), (Some(0), ""), "{out}");
    assert!(out.lines().any(|line| line == "ledger: all zero"), "{out}");
}
