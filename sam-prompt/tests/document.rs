//! Properties of prompt documents: reading returns what was written, conversion to millimetres and back is exact up to rounding, and errors
//! say what is wrong and where.

use ndarray::Array2;
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sam_prompt::{
    BoundingBox, CutAxis, DocumentError, DrawnMask, Label, Lasso, ObjectPrompts, PatientBox, PatientPoint,
    PatientPrompts, Point, PromptDocument, PromptError, Scribble, SliceGeometry, SlicePrompts, error_chain,
};

/// Pixels are `f32` values of some hundreds, so a conversion has an error of a few ten-thousandths at most.
const ROUNDING: f32 = 1e-2;

fn any_label() -> impl Strategy<Value = Label> {
    prop_oneof![Just(Label::Foreground), Just(Label::Background)]
}

fn any_axis() -> impl Strategy<Value = CutAxis> {
    use CutAxis::{Axial, Coronal, I, Image, J, K, Sagittal};
    proptest::sample::select(vec![Axial, Coronal, Sagittal, I, J, K, Image])
}

/// Prompts of every kind except masks, with at least one point, and with coordinates drawn from `number`.
fn slice_prompts(number: impl Strategy<Value = f32> + Clone + 'static) -> impl Strategy<Value = SlicePrompts> {
    let pixel = (number.clone(), number.clone()).prop_map(|(x, y)| [x, y]);
    let point = (pixel.clone(), any_label()).prop_map(|([x, y], label)| Point { x, y, label });
    let part = (pixel.clone(), pixel.clone()).prop_map(|([x, y], [to_x, to_y])| BoundingBox {
        x_min: x.min(to_x),
        y_min: y.min(to_y),
        x_max: x.max(to_x),
        y_max: y.max(to_y),
    });
    let scribble = (any_label(), vec(pixel.clone(), 1..5), number.prop_map(f32::abs))
        .prop_map(|(label, path, radius)| Scribble { label, path, radius });
    let lasso = vec(pixel, 3..6).prop_map(|path| Lasso { path });
    (vec(point, 1..3), vec(part, 0..3), vec(scribble, 0..3), vec(lasso, 0..3)).prop_map(
        |(points, boxes, scribbles, lassos)| SlicePrompts { slice: 0, points, boxes, scribbles, lassos, mask: None },
    )
}

/// Objects with distinct names on distinct slices, in ascending order.
fn on_slices(slice: impl Strategy<Value = SlicePrompts>) -> impl Strategy<Value = Vec<ObjectPrompts>> {
    btree_map(".*", btree_map(0..SLICES, slice, 0..3), 0..3).prop_map(|objects| {
        let numbered = |(slice, prompts)| SlicePrompts { slice, ..prompts };
        let object = |(name, slices)| {
            let slices: std::collections::BTreeMap<usize, SlicePrompts> = slices;
            ObjectPrompts { name, slices: slices.into_iter().map(numbered).collect() }
        };
        objects.into_iter().map(object).collect()
    })
}

fn any_mask() -> impl Strategy<Value = Option<DrawnMask>> {
    let mask = (0..9_usize, 0..9_usize).prop_flat_map(|(rows, columns)| {
        vec(any::<bool>(), rows * columns).prop_map(move |pixels| {
            DrawnMask(Array2::from_shape_vec((rows, columns), pixels).expect("there are as many pixels"))
        })
    });
    proptest::option::of(mask)
}

fn in_patient() -> impl Strategy<Value = Vec<PatientPrompts>> {
    let number = || any::<f64>().prop_filter("JSON has finite numbers only", |number| number.is_finite());
    let at = || [number(), number(), number()];
    let point = (at(), any_label()).prop_map(|(at, label)| PatientPoint { at, label });
    let part = [at(), at()].prop_map(|corners| PatientBox { corners });
    let scribble =
        (any_label(), vec(at(), 1..5), 0.0..9.0_f32).prop_map(|(label, path, radius)| Scribble { label, path, radius });
    let lasso = vec(at(), 3..6).prop_map(|path| Lasso { path });
    let prompts = (vec(point, 0..3), vec(part, 0..3), vec(scribble, 0..3), vec(lasso, 0..3));
    btree_map(".*", prompts, 0..3).prop_map(|objects| {
        let object =
            |(name, (points, boxes, scribbles, lassos))| PatientPrompts { name, points, boxes, scribbles, lassos };
        objects.into_iter().map(object).collect()
    })
}

