//! What `perf/versus` has measured, put together: ratios paired by round, medians with their spread, goals met and missed.
//!
//! It reads records, one JSON object a line, and measures nothing itself. Two runs of a machine that others use differ by
//! more than two servers do, so servers are compared within a round, and only the ratios are summed up.

mod chart;
mod table;

use std::io::{self, BufRead};

use serde_json::{Value, json};

/// The reflector over kernel sockets, as records name it.
const REFLECTOR: &str = "R";
/// The reflector over AF_XDP.
const XDP_REFLECTOR: &str = "X";
/// What the names of our own entries begin with.
const OURS: &str = "petrel";
/// Fields of a load whose sum counts, not their median.
const SUMMED: [&str; 5] = ["sent", "answered", "lost", "wrong", "failed"];
/// Fields of a load that are taken as they are.
const TAKEN: [&str; 5] = ["qps", "p50_us", "p99_us", "p999_us", "max_us"];

/// All that was measured.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Rows in the order of their first record.
    rows: Vec<Row>,
    /// What is to be reached.
    goals: Vec<Goal>,
    /// What the run says about itself, such as the machine.
    about: serde_json::Map<String, Value>,
}

/// One kind of load.
#[derive(Debug)]
struct Row {
    /// Its name.
    name: String,
    /// Who was measured, in the order of first records.
    servers: Vec<Server>,
}

/// One server in a row.
#[derive(Debug)]
struct Server {
    /// Its name.
    name: String,
    /// Its figures.
    metrics: Vec<Metric>,
}

/// One figure.
#[derive(Debug)]
struct Metric {
    /// Its name; the unit is its end.
    name: String,
    /// Round and value; facts are of round 0.
    samples: Vec<(u64, f64)>,
}

/// What is to be reached.
#[derive(Debug)]
struct Goal {
    /// Row, server and metric, with dots between.
    metric: String,
    /// The metric whose median it is divided by.
    over: Option<String>,
    /// The bound.
    bound: Bound,
}

/// A bound, itself allowed.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// From above.
    Most(f64),
    /// From below.
    Least(f64),
}

/// Median and extremes.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    /// The median.
    median: f64,
    /// The least.
    min: f64,
    /// The greatest.
    max: f64,
}

impl Verdict {
    /// Reads records and relates them.
    ///
    /// # Errors
    /// Those of `lines`; `InvalidData` with the line number for what is no record.
    pub fn read(lines: impl BufRead) -> io::Result<Verdict> {
        let mut verdict = Verdict::default();
        for (idx, line) in lines.lines().enumerate() {
            let record: Value = serde_json::from_str(&line?)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("record {}: {error}", idx + 1)))?;
            verdict.take(&record).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, format!("record {} lacks fields", idx + 1))
            })?;
        }
        verdict.rows.iter_mut().for_each(Row::relate);
        Ok(verdict)
    }

    /// Takes one record; `None` if a field is missing.
    fn take(&mut self, record: &Value) -> Option<()> {
        let text = |name: &str| record[name].as_str();
        match text("kind")? {
            "about" => drop(self.about.insert(text("name")?.to_owned(), record["value"].clone())),
            "fact" => {
                let value = record["value"].as_f64()?;
                self.server(text("row")?, text("server")?).add(text("name")?, 0, value);
            }
            "load" => {
                let (round, cpu_ns) = (record["round"].as_u64()?, record["cpu_ns"].as_f64()?);
                self.server(text("row")?, text("server")?).add_load(round, cpu_ns, &record["load"])?;
            }
            "goal" => {
                let bound = record["value"].as_f64()?;
                let bound = if text("bound")? == "most" { Bound::Most(bound) } else { Bound::Least(bound) };
                let over = text("over").filter(|over| !over.is_empty()).map(str::to_owned);
                self.goals.push(Goal { metric: text("metric")?.to_owned(), over, bound });
            }
            _ => return None,
        }
        Some(())
    }

    /// The entry of a server in a row, made if it is new.
    fn server(&mut self, row: &str, server: &str) -> &mut Server {
        let row = match self.rows.iter().position(|known| known.name == row) {
            Some(idx) => &mut self.rows[idx],
            None => self.rows.push_mut(Row { name: row.to_owned(), servers: Vec::new() }),
        };
        match row.servers.iter().position(|known| known.name == server) {
            Some(idx) => &mut row.servers[idx],
            None => row.servers.push_mut(Server { name: server.to_owned(), metrics: Vec::new() }),
        }
    }

    /// The spread of a metric that is named with row and server.
    fn spread(&self, path: &str) -> Option<Spread> {
        let mut parts = path.splitn(3, '.');
        let (row, server, metric) = (parts.next()?, parts.next()?, parts.next()?);
        let row = self.rows.iter().find(|known| known.name == row)?;
        row.servers.iter().find(|known| known.name == server)?.spread(metric)
    }

    /// The value of a goal, if it was measured.
    fn value(&self, goal: &Goal) -> Option<f64> {
        let value = self.spread(&goal.metric)?.median;
        match &goal.over {
            Some(over) => Some(value / self.spread(over)?.median),
            None => Some(value),
        }
    }

    /// Whether a goal was measured and reached.
    fn is_met(&self, goal: &Goal) -> bool {
        self.value(goal).is_some_and(|value| match goal.bound {
            Bound::Most(most) => value <= most,
            Bound::Least(least) => value >= least,
        })
    }

    /// Whether all goals were measured and reached.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.goals.iter().all(|goal| self.is_met(goal))
    }

    /// All figures as one JSON document.
    #[must_use]
    pub fn json(&self) -> Value {
        let metric = |metric: &Metric| {
            let Spread { median, min, max } = Spread::of(&metric.samples)?;
            Some((metric.name.clone(), json!({ "median": tidy(median), "min": tidy(min), "max": tidy(max) })))
        };
        let server = |server: &Server| {
            let metrics: serde_json::Map<_, _> = server.metrics.iter().filter_map(metric).collect();
            (server.name.clone(), Value::Object(metrics))
        };
        let row = |row: &Row| {
            let servers: serde_json::Map<_, _> = row.servers.iter().map(server).collect();
            (row.name.clone(), Value::Object(servers))
        };
        let goal = |goal: &Goal| {
            let (bound, limit) = match goal.bound {
                Bound::Most(limit) => ("most", limit),
                Bound::Least(limit) => ("least", limit),
            };
            let value = self.value(goal).map(tidy);
            json!({ "metric": goal.metric, "over": goal.over, bound: limit, "value": value, "met": self.is_met(goal) })
        };
        let rows: serde_json::Map<_, _> = self.rows.iter().map(row).collect();
        json!({ "about": self.about, "rows": rows, "goals": self.goals.iter().map(goal).collect::<Vec<_>>() })
    }
}

