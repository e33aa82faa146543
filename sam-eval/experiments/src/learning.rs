//! The learning configs for each kind of test prompts.

use sam_assist::AssistConfig;
use sam_auto::PromptParts;
use sam_eval::protocol::TestPrompt;
use sam_prompt::{PromptKind, SamplingScheme};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Context, Result};

/// The learning configs for each kind of test prompts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearningConfigs {
    /// For tests with points, and with clicks and no box.
    pub points: AssistConfig,
    /// For tests with boxes.
    pub boxes: AssistConfig,
    /// For tests with boxes and points. Learning draws both at once, as in the paper, even if the test gives them one after another.
    pub composite: AssistConfig,
}

impl Default for LearningConfigs {
    fn default() -> Self {
        Self { points: AssistConfig::points(), boxes: AssistConfig::boxes(), composite: AssistConfig::composite() }
    }
}

impl LearningConfigs {
    /// These configs with points drawn by `sampling`, and with the [`AssistConfig`] fields of a JSON object replaced.
    ///
    /// # Errors
    /// If the text is not such an object, has a field that [`AssistConfig`] does not have, or holds a value that is out of range.
    pub fn with(self, sampling: SamplingScheme, changes: &str) -> Result<Self> {
        let fields: Map<String, Value> = serde_json::from_str(changes).step(|| {
            format!(
                "reading the learning's config: expected a JSON object such as {{\"iterations\": 60}}, found {changes}"
            )
        })?;
        let with_fields = |config: AssistConfig| -> Result<AssistConfig> {
            let mut config = serde_json::to_value(config.with_sampling(sampling))?;
            // Fields that are not set are not in the JSON, so serde tells which there are.
            for (name, value) in &fields {
                config[name] = value.clone();
            }
            let config: AssistConfig =
                serde_json::from_value(config).step(|| "reading the learning's config".to_owned())?;
            config.check()?;
            Ok(config)
        };
        Ok(Self {
            points: with_fields(self.points)?,
            boxes: with_fields(self.boxes)?,
            composite: with_fields(self.composite)?,
        })
    }

    /// The learning config for prompts that generators extract. No learning draws mask prompts.
    pub fn of_parts(&self, parts: PromptParts) -> &AssistConfig {
        match parts {
            PromptParts::Points => &self.points,
            PromptParts::PointsBoxMask => &self.composite,
            _ => &self.boxes,
        }
    }

    /// Each learning config with its test prompts; configs without a prompt are left out.
    pub(crate) fn by_kind<'a>(&'a self, prompts: &[TestPrompt]) -> Vec<(&'a AssistConfig, Vec<TestPrompt>)> {
        let config = |prompt: TestPrompt| match prompt {
            TestPrompt::Once(PromptKind::Points(_)) | TestPrompt::Clicks(_) => &self.points,
            TestPrompt::Once(PromptKind::Box) => &self.boxes,
            // Boxes with points, and any other prompt that combines both.
            _ => &self.composite,
        };
        let asking = |wanted: &'a AssistConfig| {
            let prompts = prompts.iter().copied().filter(|&prompt| std::ptr::eq(config(prompt), wanted));
            (wanted, prompts.collect::<Vec<_>>())
        };
        let kinds = [&self.points, &self.boxes, &self.composite].map(asking);
        kinds.into_iter().filter(|(_, prompts)| !prompts.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_learning_can_be_changed_by_name() {
        let learning = LearningConfigs::default().with(SamplingScheme::Center, "{\"iterations\": 7}").expect("a field");
        assert_eq!((learning.boxes.iterations, learning.boxes.sampling), (7, SamplingScheme::Center));
        assert_eq!(learning.points.schedule, AssistConfig::points().schedule);
        let corrective = "{\"corrective\": {\"every\": 2}}";
        let learning =
            LearningConfigs::default().with(SamplingScheme::Uniform, corrective).expect("a field that is not set");
        assert_eq!(learning.points.corrective.map(|clicks| clicks.every), Some(2));
        for (changes, part) in [
            ("7", "JSON object"),
            ("{\"iteration\": 7}", "unknown field `iteration`"),
            ("{\"iterations\": -1}", "reading the learning's config"),
            ("{\"slices_per_step\": 0}", "slices_per_step"),
        ] {
            let error =
                LearningConfigs::default().with(SamplingScheme::Uniform, changes).expect_err("it makes no sense");
            let error = format!("{:#}", anyhow::Error::from(error));
            assert!(error.contains(part), "{error}");
        }
    }
}
