//! The config file as it is written; [`super::Config`] is what comes of it.
//!
//! Unknown keys are errors, so that a typing mistake is no silent default. Nothing is checked beyond types here.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::TCP_DEFAULT;
use super::guard::Guard;
use crate::answer::CookiePolicy;
use crate::engine::Choice;
use crate::stream::Limits;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// As `--snapshots`.
    pub(super) snapshots: Option<PathBuf>,
    /// As `--trust`.
    pub(super) trust: Option<Vec<PathBuf>>,
    /// As `--listen`.
    pub(super) listen: Option<Vec<String>>,
    /// As `--threads`.
    pub(super) threads: Option<usize>,
    /// As `--pin`.
    pub(super) pin: Option<bool>,
    /// As `--steer`.
    pub(super) steer: Option<bool>,
    /// As `--engine`.
    pub(super) engine: Option<Choice>,
    /// As `--control`.
    pub(super) control: Option<PathBuf>,
    /// As `--control-group`.
    pub(super) control_group: Option<String>,
    /// As `--user`.
    pub(super) user: Option<String>,
    /// About answers.
    #[serde(default)]
    pub(super) answer: Answer,
    /// About cookies.
    #[serde(default)]
    pub(super) cookies: Cookies,
    /// About TCP.
    #[serde(default)]
    pub(super) tcp: Tcp,
    /// About limits.
    #[serde(default)]
    pub(super) guard: Guard,
    /// About AF_XDP.
    #[serde(default)]
    pub(super) xdp: Xdp,
}

/// The table `[xdp]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Xdp {
    /// As `--xdp`.
    pub(super) interfaces: Option<Vec<String>>,
    /// Frames that each queue of an interface has room for.
    pub(super) frames: Option<u32>,
}

/// The table `[answer]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// Longest reply over UDP in bytes.
    pub(super) udp_len_max: Option<u16>,
    /// Text of `version.bind`; the query is refused without it.
    pub(super) version: Option<String>,
    /// What NSID and `id.server` say; nothing without it.
    pub(super) nsid: Option<String>,
    /// As `--ecs`.
    #[serde(default)]
    pub(super) ecs: Vec<String>,
}

/// The table `[cookies]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cookies {
    /// What is done about them.
    policy: Option<Policy>,
    /// As `--cookie-secrets`.
    pub(super) secrets: Option<PathBuf>,
}

/// The words for [`CookiePolicy`].
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Policy {
    /// [`CookiePolicy::Ignore`].
    Ignore,
    /// [`CookiePolicy::Answer`].
    Answer,
    /// [`CookiePolicy::Require`].
    Require,
}

impl Cookies {
    /// The policy; cookies are answered if nothing is said.
    pub(super) fn policy(&self) -> CookiePolicy {
        match self.policy {
            Some(Policy::Ignore) => CookiePolicy::Ignore,
            None | Some(Policy::Answer) => CookiePolicy::Answer,
            Some(Policy::Require) => CookiePolicy::Require,
        }
    }
}

/// The table `[tcp]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tcp {
    /// Connections open at once.
    connections_max: Option<usize>,
    /// Seconds without a query.
    idle_secs: Option<u64>,
    /// Seconds for a reply to be taken.
    write_secs: Option<u64>,
}

impl Tcp {
    /// The limits, with defaults for what is not set.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            connections_max: self.connections_max.unwrap_or(TCP_DEFAULT.connections_max),
            idle: self.idle_secs.map_or(TCP_DEFAULT.idle, Duration::from_secs),
            write: self.write_secs.map_or(TCP_DEFAULT.write, Duration::from_secs),
            drain: TCP_DEFAULT.drain,
        }
    }
}
