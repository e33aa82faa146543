//! Mistakes of callers that panicked or passed unnoticed in 890622d. Each is now refused with a reason, or is no longer possible.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use sam_annotate::{
    AnnotateConfig, Annotations, Annotator, AssistConfig, EmbeddingCache, Flex, LabelVolume, Precision, SamPredictor,
    Scan, SliceAxis, Start, Weights, Window,
    burn::tensor::Tensor,
    burn_flex::FlexDevice,
    cards, ignore_events,
    ndarray::{Array2, Array3},
    progress::ignore_progress,
    sam_prompt::{BoundingBox, Label, Point, Prompts},
};
use sam_assist::learn;
use sam_auto::{MaskPropagationConfig, propagate_masks};
use sam_core::{AnnotatedSlice, CacheConfig, EmbeddingStore, ImageEmbedding, SliceSource};
use sam_data::{Stack, Volume};
use sam_prompt::error_chain;
use sam_testing::tiny::tiny_vit;

use crate::{Result, tiny::Desk};

const UNIT: [[f64; 4]; 4] = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

type Call = fn(&Bench) -> Result;

/// A mistake of a caller.
struct Probe {
    name: &'static str,
    /// What 890622d did.
    before: &'static str,
    /// The call, which must return an error.
    call: Call,
    /// Parts of the error's text: what was expected, what was found, what to do.
    says: &'static [&'static str],
}

