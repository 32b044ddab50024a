//! The table of routes: what paths there are, who may do what there, and what comes back.
//!
//! Rows are data: the dispatcher, the OpenAPI document, the counters and the authorisation tests all read the same table. It
//! dispatches nothing itself. Invariant: an operation without a row cannot be reached.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::App;
use super::call::Call;
use super::reply::{Refusal, Reply};
pub use super::throttle::Scope;

/// The longest body in bytes where a row says nothing.
pub const BODY_LEN_MAX: usize = 1 << 20;
/// The longest body in bytes of operations that take zone files.
pub const LARGE_BODY_LEN_MAX: usize = 32 << 20;

/// What a handler returns.
pub type Answer = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;
/// A handler: `|app, call| Box::pin(list(app, call))` makes one of an `async fn`.
pub type Handler<A> = fn(Arc<A>, Call<A>) -> Answer;

/// The methods that handlers can have. HEAD is answered wherever GET is, OPTIONS everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// GET, and HEAD.
    Get,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

/// Who may use an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone; credentials are not even looked at.
    Open,
    /// Anyone; who presents credentials must present good ones.
    Optional,
    /// Whoever has a valid token.
    Token,
    /// Whoever has a valid token that grants this.
    With(Permission),
}

/// What a token can grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// `perm_manage_tokens`.
    ManageTokens,
    /// `perm_create_domain`.
    CreateDomain,
    /// `perm_delete_domain`.
    DeleteDomain,
    /// To read through the operations API.
    Read,
    /// To write through the operations API.
    Write,
    /// To administer the server.
    Admin,
}

/// The customs of a route: which credentials it knows and what its refusals look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The API proper: `Authorization: Token`, refusals in JSON, `Bearer` is as good as nothing.
    Api,
    /// The operations API: `Authorization: Bearer` or `Token`, refusals in JSON.
    Operations,
    /// Dynamic updates: Token, Basic or the query; refusals in plain text.
    DynDns,
    /// Pages for machines and operators such as `/metrics`: no `Accept`, plain text.
    Plain,
}

/// What the dispatcher looks up before it asks the throttles, by the path parameter `name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Nothing.
    Nothing,
    /// A domain; refused with `No Domain matches the given query.`.
    Domain,
    /// A domain of which a part is asked for; refused with `Not found.`.
    PartOfDomain,
}

/// What body an operation takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// None; one that is sent is passed over.
    Nothing,
    /// JSON, or none.
    Json,
    /// Bytes of any media type.
    Text,
    /// JSON, or bytes of any other media type.
    JsonOrText,
}

/// A schema of the OpenAPI document, taken from a type that is read or written.
#[derive(Clone, Copy)]
pub struct SchemaOf {
    /// Its name among the components.
    pub name: fn() -> Cow<'static, str>,
    /// The schema itself.
    pub schema: fn() -> RefOr<Schema>,
    /// Adds the schemas it refers to.
    pub parts: fn(&mut Vec<(String, RefOr<Schema>)>),
    /// How many of it there are.
    pub count: Count,
}

/// How many of a type a body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// One.
    One,
    /// A list.
    List,
    /// One, or a list.
    OneOrList,
}

impl SchemaOf {
    /// The schema of a type.
    #[must_use]
    pub const fn of<T: ToSchema>(count: Count) -> SchemaOf {
        let (name, schema, parts) = (<T as ToSchema>::name, <T as PartialSchema>::schema, <T as ToSchema>::schemas);
        SchemaOf { name, schema, parts, count }
    }
}

/// One way in which an operation succeeds.
#[derive(Clone, Copy)]
pub struct Success {
    /// 200 to 299, or 302.
    pub status: u16,
    /// The media type of the body; empty without one.
    pub media: &'static str,
    /// What the body is like.
    pub schema: Option<SchemaOf>,
}

impl Success {
    /// A JSON body that is like `T`, a type with a name of its own.
    #[must_use]
    pub const fn json<T: ToSchema>(status: u16) -> Success {
        Success { status, media: "application/json", schema: Some(SchemaOf::of::<T>(Count::One)) }
    }

    /// A JSON list of such things.
    #[must_use]
    pub const fn list<T: ToSchema>(status: u16) -> Success {
        Success { status, media: "application/json", schema: Some(SchemaOf::of::<T>(Count::List)) }
    }

    /// One of such things or a list of them, as was asked for.
    #[must_use]
    pub const fn one_or_list<T: ToSchema>(status: u16) -> Success {
        Success { status, media: "application/json", schema: Some(SchemaOf::of::<T>(Count::OneOrList)) }
    }

    /// A body of another media type.
    #[must_use]
    pub const fn media(status: u16, media: &'static str) -> Success {
        Success { status, media, schema: None }
    }

    /// No body.
    #[must_use]
    pub const fn empty(status: u16) -> Success {
        Success { status, media: "", schema: None }
    }
}

