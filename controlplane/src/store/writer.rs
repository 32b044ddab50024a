//! The thread that writes: takes jobs, runs those that wait in one transaction, commits, tells.
//!
//! A job runs in a savepoint of its own, so that one that fails leaves nothing behind and harms no other; only if the
//! commit itself fails do all of them. Invariant: a job's outcome is told after the commit that holds it is durable, and
//! whoever publishes is woken after it.

use std::any::Any;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};
use rusqlite::{Connection, Params};
use tokio::sync::oneshot;
use tracing::error;

use super::reserve::Reserve;
use super::{Reader, StoreError};

/// How many jobs one transaction takes: beyond, the first would wait for the last too long.
const BATCH_MAX: usize = 256;
/// How many jobs may wait; further callers wait for room.
const WAITING_MAX: usize = 4096;
/// How long deferred work waits for a transaction to go with.
const DEFER_TIME: Duration = Duration::from_secs(1);

/// How much was written since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteCounts {
    /// Transactions that were committed.
    pub commits: u64,
    /// Jobs in them.
    pub jobs: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Jobs that wait now.
    pub waiting: u64,
}

/// The same, while it grows.
#[derive(Default)]
struct Tally {
    /// See [`WriteCounts`].
    commits: AtomicU64,
    /// See [`WriteCounts`].
    jobs: AtomicU64,
    /// See [`WriteCounts`].
    failures: AtomicU64,
}

/// A transaction, as a job sees it: everything a [`Reader`] can ask, and what the entities' modules can write.
pub struct Txn<'c> {
    /// For reading.
    reader: Reader<'c>,
    /// Whether there is something to publish once the commit is durable.
    wakes: std::cell::Cell<bool>,
    /// Whether a statement found no room on the disk.
    is_full: std::cell::Cell<bool>,
    /// Whether there is room for more rows than there are.
    has_room: bool,
}

impl<'c> Deref for Txn<'c> {
    type Target = Reader<'c>;

    fn deref(&self) -> &Reader<'c> {
        &self.reader
    }
}

impl Txn<'_> {
    /// Runs a statement that changes rows; how many it changed.
    pub(super) fn execute(&self, sql: &'static str, params: impl Params) -> Result<usize, StoreError> {
        self.statement(sql)?.execute(params).map_err(|error| self.noted(error))
    }

    /// Runs an INSERT; the number of the new row.
    pub(super) fn insert(&self, sql: &'static str, params: impl Params) -> Result<i64, StoreError> {
        self.statement(sql)?.insert(params).map_err(|error| self.noted(error))
    }

    /// Makes sure that there is room for another row; on a disk that is nearly full only what adds nothing is done.
    pub(super) fn room(&self) -> Result<(), StoreError> {
        if self.has_room { Ok(()) } else { Err(StoreError::Full) }
    }

    /// Notes an error that may have ended the whole transaction.
    fn noted(&self, error: rusqlite::Error) -> StoreError {
        let error = StoreError::from(error);
        self.is_full.set(self.is_full.get() || matches!(error, StoreError::Full));
        error
    }

    /// Has whoever publishes woken once the transaction is durable.
    pub(super) fn wake(&self) {
        self.wakes.set(true);
    }
}

