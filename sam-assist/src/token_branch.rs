//! The decoder's token branch: the weights of its two-way transformer that tokens pass through and pixels do not.
//!
//! While only these weights change, the projected image stays the same, and each gradient is a product over a dozen tokens instead of
//! thousands of pixels. Training them takes hardly longer than training the prompt encoder alone.

use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Tensor, backend::Backend},
};
use sam_core::MaskDecoder;

/// Path of a parameter while a module is traversed: the names of the fields, outermost first.
#[derive(Default)]
pub(crate) struct Path(Vec<String>);

impl Path {
    pub(crate) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    pub(crate) fn leave(&mut self) {
        self.0.pop();
    }

    /// All names, joined by dots.
    pub(crate) fn name(&self) -> String {
        self.0.join(".")
    }

    /// The name of a parameter and of the layer that holds it.
    pub(crate) fn layer_and_field(&self) -> Option<(&str, &str)> {
        match &self.0[..] {
            [.., layer, field] => Some((layer, field)),
            _ => None,
        }
    }

    /// Whether this is a decoder parameter that works on tokens only.
    pub(crate) fn is_token_branch(&self) -> bool {
        let has = |name: &str| self.0.iter().any(|part| part == name);
        let looks_at_image = has("cross_attn_token_to_image") || has("final_attn_token_to_image");
        let of_image = (looks_at_image && (has("k_proj") || has("v_proj")))
            || (has("cross_attn_image_to_token") && (has("q_proj") || has("out_proj")))
            || has("norm4")
            || has("output_upscaling");
        !of_image
    }
}

/// Marks the token branch of a decoder for gradients, and nothing else.
pub(crate) fn track_token_branch<B: Backend>(decoder: MaskDecoder<B>) -> MaskDecoder<B> {
    decoder.map(&mut Track { path: Path::default() })
}

struct Track {
    path: Path,
}

impl<B: Backend> ModuleMapper<B> for Track {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.leave();
    }

    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let tracked = self.path.is_token_branch();
        parameter.set_require_grad(tracked)
    }
}
