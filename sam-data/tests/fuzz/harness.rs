//! What runs cases and judges them. The fuzz tests of sam-data and of the examples share it.
//!
//! A case is made of a target's valid files, damaged by a generator whose seed is the run's and the case's number: a fault that is
//! found once is found again. A fault is a panic, a case that takes longer than [`SLOWEST`], more memory than [`MOST_MEMORY`] allows
//! for what the files hold, or an answer that a target itself calls wrong. The files of a faulty case are kept and named.

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

/// A case that takes longer hangs, or does more work than its bytes are worth.
const SLOWEST: Duration = Duration::from_secs(5);
/// Memory that any case may take: buffers of fixed size, and 32 MiB of slices read together.
const MOST_MEMORY: usize = 40 << 20;
/// Beyond that, bytes for each byte that the files really hold, unpacked: 8-bit numbers become 32-bit floats, twice while an array
/// grows, as intensities and as labels.
const MEMORY_PER_BYTE: usize = 16;

/// Something that reads what it did not write, and how its files are made.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Puts damaged files into an empty folder and tells how many bytes they hold, unpacked.
    pub(crate) prepare: fn(&Path, &mut dyn Rng) -> usize,
    /// Reads them: whether they could be read, or what is wrong with the answer.
    pub(crate) read: fn(&Path) -> Result<bool, String>,
}

/// Where and when the case at hand began, for the thread that watches over time.
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

/// Runs cases of all targets in turns, as the command line says.
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
    // Writing waits until a disk has it, which memory need not.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("a temporary folder");
    let begin = Instant::now();
    watch(begin);
    // A panic that a reader catches is none of ours, and one that it does not catch is told with its case. To print where it was
    // would take more memory than a case may.
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
    /// Whether the damaged files could still be read.
    accepted: bool,
    memory: usize,
}

/// Makes the files of a case, reads them and judges what that took.
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

/// Ends the program where a case does not end by itself.
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

/// Removes all that a folder holds.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

/// Copies the files of a case to where they stay.
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
