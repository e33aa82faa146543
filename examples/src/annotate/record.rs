//! Every number that was used, beside the mask.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::work::Work;
use crate::results::Environment;

/// Writes MASK.json: what is said here, the options and the environment.
pub(super) fn write(work: &Work<'_>, mut record: Value) -> Result<()> {
    let options = work.options;
    if let Some(disk) = &work.disk {
        println!("{disk}");
    }
    let fields = record.as_object_mut().context("a record has fields")?;
    fields.insert("options".to_owned(), json!(options));
    fields.insert("environment".to_owned(), json!(Environment::new(options.backend, &work.weights)));
    let beside = options.scan.out.with_extension("").with_extension("json");
    let text = serde_json::to_string_pretty(&record).context("the record cannot be written as JSON")?;
    sam_data::write_atomically(&beside, |file| file.write_all(text.as_bytes()))?;
    Ok(())
}
