//! The reader: entries to records.
//!
//! An entry is a directive, a record, or nothing. State that outlives an entry is here: origin, owner, TTLs. All buffers
//! are used again, so that a record costs no allocation. Where RFC 1035 is silent it does as BIND does.

use std::ffi::OsStr;
use std::io::BufRead;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::dns::class::Class;
use crate::dns::name::{Name, NameError, NameRef};
use crate::dns::number::{self, TTL_SECS_MAX};
use crate::dns::rdata;
use crate::dns::rtype::Rtype;
use crate::dns::token::{Entry, Progress, Token, TokenError};
use crate::dns::zone::Record;

use super::error::{Problem, ZoneFileError};
use super::generate::Expansion;
use super::source::{Context, Line, Sources};
use super::{Generate, Options};

/// The TTL of records where nothing in the zone file tells one.
const FALLBACK_TTL_SECS: u32 = 3600;

/// Reads the records of a zone file, one at a time.
///
/// After an error reading may go on with the next entry, to find more errors; what it returns is then for messages only,
/// as an owner or an origin may be missing.
pub struct Reader<R> {
    /// Where lines come from.
    sources: Sources<R>,
    /// The entry at hand.
    entry: Entry,
    /// The line it starts at.
    entry_line: u32,
    /// Completes relative names.
    origin: Option<Name>,
    /// The owner of the latest record.
    owner: Option<Name>,
    /// The RDATA of the latest record.
    rdata: Vec<u8>,
    /// `$TTL`, or that of the options.
    default_ttl: Option<u32>,
    /// The latest TTL that was written at a record.
    stated_ttl: Option<u32>,
    /// What `$GENERATE` may do.
    generate: Generate,
    /// How many records `$GENERATE` made.
    generated_count: u64,
    /// The `$GENERATE` at hand.
    expansion: Option<Expansion>,
}

/// A problem and the octet of the entry it is at.
type Located = (usize, Problem);

/// What comes before the RDATA, owner apart.
struct Head {
    /// The TTL, if it is written.
    ttl_secs: Option<u32>,
    /// The type.
    rtype: Rtype,
    /// The first token of the RDATA.
    rdata_idx: usize,
}

/// A record whose owner and RDATA are in the reader.
struct Parsed {
    /// The type.
    rtype: Rtype,
    /// TTL in seconds.
    ttl_secs: u32,
}

impl<R: BufRead> Reader<R> {
    /// Reads `input` from where it is.
    pub fn new(input: R, options: Options) -> Reader<R> {
        let Options { origin, default_ttl, include, generate } = options;
        Reader {
            sources: Sources::new(input, include),
            entry: Entry::default(),
            entry_line: 0,
            origin,
            owner: None,
            rdata: Vec::new(),
            default_ttl,
            stated_ttl: None,
            generate,
            generated_count: 0,
            expansion: None,
        }
    }

    /// Names the input, for errors.
    #[must_use]
    pub fn named(mut self, path: PathBuf) -> Reader<R> {
        self.sources.set_path(path);
        self
    }

