//! Training: one at a time, in its own thread pool.

use std::{
    cell::Cell,
    ops::ControlFlow,
    panic::resume_unwind,
    sync::{
        LazyLock, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The mutex of the one running training. Only plain threads wait for it.
static TURN: Mutex<()> = Mutex::new(());

/// The training pool; `None` if its threads could not be started.
static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    ThreadPoolBuilder::new()
        .thread_name(|index| format!("sam-train-{index}"))
        .start_handler(|_| ROLE.set(Role::Trains))
        .build()
        .ok()
});

/// The role of a thread in a training.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// None.
    Other,
    /// It runs a training.
    Trains,
    /// It runs the observer of a training that waits for the observer's answer.
    Observes,
}

thread_local! {
    static ROLE: Cell<Role> = const { Cell::new(Role::Other) };
}

/// Whether the current thread runs a training. If so, [`train`] runs its work at once.
pub fn is_training() -> bool {
    ROLE.get() == Role::Trains
}

/// Trains a model in the training pool. Waits until no other training of this process runs.
///
/// `work` gets a function that passes progress to `observer` and returns the observer's answer: `Break` if the work should stop. The
/// observer runs on the caller's thread, so it need not be `Send`. It must not wait for another thread's training.
///
/// A call from within a training runs at once, as a part of it. [The crate's documentation](crate) explains why two trainings at the same
/// time cannot deadlock.
///
/// # Panics
/// If the work or the observer panics.
pub fn train<P, R>(
    work: impl FnOnce(&mut dyn FnMut(&P) -> ControlFlow<()>) -> R + Send,
    observer: &mut dyn FnMut(&P) -> ControlFlow<()>,
) -> R
where
    P: Clone + Send,
    R: Send,
{
    if is_training() {
        return work(observer);
    }
    // The observed training waits for this one, so this one may run under its mutex.
    let has_turn = ROLE.get() == Role::Observes;
    let (ask, asked) = channel();
    let (answer, answered) = channel();
    let report = Report { ask, answered };
    thread::scope(|scope| {
        // Moved into the scope, so that both channel ends are dropped if the observer panics. Otherwise the scope would wait for the
        // training.
        let (asked, answer): (Receiver<P>, Sender<ControlFlow<()>>) = (asked, answer);
        let training = scope.spawn(move || {
            let _turn = (!has_turn).then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
            in_training_pool(move || work(&mut |progress| report.pass_on(progress)))
        });
        for progress in asked {
            let told = observe(observer, &progress);
            // The training may have panicked.
            if answer.send(told).is_err() {
                break;
            }
        }
        training.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Trains as [`train`] does, without an observer.
pub fn train_unobserved<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    train(|_: &mut dyn FnMut(&()) -> ControlFlow<()>| work(), &mut |()| ControlFlow::Continue(()))
}

/// Passes the training's progress to the observer on another thread.
struct Report<P> {
    ask: Sender<P>,
    answered: Receiver<ControlFlow<()>>,
}

impl<P: Clone> Report<P> {
    /// Returns the observer's answer; `Break` if the observer panicked.
    fn pass_on(&self, progress: &P) -> ControlFlow<()> {
        match self.ask.send(progress.clone()) {
            Ok(()) => self.answered.recv().unwrap_or(ControlFlow::Break(())),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Calls the observer; trainings that it starts run under the observed training's mutex.
fn observe<P>(observer: &mut dyn FnMut(&P) -> ControlFlow<()>, progress: &P) -> ControlFlow<()> {
    let _role = RoleFor::now(Role::Observes);
    observer(progress)
}

/// Runs work in the training pool, or on this thread if there is no pool.
fn in_training_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if let Some(pool) = &*POOL {
        return pool.install(work);
    }
    let _role = RoleFor::now(Role::Trains);
    work()
}

/// Sets the role of the current thread until it is dropped.
struct RoleFor {
    before: Role,
}

impl RoleFor {
    fn now(role: Role) -> Self {
        Self { before: ROLE.replace(role) }
    }
}

impl Drop for RoleFor {
    fn drop(&mut self) {
        ROLE.set(self.before);
    }
}
