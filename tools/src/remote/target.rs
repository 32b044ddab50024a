//! Which control plane is meant: options first, then the environment, then where `dnsctl up` puts its socket.
//!
//! Pure but for reading the token file. Invariant: who has a token in the environment acts with that, over an address or over a
//! local socket, and never as the operator without having said so. Only a token that belongs to the address of `PETREL_URL`
//! stays out of a socket that an option names.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use crate::args::Reach;
use crate::failure::Failure;

/// The local socket in a directory of `dnsctl up`.
const SOCKET: &str = "state/socket";
/// The directory of `dnsctl up` when none is given.
const DIR_DEFAULT: &str = "petrel-data";
/// A longer token file is none.
const TOKEN_LEN_MAX: usize = 256;

/// Where a control plane listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// On a socket of this machine.
    Local(PathBuf),
    /// On an address.
    Net {
        /// Host and port.
        authority: String,
        /// What stands in front of each path, without a slash at its end.
        prefix: String,
    },
}

impl Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Local(path) => write!(out, "{}", path.display()),
            Target::Net { authority, prefix } => write!(out, "http://{authority}{prefix}"),
        }
    }
}

impl Target {
    /// What stands in front of each path.
    pub(super) fn prefix(&self) -> &str {
        match self {
            Target::Local(_) => "",
            Target::Net { prefix, .. } => prefix,
        }
    }

    /// The `Host` header.
    pub(super) fn host(&self) -> &str {
        match self {
            Target::Local(_) => "localhost",
            Target::Net { authority, .. } => authority,
        }
    }
}

/// The target and the token that options and environment mean.
///
/// # Errors
/// [`Failure::Usage`] for a URL that is none of ours or lacks a token, [`Failure::Unable`] for a token file that cannot be
/// read.
pub(super) fn find(
    reach: &Reach,
    dir: Option<&Path>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<(Target, Option<String>), Failure> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let of_file = reach.token_file.as_deref().map(read_token).transpose()?;
    let of_environment = || set("PETREL_TOKEN").map(|token| token.trim().to_owned());
    let local = |path: PathBuf| {
        let token = of_file.clone().or_else(|| of_environment().filter(|_| set("PETREL_URL").is_none()));
        (Target::Local(path), token)
    };
    if let Some(path) = &reach.socket {
        return Ok(local(path.clone()));
    }
    let url = match (&reach.url, dir) {
        (Some(url), _) => Some(url.clone()),
        (None, Some(dir)) => return Ok(local(dir.join(SOCKET))),
        (None, None) => set("PETREL_URL"),
    };
    let Some(url) = url else {
        let path = set("PETREL_SOCKET").map_or_else(|| Path::new(DIR_DEFAULT).join(SOCKET), PathBuf::from);
        return Ok(local(path));
    };
    let target = parse(&url)?;
    let token = of_file.clone().or_else(of_environment);
    match token {
        Some(token) => Ok((target, Some(token))),
        None => Err(Failure::Usage(format!("{url} needs a token: give --token-file FILE, or set PETREL_TOKEN"))),
    }
}

/// Takes a URL apart.
fn parse(url: &str) -> Result<Target, Failure> {
    let bad = |why: &str| Failure::Usage(format!("`{url}` is no address of a control plane: {why}"));
    if url.starts_with("https://") {
        return Err(bad("https is not spoken here; TLS belongs to a proxy in front, or use the local socket"));
    }
    let rest = url.strip_prefix("http://").ok_or_else(|| bad("it does not begin with http://"))?;
    let (authority, prefix) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    if authority.is_empty() || authority.contains(['@', '?', '#', ' ']) || prefix.contains(['?', '#', ' ']) {
        return Err(bad("it is not of the form http://HOST:PORT"));
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    // People paste the root of the API as well.
    let prefix = prefix.trim_end_matches('/').trim_end_matches("/api/v1");
    Ok(Target::Net { authority, prefix: prefix.to_owned() })
}

/// Reads a token from a file: its first line.
fn read_token(path: &Path) -> Result<String, Failure> {
    let unable = |cause: &dyn Display| Failure::Unable(format!("reading the token from {}: {cause}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|cause| unable(&cause))?;
    match text.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() && token.len() <= TOKEN_LEN_MAX => Ok(token.to_owned()),
        _ => Err(unable(&"its first line is no token")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where options and an environment `NAME=value …` lead.
    fn check(url: Option<&str>, dir: Option<&str>, socket: Option<&str>, environment: &str, expected: &str) {
        let reach = Reach { url: url.map(Into::into), socket: socket.map(Into::into), ..Reach::default() };
        let set = |name: &str| {
            let pairs = environment.split(' ').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
        };
        let found = match find(&reach, dir.map(Path::new), &set) {
            Ok((target, token)) => format!("{target} {}", token.unwrap_or_default()),
            Err(failure) => format!("{} {failure}", failure.exit_code()),
        };
        assert!(found.starts_with(expected), "{found:?} does not begin with {expected:?}");
    }

    #[test]
    fn options_win_over_the_environment_and_that_over_the_default() {
        check(None, None, None, "", "petrel-data/state/socket ");
        check(None, Some("d"), None, "PETREL_URL=http://h PETREL_TOKEN=t", "d/state/socket ");
        check(None, None, Some("s"), "PETREL_SOCKET=x", "s ");
        check(None, None, None, "PETREL_SOCKET=x", "x ");
        check(None, None, None, "PETREL_SOCKET=x PETREL_URL=http://h:81/ PETREL_TOKEN=t", "http://h:81 t");
        check(Some("http://[::1]"), Some("d"), None, "PETREL_TOKEN=t", "http://[::1]:80 t");
        check(Some("http://h/petrel/api/v1/"), None, None, "PETREL_TOKEN=t", "http://h:80/petrel t");
    }

    #[test]
    fn a_token_of_the_environment_is_used_over_the_local_socket_too() {
        check(None, None, None, "PETREL_TOKEN=t", "petrel-data/state/socket t");
        check(None, None, None, "PETREL_SOCKET=x PETREL_TOKEN=t", "x t");
        check(None, Some("d"), None, "PETREL_TOKEN=t", "d/state/socket t");
        check(None, None, Some("s"), "PETREL_TOKEN=t", "s t");
        let exactly = |environment: &str, expected: &str| {
            let set = |name: &str| environment.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
            let (target, token) = find(&Reach::default(), Some(Path::new("d")), &set).unwrap();
            assert_eq!(format!("{target} {}", token.unwrap_or_default()), expected, "{environment}");
        };
        exactly("PETREL_TOKEN=", "d/state/socket ");
        exactly("PETREL_TOKEN= t ", "d/state/socket t");
    }

    #[test]
    fn what_cannot_be_meant_is_a_usage_error() {
        check(Some("http://h"), None, None, "", "2 http://h needs a token");
        check(Some("https://h"), None, None, "PETREL_TOKEN=t", "2 `https://h` is no address of a control plane: https");
        for url in ["h:80", "http://", "http://u@h", "http://h/?x", "ftp://h"] {
            check(Some(url), None, None, "PETREL_TOKEN=t", &format!("2 `{url}` is no address"));
        }
    }

    #[test]
    fn the_token_file_has_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, " sesame \nrest").unwrap();
        assert_eq!(read_token(&path).unwrap(), "sesame");
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(read_token(&path).unwrap_err().exit_code(), 3);
        assert_eq!(read_token(&dir.path().join("none")).unwrap_err().exit_code(), 3);
    }
}