    /// The origin as it is now: that of the options, or of the latest `$ORIGIN`.
    #[must_use]
    pub fn origin(&self) -> Option<NameRef<'_>> {
        self.origin.as_ref().map(Name::as_ref)
    }

    /// Reads the next record, `None` at the end. `line` of the record is that its entry starts at.
    ///
    /// # Errors
    /// [`ZoneFileError`] with the place and what was expected there.
    pub fn read(&mut self) -> Result<Option<Record<'_>>, ZoneFileError> {
        let Some(Parsed { rtype, ttl_secs }) = self.advance()? else { return Ok(None) };
        let line = self.entry_line;
        // A parsed record always has an owner; an input without one ended in an error above.
        Ok(self.owner.as_ref().map(|owner| Record { owner: owner.as_ref(), rtype, ttl_secs, rdata: &self.rdata, line }))
    }

    /// Goes on to the next record.
    fn advance(&mut self) -> Result<Option<Parsed>, ZoneFileError> {
        loop {
            if let Some(parsed) = self.advance_generated()? {
                return Ok(Some(parsed));
            }
            if !self.read_entry()? {
                return Ok(None);
            }
            let Some(first) = self.entry.tokens().at(0) else { continue };
            let is_directive = !self.entry.is_indented() && first.is_bare() && first.text.starts_with(b"$");
            let result = if is_directive { self.directive().map(|()| None) } else { self.record().map(Some) };
            match result {
                Ok(None) => {}
                Ok(parsed) => return Ok(parsed),
                Err(located) => return Err(self.at(located)),
            }
        }
    }

    /// Goes on in a `$GENERATE`, if there is one.
    fn advance_generated(&mut self) -> Result<Option<Parsed>, ZoneFileError> {
        let Some(expansion) = &mut self.expansion else { return Ok(None) };
        self.entry.clear();
        let Some(result) = expansion.push_next(self.entry.text_mut()) else {
            self.expansion = None;
            return Ok(None);
        };
        let result = match result {
            Err(expected) => {
                self.expansion = None;
                Err((0, Problem::Expected { expected, found: "another one".to_owned() }))
            }
            Ok(number) => self.generated_record().map_err(|problem| {
                self.expansion = None;
                (0, Problem::Generated { number, problem: Box::new(problem) })
            }),
        };
        // The text of the entry is not that of the file any more, so errors point at the directive.
        self.entry.clear();
        result.map(Some).map_err(|located| self.at(located))
    }

    /// Reads the entry that `$GENERATE` made.
    fn generated_record(&mut self) -> Result<Parsed, Problem> {
        match self.entry.split() {
            Ok(Progress::Whole) => self.record().map_err(|(_, problem)| problem),
            Ok(Progress::Open) => Err(Problem::Token(self.entry.unfinished().problem)),
            Err(error) => Err(Problem::Token(error.problem)),
        }
    }

    /// Reads lines until an entry is whole; `false` at the end of the input.
    fn read_entry(&mut self) -> Result<bool, ZoneFileError> {
        self.entry.clear();
        self.entry_line = self.sources.line().saturating_add(1);
        loop {
            let line =
                self.sources.push_line(self.entry.text_mut()).map_err(|problem| self.at((usize::MAX, problem)))?;
            match line {
                Line::Read => match self.entry.split() {
                    Ok(Progress::Whole) => return Ok(true),
                    Ok(Progress::Open) => {}
                    Err(TokenError { off, problem }) => return Err(self.at((off, Problem::Token(problem)))),
                },
                // An entry ends with its file: an open parenthesis does not reach from one into the other.
                _ if !self.entry.text().is_empty() => {
                    let TokenError { off, problem } = self.entry.unfinished();
                    return Err(self.at((off, Problem::Token(problem))));
                }
                Line::End => return Ok(false),
                Line::EndOfIncluded => {
                    if let Some(Context { origin, owner }) = self.sources.close() {
                        self.origin = origin;
                        self.owner = owner;
                    }
                    self.entry_line = self.sources.line().saturating_add(1);
                }
            }
        }
    }

    /// Makes an error of a problem at an octet of the entry.
    fn at(&self, (off, problem): Located) -> ZoneFileError {
        let text = self.entry.text();
        let before = &text[..off.min(text.len())];
        let line_start = before.iter().rposition(|&octet| octet == b'\n').map_or(0, |idx| idx + 1);
        let line_count = before.iter().filter(|&&octet| octet == b'\n').count();
        let narrow = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        ZoneFileError {
            path: self.sources.path().map(PathBuf::from),
            line: self.entry_line.saturating_add(narrow(line_count)),
            column: narrow(before.len() - line_start + 1),
            problem,
        }
    }

    /// The problem of a token that is not what belongs there.
    fn unexpected(&self, token_idx: usize, expected: &'static str) -> Located {
        (self.entry.off(token_idx), Problem::Expected { expected, found: self.shown(token_idx) })
    }

    /// The problem of a token that is no name.
    fn no_name(&self, token_idx: usize, error: NameError) -> Located {
        (self.entry.off(token_idx), Problem::Name { error, found: self.shown(token_idx) })
    }

    /// A token as an error shows it.
    fn shown(&self, token_idx: usize) -> String {
        self.entry.tokens().at(token_idx).map_or("the end of the entry".to_owned(), |token| token.to_string())
    }

    /// The token at `idx`, which must not be quoted.
    fn bare(&self, idx: usize, expected: &'static str) -> Result<Token<'_>, Located> {
        self.entry.tokens().at(idx).filter(Token::is_bare).ok_or_else(|| self.unexpected(idx, expected))
    }

    /// Reads a record.
    fn record(&mut self) -> Result<Parsed, Located> {
        let head_idx = if self.entry.is_indented() { 0 } else { 1 };
        if head_idx == 1 {
            self.read_owner()?;
        } else if self.owner.is_none() {
            return Err((0, Problem::NoOwner));
        }
        let Head { ttl_secs, rtype, rdata_idx } = self.head(head_idx)?;
        let tokens = self.entry.tokens().tail(rdata_idx);
        let origin = self.origin.as_ref().map(Name::as_ref);
        rdata::parse(rtype, tokens, origin, &mut self.rdata)
            .map_err(|error| (self.entry.off(rdata_idx + error.token_idx), Problem::Rdata { rtype, error }))?;
        let ttl_secs = self.ttl(ttl_secs);
        Ok(Parsed { rtype, ttl_secs })
    }

    /// Reads the first token as the owner, which quotes do not change.
    fn read_owner(&mut self) -> Result<(), Located> {
        let mut owner = self.owner.take().unwrap_or_else(Name::root);
        let text = self.entry.tokens().at(0).ok_or_else(|| self.unexpected(0, "an owner"))?.text;
        let origin = self.origin.as_ref().map(Name::as_ref);
        owner.assign(text, origin).map_err(|error| self.no_name(0, error))?;
        self.owner = Some(owner);
        Ok(())
    }

    /// Reads TTL and class, in either order and each at most once, and the type.
    fn head(&self, mut idx: usize) -> Result<Head, Located> {
        let mut ttl_secs = None;
        let mut class = None;
        loop {
            let expected = match (ttl_secs, class) {
                (None, None) => "a TTL, a class or an RR type",
                (None, Some(_)) => "a TTL or an RR type",
                (Some(_), None) => "a class or an RR type",
                (Some(_), Some(_)) => "an RR type",
            };
            let text = self.bare(idx, expected)?.text;
            // No mnemonic of a type or class starts with a digit.
            if ttl_secs.is_none() && text.first().is_some_and(u8::is_ascii_digit) {
                ttl_secs = Some(self.ttl_token(idx)?);
            } else if let Some(rtype) = Rtype::parse(text).filter(|&rtype| rtype != Rtype::ANY) {
                if !rtype.is_data() {
                    return Err((self.entry.off(idx), Problem::MetaType(rtype)));
                }
                return Ok(Head { ttl_secs, rtype, rdata_idx: idx + 1 });
            } else {
                let found = Class::parse(text).filter(|_| class.is_none());
                class = Some(found.ok_or_else(|| self.unexpected(idx, expected))?);
                if found != Some(Class::IN) {
                    return Err((self.entry.off(idx), Problem::Class(found.unwrap_or(Class::NONE))));
                }
            }
            idx += 1;
        }
    }

    /// Reads a TTL. One with its highest bit set means 0 (RFC 2181 section 8), and other servers take it in zone files too.
    fn ttl_token(&self, idx: usize) -> Result<u32, Located> {
        let expected = "a TTL in seconds, or as 1h30m";
        let text = self.bare(idx, expected)?.text;
        let secs = number::seconds(text).ok_or_else(|| self.unexpected(idx, expected))?;
        Ok(if secs <= TTL_SECS_MAX { secs } else { 0 })
    }

    /// The TTL of the record at hand: its own, `$TTL` (RFC 2308 section 4), the latest that was written (RFC 1035 section
    /// 5.1), or an hour as in Knot, NSD and PowerDNS. The MINIMUM of the SOA, which BIND takes then, has meant something
    /// else since RFC 2308.
    fn ttl(&mut self, own: Option<u32>) -> u32 {
        if own.is_some() {
            self.stated_ttl = own;
        }
        own.or(self.default_ttl).or(self.stated_ttl).unwrap_or(FALLBACK_TTL_SECS)
    }

    /// Obeys a directive.
    fn directive(&mut self) -> Result<(), Located> {
        const EXPECTED: &str = "$ORIGIN, $TTL, $INCLUDE or $GENERATE";
        let name = self.bare(0, EXPECTED)?.text.to_ascii_uppercase();
        match name.as_slice() {
            b"$ORIGIN" => {
                self.origin = Some(self.name_at(1)?);
                self.ends_at(2)
            }
            b"$TTL" => {
                self.default_ttl = Some(self.ttl_token(1)?);
                self.ends_at(2)
            }
            b"$INCLUDE" => self.include(),
            b"$GENERATE" => self.start_generate(),
            _ => Err(self.unexpected(0, EXPECTED)),
        }
    }

    /// Reads a name.
    fn name_at(&self, idx: usize) -> Result<Name, Located> {
        let text = self.bare(idx, "a domain name")?.text;
        Name::parse(text, self.origin()).map_err(|error| self.no_name(idx, error))
    }

    /// Refuses tokens from `idx` on.
    fn ends_at(&self, idx: usize) -> Result<(), Located> {
        match self.entry.tokens().at(idx) {
            None => Ok(()),
            Some(_) => Err(self.unexpected(idx, "the end of the directive")),
        }
    }

    /// Goes on in another file, under another origin if there is one.
    fn include(&mut self) -> Result<(), Located> {
        let expected = "a file name";
        let token = self.entry.tokens().at(1).ok_or_else(|| self.unexpected(1, expected))?;
        let path = PathBuf::from(OsStr::from_bytes(token.text));
        let origin = match self.entry.tokens().count() {
            0..=2 => self.origin.clone(),
            _ => Some(self.name_at(2)?),
        };
        self.ends_at(3)?;
        let context = Context { origin: self.origin.clone(), owner: self.owner.clone() };
        self.sources.open(path, context).map_err(|problem| (self.entry.off(1), problem))?;
        self.origin = origin;
        Ok(())
    }

    /// Takes up a `$GENERATE`; its records come with the next calls.
    fn start_generate(&mut self) -> Result<(), Located> {
        let Generate::AtMost(count_max) = self.generate else {
            return Err((self.entry.off(0), Problem::GenerateRefused));
        };
        let expansion =
            Expansion::parse(self.entry.tokens()).map_err(|error| self.unexpected(error.token_idx, error.expected))?;
        self.generated_count = self.generated_count.saturating_add(expansion.count());
        if self.generated_count > count_max {
            return Err((self.entry.off(1), Problem::GenerateCount(count_max)));
        }
        self.expansion = Some(expansion);
        Ok(())
    }
}
