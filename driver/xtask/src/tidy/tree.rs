//! The repository as it was read: paths, texts, and Rust sources taken apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use walkdir::WalkDir;

use super::Finding;
use super::source::Source;

/// All files that belong to the repository, by path from its top with `/` between parts.
pub(super) struct Tree {
    files: BTreeMap<String, File>,
}

/// One file.
pub(super) struct File {
    /// Its text; `None` when it is not UTF-8.
    pub(super) text: Option<String>,
    /// Its tokens and items when it is Rust; an error says where it is not.
    pub(super) source: Option<Result<Source, (usize, String)>>,
}

impl Tree {
    /// Reads what git tracks or would track; without git, what lies there.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let paths = match git_paths(root) {
            Some(paths) => paths,
            None => walked_paths(root)?,
        };
        let mut files = BTreeMap::new();
        for path in paths {
            let on_disk = root.join(&path);
            if !on_disk.is_file() {
                continue;
            }
            let bytes = fs::read(&on_disk).with_context(|| format!("reading {path}"))?;
            let file = File::new(&path, String::from_utf8(bytes).ok());
            files.insert(path, file);
        }
        Ok(Self { files })
    }

    /// A tree of the given paths and texts.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self { files: BTreeMap::new() };
        for (path, text) in files {
            tree.insert(path, (*text).to_owned());
        }
        tree
    }

    /// Adds or replaces a file.
    pub(super) fn insert(&mut self, path: &str, text: String) {
        self.files.insert(path.to_owned(), File::new(path, Some(text)));
    }

    /// Every file.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// Every file that is text.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter_map(|(path, file)| Some((path, file.text.as_deref()?)))
    }

    /// Every Rust source that could be taken apart.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.files().filter_map(|(path, file)| Some((path, file.source.as_ref()?.as_ref().ok()?)))
    }

    /// The text of the file at `path`.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.text.as_deref()
    }

    /// True when `path` is a file, or a folder with a file in it.
    pub(super) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        if path.is_empty() || self.files.contains_key(path) {
            return true;
        }
        let folder = format!("{path}/");
        self.files
            .range(folder.clone()..)
            .next()
            .is_some_and(|(first, _)| first.starts_with(&folder))
    }

    /// The folder of the crate that the file at `path` belongs to.
    pub(super) fn crate_folder<'a>(&self, path: &'a str) -> Option<&'a str> {
        let mut folder = path;
        while let Some(end) = folder.rfind('/') {
            folder = &folder[..end];
            if self.files.contains_key(&format!("{folder}/Cargo.toml")) {
                return Some(folder);
            }
        }
        None
    }

    /// The package name in the manifest of the crate at `folder`.
    pub(super) fn crate_name(&self, folder: &str) -> Option<&str> {
        let manifest = self.text(&format!("{folder}/Cargo.toml"))?;
        let package = manifest.lines().skip_while(|line| line.trim() != "[package]");
        package
            .filter_map(|line| line.strip_prefix("name"))
            .find_map(|rest| rest.trim_start().strip_prefix('=')?.trim().strip_prefix('"'))
            .and_then(|rest| rest.split('"').next())
    }

    /// Sources that are not Rust.
    pub(super) fn unreadable(&self) -> Vec<Finding> {
        let broken = self.files().filter_map(|(path, file)| match &file.source {
            Some(Err((line, message))) => Some(Finding::new(path, *line, message.clone())),
            _ => None,
        });
        broken.collect()
    }
}

impl File {
    fn new(path: &str, text: Option<String>) -> Self {
        let is_rust = Path::new(path).extension().is_some_and(|extension| extension == "rs");
        let source = text.as_deref().filter(|_| is_rust).map(Source::parse);
        Self { text, source }
    }
}

fn git_paths(root: &Path) -> Option<Vec<String>> {
    let listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(listing).current_dir(root).output().ok()?;
    let names = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(names.split_terminator('\0').map(str::to_owned).collect())
}

fn walked_paths(root: &Path) -> Result<Vec<String>> {
    let is_ours = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !matches!(entry.file_name().to_str(), Some("target" | ".git"))
    };
    let mut paths = Vec::new();
    for entry in WalkDir::new(root).into_iter().filter_entry(is_ours) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(root)?;
            let parts: Vec<_> =
                path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            paths.push(parts.join("/"));
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_the_nearest_crate_above_it() {
        let manifest = "[package]\nname = \"outer\"\n";
        let tree = Tree::of(&[
            ("driver/Cargo.toml", manifest),
            ("driver/nt/Cargo.toml", "[package]\nname = \"inner\"\n"),
        ]);
        assert_eq!(tree.crate_folder("driver/nt/src/irp.rs"), Some("driver/nt"));
        assert_eq!(tree.crate_folder("driver/src/lib.rs"), Some("driver"));
        assert_eq!(tree.crate_folder("README.md"), None);
        assert_eq!(tree.crate_name("driver/nt"), Some("inner"));
    }

    #[test]
    fn folders_exist_when_something_is_in_them() {
        let tree = Tree::of(&[("http/src/lib.rs", "")]);
        assert!(tree.exists("http/src/lib.rs") && tree.exists("http/src/") && tree.exists("http"));
        assert!(!tree.exists("http/s") && !tree.exists("http/src/lib"));
    }

    #[test]
    fn without_git_the_files_that_lie_there_are_read() {
        let root = std::env::temp_dir().join(format!("xtask-tree-{}", std::process::id()));
        fs::create_dir_all(root.join("target")).expect("a folder");
        fs::create_dir_all(root.join("http/src")).expect("a folder");
        fs::write(root.join("target/x"), "").expect("a file");
        fs::write(root.join("http/src/lib.rs"), "").expect("a file");
        let paths = walked_paths(&root);
        fs::remove_dir_all(&root).expect("removed");
        assert_eq!(paths.expect("paths"), ["http/src/lib.rs"]);
    }
}
