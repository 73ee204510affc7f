//! What assessments have in common: the rule sets that made them, and the hits that they name by
//! number. Five hits of 80 bytes are those of many records; stored with each, they were a fifth of
//! the database.

use super::{StoreError, Tx};
use crate::record::Hash;
use crate::rules::assess::Hit;
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// What a transaction has looked up. It ends with it, since another may forget hits.
#[derive(Default)]
pub(super) struct Common {
    rules: RefCell<Option<(Hash, i64)>>,
    numbers: RefCell<HashMap<Hit, i64>>,
    hits: RefCell<HashMap<i64, Hit>>,
}

impl Tx<'_> {
    /// The number of a rule set; one that is new gets one.
    pub(super) fn rule_set(&self, rules: Hash) -> Result<i64, StoreError> {
        if let Some((known, id)) = *self.1.rules.borrow()
            && known == rules
        {
            return Ok(id);
        }
        let id = match self.known_rule_set(rules)? {
            Some(id) => id,
            None => {
                let sql = "INSERT INTO rule_sets (hash) VALUES (?1) RETURNING id";
                let id = self.one(sql, [rules], |row| row.get(0))?;
                id.ok_or_else(|| StoreError::Odd("a rule set was not added".into()))?
            }
        };
        self.1.rules.replace(Some((rules, id)));
        Ok(id)
    }

    /// The number of a rule set that has assessed something.
    pub(super) fn known_rule_set(&self, rules: Hash) -> Result<Option<i64>, StoreError> {
        let sql = "SELECT id FROM rule_sets WHERE hash = ?1";
        self.one(sql, [rules], |row| row.get(0))
    }

    /// Hits as an assessment stores them: a JSON list.
    pub(super) fn hit_list(&self, hits: &[Hit]) -> Result<String, StoreError> {
        let listed: Result<Vec<Listed>, StoreError> =
            hits.iter().map(|hit| self.listed_one(hit)).collect();
        serde_json::to_string(&listed?).map_err(odd)
    }

    fn listed_one(&self, hit: &Hit) -> Result<Listed, StoreError> {
        if !hit.rule.starts_with(OWN) {
            return Ok(Listed::Whole(self.number(hit)?));
        }
        let (why, value) = without_value(&hit.why);
        let (why, points) = (why.into(), 0);
        let common = Hit {
            why,
            points,
            ..hit.clone()
        };
        let number = self.number(&common)?;
        Ok(match value {
            Some(value) => Listed::Value(number, hit.points, value.to_owned()),
            None => Listed::Points(number, hit.points),
        })
    }

    fn number(&self, hit: &Hit) -> Result<i64, StoreError> {
        let known = self.1.numbers.borrow().get(hit).copied();
        if let Some(number) = known {
            return Ok(number);
        }
        let number = self.number_of(hit)?;
        self.1.numbers.borrow_mut().insert(hit.clone(), number);
        Ok(number)
    }

    fn number_of(&self, hit: &Hit) -> Result<i64, StoreError> {
        let json = serde_json::to_string(hit).map_err(odd)?;
        let find = "SELECT id FROM hits WHERE hit = ?1";
        if let Some(number) = self.one(find, [&json], |row| row.get(0))? {
            return Ok(number);
        }
        let add = "INSERT INTO hits (hit) VALUES (?1) RETURNING id";
        let number = self.one(add, [&json], |row| row.get(0))?;
        number.ok_or_else(|| StoreError::Odd("a hit was not added".into()))
    }

    /// The hits that an assessment has stored.
    pub(super) fn hits_of(&self, list: &str) -> Result<Vec<Hit>, StoreError> {
        let whole = |one| match one {
            Listed::Whole(number) => self.hit(number),
            Listed::Points(number, points) => Ok(Hit {
                points,
                ..self.hit(number)?
            }),
            Listed::Value(number, points, value) => {
                let hit = self.hit(number)?;
                let why = hit.why.replacen(VALUE, &value, 1).into();
                Ok(Hit { why, points, ..hit })
            }
        };
        list_of(list)?.into_iter().map(whole).collect()
    }

    fn hit(&self, number: i64) -> Result<Hit, StoreError> {
        if let Some(hit) = self.1.hits.borrow().get(&number) {
            return Ok(hit.clone());
        }
        let sql = "SELECT hit FROM hits WHERE id = ?1";
        let json: Option<String> = self.one(sql, [number], |row| row.get(0))?;
        let none = || StoreError::Odd(format!("there is no hit {number}"));
        let hit: Hit = serde_json::from_str(&json.ok_or_else(none)?).map_err(odd)?;
        self.1.hits.borrow_mut().insert(number, hit.clone());
        Ok(hit)
    }

    /// Forgets hits and rule sets that no assessment names any more, as each change of the rules
    /// leaves them behind. Reads every assessment then: about half a second for a million.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget_unnamed_hits(&self) -> Result<usize, StoreError> {
        let sql = "SELECT 1 FROM rule_sets s WHERE s.id <> 0
                   AND NOT EXISTS (SELECT 1 FROM assessments WHERE rules = s.id) LIMIT 1";
        if self.one(sql, [], |_| Ok(()))?.is_none() {
            return Ok(0);
        }
        let mut named = HashSet::new();
        let mut statement = self.0.prepare("SELECT hits FROM assessments")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let list = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            named.extend(list_of(list)?.iter().map(Listed::number));
        }
        let all: Vec<i64> = self.all("SELECT id FROM hits", [], |row| row.get(0))?;
        let unnamed = all.into_iter().filter(|number| !named.contains(number));
        let mut forgotten = 0;
        for number in unnamed {
            forgotten += self.run("DELETE FROM hits WHERE id = ?1", [number])?;
        }
        let sql = "DELETE FROM rule_sets WHERE id <> 0
                   AND NOT EXISTS (SELECT 1 FROM assessments WHERE rules = rule_sets.id)";
        self.run(sql, [])?;
        Ok(forgotten)
    }
}

