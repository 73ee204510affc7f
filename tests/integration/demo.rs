//! The demo, from start to end, as a newcomer with no time sees it.

use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn the_demo_shows_everything_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_copydesk"));
    demo.args(["demo", "--fast"])
        .current_dir(temporary.path())
        .env("TMPDIR", temporary.path())
        .env_remove("COPYDESK_RULES")
        .env_remove("COPYDESK_STATE")
        .stdin(Stdio::null());
    let output = demo.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}{complaints}");
    assert_eq!(complaints, "");
    let lines = |word: &str| {
        let start = format!(" {word:<8} ");
        said.lines().filter(|line| line.starts_with(&start)).count()
    };
    // The second version may land before the first was seen.
    assert_eq!((lines("new"), lines("broken")), (26, 2), "{said}");
    assert!(lines("changed") <= 1, "{said}");
    assert_eq!(lines("noise"), 1, "{said}");
    let wide = said.lines().find(|line| {
        let is_path = line.contains(temporary.path().to_str().unwrap());
        !is_path && unicode_width::UnicodeWidthStr::width(*line) > 80
    });
    assert_eq!(wide, None);
    let open = "Open the desk in a browser, once, within ten minutes:\n  http://127.0.0.1:";
    let link = said.split(open).nth(1).unwrap_or_else(|| panic!("{said}"));
    assert!(link.lines().next().unwrap().contains("/sign-in/"), "{said}");
    assert!(said.contains("Nothing was decided; 26 items waited.\nThe folder is removed: "));
    let left: Vec<_> = Path::new(temporary.path()).read_dir().unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_demo_is_for_people() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_copydesk"));
    let output = demo.args(["demo", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
}
