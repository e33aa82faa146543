//! Configurations that sessions of commit 890622d stored: read, and written with the same names.

use sam_assist::AssistConfig;
use sam_auto::{GeneratorKind, PromptParts, Strategy, TrustConfig, TrustModel};
use serde::{Deserialize, Serialize};

/// The configuration of a round, as sessions store it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoundConfig {
    learning: AssistConfig,
    prompting: Strategy,
    trust: TrustConfig,
}

/// Files that 890622d's types wrote: rounds with seed 7 and 3 ensemble members.
const STORED: [&str; 3] = [
    include_str!("fixtures/round_walk.json"),
    include_str!("fixtures/round_auto.json"),
    include_str!("fixtures/round_together.json"),
];

#[test]
fn stored_rounds_are_read_and_written_alike() -> Result<(), serde_json::Error> {
    for stored in STORED {
        let round: RoundConfig = serde_json::from_str(stored)?;
        assert_eq!(serde_json::to_string(&round)?, stored);
        // The defaults are those of 890622d, too, but the trust model has been fitted since, and no longer are all slices measured.
        let mut trust = TrustConfig::new(7).with_model(TrustModel::by_hand());
        trust.meter.reach = None;
        assert_eq!(round.trust, trust);
        assert_eq!(round.learning, round.prompting.learning(7, 3));
    }
    Ok(())
}

#[test]
fn stored_strategies_are_what_they_were() -> Result<(), serde_json::Error> {
    let [walk, auto, together] =
        STORED.map(|stored| serde_json::from_str::<RoundConfig>(stored).map(|of| of.prompting));
    match walk? {
        Strategy::MaskPropagation(config) => assert_eq!((config.max_distance, config.extraction.seed), (Some(9), 7)),
        other => panic!("{other:?}"),
    }
    for (found, kind, parts) in [
        (auto?, GeneratorKind::Ensemble, PromptParts::BoxMask),
        (together?, GeneratorKind::Sapnet, PromptParts::PointsBoxMask),
    ] {
        let Strategy::Generators(found) = found else { panic!("{found:?}") };
        assert_eq!((found.kind, found.parts, found.config.sapnet.seed), (kind, parts, 7));
        assert!((found.config.gate.threshold - 0.1).abs() < f32::EPSILON);
    }
    Ok(())
}

#[test]
fn new_names_are_read_as_well_and_misspelt_ones_are_not() {
    let new = r#"{"generators":{"kind":"sapnet","parts":"box","points":5,"config":{"extraction":{"points":3}},"clean_up":"nothing"}}"#;
    let Ok(Strategy::Generators(found)) = serde_json::from_str(new) else { panic!("it names every field") };
    assert_eq!(found.config.extraction.points, 3);
    let misspelt = serde_json::from_str::<Strategy>(&new.replace("extraction", "extration"));
    assert!(misspelt.is_err_and(|error| error.to_string().contains("extration")));
}
