//! The OpenAPI document, made from the table of routes.
//!
//! It describes what the dispatcher enforces, from the same rows, so that the two cannot differ. Invariant: every row
//! appears, with its successes and with every refusal that the dispatcher or its handler may give (OpenAPI 3.1).

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{Array, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required,
    ResponseBuilder, Schema, SecurityRequirement,
};

use super::dispatch;
use super::page;
use super::reply::Reply;
use super::route::{Access, Count, Operation, Resource, Route, SchemaOf, Style, Success, Takes, Verb};
use super::{App, call::Call};

/// Where the document is.
const PATH: &str = "/api/openapi.json";
/// The component that stands for the body of any refusal.
const REFUSAL: &str = "Refusal";
/// The component of `Authorization: Token`.
const TOKEN: &str = "token";
/// The component of `Authorization: Bearer`.
const BEARER: &str = "bearer";

/// The table with the document itself, for [`Server::new`](super::server::Server::new).
#[must_use]
pub const fn routes<A: App>() -> &'static [Route<A>] {
    const {
        &[Route::new(
            PATH,
            const {
                &[Operation::get(|_, call: Call<A>| {
                    Box::pin(async move { Ok(Reply::media(200, "application/json", call.shared.document.clone())) })
                })
                .access(Access::Open)
                .uncounted()
                .replies(const { &[Success::media(200, "application/json")] })
                .summary("This document")]
            },
        )]
    }
}

/// The document of all rows but the pages of [`Style::Plain`].
pub(super) fn document<A: App>(rows: &[&'static Route<A>]) -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas: BTreeMap<String, RefOr<Schema>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.style != Style::Plain) {
        for operation in row.operations {
            paths.add_path_operation(row.path, vec![method(operation.verb)], describe(row, operation, &mut schemas));
        }
    }
    // Refusals have many shapes: objects, lists, and lists of objects.
    schemas.insert(REFUSAL.into(), RefOr::T(ObjectBuilder::new().schema_type(SchemaType::AnyValue).into()));
    let token = "Authorization: Token, a blank, and the token";
    let token = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("Authorization", token)));
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let mut components = ComponentsBuilder::new().security_scheme(TOKEN, token).security_scheme(BEARER, bearer);
    for (name, schema) in schemas {
        components = components.schema(name, schema);
    }
    let info = InfoBuilder::new().title("Petrel").version(env!("CARGO_PKG_VERSION"));
    OpenApiBuilder::new().info(info.build()).paths(paths).components(Some(components.build())).build()
}

/// One operation; the schemas it needs are added to the components.
fn describe<A: App>(
    row: &Route<A>,
    operation: &Operation<A>,
    schemas: &mut BTreeMap<String, RefOr<Schema>>,
) -> utoipa::openapi::path::Operation {
    let mut built = OperationBuilder::new().summary(Some(operation.summary));
    built = built.operation_id(Some(id(row.path, operation.verb)));
    let parameter = |name: &str, place: ParameterIn, required| {
        let schema = match name {
            dispatch::WAIT => seconds_to_wait(),
            _ => ObjectBuilder::new().schema_type(Type::String),
        };
        let schema = schema.build();
        ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(schema)).build()
    };
    for name in path_parameters(row.path) {
        built = built.parameter(parameter(name, ParameterIn::Path, Required::True));
    }
    for name in operation.query {
        built = built.parameter(parameter(name, ParameterIn::Query, Required::False));
    }
    let body = match (operation.takes, operation.body) {
        (Takes::Nothing, _) => None,
        (Takes::Text, _) => Some(("text/plain", ContentBuilder::new().build())),
        (Takes::Json | Takes::JsonOrText, None) => Some(("application/json", ContentBuilder::new().build())),
        (Takes::Json | Takes::JsonOrText, Some(body)) => {
            Some(("application/json", ContentBuilder::new().schema(Some(component(body, schemas))).build()))
        }
    };
    if let Some((media, content)) = body {
        let mut request = RequestBodyBuilder::new().content(media, content);
        if operation.takes == Takes::JsonOrText {
            request = request.content("text/plain", ContentBuilder::new().build());
        }
        built = built.request_body(Some(request.build()));
    }
    for Success { status, media, schema } in operation.replies {
        let mut response = ResponseBuilder::new().description(reason(*status));
        if !media.is_empty() {
            let schema = schema.map(|schema| component(schema, schemas));
            response = response.content(*media, ContentBuilder::new().schema(schema).build());
        }
        built = built.response(status.to_string(), response.build());
    }
    let media = if row.style == Style::DynDns { "text/plain" } else { "application/json" };
    for status in refusals(row, operation) {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(REFUSAL))).build();
        let response = ResponseBuilder::new().description(reason(status)).content(media, content);
        built = built.response(status.to_string(), response.build());
    }
    let scheme = if row.style == Style::Operations { BEARER } else { TOKEN };
    let security = || SecurityRequirement::new(scheme, Vec::<String>::new());
    match operation.access {
        Access::Open => built.build(),
        Access::Optional => built.security(SecurityRequirement::default()).security(security()).build(),
        Access::Token | Access::With(_) => built.security(security()).build(),
    }
}