/// How the rule of a hit begins that counts a record's own number.
const OWN: &str = "score.";
/// Where that number stood in the reason.
const VALUE: &str = "{}";

/// A hit in the list of an assessment.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Listed {
    /// One that is the same wherever it is met.
    Whole(i64),
    /// With points of its own.
    Points(i64, i64),
    /// And with the number that the reason names.
    Value(i64, i64, String),
}

impl Listed {
    fn number(&self) -> i64 {
        match self {
            Self::Whole(number) | Self::Points(number, _) | Self::Value(number, ..) => *number,
        }
    }
}

fn list_of(list: &str) -> Result<Vec<Listed>, StoreError> {
    serde_json::from_str(list).map_err(odd)
}

/// A reason without the first number that stands in it as a word, and that number.
fn without_value(why: &str) -> (String, Option<&str>) {
    let mut at = 0;
    for word in why.split(' ') {
        let (before, after) = (&why[..at], &why[at + word.len()..]);
        if word.parse::<f64>().is_ok() && !why.contains(VALUE) {
            return ([before, VALUE, after].concat(), Some(word));
        }
        at += word.len() + 1;
    }
    (why.to_owned(), None)
}

fn odd(error: serde_json::Error) -> StoreError {
    StoreError::Odd(error.to_string())
}

#[cfg(test)]
mod tests {
    use crate::record::Hash;
    use crate::rules::assess::Hit;
    use crate::rules::score::Axis;
    use crate::store::Store;

    fn hit(why: &str) -> Hit {
        Hit {
            rule: "sports".into(),
            axis: Axis::Topic,
            points: 5,
            why: why.into(),
            at: "rules/a.yaml:3".to_owned().into(),
        }
    }

