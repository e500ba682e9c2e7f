//! Compressing content, once and as well as it goes: nobody waits for it.

use std::io::{self, Write as _};
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flate2::{Compression, GzBuilder};
use http1::Coding;

use super::{Progress, Watch};

/// Content in a coding other than identity.
pub(super) type Compressed = (Coding, Vec<u8>);

/// A variant is kept if it saves at least a 20th.
const SAVED_PART_MIN: usize = 20;
/// And at least so many octets: its head has more fields than that of the identity coding.
const SAVED_BYTES_MIN: usize = 64;

const BROTLI_QUALITY: u32 = 11;
/// The largest window that every decoder of RFC 7932 has: 16 MiB.
const BROTLI_WINDOW_BITS: u32 = 24;
const BUFFER_BYTES: usize = 64 * 1024;

/// What is shorter than `content`: gzip before br, and each shorter than the one before it.
pub(super) fn one(content: &[u8]) -> Vec<Compressed> {
    let mut kept: Vec<Compressed> = Vec::new();
    let part = content.len().div_ceil(SAVED_PART_MIN);
    let Some(mut bytes_max) = content.len().checked_sub(part.max(SAVED_BYTES_MIN)) else {
        return kept;
    };
    let encoders: [(Coding, Encode); 2] = [(Coding::Gzip, gzip), (Coding::Br, brotli)];
    for (coding, encode) in encoders {
        if let Ok(bytes) = encode(content)
            && bytes.len() <= bytes_max
        {
            bytes_max = bytes.len().saturating_sub(1);
            kept.push((coding, bytes));
        }
    }
    kept
}

/// The same for many, on all processors; `None` stays `None`. `watch` is told before and after each
/// one, in order.
pub(super) fn all(contents: &[Option<&[u8]>], watch: Watch<'_>) -> Vec<Vec<Compressed>> {
    let done: Vec<Mutex<Vec<Compressed>>> = contents.iter().map(|_| Mutex::default()).collect();
    let next = AtomicUsize::new(0);
    let (files, bytes) = (contents.len(), contents.iter().flatten().map(|c| c.len()).sum());
    let progress = Mutex::new(Progress { files, files_done: 0, bytes, bytes_done: 0 });
    let tell = |files: usize, bytes: usize| {
        // Under the lock, so that no number is told after a greater one.
        if let Ok(mut progress) = progress.lock() {
            progress.files_done += files;
            progress.bytes_done += bytes;
            watch(*progress);
        }
    };
    tell(0, 0);
    let work = || {
        while let Some((content, place)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            contents.get(index).zip(done.get(index))
        } {
            if let (Some(content), Ok(mut place)) = (content, place.lock()) {
                *place = one(content);
            }
            tell(1, content.map_or(0, <[u8]>::len));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(contents.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    done.into_iter().map(|place| place.into_inner().unwrap_or_default()).collect()
}

/// Whether content of this media type tends to become shorter: text in the wide sense, and formats
/// that leave compression to others. Pictures, sound and archives have done it already.
pub(super) fn is_compressible(content_type: &str) -> bool {
    const ESSENCES: [&str; 14] = [
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/rtf",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-javascript",
        "application/x-sh",
        "application/xml",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/vnd.microsoft.icon",
        "image/x-icon",
    ];
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || ESSENCES.contains(&essence.as_str())
}

type Encode = fn(&[u8]) -> io::Result<Vec<u8>>;

/// Without a name and a date, so that equal content makes equal octets.
fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

fn brotli(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder =
        brotli::CompressorWriter::new(Vec::new(), BUFFER_BYTES, BROTLI_QUALITY, BROTLI_WINDOW_BITS);
    encoder.write_all(content)?;
    encoder.flush()?;
    Ok(encoder.into_inner())
}
