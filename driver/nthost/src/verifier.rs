//! The rules of the kernel that a driver must keep, and what happens when it does not.
//!
//! Rules below 101 are WSK's, in the order of the documentation; the others are NT's. Shadow
//! state lives with the objects concerned, outside the driver.
use std::backtrace::Backtrace;
use std::fmt::{self, Write as _};

use crate::processor;

/// Exit code of a process whose driver broke a rule.
pub const EXIT_CODE: i32 = 86;

macro_rules! rules {
    ($($name:ident = $number:literal: $text:literal,)*) => {
        /// A rule, named for what breaks it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Rule { $(#[doc = $text] $name,)* }

        impl Rule {
            /// Number in reports.
            pub const fn number(self) -> u32 {
                match self { $(Rule::$name => $number,)* }
            }

            /// One sentence.
            pub const fn text(self) -> &'static str {
                match self { $(Rule::$name => $text,)* }
            }
        }
    };
}

rules! {
    Pairing = 1: "register, capture, release and deregister are paired, each exactly once",
    DeregisterWithLeaks = 2:
        "WskDeregister blocks while a capture or a socket exists: a leak is a hung unload",
    StaticEventsLate = 3: "static events are set before the first socket and never turned off",
    OptionOrder = 4: "a listener's options are set before bind, its event callbacks after",
    Completion = 5: "every IRP given to a WSK function is completed exactly once",
    IrpReuse = 6:
        "an IRP is the provider's until its routine ran, which returns MORE_PROCESSING_REQUIRED",
    WaitInCallback = 7: "callbacks and completions never wait",
    DeadListener = 8: "a listener whose AcceptSocket was NULL is only closed",
    AcceptResult = 9:
        "WskAcceptEvent returns SUCCESS or REQUEST_NOT_ACCEPTED, WskAbortEvent SUCCESS",
    AcceptOutputs = 10:
        "a socket with enabled events has context and table when WskAcceptEvent returns",
    DeadConnection = 13:
        "a connection without an indication, or of which a send failed, is closed soon",
    ReceiveResult = 14:
        "WskReceiveEvent returns a known status and accepts no more than was indicated",
    Release = 16:
        "retained indications are released once, by the head they came with, before the close",
    BufferBounds = 18: "a WSK_BUF lies inside its MDL chain",
    BufferInFlight = 20:
        "buffers and MDLs of a send do not change and are not freed until it completed",
    AbortiveBuffer = 23: "an abortive disconnect has no buffer",
    CallDuringClose = 25: "no call into a socket runs when it is closed, and none follows",
    Irql = 101: "each function has a highest IRQL",
    Flags = 102: "flags and parameters are those the function knows",
    IrpShape = 103: "an IRP is initialised, has a free stack location and a completion routine",
    Pool = 104: "pool is freed once, with its tag, and not used afterwards",
    Mdl = 105: "an MDL is freed once and describes memory that exists",
    SpinLock = 106: "a spin lock is released by who acquired it, and not acquired twice",
    Object = 107: "events, timers and lookaside lists are initialised before use and deleted once",
    Depth = 108: "entries into the driver do not nest without bound",
    Handle = 109: "handles are valid and closed once",
    BugCheck = 110: "the driver does not stop the machine",
    Wait = 112: "every wait ends: one that does not is a hung start or unload",
    Unload = 113: "nothing of the driver runs when its entry failed or its unload returned",
    LockOrder = 114: "spin locks are always acquired in the same order",
    Time = 115: "a callback at DISPATCH_LEVEL is over within 100 microseconds",
    Indication = 116:
        "indicated octets are read up to their length, and not after their callback returned",
    Tracing = 117: "a trace provider is registered when it writes, and unregistered once",
    Inspect = 111: "an inspect ID is completed once, with accept or reject",
}

/// Who did something, and where.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The export.
    pub export: &'static str,
    callback: &'static str,
    processor: usize,
}

impl Site {
    /// This call of `export`.
    pub fn here(export: &'static str) -> Site {
        Site { export, callback: processor::callback(), processor: processor::index() }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}, processor {}", self.export, self.callback, self.processor)
    }
}

/// Ends the process with a report. `earlier` is what happened to the object before.
pub fn violation(
    rule: Rule,
    export: &'static str,
    object: impl fmt::Display,
    detail: impl fmt::Display,
    earlier: Option<Site>,
) -> ! {
    crate::sim::interrupt::disarm();
    let now = Site::here(export);
    let mut report = format!(
        "\n*** the driver broke rule {}: {}\n    object:  {object}\n    detail:  {detail}\n\
         \x20   now:     {now} at IRQL {}\n",
        rule.number(),
        rule.text(),
        processor::irql(),
    );
    if let Some(earlier) = earlier {
        let _ = writeln!(report, "    earlier: {earlier}");
    }
    let _ = writeln!(report, "    call site:\n{}", driver_frames());
    for line in crate::log::last(8) {
        let _ = write!(report, "    log: {line}");
    }
    report += &crate::sim::world::report();
    // Not eprintln: a test harness would capture it and lose it with the process.
    let _ = std::io::Write::write_all(&mut std::io::stderr(), report.as_bytes());
    std::process::exit(EXIT_CODE)
}

/// The innermost frames outside the host.
fn driver_frames() -> String {
    let trace = Backtrace::force_capture().to_string();
    let lines: Vec<&str> = trace.lines().collect();
    let mut frames = String::new();
    let mut at = 0;
    let mut shown = 0;
    while at < lines.len() && shown < 12 {
        let line = lines[at].trim();
        let place = lines.get(at + 1).map_or("", |next| next.trim());
        let has_place = place.starts_with("at ");
        let noise = ["std::", "core::", "nthost::verifier", "rust_begin"];
        if !noise.iter().any(|n| line.contains(n)) {
            // Writing to a string does not fail.
            let _ = writeln!(frames, "      {line} {}", if has_place { place } else { "" });
            shown += 1;
        }
        at += if has_place { 2 } else { 1 };
    }
    frames
}
