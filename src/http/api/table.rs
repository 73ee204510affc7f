//! Every endpoint: what it is, what may be said to it, what it answers. The router, the checks of
//! requests and the document are all made from this table.

use super::{Reply, act, past, read};
use crate::http::HttpError;
use crate::http::api::asked::Asked;
use crate::http::visitor::At;
use crate::report::history::PastLine;
use crate::report::{BrokenLine, ItemLine, ItemPage, QueueLine, RecordPage, StatusPage};
use crate::store::pages::Sort;
use axum::body::Body;
use axum::routing::MethodFilter;
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value as Json, json};

/// What is below every path of it.
pub(super) const ROOT: &str = "/api/v1";

/// Numbers beyond this are not exact in the JSON of many programs.
pub(super) const LARGEST: i64 = 9_007_199_254_740_991;

pub(super) struct Endpoint {
    pub(super) verb: Verb,
    /// Below [`ROOT`].
    pub(super) path: &'static str,
    /// What programs call it.
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) params: &'static [Param],
    /// The shape of its body, if it takes one.
    pub(super) takes: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// The shape of its answer.
    pub(super) gives: fn(&mut SchemaGenerator) -> Schema,
    pub(super) run: Run,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Delete,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Delete => "delete",
        }
    }

    pub(super) fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

type Make = fn(&mut At<'_>, &Asked) -> Result<Reply, HttpError>;

/// How an endpoint answers.
#[derive(Clone, Copy)]
pub(super) enum Run {
    /// For everyone: the document.
    Document,
    /// For every token.
    Read(Make),
    /// For tokens that may decide.
    Act(Make),
    /// For every token, as long as there are lines.
    Lines(fn(&mut At<'_>, &Asked) -> Result<Body, HttpError>),
}

/// Something that is said beside the body.
#[derive(Debug)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) about: &'static str,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    /// It may be left out.
    Query,
    Header,
}

impl Place {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
        }
    }
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// A whole number, from and to.
    Number(i64, i64),
    OneOf(&'static [&'static str]),
    Flag,
    Time,
    Uuid,
}

/// Characters that a text of a parameter may have.
const TEXT: usize = 200;

impl Kind {
    /// What is wrong with a text, if it is not of the kind.
    pub(super) fn fault(self, text: &str) -> Option<String> {
        let (is_right, wanted) = match self {
            Self::Text => {
                let is_right = (1..=TEXT).contains(&text.chars().count());
                (is_right, format!("1 to {TEXT} characters"))
            }
            Self::Number(from, to) => {
                let number = text.parse::<i64>();
                let is_right = number.is_ok_and(|number| (from..=to).contains(&number));
                (is_right, format!("a whole number from {from} to {to}"))
            }
            Self::OneOf(words) => (
                words.contains(&text),
                format!("one of {}", words.join(", ")),
            ),
            Self::Flag => (matches!(text, "true" | "false"), "true or false".into()),
            Self::Time => (
                text.parse::<Timestamp>().is_ok(),
                "a time like 2026-03-01T09:00:00Z".into(),
            ),
            Self::Uuid => (uuid::Uuid::try_parse(text).is_ok(), "a UUID".into()),
        };
        (!is_right).then_some(wanted)
    }

