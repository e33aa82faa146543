//! Trainings on several threads take turns, and none deadlocks.

use std::{
    ops::ControlFlow,
    sync::{Barrier, Mutex, mpsc::channel},
    thread,
    time::Duration,
};

use sam_assist::{AssistConfig, learn, self_check};
use sam_prompt::progress::{Progress, ignore_progress};
use sam_testing::TestResult;

use crate::common::{predictor, slices};

/// Far longer than the trainings take on a busy machine.
const DEADLINE: Duration = Duration::from_mins(5);

/// Runs work on another thread. Returns an error if it does not finish in time.
fn in_time(work: impl FnOnce() + Send + 'static) -> TestResult {
    let (finished, waiting) = channel();
    thread::spawn(move || {
        work();
        let _ = finished.send(());
    });
    waiting
        .recv_timeout(DEADLINE)
        .map_err(|error| format!("the trainings wait for each other, or failed: {error}").into())
}

#[test]
fn two_trainings_at_once_finish_with_the_results_of_one_after_the_other() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 3)?;
    let losses = {
        let (predictor, slices) = (predictor.clone(), slices.clone());
        move |seed: u64| {
            let config = AssistConfig::mixed().with_iterations(8).with_seed(seed);
            learn(&predictor, &slices, &config, &mut ignore_progress()).expect("it does not diverge").losses
        }
    };
    let expected = [losses(1), losses(2)];
    in_time(move || {
        let found = thread::scope(|scope| {
            let both = [1, 2].map(|seed| {
                scope.spawn({
                    let losses = &losses;
                    move || losses(seed)
                })
            });
            both.map(|training| training.join().expect("it does not panic"))
        });
        assert_eq!(found, expected);
    })?;
    // A self-check trains, too.
    in_time(move || {
        thread::scope(|scope| {
            for kind in [AssistConfig::points(), AssistConfig::boxes()] {
                let (predictor, slices, config) = (&predictor, &slices, kind.with_iterations(2));
                scope.spawn(move || {
                    self_check(predictor, slices, &config, &mut ignore_progress()).expect("three slices")
                });
            }
        });
    })
}

/// Without mutual exclusion, the other training would report while the first one's observer sleeps.
#[test]
fn two_trainings_at_once_take_turns() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 2)?;
    in_time(move || {
        let (together, reports) = (Barrier::new(2), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for seed in [1, 2] {
                let (predictor, slices, together, reports) = (&predictor, &slices, &together, &reports);
                scope.spawn(move || {
                    let config = AssistConfig::points().with_iterations(4).with_seed(seed);
                    let mut report = |_: &Progress| {
                        let mut reports = reports.lock().expect("no observer panics");
                        reports.push(seed);
                        let is_first = reports.len() == 1;
                        drop(reports);
                        if is_first {
                            thread::sleep(Duration::from_secs(1));
                        }
                        ControlFlow::Continue(())
                    };
                    together.wait();
                    learn(predictor, slices, &config, &mut report).expect("it does not diverge");
                });
            }
        });
        let reports = reports.into_inner().expect("no observer panics");
        let (first, second) = (reports[0], 3 - reports[0]);
        assert_eq!(reports, [[first; 4], [second; 4]].concat());
    })
}

/// Without mutual exclusion, a worker that waits for a part of one training would start another one and deadlock.
#[test]
fn more_trainings_than_workers_finish() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 2)?;
    in_time(move || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
        let ended = Mutex::new(0);
        pool.scope(|scope| {
            for seed in 0..6 {
                let (predictor, slices, ended) = (&predictor, &slices, &ended);
                scope.spawn(move |_| {
                    let config = AssistConfig::points().with_iterations(4).with_seed(seed);
                    learn(predictor, slices, &config, &mut ignore_progress()).expect("it does not diverge");
                    *ended.lock().expect("no training panics") += 1;
                });
            }
        });
        assert_eq!(ended.into_inner().expect("no training panics"), 6);
    })
}

#[test]
fn trainings_on_the_workers_of_one_pool_finish() -> TestResult {
    let predictor = predictor();
    let slices = slices(&predictor, 2)?;
    in_time(move || {
        let train = |seed: u64| {
            let config = AssistConfig::points().with_iterations(8).with_seed(seed);
            learn(&predictor, &slices, &config, &mut ignore_progress()).expect("it does not diverge").losses
        };
        let (one, other) = rayon::join(|| train(1), || train(2));
        assert_eq!((one.len(), other.len()), (8, 8));
    })
}
