//! Who ends when, without a bus: `supervise` is given work and signals of the test's own making.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;

const GRACE: Duration = Duration::from_secs(30);

impl StopSignals for UnboundedReceiver<StopSignal> {
    async fn next(&mut self) -> StopSignal {
        match self.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

fn signals() -> (UnboundedSender<StopSignal>, UnboundedReceiver<StopSignal>) {
    unbounded_channel()
}

async fn supervised(
    work: impl Future<Output = Ending> + Send + 'static,
    drain: &Drain,
    signals: UnboundedReceiver<StopSignal>,
) -> Ending {
    supervise(work, drain, signals, GRACE, &Supervisor::default()).await
}

#[tokio::test(start_paused = true)]
async fn after_the_first_signal_what_was_taken_is_finished() {
    let (drain, (send, receive)) = (Drain::new(), signals());
    let finished = Arc::new(AtomicBool::new(false));
    let (inside, done) = (drain.clone(), finished.clone());
    let work = async move {
        inside.requested().await;
        // The step in hand needs a while.
        tokio::time::sleep(GRACE / 2).await;
        done.store(true, Ordering::SeqCst);
        Ending::Clean
    };
    send.send(StopSignal::Terminate).unwrap();
    assert_eq!(supervised(work, &drain, receive).await, Ending::Clean);
    assert!(finished.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_stops_now() {
    let (drain, (send, receive)) = (Drain::new(), signals());
    send.send(StopSignal::Interrupt).unwrap();
    send.send(StopSignal::Terminate).unwrap();
    let begun = tokio::time::Instant::now();
    let ending = supervised(std::future::pending(), &drain, receive).await;
    assert_eq!(ending, Ending::CutOff(Some(StopSignal::Interrupt)));
    assert_eq!(ending.code(), 130);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_is_the_longest_a_drain_takes() {
    let (drain, (send, receive)) = (Drain::new(), signals());
    send.send(StopSignal::Terminate).unwrap();
    let begun = tokio::time::Instant::now();
    let ending = supervised(std::future::pending(), &drain, receive).await;
    assert_eq!(ending.code(), 143);
    assert_eq!(begun.elapsed(), GRACE);
    assert!(drain.is_requested());
}

#[tokio::test(start_paused = true)]
async fn work_that_ended_by_itself_has_the_grace_period_too() {
    let (drain, (_send, receive)) = (Drain::new(), signals());
    let inside = drain.clone();
    let work = async move {
        inside.request();
        std::future::pending().await
    };
    let ending = supervised(work, &drain, receive).await;
    assert_eq!(ending, Ending::CutOff(None));
    assert_eq!(ending.code(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_signal_work_may_take_as_long_as_it_likes() {
    let (drain, (_send, receive)) = (Drain::new(), signals());
    let work = async {
        tokio::time::sleep(GRACE * 100).await;
        Ending::Failed
    };
    assert_eq!(supervised(work, &drain, receive).await, Ending::Failed);
    assert!(!drain.is_requested());
}

#[tokio::test]
async fn a_panic_is_a_failure_and_not_silence() {
    let (drain, (_send, receive)) = (Drain::new(), signals());
    let work = async { panic!("a broken invariant") };
    assert_eq!(supervised(work, &drain, receive).await, Ending::Failed);
}
