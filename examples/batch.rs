//! Annotates many scans, on one machine or on many at once.
//!
//! ```text
//! cargo run --release --example batch -- --cases cases.csv --records records --shard 1/4 -- --seed 3
//! cargo run --release --example batch -- --cases cases.csv --records records --merge results.csv
//! ```
//!
//! Each line of the CSV file is a case. Its columns are options of `annotate` by their names, `image`, `annotations` and `out` among them;
//! an empty cell leaves its option out. What stands behind `--` is said for all cases. All lines are checked before the first case begins.
//!
//! ```text
//! image,annotations,out,empty
//! a/scan.nii.gz,a/partial.nii.gz,a/mask.nii.gz,"0,60"
//! b/scan.nii.gz,b/partial.nii.gz,b/mask.nii.gz,
//! ```
//!
//! A case is done once: whoever takes it holds its file in `records` locked, and writes there what became of it when it is done. So shards
//! may overlap, and a program that was killed is started again in the same words: what is done is passed over, what was begun is begun
//! anew. Cases that failed are tried again. `--merge` joins all records to one table, .csv or .json.
//!
//! The folder of records must lie where file locks reach all machines, as they do on local disks, on NFS from version 4 on, and on Lustre
//! mounted with flock.
//!
//! Slurm, as an array:
//!
//! ```text
//! #SBATCH --array=1-16
//! batch --cases cases.csv --records records --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT
//! ```
//!
//! Kubernetes, as an indexed job (`completionMode: Indexed`, `completions: 16`), whose indices begin with 0:
//!
//! ```text
//! command: ["sh", "-c", "batch --cases cases.csv --records records --shard $((JOB_COMPLETION_INDEX + 1))/16"]
//! ```
//!
//! Snakemake:
//!
//! ```text
//! rule all:
//!     input: "results.csv"
//! rule shard:
//!     output: touch("records/shard-{i}.done")
//!     shell: "batch --cases cases.csv --records records --shard {wildcards.i}/16"
//! rule merge:
//!     input: expand("records/shard-{i}.done", i=range(1, 17))
//!     output: "results.csv"
//!     shell: "batch --cases cases.csv --records records --merge {output}"
//! ```
//!
//! Nextflow, with absolute paths in the table:
//!
//! ```text
//! process shard {
//!     input: val i
//!     output: val i
//!     script: "batch --cases ${params.cases} --records ${params.records} --shard $i/16"
//! }
//! process merge {
//!     input: val all
//!     script: "batch --cases ${params.cases} --records ${params.records} --merge ${params.results}"
//! }
//! workflow { merge(shard(channel.of(1..16)).collect()) }
//! ```

use std::process::ExitCode;

use clap::Parser;
use examples::{
    batch::{self, Options},
    report,
};

fn main() -> ExitCode {
    report::exit(batch::run(&Options::parse()))
}
