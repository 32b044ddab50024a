//! Counts requests, for `/metrics`.
//!
//! Invariant: labels come from the table of routes and from closed sets, so that no stranger can add a time series.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Methods as they are told apart; the last stands for all others.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"];
/// Classes of status.
const CLASSES: &[&str] = &["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Upper bounds of the buckets of the time a request took: microseconds, and the same in seconds as text.
const BUCKETS: &[(u64, &str)] = &[
    (1_000, "0.001"),
    (5_000, "0.005"),
    (25_000, "0.025"),
    (100_000, "0.1"),
    (500_000, "0.5"),
    (2_500_000, "2.5"),
    (10_000_000, "10"),
];
/// What paths are called that are not in the table.
const NO_ROUTE: &str = "none";

/// See the module.
pub struct Counters {
    /// Paths of the table, and [`NO_ROUTE`].
    routes: Vec<&'static str>,
    /// By route, method and class.
    requests: Vec<AtomicU64>,
    /// Requests of at most so long and longer than the bucket before; the last is without bound.
    durations: Vec<AtomicU64>,
    /// All durations together in microseconds.
    duration_sum_us: AtomicU64,
    /// Handlers that panicked.
    panics: AtomicU64,
    /// Connections that could not be accepted.
    accept_failures: AtomicU64,
}

impl Counters {
    /// All zero.
    pub(super) fn new(mut routes: Vec<&'static str>) -> Counters {
        routes.push(NO_ROUTE);
        let zeros = |count: usize| (0..count).map(|_| AtomicU64::new(0)).collect();
        Counters {
            requests: zeros(routes.len() * METHODS.len() * CLASSES.len()),
            durations: zeros(BUCKETS.len() + 1),
            duration_sum_us: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            accept_failures: AtomicU64::new(0),
            routes,
        }
    }

    /// Counts a request; `route` is its place in the table, none if it has none.
    pub(super) fn request(&self, route: Option<usize>, method: &str, status: u16, duration: Duration) {
        let route = route.unwrap_or(self.routes.len() - 1);
        let last = METHODS.len() - 1;
        let method = METHODS.iter().position(|known| *known == method).unwrap_or(last);
        let class = usize::from(status / 100).clamp(1, CLASSES.len()) - 1;
        add(&self.requests, (route * METHODS.len() + method) * CLASSES.len() + class);
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|(bound, _)| us <= *bound).unwrap_or(BUCKETS.len());
        add(&self.durations, bucket);
        self.duration_sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Counts a handler that panicked.
    pub(super) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that could not be accepted.
    pub(super) fn not_accepted(&self) {
        self.accept_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The part of `/metrics` about HTTP, in the Prometheus text exposition format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = String::new();
        // Writing into a string cannot fail.
        self.write(&mut page).ok();
        page
    }

    /// Writes the page.
    fn write(&self, page: &mut String) -> std::fmt::Result {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut counter = |name: &str, help: &str, value: u64| {
            writeln!(page, "# HELP dns_http_{name} {help}\n# TYPE dns_http_{name} counter\ndns_http_{name} {value}")
        };
        counter("accept_failures_total", "Connections that could not be accepted.", read(&self.accept_failures))?;
        counter("panics_total", "Handlers that panicked.", read(&self.panics))?;
        writeln!(page, "# HELP dns_http_request_seconds How long requests took, from head to reply.")?;
        writeln!(page, "# TYPE dns_http_request_seconds histogram")?;
        let mut count = 0;
        for (idx, duration) in self.durations.iter().enumerate() {
            count += read(duration);
            let bound = BUCKETS.get(idx).map_or("+Inf", |(_, text)| text);
            writeln!(page, "dns_http_request_seconds_bucket{{le=\"{bound}\"}} {count}")?;
        }
        let us = read(&self.duration_sum_us);
        writeln!(page, "dns_http_request_seconds_sum {}.{:06}", us / 1_000_000, us % 1_000_000)?;
        writeln!(page, "dns_http_request_seconds_count {count}")?;
        writeln!(page, "# HELP dns_http_requests_total Requests, by route, method and class of status.")?;
        writeln!(page, "# TYPE dns_http_requests_total counter")?;
        for (idx, requests) in self.requests.iter().enumerate().filter(|(_, requests)| read(requests) > 0) {
            let (rest, class) = (idx / CLASSES.len(), CLASSES[idx % CLASSES.len()]);
            let (route, method) = (self.routes[rest / METHODS.len()], METHODS[rest % METHODS.len()]);
            let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{class}\"");
            writeln!(page, "dns_http_requests_total{{{labels}}} {}", read(requests))?;
        }
        Ok(())
    }
}

/// Adds one.
fn add(counters: &[AtomicU64], idx: usize) {
    if let Some(counter) = counters.get(idx) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_method_and_class() {
        let counters = Counters::new(vec!["/a/{x}/", "/b/"]);
        let ms = Duration::from_millis;
        counters.request(Some(0), "GET", 200, ms(1));
        counters.request(Some(0), "GET", 204, ms(2));
        counters.request(Some(1), "BREW", 405, ms(30));
        counters.request(None, "GET", 404, ms(20_000));
        counters.panicked();
        let page = counters.render();
        for line in [
            "dns_http_requests_total{route=\"/a/{x}/\",method=\"GET\",status=\"2xx\"} 2",
            "dns_http_requests_total{route=\"/b/\",method=\"other\",status=\"4xx\"} 1",
            "dns_http_requests_total{route=\"none\",method=\"GET\",status=\"4xx\"} 1",
            "dns_http_request_seconds_bucket{le=\"0.001\"} 1",
            "dns_http_request_seconds_bucket{le=\"0.005\"} 2",
            "dns_http_request_seconds_bucket{le=\"10\"} 3",
            "dns_http_request_seconds_bucket{le=\"+Inf\"} 4",
            "dns_http_request_seconds_count 4",
            "dns_http_request_seconds_sum 20.033000",
            "dns_http_panics_total 1",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line} is missing in\n{page}");
        }
    }
}
