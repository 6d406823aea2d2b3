//! Threads for work that waits: for the disk, for a program, for a promise to come true.
//!
//! tokio's own pool wakes a thread for each piece of work, however many run, and while it holds the lock that this thread
//! wants; with 64 steps at a time that was two thirds of an agent's futex calls (`docs/speed.md`). Here a thread that has
//! ended its work takes the next without sleeping, and a thread of its own is only woken for work that found few running
//! or has waited for a moment.
//!
//! Invariant: work is begun in the order in which it came, and at the latest after [`PATIENCE`] while fewer than [`MOST`]
//! threads work; beyond that when one of them is free.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, Thread},
    time::Duration,
};

use tokio::sync::oneshot;

/// While fewer work, work is begun at once. Enough to keep a disk busy: records that wait together share a sync.
const STEADY: usize = 16;
/// Beyond that work waits until a thread is free.
const MOST: usize = 64;
/// How long work waits for one of the busy threads, most of which are done within it, before it gets another one.
const PATIENCE: Duration = Duration::from_millis(5);
/// A thread without work ends after this.
const IDLE: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce() + Send>;

/// Grows with what waits, and shrinks when there is little.
#[derive(Default)]
pub struct Crew(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// The last one is the next to work, so that the others may end.
    idle: Vec<Arc<Seat>>,
    /// With the place of each in the order of arrival.
    waiting: VecDeque<(u64, Work)>,
    threads: usize,
    arrived: u64,
}

/// Where a thread without work finds some.
struct Seat {
    work: Mutex<Option<Work>>,
    thread: Thread,
}

/// One who works, until the thread ends in whatever way.
struct Member(Arc<Mutex<Inner>>);

impl Crew {
    /// Does the work on a thread that may wait. `None` when it ended in a panic, or no thread could be had at all.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, mut done) = oneshot::channel();
        // Who asked may have given up.
        let place = self.arrives(Box::new(move || drop(sender.send(work()))));
        if let Some(place) = place {
            tokio::select! {
                biased;
                done = &mut done => return done.ok(),
                () = tokio::time::sleep(PATIENCE) => self.hurry(place),
            }
        }
        done.await.ok()
    }

    /// Its place in the order of arrival, when it has to wait.
    fn arrives(&self, work: Work) -> Option<u64> {
        let mut inner = lock(&self.0);
        let place = inner.arrived;
        inner.arrived += 1;
        inner.waiting.push_back((place, work));
        if inner.working() >= STEADY {
            return Some(place);
        }
        self.begin_next(inner);
        None
    }

    /// For what waits as long as the work at this place, or longer.
    fn hurry(&self, place: u64) {
        let inner = lock(&self.0);
        let is_waiting = inner.waiting.front().is_some_and(|(first, _)| *first <= place);
        if is_waiting && inner.working() < MOST {
            self.begin_next(inner);
        }
    }

    fn begin_next(&self, mut inner: MutexGuard<'_, Inner>) {
        let Some((place, work)) = inner.waiting.pop_front() else { return };
        if let Some(seat) = inner.idle.pop() {
            drop(inner);
            *lock(&seat.work) = Some(work);
            seat.thread.unpark();
            return;
        }
        inner.threads += 1;
        drop(inner);
        let first = Arc::new(Mutex::new(Some(work)));
        let (member, taken) = (Member(Arc::clone(&self.0)), Arc::clone(&first));
        let named = thread::Builder::new().name("step".to_owned());
        if let Err(error) = named.spawn(move || member.serve(lock(&taken).take())) {
            tracing::error!(%error, "could not start a thread");
            let mut inner = lock(&self.0);
            // Whoever works takes it afterwards; without anybody it is given up, and the asker told.
            if inner.threads > 0
                && let Some(work) = lock(&first).take()
            {
                inner.waiting.push_front((place, work));
            }
        }
    }
}

impl Inner {
    fn working(&self) -> usize {
        self.threads - self.idle.len()
    }
}

impl Member {
    fn serve(&self, mut work: Option<Work>) {
        let seat = Arc::new(Seat { work: Mutex::new(None), thread: thread::current() });
        loop {
            while let Some(next) = work {
                next();
                work = self.next(&seat);
            }
            thread::park_timeout(IDLE);
            work = lock(&seat.work).take();
            if work.is_none() && self.leaves(&seat) {
                return;
            }
        }
    }

