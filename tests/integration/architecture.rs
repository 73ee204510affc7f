//! Imports point down: the layers of the house, read from its sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every module and its layer. A module may import the layers below its own, and nothing beside it.
const LAYERS: &[(&str, u8)] = &[
    ("main", 10),
    ("lib", 9),
    ("cli", 8),
    ("daemon", 7),
    ("http", 6),
    ("intake", 5),
    ("review", 5),
    ("write_back", 5),
    ("notify", 5),
    ("backtest", 5),
    ("report", 5),
    ("store", 4),
    ("rules", 3),
    ("watch", 3),
    ("record", 2),
    ("item", 1),
    ("schedule", 1),
    ("token", 1),
    ("config", 1),
];

#[test]
fn imports_point_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&root);
    assert!(files.iter().any(|file| file.ends_with("lib.rs")));
    let wrong: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
            complaints(name, &fs::read_to_string(file).unwrap())
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_import_that_points_up_is_found() {
    for (file, text) in [
        ("store/items.rs", "use crate::notify::Digest;"),
        ("record.rs", "fn f() { let set = crate::rules::load(); }"),
        ("review.rs", "use crate::{item::Status, intake};"),
        (
            "report.rs",
            "use crate::{\n    item::{Cause, Status},\n    review::Reviews,\n};",
        ),
        ("item.rs", "use crate::schedule::Cron;"),
        ("config.rs", "use super::record::Record;"),
        ("rules/condition.rs", "use super::super::store::Store;"),
        ("store.rs", "use crate::run;"),
        ("intake.rs", "use crate::{self as house};"),
        ("notify.rs", "pub(in crate::write_back) fn f() {}"),
    ] {
        assert_eq!(
            complaints(file, text).len(),
            1,
            "{file}: {text}: {:?}",
            complaints(file, text)
        );
    }
}

#[test]
fn a_module_without_a_layer_is_found() {
    assert_eq!(complaints("util.rs", "").len(), 1);
    assert_eq!(complaints("util/text.rs", "").len(), 1);
}

#[test]
fn an_import_that_points_down_is_fine() {
    for (file, text) in [
        (
            "review.rs",
            "use crate::{item::Status, store::{self, Store}};",
        ),
        (
            "store/items.rs",
            "use crate::store::Error; use crate::rules::Score;",
        ),
        (
            "cli/scan.rs",
            "use crate::intake; use crate::config::Config;",
        ),
        (
            "record.rs",
            "/// See [`crate::store`].\n// use crate::cli;\nconst URL: &str = \"https://example.org\";",
        ),
        (
            "rules/condition.rs",
            "use super::Rule;\nmod tests {\n    use super::super::Rule;\n}",
        ),
        ("lib.rs", "pub mod cli;"),
    ] {
        assert_eq!(
            complaints(file, text),
            Vec::<String>::new(),
            "{file}: {text}"
        );
    }
}

#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    for file in sources(&folder) {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let above = match file.parent().unwrap() {
            top if top == folder => folder.join("main.rs"),
            deeper => deeper.with_extension("rs"),
        };
        let above = fs::read_to_string(above).unwrap();
        assert!(
            stem == "main" || above.lines().any(|line| line == format!("mod {stem};")),
            "{} is in no test run",
            file.display()
        );
    }
}

/// `tests/long/run` names each test that asks how often it is to repeat itself, and no other.
#[test]
fn no_long_form_is_forgotten() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let run = fs::read_to_string(tests.join("long/run")).unwrap();
    let named = run.lines().filter_map(|line| line.split_once(' '));
    let named: BTreeSet<String> = named
        .filter(|(rounds, _)| rounds.parse::<usize>().is_ok())
        .map(|(_, name)| name.to_owned())
        .collect();
    let mut found = BTreeSet::new();
    for file in sources(&tests.join("integration")) {
        let module = file.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        for test in text.split("#[test]\nfn ").skip(1) {
            let (name, rest) = test.split_once('(').unwrap();
            let body = rest.split_once("\n}\n").map_or(rest, |(body, _)| body);
            if module != "architecture" && body.contains("rounds()") {
                found.insert(format!("{module}::{name}"));
            }
        }
    }
    assert_eq!(found, named);
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn layer(module: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, layer)| *layer)
}

/// What is wrong with the imports of one file, named from `src/`.
fn complaints(file: &str, text: &str) -> Vec<String> {
    let module = file.trim_end_matches(".rs").split('/').next().unwrap();
    let Some(own) = layer(module) else {
        return vec![format!("{file}: the module `{module}` has no layer")];
    };
    let allowed = |name: &str| name == module || layer(name).is_some_and(|layer| layer < own);
    let wrong = imports(file, text)
        .into_iter()
        .filter(|name| !allowed(name));
    wrong
        .map(|name| format!("{file}: `{module}` may not import `crate::{name}`"))
        .collect()
}

/// The first names of all paths that start at the crate.
fn imports(file: &str, text: &str) -> Vec<String> {
    let code: Vec<&str> = text.lines().map(without_comment).collect();
    let up = "super::".repeat(file.split('/').count());
    let mut names = Vec::new();
    for line in &code {
        // A `use` in the first column belongs to the file's own module, so this many `super` reach the crate.
        if let Some(rest) = line
            .strip_prefix("use ")
            .or_else(|| line.strip_prefix("pub(crate) use "))
        {
            names.extend(
                rest.strip_prefix(up.as_str())
                    .map(heads)
                    .unwrap_or_default(),
            );
        }
    }
    let code = code.join("\n");
    for (start, _) in code.match_indices("crate::") {
        let inside_a_name =
            code[..start].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        if !inside_a_name {
            names.extend(heads(&code[start + "crate::".len()..]));
        }
    }
    names
}

fn without_comment(line: &str) -> &str {
    let comment = line
        .match_indices("//")
        .find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// The first name of a path, or of each path in braces.
fn heads(path: &str) -> Vec<String> {
    let name = |path: &str| {
        path.trim()
            .chars()
            .take_while(|char| char.is_alphanumeric() || *char == '_')
            .collect()
    };
    let Some(list) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let mut depth = 0;
    let mut paths = vec![String::new()];
    for char in list.chars() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => paths.push(String::new()),
            _ if depth == 0 => paths.last_mut().unwrap().push(char),
            _ => {}
        }
    }
    paths
        .iter()
        .filter(|path| !path.trim().is_empty())
        .map(|path| name(path))
        .collect()
}
