//! The access log's ring: lossy, and it counts what it loses.
use core::net::IpAddr;

use arrayvec::ArrayVec;

use crate::wire::{Reader, Record, Writer};

/// Request methods that are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)] // RFC 9110 section 9.3, RFC 5789
pub enum Method {
    Other = 0,
    Get = 1,
    Head = 2,
    Options = 3,
    Post = 4,
    Put = 5,
    Delete = 6,
    Patch = 7,
    Trace = 8,
    Connect = 9,
}

impl Method {
    /// All of them, by number.
    pub const ALL: [Method; 10] = [
        Method::Other,
        Method::Get,
        Method::Head,
        Method::Options,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Patch,
        Method::Trace,
        Method::Connect,
    ];

    /// By number.
    pub fn from_number(number: u8) -> Option<Method> {
        Method::ALL.get(usize::from(number)).copied()
    }

    /// Its number.
    pub fn number(self) -> u8 {
        let place = Method::ALL.iter().position(|method| *method == self);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(0)
    }

    /// As in a request line; `-` for those that are not told apart.
    pub const fn word(self) -> &'static str {
        match self {
            Method::Other => "-",
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Options => "OPTIONS",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Patch => "PATCH",
            Method::Trace => "TRACE",
            Method::Connect => "CONNECT",
        }
    }
}

/// One request that was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// Milliseconds since 1970, UTC.
    pub time_ms: u64,
    /// Whose.
    pub address: IpAddr,
    /// Port of the peer; 0 = not known.
    pub port: u16,
    /// What was asked for.
    pub method: Method,
    /// Status that was sent.
    pub status: u16,
    /// Octets of the response, its head included.
    pub octets: u64,
    /// The request's target as it came, cut.
    pub target: ArrayVec<u8, 128>,
}

impl Record for Access {
    fn put(&self, out: &mut Writer<'_>) {
        out.u64(self.time_ms);
        self.address.put(out);
        out.u16(self.port);
        out.u8(self.method.number());
        out.u16(self.status);
        out.u64(self.octets);
        self.target.put(out);
    }

    fn take(input: &mut Reader<'_>) -> Option<Access> {
        Some(Access {
            time_ms: input.u64()?,
            address: Record::take(input)?,
            port: input.u16()?,
            method: Method::from_number(input.u8()?)?,
            status: input.u16()?,
            octets: input.u64()?,
            target: Record::take(input)?,
        })
    }
}