const PROBES: &[Probe] = &[
    Probe {
        name: "propagation from an outline of another size than its slice",
        before: "panicked: assertion failed: part.equal_dim(dimension)",
        call: |bench| {
            let outlines = BTreeMap::from([(bench.desk.shown[0], Array2::from_elem((7, 9), true))]);
            let config = MaskPropagationConfig::default();
            propagate_masks(bench.predictor(), &*bench.slices, &outlines, &config, &mut ignore_progress())?;
            Ok(())
        },
        says: &["but the slice has 36 x 40", "has 7 x 9 pixels", "outline the image that was embedded"],
    },
    Probe {
        name: "a label map of another shape than the scan",
        before: "panicked, as the outline above",
        call: |bench| {
            let annotations = Annotations::new(LabelVolume::new(Array3::ones((9, 7, 8)), UNIT));
            bench.annotator.annotate(&annotations, Start::Model, &mut ignore_events())?;
            Ok(())
        },
        says: &["expected", "found", "resample them onto the scan's grid"],
    },
    Probe {
        name: "tokens of another width, given to the model",
        before: "panicked in the prediction: Can't concatenate tensors with different shapes",
        call: |bench| {
            let model = bench.predictor().with_tokens(Tensor::zeros([1, 31], &FlexDevice))?;
            model.predict(&bench.embedding, &click())?;
            Ok(())
        },
        says: &["the prompt encoder's have 32", "external tokens have 31 channels", "project them first"],
    },
    Probe {
        name: "the slice after the last",
        before: "panicked: assertion failed: index < dim",
        call: |bench| {
            bench.desk.plane.try_extract(bench.desk.phantom.labels.labels.view(), 8)?;
            Ok(())
        },
        says: &["there are 8 slice(s)", "counted from 1", "slice 9 was asked for"],
    },
    Probe {
        name: "a slice of another size, put into a volume",
        before: "panicked",
        call: |bench| {
            let mut labels = bench.desk.phantom.labels.labels.clone();
            bench.desk.plane.try_insert(&mut labels, 0, Array2::zeros((3, 4)).view())?;
            Ok(())
        },
        says: &["the volume's slices of (36, 40)", "a slice of (3, 4)", "cut it with SlicePlane::extract"],
    },
    Probe {
        name: "an image of shape [120, 3, 3]",
        before: "embedded it",
        call: |bench| {
            bench.predictor().embed(Array3::zeros((120, 3, 3)).view())?;
            Ok(())
        },
        says: &[
            "expected [rows, columns, channels] with at least 4 rows and 4 columns",
            "shape [120, 3, 3]",
            "are the axes in this order?",
        ],
    },
    Probe {
        name: "a volume whose affine is zeros",
        before: "took it, and so did SlicePlane::new",
        call: |_| {
            Volume::try_new(Array3::zeros((4, 4, 6)), [[0.0; 4]; 4])?;
            Ok(())
        },
        says: &[
            "an affine with an inverse (three axes that span space)",
            "found [[0.0, 0.0",
            "set spacing and orientation",
        ],
    },
    Probe {
        name: "a volume whose affine is NaN",
        before: "took it, and so did SlicePlane::new",
        call: |_| {
            Volume::try_new(Array3::zeros((4, 4, 6)), [[f64::NAN; 4]; 4])?;
            Ok(())
        },
        says: &["expected an affine of finite numbers", "found [[NaN, NaN", "set spacing and orientation anew"],
    },
    Probe {
        name: "a file whose affine is zeros",
        before: "opened it",
        call: |bench| bench.open_with_affine(0.0),
        says: &[
            "affine.nii does not say where its voxels lie",
            "expected an sform or a qform with an inverse",
            "set spacing and orientation",
        ],
    },
    Probe {
        name: "a file whose affine is NaN",
        before: "opened it",
        call: |bench| bench.open_with_affine(f32::NAN),
        says: &[
            "affine.nii",
            "expected an sform or a qform with an inverse",
            "found an sform with numbers that are not finite, [[NaN",
            "set spacing and orientation anew",
        ],
    },
    Probe {
        name: "a volume of 0 slices",
        before: "took it",
        call: |_| {
            Volume::try_new(Array3::zeros((4, 4, 0)), UNIT)?;
            Ok(())
        },
        says: &["expected at least one voxel along each axis", "found a shape of [4, 4, 0]", "crop less"],
    },
    Probe {
        name: "learning with 0 iterations",
        before: "returned a model that had learned nothing",
        call: |bench| bench.learn(&AssistConfig::mixed().with_iterations(0)),
        says: &["iterations: expected at least 1", "found 0"],
    },
    Probe {
        name: "learning at a rate of 1e9",
        before: "let the loss rise from 0.97 to 2.65",
        call: |bench| bench.learn(&AssistConfig::mixed().with_learning_rate(1e9)),
        says: &["learning_rate: expected below 1", "found 1000000000", "the presets use 0.02 or less"],
    },
    Probe {
        name: "an annotator that learns at a rate of 1e9",
        before: "let the loss rise from 0.97 to 2.65",
        call: |bench| {
            let learning = AssistConfig::mixed().with_learning_rate(1e9);
            bench.desk.builder()?.config(AnnotateConfig::default().with_learning(learning)).build()?;
            Ok(())
        },
        says: &["learning_rate: expected below 1", "found 1000000000", "the presets use 0.02 or less"],
    },
    Probe {
        name: "write_mask under a NIfTI file's name",
        before: "wrote a PNG under that name",
        call: |bench| {
            let path = bench.desk.path("x.nii");
            let written = sam_data::write_mask(&path, Array2::ones((3, 3)).view());
            assert!(!path.exists());
            Ok(written?)
        },
        says: &["must end in .png", "x.nii", "volumes of labels are written by write_labels"],
    },
    Probe {
        name: "a box of one point",
        before: "predicted from a box of 0 pixels",
        call: |bench| bench.predict_box(BoundingBox { x_min: 12.0, y_min: 9.0, x_max: 12.0, y_max: 9.0 }),
        says: &[
            "whole numbers are pixel centres",
            "box has no pixels: x 12 to 12, y 9 to 9",
            "half a pixel before its centre",
        ],
    },
    Probe {
        name: "a half-open box up to the image's border",
        before: "refused it without a word about how to convert it",
        call: |bench| bench.predict_box(BoundingBox { x_min: 5.0, y_min: 5.0, x_max: 40.0, y_max: 36.0 }),
        says: &["outside the image of 40 x 36 pixels", "box corner (40, 36)", "subtract 0.5 from each edge"],
    },
    Probe {
        name: "tokens of NaN",
        before: "said: a number of a external token is NaN",
        call: |bench| {
            let tokens = Some(Array2::from_elem((1, 32), f32::NAN));
            bench.predictor().predict(&bench.embedding, &Prompts { tokens, ..click() })?;
            Ok(())
        },
        says: &["a value in the external tokens is NaN or infinite", "give finite numbers"],
    },
    Probe {
        name: "a mask in a folder that does not exist",
        before: "named a temporary file",
        call: |bench| {
            let labels = bench.desk.phantom.labels.labels.view();
            Ok(bench.annotator.scan().write_labels(bench.desk.path("missing/mask.nii.gz"), labels)?)
        },
        says: &["cannot write", "missing/mask.nii.gz", "check that the folder exists"],
    },
    Probe {
        name: "a cache where a file is",
        before: "named a temporary file",
        call: |bench| {
            EmbeddingCache::open(bench.desk.path("scan.nii.gz/cache"), CacheConfig::default())?;
            Ok(())
        },
        says: &["cannot write to the cache", "scan.nii.gz/cache", "choose a folder that can be written to"],
    },
    Probe {
        name: "cards in a folder that does not exist",
        before: "named a temporary file",
        call: |bench| {
            let scan = bench.annotator.scan();
            cards::CardFiles::open(bench.desk.path("missing/organ.safetensors"), &BTreeSet::from([1]), scan)?;
            Ok(())
        },
        says: &["cannot write", "missing/organ.safetensors", "check that its folder exists"],
    },
    Probe {
        name: "a scan that does not exist",
        before: "told the cause twice",
        call: |bench| {
            Scan::open(bench.desk.path("missing.nii.gz"), None)?;
            Ok(())
        },
        says: &["cannot read", "missing.nii.gz", "os error 2"],
    },
    Probe {
        name: "weights that do not exist",
        before: "told the cause twice",
        call: |bench| {
            Weights::open(bench.desk.path("missing.pth"))?;
            Ok(())
        },
        says: &["there are no weights at", "missing.pth", "check the path"],
    },
    Probe {
        name: "a card that does not exist",
        before: "told the cause twice",
        call: |bench| {
            cards::load(&[bench.desk.path("missing.safetensors")], bench.annotator.weights_sha256())?;
            Ok(())
        },
        says: &["cannot be used", "missing.safetensors", "os error 2"],
    },
    Probe {
        name: "a session that does not exist",
        before: "was part of an example only",
        call: |bench| {
            bench.annotator.open_session(bench.desk.path("missing"))?;
            Ok(())
        },
        says: &["there is no session in", "missing", "check the folder's name"],
    },
];

