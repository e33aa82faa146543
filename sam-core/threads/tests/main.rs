//! Trainings at once, from everywhere.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
    time::Duration,
};

use sam_threads::{in_embedding_pool, in_pool, is_training, train, train_unobserved};

/// What burn-autodiff's graphs are: locked while their operations wait for the pool.
static GRAPH: Mutex<usize> = Mutex::new(0);

const STEPS: usize = 30;

/// A training: its operations are spread over the pool under a lock that all trainings share.
fn training(report: &mut dyn FnMut(&usize) -> ControlFlow<()>) -> usize {
    for step in 1..=STEPS {
        {
            let mut graph = GRAPH.lock().expect("no training panics while it holds the graph");
            *graph += sum(0, 4000);
        }
        if report(&step).is_break() {
            return step;
        }
    }
    STEPS
}

/// An operation that is cut into small jobs.
fn sum(from: usize, to: usize) -> usize {
    if to - from < 20 {
        return (from..to).map(|value| value % 7).sum();
    }
    let middle = from.midpoint(to);
    let (low, high) = rayon::join(|| sum(from, middle), || sum(middle, to));
    low + high
}

/// Fails loudly instead of hanging.
fn within_a_minute(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = channel();
    thread::spawn(move || {
        work();
        done.send(())
    });
    wait.recv_timeout(Duration::from_mins(1)).expect("deadlock: the trainings did not end within a minute");
}

fn watched() -> (usize, usize) {
    let mut seen = 0;
    let steps = train(training, &mut |_: &usize| {
        seen += 1;
        ControlFlow::Continue(())
    });
    (steps, seen)
}

#[test]
fn trainings_at_once_from_workers_of_the_global_pool_end() {
    within_a_minute(|| {
        let ended = AtomicUsize::new(0);
        rayon::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|_| {
                    // Jobs of the global pool beside the trainings.
                    sum(0, 4000);
                    assert_eq!(watched(), (STEPS, STEPS));
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(ended.into_inner(), 16);
    });
}

#[test]
fn trainings_at_once_from_plain_threads_end() {
    within_a_minute(|| {
        thread::scope(|scope| {
            for number in 0..8 {
                scope.spawn(move || {
                    let found = if number % 2 == 0 { watched() } else { in_pool(watched) };
                    assert_eq!(found, (STEPS, STEPS));
                });
            }
        });
    });
}

#[test]
fn a_training_within_a_training_runs_at_once() {
    within_a_minute(|| {
        let nested = train(
            |report: &mut dyn FnMut(&usize) -> ControlFlow<()>| {
                assert!(is_training());
                let inner = train(training, report);
                let (left, right) = rayon::join(is_training, is_training);
                (inner, left && right)
            },
            &mut |_| ControlFlow::Continue(()),
        );
        assert_eq!(nested, (STEPS, true));
        assert!(!is_training());
    });
}

#[test]
fn an_observer_may_train() {
    within_a_minute(|| {
        let mut inner = Vec::new();
        let steps = train(training, &mut |step: &usize| {
            inner.push(watched());
            if *step == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((steps, inner), (2, vec![(STEPS, STEPS); 2]));
    });
}

#[test]
fn one_training_runs_at_a_time() {
    within_a_minute(|| {
        let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    train(
                        |_| {
                            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                            thread::sleep(Duration::from_millis(5));
                            running.fetch_sub(1, Ordering::SeqCst);
                        },
                        &mut |(): &()| ControlFlow::Continue(()),
                    );
                });
            }
        });
        assert_eq!(most.into_inner(), 1);
        assert!(train_unobserved(is_training) && !is_training());
    });
}

#[test]
fn panics_are_passed_on_and_the_next_training_runs() {
    within_a_minute(|| {
        let work = catch_unwind(|| train(|_| panic!("of the work"), &mut |(): &()| ControlFlow::Continue(())));
        assert_eq!(work.map_err(|panic| panic.downcast_ref::<&str>().copied()), Err::<(), _>(Some("of the work")));
        let mut steps = 0;
        let observed = catch_unwind(AssertUnwindSafe(|| {
            train(training, &mut |step: &usize| {
                steps = *step;
                panic!("of the observer")
            })
        }));
        assert_eq!((observed.is_err(), steps), (true, 1));
        assert_eq!(watched(), (STEPS, STEPS));
    });
}

#[test]
fn work_is_done_inside_a_pool() {
    assert_eq!(rayon::current_thread_index(), None);
    assert!(in_pool(|| rayon::current_thread_index().is_some()));
    let name = in_embedding_pool(|| thread::current().name().map(str::to_owned));
    assert!(name.is_some_and(|name| name.starts_with("sam-embed-")));
    assert!(!in_embedding_pool(is_training));
}