/// What one method does at a path.
pub struct Operation<A: App> {
    /// The method.
    pub verb: Verb,
    /// What runs.
    pub handler: Handler<A>,
    /// Who may.
    pub access: Access,
    /// What it counts as; the bucket of scopes that have one is the path parameter `name`.
    pub scopes: &'static [Scope],
    /// Whether it counts against the daily bound of all requests.
    pub counted: bool,
    /// What is looked up first.
    pub resource: Resource,
    /// What body it takes.
    pub takes: Takes,
    /// The longest body in bytes.
    pub body_len_max: usize,
    /// What the body is like.
    pub body: Option<SchemaOf>,
    /// How it succeeds.
    pub replies: &'static [Success],
    /// Refusals that the row does not already imply, such as 409.
    pub refuses: &'static [u16],
    /// Names of query parameters, for the document.
    pub query: &'static [&'static str],
    /// One line for people.
    pub summary: &'static str,
}

/// What makes an operation, step by step; all steps but the first are optional. An operation is for [`Access::Token`] unless told
/// otherwise, so that who forgets closes a door instead of opening one.
impl<A: App> Operation<A> {
    /// An operation of this method.
    const fn new(verb: Verb, handler: Handler<A>, takes: Takes) -> Operation<A> {
        Operation {
            verb,
            handler,
            access: Access::Token,
            scopes: &[],
            counted: true,
            resource: Resource::Nothing,
            takes,
            body_len_max: BODY_LEN_MAX,
            body: None,
            replies: &[],
            refuses: &[],
            query: &[],
            summary: "",
        }
    }

    /// GET, and HEAD.
    #[must_use]
    pub const fn get(handler: Handler<A>) -> Operation<A> {
        Operation::new(Verb::Get, handler, Takes::Nothing)
    }

    /// POST with JSON or nothing.
    #[must_use]
    pub const fn post(handler: Handler<A>) -> Operation<A> {
        Operation::new(Verb::Post, handler, Takes::Json)
    }

    /// PUT with JSON.
    #[must_use]
    pub const fn put(handler: Handler<A>) -> Operation<A> {
        Operation::new(Verb::Put, handler, Takes::Json)
    }

    /// PATCH with JSON.
    #[must_use]
    pub const fn patch(handler: Handler<A>) -> Operation<A> {
        Operation::new(Verb::Patch, handler, Takes::Json)
    }

    /// DELETE.
    #[must_use]
    pub const fn delete(handler: Handler<A>) -> Operation<A> {
        Operation::new(Verb::Delete, handler, Takes::Nothing)
    }

    /// Who may.
    #[must_use]
    pub const fn access(mut self, access: Access) -> Operation<A> {
        self.access = access;
        self
    }

    /// What it counts as.
    #[must_use]
    pub const fn scopes(mut self, scopes: &'static [Scope]) -> Operation<A> {
        self.scopes = scopes;
        self
    }

    /// Leaves it out of the daily bound of all requests.
    #[must_use]
    pub const fn uncounted(mut self) -> Operation<A> {
        self.counted = false;
        self
    }

    /// What is looked up before the throttles; [`Call::domain`] has it.
    #[must_use]
    pub const fn resource(mut self, resource: Resource) -> Operation<A> {
        self.resource = resource;
        self
    }

    /// What body it takes, where that is not what its method usually takes.
    #[must_use]
    pub const fn takes(mut self, takes: Takes) -> Operation<A> {
        self.takes = takes;
        self
    }

    /// The JSON body is like `T`, a type with a name of its own.
    #[must_use]
    pub const fn body<T: ToSchema>(mut self, count: Count) -> Operation<A> {
        self.body = Some(SchemaOf::of::<T>(count));
        self
    }

    /// The body may hold a zone file: up to [`LARGE_BODY_LEN_MAX`].
    #[must_use]
    pub const fn large(mut self) -> Operation<A> {
        self.body_len_max = LARGE_BODY_LEN_MAX;
        self
    }

    /// How it succeeds.
    #[must_use]
    pub const fn replies(mut self, replies: &'static [Success]) -> Operation<A> {
        self.replies = replies;
        self
    }

    /// Refusals that the row does not already imply.
    #[must_use]
    pub const fn refuses(mut self, statuses: &'static [u16]) -> Operation<A> {
        self.refuses = statuses;
        self
    }

    /// Names of query parameters, for the document.
    #[must_use]
    pub const fn query(mut self, names: &'static [&'static str]) -> Operation<A> {
        self.query = names;
        self
    }

    /// One line for people.
    #[must_use]
    pub const fn summary(mut self, summary: &'static str) -> Operation<A> {
        self.summary = summary;
        self
    }
}

/// A path and what can be done there.
pub struct Route<A: App> {
    /// The path; `{x}` stands for one segment. What is written `/api/v1/` is served under `/api/v2/` as well.
    pub path: &'static str,
    /// Its customs.
    pub style: Style,
    /// One per method.
    pub operations: &'static [Operation<A>],
}

impl<A: App> Route<A> {
    /// A route of the API proper.
    #[must_use]
    pub const fn new(path: &'static str, operations: &'static [Operation<A>]) -> Route<A> {
        Route { path, style: Style::Api, operations }
    }

    /// The same with other customs.
    #[must_use]
    pub const fn style(mut self, style: Style) -> Route<A> {
        self.style = style;
        self
    }
}

/// All operations of a table, in its order, so that tests can ask each of them.
#[must_use]
pub fn list<A: App>(routes: &[Route<A>]) -> Vec<(&'static str, Verb, Access)> {
    let rows = routes.iter().flat_map(|route| route.operations.iter().map(|op| (route.path, op.verb, op.access)));
    rows.collect()
}
