//! Where to connect, what to ask, and what the right answer is.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::response::{Expect, Progress, ResponseReader};

/// Connections one source address may have: what Linux's default ephemeral port range leaves
/// (32768 to 60999), rounded down.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 28_000;

/// The peer under test and the requests put to it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Where connections go.
    pub address: SocketAddr,
    /// Status every answer must have.
    pub status: u16,
    targets: Vec<Target>,
}

/// One request and its right answer.
#[derive(Clone, Debug)]
struct Target {
    request: Vec<u8>,
    content: Option<Vec<u8>>,
}

impl Site {
    /// Reads `http://host[:port]/path` addresses, all of one authority, and resolves it.
    ///
    /// # Errors
    /// An address of another form, another scheme, or no host of that name.
    pub fn new(urls: &[String], status: u16) -> Result<Self> {
        let first = urls.first().context("no URL")?;
        let (authority, _) = split(first)?;
        let mut targets = Vec::with_capacity(urls.len());
        for url in urls {
            let (same, path) = split(url)?;
            ensure!(same == authority, "{url}: not of {authority} like the first URL");
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: loadtest/{}\r\n\r\n",
                env!("CARGO_PKG_VERSION")
            );
            targets.push(Target { request: request.into_bytes(), content: None });
        }
        Ok(Self { address: resolve(authority)?, status, targets })
    }

    /// Number of different requests.
    pub fn target_count(&self) -> usize {
        self.targets.len()
    }

    /// The request at `index`, which counts on round and round through the URLs.
    pub fn request(&self, index: usize) -> &[u8] {
        &self.targets[index % self.targets.len()].request
    }

    /// The request at `index` as the last one of its connection.
    pub fn last_request(&self, index: usize) -> Vec<u8> {
        let request = self.request(index);
        let fields = request.len().saturating_sub(2);
        [&request[..fields], b"Connection: close\r\n\r\n"].concat()
    }

    /// What the answer to the request at `index` must be.
    pub fn expect(&self, index: usize) -> Expect<'_> {
        let content = self.targets[index % self.targets.len()].content.as_deref();
        Expect { status: self.status, content }
    }

    /// Asks each URL once and keeps the content: what every later answer is compared with.
    ///
    /// # Errors
    /// The first answer is itself wrong, or does not come within `timeout`.
    pub fn learn(&mut self, timeout: Duration) -> Result<()> {
        for index in 0..self.targets.len() {
            let content = self.ask(index, timeout).context("the first answer")?;
            self.targets[index].content = Some(content);
        }
        Ok(())
    }

    fn ask(&self, index: usize, timeout: Duration) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, timeout)
            .with_context(|| format!("connecting to {}", self.address))?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        stream.write_all(self.request(index))?;
        let mut reader = ResponseReader::default();
        let mut received = Vec::new();
        let mut scratch = vec![0; 64 * 1024];
        loop {
            let count = stream.read(&mut scratch)?;
            ensure!(count > 0, "closed before it was complete");
            let piece = &scratch[..count];
            let (taken, progress) = reader.receive(piece, &self.expect(index))?;
            received.extend_from_slice(&piece[..taken]);
            if let Progress::Complete { content_bytes, .. } = progress {
                ensure!(taken == count, "{} bytes after its end", count - taken);
                return Ok(received.split_off(received.len() - content_bytes));
            }
        }
    }
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
        Site::new(&[url.to_owned()], 200)
    }

    #[test]
    fn addresses_are_read() {
        let read = site("http://127.0.0.1:8080/a?b#c").expect("a site");
        assert_eq!(read.address, "127.0.0.1:8080".parse().expect("an address"));
        assert!(read.request(0).starts_with(b"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"));
        let read = site("http://[::1]").expect("a site");
        assert_eq!(read.address, "[::1]:80".parse().expect("an address"));
        assert!(read.request(7).starts_with(b"GET / HTTP/1.1\r\nHost: [::1]\r\n"));
    }

    #[test]
    fn other_addresses_are_refused() {
        for url in ["https://127.0.0.1/", "127.0.0.1", "http:///x", "http://u@127.0.0.1/"] {
            assert!(site(url).is_err(), "{url}");
        }
        assert!(site("http://127.0.0.1/a b").is_err());
        let two = ["http://127.0.0.1/".to_owned(), "http://127.0.0.2/".to_owned()];
        assert!(Site::new(&two, 200).is_err());
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
