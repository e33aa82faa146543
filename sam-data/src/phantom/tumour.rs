//! Tumours of the synthetic abdomen: lesions in the liver and one tumour of a kidney.

use rand::{Rng, RngExt};

use super::body::{Anatomy, Blob, FAT, KIDNEYS, LESION, LIVER, TUMOUR};

/// HU of a metastasis in the portal venous phase, and of its rim.
const LESION_HU: [f32; 2] = [58.0, 82.0];
/// HU of the necrotic middle of a solid renal tumour, and of the rest, which enhances less than the kidney.
const TUMOUR_HU: [f32; 2] = [40.0, 92.0];
/// Number of random places to try in a bounding box. The organ fills at least a third of the box.
const TRIED: usize = 400;

/// The tumours of one abdomen.
#[derive(Debug, Clone)]
pub(super) struct Tumours {
    lesions: Vec<Blob>,
    tumour: Blob,
}

impl Tumours {
    pub(super) fn draw(anatomy: &Anatomy, rng: &mut dyn Rng) -> Self {
        let count = rng.random_range(2..=4);
        let lesions = (0..count)
            .map(|number| {
                let size = if number == 0 { rng.random_range(0.85..1.1) } else { rng.random_range(0.45..0.8) };
                let place = place(anatomy, &[LIVER], [(0.1, 0.7), (-0.3, 0.4), (0.0, 0.6)], rng);
                Blob::draw(place, [0.12, 0.14, 0.17].map(|radius| radius * size), rng.random_range(0.0..3.0), rng)
            })
            .collect();
        let side = if rng.random_bool(0.5) { (0.26, 0.48) } else { (-0.48, -0.26) };
        let at = place(anatomy, &KIDNEYS, [side, (-0.55, -0.25), (-0.45, -0.05)], rng);
        // Half of the tumour is outside the kidney, in the fat at its side.
        let out = [at[0] + 0.07_f32.copysign(at[0]), at[1], at[2]];
        let tumour = Blob::draw(out, [0.12, 0.14, 0.20], rng.random_range(0.0..3.0), rng);
        Self { lesions, tumour }
    }

    /// Replaces HU and label at a place where a tumour is.
    pub(super) fn over(&self, at: [f32; 3], (hu, label): (f32, u16)) -> (f32, u16) {
        let inner = |body: &Blob, [core, rim]: [f32; 2]| if body.level(at) < 0.6 { core } else { rim };
        if label == LIVER
            && let Some(lesion) = self.lesions.iter().find(|lesion| lesion.contains(at))
        {
            return (inner(lesion, LESION_HU), LESION);
        }
        let is_fat = label == 0 && (hu - FAT).abs() < 40.0;
        if (KIDNEYS.contains(&label) || is_fat) && self.tumour.contains(at) {
            return (inner(&self.tumour, TUMOUR_HU), TUMOUR);
        }
        (hu, label)
    }
}

/// Draws a random place in an organ from a bounding box around it.
fn place(anatomy: &Anatomy, organ: &[u16], sides: [(f32, f32); 3], rng: &mut dyn Rng) -> [f32; 3] {
    let mut last = [0.0; 3];
    for _ in 0..TRIED {
        last = sides.map(|(low, high)| rng.random_range(low..high));
        if organ.contains(&anatomy.tissue(last).1) {
            break;
        }
    }
    last
}
