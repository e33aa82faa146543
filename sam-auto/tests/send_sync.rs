//! Every public type can be stored in a struct that threads share.

use std::sync::Arc;

use sam_auto::{
    AutoError, ClassifierConfig, CleanUp, CoarseConfig, CoarseGenerator, CoarseMethod, ConfigError, ExpectedDice,
    FittedGenerators, FittedStrategy, Gate, GateConfig, Gated, GeneratorConfig, GeneratorKind, GeneratorStrategy,
    LinearClassifier, LinearTrust, MaskPropagationConfig, Measurement, PointGenerator, PointPropagationConfig,
    PromptExtraction, PromptGenerator, PromptParts, RankedSlice, Ranking, Segmentation, SegmentedSlice,
    SegmenterConfig, SharedSegmenter, Signal, SliceScorer, Strategy, TrustConfig, TrustMeter, TrustMeterConfig,
    TrustModel, TrustSignals, VolumeSegmenter, Vote,
};
use sam_testing::{B, assert_send_sync};

#[test]
fn every_type_is_send_and_sync() {
    assert_send_sync::<(
        AutoError,
        ClassifierConfig,
        CleanUp,
        CoarseConfig,
        CoarseGenerator<B>,
        CoarseMethod,
        ConfigError,
        ExpectedDice,
        FittedGenerators<B>,
        FittedStrategy<B>,
        Gate,
        GateConfig,
        Gated<Arc<dyn PromptGenerator<B>>>,
        GeneratorConfig,
        GeneratorKind,
        GeneratorStrategy,
        LinearClassifier<B>,
        LinearTrust,
        MaskPropagationConfig,
        Measurement,
    )>();
    assert_send_sync::<(
        PointGenerator,
        PointPropagationConfig,
        PromptExtraction,
        Box<dyn PromptGenerator<B>>,
        PromptParts,
        RankedSlice,
        Ranking,
        Segmentation,
        SegmentedSlice,
        SegmenterConfig,
        SharedSegmenter<B>,
        Signal,
        SliceScorer,
        Strategy,
        TrustConfig,
        TrustMeter<B>,
        TrustMeterConfig,
        TrustModel,
        TrustSignals,
        VolumeSegmenter<B>,
        Vote,
    )>();
}