    /// Without work, the seat stands ready for the next.
    fn next(&self, seat: &Arc<Seat>) -> Option<Work> {
        let mut inner = lock(&self.0);
        let next = inner.waiting.pop_front();
        if next.is_none() {
            inner.idle.push(Arc::clone(seat));
        }
        next.map(|(_, work)| work)
    }

    /// Not when somebody has just been sent here with work.
    fn leaves(&self, seat: &Arc<Seat>) -> bool {
        let mut inner = lock(&self.0);
        let place = inner.idle.iter().position(|idle| Arc::ptr_eq(idle, seat));
        place.map(|place| inner.idle.remove(place)).is_some()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        lock(&self.0).threads -= 1;
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = lock(&self.0);
        f.debug_struct("Crew").field("threads", &inner.threads).field("idle", &inner.idle.len()).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Work that panics does so without a lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::task::JoinSet;

    use super::*;

    const SOON: Duration = Duration::from_mins(1);

    /// Work that has begun and goes on until it is let go.
    fn stuck(crew: &Arc<Crew>, works: &mut JoinSet<Option<()>>) -> mpsc::Sender<()> {
        let (go, wait) = mpsc::channel();
        let (begun, has_begun) = mpsc::channel();
        let crew = Arc::clone(crew);
        works.spawn(async move {
            crew.run(move || {
                begun.send(()).unwrap();
                let _ = wait.recv_timeout(SOON);
            })
            .await
        });
        tokio::task::block_in_place(|| has_begun.recv_timeout(SOON)).unwrap();
        go
    }

    #[tokio::test]
    async fn what_work_comes_to_is_told_and_a_panic_too() {
        let crew = Crew::default();
        assert_eq!(crew.run(|| 7).await, Some(7));
        assert_eq!(crew.run(|| -> u8 { panic!("planted") }).await, None);
        assert_eq!(crew.run(|| 8).await, Some(8));
    }

    #[tokio::test]
    async fn one_after_the_other_needs_one_thread() {
        let crew = Crew::default();
        for number in 0..100 {
            assert_eq!(crew.run(move || number).await, Some(number));
            // The thread may still be on its way back to its seat.
            while lock(&crew.0).idle.is_empty() {
                thread::yield_now();
            }
        }
        assert_eq!(lock(&crew.0).threads, 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_is_begun_however_many_are_stuck_and_beyond_the_most_when_one_is_free() {
        let (crew, mut works) = (Arc::new(Crew::default()), JoinSet::new());
        let mut stuck: Vec<_> = (0..MOST).map(|_| stuck(&crew, &mut works)).collect();
        assert_eq!(lock(&crew.0).threads, MOST);
        let late = crew.run(|| "done");
        tokio::pin!(late);
        assert!(tokio::time::timeout(20 * PATIENCE, &mut late).await.is_err(), "all threads are stuck");
        assert_eq!(lock(&crew.0).threads, MOST);
        stuck.pop().unwrap().send(()).unwrap();
        assert_eq!(tokio::time::timeout(SOON, late).await.unwrap(), Some("done"));
        drop(stuck);
        assert!(works.join_all().await.iter().all(Option::is_some));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_waits_is_begun_in_its_order_by_who_is_free() {
        let (crew, mut works) = (Arc::new(Crew::default()), JoinSet::new());
        let go: Vec<_> = (0..STEADY).map(|_| stuck(&crew, &mut works)).collect();
        let (told, order) = mpsc::channel();
        for number in 0..10 {
            let told = told.clone();
            assert!(crew.arrives(Box::new(move || told.send(number).unwrap())).is_some());
        }
        assert_eq!(lock(&crew.0).threads, STEADY, "nobody has waited long enough for another thread");
        go[0].send(()).unwrap();
        let begun: Vec<i32> = (0..10).map(|_| order.recv_timeout(SOON).unwrap()).collect();
        assert_eq!(begun, (0..10).collect::<Vec<_>>());
        drop(go);
        works.join_all().await;
    }
}