fn any_document() -> impl Strategy<Value = PromptDocument> {
    let number = any::<f32>().prop_filter("JSON has finite numbers only", |number| number.is_finite());
    let slice = (slice_prompts(number), any_mask()).prop_map(|(prompts, mask)| SlicePrompts { mask, ..prompts });
    prop_oneof![
        (any_axis(), on_slices(slice)).prop_map(|(axis, objects)| PromptDocument::Pixels { axis, objects }),
        in_patient().prop_map(|objects| PromptDocument::Millimetres { objects }),
    ]
}

const SLICES: usize = 40;

/// A volume of [`SLICES`] slices whose voxels are parallelepipeds at any position in the patient.
#[derive(Debug)]
struct Affine {
    /// Columns: the step to the right, down, and to the next slice.
    steps: [[f64; 3]; 3],
    origin: [f64; 3],
}

impl SliceGeometry for Affine {
    fn pixel(&self, position: [f64; 3]) -> Option<(usize, [f32; 2])> {
        let [right, down, on] = self.steps;
        let from_origin = std::array::from_fn(|axis| position[axis] - self.origin[axis]);
        // Cramer's rule.
        let volume = determinant([right, down, on]);
        let x = determinant([from_origin, down, on]) / volume;
        let y = determinant([right, from_origin, on]) / volume;
        let slice = determinant([right, down, from_origin]) / volume;
        let nearest = slice.round();
        (0.0..SLICES as f64).contains(&nearest).then_some((nearest as usize, [x as f32, y as f32]))
    }

    fn position(&self, slice: usize, [x, y]: [f32; 2]) -> Option<[f64; 3]> {
        let [right, down, on] = self.steps;
        let at =
            |axis| self.origin[axis] + f64::from(x) * right[axis] + f64::from(y) * down[axis] + slice as f64 * on[axis];
        (slice < SLICES).then(|| std::array::from_fn(at))
    }
}

fn determinant([a, b, c]: [[f64; 3]; 3]) -> f64 {
    a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
}

fn any_affine() -> impl Strategy<Value = Affine> {
    // Each step is mostly along its own axis, in either direction, so that the three are never in one plane. Then the axes are shuffled.
    let small = || -0.2..0.2_f64;
    let spacing = || (0.5..4.0_f64, any::<bool>()).prop_map(|(length, back)| if back { -length } else { length });
    let step = move |main: usize| {
        (spacing(), small(), small()).prop_map(move |(length, a, b)| {
            let mut step = [length, length * a, length * b];
            step.rotate_right(main);
            step
        })
    };
    let steps = (step(0), step(1), step(2)).prop_flat_map(|(a, b, c)| Just(vec![a, b, c]).prop_shuffle());
    (steps, [-300.0..300.0, -300.0..300.0, -300.0..300.0_f64])
        .prop_map(|(steps, origin)| Affine { steps: [steps[0], steps[1], steps[2]], origin })
}

const PLAIN: Affine = Affine { steps: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]], origin: [0.0; 3] };

