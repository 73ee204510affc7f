//! The reference of the rule language says what is so: its snippets load, its list of codes is whole.

use crate::rules::load;
use copydesk::rules::RuleSet;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a snippet leaves out: sections that make a complete set.
const BESIDE: [(&str, &str); 5] = [
    ("sources", "  - {name: news, path: ../content}\n"),
    ("lists", "  trusted: [example.org]\n"),
    ("topics", "  - {name: AI}\n"),
    ("queues", "  - {name: general}\n"),
    (
        "reviewers",
        "  - {name: Ana, email: ana@example.org, queues: all}\n",
    ),
];

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/README.md")).unwrap()
}

/// The snippets fenced with these words, each with its line.
fn snippets(text: &str, fence: &str) -> Vec<(usize, String)> {
    let mut snippets = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((n, line)) = lines.next() {
        if line == fence {
            let body = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```");
            snippets.push((n + 1, body.map(|line| format!("{line}\n")).collect()));
        }
    }
    snippets
}

fn load_snippet(snippet: &str) -> Result<RuleSet, Vec<String>> {
    // Reviewers name queues, which their snippet need not repeat.
    let named = "  - {name: urgent, when: quality > 90}\n  - {name: ai-desk, when: quality > 80}\n  - {name: general}\n";
    let mut beside = String::new();
    for (section, entries) in BESIDE {
        if !snippet.contains(&format!("{section}:\n")) {
            let entries = if section == "queues" { named } else { entries };
            beside += &format!("{section}:\n{entries}");
        }
    }
    load(&[("beside.yaml", &beside), ("snippet.yaml", snippet)])
}

#[test]
fn every_snippet_loads() {
    let text = readme();
    let right = snippets(&text, "```yaml");
    assert!(right.len() > 12);
    for (line, snippet) in right {
        let set = load_snippet(&snippet)
            .unwrap_or_else(|faults| panic!("rules/README.md:{line}\n{}", faults.join("\n")));
        // There is no feed beside the snippets.
        let odd = set.warnings.iter().find(|w| w.code != "no-topic-file");
        assert!(odd.is_none(), "rules/README.md:{line} {odd:#?}");
    }
}

#[test]
fn every_wrong_snippet_is_refused_with_the_quoted_form() {
    let text = readme();
    let wrong = snippets(&text, "```yaml wrong");
    assert!(!wrong.is_empty());
    for (line, snippet) in wrong {
        let faults = load_snippet(&snippet).expect_err(&format!("rules/README.md:{line} loads"));
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains("quote the condition")),
            "{}",
            faults.join("\n")
        );
    }
}

/// The forms of the table of quotes, each a condition that loads.
#[test]
fn every_quoted_form_loads() {
    let text = readme();
    let rows = text
        .lines()
        .filter_map(|line| line.split_once("| `when: ")?.1.strip_suffix("` |"));
    let forms: Vec<&str> = rows.collect();
    assert_eq!(forms.len(), 5);
    for form in forms {
        if let Err(faults) = load_snippet(&format!("queues:\n  - name: one\n    when: {form}\n")) {
            panic!("{form}\n{}", faults.join("\n"));
        }
    }
}

#[test]
fn every_code_is_listed() {
    let mut codes = BTreeSet::new();
    for entry in walkdir::WalkDir::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rules")) {
        let entry = entry.unwrap();
        if !entry.file_type().is_file() {
            continue;
        }
        let code = fs::read_to_string(entry.path()).unwrap();
        for (severity, call) in [("error", ".error("), ("warning", ".warning(")] {
            let calls = code
                .split(call)
                .skip(1)
                .filter_map(|rest| rest.trim_start().strip_prefix('"'));
            codes.extend(
                calls.filter_map(|rest| Some((rest.split_once('"')?.0.to_owned(), severity))),
            );
        }
    }
    let text = readme();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let code = cells.next()?.strip_suffix('`')?.to_owned();
        match cells.next()? {
            "error" => Some((code, "error")),
            "warning" => Some((code, "warning")),
            _ => None,
        }
    };
    let listed: BTreeSet<(String, &str)> = text.lines().filter_map(row).collect();
    assert_eq!(listed, codes);
}
