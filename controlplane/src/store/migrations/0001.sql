-- The first form of the database. Times are microseconds since 1970; booleans are 0 or 1.
-- A row of a tenant names its account, and every reference repeats it, so that the schema itself keeps tenants apart.

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The counts are what the account has now, changed with each change; `hour_writes` are the writes since `hour_began`,
-- `day_history` the bytes of change-sets since `day_began`.
CREATE TABLE accounts (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid          BLOB    NOT NULL UNIQUE,
    email         TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    class         TEXT    NOT NULL CHECK (class IN ('operator', 'hosting')),
    created       INTEGER NOT NULL,
    active        INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    outreach      INTEGER NOT NULL DEFAULT 1 CHECK (outreach IN (0, 1)),
    limit_domains INTEGER CHECK (limit_domains >= 0),
    limit_rrsets  INTEGER CHECK (limit_rrsets >= 0),
    limit_records INTEGER CHECK (limit_records >= 0),
    limit_bytes   INTEGER CHECK (limit_bytes >= 0),
    limit_writes  INTEGER CHECK (limit_writes >= 0),
    limit_history INTEGER CHECK (limit_history >= 0),
    domain_count  INTEGER NOT NULL DEFAULT 0,
    rrset_count   INTEGER NOT NULL DEFAULT 0,
    record_count  INTEGER NOT NULL DEFAULT 0,
    rdata_bytes   INTEGER NOT NULL DEFAULT 0,
    hour_began    INTEGER NOT NULL DEFAULT 0,
    hour_writes   INTEGER NOT NULL DEFAULT 0,
    day_began     INTEGER NOT NULL DEFAULT 0,
    day_history   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE tokens (
    id                 BLOB    PRIMARY KEY,
    account            INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    hash               BLOB    NOT NULL UNIQUE,
    name               TEXT    NOT NULL,
    created            INTEGER NOT NULL,
    last_used          INTEGER,
    max_age            INTEGER CHECK (max_age >= 0),
    max_unused_period  INTEGER CHECK (max_unused_period >= 0),
    perm_create_domain INTEGER NOT NULL CHECK (perm_create_domain IN (0, 1)),
    perm_delete_domain INTEGER NOT NULL CHECK (perm_delete_domain IN (0, 1)),
    perm_manage_tokens INTEGER NOT NULL CHECK (perm_manage_tokens IN (0, 1)),
    auto_policy        INTEGER NOT NULL CHECK (auto_policy IN (0, 1)),
    read_only          INTEGER NOT NULL DEFAULT 0 CHECK (read_only IN (0, 1)),
    allowed_subnets    TEXT    NOT NULL,
    UNIQUE (id, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_newest ON tokens (account, created DESC, id);

-- `unproved` is what the domain has to show to the world before it is published; NULL if nothing. `denial` is how a signed
-- domain proves what it lacks, `signed` when all of it was last to be signed anew: a change signs only what it touches.
CREATE TABLE domains (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    account       INTEGER NOT NULL REFERENCES accounts (id),
    name          TEXT    NOT NULL UNIQUE,
    name_key      BLOB    NOT NULL UNIQUE,
    created       INTEGER NOT NULL,
    touched       INTEGER NOT NULL,
    published     INTEGER,
    changed       INTEGER NOT NULL,
    change        INTEGER NOT NULL,
    minimum_ttl   INTEGER NOT NULL,
    serial        INTEGER NOT NULL CHECK (serial BETWEEN 0 AND 4294967295),
    serial_policy TEXT    NOT NULL CHECK (serial_policy IN ('date', 'increment', 'unixtime')),
    soa_mode      TEXT    NOT NULL CHECK (soa_mode IN ('managed', 'user')),
    soa_ttl       INTEGER NOT NULL,
    soa_mname     TEXT    NOT NULL,
    soa_rname     TEXT    NOT NULL,
    soa_refresh   INTEGER NOT NULL,
    soa_retry     INTEGER NOT NULL,
    soa_expire    INTEGER NOT NULL,
    soa_minimum   INTEGER NOT NULL,
    rrset_count   INTEGER NOT NULL DEFAULT 0 CHECK (rrset_count >= 0),
    unproved      TEXT,
    signed        INTEGER NOT NULL DEFAULT 0,
    denial        TEXT    NOT NULL DEFAULT 'off' CHECK (denial IN ('off', 'nsec', 'nsec3', 'opt-out')),
    checksum      INTEGER NOT NULL,
    UNIQUE (id, account)
) STRICT;
CREATE INDEX domains_newest ON domains (account, created DESC, id DESC);
CREATE INDEX domains_signed ON domains (signed) WHERE denial <> 'off';
CREATE INDEX domains_unproved ON domains (created) WHERE unproved IS NOT NULL;

CREATE TABLE token_policies (
    id         BLOB    PRIMARY KEY,
    token      BLOB    NOT NULL,
    account    INTEGER NOT NULL,
    domain     INTEGER,
    subname    TEXT,
    rtype      TEXT,
    perm_write INTEGER NOT NULL CHECK (perm_write IN (0, 1)),
    FOREIGN KEY (token, account) REFERENCES tokens (id, account) ON DELETE CASCADE,
    FOREIGN KEY (domain, account) REFERENCES domains (id, account) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX token_policies_scope
    ON token_policies (token, ifnull(domain, 0), ifnull(subname, '/'), ifnull(rtype, '/'));
CREATE INDEX token_policies_domain ON token_policies (domain, account);

-- Names of domains that were deleted: for a while no other account gets them, and their serials never begin anew.
CREATE TABLE released_names (
    name    TEXT    PRIMARY KEY,
    account INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    serial  INTEGER NOT NULL CHECK (serial BETWEEN 0 AND 4294967295),
    proved  INTEGER NOT NULL CHECK (proved IN (0, 1))
) STRICT, WITHOUT ROWID;

-- `node` is the owner's sort key below the apex (RFC 4034 section 6.1), so that a range of it is a subtree.
-- `checksum` covers owner, type, TTL and records, as that of a domain covers its row: a flipped bit in a page is noticed
-- before it is compiled.
CREATE TABLE rrsets (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    domain   INTEGER NOT NULL,
    account  INTEGER NOT NULL,
    node     BLOB    NOT NULL,
    subname  TEXT    NOT NULL,
    rtype    INTEGER NOT NULL CHECK (rtype BETWEEN 1 AND 65535),
    ttl      INTEGER NOT NULL CHECK (ttl BETWEEN 0 AND 2147483647),
    created  INTEGER NOT NULL,
    touched  INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (domain, node, rtype),
    FOREIGN KEY (domain, account) REFERENCES domains (id, account) ON DELETE CASCADE
) STRICT;
CREATE INDEX rrsets_newest ON rrsets (domain, created DESC, id DESC);

CREATE TABLE records (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    rrset   INTEGER NOT NULL REFERENCES rrsets (id) ON DELETE CASCADE,
    content TEXT    NOT NULL,
    rdata   BLOB    NOT NULL,
    weight  INTEGER,
    geo     TEXT,
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    comment TEXT
) STRICT;
CREATE INDEX records_rrset ON records (rrset);

-- DNSSEC keys: the public part is what DNSKEY has, the secret is sealed with a key that is not in this file. What a key
-- does follows from its role and its state; `since` is when the state came to be served. `ds_seen` is since when all servers
-- of the parent have its DS, `ds_gone` since when none has, `ds_ttl` the greatest TTL in seconds that its DS was seen with.
-- `look` is when it is looked at again whether a key in use is old. `imported` is 1 for a key that was made elsewhere.
CREATE TABLE keys (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    domain    INTEGER NOT NULL,
    account   INTEGER NOT NULL,
    role      TEXT    NOT NULL CHECK (role IN ('csk', 'ksk', 'zsk')),
    algorithm INTEGER NOT NULL CHECK (algorithm BETWEEN 1 AND 255),
    tag       INTEGER NOT NULL CHECK (tag BETWEEN 0 AND 65535),
    public    BLOB    NOT NULL,
    sealed    BLOB    NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('generated', 'signing', 'published', 'ready', 'submitted', 'active',
                                                'leaving', 'retired', 'withdrawn', 'ending')),
    since     INTEGER NOT NULL,
    ds_seen   INTEGER,
    ds_gone   INTEGER,
    ds_ttl    INTEGER CHECK (ds_ttl >= 0),
    created   INTEGER NOT NULL,
    look      INTEGER NOT NULL,
    imported  INTEGER NOT NULL DEFAULT 0 CHECK (imported IN (0, 1)),
    UNIQUE (domain, tag),
    FOREIGN KEY (domain, account) REFERENCES domains (id, account) ON DELETE CASCADE
) STRICT;
CREATE INDEX keys_active ON keys (role, look, id) WHERE state = 'active';
-- Those that a device has: what stands for their secret begins with 2.
CREATE INDEX keys_held ON keys (sealed) WHERE substr(sealed, 1, 1) = x'02';

-- Rollovers of keys: `next` is when a domain's keys are looked at again, NULL if nothing is under way; `change` is the last
-- step until it is served. After so many seconds keys are rolled by themselves; NULL: as the server says, 0: never. Caches may
-- have records with a TTL of `ttl_max` seconds that the zone has no longer: until `ttl_until`, and while the change that took
-- the last of them away is not published, which is `ttl_change` then.
CREATE TABLE rollovers (
    domain     INTEGER PRIMARY KEY,
    account    INTEGER NOT NULL,
    next       INTEGER,
    change     INTEGER,
    zsk_secs   INTEGER CHECK (zsk_secs >= 0),
    ksk_secs   INTEGER CHECK (ksk_secs >= 0),
    ttl_max    INTEGER NOT NULL DEFAULT 0 CHECK (ttl_max >= 0),
    ttl_change INTEGER,
    ttl_until  INTEGER NOT NULL DEFAULT 0,
    FOREIGN KEY (domain, account) REFERENCES domains (id, account) ON DELETE CASCADE
) STRICT;
CREATE INDEX rollovers_next ON rollovers (next, domain) WHERE next IS NOT NULL;

-- The keys of domains that were deleted, by the change-set of the deletion: what is taken back has the same DS records, and
-- as much is known of them.
CREATE TABLE released_keys (
    change    INTEGER NOT NULL,
    denial    TEXT    NOT NULL,
    role      TEXT    NOT NULL,
    algorithm INTEGER NOT NULL,
    tag       INTEGER NOT NULL,
    public    BLOB    NOT NULL,
    sealed    BLOB    NOT NULL,
    state     TEXT    NOT NULL,
    ds_seen   INTEGER,
    ds_gone   INTEGER,
    ds_ttl    INTEGER,
    imported  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (change, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX released_keys_held ON released_keys (sealed) WHERE substr(sealed, 1, 1) = x'02';

-- What a device has, or may have, and no domain needs, by what stands for its secret in `keys`. It was to be `made` at that
-- time, in microseconds since 1970, and no domain has it yet; or `dropped` by its domain; or it is `going` for good, and is
-- tried to be removed from that time on.
CREATE TABLE device_objects (
    sealed BLOB    PRIMARY KEY,
    name   TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    stage  TEXT    NOT NULL CHECK (stage IN ('made', 'dropped', 'going'))
) STRICT, WITHOUT ROWID;

-- When the first signature ends of what is published of a signed domain, in seconds since 1970.
CREATE TABLE signatures (
    domain INTEGER PRIMARY KEY REFERENCES domains (id) ON DELETE CASCADE,
    ends   INTEGER NOT NULL
) STRICT;
CREATE INDEX signatures_ends ON signatures (ends);

-- Who changed what when, before and after: the audit log and the undo. Rows outlive their domain.
CREATE TABLE change_sets (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    account    INTEGER NOT NULL,
    domain     INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    via        TEXT    NOT NULL,
    token      BLOB,
    address    TEXT,
    kind       TEXT    NOT NULL,
    undoes     INTEGER,
    serial     INTEGER NOT NULL,
    note       TEXT,
    edits      TEXT    NOT NULL,
    chain      BLOB    NOT NULL
) STRICT;
CREATE INDEX change_sets_domain ON change_sets (domain, id);
CREATE INDEX change_sets_account ON change_sets (account, id);
CREATE INDEX change_sets_deletions ON change_sets (account, id) WHERE kind = 'delete';
CREATE INDEX change_sets_deleted ON change_sets (account, name, id) WHERE kind = 'delete';

-- What is committed and not yet in a published generation: `nodes` are the owners' sort keys, NULL for the whole zone.
CREATE TABLE outbox (
    change INTEGER PRIMARY KEY,
    domain INTEGER NOT NULL,
    name   TEXT    NOT NULL,
    nodes  BLOB
) STRICT;

CREATE TABLE generations (
    generation INTEGER PRIMARY KEY,
    epoch      INTEGER NOT NULL,
    change     INTEGER NOT NULL,
    digest     BLOB    NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

CREATE INDEX generations_change ON generations (change, generation);

CREATE TABLE throttle (
    scope    TEXT    NOT NULL,
    bucket   TEXT    NOT NULL,
    identity TEXT    NOT NULL,
    at       INTEGER NOT NULL
) STRICT;
