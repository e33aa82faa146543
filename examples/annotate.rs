//! Segments a whole scan from a few outlined slices.
//!
//! ```text
//! cargo run --release --example annotate -- --image scan.nii.gz --annotations partial.nii.gz --out mask.nii.gz
//! ```
//!
//! The annotations are a label map on the scan's grid in which a few slices are outlined, as any NIfTI editor writes it; several
//! structures at once are several label values. The output holds all slices on the same grid, under the scan's own header; outlined
//! slices stay as they were drawn. Beside it stands MASK.json with every number that was used, and with the slices of each structure in
//! the order in which a person should look at them; the first are named. Takes one to two minutes a structure on 2 cores.
//!
//! Of a DICOM series, `--image` is its folder, and `--seg mask.dcm` writes the mask as DICOM SEG, too.
//!
//! Slices are prompted from the mask of the slice before, outwards from those that are outlined; with `--auto ensemble`, by generators
//! that see each slice on its own: use it where the walk runs astray, and name a slice or two without any structure with `--empty`.
//!
//! With `--save-card liver.safetensors` what was learned is kept as a prompt card. With `--card liver.safetensors` a later run, on
//! another scan, takes it from there and learns nothing; the annotations then only say where to start from.
//!
//! With `--session DIR` nothing is lost: correct a few slices of the mask in the editor, and run again with it as `--annotations`. The
//! slices that you changed are yours from then on, and all of yours are learned from; with `--warm`, on from what was learned before.
//! `--accept 12,40-44` takes over slices as they were found, `--reject 7` says that one is wrong, `--undo` takes the last step back, and
//! `--replay` does all rounds again, to see that each comes out the same.
//!
//! ```text
//! cargo run --release --example annotate -- --session work --image scan.nii.gz --annotations partial.nii.gz --out mask.nii.gz
//! cargo run --release --example annotate -- --session work --image scan.nii.gz --annotations corrected.nii.gz --out mask.nii.gz
//! ```

use std::process::ExitCode;

use clap::Parser;
use examples::{
    annotate::{self, Options},
    report,
};

fn main() -> ExitCode {
    report::exit(annotate::run(&Options::parse()))
}
