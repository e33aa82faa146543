//! Public types can be stored, shared between threads and sent to others; errors work with `?` in any error type.

use sam_annotate::{
    Action, AnnotateConfig, AnnotateError, Annotated, AnnotatedStructure, Annotations, Annotator, AnnotatorBuilder,
    Corrections, DecisionError, Decisions, Event, Expectation, Flex, KeptMasks, LearnedFrom, NextAction, Output, Pace,
    ParseSliceListError, PromptCard, RoundOutcome, RoundStart, SamPredictor, Session, SessionError, SliceList,
    SliceTrust, Start, Weights, WeightsError,
    batch::{
        Batch, BatchError, BatchEvent, BatchSummary, Case, CaseResult, CaseState, Claim, Merged, Outcome,
        ParseShardError, Record, Records, Shard,
    },
    cards::CardError,
    rounds::{Replay, ReplayedRound},
    session::{Header, LineError, LogEntry, PersonSlice, Round, RoundResult, SessionEvent, SessionState},
};
use sam_testing::assert_send_sync;

fn error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn everything_can_be_stored_and_shared() {
    assert_send_sync::<Annotator<Flex>>();
    assert_send_sync::<AnnotatorBuilder<Flex>>();
    assert_send_sync::<(
        AnnotateConfig,
        Annotated,
        AnnotatedStructure,
        Annotations,
        Event,
        Expectation,
        Output,
        SliceList,
        Start,
        Weights,
    )>();
    assert_send_sync::<(Session, Header, LogEntry, PersonSlice, Round, RoundResult<'static>, SessionEvent, SessionState)>(
    );
    assert_send_sync::<BatchEvent<'static, ()>>();
    assert_send_sync::<(Vec<PromptCard>, SamPredictor<Flex>)>();
    assert_send_sync::<(Corrections, Decisions, Replay, ReplayedRound, RoundOutcome, RoundStart)>();
    assert_send_sync::<(Batch<'static, ()>, BatchSummary, Case<()>, Claim, Merged, Outcome, Record, Records, Shard)>();
    assert_send_sync::<(CaseResult, CaseState)>();
    assert_send_sync::<(Action, KeptMasks, LearnedFrom, NextAction, Pace, SliceTrust)>();
    error::<AnnotateError>();
    error::<BatchError>();
    error::<CardError>();
    error::<DecisionError>();
    error::<LineError>();
    error::<SessionError>();
    error::<WeightsError>();
    error::<ParseShardError>();
    error::<ParseSliceListError>();
}
