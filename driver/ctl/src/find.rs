//! Which server is meant.
use crate::arguments::Target;
use crate::device::Address;
use crate::failure::Failure;

/// The device that was named, or that of the only server.
#[cfg(windows)]
pub(crate) fn address(target: &Target) -> Result<Address, Failure> {
    Ok(Address(target.device.clone()))
}

#[cfg(unix)]
pub(crate) use unix::address;

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    use std::os::unix::net::UnixStream;
    use std::path::{Path, PathBuf};

    use super::{Address, Failure, Target};

    /// The socket that was named, or that of the only server.
    pub(crate) fn address(target: &Target) -> Result<Address, Failure> {
        if let Some(path) = &target.socket {
            return Ok(Address(path.clone()));
        }
        only(&folder(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from)))
    }

    /// Where `wskhttpd serve` puts its sockets.
    fn folder(runtime: Option<PathBuf>) -> PathBuf {
        let is_one = |runtime: &PathBuf| runtime.is_absolute() && runtime.is_dir();
        if let Some(runtime) = runtime.filter(is_one) {
            return runtime.join("wskhttpd");
        }
        let uid = rustix::process::getuid().as_raw();
        std::env::temp_dir().join(format!("wskhttpd-{uid}"))
    }

    fn only(folder: &Path) -> Result<Address, Failure> {
        let mut live = live(folder);
        match live.len() {
            0 => Err(Failure::NoServer(format!(
                "no server is running (none has a socket in {}); --socket names one elsewhere",
                folder.display()
            ))),
            1 => Ok(Address(live.remove(0))),
            count => {
                let all: Vec<_> = live.iter().map(|path| path.display().to_string()).collect();
                let all = all.join(", ");
                Err(Failure::NoServer(format!("{count} servers: say --socket with one of {all}")))
            }
        }
    }

    /// Sockets that somebody listens at, by name. A folder of another user is not looked into:
    /// whoever made it could answer in the server's place.
    fn live(folder: &Path) -> Vec<PathBuf> {
        let own = |path: &Path| {
            let metadata = path.symlink_metadata().ok()?;
            (metadata.uid() == rustix::process::getuid().as_raw()).then_some(metadata)
        };
        if !own(folder).is_some_and(|metadata| metadata.is_dir()) {
            return Vec::new();
        }
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
            .filter(|path| own(path).is_some_and(|metadata| metadata.file_type().is_socket()))
            .filter(|path| UnixStream::connect(path).is_ok())
            .collect();
        paths.sort();
        paths
    }

    #[cfg(test)]
    mod tests {
        use std::os::unix::net::UnixListener;

        use super::*;

        #[test]
        fn the_runtime_folder_is_the_sessions_or_the_users_own() {
            let session = tempfile::tempdir().unwrap();
            let found = folder(Some(session.path().to_owned()));
            assert_eq!(found, session.path().join("wskhttpd"));
            let own = format!("wskhttpd-{}", rustix::process::getuid().as_raw());
            let gone = session.path().join("gone");
            for runtime in [None, Some(PathBuf::new()), Some(PathBuf::from(".")), Some(gone)] {
                assert!(folder(runtime).ends_with(&own));
            }
        }

        #[test]
        fn the_only_live_socket_is_found_and_dead_ones_are_skipped() {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            assert!(only(&at("none")).is_err());
            // Left behind: nobody listens any more.
            drop(UnixListener::bind(at("1.sock")).unwrap());
            std::fs::write(at("2.sock"), "a file").unwrap();
            let _not_a_server = UnixListener::bind(at("other")).unwrap();
            assert!(only(folder.path()).is_err());
            let _one = UnixListener::bind(at("3.sock")).unwrap();
            assert_eq!(only(folder.path()).unwrap(), Address(at("3.sock")));
            let _two = UnixListener::bind(at("4.sock")).unwrap();
            let Err(Failure::NoServer(said)) = only(folder.path()) else { panic!("one of two") };
            assert!(said.contains("3.sock") && said.contains("4.sock"), "{said}");
        }

        #[test]
        fn a_link_in_place_of_the_folder_is_not_followed() {
            let folder = tempfile::tempdir().unwrap();
            let real = folder.path().join("real");
            std::fs::create_dir(&real).unwrap();
            let _one = UnixListener::bind(real.join("1.sock")).unwrap();
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&real, &link).unwrap();
            assert!(only(&real).is_ok() && only(&link).is_err());
        }
    }
}
