//! What is served: small enough for thousands of runs, large enough to be sent in parts. There are
//! several generations of it, which differ in every octet, in their lengths and so in their tags,
//! and in where things are in them.
use std::path::Path;
use std::sync::{Arc, LazyLock};

use response_cache::build::{Options, build_folder};
use response_cache::{Layout, Limits, Site};

/// Generations of the site.
pub(crate) const GENERATIONS: usize = 3;
/// Octets of `/large`: more than one send carries.
const LARGE_BYTES: usize = 200_000;
/// A health endpoint, and its name.
pub(crate) const HEALTH_PATH: &str = "/health";
pub(crate) const HEALTH_NAME: &str = "main";
/// The page of a status.
pub(crate) const ERROR_405: &str = "/405.html";
const PATHS: [&str; 4] = ["/hello.txt", "/medium", "/large", ERROR_405];

/// What a path has in one generation.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) content: Vec<u8>,
    /// Its entity tag, as the packer gave it; the page of a status has none.
    pub(crate) tag: Option<String>,
}

/// One generation.
struct Generation {
    image: Arc<Vec<u8>>,
    files: [File; PATHS.len()],
}

fn content(path: &str, generation: usize) -> Vec<u8> {
    let octets = |octets: usize, period: usize| {
        (0..octets + generation)
            .map(|n| u8::try_from((n + generation) % period).unwrap_or(0))
            .collect()
    };
    match path {
        "/hello.txt" => format!("Hello, {}!", ["world", "moon", "and again"][generation]).into(),
        "/medium" => octets(9_000, 251),
        ERROR_405 => format!("{generation}").repeat(40 + generation).into(),
        _ => octets(LARGE_BYTES, 253),
    }
}

fn tag(image: &[u8], path: &str) -> Option<String> {
    let layout = Layout::validate(image, &Limits::SERVED).ok()?;
    let site = Site::new(image, &layout);
    let response = site.response(site.lookup(b"", path.as_bytes())?, 0)?;
    String::from_utf8(site.entity_tag(response).to_vec()).ok()
}

fn write(folder: &Path, generation: usize) -> std::io::Result<()> {
    for path in PATHS {
        std::fs::write(folder.join(&path[1..]), content(path, generation))?;
    }
    // Each has one more, in front of all others.
    for number in 0..generation {
        std::fs::write(folder.join(format!("{number}.txt")), "more")?;
    }
    let declared = "[[response]]\npath = \"/old\"\nredirect = \"/hello.txt\"\nstatus = 301\n\
        [errors]\n405 = \"405.html\"\n";
    let health = format!("[[response]]\npath = \"{HEALTH_PATH}\"\nhealth = \"{HEALTH_NAME}\"\n");
    std::fs::write(folder.join("site.toml"), health + declared)
}

fn build(generation: usize) -> Generation {
    let folder = tempfile::tempdir().expect("a folder for the site");
    write(folder.path(), generation).expect("the site is written");
    let options = Options { modified: Some(1_700_000_000), ..Options::default() };
    let image = build_folder(folder.path(), &options).expect("the site is packed").image;
    let files = PATHS.map(|path| File {
        content: content(path, generation),
        tag: if path == ERROR_405 { None } else { tag(&image, path) },
    });
    Generation { image: Arc::new(image), files }
}

fn generation(generation: usize) -> &'static Generation {
    static ALL: LazyLock<[Generation; GENERATIONS]> = LazyLock::new(|| std::array::from_fn(build));
    &ALL[generation]
}

/// What a path has in each generation.
///
/// # Panics
/// When there is no folder for temporary files.
pub(crate) fn files(path: &str) -> [&'static File; GENERATIONS] {
    let at = PATHS.iter().position(|known| *known == path).expect("a path of the site");
    std::array::from_fn(|number| &generation(number).files[at])
}

/// The image of a generation, the same octets in every process.
///
/// # Panics
/// As above.
pub(crate) fn image(number: usize) -> Arc<Vec<u8>> {
    generation(number).image.clone()
}
