//! Every public type can be stored in a struct that threads share.

use std::sync::Arc;

use burn_flex::Flex;
use sam_auto::{
    Agreement, AutoError, ClassifierConfig, CleanUp, CoarseConfig, CoarseGenerator, CoarseMethod, ConfigError,
    FittedGenerators, FittedStrategy, Gate, GateConfig, Gated, GeneratorConfig, GeneratorKind, GeneratorStrategy,
    LinearClassifier, LinearTrust, MaskPropagationConfig, Measurement, PointGenerator, PointPropagationConfig,
    PromptExtraction, PromptGenerator, PromptParts, RankedSlice, Ranking, Segmentation, SegmentedSlice,
    SegmenterConfig, SharedSegmenter, Signal, Strategy, TrustConfig, TrustMeter, TrustMeterConfig, TrustModel,
    TrustSignals, VolumeSegmenter, Vote,
};

fn assert_send_sync<T: Send + Sync + 'static>() {}

#[test]
fn every_type_is_send_and_sync() {
    assert_send_sync::<Agreement>();
    assert_send_sync::<AutoError>();
    assert_send_sync::<ClassifierConfig>();
    assert_send_sync::<CleanUp>();
    assert_send_sync::<CoarseConfig>();
    assert_send_sync::<CoarseGenerator<Flex>>();
    assert_send_sync::<CoarseMethod>();
    assert_send_sync::<ConfigError>();
    assert_send_sync::<FittedGenerators<Flex>>();
    assert_send_sync::<FittedStrategy<Flex>>();
    assert_send_sync::<Gate>();
    assert_send_sync::<GateConfig>();
    assert_send_sync::<Gated<Arc<dyn PromptGenerator<Flex>>>>();
    assert_send_sync::<GeneratorConfig>();
    assert_send_sync::<GeneratorKind>();
    assert_send_sync::<GeneratorStrategy>();
    assert_send_sync::<LinearClassifier<Flex>>();
    assert_send_sync::<LinearTrust>();
    assert_send_sync::<MaskPropagationConfig>();
    assert_send_sync::<Measurement>();
    assert_send_sync::<PointGenerator>();
    assert_send_sync::<PointPropagationConfig>();
    assert_send_sync::<PromptExtraction>();
    assert_send_sync::<Box<dyn PromptGenerator<Flex>>>();
    assert_send_sync::<PromptParts>();
    assert_send_sync::<RankedSlice>();
    assert_send_sync::<Ranking>();
    assert_send_sync::<Segmentation>();
    assert_send_sync::<SegmentedSlice>();
    assert_send_sync::<SegmenterConfig>();
    assert_send_sync::<SharedSegmenter<Flex>>();
    assert_send_sync::<Signal>();
    assert_send_sync::<Strategy>();
    assert_send_sync::<TrustConfig>();
    assert_send_sync::<TrustMeter<Flex>>();
    assert_send_sync::<TrustMeterConfig>();
    assert_send_sync::<TrustModel>();
    assert_send_sync::<TrustSignals>();
    assert_send_sync::<VolumeSegmenter<Flex>>();
    assert_send_sync::<Vote>();
}
