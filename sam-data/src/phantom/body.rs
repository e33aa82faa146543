//! The anatomy of the synthetic abdomen.
//!
//! Coordinates are from -1 to 1: x to the patient's right, y to the front, z to the head.

use rand::{Rng, RngExt};

/// Label value, name and HU of each organ, in the portal venous phase.
const ORGANS: [(u16, &str, f32); 6] = [
    (1, "liver", 105.0),
    (2, "spleen", 118.0),
    (3, "right kidney", 165.0),
    (4, "left kidney", 165.0),
    (5, "aorta", 150.0),
    (6, "stomach", 28.0),
];

const AIR: f32 = -1000.0;
const GAS: f32 = -850.0;
pub(super) const FAT: f32 = -100.0;
const MUSCLE: f32 = 58.0;
const BONE: f32 = 420.0;
const MARROW: f32 = 190.0;
const BOWEL: f32 = 42.0;
const VESSEL: f32 = 155.0;
const LUNG: f32 = -840.0;
const HEART: f32 = 135.0;

/// Label values of organs with tumours, and of the tumours.
pub(super) const LIVER: u16 = 1;
pub(super) const KIDNEYS: [u16; 2] = [3, 4];
pub(super) const LESION: u16 = 7;
pub(super) const TUMOUR: u16 = 8;

/// The label table of the phantom.
pub(super) fn names(tumours: bool) -> impl Iterator<Item = (u16, String)> {
    let tumours = [(LESION, "liver lesion"), (TUMOUR, "kidney tumour")].into_iter().filter(move |_| tumours);
    let organs = ORGANS.into_iter().map(|(value, name, _)| (value, name));
    organs.chain(tumours).map(|(value, name)| (value, name.to_owned()))
}

/// A smooth function of height: a sum of sine waves.
#[derive(Debug, Clone)]
pub(super) struct Wave([(f32, f32, f32); 3]);

impl Wave {
    pub(super) fn draw(amplitude: f32, rng: &mut dyn Rng) -> Self {
        Self([1.0, 2.0, 3.5].map(|frequency| {
            (
                amplitude * rng.random_range(-1.0..1.0) / frequency,
                frequency,
                rng.random_range(0.0..std::f32::consts::TAU),
            )
        }))
    }

    pub(super) fn at(&self, z: f32) -> f32 {
        self.0.iter().map(|&(amplitude, frequency, phase)| amplitude * (2.0 * frequency * z + phase).sin()).sum()
    }
}

/// A superellipsoid whose centre and width vary with height.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    centre: [f32; 3],
    radii: [f32; 3],
    /// Rotation within the slice, in radians.
    turn: f32,
    /// The exponent within the slice: 2 for an ellipsoid, larger for a more box-like body.
    exponent: f32,
    /// The exponent along the height; a large one makes a tube.
    taper: f32,
    sway: [Wave; 2],
    swell: Wave,
    /// Bumps of the outline: number, strength and phase.
    lobes: (f32, f32, f32),
}

impl Blob {
    pub(super) fn draw(centre: [f32; 3], radii: [f32; 3], turn: f32, rng: &mut dyn Rng) -> Self {
        let mut near = |value: f32, spread: f32| value + rng.random_range(-spread..spread);
        let centre = centre.map(|place| near(place, 0.025));
        let radii = radii.map(|radius| radius * near(1.0, 0.08));
        let turn = near(turn, 0.15);
        let exponent = rng.random_range(2.0..2.6);
        Self {
            centre,
            radii,
            turn,
            exponent,
            taper: exponent,
            sway: [Wave::draw(0.035, rng), Wave::draw(0.035, rng)],
            swell: Wave::draw(0.10, rng),
            lobes: (rng.random_range(2.0_f32..4.0).round(), rng.random_range(0.02..0.07), rng.random_range(0.0..6.0)),
        }
    }

    /// This body, with ends as wide as its middle.
    fn tube(self) -> Self {
        Self { taper: 8.0, ..self }
    }

    /// The implicit function of the body: less than 1 inside, 1 at the surface.
    pub(super) fn level(&self, at: [f32; 3]) -> f32 {
        let height = at[2];
        let across = [0, 1].map(|axis| at[axis] - self.centre[axis] - self.sway[axis].at(height));
        let (sine, cosine) = self.turn.sin_cos();
        let (long, short) = (cosine * across[0] + sine * across[1], cosine * across[1] - sine * across[0]);
        let (lobes, depth, phase) = self.lobes;
        let bump = 1.0 + self.swell.at(height) + depth * (lobes * short.atan2(long) + phase).sin();
        let part = |distance: f32, radius: f32, exponent: f32| (distance / radius).abs().powf(exponent);
        part(long, self.radii[0] * bump, self.exponent)
            + part(short, self.radii[1] * bump, self.exponent)
            + part(height - self.centre[2], self.radii[2], self.taper)
    }