/// What a job leaves behind: tells its caller how the commit ended.
type Ended = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A job: what it did, whether it is to be kept, and how to tell its caller.
type Job = Box<dyn FnOnce(&Txn<'_>) -> (bool, Ended) + Send>;
/// Work that nobody waits for.
type Deferred = Box<dyn FnOnce(&Txn<'_>) -> Result<(), StoreError> + Send>;

/// What the thread is told.
enum Order {
    /// A job somebody waits for.
    Job(Job),
    /// Work for the next transaction.
    Deferred(Deferred),
}

/// The way to the thread.
pub(super) struct Writer {
    /// Orders; `None` once we are to end.
    orders: Option<Sender<Order>>,
    /// Gets a token after commits that are to be published.
    wakes: Receiver<()>,
    /// Whether a sync has failed.
    broken: Arc<AtomicBool>,
    /// Our fencing epoch; 0 for none.
    epoch: Arc<AtomicU64>,
    /// Whether the disk is nearly full.
    low: Arc<AtomicBool>,
    /// How much was written.
    tally: Arc<Tally>,
    /// The thread.
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connection: Connection, reserve: Reserve) -> Result<Writer, StoreError> {
        let (orders, inbox) = channel::bounded(WAITING_MAX);
        let (wake, wakes) = channel::bounded(1);
        let broken = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Tally::default());
        let counted = Arc::clone(&tally);
        let epoch = Arc::new(AtomicU64::new(0));
        let low = reserve.is_low();
        let body = Body {
            connection,
            wake,
            broken: Arc::clone(&broken),
            epoch: Arc::clone(&epoch),
            reserve,
            tally: counted,
            deferred: Vec::new(),
            due: None,
        };
        let thread = thread::Builder::new().name("store".into()).spawn(move || body.run(&inbox));
        let thread = thread.map_err(|source| StoreError::Io { path: "the thread that writes".into(), source })?;
        Ok(Writer { orders: Some(orders), wakes, broken, epoch, low, tally, thread: Some(thread) })
    }

    /// Hands in a job; the outcome comes when it is durable.
    pub(super) fn submit<T, E>(
        &self,
        job: impl FnOnce(&Txn<'_>) -> Result<T, E> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, E>>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job = move |txn: &Txn<'_>| {
            let outcome = job(txn);
            let keep = outcome.is_ok();
            let ended = move |committed: Result<(), StoreError>| {
                let outcome = match (outcome, committed) {
                    (Ok(_), Err(error)) => Err(error.into()),
                    (outcome, _) => outcome,
                };
                // A caller that went away does not need the answer.
                sender.send(outcome).ok();
            };
            (keep, Box::new(ended) as Ended)
        };
        if let Some(orders) = &self.orders {
            orders.send(Order::Job(Box::new(job))).ok();
        }
        receiver
    }

    /// Hands in work that nobody waits for.
    pub(super) fn defer(&self, work: Deferred) {
        if let Some(orders) = &self.orders {
            orders.send(Order::Deferred(work)).ok();
        }
    }

    /// Gets a token after commits that are to be published.
    pub(super) fn wakes(&self) -> Receiver<()> {
        self.wakes.clone()
    }

    /// How much was written.
    pub(super) fn counts(&self) -> WriteCounts {
        let Tally { commits, jobs, failures } = &*self.tally;
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let waiting = self.orders.as_ref().map_or(0, Sender::len) as u64;
        WriteCounts { commits: of(commits), jobs: of(jobs), failures: of(failures), waiting }
    }

    /// Set once a sync has failed.
    pub(super) fn broken(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.broken)
    }

    /// Whether the disk is nearly full.
    pub(super) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// From here on a greater epoch in the database ends our writing.
    pub(super) fn fence(&self, epoch: u64) {
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Whether a sync has failed.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            thread.join().ok();
        }
    }
}

/// The thread.
struct Body {
    /// The connection that writes.
    connection: Connection,
    /// To whoever publishes.
    wake: Sender<()>,
    /// Whether a sync has failed.
    broken: Arc<AtomicBool>,
    /// Our fencing epoch; 0 for none.
    epoch: Arc<AtomicU64>,
    /// Room for deletions.
    reserve: Reserve,
    /// How much was written.
    tally: Arc<Tally>,
    /// Work for the next transaction.
    deferred: Vec<Deferred>,
    /// When that is to be done at the latest.
    due: Option<Instant>,
}

