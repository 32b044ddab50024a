//! What can be wrong with a zone file, and where.
//!
//! Positions are those of the physical file: lines and columns count from 1, columns in octets.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::dns::class::Class;
use crate::dns::name::NameError;
use crate::dns::rdata::ParseError;
use crate::dns::rtype::Rtype;
use crate::dns::token::TokenProblem;

use super::INCLUDE_DEPTH_MAX;

/// A zone file cannot be read on from here.
#[derive(Debug, Error)]
pub struct ZoneFileError {
    /// The file, if its name is known.
    pub path: Option<PathBuf>,
    /// The line, from 1.
    pub line: u32,
    /// The column in octets, from 1.
    pub column: u32,
    /// What is wrong.
    #[source]
    pub problem: Problem,
}

impl fmt::Display for ZoneFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}:", path.display())?;
        }
        write!(f, "{}:{}: {}", self.line, self.column, self.problem)
    }
}

/// What is wrong with a zone file.
#[derive(Debug, Error)]
pub enum Problem {
    /// The input cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// The entry cannot be split into tokens.
    #[error("{0}")]
    Token(TokenProblem),
    /// A token is not what belongs there.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What belongs there.
        expected: &'static str,
        /// The token as it is.
        found: String,
    },
    /// A token is no domain name.
    #[error("expected a domain name, found {found} ({error})")]
    Name {
        /// Why it is none.
        error: NameError,
        /// The token as it is.
        found: String,
    },
    /// The RDATA is not as its type wants it.
    #[error("{rtype}: {error}")]
    Rdata {
        /// The type.
        rtype: Rtype,
        /// What is wrong with which token.
        error: ParseError,
    },
    /// The first record has no owner to inherit.
    #[error("expected an owner, found white space and no record before")]
    NoOwner,
    /// A record of another class.
    #[error("expected class IN, found class {0}")]
    Class(Class),
    /// A type that is for questions or for messages.
    #[error("expected a type that a zone can hold, found {0}")]
    MetaType(Rtype),
    /// `$INCLUDE` is not allowed here.
    #[error("$INCLUDE is not allowed here")]
    IncludeRefused,
    /// `$INCLUDE` of a file that cannot be opened.
    #[error("cannot include {path}: {error}")]
    IncludeOpen {
        /// The file as the zone file names it.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// `$INCLUDE` of something else than a regular file below the directory that is allowed.
    #[error("cannot include {0}: not a regular file below the directory of zone files")]
    IncludeOutside(PathBuf),
    /// Files include each other too deep, likely in a circle.
    #[error("$INCLUDE is nested deeper than {INCLUDE_DEPTH_MAX}")]
    IncludeDepth,
    /// `$GENERATE` is not allowed here.
    #[error("$GENERATE is not allowed here")]
    GenerateRefused,
    /// `$GENERATE` would make more records than is allowed.
    #[error("$GENERATE makes more records than the {0} that are allowed")]
    GenerateCount(u64),
    /// The expansion of `$GENERATE` for one number is wrong.
    #[error("in the record that $GENERATE makes for {number}: {problem}")]
    Generated {
        /// The number.
        number: u32,
        /// What is wrong.
        problem: Box<Problem>,
    },
}
