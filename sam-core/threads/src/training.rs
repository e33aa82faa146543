//! One training at a time, in a pool of its own.

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

/// Held by the one training that runs. Only plain threads wait for it.
static TURN: Mutex<()> = Mutex::new(());

/// The pool of trainings; `None` if its threads could not be started.
static POOL: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    ThreadPoolBuilder::new()
        .thread_name(|index| format!("sam-train-{index}"))
        .start_handler(|_| ROLE.set(Role::Trains))
        .build()
        .ok()
});

/// What a thread has to do with a training.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Nothing.
    Other,
    /// It runs a training.
    Trains,
    /// It runs the observer of a training, which waits for the answer.
    Observes,
}

thread_local! {
    static ROLE: Cell<Role> = const { Cell::new(Role::Other) };
}

/// Whether the current thread runs a training: [`train`] would do its work at once.
pub fn is_training() -> bool {
    ROLE.get() == Role::Trains
}

/// Trains a model: alone, and in the training pool. Waits until no other training of this process runs.
///
/// `work` gets a function that passes progress on to `observer`, and tells what the observer answers: `Break` if the work should
/// stop. The observer runs on the caller's thread, so it need not be `Send`. It must not wait for another thread's training.
///
/// A call from within a training runs at once, as a part of it. [The crate's documentation](crate) says why two trainings at once
/// cannot deadlock.
///
/// # Panics
/// If the work or the observer does.
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
    // The training that is observed waits for this one: its turn is this one's.
    let has_turn = ROLE.get() == Role::Observes;
    let (ask, asked) = channel();
    let (answer, answered) = channel();
    let report = Report { ask, answered };
    thread::scope(|scope| {
        // Moved in here, so that both ends are gone before a panic of the observer waits for the training.
        let (asked, answer): (Receiver<P>, Sender<ControlFlow<()>>) = (asked, answer);
        let training = scope.spawn(move || {
            let _turn = (!has_turn).then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner));
            in_training_pool(move || work(&mut |progress| report.pass_on(progress)))
        });
        for progress in asked {
            let told = observe(observer, &progress);
            // Whoever trains may have panicked.
            if answer.send(told).is_err() {
                break;
            }
        }
        training.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// The training's way to its observer on another thread.
struct Report<P> {
    ask: Sender<P>,
    answered: Receiver<ControlFlow<()>>,
}

impl<P: Clone> Report<P> {
    /// What the observer says; an observer that panicked wants no more.
    fn pass_on(&self, progress: &P) -> ControlFlow<()> {
        match self.ask.send(progress.clone()) {
            Ok(()) => self.answered.recv().unwrap_or(ControlFlow::Break(())),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Asks the observer; trainings that it starts have the turn.
fn observe<P>(observer: &mut dyn FnMut(&P) -> ControlFlow<()>, progress: &P) -> ControlFlow<()> {
    let _role = RoleFor::now(Role::Observes);
    observer(progress)
}

/// Does work in the training pool, or right here if there is none.
fn in_training_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if let Some(pool) = &*POOL {
        return pool.install(work);
    }
    let _role = RoleFor::now(Role::Trains);
    work()
}

/// A role for as long as this lives.
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
