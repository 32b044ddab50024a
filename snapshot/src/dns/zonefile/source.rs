//! Where the lines of a zone file come from: the input, and the files it includes.
//!
//! It knows lines, not entries. Invariant: the stack of included files is at most [`INCLUDE_DEPTH_MAX`] deep, and all of
//! them are regular files below one directory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use crate::dns::name::Name;
use crate::dns::token::ENTRY_LEN_MAX;

use super::error::Problem;
use super::{INCLUDE_DEPTH_MAX, Include};

/// What some editors put before the first character of a file in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The input and the open included files.
pub(super) struct Sources<R> {
    /// The input.
    main: R,
    /// Its name, for errors.
    main_path: Option<PathBuf>,
    /// Lines read from the input.
    main_line: u32,
    /// Included files, the innermost last.
    included: Vec<Included>,
    /// What may be included.
    include: Include,
}

/// What an included file may change and its includer gets back (RFC 1035 section 5.1).
pub(super) struct Context {
    /// The origin.
    pub(super) origin: Option<Name>,
    /// The owner that the next record may inherit.
    pub(super) owner: Option<Name>,
}

/// An open included file.
struct Included {
    /// The file.
    input: BufReader<File>,
    /// Its name, for errors.
    path: PathBuf,
    /// Lines read from it.
    line: u32,
    /// What its includer had.
    context: Context,
}

/// What [`Sources::push_line`] found.
pub(super) enum Line {
    /// A line, appended to the buffer.
    Read,
    /// The end of an included file.
    EndOfIncluded,
    /// The end of the input.
    End,
}

impl<R: BufRead> Sources<R> {
    /// Starts at the begin of `main`.
    pub(super) fn new(main: R, include: Include) -> Sources<R> {
        Sources { main, main_path: None, main_line: 0, included: Vec::new(), include }
    }

    /// Names the input for errors.
    pub(super) fn set_path(&mut self, path: PathBuf) {
        self.main_path = Some(path);
    }

    /// The name of the current file.
    pub(super) fn path(&self) -> Option<&Path> {
        self.included.last().map_or(self.main_path.as_deref(), |file| Some(&file.path))
    }

    /// The number of the line read last, from 1; 0 before the first one.
    pub(super) fn line(&self) -> u32 {
        self.included.last().map_or(self.main_line, |file| file.line)
    }

    /// Appends the next line with its line break to `text`, up to one octet more than an entry may have: a longer line is
    /// an error of the entry then, and not a matter of memory.
    ///
    /// # Errors
    /// [`Problem::Io`].
    pub(super) fn push_line(&mut self, text: &mut Vec<u8>) -> Result<Line, Problem> {
        let start = text.len();
        let room = (ENTRY_LEN_MAX + 1).saturating_sub(text.len()) as u64;
        let (len, line, end) = match self.included.last_mut() {
            Some(file) => {
                (file.input.by_ref().take(room).read_until(b'\n', text)?, &mut file.line, Line::EndOfIncluded)
            }
            None => (self.main.by_ref().take(room).read_until(b'\n', text)?, &mut self.main_line, Line::End),
        };
        if len == 0 {
            return Ok(end);
        }
        if *line == 0 && text[start..].starts_with(BYTE_ORDER_MARK) {
            text.drain(start..start + BYTE_ORDER_MARK.len());
        }
        *line = line.saturating_add(1);
        Ok(Line::Read)
    }

    /// Goes on in an included file.
    ///
    /// # Errors
    /// The `Include` variants of [`Problem`].
    pub(super) fn open(&mut self, name: PathBuf, context: Context) -> Result<(), Problem> {
        let Include::Below(directory) = &self.include else { return Err(Problem::IncludeRefused) };
        if self.included.len() >= INCLUDE_DEPTH_MAX {
            return Err(Problem::IncludeDepth);
        }
        let resolve = |path: &Path| path.canonicalize();
        let (directory, path) = match resolve(directory).and_then(|base| Ok((resolve(&base.join(&name))?, base))) {
            Ok((path, base)) => (base, path),
            Err(error) => return Err(Problem::IncludeOpen { path: name, error }),
        };
        if !path.starts_with(&directory) || !path.is_file() {
            return Err(Problem::IncludeOutside(name));
        }
        let file = File::open(&path).map_err(|error| Problem::IncludeOpen { path: name, error })?;
        self.included.push(Included { input: BufReader::new(file), path, line: 0, context });
        Ok(())
    }

    /// Leaves the innermost included file and returns what its includer had.
    pub(super) fn close(&mut self) -> Option<Context> {
        self.included.pop().map(|file| file.context)
    }
}