    pub(super) fn schema(self) -> Json {
        match self {
            Self::Text => json!({"type": "string", "minLength": 1, "maxLength": TEXT}),
            Self::Number(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
            Self::OneOf(words) => json!({"type": "string", "enum": words}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Time => json!({"type": "string", "format": "date-time"}),
            Self::Uuid => json!({"type": "string", "format": "uuid"}),
        }
    }
}

const fn query(name: &'static str, kind: Kind, about: &'static str) -> Param {
    let place = Place::Query;
    Param {
        name,
        place,
        about,
        kind,
    }
}

const fn id(about: &'static str) -> Param {
    Param {
        name: "id",
        place: Place::Path,
        about,
        kind: Kind::Number(1, LARGEST),
    }
}

/// The orders of a queue.
const SORTS: [&str; Sort::ALL.len()] = {
    let mut words = [""; Sort::ALL.len()];
    let mut n = 0;
    while n < words.len() {
        words[n] = Sort::ALL[n].as_str();
        n += 1;
    }
    words
};

const LIMIT: Param = query(
    "limit",
    Kind::Number(1, 200),
    "How many a page holds: 50, if it is not said.",
);
const AFTER: Param = query(
    "after",
    Kind::Text,
    "The `next` of the page before; without it, the first page.",
);

const ITEM: Param = id("The item's number.");

/// The name under which a request is known.
pub(super) const KEY: &str = "Idempotency-Key";

fn shape<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Schema {
    schemas.subschema_for::<T>()
}

pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        verb: Verb::Get,
        path: "/openapi.json",
        name: "openapi",
        summary: "This document. It needs no token.",
        params: &[],
        takes: None,
        gives: shape::<serde_json::Map<String, Json>>,
        run: Run::Document,
    },
    Endpoint {
        verb: Verb::Get,
        path: "/status",
        name: "status",
        summary: "Whether all is well: sources, queues, broken files, mail, rules, problems.",
        params: &[],
        takes: None,
        gives: shape::<StatusPage>,
        run: Run::Read(read::status),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/queues",
        name: "queues",
        summary: "The queues, in the order of the rules, with how many items each holds by status.",
        params: &[],
        takes: None,
        gives: shape::<Vec<QueueLine>>,
        run: Run::Read(read::queues),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/queues/{name}/items",
        name: "items",
        summary: "What is open in a queue, a page at a time.",
        params: &[
            Param {
                name: "name",
                place: Place::Path,
                about: "The queue.",
                kind: Kind::Text,
            },
            query(
                "sort",
                Kind::OneOf(&SORTS),
                "The order: that of the queue (rank), or another.",
            ),
            query(
                "status",
                Kind::OneOf(&["pending", "held"]),
                "Only those that wait, or are held.",
            ),
            query(
                "overdue",
                Kind::Flag,
                "Only those that should have been decided by now.",
            ),
            query(
                "topic",
                Kind::Text,
                "Only those whose file names this topic.",
            ),
            query(
                "provider",
                Kind::Text,
                "Only those of this provider: its name or domain.",
            ),
            query("source", Kind::Text, "Only those of this source."),
            query(
                "text",
                Kind::Text,
                "Only those with all these words in title or excerpt.",
            ),
            query(
                "least",
                Kind::Number(-LARGEST, LARGEST),
                "Only those with this score or more.",
            ),
            query(
                "most",
                Kind::Number(-LARGEST, LARGEST),
                "Only those with this score or less.",
            ),
            query(
                "published_since",
                Kind::Time,
                "Only those published at this time or later.",
            ),
            query(
                "claimed_by",
                Kind::Text,
                "Only those that they have claimed.",
            ),
            query(
                "assigned_to",
                Kind::Text,
                "Only those that were handed to them.",
            ),
            LIMIT,
            AFTER,
        ],
        takes: None,
        gives: shape::<read::Items>,
        run: Run::Read(read::items),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/items/{id}",
        name: "item",
        summary: "One item whole: its record, why it scores so, what happened to it and was decided.",
        params: &[ITEM],
        takes: None,
        gives: shape::<ItemPage>,
        run: Run::Read(read::item),
    },
    Endpoint {
        verb: Verb::Post,
        path: "/items/{id}/decisions",
        name: "decide",
        summary: "Decides on an item. Asked again under the same key it answers as the first time, and does nothing twice; on a version that does not stand any more it is refused (409) with what changed.",
        params: &[
            ITEM,
            Param {
                name: KEY,
                place: Place::Header,
                about: "A UUID of your own that names this decision.",
                kind: Kind::Uuid,
            },
        ],
        takes: Some(shape::<act::Decide>),
        gives: shape::<ItemLine>,
        run: Run::Act(act::decide),
    },
    Endpoint {
        verb: Verb::Post,
        path: "/items/{id}/claim",
        name: "claim",
        summary: "Claims an open item for ten minutes, so that nobody else does the same work; asked again by the same token, for as long from now.",
        params: &[ITEM],
        takes: None,
        gives: shape::<ItemLine>,
        run: Run::Act(act::claim),
    },
    Endpoint {
        verb: Verb::Delete,
        path: "/items/{id}/claim",
        name: "release",
        summary: "Ends the claim on an item, if there is one.",
        params: &[ITEM],
        takes: None,
        gives: shape::<ItemLine>,
        run: Run::Act(act::release),
    },
    Endpoint {
        verb: Verb::Post,
        path: "/items/{id}/hand-over",
        name: "handOver",
        summary: "Hands an open item to a reviewer or a queue.",
        params: &[ITEM],
        takes: Some(shape::<act::HandOver>),
        gives: shape::<ItemLine>,
        run: Run::Act(act::hand_over),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/records/{id}",
        name: "record",
        summary: "One record: its fields and body as stored, and the files that hold it.",
        params: &[id("The record's number.")],
        takes: None,
        gives: shape::<RecordPage>,
        run: Run::Read(read::record),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/broken",
        name: "broken",
        summary: "The files that cannot be read as records, and why.",
        params: &[],
        takes: None,
        gives: shape::<Vec<BrokenLine>>,
        run: Run::Read(read::broken),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/events",
        name: "events",
        summary: "What happened to all items since an event, oldest first. Asked again with the `next` of the last answer it misses nothing, unless it is not asked for as long as events are kept (`retention` in the rules).",
        params: &[
            query(
                "after",
                Kind::Number(0, LARGEST),
                "The `next` of the answer before; without it, from the first event.",
            ),
            LIMIT,
        ],
        takes: None,
        gives: shape::<past::Events>,
        run: Run::Read(past::events),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/decisions",
        name: "decisions",
        summary: "What was decided, newest first, a page at a time.",
        params: &[
            query(
                "actor",
                Kind::Text,
                "Only those by this actor: an address, `cli:USER`, `api:TOKEN` or `queue:NAME`.",
            ),
            query(
                "verb",
                Kind::OneOf(&["approve", "reject", "hold", "reopen"]),
                "Only those of this kind.",
            ),
            query(
                "queue",
                Kind::Text,
                "Only those on items that wait in this queue, or waited in it last.",
            ),
            query("item", Kind::Number(1, LARGEST), "Only those on this item."),
            query("reason", Kind::Text, "Only those for this reason."),
            query(
                "since",
                Kind::Time,
                "Only those made at this time or later.",
            ),
            query("until", Kind::Time, "Only those made before this time."),
            LIMIT,
            AFTER,
        ],
        takes: None,
        gives: shape::<past::Decisions>,
        run: Run::Read(past::decisions),
    },
    Endpoint {
        verb: Verb::Get,
        path: "/decisions.jsonl",
        name: "history",
        summary: "Every decision, newest first, as JSON: one on each line.",
        params: &[],
        takes: None,
        gives: shape::<PastLine>,
        run: Run::Lines(past::history),
    },
];
