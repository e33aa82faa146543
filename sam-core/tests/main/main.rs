//! All integration tests in one binary, because linking burn takes longer than running the tests.

mod automatic;
mod batch;
mod cache;
mod checkpoint;
mod finite;
mod goldens;
mod ndarray_backend;
mod odd_vit;
mod predictor;
mod sharing;
mod store;
mod tiny_vit;
mod torch_archive;
