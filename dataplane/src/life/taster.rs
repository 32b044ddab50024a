//! Trial loads: a process of its own takes in each generation first, and may die of it instead of us.
//!
//! Ours asks, the other runs [`serve`] until its standard input ends, so it never outlives us. It reads no configuration:
//! the first line it gets has the trusted keys, each further one the generations to avoid and the packs in service, so a
//! publication costs it what is new, or a pack that a generation will name. After a large load it ends, and with it goes the memory that took. Invariant: a generation that made
//! two trial loads die is not loaded by this process; what it would have crashed once more keeps answering.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec};
use snapshot::handover::frames::Parcel;
use snapshot::handover::{Directory, HandoverError};
use snapshot::image::{Digest, Generation, PublicKey, Trust, View};

use crate::packet::{Packet, Transport};
use crate::responder::Answer;

/// Deaths of which a generation is guilty.
const DEATHS_MAX: u32 = 2;
/// The longest trial load: ten million names take four seconds.
const PATIENCE: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };
/// Zones of a generation that are asked a question.
const ZONES_ASKED: usize = 4096;
/// A process that has loaded so many octets ends: what the allocator keeps for it is not given back otherwise.
const LARGE_LEN: u64 = 8 << 20;
/// How the request to load a pack that no generation names yet begins.
const PARCEL: &str = "parcel ";
/// What parts generations from packs in a request.
const PACKS: &str = "|";
/// The end of a verdict after which the process ends.
const LAST: char = '.';
/// Type and class of a question for SOA.
const SOA_IN: [u8; 4] = [0, 6, 0, 1];

/// What became of a trial load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// This generation can be loaded, or fails without doing harm; `None` if there is none, or none that is whole.
    Harmless(Option<u64>),
    /// It made processes die.
    Deadly,
    /// No process can be started; generations are loaded untried.
    Unavailable,
}

/// The process that tastes, started when there is something to taste.
pub(super) struct Taster {
    /// Makes its command line.
    command: Box<dyn Fn() -> Command + Send>,
    /// The keys whose signatures are asked for.
    trust: Trust,
    /// How long it may take; then it hangs, and counts as dead.
    patience: Timespec,
    /// While it runs.
    running: Option<Running>,
}

/// A running process.
struct Running {
    /// The process.
    child: Child,
    /// For requests.
    asks: ChildStdin,
    /// For verdicts.
    verdicts: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Whether a process crashed, instead of being unable to start: a signal or a panic ended it.
fn is_crash(how: ExitStatus) -> bool {
    /// Exit code of a panic.
    const PANICKED: i32 = 101;
    how.code().is_none_or(|code| code == PANICKED)
}

impl Taster {
    /// This program once more, by these arguments, for the directory at `path`.
    pub(super) fn of_ourselves(arguments: Vec<OsString>, path: PathBuf, trust: Trust) -> Taster {
        let command = move || {
            let mut command = Command::new("/proc/self/exe");
            command.args(&arguments).args(["--taste", "--snapshots"]).arg(&path).env_remove("NOTIFY_SOCKET");
            command
        };
        Taster { command: Box::new(command), trust, patience: PATIENCE, running: None }
    }

    /// Has the newest generation but `avoided` ones loaded on trial, without the packs `known`, twice if the first process
    /// dies.
    pub(super) fn taste(&mut self, avoided: &[Generation], known: &[Digest]) -> Verdict {
        let numbers = avoided.iter().map(|generation| generation.0.to_string());
        let packs = known.iter().map(ToString::to_string);
        let words: Vec<_> = numbers.chain([PACKS.to_owned()]).chain(packs).collect();
        self.ask(&words.join(" "))
    }

    /// The same with a pack that no generation names yet. That is seldom, so no process waits for the next one.
    pub(super) fn taste_parcel(&mut self, Parcel { file, digest, bytes }: &Parcel) -> Verdict {
        // What has other characters is no such name, and found out by the load.
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_graphic());
        if !is_word(file) || !is_word(digest) {
            return Verdict::Harmless(None);
        }
        let verdict = self.ask(&format!("{PARCEL}{file} {digest} {bytes}"));
        self.running = None;
        verdict
    }

    /// Has a process answer a request, or a second one if the first dies.
    fn ask(&mut self, request: &str) -> Verdict {
        for death in 1..=DEATHS_MAX {
            if self.running.is_none() {
                match self.start() {
                    Ok(running) => self.running = Some(running),
                    Err(error) => {
                        tracing::warn!("generations are loaded without a trial: {error}");
                        return Verdict::Unavailable;
                    }
                }
            }
            let Some(running) = self.running.as_mut() else { return Verdict::Unavailable };
            if let Some(told) = running.ask(request, &self.patience) {
                let number = told.strip_suffix(LAST);
                if number.is_some() {
                    self.running = None;
                }
                return Verdict::Harmless(number.unwrap_or(&told).parse().ok());
            }
            let ended = self.running.take().map(Running::end);
            let Some(how) = ended.filter(|how| is_crash(*how)) else {
                tracing::warn!("generations are loaded without a trial: the process for it ends");
                return Verdict::Unavailable;
            };
            tracing::error!("a trial load crashed ({death} of {DEATHS_MAX}): {how}");
        }
        Verdict::Deadly
    }

