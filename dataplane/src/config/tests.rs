//! Command lines and files, and what comes of them.

use super::*;

/// Checks the outcome of a command line (words split at blanks) with a file: settings or the error, in one line.
fn check_config(command: &str, file: &str, expected: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("petrel.toml");
    fs::write(&path, file).unwrap();
    let words = std::iter::once("dns-dataplane").chain(command.split_whitespace());
    let mut args = Args::try_parse_from(words).unwrap();
    args.config = Some(path.clone());
    let shown = match Config::load(&args) {
        Ok(config) => {
            let listen: Vec<_> = config.listen.iter().map(|listen| listen.addr.to_string()).collect();
            format!(
                "{} {} {} {:?} {:?} {:?} {} {:?} {}/{:?} {:?} {:?}",
                config.snapshots.display(),
                listen.join(","),
                config.threads,
                config.pinning,
                config.engine,
                config.control,
                config.settings.udp_len_max,
                config.settings.version,
                config.tcp.connections_max,
                config.tcp.idle,
                config.settings.nsid,
                config.settings.cookies.policy(),
            )
        }
        Err(error) => error.to_string().replace(&path.display().to_string(), "FILE"),
    };
    assert!(shown.starts_with(expected), "{command:?} {file:?}\n gives {shown}\n wanted {expected}");
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_defaults() {
    check_config(
        "--snapshots S --threads 2",
        "",
        "S 127.0.0.1:53,[::1]:53 2 Free Auto None 1232 None 10000/10s None Answer",
    );
    check_config(
        "--threads 2 --listen 192.0.2.1 [::1]:5300",
        "snapshots = 'F'\nlisten = ['127.0.0.1']\nthreads = 4\npin = true\nengine = 'socket'\ncontrol = 'C'\n\
         [answer]\nudp_len_max = 4096\nversion = 'v'\nnsid = 'n'\n[cookies]\npolicy = 'require'\n[tcp]\nconnections_max = 7\nidle_secs = 3",
        "F 192.0.2.1:53,[::1]:5300 2 Pinned Socket Some(\"C\") 4096 Some(\"v\") 7/3s Some(\"n\") Require",
    );
}

#[test]
fn interfaces_for_xdp_are_named_once_and_go_with_an_engine_that_uses_them() {
    let rest = "S 127.0.0.1:53,[::1]:53 1 Free";
    check_config("--snapshots S --threads 1 --xdp eth0 --xdp eth1.5", "", &format!("{rest} Auto"));
    check_config(
        "--snapshots S --threads 1 --engine xdp",
        "[xdp]\ninterfaces = ['eth0']\nframes = 64",
        &format!("{rest} Xdp"),
    );
    check_config("--snapshots S --engine xdp", "", "engine xdp needs an interface: --xdp IFACE");
    check_config("--snapshots S --engine uring --xdp eth0", "", "--xdp IFACE needs engine xdp or auto");
    for name in ["a/b", "..", "", "sixteen-letters-"] {
        check_config("--snapshots S", &format!("[xdp]\ninterfaces = ['{name}']"), &format!("`{name}` is no name"));
    }
    check_config("--snapshots S --xdp a --xdp a", "", "`a` is no name of a network interface");
    check_config("--snapshots S", "[xdp]\nframes = 100", "xdp.frames must be a power of two, not 100");
    check_config("--snapshots S", "[xdp]\nframes = 32", "xdp.frames must be 64 to 65536, not 32");
}

#[test]
fn mistakes_are_named() {
    check_config("", "", "no snapshot directory: give --snapshots DIR");
    check_config("--snapshots S", "thread = 1", "FILE: TOML parse error at line 1, column 1");
    check_config("--snapshots S", "pin = true\n[tcp]\nidle = 1", "FILE: TOML parse error at line 3, column 1");
    check_config("--snapshots S", "engine = 'best'", "FILE: TOML parse error at line 1, column 10");
    check_config("--snapshots S --listen localhost", "", "`localhost` is no address");
    check_config("--snapshots S --listen ::1 --listen [::1]:53", "", "[::1]:53 is given twice");
    check_config("--snapshots S --threads 0", "", "threads must be 1 to 1024, not 0");
    check_config("--snapshots S", "[answer]\nudp_len_max = 511", "answer.udp_len_max must be 512 to 4096, not 511");
    check_config("--snapshots S", "[answer]\nnsid = ''", "length of answer.nsid must be 1 to 128, not 0");
    check_config("--snapshots S", "[cookies]\npolicy = 'yes'", "FILE: TOML parse error at line 2, column 10");
    check_config("--snapshots S", "[cookies]\nsecrets = '/nonexistent/secrets'", "reading /nonexistent/secrets: ");
    check_config("--snapshots S --cookie-secrets /nonexistent/s", "", "reading /nonexistent/s: ");
    check_config("--snapshots S", "[guard]\nslip = 101", "guard.slip must be 0 to 100, not 101");
    check_config("--snapshots S --rate 20000000", "", "guard.rate must be 0 to 10000000, not 20000000");
    check_config("--snapshots S", "[guard]\nrate = 10\nrate_all = 9", "guard.rate_all must be 10 to ");
    check_config("--snapshots S", "[guard]\ntable_kib = 100", "guard.table_kib must be a power of two, not 100");
    check_config("--snapshots S", "[guard]\nipv6_prefix = 65", "guard.ipv6_prefix must be 16 to 64, not 65");
    check_config("--snapshots S --deny 192.0.2.1/24", "", "`192.0.2.1/24` is no address prefix: ");
    check_config("--snapshots S --deny ::/0", "[guard]\nallow = ['::/0']", "::/0 is both allowed and denied");
    check_config("--snapshots S", "[guard]\ndenied = 'truncate'", "FILE: TOML parse error at line 2, column 10");
    check_config("--snapshots S", "[guard]\nburst = 0", "guard.burst must be 1 to 20000000, not 0");
    check_config("--snapshots S", "[tcp]\nidle_secs = 0", "tcp.idle_secs must be 1 to 3600, not 0");
}

#[test]
fn a_missing_file_is_named() {
    let args = Args { config: Some("/nonexistent/petrel.toml".into()), ..Args::default() };
    assert!(Config::load(&args).unwrap_err().to_string().starts_with("reading /nonexistent/petrel.toml: "));
}
