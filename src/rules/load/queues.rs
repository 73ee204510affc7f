//! `queues:` where a record waits, and when it is late.

use super::Loading;
use super::examples::{Example, Of};
use super::scoring::shadow;
use crate::item::Verdict;
use crate::rules::decode::{Fields, File};
use crate::rules::{Order, Queue, Takes};

impl<'a> Loading<'a> {
    /// The queues, and their examples.
    pub(super) fn queues(&self) -> (Vec<Queue>, Vec<Example<'a>>) {
        let mut queues: Vec<Queue> = Vec::new();
        let mut examples = Vec::new();
        for (file, node) in self.entries("queues") {
            let mut fields = file.fields(node, "a queue");
            let of = Of::Queue(queues.len());
            let of_this = self.examples(file, &mut fields, of);
            let Some(queue) = self.queue(file, fields) else {
                continue;
            };
            examples.extend(of_this);
            queues.push(queue);
        }
        (queues, examples)
    }

    fn queue(&self, file: &File<'_>, mut fields: Fields<'_, '_>) -> Option<Queue> {
        let name = fields
            .need("name", "name: general")
            .and_then(|n| Some((file.text(n, "`name`")?, n)));
        let when = self.conditions(file, fields.get("when"), "when", true);
        let unless = self.conditions(file, fields.get("unless"), "unless", true);
        let takes = [
            ("unpublished", Takes::Unpublished),
            ("published", Takes::Published),
            ("all", Takes::All),
        ];
        let takes = fields
            .get("takes")
            .and_then(|n| file.word(n, "`takes`", &takes))
            .unwrap_or_default();
        let order = order(file, &mut fields);
        let due = fields.get("due").and_then(|n| file.span(n, "`due`"));
        let expire = fields.get("expire").and_then(|n| file.span(n, "`expire`"));
        let skip = fields
            .get("skip")
            .and_then(|n| file.boolean(n, "`skip`"))
            .unwrap_or(false);
        let verdicts = [("approve", Verdict::Approve), ("reject", Verdict::Reject)];
        let decide = fields
            .get("decide")
            .and_then(|n| Some((file.word(n, "`decide`", &verdicts)?, n)));
        let over_budget = fields
            .get("over_budget")
            .and_then(|n| file.boolean(n, "`over_budget`"))
            .unwrap_or(false);
        let shadow = shadow(file, fields.get("mode"));
        let quiet = fields
            .get("quiet")
            .and_then(|n| file.word(n, "`quiet`", &[("ignore", true), ("keep", false)]));
        fields.finish();
        if let (true, Some((_, node))) = (skip, decide) {
            let help = Some("keep one of the two".to_owned());
            file.error(
                "skip-and-decide",
                &node.span,
                "a queue that skips opens no item to decide",
                help,
            );
        }
        let (name, node) = name?;
        self.claim("queue", &name, file, &node.span);
        let decide = decide.map(|(verdict, _)| verdict);
        let place = file.place(node.span.start);
        let ignores_quiet = quiet.unwrap_or(false);
        Some(Queue {
            name,
            when,
            unless,
            takes,
            order,
            due,
            expire,
            skip,
            decide,
            shadow,
            over_budget,
            ignores_quiet,
            place,
        })
    }
}

fn order(file: &File<'_>, fields: &mut Fields<'_, '_>) -> Order {
    let words = [("score", 0), ("oldest", 1), ("newest", 2), ("fresh", 3)];
    let order = fields
        .get("order")
        .and_then(|n| Some((file.word(n, "`order`", &words)?, n)));
    let half_life = fields.entry("half_life");
    let life = half_life.map(|(_, node)| file.span(node, "`half_life`"));
    match (order, half_life, life) {
        (Some((3, _)), _, Some(life)) => life.map_or(Order::Score, Order::Fresh),
        (Some((3, node)), ..) => {
            let help = Some("half_life: 36h".to_owned());
            file.error(
                "missing-key",
                &node.span,
                "`order: fresh` needs `half_life`",
                help,
            );
            Order::Score
        }
        (_, Some((key, _)), _) => {
            let help = Some("order: fresh".to_owned());
            file.error(
                "unused-key",
                &key.span,
                "`half_life` counts only with `order: fresh`",
                help,
            );
            Order::Score
        }
        (Some((1, _)), ..) => Order::Oldest,
        (Some((2, _)), ..) => Order::Newest,
        _ => Order::Score,
    }
}