impl Body {
    /// Works until nobody can hand in jobs any more.
    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let patience = self.due.map_or(DEFER_TIME, |due| due.saturating_duration_since(Instant::now()));
            let mut jobs = Vec::new();
            match inbox.recv_timeout(patience) {
                Ok(order) => self.take(order, &mut jobs),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while jobs.len() < BATCH_MAX
                && let Ok(order) = inbox.try_recv()
            {
                self.take(order, &mut jobs);
            }
            if !jobs.is_empty() || self.due.is_some_and(|due| due <= Instant::now()) {
                self.transact(jobs);
            }
        }
        self.transact(Vec::new());
    }

    /// Sorts an order in.
    fn take(&mut self, order: Order, jobs: &mut Vec<Job>) {
        match order {
            Order::Job(job) => jobs.push(job),
            Order::Deferred(work) => {
                self.deferred.push(work);
                self.due.get_or_insert_with(|| Instant::now() + DEFER_TIME);
            }
        }
    }

    /// One transaction: deferred work, then the jobs; commits and tells.
    fn transact(&mut self, jobs: Vec<Job>) {
        self.due = None;
        let deferred = std::mem::take(&mut self.deferred);
        if jobs.is_empty() && deferred.is_empty() {
            return;
        }
        let mut wakes = false;
        let mut ended = Vec::new();
        let committed = if self.broken.load(Ordering::Acquire) {
            Err(StoreError::Broken)
        } else {
            self.work(deferred, jobs, &mut wakes, &mut ended)
        };
        match committed {
            Ok(()) => {
                self.tally.commits.fetch_add(1, Ordering::Relaxed);
                self.tally.jobs.fetch_add(ended.len() as u64, Ordering::Relaxed);
                if wakes {
                    // A token that lies there already wakes as well.
                    self.wake.try_send(()).ok();
                }
                ended.into_iter().for_each(|ended| ended(Ok(())));
            }
            Err(cause) => {
                self.tally.failures.fetch_add(1, Ordering::Relaxed);
                error!("a transaction of {} jobs was not committed: {cause}", ended.len());
                self.note_failure(&cause);
                let cause = || match cause {
                    StoreError::Full => StoreError::Full,
                    StoreError::Fenced { found, own } => StoreError::Fenced { found, own },
                    _ => StoreError::Broken,
                };
                ended.into_iter().for_each(|ended| ended(Err(cause())));
            }
        }
    }

    /// Runs everything and commits. A job that is not run at all loses its answer, which its caller takes for a failure.
    fn work(
        &mut self,
        deferred: Vec<Deferred>,
        jobs: Vec<Job>,
        wakes: &mut bool,
        ended: &mut Vec<Ended>,
    ) -> Result<(), StoreError> {
        let connection = &self.connection;
        let has_room = self.reserve.look();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let worked = (|| {
            self.heed_fence()?;
            for work in deferred {
                let done = |txn: &Txn<'_>| {
                    if let Err(cause) = work(txn) {
                        error!("deferred work failed: {cause}");
                        return (false, Box::new(|_| ()) as Ended);
                    }
                    (true, Box::new(|_| ()) as Ended)
                };
                one(connection, has_room, Box::new(done), wakes, ended)?;
            }
            for job in jobs {
                one(connection, has_room, job, wakes, ended)?;
            }
            connection.execute_batch("COMMIT")?;
            Ok(())
        })();
        if worked.is_err() && !connection.is_autocommit() {
            // If this fails as well, the transaction ended with what failed.
            connection.execute_batch("ROLLBACK").ok();
        }
        worked
    }

    /// Makes sure that nobody else has become the owner.
    fn heed_fence(&self) -> Result<(), StoreError> {
        let own = self.epoch.load(Ordering::Acquire);
        if own == 0 {
            return Ok(());
        }
        let found = Reader::of(&self.connection).epoch()?;
        if found > own { Err(StoreError::Fenced { found, own }) } else { Ok(()) }
    }

    /// After a failed write or sync the content of the disk is unknown: nothing more is written.
    fn note_failure(&self, cause: &StoreError) {
        if matches!(cause, StoreError::Full) {
            self.reserve.give_back();
        }
        if let StoreError::Sqlite(error) = cause
            && matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::SystemIoFailure))
        {
            self.broken.store(true, Ordering::Release);
            error!("the disk failed under the database: no write is accepted until a restart");
        }
    }
}

/// Runs one job in its savepoint. An error means that the whole transaction is lost.
fn one(
    connection: &Connection,
    has_room: bool,
    job: Job,
    wakes: &mut bool,
    ended: &mut Vec<Ended>,
) -> Result<(), StoreError> {
    connection.prepare_cached("SAVEPOINT job")?.execute([])?;
    let txn = Txn { reader: Reader::of(connection), wakes: false.into(), is_full: false.into(), has_room };
    let outcome = catch_unwind(AssertUnwindSafe(|| job(&txn)));
    let keep = matches!(outcome, Ok((true, _)));
    if connection.is_autocommit() {
        // SQLite has given up the transaction (a full disk, a failed read): earlier jobs are lost too.
        if let Ok((_, tell)) = outcome {
            ended.push(tell);
        }
        return Err(if txn.is_full.get() { StoreError::Full } else { StoreError::Broken });
    }
    if keep {
        *wakes |= txn.wakes.get();
    } else {
        connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    connection.prepare_cached("RELEASE job")?.execute([])?;
    match outcome {
        Ok((_, tell)) => ended.push(tell),
        Err(panic) => error!("a job of the store panicked: {}", words(&*panic)),
    }
    Ok(())
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
