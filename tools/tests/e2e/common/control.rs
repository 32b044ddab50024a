//! `dnsctl up` as a process of its own on free ports, and `dnsctl` speaking to it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::tool::{DNSCTL, Ended, run};

/// Both processes.
pub(crate) struct Up {
    /// `dnsctl up`.
    child: Child,
    /// The directory.
    pub(crate) dir: PathBuf,
    /// Where DNS is answered.
    pub(crate) dns: std::net::SocketAddr,
    /// Where HTTP is served.
    pub(crate) url: String,
}

impl Up {
    /// Starts them and waits until they are ready.
    pub(crate) fn start(dir: &Path) -> Up {
        Up::start_with(dir, &[])
    }

    /// As [`Up::start`], with further arguments.
    pub(crate) fn start_with(dir: &Path, words: &[&str]) -> Up {
        let mut command = Command::new(DNSCTL);
        command.args(["up", "--json", "--dns", "127.0.0.1:0", "--api", "127.0.0.1:0", "--dir"]).arg(dir);
        let mut child =
            command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let document: serde_json::Value = serde_json::from_str(&line).unwrap();
        let word = |key: &str| document[key].as_str().unwrap().to_owned();
        let url = format!("http://{}", word("api"));
        Up { child, dir: dir.to_owned(), dns: word("dns").parse().unwrap(), url }
    }

    /// Ends them.
    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// Runs `dnsctl` as the operator, over the local socket.
    pub(crate) fn ctl(&self, words: &[&str]) -> Ended {
        let mut command = self.command();
        run(command.arg("--dir").arg(&self.dir).args(words))
    }

    /// Runs `dnsctl` with a token, over HTTP.
    pub(crate) fn with_token(&self, token: &str, words: &[&str]) -> Ended {
        let mut command = self.command();
        run(command.env("PETREL_URL", &self.url).env("PETREL_TOKEN", token).args(words))
    }

    /// As [`Up::ctl`], which must succeed; its JSON.
    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        let ended = self.ctl(&[words, &["--json"]].concat());
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
        serde_json::from_str(&ended.out).unwrap()
    }

    /// `dnsctl` with a time limit and nothing of the environment that speaks to it.
    fn command(&self) -> Command {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "60", DNSCTL]);
        for name in ["PETREL_URL", "PETREL_TOKEN", "PETREL_SOCKET"] {
            command.env_remove(name);
        }
        command
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have been stopped; a test that fails leaves nothing behind.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