    pub(super) fn contains(&self, at: [f32; 3]) -> bool {
        // A cheap test first, because most places are far from most bodies. Bumps and swelling add at most a quarter to the radii, sway
        // less than 0.07.
        let reach = self.radii[0].max(self.radii[1]) * 1.25 + 0.07;
        let apart = [0, 1, 2].map(|axis| (at[axis] - self.centre[axis]).abs());
        apart[0] < reach && apart[1] < reach && apart[2] < self.radii[2] && self.level(at) < 1.0
    }
}

/// All bodies of one synthetic abdomen.
#[derive(Debug, Clone)]
pub(super) struct Anatomy {
    /// The outer edge of the trunk, of fat and of the muscle wall.
    trunk: Wave,
    liver: [Blob; 2],
    hepatic_vessels: Vec<Blob>,
    spleen: Blob,
    kidneys: [Blob; 2],
    pelves: [Blob; 2],
    aorta: Blob,
    cava: Blob,
    stomach: Blob,
    gas: Blob,
    bowel: Vec<Blob>,
    mesentery: Vec<Blob>,
    heart: Blob,
    vertebra: Blob,
    texture: [Wave; 3],
}

impl Anatomy {
    pub(super) fn draw(rng: &mut dyn Rng) -> Self {
        let mut blob = |centre, radii, turn| Blob::draw(centre, radii, turn, &mut *rng);
        let liver =
            [blob([0.40, 0.06, 0.30], [0.37, 0.46, 0.58], 0.3), blob([0.08, 0.36, 0.38], [0.36, 0.22, 0.38], -0.25)];
        let hepatic_vessels = [(0.45, 0.05), (0.32, 0.20), (0.30, -0.05), (0.52, -0.12)]
            .map(|(x, y)| blob([x, y, 0.30], [0.026, 0.034, 0.34], 0.5))
            .to_vec();
        let spleen = blob([-0.52, -0.26, 0.34], [0.16, 0.30, 0.40], -0.35);
        let kidneys = [
            blob([0.36, -0.40, -0.28], [0.15, 0.21, 0.44], 0.5),
            blob([-0.36, -0.40, -0.18], [0.15, 0.21, 0.44], -0.5),
        ];
        let pelves = [
            blob([0.30, -0.35, -0.28], [0.06, 0.08, 0.22], 0.5),
            blob([-0.30, -0.35, -0.18], [0.06, 0.08, 0.22], -0.5),
        ];
        let aorta = blob([-0.06, -0.19, -0.05], [0.062, 0.075, 0.84], 0.0).tube();
        let cava = blob([0.13, -0.17, 0.0], [0.075, 0.075, 1.6], 0.2);
        let stomach = blob([-0.30, 0.28, 0.28], [0.27, 0.24, 0.42], 0.5);
        let gas = blob([-0.30, 0.45, 0.28], [0.15, 0.10, 0.26], 0.2);
        let heart = blob([-0.12, 0.22, 1.12], [0.38, 0.32, 0.52], 0.5);
        let vertebra = blob([0.0, -0.42, 0.0], [0.15, 0.16, 3.0], 0.0);
        // The colon on both sides. Loops of small bowel and their vessels follow below.
        let mut bowel = vec![
            blob([0.54, 0.02, -0.75], [0.11, 0.12, 0.62], 0.0).tube(),
            blob([-0.55, -0.02, -0.62], [0.10, 0.11, 0.62], 0.0).tube(),
        ];
        let mut scattered = |size: f32, length: f32| {
            let place = [rng.random_range(-0.48..0.48), rng.random_range(-0.05..0.58), rng.random_range(-1.0..0.10)];
            Blob::draw(place, [size, size * 0.9, length], rng.random_range(0.0..3.0), rng)
        };
        bowel.extend((0..34).map(|index| scattered(0.08 + 0.05 * (index % 7) as f32 / 6.0, 0.28)));
        let mesentery = (0..24).map(|_| scattered(0.020, 0.20)).collect();
        Self {
            trunk: Wave::draw(0.02, rng),
            liver,
            hepatic_vessels,
            spleen,
            kidneys,
            pelves,
            aorta,
            cava,
            stomach,
            gas,
            bowel,
            mesentery,
            heart,
            vertebra,
            texture: [Wave::draw(6.0, rng), Wave::draw(6.0, rng), Wave::draw(6.0, rng)],
        }
    }