/// All numbers of a slice's prompts in a fixed order.
fn numbers(prompts: &SlicePrompts) -> Vec<f32> {
    let points = prompts.points.iter().flat_map(|point| [point.x, point.y]);
    let boxes = prompts.boxes.iter().flat_map(|part| [part.x_min, part.y_min, part.x_max, part.y_max]);
    let scribbles =
        prompts.scribbles.iter().flat_map(|scribble| scribble.path.iter().flatten().copied().chain([scribble.radius]));
    let lassos = prompts.lassos.iter().flat_map(|lasso| lasso.path.iter().flatten().copied());
    points.chain(boxes).chain(scribbles).chain(lassos).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_exactly(document in any_document()) {
        let text = document.to_json().expect("the document is sound");
        prop_assert_eq!(PromptDocument::from_json(&text).expect("it was just written"), document);
    }

    #[test]
    fn pixels_come_back_from_millimetres(
        objects in on_slices(slice_prompts(0.0..500.0_f32)), axis in any_axis(), affine in any_affine(),
    ) {
        let document = PromptDocument::Pixels { axis, objects: objects.clone() };
        prop_assert_eq!(document.clone().into_pixels(axis, &affine).expect("it is in pixels"), document.clone());
        let patient = document.into_millimetres(axis, &affine).expect("the slices exist");
        let PromptDocument::Millimetres { .. } = patient else { panic!("millimetres were asked for") };
        prop_assert_eq!(patient.clone().into_millimetres(axis, &affine).expect("it is in millimetres"), patient.clone());
        let back = patient.into_pixels(axis, &affine).expect("all lies on slices");
        let PromptDocument::Pixels { axis: found_axis, objects: found } = back else { panic!("pixels were asked for") };
        prop_assert_eq!(found_axis, axis);
        prop_assert_eq!(found.len(), objects.len());
        for (found, object) in found.iter().zip(&objects) {
            prop_assert_eq!(&found.name, &object.name);
            prop_assert_eq!(found.slices.len(), object.slices.len());
            for (found, slice) in found.slices.iter().zip(&object.slices) {
                prop_assert_eq!(found.slice, slice.slice);
                let (found, expected) = (numbers(found), numbers(slice));
                prop_assert_eq!(found.len(), expected.len());
                prop_assert!(found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < ROUNDING));
            }
        }
    }

    #[test]
    fn a_point_beyond_half_a_slice_is_named(affine in any_affine(), x in 0.0..500.0_f32, y in 0.0..500.0_f32, beyond: bool) {
        let on = affine.position(if beyond { SLICES - 1 } else { 0 }, [x, y]).expect("the slice exists");
        let by = |slices: f64| {
            let slices = if beyond { slices } else { -slices };
            let at = std::array::from_fn(|axis| on[axis] + slices * affine.steps[2][axis]);
            let points = vec![PatientPoint { at, label: Label::Foreground }];
            let object = PatientPrompts { name: "spleen".into(), points, ..PatientPrompts::default() };
            PromptDocument::Millimetres { objects: vec![object] }.into_pixels(CutAxis::Axial, &affine)
        };
        prop_assert!(by(0.49).is_ok());
        let error = by(0.51).expect_err("the point lies on no slice");
        let named = matches!(&error, DocumentError::OffSlices { object, what: "point", .. } if object == "spleen");
        prop_assert!(named, "{}", error);
    }

    #[test]
    fn damaged_text_is_an_error_not_a_panic(document in any_document(), at in 0.0..1.0_f64, other in any::<char>()) {
        let text = document.to_json().expect("the document is sound");
        let characters: Vec<char> = text.chars().collect();
        let place = (at * characters.len() as f64) as usize;
        let cut: String = characters[..place].iter().collect();
        prop_assert!(matches!(PromptDocument::from_json(&cut), Err(DocumentError::Json(_))));
        let mut changed = characters;
        changed[place] = other;
        // A document with a changed digit may still be valid.
        let _ = PromptDocument::from_json(&changed.into_iter().collect::<String>());
    }
}

