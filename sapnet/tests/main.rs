//! SAP-Net and PANet: against reference outputs, for any features and masks, and fitted to small synthetic slices.

mod goldens;
mod properties;
mod sap_net;
