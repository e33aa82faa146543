//! The fuzz harness: runs cases and detects faults. The fuzz tests of sam-data and of the examples share it.
//!
//! A case is a target's valid files, damaged by a random generator. Its seed combines the run's seed and the case's number, so every fault
//! can be reproduced. A fault is a panic, a case that takes longer than [`SLOWEST`], more memory than [`MOST_MEMORY`] and
//! [`MEMORY_PER_BYTE`] allow, or a result that the target reports as wrong. The files of a faulty case are kept, and their path is printed.

use std::{
    env, fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use peak_alloc::PeakAlloc;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Time limit of a case. A longer one hangs or does too much work for its size.
const SLOWEST: Duration = Duration::from_secs(5);
/// Memory that every case may use: buffers of fixed size and a 32 MiB band of slices.
const MOST_MEMORY: usize = 40 << 20;
/// Additional memory for each uncompressed byte in the files. 8-bit numbers become 32-bit floats, an array may be held twice while it
/// grows, and files are read as intensities and as labels.
const MEMORY_PER_BYTE: usize = 16;

/// A fuzz target: a reader of foreign files, and how its files are made.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Writes damaged files to an empty folder. Returns their uncompressed length in bytes.
    pub(crate) prepare: fn(&Path, &mut dyn Rng) -> usize,
    /// Reads the files. Returns whether they were accepted, or what is wrong with the result.
    pub(crate) read: fn(&Path) -> Result<bool, String>,
}

/// The current case and its start time, for the watchdog thread.
static CASE: Mutex<String> = Mutex::new(String::new());
static STARTED: AtomicU64 = AtomicU64::new(u64::MAX);

struct Options {
    seconds: u64,
    seed: u64,
    target: Option<String>,
    case: Option<u64>,
}

impl Options {
    fn parse(targets: &[Target]) -> Result<Self, String> {
        let mut options = Self { seconds: 20, seed: 0, target: None, case: None };
        let mut arguments = env::args().skip(1);
        while let Some(name) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{name} wants a value"));
            let number = |text: String| text.parse::<u64>().map_err(|_| format!("{name} wants a number, found {text}"));
            match name.as_str() {
                "--seconds" => options.seconds = number(value()?)?,
                "--seed" => options.seed = number(value()?)?,
                "--case" => options.case = Some(number(value()?)?),
                "--target" => options.target = Some(value()?),
                _ => return Err(format!("expected --seconds, --seed, --target or --case, found {name}")),
            }
        }
        match &options.target {
            Some(name) if targets.iter().all(|target| target.name != name) => Err(format!(
                "there is no target {name}; there are: {}",
                targets.iter().map(|target| target.name).collect::<Vec<_>>().join(", ")
            )),
            _ => Ok(options),
        }
    }
}

/// Runs cases of all targets in turn, as the command line says.
pub(crate) fn run(targets: &[Target]) -> ExitCode {
    let options = match Options::parse(targets) {
        Ok(options) => options,
        Err(complaint) => {
            eprintln!("{complaint}");
            return ExitCode::FAILURE;
        }
    };
    let chosen = |target: &&Target| options.target.as_ref().is_none_or(|name| name == target.name);
    let targets: Vec<_> = targets.iter().filter(chosen).collect();
    // Files are in memory if possible, because writing to a disk is slow.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("a temporary folder");
    let begin = Instant::now();
    watch(begin);
    // Panics are not printed. Some are caught by the readers, others are reported with their case, and printing a backtrace needs more
    // memory than a case may use.
    std::panic::set_hook(Box::new(|_| {}));
    let mut counts = vec![[0_u64; 2]; targets.len()];
    let (mut faults, mut most) = (0, 0);
    for number in options.case.unwrap_or(0).. {
        for (target, [cases, accepted]) in targets.iter().zip(&mut counts) {
            *cases += 1;
            match run_case(target, options.seed, number, folder.path(), begin) {
                Ok(outcome) => {
                    *accepted += u64::from(outcome.accepted);
                    most = most.max(outcome.memory);
                }
                Err(fault) => {
                    faults += 1;
                    let kept = keep(folder.path(), target.name, options.seed, number);
                    eprintln!(
                        "{} --seed {} --case {number}: {fault}; files in {}",
                        target.name,
                        options.seed,
                        kept.display()
                    );
                }
            }
        }
        if options.case.is_some() || faults >= 10 || begin.elapsed() >= Duration::from_secs(options.seconds) {
            break;
        }
    }
    for (target, [cases, accepted]) in targets.iter().zip(&counts) {
        println!("{:>10}: {cases} cases, {accepted} of them still read", target.name);
    }
    println!("{faults} faults in {:.0} s, at most {} KiB at once", begin.elapsed().as_secs_f64(), most >> 10);
    if faults == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Outcome {
    /// Whether the damaged files were still accepted.
    accepted: bool,
    memory: usize,
}

/// Makes the files of a case, reads them, and checks time, memory and result.
fn run_case(target: &Target, seed: u64, number: u64, folder: &Path, begin: Instant) -> Result<Outcome, String> {
    let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number);
    clear(folder).expect("a temporary folder of our own");
    let held = (target.prepare)(folder, &mut random);
    *CASE.lock().expect("no panic holds it") = format!("{} --seed {seed} --case {number}", target.name);
    let started = Instant::now();
    STARTED.store((started - begin).as_millis() as u64, Ordering::SeqCst);
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.read)(folder)));
    let memory = ALLOCATOR.peak_usage().saturating_sub(before);
    STARTED.store(u64::MAX, Ordering::SeqCst);
    let accepted = outcome.map_err(|panic| {
        let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        format!("it panicked: {}", message.unwrap_or("without a word"))
    })??;
    if started.elapsed() > SLOWEST {
        return Err(format!("it took {:.1} s", started.elapsed().as_secs_f64()));
    }
    if memory > MOST_MEMORY + MEMORY_PER_BYTE * held {
        return Err(format!("it took {memory} bytes of memory for files of {held} bytes"));
    }
    Ok(Outcome { accepted, memory })
}

/// Starts the watchdog thread, which ends the program if a case hangs.
fn watch(begin: Instant) {
    thread::spawn(move || {
        loop {
            thread::sleep(Duration::from_millis(500));
            let since = (begin.elapsed().as_millis() as u64).saturating_sub(STARTED.load(Ordering::SeqCst));
            if since > 4 * SLOWEST.as_millis() as u64 {
                eprintln!("{}: it does not end", CASE.lock().expect("no panic holds it"));
                std::process::exit(1);
            }
        }
    });
}

/// Removes the content of a folder.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

/// Copies the files of a faulty case to a folder that is kept.
fn keep(folder: &Path, target: &str, seed: u64, number: u64) -> PathBuf {
    let kept = env::temp_dir().join(concat!(env!("CARGO_PKG_NAME"), "-fuzz")).join(format!("{target}-{seed}-{number}"));
    copy(folder, &kept).expect("space for a faulty case");
    kept
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, target) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        if entry.is_dir() { copy(&entry, &target)? } else { fs::copy(&entry, &target).map(drop)? }
    }
    Ok(())
}