impl Row {
    /// Adds what follows from two servers of a round, and sums what counts as a sum.
    fn relate(&mut self) {
        let mut related = Vec::new();
        for server in &self.servers {
            for (base, metric) in [(REFLECTOR, "cpu_to_R"), (XDP_REFLECTOR, "cpu_to_X")] {
                related.push((server.name.clone(), metric.to_owned(), self.ratios(&server.name, base, "cpu_us")));
            }
            if !server.name.starts_with(OURS) {
                continue;
            }
            for other in self.servers.iter().filter(|other| other.name != server.name) {
                let metric = format!("qps_to_{}", other.name);
                related.push((server.name.clone(), metric, self.ratios(&server.name, &other.name, "qps")));
            }
        }
        for (server, metric, samples) in related {
            if let Some(server) = self.servers.iter_mut().find(|known| known.name == server)
                && !samples.is_empty()
            {
                server.metrics.push(Metric { name: metric, samples });
            }
        }
        for metric in self.servers.iter_mut().flat_map(|server| &mut server.metrics) {
            if SUMMED.contains(&metric.name.as_str()) {
                metric.samples = vec![(0, metric.samples.iter().map(|(_, value)| value).sum())];
            }
        }
    }

    /// A metric of one server divided by that of another in the same round.
    fn ratios(&self, server: &str, base: &str, metric: &str) -> Vec<(u64, f64)> {
        let samples = |name: &str| {
            let server = self.servers.iter().find(|known| known.name == name)?;
            Some(&server.metrics.iter().find(|known| known.name == metric)?.samples)
        };
        let (Some(above), Some(below)) = (samples(server), samples(base)) else { return Vec::new() };
        let paired = above.iter().filter_map(|(round, value)| {
            let (_, base) = below.iter().find(|(other, base)| other == round && *base > 0.0)?;
            Some((*round, value / base))
        });
        paired.collect()
    }
}

impl Server {
    /// Adds a sample.
    fn add(&mut self, metric: &str, round: u64, value: f64) {
        let metric = match self.metrics.iter().position(|known| known.name == metric) {
            Some(idx) => &mut self.metrics[idx],
            None => self.metrics.push_mut(Metric { name: metric.to_owned(), samples: Vec::new() }),
        };
        metric.samples.push((round, value));
    }

    /// Adds what a generator told; `None` if a field is missing. Latencies may be missing: not every generator has them.
    fn add_load(&mut self, round: u64, cpu_ns: f64, load: &Value) -> Option<()> {
        let number = |name: &str| load[name].as_f64();
        let answered = number("answered")?;
        if answered > 0.0 {
            self.add("cpu_us", round, cpu_ns / 1e3 / answered);
        }
        let failed = answered - number("noerror")? - number("nxdomain")?;
        for (name, value) in
            [("sent", number("sent")?), ("answered", answered), ("lost", number("lost")?), ("failed", failed)]
        {
            self.add(name, round, value);
        }
        if let Some(wrong) = number("wrong") {
            self.add("wrong", round, wrong);
        }
        if let Some(secs) = number("seconds").filter(|secs| *secs > 0.0) {
            // An overload is one only if the generator could offer as much as it was told to.
            self.add("offered_qps", round, number("sent")? / secs);
        }
        for name in TAKEN {
            if let Some(value) = number(name) {
                self.add(name, round, value);
            }
        }
        Some(())
    }

