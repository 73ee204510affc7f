//! Reads TOML into the tree that YAML is read into.
//!
//! `toml_edit` reads it with places and refuses what is no TOML; dates stay the text that was
//! written.

use crate::record::value::Value as Plain;
use crate::record::yaml::{self, Budget, Data, Fault, Key, Node, Spent, Style};
use std::ops::Range;
use toml_edit::{Document, Item, Table, TableLike, Value};

/// Reads one document.
///
/// # Errors
/// What is not TOML, names a key twice, or goes over `budget`.
pub fn read(source: &str, budget: Budget) -> Result<Node, Fault> {
    let document = Document::parse(source).map_err(|error| {
        let span = error.span().unwrap_or_default();
        match (error.message(), source.get(span.clone())) {
            ("duplicate key", Some(key)) if !key.is_empty() => Fault::twice(span.start, key),
            (message, _) => Fault {
                at: span.start,
                message: message.to_owned(),
            },
        }
    })?;
    let mut reader = Reader {
        source,
        spent: Spent::of(budget),
    };
    reader.spent.node(0, 0)?;
    Ok(Node {
        span: 0..source.len(),
        data: reader.table(document.as_table(), 0)?,
    })
}

/// Where the last value ends that stands before all `[table]` headers, if one does.
pub(crate) fn end_of_top(source: &str) -> Option<usize> {
    fn end(table: &Table) -> Option<usize> {
        let ends = table.iter().filter_map(|(_, item)| match item {
            Item::Value(value) => value.span().map(|span| span.end),
            Item::Table(table) if table.is_dotted() => end(table),
            _ => None,
        });
        ends.max()
    }
    end(Document::parse(source).ok()?.as_table())
}

struct Reader<'s> {
    source: &'s str,
    spent: Spent,
}

impl Reader<'_> {
    fn table(&mut self, table: &dyn TableLike, depth: usize) -> Result<Data, Fault> {
        let mut entries = Vec::new();
        for (text, item) in table.iter() {
            let span = table.key(text).and_then(toml_edit::Key::span);
            let span = span.or_else(|| item.span()).unwrap_or_default();
            self.spent.count(1, span.start)?;
            let node = self.item(item, &span, depth + 1)?;
            let text = text.to_owned();
            entries.push((Key { text, span }, node));
        }
        Ok(Data::Map(entries))
    }

    /// A node; a table that has no header of its own stands where its key does.
    fn item(&mut self, item: &Item, key: &Range<usize>, depth: usize) -> Result<Node, Fault> {
        let span = item.span().unwrap_or_else(|| key.clone());
        let data = match item {
            Item::Value(value) => return self.value(value, key, depth),
            Item::Table(table) => {
                self.spent.node(depth, span.start)?;
                self.table(table, depth)?
            }
            Item::ArrayOfTables(tables) => {
                self.spent.node(depth, span.start)?;
                let mut nodes = Vec::new();
                for table in tables.iter() {
                    let span = table.span().unwrap_or_else(|| key.clone());
                    self.spent.entry(nodes.len(), span.start)?;
                    self.spent.node(depth + 1, span.start)?;
                    let data = self.table(table, depth + 1)?;
                    nodes.push(Node { span, data });
                }
                Data::List(nodes)
            }
            Item::None => Data::Scalar(Plain::Null, Style::Marked),
        };
        Ok(Node { span, data })
    }

    fn value(&mut self, value: &Value, key: &Range<usize>, depth: usize) -> Result<Node, Fault> {
        let span = value.span().unwrap_or_else(|| key.clone());
        self.spent.node(depth, span.start)?;
        let written = &self.source[span.clone()];
        let number = |n: Option<f64>| match n {
            Some(n) => Data::Scalar(Plain::Number(n), Style::Plain),
            None => Data::Scalar(Plain::Text(written.to_owned()), Style::Marked),
        };
        let data = match value {
            Value::String(text) => Data::Scalar(Plain::Text(text.value().clone()), style(written)),
            Value::Integer(n) => number(yaml::number(&n.value().to_string())),
            Value::Float(n) => number(n.value().is_finite().then_some(n.value() + 0.0)),
            Value::Boolean(yes) => Data::Scalar(Plain::Bool(*yes.value()), Style::Plain),
            Value::Datetime(_) => number(None),
            Value::Array(values) => {
                let mut nodes = Vec::new();
                for value in values.iter() {
                    self.spent.entry(nodes.len(), span.start)?;
                    nodes.push(self.value(value, &span, depth + 1)?);
                }
                Data::List(nodes)
            }
            Value::InlineTable(table) => self.table(table, depth)?,
        };
        Ok(Node { span, data })
    }
}

