//! What the desk names as the next action.

use sam_annotate::Action;

use super::*;

#[test]
fn the_least_trusted_slice_without_a_decision_comes_next() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut desk = scratch.in_memory()?;
    assert_eq!(desk.overview().next, None, "nothing is known of any slice");
    let trusted = |(slice, trust)| RankedSlice::new(slice, trust).with_reason(Some("jump".to_owned()));
    let ranked = [(2, Some(0.25)), (0, Some(0.5)), (3, Some(0.96)), (1, None)].map(trusted);
    desk.case.ranking = Ranking::new(ranked.into(), 4)?;
    let next = |desk: &ScanDesk| desk.overview().next.map(|next| (next.action, next.slice.index));
    assert_eq!(next(&desk), Some((Action::Outline, 2)), "no mask is there");
    desk.decide(2, Decision::Reject)?;
    assert_eq!(next(&desk), Some((Action::Correct, 0)));
    desk.decide(0, Decision::Accept)?;
    assert_eq!(next(&desk), Some((Action::Accept, 3)));
    desk.decide(3, Decision::Empty)?;
    assert_eq!(next(&desk), None);
    desk.undo()?;
    assert_eq!(next(&desk), Some((Action::Accept, 3)));
    Ok(())
}
