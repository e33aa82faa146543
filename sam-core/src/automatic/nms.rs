//! Non-maximum suppression.

use sam_prompt::BoundingBox;

/// Indices of the boxes that overlap no better box by an IoU above `threshold`, best first. Of boxes with equal scores, the first is
/// better.
///
/// Source: torchvision's `nms`.
///
/// # Panics
/// If the numbers of scores and boxes differ.
pub fn non_maximum_suppression(boxes: &[BoundingBox], scores: &[f32], threshold: f32) -> Vec<usize> {
    assert_eq!(boxes.len(), scores.len(), "each box has its score");
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut kept: Vec<usize> = Vec::new();
    for candidate in order {
        // Two boxes without area have an IoU of NaN, which is not above the threshold.
        if !kept.iter().any(|&better| iou(&boxes[better], &boxes[candidate]) > threshold) {
            kept.push(candidate);
        }
    }
    kept
}

/// Intersection over union of two boxes.
fn iou(a: &BoundingBox, b: &BoundingBox) -> f32 {
    let area = |of: &BoundingBox| (of.x_max - of.x_min) * (of.y_max - of.y_min);
    let width = (a.x_max.min(b.x_max) - a.x_min.max(b.x_min)).max(0.0);
    let height = (a.y_max.min(b.y_max) - a.y_min.max(b.y_min)).max(0.0);
    let intersection = width * height;
    intersection / (area(a) + area(b) - intersection)
}