    /// The spread of a metric.
    fn spread(&self, metric: &str) -> Option<Spread> {
        Spread::of(&self.metrics.iter().find(|known| known.name == metric)?.samples)
    }
}

impl Spread {
    /// The spread of samples; `None` if there are none.
    fn of(samples: &[(u64, f64)]) -> Option<Spread> {
        let mut values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[middle] } else { values[middle - 1].midpoint(values[middle]) };
        Some(Spread { median, min, max })
    }
}

/// A value with as many digits as it is worth.
fn tidy(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two rounds of two servers in the second of which all is half as fast, and goals.
    const RECORDS: &str = r#"{"kind":"about","name":"machine","value":"a box"}
{"kind":"about","name":"row small","value":"few & small"}
{"kind":"goal","metric":"small.petrel.cpu_to_R","bound":"most","value":1.2}
{"kind":"goal","metric":"small.petrel.qps_to_knot","bound":"least","value":3}
{"kind":"goal","metric":"big.petrel.rss_mb","bound":"most","value":150}
{"kind":"goal","metric":"small.petrel.cpu_us","over":"small.R.cpu_us","bound":"most","value":1.2}
{"kind":"load","row":"small","server":"R","round":1,"cpu_ns":2000,"load":{"sent":1,"answered":1,"lost":0,"wrong":0,"noerror":1,"nxdomain":0,"qps":100}}
{"kind":"load","row":"small","server":"petrel","round":1,"cpu_ns":2200,"load":{"sent":1,"answered":1,"lost":0,"wrong":0,"noerror":1,"nxdomain":0,"qps":90}}
{"kind":"load","row":"small","server":"knot","round":1,"cpu_ns":3000,"load":{"sent":1,"answered":1,"lost":0,"wrong":0,"noerror":0,"nxdomain":0,"qps":45}}
{"kind":"load","row":"small","server":"R","round":2,"cpu_ns":4000,"load":{"sent":2,"answered":1,"lost":1,"wrong":0,"noerror":1,"nxdomain":0,"qps":50}}
{"kind":"load","row":"small","server":"petrel","round":2,"cpu_ns":4400,"load":{"sent":2,"answered":1,"lost":1,"wrong":0,"noerror":1,"nxdomain":0,"qps":45}}
{"kind":"fact","row":"small","server":"petrel","name":"rss_mb","value":20}"#;

    #[test]
    fn servers_are_compared_within_a_round() {
        let verdict = Verdict::read(RECORDS.as_bytes()).unwrap();
        let near = |path: &str, value: f64| {
            let spread = verdict.spread(path).unwrap();
            assert!((spread.median - value).abs() < 1e-9, "{path} is {spread:?}");
        };
        near("small.petrel.cpu_us", 3.3);
        near("small.petrel.cpu_to_R", 1.1);
        near("small.petrel.qps_to_knot", 2.0);
        near("small.petrel.lost", 1.0);
        near("small.knot.failed", 1.0);
        near("small.petrel.rss_mb", 20.0);
    }

    #[test]
    fn goals_are_met_missed_or_not_measured() {
        let verdict = Verdict::read(RECORDS.as_bytes()).unwrap();
        let met: Vec<bool> = verdict.goals.iter().map(|goal| verdict.is_met(goal)).collect();
        assert_eq!(met, [true, false, false, true]);
        assert!(!verdict.is_reached());
        let json = verdict.json();
        assert_eq!(json["goals"][2]["value"], Value::Null);
        assert_eq!(json["rows"]["small"]["petrel"]["cpu_to_R"]["median"], json!(1.1));
        assert_eq!(json["about"]["machine"], "a box");
    }

    #[test]
    fn what_is_no_record_is_named() {
        let error = Verdict::read("{\"kind\":\"goal\"}".as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "record 1 lacks fields");
    }

    #[test]
    fn table_and_chart_show_every_server() {
        let verdict = Verdict::read(RECORDS.as_bytes()).unwrap();
        let table = verdict.table();
        assert!(table.contains("small"), "{table}");
        assert!(table.contains("MISSED"), "{table}");
        assert!(table.contains("not measured"), "{table}");
        let chart = verdict.chart();
        assert!(chart.starts_with("<svg ") && chart.ends_with("</svg>\n"), "{chart}");
        assert!(chart.contains(">1.10<") && chart.contains(">few &amp; small<"), "{chart}");
    }
}
