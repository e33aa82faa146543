//! Every public type can be stored in a struct that threads share.

use burn_flex::Flex;
use sam_assist::{
    Adaptation, AnnotatedSlice, AssistConfig, AssistError, CardMetadata, ConfigError, ContentError, EarlyStopping,
    FrozenDecoder, Learned, LearnedKind, Learner, LowRankAdapters, Member, MultiClass, PromptCard, Schedule, SelfCheck,
    Timing, Trained, TrainingSlices,
};

fn assert_send_sync<T: Send + Sync + 'static>() {}

#[test]
fn every_type_is_send_and_sync() {
    assert_send_sync::<Adaptation<Flex>>();
    assert_send_sync::<AnnotatedSlice<Flex>>();
    assert_send_sync::<AssistConfig>();
    assert_send_sync::<AssistError>();
    assert_send_sync::<CardMetadata>();
    assert_send_sync::<ConfigError>();
    assert_send_sync::<ContentError>();
    assert_send_sync::<EarlyStopping>();
    assert_send_sync::<FrozenDecoder<Flex>>();
    assert_send_sync::<Learned<Flex>>();
    assert_send_sync::<LearnedKind>();
    assert_send_sync::<Learner<Flex>>();
    assert_send_sync::<LowRankAdapters<Flex>>();
    assert_send_sync::<Member<Flex>>();
    assert_send_sync::<MultiClass<Flex>>();
    assert_send_sync::<PromptCard>();
    assert_send_sync::<Schedule>();
    assert_send_sync::<SelfCheck>();
    assert_send_sync::<Timing>();
    assert_send_sync::<Trained>();
    assert_send_sync::<TrainingSlices>();
}