fn style(written: &str) -> Style {
    if written.starts_with("\"\"\"") || written.starts_with("'''") {
        Style::Block
    } else if written.starts_with('\'') {
        Style::Single
    } else {
        Style::Double
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(toml: &str) -> String {
        let node = read(toml, Budget::RECORD).unwrap();
        serde_json::to_string(&node.to_value()).unwrap()
    }

    fn refused(toml: &str) -> String {
        let fault = read(toml, Budget::RECORD).unwrap_err();
        let (line, column) = yaml::place(toml, fault.at);
        format!("{line}:{column}: {}", fault.message)
    }

    #[test]
    fn values_are_plain_and_dates_are_text_as_written() {
        for (toml, expected) in [
            (
                "a = 1_000\nb = 0x10\nc = 2.50\nd = -0.0",
                r#"{"a":1000,"b":16,"c":2.5,"d":0}"#,
            ),
            (
                "a = 9007199254740995\nb = inf\nc = nan",
                r#"{"a":"9007199254740995","b":"inf","c":"nan"}"#,
            ),
            (
                "a = 2024-05-01T08:00:00Z\nb = 2024-05-01 08:00:00.50\nc = 2024-05-01\nd = 07:30:00",
                r#"{"a":"2024-05-01T08:00:00Z","b":"2024-05-01 08:00:00.50","c":"2024-05-01","d":"07:30:00"}"#,
            ),
            (
                "a = 'x\\y'\nb = \"x\\ty\"\nc = '''\nx'''",
                r#"{"a":"x\\y","b":"x\ty","c":"x"}"#,
            ),
            (
                "a.b = 1\nc = {d = {e.f = true}}\n[g.h]\ni = [1,\n  2]\n[[j]]\nk = 1\n[[j]]\nk = 2\n[j.l]\nm = 3",
                r#"{"a":{"b":1},"c":{"d":{"e":{"f":true}}},"g":{"h":{"i":[1,2]}},"j":[{"k":1},{"k":2,"l":{"m":3}}]}"#,
            ),
        ] {
            assert_eq!(json(toml), expected, "{toml}");
        }
    }

    #[test]
    fn a_scalar_knows_its_bytes() {
        let toml = "# é\n\"a\"  =  'é' # c\r\nb = 2024-05-01\n";
        let node = read(toml, Budget::RECORD).unwrap();
        let found: Vec<_> = node
            .as_map()
            .unwrap()
            .iter()
            .map(|(k, n)| (&toml[k.span.clone()], &toml[n.span.clone()]))
            .collect();
        assert_eq!(found, [("\"a\"", "'é'"), ("b", "2024-05-01")]);
    }

    #[test]
    fn the_top_ends_before_the_first_header() {
        for (toml, end) in [
            ("a = 1 # c\nb.c.d = [\n1]\n# e\n[f]\ng = 1\n", Some(22)),
            ("[f]\ng.h = 1\n", None),
            ("[[f]]\ng = 1\n", None),
            ("a.b = 1\n[a.c]\nd = 1\n", Some(7)),
        ] {
            assert_eq!(end_of_top(toml), end, "{toml}");
        }
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_place() {
        for (toml, expected) in [
            ("a = 1\na = 2", "2:1: the key `a` stands twice"),
            ("a = 1\n[b]\n[b]", "3:"),
            ("a = 1\n[a.b]", "2:"),
            ("a = yes", "1:5: "),
            ("a = \"x", "1:"),
            ("a = 2024-13-01", "1:"),
            ("a: 1", "1:"),
        ] {
            let refused = refused(toml);
            assert!(refused.starts_with(expected), "{toml}: {refused}");
            assert!(!refused.contains('\n'), "{refused}");
        }
    }

    #[test]
    fn budgets_hold() {
        let list = format!("a = [{}]", "0,".repeat(1_001));
        assert!(refused(&list).ends_with("a list of more than 1000 entries"));
        let deep = format!("a = {}{}", "[".repeat(40), "]".repeat(40));
        assert!(refused(&deep).ends_with("nested deeper than 32 levels"));
        let keys: String = (0..3_000).map(|n| format!("k{n} = 0\n")).collect();
        assert!(refused(&keys).ends_with("more than 5000 values"));
        let dotted = format!("{}a = 1", "a.".repeat(40));
        assert!(refused(&dotted).ends_with("nested deeper than 32 levels"));
        let tables: String = (0..1_001).map(|_| "[[a]]\n").collect();
        assert!(refused(&tables).ends_with("a list of more than 1000 entries"));
        for bomb in [
            format!("a = {}", "[".repeat(100_000)),
            format!("a = {}", "{a=".repeat(60_000)),
            format!("{}a = 1", "a.".repeat(100_000)),
            format!("[{}a]", "a.".repeat(100_000)),
            (0..8_000)
                .map(|n| format!("[{}b{n}]\n", "a.".repeat(10)))
                .collect(),
        ] {
            refused(&bomb);
        }
    }
}
