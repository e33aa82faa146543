//! Public scans and images of each modality, read in full and counted.
//!
//! `SAM_MED_DATA` names a folder with one sub-folder for each data set. Each has a README that says what it contains. The counts below are
//! from the READMEs.

use std::{collections::BTreeMap, error::Error};

use sam_data::{Dataset, Folder, SliceAxis, Window};

/// The expected content of a data set.
struct Expected {
    folder: &'static str,
    /// Number of cases: volumes or single images.
    cases: usize,
    /// Number of channels of an image.
    channels: usize,
    /// For each label value, the number of slices or images that show it, over all cases.
    shown: &'static [(u16, usize)],
    /// Number of instances, over all cases.
    instances: Option<usize>,
}

const fn volumes(folder: &'static str, cases: usize, shown: &'static [(u16, usize)]) -> Expected {
    Expected { folder, cases, channels: 1, shown, instances: None }
}

/// One row for each folder. The README's counts are summed over the cases.
const EXPECTED: [Expected; 13] = [
    volumes("chaos_liver_slices", 13, &[(1, 13)]),
    volumes("curvas_abdomen_slices", 52, &[(1, 24), (2, 35), (3, 46)]),
    Expected { channels: 3, instances: Some(1232), ..volumes("dsb2018_nuclei", 22, &[(1, 22)]) },
    volumes("elastix_lung_ct", 1, &[(1, 117)]),
    volumes("hc18_fetal_head_us", 24, &[(1, 24)]),
    volumes("kits19_slices", 8, &[(1, 8), (2, 6)]),
    volumes("msd_hippocampus", 10, &[(1, 148), (2, 201)]),
    volumes("msd_spleen2", 1, &[(1, 20)]),
    volumes("promise12_prostate", 1, &[(1, 30)]),
    volumes("pyradiomics_lung_ct", 1, &[(1, 34), (2, 3)]),
    volumes("scgm_t2s", 4, &[(1, 72), (2, 71)]),
    volumes(
        "ts_abdomen_ct_3mm",
        1,
        &[
            (1, 30),
            (2, 36),
            (3, 33),
            (4, 12),
            (6, 43),
            (7, 31),
            (8, 51),
            (9, 55),
            (10, 18),
            (11, 19),
            (12, 11),
            (13, 15),
        ],
    ),
    volumes(
        "ts_abdomen_mr_3mm",
        1,
        &[
            (1, 12),
            (2, 15),
            (3, 11),
            (4, 12),
            (6, 20),
            (7, 20),
            (8, 20),
            (9, 20),
            (10, 19),
            (11, 16),
            (12, 9),
            (13, 10),
        ],
    ),
];

#[test]
#[ignore = "needs SAM_MED_DATA: scans of others are not in the repository"]
fn every_set_holds_what_its_readme_says() -> Result<(), Box<dyn Error>> {
    let data = crate::data_folder();
    for Expected { folder, cases, channels, shown, instances } in EXPECTED {
        let set = Folder::open(data.join(folder)).map_err(|error| format!("{folder}: {error}"))?;
        assert_eq!((set.cases().len(), set.left_out().len()), (cases, 0), "cases of {folder}");
        let (mut found, mut numbered) = (BTreeMap::new(), None);
        for case in set.cases() {
            // The READMEs count along the third index.
            let stack = case.stack(SliceAxis::K, &Window::Auto).map_err(|error| format!("{folder}: {error}"))?;
            for slice in stack.iter() {
                assert_eq!(slice.image.dim().2, channels, "{folder}");
                assert_eq!((slice.image.dim().0, slice.image.dim().1), slice.labels.dim(), "{folder}");
                let mut values: Vec<u16> = slice.labels.iter().copied().filter(|&label| label > 0).collect();
                values.sort_unstable();
                values.dedup();
                for value in values {
                    *found.entry(value).or_insert(0) += 1;
                }
            }
            if let Some(instances) = case.instances()? {
                let mut numbers: Vec<u16> = instances.into_iter().filter(|&number| number > 0).collect();
                numbers.sort_unstable();
                numbers.dedup();
                numbered = Some(numbered.unwrap_or(0) + numbers.len());
            }
        }
        assert_eq!(found, shown.iter().copied().collect(), "slices of {folder} by label value");
        assert_eq!(numbered, instances, "instances of {folder}");
        println!("{folder}: {cases} case(s), as its README says");
    }
    Ok(())
}
