//! What a record is about: what its file says, what keywords add, and every topic above those.

use crate::record::value::Value;
use crate::rules::Topic;
use crate::rules::assess::Hit;
use crate::rules::score::Axis;
use std::collections::{HashMap, HashSet};

/// So many topics are compared one by one.
const FEW: usize = 16;

/// The topics of a rule set, ready to be looked up.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    /// The place of each topic in the set, by name.
    places: HashMap<String, usize>,
    /// The names above each, nearest first.
    above: Vec<Vec<String>>,
    /// The hit of each that is worth points.
    hits: Vec<Option<Hit>>,
}

impl Topics {
    pub(crate) fn new(topics: &[Topic]) -> Self {
        let places = topics.iter().enumerate();
        let places: HashMap<String, usize> = places.map(|(at, t)| (t.name.clone(), at)).collect();
        let parent = |name: &str| topics.get(*places.get(name)?)?.parent.as_deref();
        let above = topics.iter().map(|topic| {
            let line = lineage(&topic.name, parent);
            line.into_iter().map(str::to_owned).collect()
        });
        let above = above.collect();
        let hits = topics.iter().map(hit).collect();
        Self {
            places,
            above,
            hits,
        }
    }

    /// What the file says, what keywords add (by their places), and every topic above those, each
    /// once. Missing when the file says nothing and no keyword adds one.
    pub(crate) fn effective(
        &self,
        topics: &[Topic],
        said: Option<&Value>,
        by_keyword: &[usize],
    ) -> Option<Vec<String>> {
        let said = said.and_then(Value::as_list);
        let mut about: Vec<&str> = Vec::new();
        // Few are compared one by one; a hostile file may say thousands.
        let mut known: HashSet<&str> = HashSet::new();
        let mut add = |about: &mut Vec<_>, name| {
            let is_new = match about.len() {
                0..FEW => !about.contains(&name),
                FEW => {
                    known.extend(about.iter().copied());
                    known.insert(name)
                }
                _ => known.insert(name),
            };
            if is_new {
                about.push(name);
            }
        };
        for name in said.unwrap_or_default().iter().filter_map(Value::as_text) {
            add(&mut about, name.trim());
        }
        for topic in by_keyword.iter().filter_map(|at| topics.get(*at)) {
            add(&mut about, &topic.name);
        }
        for at in 0..about.len() {
            let above = about.get(at).and_then(|name| self.places.get(*name));
            for name in above
                .and_then(|at| self.above.get(*at))
                .into_iter()
                .flatten()
            {
                add(&mut about, name);
            }
        }
        let about: Vec<String> = about.into_iter().map(str::to_owned).collect();
        (said.is_some() || !about.is_empty()).then_some(about)
    }

    /// The hits of the topics that a record is about, in the order of the set.
    pub(crate) fn hits<'t>(&'t self, about: &[String]) -> impl Iterator<Item = &'t Hit> {
        let mut places: Vec<usize> = about
            .iter()
            .filter_map(|name| self.places.get(name))
            .copied()
            .collect();
        places.sort_unstable();
        places
            .into_iter()
            .filter_map(|at| self.hits.get(at)?.as_ref())
    }
}

/// The topics above one, nearest first; ends where the line ends or comes round.
fn lineage<'t>(name: &str, parent: impl Fn(&str) -> Option<&'t str>) -> Vec<&'t str> {
    let mut line: Vec<&str> = Vec::new();
    let mut above = parent(name);
    while let Some(name) = above.filter(|name| !line.contains(name)) {
        line.push(name);
        above = parent(name);
    }
    line
}

/// Whether the line above a topic comes round to it.
pub(crate) fn is_own_parent(topics: &[Topic], name: &str) -> bool {
    let parent = |name: &str| topics.iter().find(|t| t.name == name)?.parent.as_deref();
    lineage(name, parent).last() == Some(&name)
}

fn hit(topic: &Topic) -> Option<Hit> {
    (topic.points != 0).then(|| Hit {
        rule: format!("topic {}", topic.name).into(),
        axis: Axis::Topic,
        points: topic.points,
        why: format!("about {}", topic.name).into(),
        at: topic.place.clone(),
    })
}
