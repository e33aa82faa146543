//! Tensor names: from a file's names to the official ones, and from our modules' paths to the official ones.

/// The three parts that every official name begins with.
const PARTS: [&str; 3] = ["image_encoder.", "prompt_encoder.", "mask_decoder."];

/// Our names for layers that PyTorch numbers within a `Sequential`.
const NUMBERED: [(&str, &str); 12] = [
    ("neck.conv1", "neck.0"),
    ("neck.norm1", "neck.1"),
    ("neck.conv2", "neck.2"),
    ("neck.norm2", "neck.3"),
    ("mask_downscaling.conv1", "mask_downscaling.0"),
    ("mask_downscaling.norm1", "mask_downscaling.1"),
    ("mask_downscaling.conv2", "mask_downscaling.3"),
    ("mask_downscaling.norm2", "mask_downscaling.4"),
    ("mask_downscaling.conv3", "mask_downscaling.6"),
    ("output_upscaling.conv1", "output_upscaling.0"),
    ("output_upscaling.norm1", "output_upscaling.1"),
    ("output_upscaling.conv2", "output_upscaling.3"),
];

/// As [`NUMBERED`], for `TinyViT`'s patch embedding (the ViT's has no numbered layer).
const PATCH_EMBED: [(&str, &str); 2] =
    [("patch_embed.conv1", "patch_embed.seq.0"), ("patch_embed.conv2", "patch_embed.seq.2")];

/// The official part of a tensor name (prefixes such as `module.` and `model.` are dropped), or `None` if the tensor is not part of a SAM.
pub(super) fn official(name: &str) -> Option<&str> {
    PARTS
        .iter()
        .filter_map(|part| name.find(part))
        .filter(|&start| start == 0 || name.as_bytes()[start - 1] == b'.')
        .min()
        .map(|start| &name[start..])
}

/// Whether a tensor is not a parameter: bookkeeping, or part of a classifier head that SAM does not use.
pub(super) fn is_buffer(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
        || name.ends_with(".attention_bias_idxs")
        || name.ends_with(".attn.ab")
        || name.starts_with("image_encoder.head.")
        || name.starts_with("image_encoder.norm_head.")
}

/// Whether a SAM needs a file's tensor of this name.
pub(super) fn is_needed(name: &str) -> bool {
    official(name).is_some_and(|name| !is_buffer(name))
}

/// The official name of a tensor, from the path in our modules.
pub(super) fn from_module_path(path: &str) -> String {
    NUMBERED
        .iter()
        .chain(&PATCH_EMBED)
        .find(|(ours, _)| path.contains(ours))
        .map_or_else(|| path.to_owned(), |(ours, official)| path.replacen(ours, official, 1))
}

/// The most similar name, if any is similar.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    candidates
        .map(|candidate| (strsim::normalized_levenshtein(name, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_dropped_and_strangers_ignored() {
        let name = "mask_decoder.iou_token.weight";
        for prefix in ["", "module.", "model.", "state_dict.module.", "medsam_model."] {
            assert_eq!(official(&format!("{prefix}{name}")), Some(name));
        }
        assert_eq!(official("backbone.conv1.weight"), None);
        assert_eq!(official("my_image_encoder.conv1.weight"), None);
    }

    #[test]
    fn numbered_layers_get_their_official_names() {
        assert_eq!(from_module_path("image_encoder.neck.norm2.weight"), "image_encoder.neck.3.weight");
        assert_eq!(
            from_module_path("image_encoder.patch_embed.conv2.bn.bias"),
            "image_encoder.patch_embed.seq.2.bn.bias"
        );
        assert_eq!(from_module_path("image_encoder.blocks.3.norm1.weight"), "image_encoder.blocks.3.norm1.weight");
    }
}