/// Former mistakes that are now valid: name, what 890622d did, and a check of the present behaviour.
///
/// The compiler refuses to embed an image scaled to 0 to 1, or one in HU: `SamPredictor::embed` has a documentation test for this. A window
/// brings scans of such intensities to 8-bit levels.
const HARMLESS: &[(&str, &str, Call)] = &[
    ("a clone in half precision", "broke its original: storage: dtype mismatch (expected F16, got F32)", |_| {
        let original = tiny_vit();
        let image = Array3::from_shape_fn((50, 64, 1), |(row, column, _)| (3 * row + column) as u8);
        let answer = |model: &SamPredictor<Flex>| model.predict(&model.embed(image.view())?, &click());
        let before = answer(&original)?;
        let half = original.clone().with_encoder_precision(Precision::F16)?;
        assert_ne!(answer(&half)?, before, "half precision rounds");
        assert_eq!(original.encoder_precision(), Precision::F32);
        assert_eq!(answer(&original)?, before);
        Ok(())
    }),
    ("a half-open box, converted", "had no conversion", |bench| {
        bench.predict_box(BoundingBox::from_half_open(0.0, 0.0, 40.0, 36.0))
    }),
    ("a scan scaled to 0 to 1", "became the levels 0 and 1", |bench| {
        let voxels = &bench.desk.phantom.volume.voxels;
        let ends = |(low, high): (f32, f32), &voxel: &f32| (low.min(voxel), high.max(voxel));
        let (low, high) = voxels.iter().fold((f32::MAX, f32::MIN), ends);
        assert_levels_are_spread(voxels.mapv(|voxel| (voxel - low) / (high - low)))
    }),
    ("a scan of -1000 to 1000 HU", "was clipped to 0 to 255", |_| {
        let rising = |(i, j, k)| -1000.0 + 2000.0 * (i + 40 * j + 40 * 36 * k) as f32 / (40.0 * 36.0 * 8.0);
        assert_levels_are_spread(Array3::from_shape_fn((40, 36, 8), rising))
    }),
];

/// A scan, a model, and one embedded slice of the scan.
struct Bench {
    desk: Desk,
    annotator: Annotator<Flex>,
    slices: Arc<EmbeddingStore<Flex>>,
    embedding: ImageEmbedding<Flex>,
}

impl Bench {
    fn new() -> Result<Self> {
        let desk = Desk::new();
        let annotator = desk.annotator()?;
        let slices = annotator.slices(SliceAxis::K)?;
        let embedding = slices.embedding(desk.shown[0])?;
        Ok(Self { desk, annotator, slices, embedding })
    }

    fn predictor(&self) -> &SamPredictor<Flex> {
        self.annotator.predictor()
    }

