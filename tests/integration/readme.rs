//! README.md is true: its commands run in the order in which they stand, and print what it shows.

use crate::desk::Desk;
use std::fs;
use std::path::Path;

/// A fenced block: its language, and its lines.
struct Block {
    language: String,
    text: String,
}

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

fn section<'a>(readme: &'a str, title: &str) -> &'a str {
    let start = readme.find(&format!("## {title}\n")).unwrap();
    let rest = &readme[start + 3..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

fn blocks(text: &str) -> Vec<Block> {
    let mut parts = text.split("```");
    parts.next();
    let mut blocks = Vec::new();
    while let Some(block) = parts.next() {
        let (language, text) = block.split_once('\n').unwrap();
        blocks.push(Block {
            language: language.to_owned(),
            text: text.to_owned(),
        });
        parts.next();
    }
    blocks
}

/// Runs every `copydesk` line of a block in the desk's folder and returns what was printed.
fn run(desk: &Desk, block: &Block) -> String {
    let mut printed = String::new();
    for line in block.text.lines() {
        let args: Vec<&str> = line.split_whitespace().collect();
        let ["copydesk", args @ ..] = args.as_slice() else {
            continue;
        };
        let mut command = desk.command(args);
        command.current_dir(desk.path(""));
        printed.push_str(&crate::desk::finish(command).done().stdout);
    }
    printed
}

#[test]
fn your_own_content_works_as_told() {
    let desk = Desk::with_no_rules();
    fs::remove_dir(desk.path("rules")).unwrap();
    let readme = readme();
    let mut printed = String::new();
    for block in blocks(section(&readme, "Your own content in five minutes")) {
        match block.language.as_str() {
            "yaml" => desk.write("rekognition.md", &block.text),
            "sh" => printed = run(&desk, &block),
            _ => assert!(
                printed.contains(&block.text),
                "README shows\n{}\nand this came\n{printed}",
                block.text
            ),
        }
    }
    assert!(desk.says("rekognition.md", "published: false"));
}

#[test]
fn telling_the_reviewers_works_as_told() {
    let desk = Desk::new();
    desk.story("a.md").published(false).write();
    desk.scan();
    for block in blocks(section(&readme(), "Tell the reviewers")) {
        if block.language == "sh" {
            assert!(run(&desk, &block).contains("ana@example.org"));
        }
    }
    assert_eq!(desk.mails().len(), 1);
}

#[test]
fn every_verb_is_named_and_every_named_file_is_there() {
    let readme = readme();
    let desk = Desk::new();
    let help = desk.run(&["--help"]).done().stdout;
    let verbs = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    for verb in verbs
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
    {
        let verb = verb.split(' ').next().unwrap();
        assert!(
            verb == "help" || readme.contains(verb),
            "README does not name `{verb}`"
        );
    }
    for link in readme
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap())
    {
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(link).exists(),
            "there is no {link}"
        );
    }
}
