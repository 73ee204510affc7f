//! Hostile file systems: links, pipes, odd names, sizes and times.

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::desk::{Desk, assert_published};

/// A desk with a good neighbour, which every pass must read.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.story("good.md").write();
    desk
}

#[track_caller]
fn only_the_good_one_waits(desk: &Desk) {
    let scan = desk.scan();
    assert_eq!(scan["records"], 1, "{scan}");
    assert_eq!(desk.waiting(), ["good.md".to_owned()].into());
}

#[test]
fn a_link_to_a_file_outside_is_not_followed() {
    let desk = desk();
    let outside = desk.path("outside.md");
    let bytes = desk.story("../outside.md").title("CANARY").write().bytes();
    symlink(&outside, desk.content("link.md")).unwrap();
    symlink("/dev/zero", desk.content("zero.md")).unwrap();
    symlink("nowhere.md", desk.content("dangling.md")).unwrap();
    symlink("itself.md", desk.content("itself.md")).unwrap();
    only_the_good_one_waits(&desk);
    assert!(!format!("{:?}", desk.dump()).contains("CANARY"));
    assert_eq!(fs::read(outside).unwrap(), bytes);
}

#[test]
fn a_folder_that_is_a_link_is_not_followed() {
    let desk = desk();
    desk.story("../outside/secret.md").write();
    symlink(desk.path("outside"), desk.content("outside")).unwrap();
    symlink(".", desk.content("loop")).unwrap();
    fs::create_dir(desk.content("deeper")).unwrap();
    symlink("..", desk.content("deeper/up")).unwrap();
    symlink("/", desk.content("root")).unwrap();
    only_the_good_one_waits(&desk);
}

#[test]
fn a_folder_swapped_for_a_link_is_not_written_through() {
    let desk = desk();
    let bytes = desk.story("in/a.md").write().bytes();
    desk.scan();
    let tag = desk.tag("in/a.md");
    fs::rename(desk.content("in"), desk.path("outside")).unwrap();
    symlink(desk.path("outside"), desk.content("in")).unwrap();
    desk.run(&["approve", &tag]);
    assert_eq!(fs::read(desk.path("outside/a.md")).unwrap(), bytes);
    desk.later("1h").scan();
    assert_eq!(fs::read(desk.path("outside/a.md")).unwrap(), bytes);
}

#[test]
fn a_file_swapped_for_a_link_is_not_written_through() {
    let desk = desk();
    let bytes = desk.story("a.md").write().bytes();
    desk.scan();
    let tag = desk.tag("a.md");
    fs::rename(desk.content("a.md"), desk.path("outside.md")).unwrap();
    symlink(desk.path("outside.md"), desk.content("a.md")).unwrap();
    desk.run(&["approve", &tag]);
    desk.later("1h").scan();
    assert_eq!(fs::read(desk.path("outside.md")).unwrap(), bytes);
    assert!(
        fs::symlink_metadata(desk.content("a.md"))
            .unwrap()
            .is_symlink()
    );
}

#[test]
fn a_pipe_named_like_a_record_is_passed_over() {
    let desk = desk();
    let pipe = desk.content("pipe.md");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    only_the_good_one_waits(&desk);
}

#[test]
fn a_socket_or_a_folder_named_like_a_record_is_passed_over() {
    let desk = desk();
    let _listener = std::os::unix::net::UnixListener::bind(desk.content("socket.md")).unwrap();
    fs::create_dir(desk.content("folder.md")).unwrap();
    only_the_good_one_waits(&desk);
}

#[test]
fn a_hard_link_is_read_and_never_written() {
    let desk = desk();
    let bytes = desk
        .story("../outside.md")
        .title("In two places")
        .write()
        .bytes();
    fs::hard_link(desk.path("outside.md"), desk.content("twice.md")).unwrap();
    desk.scan();
    assert_eq!(desk.item("twice.md")["title"], "In two places");
    let told = desk.approve("twice.md").seen() + &desk.json(&["status"]).to_string();
    assert!(told.contains("link"), "nobody is told why: {told}");
    desk.later("1h").scan();
    assert_eq!(desk.read("twice.md"), bytes);
    assert_eq!(fs::read(desk.path("outside.md")).unwrap(), bytes);
}

#[test]
fn names_are_bytes() {
    let longest = format!("{}.md", "n".repeat(252));
    for name in [
        &b"not-utf8-\xff\xfe.md"[..],
        b"new\nline.md",
        b"car\rriage.md",
        b"qu\"o'te.md",
        b"-leading-dash.md",
        b"--json.md",
        b"back\\slash.md",
        b"esc\x1b[31mape.md",
        b"{braces}[brackets]*?.md",
        b"%2e%2e%2f.md",
        b" blank .md",
        "spr\u{e4}che-\u{82b1}\u{5712}.md".as_bytes(),
        longest.as_bytes(),
    ] {
        let name = OsStr::from_bytes(name);
        let desk = desk();
        let bytes = desk
            .story("template.md")
            .url("https://example.org/odd-name")
            .title("An odd name")
            .bytes();
        desk.write(name, &bytes);
        desk.scan();
        assert!(desk.waiting().contains("good.md"), "{name:?}");
        let queue = desk.queue();
        let item = queue.iter().find(|item| item["title"] == "An odd name");
        let item = item.unwrap_or_else(|| panic!("{name:?} is not read: {queue:?}"));
        for listing in [
            desk.run(&["queue"]),
            desk.run(&["show", &item["id"].to_string()]),
        ] {
            assert!(
                !listing.seen().contains(['\u{1b}', '\r']),
                "{name:?}: {listing:?}"
            );
        }
        desk.run(&["approve", &crate::desk::tag(item)]).done();
        assert_published(&bytes, &desk.read(name));
        assert_eq!(desk.later("1h").scan()["new"], 0, "{name:?}");
    }
}

