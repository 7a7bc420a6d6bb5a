//! JSON in memory that is wiped.

use serde::Serialize;

use crate::error::Error;
use crate::secret::Secret;

/// Serializes into memory that is wiped, and never moved while it grows.
pub(crate) fn to_wiped(document: &impl Serialize) -> Result<Secret, Error> {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let failed = |_| Error::manifest("it cannot be written as JSON");
    let mut count = Count(0);
    serde_json::to_writer_pretty(&mut count, document).map_err(failed)?;
    let mut text = Vec::with_capacity(count.0 + 1);
    serde_json::to_writer_pretty(&mut text, document).map_err(failed)?;
    text.push(b'\n');
    Ok(Secret::from(text))
}
