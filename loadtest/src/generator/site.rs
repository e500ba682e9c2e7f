//! Where to connect, what to ask, and what the right answer is.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::generator::plan::Ask;
use crate::generator::response::{CONTENTS_MAX, Expect, Progress, ResponseReader};

/// Connections one source address may have: what Linux's default ephemeral port range leaves
/// (32768 to 60999), rounded down.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 28_000;

/// The peer under test and the requests put to it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where connections go.
    pub address: SocketAddr,
    targets: Vec<Target>,
    /// Which target comes when; begun anew at its end.
    order: Vec<usize>,
}

/// One request and its right answers.
#[derive(Clone, Debug)]
struct Target {
    request: Vec<u8>,
    last_request: Vec<u8>,
    status: u16,
    contents: Vec<Vec<u8>>,
}

impl Site {
    /// Reads what is to be asked, all of one authority, and resolves that.
    ///
    /// # Errors
    /// An address of another form, another scheme, or no host of that name.
    pub fn new(asks: &[Ask]) -> Result<Self> {
        let first = asks.first().context("no URL")?;
        let (authority, _) = split(&first.url)?;
        let mut targets = Vec::with_capacity(asks.len());
        for Ask { url, status, contents, .. } in asks {
            let (same, path) = split(url)?;
            ensure!(same == authority, "{url}: not of {authority} like the first URL");
            ensure!(contents.len() <= CONTENTS_MAX, "{url}: more than {CONTENTS_MAX} contents");
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: loadtest/{}\r\n",
                env!("CARGO_PKG_VERSION")
            );
            targets.push(Target {
                request: format!("{head}\r\n").into_bytes(),
                last_request: format!("{head}Connection: close\r\n\r\n").into_bytes(),
                status: *status,
                contents: contents.clone(),
            });
        }
        let weights: Vec<_> = asks.iter().map(|ask| ask.weight.max(1)).collect();
        Ok(Self { address: resolve(authority)?, targets, order: interleave(&weights) })
    }

    /// Number of different requests.
    pub fn target_count(&self) -> usize {
        self.targets.len()
    }

    /// The target of request number `number`, which counts on and on.
    pub fn target(&self, number: usize) -> usize {
        self.order[number % self.order.len()]
    }

    /// The request for `target`.
    pub fn request(&self, target: usize) -> &[u8] {
        &self.targets[target].request
    }

    /// The same as the last one of its connection.
    pub fn last_request(&self, target: usize) -> &[u8] {
        &self.targets[target].last_request
    }

    /// What the answer of `target` must be.
    pub fn expect(&self, target: usize) -> Expect<'_> {
        let Target { status, contents, .. } = &self.targets[target];
        Expect { status: *status, contents }
    }

    /// Asks once for each target of which no content is known: the first one is what every later
    /// answer is compared with.
    ///
    /// # Errors
    /// The first answer is itself wrong, or does not come within `timeout`.
    pub fn learn(&mut self, timeout: Duration) -> Result<()> {
        for target in 0..self.targets.len() {
            if self.targets[target].contents.is_empty() {
                let content = self.ask(target, timeout).context("the first answer")?;
                self.targets[target].contents.push(content);
            }
        }
        Ok(())
    }

    fn ask(&self, target: usize, timeout: Duration) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, timeout)
            .with_context(|| format!("connecting to {}", self.address))?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.write_all(self.request(target))?;
        let mut reader = ResponseReader::default();
        let mut received = Vec::new();
        let mut scratch = vec![0; 64 * 1024];
        loop {
            let count = stream.read(&mut scratch)?;
            ensure!(count > 0, "closed before it was complete");
            let piece = &scratch[..count];
            let (taken, progress) = reader.receive(piece, &self.expect(target))?;
            received.extend_from_slice(&piece[..taken]);
            if let Progress::Complete { content_bytes, .. } = progress {
                ensure!(taken == count, "{} bytes after its end", count - taken);
                return Ok(received.split_off(received.len() - content_bytes));
            }
        }
    }
}

/// Which of several kinds comes when, so that each has its part and is spread as evenly as can be:
/// always the one that is furthest behind its part.
fn interleave(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let weights: Vec<_> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credits = vec![0; weights.len()];
    let mut order = Vec::new();
    for _ in 0..total {
        let mut next = 0;
        for index in 0..credits.len() {
            credits[index] += weights[index];
            if credits[index] > credits[next] {
                next = index;
            }
        }
        credits[next] -= total;
        order.push(next);
    }
    order
}