/// A document with one object `liver` that has these fields.
fn on_slice(fields: &str) -> String {
    let object = format!(r#"{{"name": "liver", "slices": [{{"slice": 41, {fields}}}]}}"#);
    format!(r#"{{"version": 1, "prompts": {{"pixels": {{"axis": "axial", "objects": [{object}]}}}}}}"#)
}

#[test]
fn a_slice_is_named_by_its_index_and_by_its_earlier_field() {
    let points = r#""points": [{"x": 1, "y": 2, "label": "foreground"}]"#;
    let earlier = on_slice(points);
    let document = PromptDocument::from_json(&earlier).expect("a document of an earlier version");
    let written = document.to_json().expect("JSON");
    assert!(written.contains("\"index\"") && !written.contains("\"slice\""), "{written}");
    assert_eq!(PromptDocument::from_json(&written).expect("what was written"), document);
}

#[test]
fn bad_documents_say_what_and_where() {
    let cases = [
        ("", "line 1"),
        ("{}", "missing field `version`"),
        (r#"{"version": 2, "whatever": []}"#, "version 2"),
        (r#"{"version": 1}"#, "missing field `prompts`"),
        (
            r#"{"version": 1, "prompts": {"voxels": {}}}"#,
            "unknown variant `voxels`, expected `pixels` or `millimetres`",
        ),
        (
            r#"{"version": 1, "prompts": {"millimetres": {"objects": [{"name": "a", "mask": []}]}}}"#,
            "unknown field `mask`",
        ),
        ("{\"version\": 1,\n\"prompts\": {\"pixels\":\n{\"axis\": \"oblique\"}}}", "line 3 column"),
        (&on_slice(r#""clicks": []"#), "unknown field `clicks`"),
        (&on_slice(r#""points": [{"x": 1, "y": 2, "z": 3, "label": "foreground"}]"#), "unknown field `z`"),
        (&on_slice(r#""points": [{"x": 1, "y": 2, "label": "inside"}]"#), "unknown variant `inside`"),
        (&on_slice(r#""points": [{"x": 1e300, "y": 2, "label": "foreground"}]"#), "number out of range at line 1"),
        (
            &on_slice(r#""lassos": [{"path": [[1, 2], [3, 4]]}]"#),
            "invalid prompt for slice 42 (index 41) of object `liver`: a lasso needs 3",
        ),
        (&on_slice(r#""lassos": [{"path": [[1, 2, 3]]}]"#), "line 1 column"),
        (&on_slice(r#""scribbles": [{"label": "background", "path": [], "radius": 1}]"#), "a scribble needs 1"),
        (
            &on_slice(r#""scribbles": [{"label": "background", "path": [[1, 2]], "radius": -1}]"#),
            "radius of a scribble",
        ),
        (&on_slice(r#""boxes": [{"x_min": 9, "y_min": 2, "x_max": 1, "y_max": 4}]"#), "box is inverted"),
        (
            &on_slice(r#""mask": {"rows": 2, "columns": 2, "runs": [3]}"#),
            "runs cover 3 pixels, but a mask of 2 x 2 has 4 at line 1",
        ),
    ];
    for (text, expected) in cases {
        let found = error_chain(&PromptDocument::from_json(text).expect_err(text));
        assert!(found.contains(expected), "{text}\n{found}");
    }
}

#[test]
fn names_and_slices_come_once() {
    let object = |slices: &[usize]| ObjectPrompts {
        name: "liver".into(),
        slices: slices.iter().map(|&slice| SlicePrompts { slice, ..SlicePrompts::default() }).collect(),
    };
    for (objects, expected) in [
        (vec![object(&[]), object(&[])], "object `liver`"),
        (vec![object(&[3, 4, 3])], "slice 4 (index 3) of object `liver`"),
    ] {
        let document = PromptDocument::Pixels { axis: CutAxis::K, objects };
        assert!(matches!(document.to_json(), Err(DocumentError::Repeated { place }) if place == expected));
    }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let points = vec![PatientPoint { at: [0.0, f64::NAN, 0.0], label: Label::Foreground }];
    let object = PatientPrompts { name: "liver".into(), points, ..PatientPrompts::default() };
    let found = PromptDocument::Millimetres { objects: vec![object] }.to_json().expect_err("JSON has no NaN");
    let expected = "the prompt document has an invalid prompt for object `liver`: \
                    a value in the point is NaN or infinite; give finite numbers";
    assert_eq!(error_chain(&found), expected);
    let mask = Some(DrawnMask(Array2::from_elem((1 << 15, 1), true)));
    let slices = vec![SlicePrompts { mask, ..SlicePrompts::default() }];
    let objects = vec![ObjectPrompts { name: "liver".into(), slices }];
    let found = PromptDocument::Pixels { axis: CutAxis::Axial, objects }.to_json();
    assert!(matches!(found, Err(DocumentError::MaskSize { rows: 32768, columns: 1, .. })), "it could not be read");
}

#[test]
fn what_cannot_be_converted_is_an_error() {
    let patient = |corners| {
        let object = PatientPrompts { boxes: vec![PatientBox { corners }], ..PatientPrompts::default() };
        PromptDocument::Millimetres { objects: vec![object] }.into_pixels(CutAxis::Axial, &PLAIN)
    };
    assert!(patient([[9.0, 1.0, 4.0], [2.0, 5.0, 4.9]]).is_ok(), "both corners are nearest to slice 2");
    let found = patient([[9.0, 1.0, 4.0], [2.0, 5.0, 6.0]]);
    assert!(matches!(found, Err(DocumentError::SeveralSlices { what: "box", first: 2, other: 3, .. })), "{found:?}");

    let pixels = |prompts| {
        let object = ObjectPrompts { name: "liver".into(), slices: vec![prompts] };
        PromptDocument::Pixels { axis: CutAxis::Axial, objects: vec![object] }
    };
    let points = vec![Point { x: 1.0, y: 2.0, label: Label::Foreground }];
    let beyond = pixels(SlicePrompts { slice: SLICES, points, ..SlicePrompts::default() });
    let found = beyond.clone().into_millimetres(CutAxis::Axial, &PLAIN);
    assert!(matches!(found, Err(DocumentError::NoSlice { slice: SLICES, .. })), "{found:?}");
    let found = beyond.into_pixels(CutAxis::Coronal, &PLAIN);
    assert!(
        matches!(found, Err(DocumentError::OtherAxis { found: CutAxis::Axial, expected: CutAxis::Coronal })),
        "{found:?}"
    );
    let mask = Some(DrawnMask(Array2::from_elem((2, 2), true)));
    let found = pixels(SlicePrompts { mask, ..SlicePrompts::default() }).into_millimetres(CutAxis::Axial, &PLAIN);
    assert!(matches!(found, Err(DocumentError::MaskInMillimetres { slice: 0, .. })), "{found:?}");
}

#[test]
fn a_slice_becomes_what_sam_reads() {
    let square = Lasso { path: vec![[1.0, 1.0], [8.0, 1.0], [8.0, 8.0], [1.0, 8.0]] };
    let slice = SlicePrompts {
        points: vec![Point { x: 1.0, y: 2.0, label: Label::Foreground }],
        scribbles: vec![Scribble { label: Label::Background, path: vec![[9.0, 0.0], [9.0, 9.0]], radius: 1.0 }],
        lassos: vec![square.clone()],
        ..SlicePrompts::default()
    };
    let prompts = slice.prompts(2, 10, 10, &mut ChaCha8Rng::seed_from_u64(0)).expect("all lies on the slice");
    let labels: Vec<_> = prompts.points.iter().map(|point| point.label).collect();
    let (inside, outside) = (Label::Foreground, Label::Background);
    assert_eq!(labels, [inside, outside, outside, inside, inside]);
    assert_eq!(prompts.boxes, Vec::from_iter(square.bounding_box()));
    let cut_off = slice.prompts(2, 10, 9, &mut ChaCha8Rng::seed_from_u64(0));
    assert!(matches!(cut_off, Err(PromptError::OutsideImage { what: "scribble", .. })));
}
