//! How a request gets to the driver and back. A file for each system has `Address`, which names a
//! device, and its `control`: open, one METHOD_BUFFERED request, close. Nothing stays open between
//! two requests, so that whoever looks at a driver for hours keeps nobody else from it.
use std::fmt;

#[cfg_attr(unix, path = "device/unix.rs")]
#[cfg_attr(windows, path = "device/windows.rs")]
mod system;

pub(crate) use system::Address;

/// Why a request failed.
#[derive(Debug)]
pub(crate) enum DeviceError {
    /// There is no such device, or nobody answers in time.
    Gone(String),
    /// What was named is not there.
    NotFound,
    /// The device may not be opened, or not for changes.
    Denied,
    /// The driver's records are of another version.
    OtherVersion,
    /// The driver does not know this request.
    Unknown,
    /// Any other status.
    Status(String),
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(why) => f.write_str(why),
            Self::NotFound => f.write_str("not found"),
            Self::Denied => f.write_str("access denied"),
            Self::OtherVersion => {
                f.write_str("the driver speaks another version; use its own wskhttpctl")
            }
            Self::Unknown => f.write_str("this driver does not do that"),
            Self::Status(status) => write!(f, "the driver answered {status}"),
        }
    }
}

/// Access that a control code asks for (CTL_CODE): bit 0 reading, bit 1 writing.
fn access(code: u32) -> u8 {
    (code >> 14 & 3) as u8
}

#[cfg(test)]
mod tests {
    use wskhttpd_abi::{IOCTL_LOAD_SITE, IOCTL_QUERY_STATE};

    use super::access;

    #[test]
    fn a_code_says_whether_it_changes_something() {
        assert_eq!(access(IOCTL_QUERY_STATE), 1);
        assert_eq!(access(IOCTL_LOAD_SITE), 2);
    }
}
