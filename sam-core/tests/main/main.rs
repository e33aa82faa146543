//! All integration tests, as one program: linking burn takes longer than running them.

mod automatic;
mod batch;
mod cache;
mod checkpoint;
mod goldens;
mod ndarray_backend;
mod odd_vit;
mod predictor;
mod sharing;
mod store;
mod tiny_vit;
mod torch_archive;