    /// HU and label at a place. Where bodies overlap, the first test wins.
    pub(super) fn tissue(&self, at: [f32; 3]) -> (f32, u16) {
        let wall = self.wall(at);
        if wall > 1.0 {
            return (AIR, 0);
        }
        let texture = self.texture[0].at(3.0 * at[0]) + self.texture[1].at(3.0 * at[1]) + self.texture[2].at(at[2]);
        if let Some(bone) = self.bone(at, wall) {
            return (bone, 0);
        }
        if wall > 0.83 {
            return (FAT + texture, 0);
        }
        if wall > 0.74 {
            return (MUSCLE + texture, 0);
        }
        if let Some((hu, label)) = self.organ(at) {
            return (hu + texture, label);
        }
        let hu = if self.heart.contains(at) {
            HEART
        } else if beside_spine(at) {
            MUSCLE
        } else if above_diaphragm(at) {
            LUNG
        } else {
            self.filling(at)
        };
        (hu + texture, 0)
    }

    /// Relative distance from the trunk's centre line: 1 at the skin.
    fn wall(&self, [x, y, z]: [f32; 3]) -> f32 {
        let radius = 1.0 + self.trunk.at(z);
        let part = |distance: f32, side: f32| (distance / (side * radius)).abs().powf(2.3);
        (part(x, 0.93) + part(y, 0.88)).powf(1.0 / 2.3)
    }

    fn organ(&self, at: [f32; 3]) -> Option<(f32, u16)> {
        let named = |index: usize, hu: Option<f32>| {
            let (value, _, own) = ORGANS[index];
            Some((hu.unwrap_or(own), value))
        };
        if self.aorta.contains(at) {
            return named(4, None);
        }
        if self.cava.contains(at) {
            return Some((VESSEL - 20.0, 0));
        }
        for side in 0..2 {
            if self.kidneys[side].contains(at) {
                // The cortex is brighter than the medulla; the pelvis holds fat and urine.
                let hu = match self.kidneys[side].level(at) {
                    _ if self.pelves[side].contains(at) => 20.0,
                    level if level > 0.45 => 185.0,
                    _ => 145.0,
                };
                return named(2 + side, Some(hu));
            }
        }
        if self.spleen.contains(at) {
            return named(1, None);
        }
        if self.liver.iter().any(|lobe| lobe.contains(at)) {
            let vessel = self.hepatic_vessels.iter().any(|vessel| vessel.contains(at));
            return named(0, vessel.then_some(VESSEL - 15.0));
        }
        if self.stomach.contains(at) {
            let hu = match self.stomach.level(at) {
                _ if self.gas.contains(at) => Some(GAS),
                level if level > 0.8 => Some(75.0),
                _ => None,
            };
            return named(5, hu);
        }
        None
    }

    /// HU of bone at a place: a vertebra with marrow and processes, and oblique ribs in the wall.
    fn bone(&self, at: [f32; 3], wall: f32) -> Option<f32> {
        let [x, y, z] = at;
        let level = self.vertebra.level(at);
        if level < 1.0 {
            return Some(if level < 0.7 { MARROW } else { BONE });
        }
        let canal = (x / 0.055).hypot((y + 0.63) / 0.05);
        if canal < 1.0 {
            return Some(30.0);
        }
        let process = x.abs() < 0.03 && (-0.80..-0.66).contains(&y);
        let arch = canal < 1.7 || (x.abs() < 0.22 && (y + 0.60).abs() < 0.025);
        if process || arch {
            return Some(BONE);
        }
        let along = y.atan2(x.abs());
        let rib = (9.0 * z + 4.0 * along).sin() > 0.72 && (0.76..0.82).contains(&wall) && along < 0.9 && z > -0.35;
        rib.then_some(if (0.775..0.805).contains(&wall) { MARROW } else { BONE })
    }

    /// HU between the organs: bowel loops, some with gas, and vessels in fat.
    fn filling(&self, at: [f32; 3]) -> f32 {
        if let Some((index, part)) = self.bowel.iter().enumerate().find(|(_, part)| part.contains(at)) {
            return match part.level(at) {
                level if level > 0.6 => BOWEL + 25.0,
                _ if index % 4 == 0 && at[1] > part.centre[1] => GAS,
                _ => BOWEL - 20.0,
            };
        }
        if self.mesentery.iter().any(|vessel| vessel.contains(at)) { VESSEL - 25.0 } else { FAT }
    }
}

/// Whether a place is in the muscles beside the spine.
fn beside_spine([x, y, z]: [f32; 3]) -> bool {
    let psoas = ((x.abs() - 0.21) / 0.09).hypot((y + 0.38) / 0.12) < 1.0 && z < 0.2;
    let back = ((x.abs() - 0.18) / 0.16).hypot((y + 0.66) / 0.10) < 1.0;
    psoas || back
}

/// Whether a place is above the diaphragm, a dome that is lower at the back and the sides. Lung fills the rest of the space there.
fn above_diaphragm([x, y, z]: [f32; 3]) -> bool {
    let outwards = (x / 0.70).powi(2) + ((y - 0.15) / 0.72).powi(2);
    z > 1.0 - 0.62 * outwards
}
