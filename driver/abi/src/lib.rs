//! What the driver and its tools agree on: names, control codes, records.
//!
//! Every request is METHOD_BUFFERED. Queries need a handle opened for reading, changes one opened
//! for writing; the I/O manager checks that before the driver sees the request. Numbers on the wire
//! are little-endian. Records are not versioned one by one: [`ABI_VERSION`] opens each of them,
//! input and output, and a driver answers `STATUS_REVISION_MISMATCH` to another one's. The counters
//! alone have their own first word, so that tools of another age can still read them.
#![no_std]
#![forbid(unsafe_code)]

mod counters;
mod health;
mod latency;
mod list;
mod log;
mod parameter;
mod reject;
mod site;
mod state;
mod text;
mod wire;

pub use counters::{COUNTERS_BYTES, COUNTERS_VERSION, Counter, Counters};
pub use health::{Beat, Health, HealthEndpoint, Switch};
pub use latency::{BUCKETS, Latency, bucket_of, upper_bound_ns};
pub use list::{List, ListWriter, Since};
pub use log::{Access, Method};
pub use parameter::{Parameter, SetParameter};
pub use reject::{Reason, Reject};
pub use site::{LoadSite, Loaded};
pub use state::{Holder, ServerState};
pub use text::{Name, Octets, Path, Sentence, cut};
pub use wire::{Reader, Record, Writer, decode, encode};

/// Name of the service, and so of its registry key.
pub const SERVICE_NAME: &str = "wskhttpd";
/// NT name of the control device.
pub const DEVICE_NAME: &str = "\\Device\\WskHttpd";
/// Symbolic link by which user mode opens it.
pub const DEVICE_LINK: &str = "\\??\\WskHttpd";

/// First word of every record but the counters; another meaning of any record is another version.
pub const ABI_VERSION: u32 = 1;

/// Octets of one output at most; lists that are longer are read in parts.
pub const OUTPUT_BYTES_MAX: usize = 32 * 1024;

const FILE_DEVICE_NETWORK: u32 = 0x12;
const FILE_READ_ACCESS: u32 = 1;
const FILE_WRITE_ACCESS: u32 = 2;

/// `CTL_CODE(FILE_DEVICE_NETWORK, function, METHOD_BUFFERED, access)`.
const fn control_code(function: u32, access: u32) -> u32 {
    FILE_DEVICE_NETWORK << 16 | access << 14 | function << 2
}

/// Reads the counters: no input; the output is [`Counters`], encoded.
pub const IOCTL_QUERY_COUNTERS: u32 = control_code(0x800, FILE_READ_ACCESS);
/// Reads what is served where: no input; the output is [`ServerState`].
pub const IOCTL_QUERY_STATE: u32 = control_code(0x801, FILE_READ_ACCESS);
/// Reads the histogram of service times: no input; the output is [`Latency`].
pub const IOCTL_QUERY_LATENCY: u32 = control_code(0x802, FILE_READ_ACCESS);
/// Reads health endpoints from a position on: input [`Since`], output a [`List`] of
/// [`HealthEndpoint`].
pub const IOCTL_QUERY_HEALTH: u32 = control_code(0x803, FILE_READ_ACCESS);
/// Reads parameters in force from a position on: input [`Since`], output a [`List`] of
/// [`Parameter`].
pub const IOCTL_QUERY_PARAMETERS: u32 = control_code(0x804, FILE_READ_ACCESS);
/// Reads rejects from a sequence number on: input [`Since`], output a [`List`] of [`Reject`].
pub const IOCTL_QUERY_REJECTS: u32 = control_code(0x805, FILE_READ_ACCESS);
/// Reads the addresses with the most connections: no input; output a [`List`] of [`Holder`], most
/// first.
pub const IOCTL_QUERY_HOLDERS: u32 = control_code(0x806, FILE_READ_ACCESS);
/// Reads the access log from a sequence number on: input [`Since`], output a [`List`] of
/// [`Access`].
pub const IOCTL_READ_LOG: u32 = control_code(0x807, FILE_READ_ACCESS);

/// Publishes another site image: input [`LoadSite`], output [`Loaded`]. A refused image is an
/// output that says why, not a failed request: those have no output.
pub const IOCTL_LOAD_SITE: u32 = control_code(0x810, FILE_WRITE_ACCESS);
/// Switches a health endpoint: input [`Switch`], no output. `NOT_FOUND` for an unknown name.
pub const IOCTL_SWITCH_HEALTH: u32 = control_code(0x811, FILE_WRITE_ACCESS);
/// One beat for a health endpoint: input [`Beat`], no output. `NOT_FOUND` for an unknown name.
pub const IOCTL_BEAT: u32 = control_code(0x812, FILE_WRITE_ACCESS);
/// Changes a parameter of the running driver: input [`SetParameter`], output a [`Sentence`] that is
/// empty or says why not.
pub const IOCTL_SET_PARAMETER: u32 = control_code(0x813, FILE_WRITE_ACCESS);

// What the first tools were built with.
const _: () = assert!(IOCTL_QUERY_COUNTERS == 0x0012_6000);
