//! Any octets are a site image whose every part can be read, or are refused.
#![no_main]

use std::sync::OnceLock;
use std::{env, fs, process};

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use response_cache::build::{Options, build_folder};
use response_cache::{Layout, Limits, Site, crc32};

/// Where the checksum stands, what it is about, and where the length stands in that.
const CHECKSUM: usize = 12;
const CHECKED_FROM: usize = 16;
/// Shorter inputs are replaced by the sample, so that no corpus is needed to begin with.
const HEADER_BYTES: usize = 128;

fuzz_target!(|image: &[u8]| {
    let Ok(layout) = Layout::validate(image, &Limits::default()) else { return };
    let site = Site::new(image, &layout);
    for entry in site.entries() {
        assert_eq!(site.lookup(site.host(entry), site.path(entry)), Some(entry));
        for variant in 0..site.variants(entry) {
            let response = site.response(entry, variant).expect("a variant");
            assert!(site.head(response).starts_with(b"HTTP/1.1 "));
            assert!(site.body(response).len() <= image.len());
        }
    }
});

// Without the right length and checksum nothing else would ever be looked at.
fuzz_mutator!(|octets: &mut [u8], size: usize, size_max: usize, _seed: u32| {
    let sample = sample();
    let size = if size < HEADER_BYTES && sample.len() <= size_max {
        octets[..sample.len()].copy_from_slice(sample);
        sample.len()
    } else {
        fuzzer_mutate(octets, size, size_max)
    };
    if size > CHECKED_FROM + 4 {
        let length = u32::try_from(size).unwrap_or(u32::MAX);
        octets[CHECKED_FROM..CHECKED_FROM + 4].copy_from_slice(&length.to_le_bytes());
        let checksum = crc32(&octets[CHECKED_FROM..size]);
        octets[CHECKSUM..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    }
    size
});

/// An image of one page.
fn sample() -> &'static [u8] {
    static SAMPLE: OnceLock<Vec<u8>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let folder = env::temp_dir().join(format!("response-cache-fuzz-{}", process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("index.html"), "hello").expect("a file");
        let options = Options { modified: Some(1_000_000_000), ..Options::default() };
        let built = build_folder(&folder, &options).expect("an image");
        fs::remove_dir_all(folder).expect("removed");
        built.image
    })
}
