//! Pages of long lists, by opaque cursors.
//!
//! A list is ordered by creation, newest first, and a cursor is a place in that order, so that pages neither skip nor repeat what was
//! there all the time, whatever is made or deleted meanwhile. It fetches nothing: the caller asks its store for a [`Slice`].
//! Invariant: no answer has more than [`PAGE_ITEM_COUNT`] items (RFC 8288).

use data_encoding::BASE64;

use super::App;
use super::call::Call;
use super::reply::Refusal;
use super::url::Url;

/// Items on a page.
pub const PAGE_ITEM_COUNT: usize = 500;
/// The query parameter that has the cursor.
pub(super) const PARAMETER: &str = "cursor";
/// The longest cursor in characters: two numbers of 20 digits, and base64.
const CURSOR_LEN_MAX: usize = 64;

/// A place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// When the item was made, in microseconds since 1970.
    pub created_us: u64,
    /// Tells items of one moment apart; the greater is the newer.
    pub id: u64,
}

/// Which way a page lies from its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Older items.
    Next,
    /// Newer items.
    Previous,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The item beside which the page lies; it is not part of it.
    pub position: Position,
    /// On which side.
    pub direction: Direction,
}

impl Cursor {
    /// As it is written into URLs, before percent-encoding.
    fn to_text(self) -> String {
        let way = if self.direction == Direction::Next { 'n' } else { 'p' };
        BASE64.encode(format!("{way}{}.{}", self.position.created_us, self.position.id).as_bytes())
    }

    /// Reads what [`Cursor::to_text`] wrote; `None` for everything else.
    fn from_text(text: &str) -> Option<Cursor> {
        if text.len() > CURSOR_LEN_MAX {
            return None;
        }
        let plain = String::from_utf8(BASE64.decode(text.as_bytes()).ok()?).ok()?;
        let (direction, place) = match plain.split_at_checked(1)? {
            ("n", place) => (Direction::Next, place),
            ("p", place) => (Direction::Previous, place),
            _ => return None,
        };
        let (created_us, id) = place.split_once('.')?;
        let position = Position { created_us: created_us.parse().ok()?, id: id.parse().ok()? };
        let cursor = Cursor { position, direction };
        // Numbers can be written in several ways (`+1`, `01`); a cursor only in one.
        (cursor.to_text() == text).then_some(cursor)
    }
}

/// What to ask the store for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Where to begin. None: at the newest item, going down.
    ///
    /// [`Direction::Next`]: items below the position, in descending order. [`Direction::Previous`]: items above it, in *ascending* order.
    pub cursor: Option<Cursor>,
    /// At most so many: one more than a page has, which tells whether there is another page.
    pub item_count_max: usize,
}

/// Which page a request is for.
#[derive(Debug, Clone)]
pub struct Paging {
    /// Whether there is a `cursor` in the query at all.
    asked: bool,
    /// Its value, unless empty.
    cursor: Option<Cursor>,
    /// The address of the request.
    url: Url,
    /// The query without its `cursor`.
    others: Vec<(String, String)>,
}

impl Paging {
    /// Reads `cursor` from the query.
    ///
    /// # Errors
    /// 404 if it is none of ours.
    pub fn of<A: App>(call: &Call<A>) -> Result<Paging, Refusal> {
        Paging::read(call.url.clone(), call.query_pairs())
    }

    /// The same of an address and a query.
    fn read(url: Url, query: &[(String, String)]) -> Result<Paging, Refusal> {
        let text = query.iter().rev().find(|(key, _)| key == PARAMETER).map(|(_, value)| value.as_str());
        let cursor = match text {
            None | Some("") => None,
            Some(text) => Some(Cursor::from_text(text).ok_or_else(|| Refusal::not_found("Invalid cursor"))?),
        };
        let others = query.iter().filter(|(key, _)| key != PARAMETER).cloned().collect();
        Ok(Paging { asked: text.is_some(), cursor, url, others })
    }

    /// What to ask the store for when the list, filters applied, has `total` items.
    ///
    /// # Errors
    /// 400 with a link to the first page if that is more than a page and the request does not say which.
    pub fn slice(&self, total: u64) -> Result<Slice, Refusal> {
        if !self.asked && total > PAGE_ITEM_COUNT as u64 {
            let text = format!(
                "Pagination required. You can query up to {PAGE_ITEM_COUNT} items at a time ({total} total). Please use the \
                 `first` page link (see Link header)."
            );
            let link = self.link(None, "first");
            return Err(Refusal::detail(400, text).header(axum::http::header::LINK, &link));
        }
        Ok(Slice { cursor: self.cursor, item_count_max: PAGE_ITEM_COUNT + 1 })
    }

    /// Puts what the store found for the slice into the order of the list, newest first, and makes the `Link` header; none if everything
    /// fits on this page.
    pub fn finish<T>(&self, mut items: Vec<T>, position: impl Fn(&T) -> Position) -> (Vec<T>, Option<String>) {
        let more = items.len() > PAGE_ITEM_COUNT;
        items.truncate(PAGE_ITEM_COUNT);
        let backwards = self.cursor.is_some_and(|cursor| cursor.direction == Direction::Previous);
        if backwards {
            items.reverse();
        }
        // Beside the page of a cursor lies at least the item of the cursor.
        let newer = if backwards { more } else { self.cursor.is_some() };
        let older = backwards || more;
        if !newer && !older {
            return (items, None);
        }
        let here = self.cursor.map(|cursor| cursor.position);
        // An empty page lies beside the cursor's own item, which one step beyond makes part of the way back.
        let first = items
            .first()
            .map(&position)
            .or(here.map(|Position { created_us, id }| Position { created_us, id: id.saturating_sub(1) }));
        let last = items
            .last()
            .map(&position)
            .or(here.map(|Position { created_us, id }| Position { created_us, id: id.saturating_add(1) }));
        let mut links = vec![self.link(None, "first")];
        let side = |position: Option<Position>, direction| position.map(|position| Cursor { position, direction });
        if newer {
            links.push(self.link(side(first, Direction::Previous), "prev"));
        }
        if older {
            links.push(self.link(side(last, Direction::Next), "next"));
        }
        (items, Some(links.join(", ")))
    }

