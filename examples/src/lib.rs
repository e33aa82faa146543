//! What the example programs share.
//!
//! - [`backend`]: `--backend flex|ndarray|cuda`, chosen at run time among those compiled in.
//! - [`weights`]: LiteMedSAM's checkpoint, cached or fetched.
//! - [`data_options`]: a folder of scans, or a known data set.
//! - [`scan`]: a scan of a person's own, NIfTI or DICOM, and where masks of it go.
//! - [`stack`]: a case as windowed slices with labels.
//! - [`embeddings`]: its slices, each embedded once; [`disk_cache`]: and once for all runs.
//! - [`geometry`]: where the slices of a scan lie, for prompts in millimetres.
//! - [`outline`]: from outlined slices to a whole structure.
//! - [`annotate`]: annotate's work, on all structures of a scan; [`session`]: what a person decided on it, and nothing lost.
//! - [`batch`]: the same on many scans, shared among many machines.
//! - [`cards`]: prompt cards on the command line.
//! - [`study`]: a model, its embeddings and a [`journal`] of what is done; [`subjects`]: what it is compared on. [`lines`]: files that
//!   only grow, the journal's and the session's; [`lock`]: and that one program at a time has.
//! - [`learning`]: what is learned for each kind of prompts.
//! - [`demo`]: quickstart's work.
//! - [`assist`]: original SAM against SAM^assist, the paper's per-case evaluation.
//! - [`auto`]: generators of prompts, on test slices with and without the structure.
//! - [`mask_score`]: masks found without a prompt, held against the truth.
//! - [`trust`]: how well trust finds the slices that are wrong.
//! - [`coarse`]: coarse masks of PANet and SAP-Net, the paper's Table 5.
//! - [`claims`]: the paper's tables and figures, each as a section of a page.
//! - [`table1`]: the paper's data sets beside those that are here.
//! - [`parity`]: the comparison with the reference implementations' tensors.
//! - [`review`]: the page at which a person looks through a mask and corrects it.
//! - [`picture`], [`curves`], [`progress`], [`report`], [`results`]: what people see and keep.

#![forbid(unsafe_code)]

pub mod annotate;
pub mod assist;
pub mod auto;
pub mod backend;
pub mod batch;
pub mod cards;
pub mod claims;
pub mod coarse;
pub mod curves;
pub mod data_options;
pub mod demo;
pub mod disk_cache;
pub mod embeddings;
pub mod geometry;
pub mod journal;
pub mod learning;
pub mod lines;
pub mod lock;
pub mod mask_score;
pub mod outline;
pub mod parity;
pub mod picture;
pub mod progress;
pub mod prompting;
pub mod report;
pub mod results;
pub mod review;
pub mod scan;
pub mod session;
pub mod stack;
pub mod study;
pub mod subjects;
pub mod table1;
pub mod trust;
pub mod weights;

/// Tensors come and go by the megabyte: the system's allocator would give each back to the kernel and ask for it again. Debug builds keep
/// that one: the fuzz test counts what it is asked for.
#[cfg(not(debug_assertions))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
