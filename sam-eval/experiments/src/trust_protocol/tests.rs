use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use burn_flex::Flex;
use sam_auto::{CoarseMethod, Signal, TrustModel};
use sam_data::SliceAxis;
use sam_eval::protocol::FewSlices;
use sam_prompt::SliceSelection;
use sam_testing::tiny;
use sam_threads::in_pool;
use sapnet::SapNetConfig;

use super::*;
use crate::{CaseSelection, DataSource, Event, ExperimentError, Setup};

fn trials() -> Result<TrialConfig> {
    let data = DataSource::phantom("spinal-cord".parse()?).with_structures(Some("spinal cord=1+2".to_owned()));
    Ok(TrialConfig {
        cases: CaseSelection::new(data, SliceAxis::Auto),
        slices: FewSlices {
            annotated: vec![3],
            annotated_empty: 0,
            tested: 0,
            tested_empty: 0,
            selection: SliceSelection::Normal,
        },
        seeds: vec![0],
    })
}

/// The default, with few iterations.
fn config() -> AnnotateConfig {
    let mut config = AnnotateConfig::default();
    config.learning.iterations = 2;
    config.trust.meter.jittered = 1;
    config.trust.coarse.method = CoarseMethod::Sapnet(SapNetConfig::default().with_iterations(2));
    config
}

fn protocol() -> Result<TrustProtocol> {
    Ok(TrustProtocol { trials: trials()?, outlines: OutlineSelection::Spread, config: config() })
}

/// A small model of random weights.
fn setup() -> Setup<Flex> {
    Setup::new(tiny::random())
}

#[test]
fn every_slice_that_is_not_outlined_is_measured() -> Result<()> {
    let protocol = protocol()?;
    let measured = in_pool(|| protocol.run(&setup()))?;
    let [volume] = &measured[..] else { panic!("one trial") };
    assert_eq!((volume.outlines, volume.slices.len()), (3, 11));
    assert!(volume.slices.iter().any(|slice| slice.signals.found() && slice.signals.get(Signal::Agreement) < 1.0));
    Ok(())
}

#[test]
fn slices_are_outlined_one_after_another() -> Result<()> {
    let protocol =
        ActiveLearning { trials: trials()?, config: config(), first: 1, reach: 4.0, model: TrustModel::default() };
    let curves = in_pool(|| protocol.run(&setup()))?;
    let [random, suggested] = &curves[..] else { panic!("two strategies") };
    assert_eq!((random.strategy, suggested.strategy), (QueryStrategy::Random, QueryStrategy::Suggested));
    assert_eq!(random.dice.iter().map(|&(count, _)| count).collect::<Vec<_>>(), [1, 2, 3]);
    // Both begin with the same slice; on this phantom every slice shows the cord.
    assert_eq!((random.outlined[0], random.dice[0]), (suggested.outlined[0], suggested.dice[0]));
    assert_eq!((random.outlined.len(), suggested.outlined.len()), (3, 3));
    Ok(())
}

/// Runs the protocol, stopped at the given event, and counts the events.
fn run_until(protocol: &TrustProtocol, last: usize) -> (Result<Vec<MeasuredVolume>>, usize) {
    let events = Arc::new(AtomicUsize::new(0));
    let counted = events.clone();
    let observer = move |_: &Event| {
        let event = 1 + counted.fetch_add(1, Ordering::Relaxed);
        if event == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let outcome = in_pool(|| protocol.run(&setup().with_observer(observer)));
    (outcome, events.load(Ordering::Relaxed))
}

#[test]
fn an_observer_stops_the_work_at_any_event() -> Result<()> {
    let protocol = protocol()?;
    let (complete, count) = run_until(&protocol, usize::MAX);
    assert!(complete.is_ok() && count > 20, "{count} events");
    for last in [1, 2, count / 2, count] {
        let (stopped, events) = run_until(&protocol, last);
        assert!(matches!(stopped, Err(ExperimentError::Stopped)), "at event {last} of {count}: {stopped:?}");
        assert!(events <= last + 1, "{events} events after it was stopped at {last}");
    }
    Ok(())
}
