//! What is learned for tests with each kind of prompts.

use anyhow::{Context, Result};
use sam_assist::AssistConfig;
use sam_eval::protocol::TestPrompt;
use sam_prompt::{PromptKind, SamplingScheme};
use serde::Serialize;
use serde_json::{Map, Value};

/// What is learned for tests with each kind of prompts.
#[derive(Debug, Clone, Serialize)]
pub struct Learning {
    /// For points, and for clicks without a box.
    pub points: AssistConfig,
    /// For boxes.
    pub boxes: AssistConfig,
    /// For boxes with points: drawn together in learning, as in the paper, however the test gives them.
    pub composite: AssistConfig,
}

impl Default for Learning {
    fn default() -> Self {
        Self { points: AssistConfig::points(), boxes: AssistConfig::boxes(), composite: AssistConfig::composite() }
    }
}

impl Learning {
    /// The same with points drawn in another way, and with other numbers, given as a JSON object of [`AssistConfig`]'s fields.
    ///
    /// # Errors
    /// If the text is no such object, names no field of it, or holds numbers that make no sense.
    pub fn with(self, sampling: SamplingScheme, numbers: &str) -> Result<Self> {
        let numbers: Map<String, Value> = serde_json::from_str(numbers)
            .with_context(|| format!("expected a JSON object such as {{\"iterations\": 60}}, found {numbers}"))?;
        let changed = |config: AssistConfig| -> Result<AssistConfig> {
            let mut fields = serde_json::to_value(AssistConfig { sampling, ..config })?;
            for (name, value) in &numbers {
                let field = fields.get_mut(name).with_context(|| format!("the learning has no number \"{name}\""))?;
                *field = value.clone();
            }
            let config: AssistConfig = serde_json::from_value(fields).context("cannot read the learning's numbers")?;
            config.check()?;
            Ok(config)
        };
        Ok(Self { points: changed(self.points)?, boxes: changed(self.boxes)?, composite: changed(self.composite)? })
    }

    /// Prompts with what is learned for them; kinds that no prompt asks for are left out.
    pub(crate) fn by_kind<'a>(&'a self, prompts: &[TestPrompt]) -> Vec<(&'a AssistConfig, Vec<TestPrompt>)> {
        let config = |prompt: TestPrompt| match prompt {
            TestPrompt::Once(PromptKind::Points(_)) | TestPrompt::Clicks(_) => &self.points,
            TestPrompt::Once(PromptKind::Box) => &self.boxes,
            TestPrompt::Once(PromptKind::BoxAndPoints(_)) | TestPrompt::Active(_) => &self.composite,
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
    fn numbers_of_the_learning_can_be_changed_by_name() {
        let learning = Learning::default().with(SamplingScheme::Center, "{\"iterations\": 7}").expect("a field");
        assert_eq!((learning.boxes.iterations, learning.boxes.sampling), (7, SamplingScheme::Center));
        assert_eq!(learning.points.schedule, AssistConfig::points().schedule);
        for (changes, part) in [
            ("7", "JSON object"),
            ("{\"iteration\": 7}", "no number \"iteration\""),
            ("{\"iterations\": -1}", "cannot read"),
            ("{\"slices_per_step\": 0}", "slices_per_step"),
        ] {
            let error = Learning::default().with(SamplingScheme::Uniform, changes).expect_err("it makes no sense");
            assert!(format!("{error:#}").contains(part), "{error:#}");
        }
    }
}
