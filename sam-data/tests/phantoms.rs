//! Every kind of phantom: reproducible, complete, and the same after writing to disk.

use std::collections::BTreeSet;

use sam_data::{Dataset, Folder, LoadedCase, PhantomConfig, PhantomKind, SliceAxis, Stack, Window};
use sam_testing::TestResult;

#[test]
fn a_seed_decides_all_and_every_structure_is_shown() -> TestResult {
    for kind in PhantomKind::ALL {
        assert_eq!(kind.to_string().parse::<PhantomKind>()?, kind);
        let mut seeds = Vec::new();
        for case in kind.dataset(2, 5).cases() {
            let (once, again) = (case.load()?, case.load()?);
            assert!(once == again, "{} differs", case.name);
            assert!(!seeds.contains(&once), "{} is like the one before", case.name);
            seeds.push(once);
            let slices = Stack::of_case("again", again, SliceAxis::Auto, &Window::Auto)?;
            for structure in kind.table().structures() {
                let is_shown = |&index: &usize| slices.mask(index, &structure.values).iter().any(|&inside| inside);
                let shown = (0..slices.len()).filter(is_shown).count();
                assert!(shown >= slices.len().min(3), "{}: {}", case.name, structure.name);
            }
        }
    }
    assert!("liver".parse::<PhantomKind>().is_err_and(|error| error.to_string().contains("kidney-ultrasound")));
    Ok(())
}

#[test]
fn written_phantoms_are_read_as_a_folder() -> TestResult {
    for kind in PhantomKind::ALL {
        let folder = tempfile::tempdir()?;
        let count = if kind.is_volume() { 1 } else { 2 };
        kind.write(folder.path(), count, 3)?;
        let (read, made) = (Folder::open(folder.path())?, kind.dataset(count, 3));
        assert_eq!(read.table(), made.table());
        assert_eq!(read.cases().len(), count);
        for (read, made) in read.cases().iter().zip(made.cases()) {
            assert_eq!(read.name, made.name);
            assert_eq!(read.instances()?, made.instances()?);
            match (read.load()?, made.load()?) {
                (LoadedCase::Volume { volume, labels }, LoadedCase::Volume { volume: voxels, labels: truth }) => {
                    assert!(volume.voxels == voxels.voxels && labels.labels == truth.labels, "{}", made.name);
                    volume.grid.compare(&voxels.grid, 0.01)?;
                }
                (read, made) => assert!(read == made, "images of {kind} differ"),
            }
        }
    }
    Ok(())
}

#[test]
fn tumours_leave_the_rest_of_the_abdomen_as_it_is() {
    let config = PhantomConfig::default().with_shape([96, 80, 32]);
    let without = config.generate();
    let with = config.with_tumours(true).generate();
    assert_eq!((without.table.structures().len(), with.table.structures().len()), (6, 8));
    let mut changed = BTreeSet::new();
    for (before, after) in without.labels.labels.iter().zip(&with.labels.labels) {
        if before != after {
            changed.insert((*before, *after));
        }
    }
    let (liver, lesion, tumour) = (1, 7, 8);
    assert!(changed.contains(&(liver, lesion)));
    assert!(
        changed
            .iter()
            .all(|&(before, after)| (before, after) == (liver, lesion)
                || ([0, 3, 4].contains(&before) && after == tumour))
    );
}

#[test]
fn nuclei_are_numbered_without_a_gap_and_some_touch() -> TestResult {
    let set = PhantomKind::Nuclei.dataset(1, 0);
    let instances = set.cases()[0].instances()?.ok_or("nuclei are instances")?;
    let numbers: BTreeSet<u16> = instances.iter().copied().collect();
    let most = *numbers.last().ok_or("there are nuclei")?;
    assert!(most >= 30, "{most} nuclei");
    assert_eq!(numbers.len(), usize::from(most) + 1, "background and every number");
    let beside = instances.windows((1, 2));
    assert!(beside.into_iter().any(|pair| pair[(0, 0)] != pair[(0, 1)] && pair.iter().all(|&number| number > 0)));
    Ok(())
}
