//! What other crates rely on.

use sam_eval::{EvalError, MaskScore, Record, protocol::TestedSlice};

#[test]
fn results_and_errors_cross_threads() {
    fn crosses_threads<T: Send + Sync + 'static>() {}
    crosses_threads::<EvalError>();
    crosses_threads::<MaskScore>();
    crosses_threads::<Record>();
    crosses_threads::<TestedSlice>();
}