    /// One link of the header.
    fn link(&self, cursor: Option<Cursor>, rel: &str) -> String {
        let mut pairs = self.others.clone();
        pairs.push((PARAMETER.into(), cursor.map_or_else(String::new, Cursor::to_text)));
        format!("<{}>; rel=\"{rel}\"", self.url.with_query(&pairs))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The query of a URL.
    fn query_of(url: &str) -> Vec<(String, String)> {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// The page of a request with this query.
    fn paging(query: &str) -> Result<Paging, Refusal> {
        let url = Url { scheme: "https", host: "desec.example".into(), path: "/api/v1/domains/".into() };
        Paging::read(url, &query_of(&format!("?{query}")))
    }

    /// The URL of a link by its name.
    fn target(link: &str, rel: &str) -> Option<String> {
        let part = link.split(", ").find(|part| part.ends_with(&format!("; rel=\"{rel}\"")))?;
        Some(part.split_once('<')?.1.split_once('>')?.0.to_owned())
    }

    /// A store of items, as a database would answer a slice.
    fn fetch(items: &[Position], slice: Slice) -> Vec<Position> {
        let mut found: Vec<_> = match slice.cursor {
            None => items.to_vec(),
            Some(Cursor { position, direction: Direction::Next }) => {
                items.iter().copied().filter(|item| *item < position).collect()
            }
            Some(Cursor { position, .. }) => items.iter().copied().filter(|item| *item > position).collect(),
        };
        found.sort();
        if slice.cursor.is_none_or(|cursor| cursor.direction == Direction::Next) {
            found.reverse();
        }
        found.truncate(slice.item_count_max);
        found
    }

    /// So many items, three in each moment.
    fn items(count: u64) -> Vec<Position> {
        (0..count).map(|id| Position { created_us: 1_700_000_000_000_000 + id / 3, id }).collect()
    }

    #[test]
    fn more_than_a_page_needs_a_cursor() {
        let refusal = paging("type=A").unwrap().slice(501).unwrap_err();
        let shown = format!("{refusal:?}");
        assert!(shown.contains("Pagination required. You can query up to 500 items at a time (501 total)."), "{shown}");
        let first = r#"<https://desec.example/api/v1/domains/?cursor=&type=A>; rel=\"first\""#;
        assert!(shown.contains(first), "{shown}");
        assert!(paging("type=A").unwrap().slice(500).is_ok());
        assert!(paging("cursor=").unwrap().slice(501).is_ok());
    }

    #[test]
    fn what_fits_has_no_links() {
        for query in ["", "cursor="] {
            let paging = paging(query).unwrap();
            let found = fetch(&items(500), paging.slice(500).unwrap());
            let (page, link) = paging.finish(found, |item| *item);
            assert_eq!((page.len(), link), (500, None), "{query}");
        }
    }

    #[test]
    fn what_is_no_cursor_of_ours_is_not_found() {
        let long = BASE64.encode(&[b'n'; 100]);
        let padded = BASE64.encode(b"n01.1");
        for garbage in ["garbage", "%00", "bjEuMQ", "AAAA", &long, &padded, "eDEuMQ%3D%3D", "%C3%BC"] {
            let refusal = paging(&format!("cursor={garbage}")).unwrap_err();
            assert!(format!("{refusal:?}").contains("Invalid cursor"), "{garbage}");
        }
        let written = Cursor { position: Position { created_us: 1, id: 1 }, direction: Direction::Next }.to_text();
        assert_eq!(written, "bjEuMQ==");
        assert!(paging("cursor=bjEuMQ%3D%3D").is_ok());
    }

    proptest! {
        /// Following `next` from the first page gives every item once, newest first; `prev` goes back the same way.
        #[test]
        fn links_lead_through_the_whole_list_and_back(count in 501_u64..2600) {
            let all = items(count);
            let (mut query, mut pages) = ("cursor=".to_owned(), Vec::<Vec<Position>>::new());
            let mut links = Vec::new();
            loop {
                let paging = paging(&query).unwrap();
                let (page, link) = paging.finish(fetch(&all, paging.slice(count).unwrap()), |item| *item);
                let link = link.unwrap();
                prop_assert!(link.is_ascii() && target(&link, "first").unwrap().ends_with("?cursor="));
                prop_assert_eq!(target(&link, "prev").is_some(), !pages.is_empty());
                pages.push(page);
                links.push(link.clone());
                match target(&link, "next") {
                    Some(next) => query = next.split_once('?').unwrap().1.to_owned(),
                    None => break,
                }
            }
            let mut expected = all.clone();
            expected.reverse();
            prop_assert_eq!(pages.concat(), expected);
            let (last, rest) = (links.len() - 1, pages.len() - 1);
            let mut back = target(&links[last], "prev");
            for page in pages[..rest].iter().rev() {
                let url = back.unwrap();
                let paging = paging(url.split_once('?').unwrap().1).unwrap();
                let (found, link) = paging.finish(fetch(&all, paging.slice(count).unwrap()), |item| *item);
                prop_assert_eq!(&found, page);
                back = link.and_then(|link| target(&link, "prev"));
            }
            prop_assert_eq!(back, None);
        }
    }
}
