//! What is served: small enough for thousands of runs, large enough to be sent in parts.
use std::path::Path;
use std::sync::{Arc, LazyLock};

use response_cache::build::{Options, build_folder};

/// Octets of `/large`: more than one send carries.
const LARGE_BYTES: u32 = 200_000;

/// The content of a path.
pub(crate) fn content(path: &str) -> &'static [u8] {
    static MEDIUM: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..9_000_u32).map(|n| (n % 251) as u8).collect());
    static LARGE: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..LARGE_BYTES).map(|n| (n / 7 % 253) as u8).collect());
    match path {
        "/hello.txt" => b"Hello, world!",
        "/medium" => &MEDIUM,
        "/large" => &LARGE,
        _ => &[],
    }
}

fn write(folder: &Path) -> std::io::Result<()> {
    for path in ["/hello.txt", "/medium", "/large"] {
        std::fs::write(folder.join(&path[1..]), content(path))?;
    }
    let declared = "[[response]]\npath = \"/old\"\nredirect = \"/hello.txt\"\nstatus = 301\n";
    std::fs::write(folder.join("site.toml"), declared)
}

/// The image of the site, the same octets in every process.
///
/// # Panics
/// When there is no folder for temporary files.
pub(crate) fn image() -> Arc<Vec<u8>> {
    static IMAGE: LazyLock<Arc<Vec<u8>>> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder for the site");
        write(folder.path()).expect("the site is written");
        let options = Options { modified: Some(1_700_000_000), ..Options::default() };
        Arc::new(build_folder(folder.path(), &options).expect("the site is packed").image)
    });
    IMAGE.clone()
}
