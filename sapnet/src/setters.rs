//! Builder methods of configurations.

/// Implements `with_*` methods, each of which replaces one field of a configuration.
///
/// burn's `Config` derive would write them too, but its deserialisation has no default values for missing fields and does not refuse
/// unknown fields. Stored configurations need both.
macro_rules! setters {
    ($config:ident { $($setter:ident: $field:ident: $type:ty),* $(,)? }) => {
        impl $config {
            $(
                #[doc = concat!("This configuration with another [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

pub(crate) use setters;
