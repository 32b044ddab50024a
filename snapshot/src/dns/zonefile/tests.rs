//! Tests of the zone-file reader.

use std::path::Path;

use super::*;
use crate::dns::rdata::Text;

/// Options with an origin of `example.` and a TTL of 60 seconds that allow all but files.
fn options() -> Options {
    Options {
        origin: Some("example.".parse().unwrap()),
        default_ttl: Some(60),
        include: Include::Refuse,
        generate: Generate::AtMost(1000),
    }
}

/// Reads a whole zone file into lines of `owner ttl type rdata`.
fn read_with(text: &str, options: Options) -> Result<Vec<String>, ZoneFileError> {
    let mut reader = Reader::new(text.as_bytes(), options);
    let mut lines = Vec::new();
    while let Some(record) = reader.read()? {
        let rdata = Text { rtype: record.rtype, rdata: record.rdata };
        lines.push(format!("{} {} {} {rdata}", record.owner, record.ttl_secs, record.rtype));
    }
    Ok(lines)
}

/// Reads `text` under [`options`].
fn check_read(text: &str, lines: &[&str]) {
    let read = read_with(text, options()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(read, lines, "{text:?}");
}

/// Reads `text` without options and expects an error.
fn check_error(text: &str, message: &str) {
    let options = Options { default_ttl: None, generate: Generate::AtMost(3), ..options() };
    let error = read_with(text, options).expect_err(text);
    assert_eq!(error.to_string(), message, "{text:?}");
}

#[test]
fn owners_ttls_and_classes_come_in_every_order() {
    let a = ["a.example. 60 A 10.0.0.1"];
    for text in [
        "a A 10.0.0.1",
        "a IN A 10.0.0.1\r\n",
        "a 60 A 10.0.0.1",
        "a 1m IN A 10.0.0.1",
        "a IN 60 A 10.0.0.1",
        "a\tclass1 TYPE1 10.0.0.1 ; comment",
        "a in a \\# 4 0a000001",
        "a.example. A 10.0.0.1\n\n;\n  ; x\n \t\n",
        "a ( A\n10.0.0.1\n)\n",
        "a 60 ( ; x\n IN ; y ( z\n ) A ( 10.0.0.1 )",
        "\\097 A 10.0.0.1",
        "\"a\" A 10.0.0.1",
        "$ORIGIN other.\n$ORIGIN example.\na A 10.0.0.1",
    ] {
        check_read(text, &a);
    }
    check_read(
        "@ A 10.0.0.1\n\tA 10.0.0.2\n 5 TXT x\n\nb A 10.0.0.3\n  IN AAAA ::1\n",
        &[
            "example. 60 A 10.0.0.1",
            "example. 60 A 10.0.0.2",
            "example. 5 TXT \"x\"",
            "b.example. 60 A 10.0.0.3",
            "b.example. 60 AAAA ::1",
        ],
    );
    // What looks like a TTL, a class or a type is an owner at the start of a line.
    check_read(
        "60 A 10.0.0.1\nIN A 10.0.0.1\nA A 10.0.0.1\n\\$x A 10.0.0.1\n-1- A 10.0.0.1",
        &[
            "60.example. 60 A 10.0.0.1",
            "IN.example. 60 A 10.0.0.1",
            "A.example. 60 A 10.0.0.1",
            "\\$x.example. 60 A 10.0.0.1",
            "-1-.example. 60 A 10.0.0.1",
        ],
    );
}

#[test]
fn directives_change_origin_and_ttl() {
    check_read(
        "$ttl 1d\na A 10.0.0.1\n$ORIGIN sub ; relative\na A 10.0.0.1\n MX 1 mx\n$ORIGIN .\na A 10.0.0.1\n$TTL 0\nb A 10.0.0.1",
        &[
            "a.example. 86400 A 10.0.0.1",
            "a.sub.example. 86400 A 10.0.0.1",
            "a.sub.example. 86400 MX 1 mx.sub.example.",
            "a. 86400 A 10.0.0.1",
            "b. 0 A 10.0.0.1",
        ],
    );
    let mut reader = Reader::new(&b"$ORIGIN example.\n@ 1 NS ns"[..], Options::default());
    assert!(reader.origin().is_none());
    assert_eq!(reader.read().unwrap().unwrap().line, 2);
    assert_eq!(reader.origin().unwrap().to_string(), "example.");
    assert!(reader.read().unwrap().is_none());
    assert!(reader.read().unwrap().is_none(), "the end stays the end");
}

#[test]
fn a_missing_ttl_is_the_last_one_or_an_hour() {
    let read = |text: &str| read_with(text, Options { default_ttl: None, ..options() }).unwrap();
    assert_eq!(
        read("a A 10.0.0.1\n@ SOA . . 1 2 3 4 300\nb 7 A 10.0.0.1\nc A 10.0.0.1"),
        [
            "a.example. 3600 A 10.0.0.1",
            "example. 3600 SOA . . 1 2 3 4 300",
            "b.example. 7 A 10.0.0.1",
            "c.example. 7 A 10.0.0.1"
        ]
    );
    assert_eq!(
        read("@ 9 SOA . . 1 2 3 4 300\na A 10.0.0.1\nb 7 A 10.0.0.1\nc A 10.0.0.1\n$TTL 5\nd A 10.0.0.1"),
        [
            "example. 9 SOA . . 1 2 3 4 300",
            "a.example. 9 A 10.0.0.1",
            "b.example. 7 A 10.0.0.1",
            "c.example. 7 A 10.0.0.1",
            "d.example. 5 A 10.0.0.1"
        ]
    );
}

#[test]
fn a_ttl_with_the_highest_bit_set_is_zero() {
    check_read(
        "a 2147483647 A 10.0.0.1\na 2147483648 TXT x\n$TTL 4294967295\nb A 10.0.0.1",
        &["a.example. 2147483647 A 10.0.0.1", "a.example. 0 TXT \"x\"", "b.example. 0 A 10.0.0.1"],
    );
}

#[test]
fn generate_makes_records_up_to_its_bound() {
    check_read(
        "$GENERATE 1-3/2 h${0,2} 5 IN A 10.0.0.$\n$GENERATE 1-1 $ MX \"10 mx$\"\nz A 10.0.0.9",
        &[
            "h01.example. 5 A 10.0.0.1",
            "h03.example. 5 A 10.0.0.3",
            "1.example. 60 MX 10 mx1.example.",
            "z.example. 60 A 10.0.0.9",
        ],
    );
    let refused = read_with("$GENERATE 1-2 a$ A 10.0.0.$", Options { generate: Generate::Refuse, ..options() });
    assert_eq!(refused.unwrap_err().to_string(), "1:1: $GENERATE is not allowed here");
}

#[test]
fn errors_say_where_and_what_was_expected() {
    for (text, message) in [
        ("a 1 A 10.0.0", "1:7: A: expected an IPv4 address, found `10.0.0`"),
        ("\na 1 A (\n  10.0.0.1\n  x )", "4:3: A: expected the end of the record, found `x`"),
        ("a 1 MX 10", "1:10: MX: expected a domain name, found the end of the record"),
        ("a 1 IN FOO x", "1:8: expected an RR type, found `FOO`"),
        ("a 1 2 A x", "1:5: expected a class or an RR type, found `2`"),
        ("a IN IN A x", "1:6: expected a TTL or an RR type, found `IN`"),
        ("a", "1:2: expected a TTL, a class or an RR type, found the end of the entry"),
        ("a \"A\" x", "1:3: expected a TTL, a class or an RR type, found `\"A\"`"),
        ("a CH A 10.0.0.1", "1:3: expected class IN, found class CH"),
        ("a CLASS2 A 10.0.0.1", "1:3: expected class IN, found class CLASS2"),
        ("a 1 ANY A 10.0.0.1", "1:5: expected class IN, found class ANY"),
        ("a 1 OPT \\# 0", "1:5: expected a type that a zone can hold, found OPT"),
        ("a 1 TYPE252 \\# 0", "1:5: expected a type that a zone can hold, found AXFR"),
        ("a 4294967296 A 10.0.0.1", "1:3: expected a TTL in seconds, or as 1h30m, found `4294967296`"),
        ("a 1x A 10.0.0.1", "1:3: expected a TTL in seconds, or as 1h30m, found `1x`"),
        (" 1 A 10.0.0.1", "1:1: expected an owner, found white space and no record before"),
        ("a..b 1 A 10.0.0.1", "1:1: expected a domain name, found `a..b` (label is empty)"),
        ("a \"1\" A 10.0.0.1", "1:3: expected a TTL, a class or an RR type, found `\"1\"`"),
        ("a 1 TXT ( x\n\n y", "1:9: parenthesis is never closed"),
        ("a 1 TXT x )", "1:11: parenthesis closes what was not opened"),
        ("a 1 TXT (\n x \"y\nz\" )", "2:4: quoted string does not end on its line"),
        ("a 1 TXT x\\", "1:10: backslash at the end of a line"),
        ("a 1 TXT x\ry", "1:10: carriage return without line feed"),
        ("$FOO x", "1:1: expected $ORIGIN, $TTL, $INCLUDE or $GENERATE, found `$FOO`"),
        ("$TTL", "1:5: expected a TTL in seconds, or as 1h30m, found the end of the entry"),
        ("$TTL 1 2", "1:8: expected the end of the directive, found `2`"),
        ("$ORIGIN a..", "1:9: expected a domain name, found `a..` (label is empty)"),
        ("$INCLUDE x", "1:10: $INCLUDE is not allowed here"),
        ("$INCLUDE", "1:9: expected a file name, found the end of the entry"),
        ("$GENERATE 1-4 a A 10.0.0.$", "1:11: $GENERATE makes more records than the 3 that are allowed"),
        (
            "$GENERATE x a A 10.0.0.$",
            "1:11: expected a range start-stop or start-stop/step, numbers up to 2147483647, found `x`",
        ),
        (
            "\n$GENERATE 2-3 a 1 A 1.1.1.${254}",
            "2:1: in the record that $GENERATE makes for 2: A: expected an IPv4 address, found `1.1.1.256`",
        ),
    ] {
        check_error(text, message);
    }
}

#[test]
fn names_without_an_origin_are_errors() {
    let error = read_with("a 1 A 10.0.0.1", Options::default()).unwrap_err();
    let message = "1:1: expected a domain name, found `a` (name is relative but there is no origin)";
    assert_eq!(error.to_string(), message);
    let reader = Reader::new(&b"x"[..], Options::default()).named(PathBuf::from("zones/a.zone"));
    let mut reader = reader;
    assert!(reader.read().unwrap_err().to_string().starts_with("zones/a.zone:1:1: "));
}

#[test]
fn reading_goes_on_after_an_error() {
    let mut reader = Reader::new(&b"a A x\nb A 10.0.0.1\n"[..], options());
    assert!(reader.read().is_err());
    assert_eq!(reader.read().unwrap().unwrap().owner.to_string(), "b.example.");
}

#[test]
fn an_entry_without_end_does_not_fill_the_memory() {
    let endless = "a TXT (\n".to_owned() + &"; comment\n".repeat(200_000);
    let error = read_with(&endless, options()).unwrap_err();
    assert!(matches!(error.problem, Problem::Token(crate::dns::token::TokenProblem::Long)), "{error}");
}

/// Writes a file.
fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).unwrap();
}

