//! The plain reader of YAML on files as they are: it reads nearly all of a feed's, and none of them
//! otherwise than the full reader.

use std::fs;
use std::path::Path;

use copydesk::record::value::Value;
use copydesk::record::yaml::{Budget, Node, full, plain};

use crate::corpus::{corpus, files};

/// The front matter of a page.
fn front(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text.split_inclusive('\n').skip(1);
    lines.take_while(|line| line.trim_end() != "---").collect()
}

/// How many of these pages are read as plain, each of them as the full reader reads it.
fn read<'p>(pages: impl Iterator<Item = (&'p String, &'p Vec<u8>)>) -> usize {
    let read = |(name, bytes): &(&String, &Vec<u8>)| {
        let text = front(bytes);
        let Some(tree) = plain::read::<Node>(&text, Budget::RECORD) else {
            return false;
        };
        let values = plain::read::<Value>(&text, Budget::RECORD);
        assert_eq!(values, Some(tree.to_value()), "{name}");
        assert_eq!(full::read(&text, Budget::RECORD), Ok(Some(tree)), "{name}");
        true
    };
    pages.filter(read).count()
}

#[test]
fn odd_files_are_read_as_the_full_reader_reads_them() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let records = files(&home.join("tests/fixtures/records"));
    assert!(read(records.iter()) >= 10, "{}", read(records.iter()));
    for entry in fs::read_dir(home.join("rules")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = fs::read_to_string(&path).unwrap();
            if let Some(tree) = plain::read::<Node>(&text, Budget::RULES) {
                let full = full::read(&text, Budget::RULES);
                assert_eq!(full, Ok(Some(tree)), "{}", path.display());
            }
        }
    }
}

#[test]
fn nearly_every_file_of_a_feed_is_plain() {
    let Some(corpus) = corpus() else { return };
    let records = files(&corpus.join("content"));
    let slow = records.len() - read(records.iter());
    assert!(slow * 100 < records.len(), "{slow} of {}", records.len());
}
