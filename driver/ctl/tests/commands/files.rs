//! What needs no server: packing, looking into images, completions.
use std::fs;
use std::path::PathBuf;

use crate::program::run;

fn sample() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../serve/site")
}

fn packed(folder: &tempfile::TempDir) -> PathBuf {
    let file = folder.path().join("site.img");
    run(&["pack", sample(), "-o", file.to_str().unwrap()]).ok();
    file
}

#[test]
fn a_packed_folder_is_told_in_a_table_and_can_be_looked_into() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.img");
    let name = file.to_str().unwrap();
    let out = run(&["pack", sample(), "-o", name]).ok();
    for row in ["paths", "contents", "variants", "octets saved", "octets of image", name] {
        assert!(out.contains(row), "no {row}: {out}");
    }
    let shown = run(&["inspect", name]).ok();
    assert!(shown.contains(" /hello.txt "), "{shown}");
    assert!(shown.contains("health endpoint main, 503 when drain, 503 when down"), "{shown}");
    let value = run(&["--json", "inspect", name]).json();
    assert_eq!(value["image_bytes"], fs::metadata(&file).unwrap().len());
    let entries = value["entries"].as_array().unwrap();
    let index = entries.iter().find(|entry| entry["path"] == "/index.html").unwrap();
    assert_eq!(index["variants"][0]["coding"], "identity");
    // Nothing but the image is left in the folder.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_packed_image_replaces_the_one_before_and_others_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.img");
    fs::write(&file, "before").unwrap();
    let value = run(&["pack", sample(), "--output", file.to_str().unwrap(), "--json"]).json();
    assert_eq!(value["image_bytes"], fs::metadata(&file).unwrap().len());
    assert_eq!(value["warnings"], serde_json::json!([]));
    // As any file that is made here.
    fs::write(folder.path().join("other"), "").unwrap();
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("site.img"), mode("other"));
}

#[test]
fn warnings_are_shown_and_a_folder_that_is_no_site_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    fs::create_dir(&site).unwrap();
    fs::write(site.join(".hidden"), "").unwrap();
    fs::write(site.join("a.txt"), "").unwrap();
    let (site_name, image) = (site.to_str().unwrap(), folder.path().join("a.img"));
    let pack =
        |json: &[&str]| run(&[&["pack", site_name, "-o", image.to_str().unwrap()], json].concat());
    let done = pack(&[]);
    assert!(done.said.contains("warning: ") && done.said.contains(".hidden"), "{done:?}");
    assert!(pack(&["--json"]).json()["warnings"][0].as_str().unwrap().contains(".hidden"));
    fs::write(site.join("site.toml"), "[[response]]\nbody = 1\n").unwrap();
    fs::remove_file(&image).unwrap();
    pack(&[]).fails(1, "site.toml");
    assert!(!image.exists());
    run(&["pack", "no/such/folder"]).fails(4, "no/such/folder");
    let nowhere = folder.path().join("no/such/a.img");
    run(&["pack", sample(), "-o", nowhere.to_str().unwrap()]).fails(4, "no/such/a.img");
}

#[test]
fn what_is_wrong_with_an_image_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = packed(&folder);
    let name = file.to_str().unwrap();
    let image = fs::read(&file).unwrap();
    let mut flipped = image.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut version = image.clone();
    version[8] = 0xEE;
    for (broken, why) in [
        (&image[..image.len() - 1], "octets where there should be"),
        (&flipped, "checksum"),
        (&version, "format version"),
        (b"hello", "not a site image"),
        (b"", "not a site image"),
    ] {
        fs::write(&file, broken).unwrap();
        run(&["inspect", name]).fails(1, why);
    }
    let run = run(&["--json", "inspect", name]);
    assert_eq!(run.code, Some(1));
    let error: serde_json::Value = serde_json::from_str(&run.said).unwrap();
    assert_eq!(error["exit_code"], 1);
}

#[test]
fn shells_can_complete_and_help_lists_the_exit_codes() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]).ok();
        assert!(script.contains("heartbeat"), "{shell}");
    }
    let help = run(&["--help"]).ok();
    assert!(help.contains("Exit codes:"), "{help}");
    assert_eq!(run(&["fly"]).code, Some(2));
    run(&["heartbeat", "main", "--every", "2s", "--timeout", "1s"]).fails(2, "--timeout");
}

#[test]
fn completions_for_bash_are_a_script_that_bash_reads() {
    let script = run(&["completions", "bash"]).ok();
    let check = format!("{script}\ncomplete -p wskhttpctl");
    let output = std::process::Command::new("bash").args(["-c", &check]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn who_stops_reading_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    fs::create_dir(&site).unwrap();
    for number in 0..3000 {
        fs::write(site.join(format!("file-{number}")), "").unwrap();
    }
    let image = folder.path().join("a.img");
    run(&["pack", site.to_str().unwrap(), "-o", image.to_str().unwrap()]).ok();
    let mut child = crate::program::command(&["inspect", image.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
