//! A seeded source of choices, and edits by it.
#![allow(dead_code)] // Every test binary uses its own part of this.

/// xorshift64*.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from((self.next() >> 33) % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// What may stand where something else stood.
const SNIPPETS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"\r\n\r\n",
    b"\r\n ",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"Host: h\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"If-None-Match: \"5f3b\"\r\n",
    b"http://h",
    b"%2e%2e/",
    b"%00",
    b"*",
    b"\x80",
    b"\xff",
    b"0\r\n\r\n",
];

/// One edit.
pub(crate) fn mutate(random: &mut Random, octets: &mut Vec<u8>) {
    let at = random.below(octets.len() + 1);
    let to = (at + random.below(12)).min(octets.len());
    match random.below(6) {
        0 if at < octets.len() => octets[at] ^= 1 << random.below(8),
        1 if at < octets.len() => octets[at] = random.next().to_le_bytes()[7],
        2 => drop(octets.drain(at..to)),
        3 => {
            let copy = octets[at..to].to_vec();
            octets.splice(at..at, copy);
        }
        4 => {
            let snippet = SNIPPETS[random.below(SNIPPETS.len())];
            octets.splice(at..to, snippet.iter().copied());
        }
        _ => {
            let snippet = SNIPPETS[random.below(SNIPPETS.len())];
            octets.splice(at..at, snippet.iter().copied());
        }
    }
}