    #[test]
    fn hits_come_back_in_their_order_and_are_stored_once() {
        let mut store = Store::in_memory().unwrap();
        let hits = [hit("b"), hit("a"), hit("b")];
        let number = |store: &mut Store| store.write(|tx| tx.hit_list(&hits)).unwrap();
        let first = number(&mut store);
        assert_eq!(first, number(&mut store));
        let read = store.read(|tx| tx.hits_of(&first)).unwrap();
        assert_eq!(read, hits);
        let count = "SELECT count(*) FROM hits";
        let count: i64 = store
            .connection
            .query_row(count, [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 2);
    }

    fn own(why: &str, points: i64) -> Hit {
        Hit {
            rule: "score.heat".into(),
            points,
            ..hit(why)
        }
    }

    #[test]
    fn however_many_numbers_records_have_one_reason_is_stored() {
        let mut store = Store::in_memory().unwrap();
        for n in 0..100 {
            let value = f64::from(n) / 8.0;
            let hits = [own(&format!("heat {value} × 0.5"), n.into())];
            let list = store.write(|tx| tx.hit_list(&hits)).unwrap();
            assert_eq!(store.read(|tx| tx.hits_of(&list)).unwrap(), hits);
        }
        let count = "SELECT count(*) FROM hits";
        let count: i64 = store
            .connection
            .query_row(count, [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 1);
    }

    #[test]
    fn odd_reasons_come_back_as_they_were() {
        let mut store = Store::in_memory().unwrap();
        for why in [
            "",
            "heat",
            "a{} 3 × 0.5",
            "5 5 × 5",
            "NaN inf -1e3",
            "  7  ",
            "heat is capped at 60",
        ] {
            let hits = [own(why, -3)];
            let list = store.write(|tx| tx.hit_list(&hits)).unwrap();
            assert_eq!(store.read(|tx| tx.hits_of(&list)).unwrap(), hits, "{list}");
        }
    }

    #[test]
    fn what_a_failed_transaction_has_numbered_is_not_remembered() {
        let mut store = Store::in_memory().unwrap();
        let failed = store.write(|tx| {
            tx.rule_set(Hash([1; 32]))?;
            tx.hit_list(&[hit("a")])?;
            Err::<(), _>(crate::store::StoreError::Odd("no".into()))
        });
        assert!(failed.is_err());
        let list = store.write(|tx| tx.hit_list(&[hit("a")])).unwrap();
        assert_eq!(store.read(|tx| tx.hits_of(&list)).unwrap(), [hit("a")]);
        assert_eq!(
            store.read(|tx| tx.known_rule_set(Hash([1; 32]))).unwrap(),
            None
        );
    }

    #[test]
    fn only_hits_that_no_assessment_names_are_forgotten() {
        let mut store = crate::store::guards::desk();
        let (kept, other) = store
            .write(|tx| {
                let (kept, other) = (tx.hit_list(&[hit("a"), hit("b")])?, tx.hit_list(&[hit("c")])?);
                let (used, _) = (tx.rule_set(Hash([1; 32]))?, tx.rule_set(Hash([2; 32]))?);
                let sql = "INSERT INTO assessments (record, rules, quality, heat, topic, total, skipped, hits)
                           VALUES (1, ?1, 0, 0, 5, 5, 0, ?2)";
                tx.run(sql, (used, &kept))?;
                Ok::<_, crate::store::StoreError>((kept, other))
            })
            .unwrap();
        assert_eq!(store.write(|tx| tx.forget_unnamed_hits()).unwrap(), 1);
        assert_eq!(store.read(|tx| tx.hits_of(&kept)).unwrap().len(), 2);
        assert!(store.read(|tx| tx.hits_of(&other)).is_err());
        let known = |n: u8| {
            store.connection.query_row(
                "SELECT count(*) FROM rule_sets WHERE hash = ?1",
                [Hash([n; 32])],
                |row| row.get(0),
            )
        };
        let known: [i64; 3] = [0, 1, 2].map(|n| known(n).unwrap());
        assert_eq!(known, [1, 1, 0]);
    }
}