    /// Starts the process.
    fn start(&self) -> std::io::Result<Running> {
        let mut child = (self.command)().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (asks, verdicts) = (child.stdin.take(), child.stdout.take());
        let (Some(mut asks), Some(verdicts)) = (asks, verdicts) else { return Err(ErrorKind::BrokenPipe.into()) };
        let keys: Vec<_> = self.trust.0.iter().map(ToString::to_string).collect();
        // One that has ended already is found out by the first request.
        writeln!(asks, "{}", keys.join(" ")).ok();
        Ok(Running { child, asks, verdicts: BufReader::new(verdicts) })
    }
}

impl Running {
    /// One trial load and its verdict; `None` if the process dies or hangs.
    fn ask(&mut self, request: &str, patience: &Timespec) -> Option<String> {
        writeln!(self.asks, "{request}").ok()?;
        loop {
            let mut polled = [PollFd::new(self.verdicts.get_ref(), PollFlags::IN)];
            match rustix::event::poll(&mut polled, Some(patience)) {
                Ok(0) => return None,
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        let mut line = String::new();
        self.verdicts.read_line(&mut line).ok()?;
        // A process that dies leaves no whole line.
        line.strip_suffix('\n').map(str::to_owned)
    }

    /// Ends a process that gave no verdict, or says how it ended.
    fn end(mut self) -> ExitStatus {
        // One whose output has ended is about to end; one that hangs is killed, and has crashed for all that we know.
        let mut polled = [PollFd::new(self.verdicts.get_ref(), PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let has_ended = rustix::event::poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0)
            && matches!(self.verdicts.fill_buf(), Ok([]));
        if !has_ended {
            self.child.kill().ok();
        }
        self.child.wait().unwrap_or_default()
    }
}

/// Tastes for each line of standard input until it ends.
pub(super) fn serve(path: &Path, answer: &mut impl Answer<View = View>) -> ExitCode {
    let (mut line, mut input, mut output) = (String::new(), std::io::stdin().lock(), std::io::stdout().lock());
    if input.read_line(&mut line).is_err() {
        return ExitCode::FAILURE;
    }
    let keys = line.split_whitespace().map(str::parse).collect::<Result<Vec<PublicKey>, _>>();
    let Ok(keys) = keys else { return ExitCode::FAILURE };
    let trust = Trust(keys);
    line.clear();
    while input.read_line(&mut line).is_ok_and(|len| len > 0) {
        let directory = Directory::open(path).map(|directory| directory.trusting(trust.clone()));
        let tasted = directory.and_then(|directory| match line.strip_prefix(PARCEL) {
            Some(words) => taste_parcel(&directory, words),
            None => taste_newest(directory, &line),
        });
        // What is wrong is found and said by the one who loads it in earnest.
        let (verdict, view) = tasted.ok().flatten().unwrap_or_default();
        let mut is_last = false;
        if let Some(view) = view {
            question(&view, answer);
            is_last = view.byte_len() >= LARGE_LEN;
        }
        let end = if is_last { LAST.to_string() } else { String::new() };
        if writeln!(output, "{verdict}{end}").and_then(|()| output.flush()).is_err() || is_last {
            break;
        }
        line.clear();
    }
    ExitCode::SUCCESS
}

/// A verdict, and what is to be asked before it is told.
type Trial = Option<(String, Option<Arc<View>>)>;

/// Loads the newest generation as [`Taster::taste`] has it.
fn taste_newest(directory: Directory, request: &str) -> Result<Trial, HandoverError> {
    let (avoided, known) = request.split_once(PACKS).unwrap_or((request, ""));
    let avoided = avoided.split_whitespace().filter_map(|word| word.parse().ok()).map(Generation).collect();
    let mut known: HashSet<Digest> = known.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let tasted = directory.avoiding(avoided).taste(&mut known)?;
    Ok(tasted.map(|tasted| (tasted.generation.0.to_string(), tasted.view)))
}

/// Loads a pack as [`Taster::taste_parcel`] has it.
fn taste_parcel(directory: &Directory, words: &str) -> Result<Trial, HandoverError> {
    let words: Vec<_> = words.split_whitespace().collect();
    let [file, digest, bytes] = words[..] else { return Ok(None) };
    let Ok(bytes) = bytes.parse() else { return Ok(None) };
    let pack = directory.load_parcel(&Parcel { file: file.to_owned(), digest: digest.to_owned(), bytes })?;
    // Overlays whose base lies elsewhere make no view.
    let view = View::follow(None, Generation(0), vec![Arc::new(pack)]).ok().map(Arc::new);
    Ok(Some((String::from("0"), view)))
}

/// Asks zones for their SOA, and for a name that they may not have.
fn question(view: &View, answer: &mut impl Answer<View = View>) {
    let mut buf = vec![0; 65_535];
    for zone in view.zones().into_iter().take(ZONES_ASKED) {
        for prefix in [&b""[..], b"\x05taste"] {
            let apex = zone.apex.as_wire();
            // A question of class IN, with room for 1232 octets and DO.
            let head: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
            let opt: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0];
            let query = [head, prefix, apex, &SOA_IN, opt].concat();
            if let Some(room) = buf.get_mut(..query.len()) {
                room.copy_from_slice(&query);
                let packet = Packet::new(&mut buf, query.len(), IpAddr::V4(Ipv4Addr::LOCALHOST));
                answer.answer(view, Transport::Udp, &mut [packet]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A taster that is a shell with this script.
    fn scripted(script: &'static str) -> Taster {
        made(move || {
            let mut command = Command::new("/bin/sh");
            // The first line has the keys.
            command.args(["-c", &format!("read keys; {script}")]);
            command
        })
    }

    /// A taster that is another program.
    fn made(command: impl Fn() -> Command + Send + 'static) -> Taster {
        Taster { command: Box::new(command), trust: Trust::default(), patience: PATIENCE, running: None }
    }

    #[test]
    fn a_trial_load_tells_its_generation_and_goes_on() {
        let mut taster = scripted("n=4; while read x; do n=$((n+1)); echo $n; done");
        assert_eq!(taster.taste(&[], &[]), Verdict::Harmless(Some(5)));
        assert_eq!(taster.taste(&[], &[]), Verdict::Harmless(Some(6)));
        let mut empty = scripted("while read x; do echo; done");
        assert_eq!(empty.taste(&[], &[]), Verdict::Harmless(None));
        let mut avoiding = scripted("while read a b rest; do echo $b; done");
        assert_eq!(avoiding.taste(&[Generation(8), Generation(9)], &[]), Verdict::Harmless(Some(9)));
    }

    #[test]
    fn what_is_in_service_goes_with_the_request_and_a_process_that_says_so_is_over() {
        let pack = Digest([0xab; 32]);
        let mut telling =
            scripted("while read a bar pack; do [ $pack = $(printf ab%.0s $(seq 32)) ] && echo 6 || echo 0; done");
        assert_eq!(telling.taste(&[Generation(1)], &[pack]), Verdict::Harmless(Some(6)));
        let mut ending = scripted("read x; echo 3.");
        for _ in 0..2 {
            assert_eq!(ending.taste(&[], &[]), Verdict::Harmless(Some(3)));
            assert!(ending.running.is_none());
        }
    }

    #[test]
    fn a_pack_is_tried_by_its_name_and_what_is_no_name_is_not_asked_for() {
        let parcel = |file: &str| Parcel { file: file.to_owned(), digest: "cd".to_owned(), bytes: 7 };
        let mut taster =
            scripted("while read a b c d; do [ \"$a $b $c $d\" = 'parcel .tmp-1-2 cd 7' ] && echo 0 || echo; done");
        assert_eq!(taster.taste_parcel(&parcel(".tmp-1-2")), Verdict::Harmless(Some(0)));
        assert_eq!(taster.taste_parcel(&parcel(".tmp-1-3")), Verdict::Harmless(None));
        taster = scripted("read x; kill -9 $$");
        for file in ["", "two words", "two\nlines", "n\u{e4}me"] {
            assert_eq!(taster.taste_parcel(&parcel(file)), Verdict::Harmless(None), "{file:?}");
        }
        assert_eq!(taster.taste_parcel(&parcel(".tmp-1-2")), Verdict::Deadly);
    }

    #[test]
    fn two_deaths_are_a_verdict_and_the_next_generation_gets_a_process_of_its_own() {
        for script in ["read x; kill -9 $$", "read x; kill -ABRT $$", "read x; printf 5; exit 101"] {
            let mut taster = scripted(script);
            assert_eq!(taster.taste(&[], &[]), Verdict::Deadly, "{script}");
            taster.command = scripted("while read x; do echo 7; done").command;
            assert_eq!(taster.taste(&[], &[]), Verdict::Harmless(Some(7)), "{script}");
        }
    }

    #[test]
    fn a_trial_load_that_hangs_is_ended() {
        let mut taster = scripted("read x; kill -STOP $$");
        taster.patience = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        assert_eq!(taster.taste(&[], &[]), Verdict::Deadly);
    }

    #[test]
    fn one_death_is_forgiven() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("died");
        let mut taster = made(move || {
            let mut command = Command::new("/bin/sh");
            command
                .args(["-c", "read keys; read x; if [ -e \"$0\" ]; then echo 3; else : >\"$0\"; kill -9 $$; fi"])
                .arg(&mark);
            command
        });
        assert_eq!(taster.taste(&[], &[]), Verdict::Harmless(Some(3)));
    }

    #[test]
    fn without_a_process_generations_are_loaded_untried() {
        assert_eq!(made(|| Command::new("/nonexistent/program")).taste(&[], &[]), Verdict::Unavailable);
        assert_eq!(scripted("exit 3").taste(&[], &[]), Verdict::Unavailable);
        assert_eq!(scripted("read x; exit 0").taste(&[], &[]), Verdict::Unavailable);
    }
}
