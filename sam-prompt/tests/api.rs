//! API guarantees for other crates: samplers and errors are thread-safe, and errors show each cause once.

use std::error::Error;

use sam_prompt::{DocumentError, PointSampler, PromptDocument, PromptError, Replacement, SamplingScheme};
use sam_testing::assert_send_sync;

#[test]
fn samplers_and_errors_cross_threads() {
    assert_send_sync::<(Box<dyn PointSampler>, PromptError, DocumentError)>();
    let sampler = SamplingScheme::Boundary.sampler(Replacement::With);
    assert_eq!(format!("{sampler:?}"), "Boundary { width: 2.0, replacement: true }");
}

#[test]
fn no_error_repeats_its_cause() {
    let nan = r#"{"version":1,"prompts":{"millimetres":{"objects":[{"name":"liver","lassos":[{"path":[]}]}]}}}"#;
    for text in ["{", nan] {
        let error = PromptDocument::from_json(text).expect_err("it is invalid");
        let cause = error.source().expect("a cause").to_string();
        assert!(!error.to_string().contains(&cause), "{error}");
    }
}
