//! Splits of cases into training and test sets.
//!
//! This module splits cases. The caller chooses which slices of a case are annotated, for example with `SliceSelection` of sam-prompt.

use std::path::Path;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use sam_files::write_atomic;
use serde::{Deserialize, Serialize};

use crate::{DataError, Dataset, KnownSet};

/// Identifies a case of a data set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CaseId {
    /// Name of the data set.
    pub dataset: String,
    /// Name of the case.
    pub case: String,
}

/// One division into training and test cases. No case is in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    /// Training cases.
    pub train: Vec<CaseId>,
    /// Test cases.
    pub test: Vec<CaseId>,
}

/// A split of cases into training and test sets, saved as JSON with the results.
///
/// ```
/// use sam_data::{PhantomKind, Split};
///
/// let kidneys = PhantomKind::KidneyUltrasound.dataset(10, 0);
/// let split = Split::k_fold(&[&kidneys], 5, 0)?;
/// assert_eq!((split.folds.len(), split.folds[0].test.len()), (5, 2));
/// assert!(split.warnings.is_empty());
/// # Ok::<(), sam_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The seed of the random split; `None` if the split is not random.
    pub seed: Option<u64>,
    /// The folds. Each is trained and tested separately.
    pub folds: Vec<Fold>,
    /// Warnings about data leakage: data sets that share scans.
    pub warnings: Vec<String>,
}

impl Split {
    /// Leave-out split: the named cases are tested, all others are for training.
    ///
    /// A name is that of a case, or `data set/case` if several sets have a case of this name.
    ///
    /// # Errors
    /// [`DataError::NoSuchCase`] if no case, or more than one, has the name; [`DataError::Folds`] if one side is empty.
    pub fn leave_out(sets: &[&dyn Dataset], test: &[&str]) -> Result<Self, DataError> {
        let all = ids(sets);
        let mut tested = Vec::new();
        for &name in test {
            let is_meant = |id: &&CaseId| id.case == name || format!("{}/{}", id.dataset, id.case) == name;
            let meant: Vec<&CaseId> = all.iter().filter(is_meant).collect();
            let [id] = meant.as_slice() else {
                let nearest = all.iter().map(|id| (strsim::jaro_winkler(&id.case, name), id));
                let nearest = nearest.max_by(|(one, _), (other, _)| one.total_cmp(other));
                return Err(DataError::NoSuchCase {
                    name: name.to_owned(),
                    found: meant.len(),
                    nearest: nearest.map_or(String::new(), |(_, id)| format!("{}/{}", id.dataset, id.case)),
                });
            };
            tested.push((*id).clone());
        }
        let train: Vec<CaseId> = all.iter().filter(|id| !tested.contains(id)).cloned().collect();
        tested.sort();
        tested.dedup();
        if train.is_empty() || tested.is_empty() {
            return Err(DataError::Folds { folds: 1, cases: all.len() });
        }
        Ok(Self { seed: None, folds: vec![Fold { train, test: tested }], warnings: warnings(sets, sets) })
    }

    /// K-fold cross-validation: the cases are shuffled and dealt to `folds` folds, whose sizes differ by at most one. Each case is tested
    /// once. With as many folds as cases, this is leave-one-out.
    ///
    /// # Errors
    /// [`DataError::Folds`] if there are fewer than 2 folds, or fewer cases than folds.
    pub fn k_fold(sets: &[&dyn Dataset], folds: usize, seed: u64) -> Result<Self, DataError> {
        let mut all = ids(sets);
        if folds < 2 || folds > all.len() {
            return Err(DataError::Folds { folds, cases: all.len() });
        }
        all.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let fold = |number: usize| {
            let (mut test, mut train) = (Vec::new(), Vec::new());
            for (place, id) in all.iter().enumerate() {
                if place % folds == number { &mut test } else { &mut train }.push(id.clone());
            }
            test.sort();
            train.sort();
            Fold { train, test }
        };
        Ok(Self { seed: Some(seed), folds: (0..folds).map(fold).collect(), warnings: warnings(sets, sets) })
    }

    /// Trains on one data set and tests on another.
    pub fn between(train: &dyn Dataset, test: &dyn Dataset) -> Self {
        let fold = Fold { train: ids(&[train]), test: ids(&[test]) };
        Self { seed: None, folds: vec![fold], warnings: warnings(&[train], &[test]) }
    }

    /// Writes the split as JSON.
    ///
    /// # Errors
    /// [`DataError::Write`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), DataError> {
        let path = path.as_ref();
        Ok(write_atomic(path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })?)
    }
}

