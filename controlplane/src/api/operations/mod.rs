//! The operations API: zones and single records with numbers, for consoles and scripts of whoever runs the server.
//!
//! Another door to the same domains: a zone made here is a domain of `/api/v1/` and the other way round, and every write
//! goes through `change`. Zones made here have an SOA record that their owner may edit, serials that count from 1, and, for
//! operators, no least TTL. Invariant: what a key may do is what its token may do; there are no rights of this door alone.
//!
//! Keys are tokens, and the usual three kinds of keys are tokens with these permissions:
//!
//! | key | `read_only` | create domains | delete domains | manage tokens |
//! |---|---|---|---|---|
//! | read | yes | no | no | no |
//! | write | no | yes | no | no |
//! | admin | no | yes | yes | yes |

mod dnssec;
mod field;
mod import;
pub(super) mod keys;
mod records;
mod stats;
mod zones;

use super::Api;
use crate::http::route::{Access, Count, Operation, Permission, Resource, Route, Scope, Style, Success, Takes};

/// The rows.
pub(super) static ROUTES: [Route<Api>; 8] = [
    Route::new(
        "/api/stats",
        &[Operation::get(|app, call| Box::pin(stats::show(app, call)))
            .access(Access::With(Permission::Read))
            .scopes(&[Scope::DnsApiCheap])
            .query(&["account"])
            .replies(&[Success::json::<stats::Stats>(200)])
            .refuses(&[404])
            .summary("Counters, uptime and how far publishing is")],
    )
    .style(Style::Operations),
    Route::new(
        "/api/zones",
        &[
            Operation::get(|app, call| Box::pin(zones::list(app, call)))
                .access(Access::With(Permission::Read))
                .scopes(&[Scope::DnsApiCheap])
                .query(&["account", "after", "limit"])
                .replies(&[Success::list::<zones::Zone>(200)])
                .refuses(&[404])
                .summary("The zones of the account, oldest first"),
            Operation::post(|app, call| Box::pin(zones::create(app, call)))
                .access(Access::With(Permission::CreateDomain))
                .scopes(&[Scope::DnsApiExpensive])
                .body::<zones::NewZone>(Count::One)
                .query(&["account", super::preview::REPLACE, "wait"])
                .replies(&[Success::json::<zones::Zone>(201), Success::json::<zones::Zone>(202)])
                .refuses(&[404, 409, 507])
                .summary("Makes a zone with its SOA record"),
        ],
    )
    .style(Style::Operations),
    Route::new(
        "/api/zones/{name}",
        &[
            Operation::get(|app, call| Box::pin(zones::show(app, call)))
                .access(Access::With(Permission::Read))
                .scopes(&[Scope::DnsApiCheap])
                .resource(Resource::PartOfDomain)
                .replies(&[Success::json::<zones::Zone>(200)])
                .summary("One zone"),
            Operation::delete(|app, call| Box::pin(zones::delete(app, call)))
                .access(Access::With(Permission::DeleteDomain))
                .scopes(&[Scope::DnsApiExpensive])
                .resource(Resource::PartOfDomain)
                .query(&["wait"])
                .replies(&[Success::json::<zones::Deleted>(200), Success::json::<zones::Deleted>(202)])
                .refuses(&[412, 507])
                .summary("Deletes a zone with all its records"),
        ],
    )
    .style(Style::Operations),
    Route::new(
        "/api/zones/{name}/records",
        &[
            Operation::get(|app, call| Box::pin(records::list(app, call)))
                .access(Access::With(Permission::Read))
                .scopes(&[Scope::DnsApiCheap])
                .resource(Resource::PartOfDomain)
                .query(&["name", "type", "after", "limit"])
                .replies(&[Success::list::<records::View>(200)])
                .summary("The records of a zone, the SOA record first"),
            Operation::post(|app, call| Box::pin(records::create(app, call)))
                .access(Access::With(Permission::Write))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .body::<records::NewRecord>(Count::One)
                .query(&["wait"])
                .replies(&[Success::json::<records::View>(201), Success::json::<records::View>(202)])
                .refuses(&[409, 412, 507])
                .summary("Adds a record"),
        ],
    )
    .style(Style::Operations),
    Route::new(
        "/api/zones/{name}/import",
        &[Operation::post(|app, call| Box::pin(import::import(app, call)))
            .access(Access::With(Permission::Write))
            .scopes(&[Scope::DnsApiPerDomainExpensive])
            .resource(Resource::PartOfDomain)
            .takes(Takes::Text)
            .large()
            .query(&["replace", "gate", "reason", "wait"])
            .replies(&[Success::json::<import::Imported>(200), Success::json::<import::Imported>(202)])
            .refuses(&[409, 412, 507])
            .summary("Takes over the records of a zone file")],
    )
    .style(Style::Operations),
    Route::new(
        "/api/zones/{name}/dnssec",
        &[
            Operation::get(|app, call| Box::pin(dnssec::show(app, call)))
                .access(Access::With(Permission::Read))
                .scopes(&[Scope::DnsApiCheap])
                .resource(Resource::PartOfDomain)
                .replies(&[Success::json::<dnssec::Signing>(200)])
                .summary("Whether the zone is signed, its keys and their DS records"),
            Operation::post(|app, call| Box::pin(dnssec::enable(app, call)))
                .access(Access::With(Permission::Write))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .body::<dnssec::NewSigning>(Count::One)
                .query(&["wait"])
                .replies(&[Success::json::<dnssec::Signing>(200), Success::json::<dnssec::Signing>(202)])
                .refuses(&[409, 412, 507])
                .summary("Signs the zone"),
            Operation::delete(|app, call| Box::pin(dnssec::disable(app, call)))
                .access(Access::With(Permission::Write))
                .scopes(&[Scope::DnsApiPerDomainExpensive])
                .resource(Resource::PartOfDomain)
                .query(&["force", "wait"])
                .replies(&[Success::json::<dnssec::Signing>(200), Success::json::<dnssec::Signing>(202)])
                .refuses(&[409, 412, 507])
                .summary("Ends signing; the keys are kept. Refused while the parent has a DS, but for force=true"),
        ],
    )
    .style(Style::Operations),
    Route::new(
        "/api/zones/{name}/export",
        &[Operation::get(|app, call| Box::pin(zones::export(app, call)))
            .access(Access::With(Permission::Read))
            .scopes(&[Scope::DnsApiPerDomainExpensive])
            .resource(Resource::PartOfDomain)
            .replies(&[Success::media(200, "text/plain; charset=utf-8")])
            .summary("The zone as a zone file")],
    )
    .style(Style::Operations),
    Route::new(
        "/api/records/{id}",
        &[
            Operation::get(|app, call| Box::pin(records::show(app, call)))
                .access(Access::With(Permission::Read))
                .scopes(&[Scope::DnsApiCheap])
                .replies(&[Success::json::<records::View>(200)])
                .summary("One record"),
            Operation::put(|app, call| Box::pin(records::change(app, call)))
                .access(Access::With(Permission::Write))
                .body::<records::ChangedRecord>(Count::One)
                .query(&["wait"])
                .replies(&[Success::json::<records::View>(200), Success::json::<records::View>(202)])
                .refuses(&[409, 412, 507])
                .summary("Changes what is sent of a record; its number stays"),
            Operation::delete(|app, call| Box::pin(records::delete(app, call)))
                .access(Access::With(Permission::Write))
                .query(&["wait"])
                .replies(&[Success::json::<records::Deleted>(200), Success::json::<records::Deleted>(202)])
                .refuses(&[409, 412, 507])
                .summary("Deletes a record"),
        ],
    )
    .style(Style::Operations),
];
