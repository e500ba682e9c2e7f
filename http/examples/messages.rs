//! Writes the streams of the differential tests, and how this crate reads them, for a parser in
//! another language: `messages COUNT | tests/differential.py`.
//!
//! One line each: the stream in hexadecimal; then what was seen, `H<octets>` for a head and
//! `E<octets>:<content in hexadecimal>` for the end of a message; then `ended` or `open`.
#[path = "../tests/messages/mod.rs"]
mod messages;

use std::io::{BufWriter, Write};

use messages::Mark;

fn hex(out: &mut impl Write, octets: &[u8]) -> std::io::Result<()> {
    octets.iter().try_for_each(|octet| write!(out, "{octet:02x}"))
}

fn main() -> std::io::Result<()> {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let mut out = BufWriter::new(std::io::stdout().lock());
    for stream in messages::streams(count.expect("a number of messages")) {
        let reading = messages::read(&stream);
        hex(&mut out, &stream)?;
        for mark in &reading.marks {
            match mark {
                Mark::Head(at) => write!(out, " H{at}")?,
                Mark::End(at, content) => {
                    write!(out, " E{at}:")?;
                    hex(&mut out, content)?;
                }
            }
        }
        writeln!(out, " {}", if reading.ended { "ended" } else { "open" })?;
    }
    out.flush()
}
