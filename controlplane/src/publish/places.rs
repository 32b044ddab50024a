//! The table of places on its way into a generation: it waits for the next one, unless it is published already.
//!
//! It does not make tables (`geo`). Invariant: a table that was given is published, or a later one is.

use crossbeam::channel::{self, Receiver};
use snapshot::dns::name::Name;
use snapshot::image::{Digest, Places, Segment, View};

use super::piece::Piece;

/// What is published of places, and what shall be.
pub(super) struct PlaceTable {
    /// Where tables come from; nothing for none.
    tables: Receiver<Option<Segment>>,
    /// What shall be published, if that is something else than what is.
    due: Option<Option<Segment>>,
    /// The digest of the table that is published, if one is; unknown before the directory was read.
    published: Option<Option<Digest>>,
}

impl PlaceTable {
    /// Nothing is known yet.
    pub(super) fn new(tables: Receiver<Option<Segment>>) -> PlaceTable {
        PlaceTable { tables, due: None, published: None }
    }

    /// Where tables come from.
    pub(super) fn tables(&self) -> Receiver<Option<Segment>> {
        self.tables.clone()
    }

    /// Learns what is published.
    pub(super) fn learn(&mut self, view: &View) {
        self.published = Some(view.places_digest());
    }

    /// Takes what came from [`PlaceTable::tables`]; whether there is something to publish.
    pub(super) fn take(&mut self, came: Result<Option<Segment>, channel::RecvError>) -> bool {
        match came {
            Ok(table) => {
                let digest = table.as_ref().map(|table| table.facts.digest);
                self.due = (self.published != Some(digest)).then_some(table);
            }
            // Nobody will send any more.
            Err(channel::RecvError) => self.tables = channel::never(),
        }
        self.due.is_some()
    }

    /// Whether there is something to publish.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_some()
    }

    /// Adds it to what is published next.
    pub(super) fn add_to(&self, pieces: &mut Vec<Piece>, removed: &mut Vec<Name>) {
        match &self.due {
            Some(Some(table)) => pieces.push(Piece::Segment(table.clone())),
            Some(None) => removed.push(Places::apex()),
            None => {}
        }
    }

    /// Notes that it is published.
    pub(super) fn keep(&mut self) {
        if let Some(table) = self.due.take() {
            self.published = Some(table.map(|table| table.facts.digest));
        }
    }
}
