//! What `backtest --suggest` proposes, and that it keeps its word.

use std::fs;

use serde_json::{Value, json};

use crate::backtest::locations;
use crate::corpus::corpus;
use crate::desk::{Desk, text};

#[test]
fn a_cut_is_suggested_and_keeps_its_word_once_pasted() {
    let desk = Desk::new().with_source("types: {", "types: {view-count: number, ");
    for (location, quality, views, published) in [
        ("a.md", 10, 900, false),
        ("b.md", 80, 1_020, false),
        ("c.md", 20, 1_270, true),
        ("d.md", 90, 5_000, true),
    ] {
        let story = desk.story(location).quality(quality);
        story
            .line(&format!("view-count: {views}"))
            .published(published)
            .write();
    }
    // It has no view-count, so that a cut on it would decide nothing here.
    desk.story("e.md").quality(15).write();
    desk.scan();
    let suggest = desk.json(&["backtest", "--suggest"])["suggest"].clone();
    assert_eq!(
        (&suggest["approved"], &suggest["not_approved"]),
        (&json!(2), &json!(3))
    );
    let best = &suggest["measures"][0];
    assert_eq!(best["measure"], r#"record["view-count"]"#);
    assert_eq!(
        (&best["cut"], &best["agree"], &best["of"]),
        (&json!(1_100), &json!(4), &json!(4))
    );
    let quality = suggest["measures"].as_array().unwrap();
    let quality = quality
        .iter()
        .find(|line| line["measure"] == "quality")
        .unwrap();
    assert_eq!(
        (&quality["cut"], &quality["agree"]),
        (&json!(90), &json!(4))
    );
    assert_eq!(locations(&quality["wrong"]), ["c.md"]);
    assert_eq!(quality["wrong"][0]["value"], 20);
    let rules = fs::read_dir(desk.path("rules")).unwrap().count();
    assert_eq!(rules, 4, "nothing was changed");
    desk.rules("suggested.yaml", &text(&suggest, "yaml"));
    let page = desk.json(&["backtest"]);
    assert_eq!(page["agreement"]["feed"], json!({"agree": 4, "of": 4}));
    assert_eq!(page["shadow"].as_array().unwrap().len(), 2);
    // People's word counts for more than the feed's: with b.md approved, quality tells all apart.
    desk.approve("b.md").done();
    let suggest = desk.json(&["backtest", "--suggest"])["suggest"].clone();
    let best = &suggest["measures"][0];
    assert_eq!(best["measure"], "quality");
    assert_eq!((&best["cut"], &best["agree"]), (&json!(20), &json!(5)));
}

#[test]
fn what_tells_nothing_is_not_suggested() {
    let desk = Desk::new();
    for (location, quality, published) in
        [("a.md", 10, true), ("b.md", 50, true), ("c.md", 90, false)]
    {
        desk.story(location)
            .quality(quality)
            .heat(1)
            .published(published)
            .write();
    }
    let folder = desk.path("content");
    let args = [
        "backtest",
        "--against",
        folder.to_str().unwrap(),
        "--suggest",
    ];
    let suggest = desk.json(&args)["suggest"].clone();
    // A cut at 30 is wrong twice, and approving all only once.
    assert_eq!(
        (&suggest["measures"][0]["cut"], &suggest["yaml"]),
        (&json!(30), &Value::Null)
    );
    desk.run(&args).done().says(&["none is right more often"]);
    desk.remove("c.md");
    assert_eq!(desk.json(&args)["suggest"]["yaml"], Value::Null);
}

#[test]
fn on_a_real_feed_one_cut_on_quality_agrees_with_all() {
    let Some(corpus) = corpus() else { return };
    let desk = Desk::shipped();
    let news = corpus.join("content/_news");
    let news = news.to_str().unwrap();
    let check = |args: &[&str]| {
        let suggest = desk.json(&[args, &["--suggest"]].concat())["suggest"].clone();
        let best = suggest["measures"][0].clone();
        assert_eq!(best["measure"], "quality");
        assert_eq!(
            (&best["cut"], &best["agree"], &best["of"]),
            (&json!(70), &json!(80), &json!(80))
        );
        let printed = desk.run(&[args, &["--suggest"]].concat()).done().stdout;
        let yaml = printed.split_once("\nqueues:\n").unwrap().1;
        let yaml = format!("queues:\n{yaml}");
        assert_eq!(yaml, text(&suggest, "yaml"));
        desk.rules("suggested.yaml", &yaml);
        let page = desk.json(args);
        assert_eq!(page["agreement"]["feed"], json!({"agree": 80, "of": 80}));
        desk.run(&[args, &["--min-agreement", "1"]].concat()).done();
        fs::remove_file(desk.path("rules/suggested.yaml")).unwrap();
    };
    check(&["backtest", "--against", news]);
    assert!(!desk.path("state").exists());
    for entry in fs::read_dir(news).unwrap().map(|entry| entry.unwrap()) {
        desk.write(entry.file_name(), fs::read(entry.path()).unwrap());
    }
    desk.scan();
    check(&["backtest"]);
}
