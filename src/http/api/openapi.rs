//! The document that describes the API (OpenAPI 3.1), made from the table.

use super::problem::Problem;
use super::table::{ENDPOINTS, Endpoint, Place, ROOT, Run, Verb};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

/// The document of a desk whose paths begin with `base`.
pub(super) fn document(base: &str) -> Json {
    let settings = || {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        settings
    };
    let mut answers = settings().for_serialize().into_generator();
    let mut bodies = {
        let mut settings = settings().for_deserialize();
        settings.inline_subschemas = true;
        settings.into_generator()
    };
    let problem = answers.subschema_for::<Problem>();
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let path = format!("{ROOT}{}", endpoint.path);
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[endpoint.verb.as_str()] = operation(endpoint, &mut answers, &mut bodies);
    }
    let about = "The desk for programs. A token is made by an editor in the console; it reads, or reads and decides. Times are RFC 3339 in UTC. Fields may be added to answers; none is renamed. What goes wrong is told as RFC 9457 says.";
    json!({
        "openapi": "3.1.0",
        "info": {"title": "copydesk", "version": env!("CARGO_PKG_VERSION"), "description": about},
        "servers": [{"url": if base.is_empty() { "/" } else { base }}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": answers.take_definitions(true),
            "responses": {"Problem": {
                "description": "Why it was not done.",
                "content": {"application/problem+json": {"schema": problem}},
            }},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn operation(
    endpoint: &Endpoint,
    answers: &mut SchemaGenerator,
    bodies: &mut SchemaGenerator,
) -> Json {
    let params = endpoint.params.iter().map(|param| {
        json!({
            "name": param.name,
            "in": param.place.as_str(),
            "required": param.place != Place::Query,
            "description": param.about,
            "schema": param.kind.schema(),
        })
    });
    let mut responses = Map::new();
    let kind = endpoint.run.kind();
    let content = json!({kind: {"schema": (endpoint.gives)(answers)}});
    let mut done = json!({"description": "Done.", "content": content});
    if endpoint.has_pages() {
        let about = "Where the next page is: `<PATH>; rel=\"next\"`.";
        done["headers"] = json!({"Link": {"description": about, "schema": {"type": "string"}}});
    }
    responses.insert("200".into(), done);
    if endpoint.verb == Verb::Get && !matches!(endpoint.run, Run::Lines(_)) {
        let unchanged = json!({"description": "It is still what If-None-Match names."});
        responses.insert("304".into(), unchanged);
    }
    for status in endpoint.refusals() {
        let problem = json!({"$ref": "#/components/responses/Problem"});
        responses.insert(status.to_string(), problem);
    }
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": params.collect::<Vec<_>>(),
        "responses": responses,
    });
    if let Some(takes) = endpoint.takes {
        let content = json!({"application/json": {"schema": takes(bodies)}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    if matches!(endpoint.run, Run::Document) {
        operation["security"] = json!([]);
    }
    operation
}

impl Endpoint {
    /// The statuses by which it says that something was not done.
    fn refusals(&self) -> Vec<u16> {
        let mut statuses = vec![400, 403, 404, 405, 408, 421, 431, 500, 503];
        if !matches!(self.run, Run::Document) {
            statuses.extend([401, 429]);
        }
        if matches!(self.run, Run::Act(_)) {
            statuses.push(409);
        }
        if self.takes.is_some() {
            statuses.extend([413, 415]);
        }
        if self.takes.is_some() || self.has_pages() {
            statuses.push(422);
        }
        statuses.sort_unstable();
        statuses
    }
}