/// All cases of the data sets in order, each once.
fn ids(sets: &[&dyn Dataset]) -> Vec<CaseId> {
    let of_set = |set: &&dyn Dataset| {
        let id = |case: &crate::Case| CaseId { dataset: set.name().to_owned(), case: case.name.clone() };
        set.cases().iter().map(id).collect::<Vec<_>>()
    };
    let mut ids: Vec<CaseId> = sets.iter().flat_map(of_set).collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Warnings about pairs of different sets that share scans.
fn warnings(ours: &[&dyn Dataset], theirs: &[&dyn Dataset]) -> Vec<String> {
    let known = |sets: &[&dyn Dataset]| sets.iter().filter_map(|set| set.known()).collect::<Vec<_>>();
    let mut said = Vec::new();
    for one in known(ours) {
        for other in known(theirs) {
            let (first, second) = if one.name() <= other.name() { (one, other) } else { (other, one) };
            said.extend(KnownSet::leakage(first, second));
        }
    }
    said.sort();
    said.dedup();
    said
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{Collection, PhantomKind};

    fn named(name: &str, cases: usize, known: Option<KnownSet>) -> Collection {
        Collection { name: name.to_owned(), known, ..PhantomKind::Nuclei.dataset(cases, 0) }
    }

    #[test]
    fn cases_are_left_out_by_name() {
        let (one, other) = (named("one", 3, None), named("other", 2, None));
        let split = Split::leave_out(&[&one], &["nuclei-1"]).expect("a case");
        assert_eq!((split.folds[0].train.len(), split.folds[0].test[0].case.as_str()), (2, "nuclei-1"));
        let unclear = Split::leave_out(&[&one, &other], &["nuclei-1"]).expect_err("two cases").to_string();
        assert!(unclear.contains("2 cases") && unclear.contains("/nuclei-1"), "{unclear}");
        let split = Split::leave_out(&[&one, &other], &["other/nuclei-1"]).expect("a case");
        assert_eq!((split.folds[0].train.len(), split.folds[0].test[0].dataset.as_str()), (4, "other"));
        let wrong = Split::leave_out(&[&one], &["nuclei-7"]).expect_err("no case").to_string();
        assert!(wrong.contains("nuclei-7") && wrong.contains("one/nuclei-"), "{wrong}");
        assert!(matches!(Split::leave_out(&[&one], &[]), Err(DataError::Folds { .. })));
        assert!(matches!(Split::leave_out(&[&named("one", 1, None)], &["nuclei-0"]), Err(DataError::Folds { .. })));
    }

    #[test]
    fn sets_that_share_scans_are_warned_of_and_splits_travel_as_json() {
        let lits = named("LiTS", 2, Some(KnownSet::Lits));
        let organs = named("CT-ORG", 2, Some(KnownSet::CtOrg));
        let abdomen = named("BTCV", 2, Some(KnownSet::Btcv));
        let split = Split::between(&lits, &organs);
        assert_eq!(split.warnings.len(), 1);
        assert!(split.warnings[0].contains("LiTS") && split.warnings[0].contains("CT-ORG"), "{}", split.warnings[0]);
        assert_eq!(Split::k_fold(&[&abdomen, &organs, &lits], 2, 0).expect("6 cases").warnings, split.warnings);
        assert!(Split::between(&lits, &abdomen).warnings.is_empty());
        assert!(Split::k_fold(&[&lits], 2, 0).expect("2 cases").warnings.is_empty(), "a set is divided by its cases");

        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("split.json");
        split.write(&path).expect("a writable folder");
        let text = std::fs::read_to_string(&path).expect("just written");
        assert_eq!(serde_json::from_str::<Split>(&text).expect("just written"), split);
    }

    proptest! {
        #[test]
        fn folds_test_each_case_once(cases in 0..20_usize, folds in 0..22_usize, seed in any::<u64>()) {
            let set = named("set", cases, None);
            let split = Split::k_fold(&[&set], folds, seed);
            prop_assert_eq!(split.is_ok(), (2..=cases).contains(&folds));
            let Ok(split) = split else { return Ok(()) };
            prop_assert_eq!(&split, &Split::k_fold(&[&set], folds, seed).expect("as before"));
            let tested: Vec<_> = split.folds.iter().flat_map(|fold| &fold.test).collect();
            prop_assert_eq!(tested.len(), cases);
            prop_assert_eq!(tested.into_iter().collect::<BTreeSet<_>>().len(), cases);
            for fold in &split.folds {
                prop_assert!((cases / folds..=cases.div_ceil(folds)).contains(&fold.test.len()));
                prop_assert_eq!(fold.train.len() + fold.test.len(), cases);
                prop_assert!(fold.train.iter().all(|id| !fold.test.contains(id)));
            }
        }
    }
}
