//! What fuzzing found once stays mended: every input in `tests/fuzz/regressions` is run again, and
//! every seed, by the functions that the fuzzers run.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/targets.rs"]
mod targets;

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// Runs each kept input of a target; one that fails is named.
fn replay(target: &str, run: fn(&[u8]) -> bool) {
    let inputs = fs::read_dir(home().join("regressions").join(target)).unwrap();
    let mut inputs: Vec<PathBuf> = inputs.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "nothing to run for {target}");
    for input in inputs {
        println!("{}", input.display());
        run(&fs::read(&input).unwrap());
    }
}

#[test]
fn rule_files_that_once_broke_the_loader_do_so_no_more() {
    replay("rules_load", targets::rules_load);
}

#[test]
fn conditions_that_once_broke_something_do_so_no_more() {
    replay("condition", targets::condition);
}

#[test]
fn files_that_once_broke_the_reader_do_so_no_more() {
    replay("front_matter", targets::front_matter);
}

#[test]
fn files_that_were_once_edited_wrongly_are_so_no_more() {
    replay("write_back_edit", targets::write_back_edit);
}

#[test]
fn records_that_once_broke_a_mail_do_so_no_more() {
    replay("mail_render", targets::mail_render);
}

#[test]
fn the_seeds_hold_what_the_fuzzers_ask_for() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules");
    let file = |name: &str| fs::read_to_string(rules.join(name)).unwrap();
    let shipped = [
        file("sources.yaml") + &file("scoring.yaml"),
        file("queues.yaml") + &file("desk.yaml"),
    ];
    assert!(targets::rules_load(shipped.join("\n====\n").as_bytes()));
    let conditions = fs::read_to_string(home().join("conditions.txt")).unwrap();
    for condition in conditions.lines() {
        println!("{condition}");
        let of_queues = condition.contains("score.");
        assert_ne!(targets::condition(condition.as_bytes()), of_queues);
    }
    let kept = |path: &str| fs::read(home().join("regressions").join(path)).unwrap();
    for kind in ["yaml", "toml", "json"] {
        assert!(targets::front_matter(&kept(&format!(
            "front_matter/{kind}"
        ))));
        assert!(targets::write_back_edit(&kept(&format!(
            "write_back_edit/{kind}"
        ))));
    }
    assert!(targets::mail_render(&kept("mail_render/hostile")));
}