#[test]
fn names_that_differ_by_case_or_form_are_two_records() {
    let desk = desk();
    for name in ["A.md", "a.md", "caf\u{e9}.md", "cafe\u{301}.md"] {
        desk.story(name).without_url().title(name).write();
    }
    assert_eq!(desk.scan()["queued"], 5);
}

#[test]
fn a_deep_tree_is_walked_to_a_limit() {
    let desk = desk();
    desk.story(&format!("{}deep.md", "d/".repeat(20))).write();
    desk.write(
        format!("{}abyss.md", "x/".repeat(300)),
        "---\ntitle: x\npublished: false\n---\n",
    );
    desk.scan();
    let waiting = desk.waiting();
    assert!(waiting.contains("good.md"));
    assert!(waiting.contains(&format!("{}deep.md", "d/".repeat(20))));
    assert!(
        !waiting
            .iter()
            .any(|location| location.ends_with("abyss.md"))
    );
}

#[test]
fn a_file_of_any_apparent_size_is_not_read() {
    let desk = desk();
    File::create(desk.content("sparse.md"))
        .unwrap()
        .set_len(1 << 36)
        .unwrap();
    let scan = desk.scan();
    assert_eq!((&scan["records"], &scan["broken"]), (&1.into(), &1.into()));
    assert!(desk.broken().contains_key("sparse.md"));
    assert_eq!(desk.waiting(), ["good.md".to_owned()].into());
}

#[test]
fn the_limits_are_where_they_are_said_to_be() {
    let desk = desk();
    let head =
        "---\ntitle: Just fits\noriginalUrl: https://example.org/fits\npublished: false\n---\n";
    let limit = 8 * 1024 * 1024;
    desk.write(
        "fits.md",
        format!("{head}{}", "x".repeat(limit - head.len())),
    );
    desk.write(
        "over.md",
        format!(
            "{}{}",
            head.replace("fits", "over"),
            "x".repeat(limit + 1 - head.len())
        ),
    );
    desk.scan();
    assert_eq!(desk.item("fits.md")["title"], "Just fits");
    assert_eq!(desk.broken().keys().collect::<Vec<_>>(), ["over.md"]);
}

/// Root reads everything, so this shows nothing to it.
#[test]
fn what_may_not_be_read_is_reported_and_the_others_are_read() {
    if rustix::process::geteuid().is_root() {
        println!("skipped: root may read everything");
        return;
    }
    let desk = desk();
    desk.story("locked.md").write();
    desk.story("locked/inside.md").write();
    fs::set_permissions(desk.content("locked.md"), fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(desk.content("locked"), fs::Permissions::from_mode(0o000)).unwrap();
    only_the_good_one_waits(&desk);
    assert!(desk.json(&["status"]).to_string().contains("locked"));
    fs::set_permissions(desk.content("locked"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(desk.content("locked.md"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(desk.later("1h").scan()["queued"], 3);
}

#[test]
fn new_content_under_an_old_time_is_seen() {
    let desk = desk();
    let story = desk.story("a.md").title("One").write();
    let old = File::open(desk.content("a.md"))
        .unwrap()
        .metadata()
        .unwrap()
        .modified()
        .unwrap();
    desk.scan();
    story.clone().title("Two").write();
    let times = FileTimes::new().set_modified(old);
    File::options()
        .write(true)
        .open(desk.content("a.md"))
        .unwrap()
        .set_times(times)
        .unwrap();
    desk.later("1h").scan();
    assert_eq!(desk.item("a.md")["title"], "Two");

    story.title("Six").moved_to("b.tmp").write();
    File::options()
        .write(true)
        .open(desk.content("b.tmp"))
        .unwrap()
        .set_times(times)
        .unwrap();
    desk.rename("b.tmp", "a.md");
    desk.later("1h").scan();
    assert_eq!(desk.item("a.md")["title"], "Six");
}

#[test]
fn times_from_another_age_are_taken() {
    use std::time::{Duration, SystemTime};
    let desk = desk();
    for (name, seconds) in [("first.md", 0), ("late.md", 4_294_967_295)] {
        desk.story(name).write();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let file = File::options()
            .write(true)
            .open(desk.content(name))
            .unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }
    assert_eq!(desk.scan()["queued"], 3);
    assert_eq!(desk.later("1h").scan()["unchanged"], 3);
}

#[test]
fn a_name_that_was_a_record_and_becomes_a_folder_is_gone() {
    let desk = desk();
    desk.story("a.md").write();
    desk.scan();
    let id = desk.id("a.md");
    desk.remove("a.md");
    fs::create_dir(desk.content("a.md")).unwrap();
    desk.run(&["approve", &id.to_string()]);
    assert!(desk.content("a.md").is_dir());
    desk.later("1h").scan();
    desk.later("61s").scan();
    assert_eq!(desk.waiting(), ["good.md".to_owned()].into());
}
