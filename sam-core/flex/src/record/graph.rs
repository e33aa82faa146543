//! Kernels in the graph of burn-autodiff.

use std::marker::PhantomData;

use burn::{
    backend::{
        Autodiff,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
    },
    tensor::ops::FloatTensor,
};
use burn_flex::Flex;

use super::{Array, Kernel, arrays};

/// Runs a kernel and, if an input needs a gradient, adds a node to the graph.
pub(super) fn record<K: Kernel<N>, const N: usize>(
    kernel: K,
    inputs: [FloatTensor<Autodiff<Flex>>; N],
) -> Option<FloatTensor<Autodiff<Flex>>> {
    let nodes = inputs.each_ref().map(|input| input.node.clone());
    let inputs = arrays(&inputs.map(|input| input.primitive))?;
    let (output, saved) = kernel.forward(&inputs);
    let step = Recorded(PhantomData::<K>);
    Some(match step.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish((kernel, inputs, saved), output.0),
        OpsKind::UnTracked(prepared) => prepared.finish(output.0),
    })
}

/// A kernel as a backward operation in the graph.
#[derive(Debug)]
struct Recorded<K>(PhantomData<K>);

impl<K: Kernel<N>, const N: usize> Backward<Flex, N> for Recorded<K> {
    type State = (K, [Array; N], K::Saved);

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Array(gradients.consume::<Flex>(&ops.node).to_contiguous());
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let (kernel, inputs, saved) = ops.state;
        let found = kernel.backward(&inputs, &saved, &gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<Flex>(parent.id, gradient.0);
            }
        }
    }
}
