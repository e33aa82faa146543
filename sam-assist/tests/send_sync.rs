//! Every public type can be stored in a struct that threads share.

use sam_assist::{
    Adaptation, AnnotatedSlice, AssistConfig, AssistError, CardMetadata, ConfigError, ContentError, EarlyStopping,
    FrozenDecoder, Learned, LearnedKind, Learner, LowRankAdapters, Member, MultiClass, PromptCard, Schedule, SelfCheck,
    StepSeconds, Trained, TrainingSlices,
};
use sam_testing::{B, assert_send_sync};

#[test]
fn every_type_is_send_and_sync() {
    assert_send_sync::<(
        Adaptation<B>,
        AnnotatedSlice<B>,
        AssistConfig,
        AssistError,
        CardMetadata,
        ConfigError,
        ContentError,
        EarlyStopping,
        FrozenDecoder<B>,
        Learned<B>,
        LearnedKind,
        Learner<B>,
        LowRankAdapters<B>,
        Member<B>,
        MultiClass<B>,
        PromptCard,
        Schedule,
        SelfCheck,
        StepSeconds,
        Trained,
        TrainingSlices,
    )>();
}