fn greatest_common_divisor(one: u32, other: u32) -> u32 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

/// The addresses that connections come from: `None` leaves the choice to the system.
#[derive(Clone, Debug)]
pub struct Sources(Vec<Option<IpAddr>>);

impl Sources {
    /// As many loopback addresses as `connections` to `address` need, or `count` if given.
    ///
    /// # Errors
    /// More than one address is needed and `address` is not IPv4 loopback.
    pub fn new(address: SocketAddr, connections: usize, count: Option<u8>) -> Result<Self> {
        let needed = connections.div_ceil(CONNECTIONS_PER_SOURCE_MAX);
        let count = count.map_or(needed, usize::from);
        if count < needed {
            bail!("{connections} connections need {needed} source addresses");
        }
        if count <= 1 {
            return Ok(Self(vec![None]));
        }
        let loopback = matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback());
        ensure!(loopback, "several source addresses are possible only towards 127.0.0.0/8");
        let last = u8::try_from(count).ok().filter(|count| *count < 255);
        let last = last.context("at most 254 source addresses")?;
        Ok(Self((1..=last).map(|host| Some(Ipv4Addr::new(127, 0, 0, host).into())).collect()))
    }

    /// One address for all.
    pub fn one(source: IpAddr) -> Self {
        Self(vec![Some(source)])
    }

    /// The source of connection `index`.
    pub fn of(&self, index: usize) -> Option<IpAddr> {
        self.0[index % self.0.len()]
    }
}

/// Authority and path-with-query of an address.
fn split(url: &str) -> Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url}: not http://"))?;
    let rest = rest.split('#').next().unwrap_or(rest);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    ensure!(!authority.is_empty() && !authority.contains('@'), "{url}: no plain host");
    ensure!(rest.bytes().all(|byte| byte.is_ascii_graphic()), "{url}: to be percent-encoded");
    ensure!(!path.starts_with('?'), "{url}: no path");
    Ok((authority, if path.is_empty() { "/" } else { path }))
}

fn resolve(authority: &str) -> Result<SocketAddr> {
    let after_literal = authority.rfind(']').map_or(authority, |end| &authority[end..]);
    let named =
        if after_literal.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let mut addresses =
        named.to_socket_addrs().with_context(|| format!("no address for {authority}"))?;
    addresses.next().with_context(|| format!("no address for {authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(url: &str) -> Result<Site> {
        Site::new(&[Ask::get(url)])
    }

    #[test]
    fn addresses_are_read() {
        let read = site("http://127.0.0.1:8080/a?b#c").expect("a site");
        assert_eq!(read.address, "127.0.0.1:8080".parse().expect("an address"));
        assert!(read.request(0).starts_with(b"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"));
        let read = site("http://[::1]").expect("a site");
        assert_eq!(read.address, "[::1]:80".parse().expect("an address"));
        assert!(read.request(0).starts_with(b"GET / HTTP/1.1\r\nHost: [::1]\r\n"));
    }

    #[test]
    fn other_addresses_are_refused() {
        for url in ["https://127.0.0.1/", "127.0.0.1", "http:///x", "http://u@127.0.0.1/"] {
            assert!(site(url).is_err(), "{url}");
        }
        assert!(site("http://127.0.0.1/a b").is_err());
        let two = ["http://127.0.0.1/", "http://127.0.0.2/"].map(Ask::get);
        assert!(Site::new(&two).is_err());
    }

    #[test]
    fn weights_are_parts_and_spread() {
        assert_eq!(interleave(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(interleave(&[3, 1]), [0, 0, 1, 0]);
        assert_eq!(interleave(&[20, 60, 20]), [1, 0, 1, 2, 1]);
        let order = interleave(&[7, 2, 1]);
        let count = |target| order.iter().filter(|index| **index == target).count();
        assert_eq!([count(0), count(1), count(2)], [7, 2, 1]);
    }

    #[test]
    fn sources_are_as_many_as_needed() {
        let loopback = "127.0.0.1:80".parse().expect("an address");
        let one = Sources::new(loopback, 28_000, None).expect("sources");
        assert_eq!(one.of(3), None);
        let two = Sources::new(loopback, 28_001, None).expect("sources");
        assert_eq!(two.of(3), Some(Ipv4Addr::new(127, 0, 0, 2).into()));
        let elsewhere = "192.0.2.1:80".parse().expect("an address");
        assert!(Sources::new(elsewhere, 28_001, None).is_err());
        assert!(Sources::new(loopback, 28_001, Some(1)).is_err());
    }
}