#[test]
fn included_files_have_their_own_origin_and_owner() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "sub", "a A 10.0.0.1\n A 10.0.0.2\n$ORIGIN deeper\n$TTL 7\nb A 10.0.0.3");
    write(directory.path(), "bad", "\n\nc A x\n");
    let options = || Options { include: Include::Below(directory.path().to_owned()), ..options() };
    assert_eq!(
        read_with("x A 10.0.0.9\n$INCLUDE sub sub\n A 10.0.0.8\ny A 10.0.0.7\n$INCLUDE \"sub\"", options()).unwrap(),
        [
            "x.example. 60 A 10.0.0.9",
            "a.sub.example. 60 A 10.0.0.1",
            "a.sub.example. 60 A 10.0.0.2",
            "b.deeper.sub.example. 7 A 10.0.0.3",
            "x.example. 7 A 10.0.0.8",
            "y.example. 7 A 10.0.0.7",
            "a.example. 7 A 10.0.0.1",
            "a.example. 7 A 10.0.0.2",
            "b.deeper.example. 7 A 10.0.0.3",
        ]
    );
    let error = read_with("$INCLUDE bad", options()).unwrap_err();
    assert_eq!((error.path.unwrap().file_name().unwrap().to_str(), error.line, error.column), (Some("bad"), 3, 5));
}

#[test]
fn includes_outside_the_directory_and_circles_are_refused() {
    let parent = tempfile::tempdir().unwrap();
    let zones = parent.path().join("zones");
    std::fs::create_dir(&zones).unwrap();
    write(parent.path(), "secret", "a A 10.0.0.1");
    write(&zones, "circle", "$INCLUDE circle");
    std::os::unix::fs::symlink(parent.path().join("secret"), zones.join("link")).unwrap();
    let error = |text: &str| {
        let options = Options { include: Include::Below(zones.clone()), ..options() };
        read_with(text, options).unwrap_err().problem
    };
    for name in ["../secret", "link", "/etc/passwd", "/dev/null", "."] {
        let problem = error(&format!("$INCLUDE {name}"));
        assert!(matches!(problem, Problem::IncludeOutside(_)), "{name}: {problem}");
    }
    assert!(matches!(error("$INCLUDE none"), Problem::IncludeOpen { .. }));
    assert!(matches!(error("$INCLUDE circle"), Problem::IncludeDepth));
}
