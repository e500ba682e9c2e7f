//! `top` on a terminal, which it leaves as it was.
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::program::command;
use crate::server::{Server, eventually};

/// A terminal with a program at it.
struct Terminal {
    keyboard: File,
    /// What a person would sit at: its modes are looked at here.
    line: OwnedFd,
    screen: Arc<Mutex<Vec<u8>>>,
    child: Child,
}

const LEAVES: &str = "\x1B[?1049l";
const SHOWS_CURSOR: &str = "\x1B[?25h";

impl Terminal {
    fn start(server: &Server, colours: bool) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).unwrap();
        let open = || {
            let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
            rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).unwrap()
        };
        let mut top = command(&["top", "--every", "50ms"]);
        top.env("XDG_RUNTIME_DIR", server.runtime.path());
        top.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        if !colours {
            top.env("NO_COLOR", "1");
        }
        top.stdin(Stdio::from(open())).stdout(Stdio::from(open())).stderr(Stdio::from(open()));
        let child = top.spawn().unwrap();
        let (keyboard, mut screen) = (File::from(master.try_clone().unwrap()), File::from(master));
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let keeper = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            // Ends with an error when nobody has the terminal open any more.
            while let Ok(count @ 1..) = screen.read(&mut octets) {
                keeper.lock().unwrap().extend(&octets[..count]);
            }
        });
        let terminal = Terminal { keyboard, line: open(), screen: seen, child };
        eventually("a screen", || terminal.shown().contains("requests/s"));
        terminal
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Lines are edited and keys echoed, as a shell expects it.
    fn is_as_it_was(&self) -> bool {
        let wanted = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        tcgetattr(&self.line).unwrap().local_modes.contains(wanted)
    }

    /// It has ended well, and nothing of it is left.
    fn ended(mut self) {
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert!(self.is_as_it_was());
        eventually("the screen before comes back", || self.shown().contains(LEAVES));
        eventually("the cursor comes back", || self.shown().contains(SHOWS_CURSOR));
    }
}

#[test]
fn keys_end_it_and_the_terminal_is_as_it_was() {
    let server = Server::start(&[]);
    for key in ["q", "\x1B", "\x03"] {
        let mut terminal = Terminal::start(&server, true);
        assert!(!terminal.is_as_it_was());
        terminal.keyboard.write_all(key.as_bytes()).unwrap();
        terminal.ended();
    }
}

#[test]
fn sigterm_ends_it_too() {
    let server = Server::start(&[]);
    let terminal = Terminal::start(&server, true);
    let kill = format!("kill -TERM {}", terminal.child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    terminal.ended();
}

#[test]
fn when_the_server_goes_it_says_so_on_a_terminal_that_is_as_it_was() {
    let server = Server::start(&[]);
    let mut terminal = Terminal::start(&server, true);
    drop(server);
    assert_eq!(terminal.child.wait().unwrap().code(), Some(3));
    assert!(terminal.is_as_it_was());
    eventually("an explanation", || {
        let shown = terminal.shown();
        shown.rsplit(LEAVES).next().is_some_and(|after| after.contains("wskhttpctl: "))
    });
}

#[test]
fn colours_can_be_turned_off() {
    let server = Server::start(&[]);
    // SGR 38;5;n sets a colour, 1 makes bold.
    for (colours, title) in [(true, "\x1B[38;5;6;49m requests/s"), (false, "\x1B[1m requests/s")] {
        let mut terminal = Terminal::start(&server, colours);
        let shown = terminal.shown();
        assert!(shown.contains(title), "{shown:?}");
        assert_eq!(shown.contains("\x1B[38;5;"), colours);
        terminal.keyboard.write_all(b"q").unwrap();
        terminal.ended();
    }
}

#[test]
fn without_a_terminal_it_asks_for_another_form() {
    let server = Server::start(&[]);
    server.ctl(&["top"]).fails(2, "--once");
}
