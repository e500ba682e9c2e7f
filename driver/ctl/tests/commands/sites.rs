//! Loading sites into a running server.
use crate::program::run;
use crate::server::{Server, write_site};

#[test]
fn a_folder_or_an_image_is_loaded_and_served_at_once() {
    let server = Server::start(&[]);
    assert_eq!(server.get("/hello.txt"), (200, "hello".to_owned()));
    let folder = server.path("second");
    write_site(folder.as_ref(), "second");
    let out = server.ctl(&["load", &folder]).ok();
    assert!(out.starts_with("serving generation "), "{out}");
    assert_eq!(server.get("/hello.txt").1, "second");
    let folder = server.path("third");
    write_site(folder.as_ref(), "third");
    let image = server.path("third.img");
    let packed = run(&["--json", "pack", &folder, "-o", &image]).json();
    let loaded = server.json(&["load", &image]);
    assert_eq!(loaded["generation"], packed["generation"]);
    assert_eq!(loaded["image_bytes"], packed["image_bytes"]);
    assert_eq!(loaded["entries"], 3);
    assert_eq!(server.get("/hello.txt").1, "third");
}

#[test]
fn a_relative_path_and_a_link_are_found_by_the_driver_too() {
    let server = Server::start(&[]);
    write_site(server.path("second").as_ref(), "second");
    run(&["pack", &server.path("second"), "-o", &server.path("second.img")]).ok();
    std::os::unix::fs::symlink("second.img", server.path("link.img")).unwrap();
    let mut command = crate::program::command(&["load", "link.img", "--socket"]);
    command.arg(server.path("wskhttpd/1.sock")).current_dir(server.runtime.path());
    crate::program::Run::from(command.output().unwrap()).ok();
    assert_eq!(server.get("/hello.txt").1, "second");
}

#[test]
fn what_is_no_site_is_refused_with_the_reason_and_the_one_before_is_served_on() {
    let server = Server::start(&[]);
    let (image, good) = (server.path("bad.img"), server.path("site"));
    run(&["pack", &good, "-o", &image]).ok();
    let octets = std::fs::read(&image).unwrap();
    let mut flipped = octets.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (broken, why) in [(&octets[..octets.len() / 2], "octets"), (&flipped, "checksum")] {
        std::fs::write(&image, broken).unwrap();
        server.ctl(&["load", &image]).fails(1, why);
    }
    server.ctl(&["load", &server.path("none.img")]).fails(4, "none.img");
    std::fs::write(server.path("site/site.toml"), "[[response]]\nbody = 1\n").unwrap();
    server.ctl(&["load", &good]).fails(1, "site.toml");
    assert_eq!(server.get("/hello.txt"), (200, "hello".to_owned()));
}
