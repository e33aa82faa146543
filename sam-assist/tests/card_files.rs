//! Files of prompt cards: written, read, and refused if they are damaged.

use std::{fs, path::Path};

use sam_assist::{AssistError, PromptCard};
use sam_prompt::error_chain;
use sam_testing::TestResult;

use crate::common::card;

#[test]
fn equal_cards_are_equal_files_and_a_failed_save_leaves_the_old_one() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let card = card("liver")?;
    for name in ["a.safetensors", "b.safetensors"] {
        card.save(path(name))?;
    }
    assert_eq!(fs::read(path("a.safetensors"))?, fs::read(path("b.safetensors"))?);
    PromptCard::load(path("a.safetensors"))?.save(path("a.safetensors"))?;
    assert_eq!(fs::read(path("a.safetensors"))?, fs::read(path("b.safetensors"))?);
    assert_eq!(fs::read_dir(folder.path())?.count(), 2);

    let nowhere = path("missing").join("card.safetensors");
    assert!(matches!(card.save(&nowhere), Err(AssistError::Unwritable { .. })));
    assert!(matches!(PromptCard::load(&nowhere), Err(AssistError::Unreadable { .. })));
    assert!(matches!(PromptCard::load(folder.path()), Err(AssistError::Unreadable { .. })));
    Ok(())
}

/// The error message for a file of these bytes.
fn refusal(path: &Path, bytes: &[u8]) -> TestResult<String> {
    fs::write(path, bytes)?;
    match PromptCard::load(path) {
        Ok(_) => Err("it was taken for a card".into()),
        Err(error @ (AssistError::Corrupt { .. } | AssistError::FormatVersion { .. })) => Ok(error_chain(&error)),
        Err(error) => Err(error.into()),
    }
}

#[test]
fn damaged_files_are_refused_wherever_the_damage_is() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("card.safetensors");
    card("liver")?.save(&path)?;
    let whole = fs::read(&path)?;
    for length in (0..whole.len()).step_by(509).chain([1, 7, 8, 9, whole.len() - 1]) {
        let message = refusal(&path, &whole[..length]).map_err(|error| format!("{length} bytes: {error}"))?;
        assert!(message.contains("card.safetensors"), "{message}");
    }
    for place in (0..whole.len()).step_by(211) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0b101;
        refusal(&path, &damaged).map_err(|error| format!("byte {place}: {error}"))?;
    }
    let longer = [whole.as_slice(), b"more"].concat();
    refusal(&path, &longer)?;
    Ok(())
}

/// The card's file, with a text of its header replaced by another of the same length.
fn edited(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut edited = bytes.to_vec();
    let place = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("it is in the header");
    edited[place..place + to.len()].copy_from_slice(to.as_bytes());
    edited
}

#[test]
fn files_of_other_kinds_and_versions_are_refused_in_words() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("card.safetensors");
    card("liver")?.save(&path)?;
    let whole = fs::read(&path)?;

    let message = refusal(&path, &edited(&whole, r#"\"format_version\":2"#, r#"\"format_version\":7"#))?;
    assert!(message.contains("format version 7") && message.contains("reads version 2"), "{message}");
    let message = refusal(&path, &edited(&whole, "liver", "spine"))?;
    assert!(message.contains("checksum"), "{message}");
    let message = refusal(&path, &edited(&whole, "prompt_card", "prompt_bard"))?;
    assert!(message.contains("no entry \"prompt_card\""), "{message}");

    let checkpoint = safetensors::serialize(
        [("a", safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &[0; 4])?)],
        None,
    )?;
    let message = refusal(&path, &checkpoint)?;
    assert!(message.contains("is it a checkpoint?"), "{message}");
    let message = refusal(&path, b"PK\x03\x04 a zip file, as .pth is")?;
    assert!(message.contains("not a safetensors file"), "{message}");
    let message = refusal(&path, b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 25000\n")?;
    assert!(message.contains("git lfs pull"), "{message}");
    let message = refusal(&path, b"<!DOCTYPE html><html><title>Sign in</title>")?;
    assert!(message.contains("web page"), "{message}");
    // A header that claims to be larger than a card's is refused before it is read.
    let message = refusal(&path, &[u64::MAX.to_le_bytes().as_slice(), b"{}"].concat())?;
    assert!(message.contains("header is larger"), "{message}");
    Ok(())
}

#[test]
fn a_folder_lists_its_cards_and_what_is_broken() -> TestResult {
    let folder = tempfile::tempdir()?;
    for structure in ["spleen", "liver"] {
        card(structure)?.save(folder.path().join(structure).with_extension("safetensors"))?;
    }
    fs::write(folder.path().join("broken.safetensors"), b"half a")?;
    fs::write(folder.path().join("notes.txt"), b"no card")?;
    fs::create_dir(folder.path().join("folder.safetensors"))?;
    let found = PromptCard::list(folder.path())?;
    let found: Vec<_> = found
        .iter()
        .map(|(path, card)| {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            (name, card.as_ref().ok().map(|card| card.metadata().structure.as_str()))
        })
        .collect();
    assert_eq!(found, [("broken", None), ("folder", None), ("liver", Some("liver")), ("spleen", Some("spleen"))]);
    assert!(matches!(PromptCard::list(folder.path().join("missing")), Err(AssistError::Unreadable { .. })));
    Ok(())
}