    fn predict_box(&self, part: BoundingBox) -> Result {
        self.predictor().predict(&self.embedding, &Prompts::from_boxes(vec![part]))?;
        Ok(())
    }

    fn learn(&self, config: &AssistConfig) -> Result {
        let index = self.desk.shown[0];
        let outline = self.desk.truth(index).mapv(|label| label != 0);
        let slices = [AnnotatedSlice::new(index, self.embedding.clone(), outline)?];
        learn(self.predictor(), &slices, config, &mut ignore_progress())?;
        Ok(())
    }

    /// Opens a NIfTI file whose only affine, the sform, has this number everywhere.
    fn open_with_affine(&self, number: f32) -> Result {
        let path = self.desk.path("affine.nii");
        sam_data::write_volume(&path, &Volume::new(Array3::zeros((4, 4, 6)), UNIT))?;
        let mut bytes = fs::read(&path)?;
        // No qform, and three rows of the sform.
        bytes[252..254].fill(0);
        bytes[280..328].copy_from_slice(&number.to_le_bytes().repeat(12));
        fs::write(&path, bytes)?;
        Scan::open(&path, None)?;
        Ok(())
    }
}

fn click() -> Prompts {
    Prompts::from_points(vec![Point { x: 20.0, y: 18.0, label: Label::Foreground }])
}

/// Checks that the window spreads these intensities from black to white, with many levels between.
fn assert_levels_are_spread(voxels: Array3<f32>) -> Result {
    let stack = Stack::new("scan", Volume::new(voxels, UNIT), SliceAxis::K, &Window::Auto)?;
    let mut counts = [0; 256];
    for slice in 0..stack.len() {
        stack.image(slice).iter().for_each(|&level| counts[usize::from(level)] += 1);
    }
    assert!(counts[0] > 0 && counts[255] > 0, "{counts:?}");
    let levels = counts.iter().filter(|&&count| count > 0).count();
    assert!(levels > 50, "{levels} levels");
    Ok(())
}

/// Faults of an error's text.
fn faults_of(error: &(dyn Error + 'static), says: &[&str]) -> Vec<String> {
    let text = error_chain(error);
    let mut faults: Vec<_> =
        says.iter().filter(|part| !text.contains(**part)).map(|part| format!("{part:?} is not in {text:?}")).collect();
    if text.contains(".unfinished-") {
        faults.push(format!("a temporary name is in {text:?}"));
    }
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let twice = causes.map(ToString::to_string).filter(|cause| text.matches(cause.as_str()).count() > 1);
    faults.extend(twice.map(|cause| format!("{cause:?} is twice in {text:?}")));
    faults
}

#[test]
fn mistakes_are_refused_with_a_reason() -> Result {
    let bench = Bench::new()?;
    let mut faults = Vec::new();
    for Probe { name, before, call, says } in PROBES {
        let found = match catch_unwind(AssertUnwindSafe(|| call(&bench))) {
            Err(_) => vec!["it panics".to_owned()],
            Ok(Ok(())) => vec!["it passes in silence".to_owned()],
            Ok(Err(error)) => faults_of(&*error, says),
        };
        faults.extend(found.into_iter().map(|fault| format!("{name} (890622d {before}): {fault}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[test]
fn mistakes_that_cannot_be_made_any_more() -> Result {
    let bench = Bench::new()?;
    for (name, before, check) in HARMLESS {
        check(&bench).map_err(|error| format!("{name} (890622d: {before}): {}", error_chain(&*error)))?;
    }
    Ok(())
}

/// `extract` and `insert` panic, as indexing does. The panic messages are the errors of `try_extract` and `try_insert`.
#[test]
fn documented_panics_say_what_the_errors_say() -> Result {
    let desk = Desk::new();
    let labels = &desk.phantom.labels.labels;
    let extracted = catch_unwind(AssertUnwindSafe(|| drop(desk.plane.extract(labels.view(), 8))));
    let inserted = catch_unwind(AssertUnwindSafe(|| {
        desk.plane.insert(&mut labels.clone(), 0, Array2::zeros((3, 4)).view());
    }));
    for (panic, part) in [(extracted, "slice 9 was asked for"), (inserted, "a slice of (3, 4) rows and columns")] {
        let panic = panic.expect_err("a panic is documented");
        let text = panic.downcast_ref::<String>().ok_or("a panic with a text")?;
        assert!(text.contains(part), "{text}");
    }
    Ok(())
}