/// The statuses with which an operation may refuse: what the dispatcher says by the row, and what the row adds.
fn refusals<A: App>(row: &Route<A>, operation: &Operation<A>) -> BTreeSet<u16> {
    // Any request can be malformed, too fast, or meet a server that is full, broken or busy.
    let mut statuses = BTreeSet::from([400, 429, 500, 503]);
    let mut add = |applies: bool, more: &[u16]| {
        if applies {
            statuses.extend(more);
        }
    };
    add(operation.access != Access::Open, &[401]);
    add(matches!(operation.access, Access::With(_)), &[403]);
    let is_paged = operation.query.contains(&page::PARAMETER);
    add(row.path.contains('{') || operation.resource != Resource::Nothing || is_paged, &[404]);
    add(row.style != Style::DynDns, &[406]);
    add(operation.takes != Takes::Nothing, &[408, 413]);
    add(operation.takes == Takes::Json, &[415]);
    add(true, operation.refuses);
    statuses
}

/// The schema of a body: references to the schema of its type, which is added to the components with its parts.
fn component(of: SchemaOf, schemas: &mut BTreeMap<String, RefOr<Schema>>) -> RefOr<Schema> {
    let mut parts = Vec::new();
    (of.parts)(&mut parts);
    schemas.extend(parts);
    let name = (of.name)();
    schemas.insert(name.to_string(), (of.schema)());
    let one = || Ref::from_schema_name(name.as_ref());
    match of.count {
        Count::One => one().into(),
        Count::List => Array::new(one()).into(),
        Count::OneOrList => OneOfBuilder::new().item(one()).item(Array::new(one())).into(),
    }
}

/// What `wait` may be.
fn seconds_to_wait() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(dispatch::WAIT_SECS_MAX))
}

/// The names of the parameters of a path.
fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// A name for an operation, such as `get_domains_name_rrsets`.
fn id(path: &str, verb: Verb) -> String {
    let verb = format!("{verb:?}").to_ascii_lowercase();
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !matches!(*word, "" | "api" | "v1"));
    words.fold(verb, |id, word| id + "_" + word)
}

/// The reason phrase of a status.
fn reason(status: u16) -> &'static str {
    StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Other")
}

/// The method of a verb.
fn method(verb: Verb) -> HttpMethod {
    match verb {
        Verb::Get => HttpMethod::Get,
        Verb::Post => HttpMethod::Post,
        Verb::Put => HttpMethod::Put,
        Verb::Patch => HttpMethod::Patch,
        Verb::Delete => HttpMethod::Delete,
    }
}

#[cfg(test)]
mod tests;
