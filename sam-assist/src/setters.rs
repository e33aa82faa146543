//! Setters of configurations.

/// Implements `with_*` setters, one for each named field of a configuration.
#[doc(hidden)]
#[macro_export]
macro_rules! __setters {
    ($config:ident { $($setter:ident => $field:ident: $type:ty),+ $(,)? }) => {
        impl $config {
            $(
                #[doc = concat!("Sets `", stringify!($field), "`.")]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )+
        }
    };
}
