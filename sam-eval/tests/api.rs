//! Public types are `Send` and `Sync`.

use sam_eval::{EvalError, MaskScore, Record, protocol::TestedSlice};
use sam_testing::assert_send_sync;

#[test]
fn results_and_errors_cross_threads() {
    assert_send_sync::<(EvalError, MaskScore, Record, TestedSlice)>();
}
